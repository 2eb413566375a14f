"""How training posts were measured: in which experiment, and with what noise.

The variants of an experiment share a level (the audience, the day), which is no merit of theirs. What the kernels are is
learned from differences within experiments alone, whatever their levels: from orthonormal contrasts of their posts
(restricted likelihood; Patterson and Thompson 1971), which leave out one number for each experiment. With the kernels
known, levels are drawn from a normal distribution (random effects; Laird and Ware 1982), whose variance is learned: the
less levels vary beyond what posts explain, the more the mean of an experiment tells of its posts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

NO_GROUP = -1  # of a post of no experiment: its level counts
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Of n training posts."""

    groups: np.ndarray  # (n,) int64: the same number for posts of one experiment, or NO_GROUP
    noise_variance: np.ndarray  # (n,) float64: the known part of the noise, in squared units of the truth

    def take(self, rows: np.ndarray) -> Measurement:
        return Measurement(groups=self.groups[rows], noise_variance=self.noise_variance[rows])

    def in_units_of(self, std: float) -> Measurement:
        return replace(self, noise_variance=self.noise_variance / std**2)

    def known_noise(self, device: torch.device = CPU) -> Tensor:
        """(n,) float64."""
        return torch.from_numpy(np.asarray(self.noise_variance, np.float64)).to(device)

    @property
    def is_alone(self) -> np.ndarray:
        """(n,) bool: posts whose level counts."""
        return np.asarray(self.groups == NO_GROUP)

    def members(self) -> list[np.ndarray]:
        """Return the rows of each experiment, and each post of none by itself; in the order of their first post."""
        keys = np.where(self.is_alone, -1 - np.arange(len(self)), self.groups)
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(group, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(group))[:-1])
        return [parts[place] for place in np.argsort(first, kind="stable")]

    def contrasts(self, device: torch.device = CPU) -> Tensor:
        """(c, n) sparse float64 with orthonormal rows: Helmert contrasts within experiments, other posts as they are."""
        rows, columns, values = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
        count = 0
        for posts in self.members():
            if self.groups[posts[0]] == NO_GROUP:
                rows.append(np.array([count]))
                columns.append(posts)
                values.append(np.ones(1))
                count += 1
                continue
            for number in range(1, len(posts)):
                rows.append(np.full(number + 1, count))
                columns.append(posts[: number + 1])
                values.append(np.r_[np.ones(number), -number] / np.sqrt(number * (number + 1)))
                count += 1
        places = np.stack([np.concatenate(some) if some else np.zeros(0, np.int64) for some in (rows, columns)])
        numbers = np.concatenate(values) if values else np.zeros(0)
        found = torch.sparse_coo_tensor(
            torch.from_numpy(places), torch.from_numpy(numbers), (count, len(self)), check_invariants=True
        )
        return found.coalesce().to(device)

    def same_experiment(self, device: torch.device = CPU) -> Tensor:
        """(n, n) float64: 1 for two posts of one experiment, a post and itself among them, else 0."""
        groups = torch.from_numpy(np.asarray(self.groups)).to(device)
        return ((groups[:, None] == groups[None]) & (groups != NO_GROUP)).double()

    def covariance_of_noise(self, noise: float, level: float, device: torch.device = CPU) -> Tensor:
        """(n, n) float64 of what no kernel explains: known noise, `noise` of each post, and `level` of an experiment."""
        found = level * self.same_experiment(device)
        found.diagonal().add_(self.known_noise(device) + noise)
        return found

    def centre(self, truth: np.ndarray) -> np.ndarray:
        """(n,): what a post is expected to have: the mean of the experiments' means; of posts in none, their own mean."""
        alone, found = self.is_alone, np.empty(len(truth))
        if alone.any():
            found[alone] = truth[alone].mean()
        if not alone.all():
            found[~alone] = np.mean([truth[posts].mean() for posts in self.members() if not alone[posts[0]]])
        return found

    def variance_of_levels(self, truth: np.ndarray) -> float:
        """Return how much the experiments' means vary around their mean; 1 where there are not two that differ."""
        means = [truth[posts].mean() for posts in self.members() if not self.is_alone[posts[0]]]
        return (float(np.var(means)) if means else 0.0) or 1.0

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Yield rows of whole experiments, at least one and no more than `size` posts where that can be."""
        members, batch, count = self.members(), list[np.ndarray](), 0
        for place in range(len(members)) if order is None else order:
            if batch and count + len(members[place]) > size:
                yield np.concatenate(batch)
                batch, count = [], 0
            batch.append(members[place])
            count += len(members[place])
        if batch:
            yield np.concatenate(batch)

    def samples(self, size: int, *, seed: int = 0) -> Iterator[np.ndarray]:
        """Yield rows of random whole experiments without end; the small rest of a turn is left out."""
        generator, num = np.random.default_rng(seed), len(self.members())
        while True:
            found = list(self.batches(size, generator.permutation(num)))
            yield from found if len(found) == 1 else [rows for rows in found if 2 * len(rows) > size] or found

    def __len__(self) -> int:
        return len(self.groups)


def on_contrasts(contrasts: Tensor, matrix: Tensor) -> Tensor:
    """(c, c): the covariance (n, n) of posts as that of their contrasts (c, n)."""
    half = torch.sparse.mm(contrasts, matrix)
    return torch.sparse.mm(contrasts, half.T.contiguous())


def off_contrasts(contrasts: Tensor, matrix: Tensor) -> Tensor:
    """(n, n) of posts from (c, c) of their contrasts: the transpose of `on_contrasts`."""
    back = contrasts.transpose(0, 1).coalesce()
    half = torch.sparse.mm(back, matrix)
    return torch.sparse.mm(back, half.T.contiguous())
