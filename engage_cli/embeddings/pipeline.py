"""Reader -> tower -> writer, at once: files are read and decoded ahead while the tower works on what is ready.

On a processor several single-threaded towers share one set of weights: none waits for another at the end of every layer,
and what a batch gives does not depend on how many cores there are. On a GPU there is one.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engage_cli.embeddings._image_loader import ImageBatches, processes_for
from engage_cli.encoders.encoder import DTYPES, Encoder
from engage_cli.encoders.text import TextTower, Tokenized
from engage_cli.encoders.vision import VisionTower
from engage_cli.errors import EngageError
from engage_cli.images.reader import ReadImage
from engage_cli.runtime.devices import is_out_of_memory, keep_freed_memory, num_cores
from engage_cli.runtime.timing import Clock

MAX_TOWERS = 16  # with more cores they get several threads each
IMAGES = {"cpu": 8, "cuda": 256}  # in a batch, whatever the number of cores: in another batch the last digits may differ
TOKENS = {"cpu": 2048, "cuda": 65536}  # ... of texts
UNITS_AHEAD = 2


class Unit(NamedTuple):
    """Contents that are encoded and written together: texts, or functions that read an image's bytes."""

    name: int
    contents: Sequence[str] | Sequence[ReadImage]


@dataclass
class Encoded:
    """What a unit's contents became, one row each, in their order. Vectors are of the encoder's dtype."""

    pooled: np.ndarray  # (n, P)
    tokens: np.ndarray | None  # (n, K, D) where the encoder keeps tokens
    token_mask: np.ndarray | None  # (n, K) bool
    problems: list[str]  # of each image, "" where it was decoded
    num_cut: np.ndarray  # (n,) int32: tokens of a text behind the tower's limit
    num_unknown: np.ndarray  # (n,) int32: tokens that the vocabulary lacks


@dataclass
class _Batch:
    unit: int  # position among the units
    rows: list[int]
    prepared: Future[dict[str, Tensor]]


