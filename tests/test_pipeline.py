"""The pipeline: rows stay where they are, whatever the batches, the towers and the files do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engage_cli.embeddings import pipeline as pipeline_module
from engage_cli.embeddings._image_loader import processes_for
from engage_cli.embeddings.pipeline import Pipeline, Unit
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import EngageError
from engage_cli.images import reader as image_reading
from tests.test_encoders import IMAGES, TEXTS, photo
from tests.test_images import encoded

FILES = [encoded(image) for image in IMAGES]


def reads(files: list[bytes | None]) -> list[image_reading.ReadImage]:
    return [lambda data=data: data for data in files]


@pytest.fixture(scope="module")
def vit(checkpoints: dict[str, str]) -> Encoder:
    return Encoder("vision", checkpoints["vit"], precision="fp32", dtype="fp32")


@pytest.fixture(scope="module")
def bert(checkpoints: dict[str, str]) -> Encoder:
    return Encoder("text", checkpoints["bert"], precision="fp32", dtype="fp32")


def test_rows_stay_in_order_with_bad_images_between(vit: Encoder) -> None:
    files = [FILES[0], b"no image", FILES[1], None, FILES[2][:60], FILES[2]]
    result = Pipeline(vit, batch_size=2).encode(reads(files))
    assert result.problems == ["", "not an image", "", "missing", "truncated", ""]
    np.testing.assert_allclose(result.pooled[[0, 2, 5]], Pipeline(vit).encode(reads(FILES[:3])).pooled, atol=1e-5)
    for row in (3, 4):
        np.testing.assert_allclose(result.pooled[1], result.pooled[row], atol=1e-6)


@pytest.mark.parametrize("batch_size", [None, 1, 2, 7])
@pytest.mark.parametrize("num_towers", [1, 3])
def test_units_come_back_whole_and_in_order(vit: Encoder, bert: Encoder, batch_size: int | None, num_towers: int) -> None:
    """Some readers are slow: what overtakes them waits."""
    slow = [lambda i=i: (time.sleep(0.003 * (i % 3)), FILES[i % len(FILES)])[1] for i in range(23)]
    units = [Unit(9, slow[:10]), Unit(4, slow[10:11]), Unit(5, slow[11:])]
    heard: list[int] = []
    found = list(Pipeline(vit, batch_size=batch_size, num_towers=num_towers).run(units, heard.append))
    assert [unit.name for unit, _ in found] == [9, 4, 5]
    assert sum(heard) == 23
    alone = Pipeline(vit).encode(reads(FILES)).pooled
    together = np.concatenate([encoded.pooled for _, encoded in found])
    np.testing.assert_allclose(together, alone[[i % len(FILES) for i in range(23)]], atol=1e-5)

    texts = [TEXTS[i % len(TEXTS)] * (1 + i % 3) for i in range(17)]
    pipeline = Pipeline(bert, batch_size=batch_size, num_towers=num_towers)
    (_, first), (_, second) = pipeline.run([Unit(0, texts[:5]), Unit(1, texts[5:])])
    one_by_one = np.concatenate([Pipeline(bert).encode([text]).pooled for text in texts])
    np.testing.assert_allclose(np.concatenate([first.pooled, second.pooled]), one_by_one, atol=1e-5)


def test_what_a_batch_gives_does_not_depend_on_the_towers(vit: Encoder) -> None:
    results = [Pipeline(vit, batch_size=3, num_towers=num).encode(reads(FILES)).pooled for num in (1, 2, 4)]
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_batches_hold_texts_of_similar_length(bert: Encoder) -> None:
    pipeline = Pipeline(bert, batch_size=3)
    assert list(pipeline._by_length([5, 9, 1, 7, 5, 2, 8])) == [[1, 6, 3], [0, 4, 5], [2]]
    automatic = Pipeline(bert, num_towers=1)
    automatic.num_threads = 1
    sizes = [len(rows) for rows in automatic._by_length([512] * 4 + [16] * 200)]
    assert sizes == [4, 128, 72]  # of 2,048 tokens


def test_texts_cut_and_unknown_are_counted(bert: Encoder) -> None:
    result = Pipeline(bert, batch_size=2).encode(["cat", "pizza " * 100, "cat zebra"])
    assert result.num_cut.tolist() == [0, 100 + 2 - 64, 0]
    assert result.num_unknown.tolist() == [0, 0, 1]


class Hungry:
    """An encoder's forward that runs out of memory on more than `most` rows, as torch does."""

    def __init__(self, pipeline: Pipeline, most: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.most, self.error, self.encode, self.sizes = most, error, pipeline._encode, []
        pipeline._forward = self

    def __call__(self, prepared: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        num = len(next(iter(prepared.values())))
        if num > self.most:
            raise self.error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        self.sizes.append(num)
        return self.encode(prepared)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_auto_backs_off_when_memory_runs_out(vit: Encoder, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setitem(pipeline_module.IMAGES, "cpu", 8)
    assert vit.tower.larger_batches == 2  # a tiny one has few patches
    pipeline = Pipeline(vit, num_towers=1, say=said.append)
    pipeline.num_threads = 1
    hungry = Hungry(pipeline, 5, error)
    monkeypatch.setattr(Pipeline, "_encode", lambda self, prepared: hungry(prepared))
    files = [FILES[i % len(FILES)] for i in range(100)]
    result = pipeline.encode(reads(files))
    monkeypatch.undo()
    np.testing.assert_allclose(result.pooled, Pipeline(vit).encode(reads(files)).pooled, atol=1e-5)
    assert max(hungry.sizes) == 4
    assert said == [
        "memory ran out with 16 images in a batch: continuing with 8",
        "memory ran out with 8 images in a batch: continuing with 4",
    ]


def test_a_size_that_was_asked_for_is_kept(vit: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(vit, batch_size=4)
    hungry = Hungry(pipeline, 2)
    monkeypatch.setattr(Pipeline, "_encode", lambda self, prepared: hungry(prepared))
    with pytest.raises(EngageError, match="memory ran out with 4 images in a batch; give a smaller --batch-size, or auto"):
        pipeline.encode(reads(FILES))


def test_an_error_in_a_reader_ends_the_run_and_its_threads(vit: Encoder) -> None:
    def changed() -> bytes:
        raise EngageError("a.jpg changed since `engage prepare`")

    threads = torch.get_num_threads()
    with pytest.raises(EngageError, match=r"a\.jpg changed"):
        Pipeline(vit, batch_size=1).encode([*reads(FILES), changed, *reads(FILES * 5)])
    assert torch.get_num_threads() == threads


def test_values_beyond_fp16_are_refused(checkpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder("vision", checkpoints["vit"], precision="fp32")
    encode = Pipeline._encode
    for factor, words in ((1e8, "beyond the range of fp16; give --dtype fp32"), (float("nan"), "try --precision fp32")):
        monkeypatch.setattr(
            Pipeline, "_encode", lambda self, prepared, by=factor: [values * by for values in encode(self, prepared)]
        )
        with pytest.raises(EngageError, match=words):
            Pipeline(encoder).encode(reads(FILES))
    big = Encoder("vision", checkpoints["vit"], precision="fp32", dtype="fp32")
    monkeypatch.setattr(Pipeline, "_encode", lambda self, prepared: [values * 1e8 for values in encode(self, prepared)])
    assert np.abs(Pipeline(big).encode(reads(FILES)).pooled).max() > 65504


def test_stored_halves_are_rounded_values(checkpoints: dict[str, str], vit: Encoder) -> None:
    half = Pipeline(Encoder("vision", checkpoints["vit"], precision="fp32")).encode(reads(FILES)).pooled
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, Pipeline(vit).encode(reads(FILES)).pooled.astype(np.float16))


def test_large_photographs_are_decoded_small(vit: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """JPEG draft mode: an eighth of the side is decoded, and the vector hardly moves."""
    big = encoded(photo(1600, 1200, 7), "JPEG", quality=90)
    sizes = []
    opened = image_reading.open_image

    def noted(data: bytes | None, at_least: int | None) -> tuple[Image.Image, str]:
        image, problem = opened(data, at_least)
        sizes.append(image.size)
        return image, problem

    whole = Pipeline(vit).encode(reads([encoded(photo(1600, 1200, 7))])).pooled[0]
    monkeypatch.setattr(image_reading, "open_image", noted)
    small = Pipeline(vit).encode(reads([big])).pooled[0]
    assert sizes == [(200, 150)]
    assert small @ whole / np.linalg.norm(small) / np.linalg.norm(whole) > 0.999


def test_time_is_counted_by_stage(vit: Encoder, bert: Encoder) -> None:
    pipeline = Pipeline(vit)
    pipeline.encode([lambda: (time.sleep(0.05), FILES[0])[1]])
    seconds = pipeline.clock.seconds
    assert set(seconds) == {"read", "decode", "wait for input", "tower"}
    assert 0.05 <= seconds["read"] < 0.5
    texts = Pipeline(bert)
    texts.encode(TEXTS)
    assert set(texts.clock.seconds) == {"tokenise", "wait for input", "tower"}


def test_compiled_towers_give_the_same(checkpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the eager backend: the compiler of the machine is not what is tested."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: compile(function, backend="eager", **options))
    encoder = Encoder("vision", checkpoints["vit"], precision="fp32", dtype="fp32")
    compiled = Pipeline(encoder, compile=True).encode(reads(FILES)).pooled
    np.testing.assert_allclose(compiled, Pipeline(encoder).encode(reads(FILES)).pooled, atol=1e-5)


def test_processes_read_what_threads_read(vit: Encoder) -> None:
    files = [FILES[0], b"no image", FILES[1], None, FILES[2][:60], *FILES * 9]
    by_threads, pipeline = Pipeline(vit, batch_size=20).encode(reads(files)), Pipeline(vit, batch_size=20)
    pipeline.num_processes = 2
    by_processes = pipeline.encode(reads(files))
    assert by_processes.problems == by_threads.problems
    np.testing.assert_array_equal(by_processes.pooled, by_threads.pooled)
    assert set(pipeline.clock.seconds) == {"read", "decode", "wait for input", "tower"}


def test_an_error_in_a_process_is_its_own_sentence(vit: Encoder, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(FILES[0])
    changed = partial(image_reading.read_unchanged, tmp_path, "a.png", "0" * 32)
    pipeline = Pipeline(vit, batch_size=4)
    pipeline.num_processes = 2
    with pytest.raises(EngageError, match=r"a\.png changed since `engage prepare`"):
        pipeline.encode([*reads(FILES * 5), changed, *reads(FILES * 5)])


@pytest.mark.parametrize("is_waiting", [False, True])
def test_a_process_that_dies_is_one_sentence(vit: Encoder, is_waiting: bool) -> None:
    """While its work is waited for, and where it is noticed when the next is handed over."""
    pipeline = Pipeline(vit, batch_size=4)
    pipeline.num_processes = 2
    kill = Unit(0, [lambda: os.kill(os.getpid(), signal.SIGKILL)])

    def units() -> Iterator[Unit]:
        yield Unit(0, reads(FILES))
        yield kill
        time.sleep(0 if is_waiting else 1)
        yield Unit(0, reads(FILES * 50))

    with pytest.raises(EngageError, match="a process died, most likely because memory ran out, while images were decoded"):
        list(pipeline.run(units()))


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
def test_reading_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path\n"
        "from engage_cli.images.reader import reading_processes\n"
        "from engage_cli.images.resize import ResizeConfig\n"
        "def read(): Path(sys.argv[1], str(os.getpid())).touch(); time.sleep(0.2); return None\n"
        "how = ResizeConfig(shortest_edge=None, resized=(512, 512), crop=None, resample=2, scale=1, mean=(0,), std=(1,))\n"
        "with reading_processes(2) as hand_over:\n"
        "    found = [hand_over([read] * 4, how) for _ in range(100)]\n"
        "    assert 'torch' not in sys.modules\n"
        "    time.sleep(100)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    try:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(Path("/proc", path.name).exists() for path in tmp_path.iterdir()))


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("device", "cores", "num_images", "wanted"),
    [("cuda", 16, 5_000, 8), ("cuda", 4, 5_000, 3), ("cuda", 2, 5_000, 0), ("cuda", 16, 100, 0), ("cpu", 16, 5_000, 0)],
)
def test_processes_read_where_they_are_worth_their_start(device: str, cores: int, num_images: int, wanted: int) -> None:
    assert processes_for(num_images, torch.device(device), cores) == wanted
