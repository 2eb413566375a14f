"""The projected process (Rasmussen and Williams 2006, section 8.3.4): many posts, told by few that they are compared with.

What is solved are sums over posts, so that a block of posts at a time is in memory, and several processes of the same posts
share the comparing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from engage_cli.models.gaussian_process._kernels import AT_ONCE, CPU, JITTER, KernelParams, Products
from engage_cli.models.gaussian_process.inputs import KernelInputs, Takes

BLOCKS_BETWEEN_SAVES = 60  # of AT_ONCE posts that are compared: then what is known of them is kept


class Sums(NamedTuple):
    """What is known of the first `done` posts of a projection, for each process."""

    done: int
    squares: Sequence[Tensor]  # (m, m) of each
    rights: Sequence[Tensor]  # (m,) of each


class Kept(Protocol):
    """Where an unfinished fit is kept; None of what is not there, or is damaged."""

    def params(self, number: int) -> KernelParams | None: ...

    def keep_params(self, number: int, params: KernelParams) -> None: ...

    def sums(self, num: int, num_landmarks: int) -> Sums | None: ...

    def keep_sums(self, sums: Sums) -> None: ...


def project(
    params: Sequence[KernelParams],
    inputs: Takes,
    landmarks: KernelInputs,
    wanted: Sequence[np.ndarray],
    advance: Callable[[str], None] = lambda note: None,
    device: torch.device = CPU,
    kept: Kept | None = None,
) -> list[np.ndarray]:
    """Return (m,) coefficients of each process, from sums over blocks of posts: no more than a block is in memory."""
    sums = kept.sums(len(params), len(landmarks)) if kept is not None else None
    if sums is None:
        squares = [torch.zeros((len(landmarks), len(landmarks)), dtype=torch.float64, device=device) for _ in params]
        sums = Sums(0, squares, [torch.zeros(len(landmarks), dtype=torch.float64, device=device) for _ in params])
    done, squares, rights = sums.done, *([one.to(device) for one in some] for some in (sums.squares, sums.rights))
    for block, start in enumerate(range(done, len(inputs), AT_ONCE), start=1):
        rows = np.arange(start, min(start + AT_ONCE, len(inputs)))
        products = Products(inputs.take(rows), landmarks, device=device)
        for one, square, right, truth in zip(params, squares, rights, wanted, strict=True):
            part = one.of(products)
            square += _gram(part)
            right += part.T @ torch.from_numpy(truth[rows]).to(device)
        done = int(rows[-1]) + 1
        advance(f"{done:,} of {len(inputs):,} posts compared")
        if kept is not None and block % BLOCKS_BETWEEN_SAVES == 0:
            kept.keep_sums(Sums(done, squares, rights))
    found = []
    for one, square, right in zip(params, squares, rights, strict=True):
        square += (one.noise + JITTER) * one.between(landmarks, landmarks, device)
        square.diagonal().add_(JITTER)
        found.append(torch.linalg.solve(square, right).cpu().numpy())
    return found


def _gram(part: Tensor) -> Tensor:
    """(m, m) inner products of the columns of (n, m); NumPy computes half of them, for they are symmetric."""
    if part.device != CPU:
        return part.T @ part
    rows = part.numpy()
    return torch.from_numpy(rows.T @ rows)
