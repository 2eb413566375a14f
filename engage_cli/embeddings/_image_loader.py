"""Batches of images for a tower, read ahead by threads, or by processes where these are worth their start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import torch
from torch import Tensor

from engage_cli.encoders.vision import VisionTower
from engage_cli.images.reader import MOST_PROCESSES, Read, ReadImage, open_images, reading_processes
from engage_cli.runtime.timing import Clock
from engage_cli.runtime.worker_processes import in_a_sentence

IMAGES_PER_READ = 16
FEWEST_CORES, FEWEST_IMAGES = 4, 4_096  # from so many on processes are worth their start

Part = tuple[dict[str, Tensor], list[str]]  # what the tower takes, and the problem of each image


def processes_for(num_images: int, device: torch.device, cores: int) -> int:
    """Return how many processes should read so many images; 0: threads are enough."""
    is_worth_it = device.type == "cuda" and cores >= FEWEST_CORES and num_images >= FEWEST_IMAGES
    return min(cores - 1, MOST_PROCESSES) if is_worth_it else 0


class ImageBatches:
    """What is read ahead. On a GPU batches come in memory that it can copy from by itself."""

    def __init__(self, tower: VisionTower, clock: Clock, *, num_threads: int, num_processes: int, pins: bool) -> None:
        self.tower, self.clock, self.pins = tower, clock, pins
        self._threads, self._joiner = ThreadPoolExecutor(num_threads), ThreadPoolExecutor(1)
        self._processes = ExitStack()
        self._hand_over: Callable[[Sequence[ReadImage]], Future[Read]] | None = None
        if num_processes and (recipe := tower.pixels.recipe) is not None:
            read = self._processes.enter_context(reading_processes(num_processes))
            self._hand_over = lambda reads: read(reads, recipe)

    def begin(self, reads: Sequence[ReadImage], found: list[str], first: int) -> Future[dict[str, Tensor]]:
        """Have a batch read; what is wrong with its images stands in `found`, from `first` on, when the batch is there."""
        cuts = [reads[start : start + IMAGES_PER_READ] for start in range(0, len(reads), IMAGES_PER_READ)]
        if self._hand_over is not None:
            with in_a_sentence("images were decoded"):
                handed = [self._hand_over(some) for some in cuts]
            return self._joiner.submit(self._join, lambda: [self._of_process(one.result()) for one in handed], found, first)
        if len(cuts) == 1:
            return self._threads.submit(self._join, lambda: [self._read(reads)], found, first)
        begun = [self._threads.submit(self._read, some) for some in cuts]
        return self._joiner.submit(self._join, lambda: [one.result() for one in begun], found, first)

    def close(self) -> None:
        """End all reading; what is not done yet is not done any more."""
        self._processes.close()
        for threads in (self._threads, self._joiner):
            threads.shutdown(cancel_futures=True)

    def _read(self, reads: Sequence[ReadImage]) -> Part:
        images, problems = open_images(reads, self.tower.pixels.needed_side, self.clock)
        with self.clock.work("decode"):
            return self.tower.prepare(images), problems

    def _of_process(self, read: Read) -> Part:
        self.clock.add_all(read.seconds)
        return {"pixel_values": torch.from_numpy(read.pixels)}, read.problems

    def _join(self, get: Callable[[], list[Part]], found: list[str], first: int) -> dict[str, Tensor]:
        with in_a_sentence("images were decoded"):
            parts = get()
        for _, problems in parts:
            found[first : first + len(problems)] = problems
            first += len(problems)
        one, _ = parts[0]
        whole = one if len(parts) == 1 else {name: torch.cat([part[name] for part, _ in parts]) for name in one}
        return {name: tensor.pin_memory() for name, tensor in whole.items()} if self.pins else whole
