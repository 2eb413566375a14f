"""Micro-batches: which posts stand in each, for every epoch and rank, and the batches of stored features.

The order of an epoch depends on the seed and its number alone. A micro-batch is that of all ranks together; each rank
takes its part of it, so that any number of ranks sees the same batches as one process does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from engage_cli.data.numbers.number_inputs import NUMBERS
from engage_cli.embeddings.store import Block
from engage_cli.encoders import Tokens
from engage_cli.models.neural.model import BlockInput, LiveInput, with_pooled

CHUNK = 32  # batches among whose posts those of similar length are brought together
ON_DEVICE = 0.5  # of the GPU's free memory: stored features beyond it stay with the CPU


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a part's posts are cut into micro-batches."""

    batch_size: int  # of each rank
    seed: int | None = None  # of the shuffling; None keeps the order
    rank: int = 0
    num_ranks: int = 1


class Batch(NamedTuple):
    """A rank's part of a micro-batch."""

    rows: np.ndarray  # (b,) of the part's posts
    blocks: dict[str, BlockInput]
    wanted: Tensor  # (b,) the encoded target
    num: int  # b, or 0 where the rank had no post left and one stands in that does not count


class Batches(Protocol):
    """The posts of one part."""

    wanted: Tensor  # (n,) of all posts, on the CPU
    sizes: list[int]  # posts of each micro-batch, all ranks together

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield this rank's batches from the one numbered `start` on."""
        ...


def first_of(batch: Batch, num: int) -> Batch:
    """Return a batch of the first posts of a batch."""
    blocks: dict[str, BlockInput] = {}
    for name, block in batch.blocks.items():
        if isinstance(block, Tokens):
            blocks[name] = Tokens(block.values[:num], block.mask[:num])
        else:
            blocks[name] = LiveInput({key: tensor[:num] for key, tensor in block.prepared.items()}, block.present[:num])
    return Batch(batch.rows[:num], blocks, batch.wanted[:num], min(batch.num, num))


def pinned(batch: Batch, device: torch.device) -> Batch:
    """Pin what is to be copied to a GPU: only from pinned memory does a copy overlap with arithmetic."""
    if device.type != "cuda" or batch.wanted.is_cuda:
        return batch
    blocks: dict[str, BlockInput] = {}
    for name, block in batch.blocks.items():
        if isinstance(block, Tokens):
            blocks[name] = Tokens(block.values.pin_memory(), block.mask.pin_memory())
        else:
            prepared = {key: tensor.pin_memory() for key, tensor in block.prepared.items()}
            blocks[name] = LiveInput(prepared, block.present.pin_memory())
    return batch._replace(blocks=blocks, wanted=batch.wanted.pin_memory())


class Order:
    """Which rows stand in which micro-batch.

    With a seed (training) rows are shuffled anew each epoch; with `lengths`, posts of similar length share a batch. Without
    one each rank has a stretch of its own of the rows, and sizes are those of its batches.
    """

    def __init__(self, num: int, cut: Cut, *, lengths: np.ndarray | None = None) -> None:
        self.num, self.cut, self.lengths = num, cut, lengths
        is_training = cut.seed is not None
        self.size = cut.batch_size * cut.num_ranks if is_training else cut.batch_size
        rows = num if is_training else len(self._mine)
        self.sizes = [self.size] * (rows // self.size) + [rows % self.size] * (rows % self.size > 0)

    @property
    def _mine(self) -> np.ndarray:
        return np.array_split(np.arange(self.num), self.cut.num_ranks)[self.cut.rank]

    def batches(self, number: int) -> Iterator[tuple[np.ndarray, int]]:
        """Yield this rank's rows of each micro-batch of an epoch, and how many of them count."""
        if self.cut.seed is None:
            mine = self._mine
            if self.lengths is not None:
                mine = mine[np.argsort(-self.lengths[mine], kind="stable")]
            for start in range(0, len(mine), self.size):
                rows = mine[start : start + self.size]
                yield rows, len(rows)
            return
        rng = np.random.default_rng((self.cut.seed, number))
        rows = rng.permutation(self.num)
        if self.lengths is not None:
            rows = self._by_length(rows, rng)
        for start in range(0, self.num, self.size):
            whole = rows[start : start + self.size]
            part = np.array_split(whole, self.cut.num_ranks)[self.cut.rank]
            yield (part, len(part)) if len(part) else (whole[:1], 0)

    def _by_length(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Reorder shuffled rows so that batches hold similar lengths; the last, short batch stays what it is."""
        assert self.lengths is not None
        num_full = self.num // self.size * self.size
        full, rest = rows[:num_full], rows[num_full:]
        parts = []
        for start in range(0, num_full, CHUNK * self.size):
            chunk = full[start : start + CHUNK * self.size]
            parts.append(chunk[np.argsort(-self.lengths[chunk], kind="stable")].reshape(-1, self.size))
        batches = np.concatenate(parts) if parts else full.reshape(0, self.size)
        return np.concatenate([batches[rng.permutation(len(batches))].reshape(-1), rest])


class StoredBatches:
    """Batches of stored blocks, held in memory: on the GPU where they fit."""

    def __init__(
        self,
        blocks: Mapping[str, Block],
        wanted: Tensor,
        cut: Cut,
        *,
        reads_tokens: bool,
        device: torch.device,
        numbers: Tokens | None = None,
    ) -> None:
        self.wanted, self.device = wanted, device
        self.tokens = {name: tokens_of(block, reads_tokens) for name, block in blocks.items()}
        self.tokens |= {} if numbers is None else {NUMBERS: numbers}
        self.place = device if _fits(self.tokens, device) else torch.device("cpu")
        self.tokens = {
            name: Tokens(block.values.to(self.place), block.mask.to(self.place)) for name, block in self.tokens.items()
        }
        self.order = Order(len(wanted), cut)
        self.sizes = self.order.sizes
        self._wanted_there = wanted.to(self.place)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        for position, (rows, num) in enumerate(self.order.batches(number)):
            if position < start:
                continue
            here = torch.from_numpy(rows).to(self.place)
            blocks: dict[str, BlockInput] = {
                name: Tokens(block.values[here].float(), block.mask[here]) for name, block in self.tokens.items()
            }
            yield pinned(Batch(rows, blocks, self._wanted_there[here], num), self.device)


def tokens_of(block: Block, reads_tokens: bool) -> Tokens:
    """A stored block as a fusion reads it: its pooled vector, or that and the kept tokens."""
    pooled, mask = torch.from_numpy(block.pooled), torch.from_numpy(block.mask)
    if not reads_tokens or block.values.shape[1] == 1:
        return Tokens(pooled.unsqueeze(1), mask.any(dim=1, keepdim=True))
    return with_pooled(Tokens(torch.from_numpy(block.values), mask), pooled)


def _fits(tokens: Mapping[str, Tokens], device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    needed = sum(block.values.nbytes + block.mask.nbytes for block in tokens.values())
    return needed < ON_DEVICE * torch.cuda.mem_get_info(device)[0]