@dataclass
class _Open:
    """A unit on its way."""

    unit: Unit
    tokenized: Tokenized | None = None
    outputs: list[tuple[list[int], list[np.ndarray]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.unit.contents, "a unit without contents"
        self.left = len(self.unit.contents)
        self.problems = [""] * self.left


class Pipeline:
    """Encodes units of contents with one encoder."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        batch_size: int | None = None,
        num_towers: int | None = None,
        num_images: int = 0,
        compile: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`batch_size` None: what fits the device, halved when memory runs out. `num_images`: so many are to come."""
        self.encoder, self.batch_size, self.say = encoder, batch_size, say
        self.clock = Clock()
        self.kind = "cuda" if encoder.device.type == "cuda" else "cpu"
        cores = num_cores()
        most = MAX_TOWERS if self.kind == "cpu" and not compile else 1
        self.num_towers = num_towers or min(cores, most)
        self.num_threads = max(1, cores // self.num_towers)
        self.num_readers, self.num_processes = cores, processes_for(num_images, encoder.device, cores)
        self.compile = compile
        self._limit: int | None = None  # of a batch's images or texts, once memory ran out
        self._forward = self._encode

    def run(
        self, units: Iterable[Unit], advance: Callable[[int], None] = lambda num: None
    ) -> Generator[tuple[Unit, Encoded], None, None]:
        """Yield each unit with its vectors, in order; `advance` hears of every batch."""
        tower = self.encoder.tower
        if self.compile:
            self._forward = torch.compile(self._encode, dynamic=self.encoder.side == "text")
        threads = torch.get_num_threads()
        if self.kind == "cpu":
            keep_freed_memory()
            torch.set_num_threads(self.num_threads)
        gc.freeze()  # else every full collection walks through all that torch and transformers loaded, and all threads wait
        towers = ThreadPoolExecutor(self.num_towers)
        opened: deque[_Open] = deque()
        cut, end_reading = self._begin(tower, units, opened)
        try:
            reading: deque[_Batch] = deque()
            working: deque[tuple[_Batch, Future[list[np.ndarray]]]] = deque()
            first = 0  # the position of opened[0]
            while True:
                while len(reading) < self.num_towers + 2 and (batch := next(cut, None)) is not None:
                    reading.append(batch)
                while reading and len(working) < 2 * self.num_towers:
                    working.append((reading[0], towers.submit(self._work, reading.popleft())))
                if not working:
                    return
                batch, future = working.popleft()
                unit = opened[batch.unit - first]
                unit.outputs.append((batch.rows, future.result()))
                unit.left -= len(batch.rows)
                advance(len(batch.rows))
                if unit.left == 0:
                    opened.popleft()
                    first += 1
                    yield unit.unit, self._joined(unit)
        finally:
            towers.shutdown(cancel_futures=True)
            end_reading()
            torch.set_num_threads(threads)
            gc.unfreeze()

    def encode(self, contents: Sequence[str] | Sequence[ReadImage]) -> Encoded:
        """Encode one unit."""
        ((_, encoded),) = self.run([Unit(0, contents)])
        return encoded

    def _begin(
        self, tower: VisionTower | TextTower, units: Iterable[Unit], opened: deque[_Open]
    ) -> tuple[Iterator[_Batch], Callable[[], None]]:
        """Return batches whose reading has begun when they are yielded, and what ends all reading."""
        if isinstance(tower, TextTower):
            readers = ThreadPoolExecutor(self.num_readers)
            return self._texts(tower, units, opened, readers), partial(readers.shutdown, cancel_futures=True)
        images = ImageBatches(
            tower,
            self.clock,
            num_threads=self.num_readers,
            num_processes=self.num_processes,
            pins=self.kind == "cuda",
        )
        return self._images(units, opened, images), images.close

    def _texts(
        self, tower: TextTower, units: Iterable[Unit], opened: deque[_Open], readers: ThreadPoolExecutor
    ) -> Iterator[_Batch]:
        waiting: deque[tuple[Unit, Future[Tokenized]]] = deque()
        source, position = iter(units), 0
        while True:
            while len(waiting) < UNITS_AHEAD and (unit := next(source, None)) is not None:
                waiting.append((unit, readers.submit(self._tokenize, tower, unit)))
            if not waiting:
                return
            unit, ahead = waiting.popleft()
            tokenized = ahead.result()
            opened.append(_Open(unit, tokenized))
            for rows in self._by_length([len(ids) for ids in tokenized.ids]):
                some = [tokenized.ids[row] for row in rows]
                yield _Batch(position, rows, readers.submit(self._padded, tower, some))
            position += 1

    def _images(self, units: Iterable[Unit], opened: deque[_Open], images: ImageBatches) -> Iterator[_Batch]:
        for position, unit in enumerate(units):
            opened.append(_Open(unit))
            first, num = 0, len(unit.contents)
            while first < num:
                until = min(first + self._images_per_batch(), num)
                reads: Sequence[Any] = unit.contents[first:until]
                prepared = images.begin(reads, opened[-1].problems, first)
                yield _Batch(position, list(range(first, until)), prepared)
                first = until

    def _images_per_batch(self) -> int:
        return self._limit or self.batch_size or IMAGES[self.kind] * getattr(self.encoder.tower, "larger_batches", 1)

    def _by_length(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Yield rows, the longest first, in batches of similar length; without a batch size, of so many tokens."""
        order = np.argsort(-np.asarray(lengths), kind="stable").tolist()
        while order:
            size = self._limit or self.batch_size or max(1, TOKENS[self.kind] // max(1, lengths[order[0]]))
            yield order[:size]
            del order[:size]

    def _tokenize(self, tower: TextTower, unit: Unit) -> Tokenized:
        with self.clock.wall("tokenise"):  # the tokenizer works on all cores by itself
            return tower.tokenize([str(text) for text in unit.contents])

    def _padded(self, tower: TextTower, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        padded = tower.pad(ids)
        return {name: tensor.pin_memory() for name, tensor in padded.items()} if self.kind == "cuda" else padded

    def _work(self, batch: _Batch) -> list[np.ndarray]:
        """In a tower's thread."""
        with self.clock.wall("wait for input"):
            prepared = batch.prepared.result()
        with self.clock.wall("tower"), torch.inference_mode():
            return self._guarded(prepared, len(batch.rows))

    def _guarded(self, prepared: dict[str, Tensor], num: int) -> list[np.ndarray]:
        """Encode a batch; by halves, and all later ones smaller, where memory runs out."""
        try:
            return [self._stored(output) for output in self._forward(prepared)]
        except IndexError as error:
            name = self.encoder.checkpoint.name
            raise EngageError(f"the tokenizer of '{name}' gives ids that its model does not have: {error}") from None
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.batch_size is not None or num == 1:
                advice = "give a smaller --batch-size, or auto" if num > 1 else "take a smaller encoder"
                raise EngageError(f"memory ran out with {num} {self._what} in a batch; {advice}") from None
        if self.kind == "cuda":
            torch.cuda.empty_cache()
        half = (num + 1) // 2
        if self._limit is None or half < self._limit:
            self._limit = half
            self.say(f"memory ran out with {num} {self._what} in a batch: continuing with {half}")
        halves = [{name: tensor[some] for name, tensor in prepared.items()} for some in (slice(half), slice(half, None))]
        outputs = [self._guarded(part, size) for part, size in zip(halves, (half, num - half), strict=True)]
        return [np.concatenate(pair) for pair in zip(*outputs, strict=True)]

    def _encode(self, prepared: dict[str, Tensor]) -> list[Tensor]:
        """(B, P) pooled, and (B, K, D) and (B, K) where tokens are kept."""
        tower, device = self.encoder.tower, self.encoder.device
        if self.kind == "cuda":
            prepared = {name: tensor.to(device, non_blocking=True) for name, tensor in prepared.items()}
        tokens = tower.forward(**prepared)
        outputs = [tower.pool(tokens).float()]
        if self.encoder.tokens:
            few = tower.few(tokens, self.encoder.tokens, **prepared)
            outputs += [few.values.float(), few.mask]
        return outputs

    def _stored(self, output: Tensor) -> np.ndarray:
        values = output.cpu().numpy()
        if values.dtype == bool:
            return values
        with np.errstate(over="ignore"):
            stored = values.astype(DTYPES[self.encoder.dtype])
        if not np.isfinite(stored).all():
            name, precision = self.encoder.checkpoint.name, self.encoder.precision
            if np.isfinite(values).all():
                raise EngageError(f"the encoder '{name}' gives values beyond the range of fp16; give --dtype fp32")
            raise EngageError(
                f"the encoder '{name}' gives values that are not numbers in {precision}; try --precision fp32"
            )
        return stored

    def _joined(self, unit: _Open) -> Encoded:
        num = len(unit.unit.contents)
        order = np.concatenate([rows for rows, _ in unit.outputs])
        arrays = []
        for parts in zip(*(outputs for _, outputs in unit.outputs), strict=True):
            joined = np.concatenate(parts)
            arrays.append(np.empty_like(joined))
            arrays[-1][order] = joined
        zeros = np.zeros(num, np.int32)
        return Encoded(
            pooled=arrays[0],
            tokens=arrays[1] if len(arrays) > 1 else None,
            token_mask=arrays[2] if len(arrays) > 1 else None,
            problems=unit.problems,
            num_cut=unit.tokenized.num_cut if unit.tokenized else zeros,
            num_unknown=unit.tokenized.num_unknown if unit.tokenized else zeros,
        )

    @property
    def _what(self) -> str:
        return "images" if self.encoder.side == "vision" else "texts"
