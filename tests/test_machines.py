"""Ranks of torchrun write the store that one process writes, bit for bit in fp32."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engage_cli.config.general import EmbedConfig, EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.main import app
from engage_cli.runtime.distributed import SET_BY_TORCHRUN
from engage_cli.steps.embed import _shards as embed_shards
from engage_cli.steps.embed import embed
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from tests import forked
from tests.damage import write_checked
from tests.test_killed import files_of

SHARD_SIZE = 8


def rank(*arguments: str) -> None:
    embed_shards.SHARD_SIZE.update(vision=SHARD_SIZE, text=SHARD_SIZE)
    app(list(arguments), standalone_mode=False)


@pytest.fixture(scope="module")
def exact(encoders: EncoderConfig) -> EncoderConfig:
    return EncoderConfig(vision=encoders.vision, text=encoders.text, precision="fp32", dtype="fp32")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_shards, "SHARD_SIZE", {"vision": SHARD_SIZE, "text": SHARD_SIZE})


def stores(folder: Path) -> dict[str, dict[str, bytes]]:
    return {path.parent.name: files_of(path.parent) for path in sorted(folder.glob("features/*/manifest.json"))}


def test_two_ranks_write_the_store_of_one_process(
    pixelrec: Path, exact: EncoderConfig, small_shards: None, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        prepare(PrepareConfig(), folder=tmp_path / name, sources=[Source(path=pixelrec)])
    embed(load_dataset(tmp_path / "one"), exact)
    options = ["--precision", "fp32", "--dtype", "fp32", "--vision", exact.vision, "--text", exact.text, "--json"]
    done = forked.ranks(rank, "embed", "--data", tmp_path / "two", *options)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)  # one rank answers for both
    assert stores(tmp_path / "two") == stores(tmp_path / "one")
    assert all(store["added"] == store["vectors"] for store in answer["stores"])
    assert "rank 0 of 2" in done.stderr


def test_an_error_in_a_rank_is_one_sentence(pixelrec: Path, exact: EncoderConfig, tmp_path: Path) -> None:
    """As the command line gives it: torchrun starts processes of its own."""
    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=pixelrec)]).dataset
    name = data.posts["image"][data.posts["image_problem"] == ""].iloc[20]
    meta = json.loads((data.folder / "dataset.json").read_text())
    copies = tmp_path / "covers"
    copies.mkdir()
    root = data.images_of("pixelrec")
    assert root is not None
    for path in root.iterdir():
        (copies / path.name).write_bytes(path.read_bytes() + (b"\0" if path.name == name else b""))
    for source in meta["sources"].values():
        source["images"] = str(copies)
    write_checked(data.folder / "dataset.json", meta)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "engage_cli"]
    options = ["--vision", exact.vision, "--blocks", "image"]
    command = [str(part) for part in (*torchrun, "embed", "--data", data.folder, *options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert f"engage: {copies / name} changed since `engage prepare`" in done.stderr
    assert "engage_cli/steps" not in done.stderr  # torchrun reports in its way; of ours there is no traceback
    assert not list(data.folder.glob("features/*/manifest.json"))


def test_engines_that_do_not_fit(
    exact: EncoderConfig, pixelrec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=pixelrec)]).dataset
    with pytest.raises(WrongCallError, match="unknown --engine 'dask'; give one of: local, ray"):
        embed(data, exact, how=EmbedConfig(engine="dask"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngageError, match=r"--engine ray needs Ray: pip install 'engage-cli\[ray\]'"):
        embed(data, exact, how=EmbedConfig(engine="ray"))
    for name in SET_BY_TORCHRUN:
        monkeypatch.setenv(name, "2")
    with pytest.raises(WrongCallError, match="call it without torchrun"):
        embed(data, exact, how=EmbedConfig(engine="ray"))
