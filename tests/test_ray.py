"""What workers of Ray embed and train: the store and the runs of one process, file by file."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engage_cli.config.general import EmbedConfig, EncoderConfig, EngineConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.recipes import resolve
from engage_cli.config.training import EnsembleConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runtime import ray_pieces
from engage_cli.runtime.distributed import SET_BY_TORCHRUN
from engage_cli.steps.embed import _shards as embed_shards
from engage_cli.steps.embed import embed
from engage_cli.steps.predict import table
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.train import pipeline
from engage_cli.steps.train.seeds import train_seeds
from tests.test_killed import files_of

RAY = EngineConfig(engine="ray", workers=2)


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    module = pytest.importorskip("ray")
    module.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield
    module.shutdown()


def same_files(one: Path, other: Path, names: tuple[str, ...]) -> None:
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.usefixtures("few_steps")
def test_members_that_are_trained_elsewhere_are_those_of_one_process(
    world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Ray: what it is given is done here, piece by piece. One member is there already, and is not done again."""
    config = EnsembleConfig(target="views", members="gp,neural", vision=encoders.vision, text=encoders.text)
    data, done = load_dataset(world / "data"), []

    def do(work: Callable[..., object], pieces: Sequence[tuple[Any, ...]], *rest: Any, title: str) -> None:
        for piece in pieces:
            work(*piece)
            done.append(piece[3])

    monkeypatch.setattr(pipeline, "run_on_ray", do)
    here = pipeline.train_ensemble(config, dataset=data, encoders=encoders, run=tmp_path / "one").run
    elsewhere = pipeline.train_ensemble(config, how=RAY, dataset=data, encoders=encoders, run=tmp_path / "ray").run
    assert done == ["gp", "neural"]
    names = (
        "ensemble.json",
        "members/gp/process.json",
        "members/gp/process.safetensors",
        "members/neural/model.safetensors",
    )
    same_files(elsewhere.folder, here.folder, names)


@pytest.mark.usefixtures("ray")
def test_seeds_on_workers_are_those_of_one_process(world: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    given = {"seeds": 2, "epochs": 2, "target": "views", "vision": encoders.vision, "text": encoders.text}
    resolved, folders = resolve("value", "frozen", given, has_gpu=False), []
    for name, how in (("one", EngineConfig()), ("ray", RAY)):
        run = train_seeds(
            resolved, how=how, dataset=load_dataset(world / "data"), encoders=encoders, run=tmp_path / name
        ).run
        folders.append(run.folder)
    same_files(*folders, ("ensemble.json", "members/seed-0/model.safetensors", "members/seed-1/model.safetensors"))


def broken(what: str) -> None:
    raise EngageError(f"{what} is broken")


@pytest.mark.usefixtures("ray")
def test_what_a_piece_raises_is_said_once() -> None:
    with pytest.raises(EngageError, match=r"^this is broken$"):
        ray_pieces.run_on_ray(broken, [("this",)], RAY, SilentReporter(), title="breaking")
    ray_pieces.run_on_ray(broken, [], RAY, SilentReporter(), title="nothing")


def predict_or_die(folder: Path, marker: str, posts: Any, images_dir: Path | None, path: Path) -> None:
    """What a worker does; the one that is first to have the second part dies of it."""
    died = path.parent.parent / "died"
    if path.stem == "part-00001" and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    table.predict_part(folder, marker, posts, images_dir, path)


@pytest.mark.usefixtures("ray")
def test_a_table_predicted_by_workers_of_which_one_dies_is_that_of_one_process(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, posts = world / "runs" / "catboost-value", tmp_path / "posts.csv"
    posts.write_text("title,tags\n" + "".join(f"a cat and {n} pizzas,food\n" for n in range(11)))
    one = table.predict_table(posts, out=tmp_path / "one.csv", run=run)
    monkeypatch.setattr(table, "PART_ROWS", 4)
    monkeypatch.setattr(
        table, "run_on_ray", lambda work, *rest, **more: ray_pieces.run_on_ray(predict_or_die, *rest, **more)
    )
    many = table.predict_table(posts, out=tmp_path / "many.csv", run=run, how=RAY)
    assert (tmp_path / "died").exists()
    assert (tmp_path / "many.csv").read_text() == (tmp_path / "one.csv").read_text()
    assert (many.rows, many.went_on) == (one.rows, 0) == (11, 0)


def test_a_run_that_is_another_one_on_the_workers_machine_is_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(EngageError, match="holds another run on this machine; share the disk"):
        table.predict_part(world / "runs" / "gp", "0" * 16, pd.DataFrame(), None, tmp_path / "part-00000.parquet")


def ray_workers() -> list[int]:
    """The processes of our own Ray that write shards."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::" in (line := path.read_bytes()) and b"ShardWriter" in line:
                found.append(int(path.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for workers in /proc")
@pytest.mark.usefixtures("ray")
def test_with_a_worker_killed_the_store_is_that_of_one_process(
    pixelrec: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_shards, "SHARD_SIZE", {"vision": 8, "text": 8})
    exact = EncoderConfig(vision=encoders.vision, text=encoders.text, precision="fp32", dtype="fp32")
    data = prepare(PrepareConfig(), folder=tmp_path / "ray", sources=[Source(path=pixelrec)]).dataset
    killed: list[int] = []

    is_done = threading.Event()

    def kill_one() -> None:
        while not killed and not is_done.wait(0.005):  # one may do most of the work before the other has started
            workers, shards = ray_workers(), len(list(data.features_dir.glob("*/shard-*.safetensors")))
            if workers and shards >= 2:
                os.kill(workers[-1], signal.SIGKILL)
                killed.append(shards)

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        (summary,) = embed(data, exact, blocks=["title"], how=EmbedConfig(engine="ray", workers=2))
    finally:
        is_done.set()
        killer.join()
    prepare(PrepareConfig(), folder=tmp_path / "one", sources=[Source(path=pixelrec)])
    (alone,) = embed(load_dataset(tmp_path / "one"), exact, blocks=["title"])
    assert files_of(summary.folder) == files_of(alone.folder)
    assert killed
    assert killed[0] < len(files_of(alone.folder)) - 5  # there was work left when it died
    assert summary.stages["tower"] > 0


def test_engines_that_do_not_fit(
    world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_dataset(world / "data")
    rest = {"dataset": data, "encoders": encoders, "run": tmp_path / "run"}
    with pytest.raises(WrongCallError, match="unknown --engine 'dask'; give one of: local, ray"):
        pipeline.train_ensemble(EnsembleConfig(), how=EngineConfig(engine="dask"), **rest)
    one = resolve("value", "frozen", {}, has_gpu=False)
    with pytest.raises(WrongCallError, match="give --seeds 2 or more, or leave it out"):
        train_seeds(one, how=RAY, **rest)
    for name in SET_BY_TORCHRUN:
        monkeypatch.setenv(name, "2")
    with pytest.raises(WrongCallError, match="call it without torchrun"):
        pipeline.train_ensemble(EnsembleConfig(), how=RAY, **rest)
    assert not (tmp_path / "run").exists()
