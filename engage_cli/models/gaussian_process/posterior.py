"""What is left unknown of a fitted process, and of the difference of two posts (equation 2.26 of Rasmussen and Williams).

Two variants of one post are much alike, so what is unknown of both mostly cancels: Var[f(A) - f(B)] comes from their
covariance, and is far less than the sum of two variances. Of more posts than are solved exactly the landmarks alone count
as evidence: what is left is then rather too much than too little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engage_cli.models.gaussian_process._kernels import AT_ONCE, JITTER, Products
from engage_cli.models.gaussian_process.inputs import KernelInputs
from engage_cli.models.gaussian_process.measurement import CPU, NO_GROUP, Measurement
from engage_cli.models.gaussian_process.process import GaussianProcess


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """The evidence that a process rests on. All in units of its std."""

    factor: np.ndarray  # (m, m) float32: the lower Cholesky factor of the covariance of what was measured
    groups: np.ndarray  # (m,) int64 of the landmarks; NO_GROUP without experiments

    @property
    def has_experiments(self) -> bool:
        return bool((self.groups != NO_GROUP).any())

    @classmethod
    def restore(cls, factor: np.ndarray, groups: np.ndarray) -> Posterior:
        """Raise ValueError where the factor is none of so many posts in such experiments."""
        if len(factor) != len(groups) or not (factor.diagonal() > 0).all():
            raise ValueError(f"it is no factor of what was measured of {len(groups):,} posts")
        return cls(factor=factor, groups=groups)

    def variance_of_differences(
        self,
        process: GaussianProcess,
        inputs: KernelInputs,
        first: np.ndarray,
        second: np.ndarray,
        device: torch.device = CPU,
    ) -> np.ndarray:
        """(k,) float64 of f(first) - f(second), places (k,) among the inputs, in squared units of the target."""
        params, factor = process.kernel_params, torch.from_numpy(self.factor).to(device)
        found = np.empty(len(first))
        for start in range(0, len(first), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            posts, places = np.unique(np.concatenate([first[rows], second[rows]]), return_inverse=True)
            one, other = np.split(places, 2)
            some = inputs.take(posts)
            seen = params.between(process.landmarks, some, device).float()
            told = torch.linalg.solve_triangular(factor, seen, upper=False).double()
            prior = params.of(Products(some, some, device=device))
            variance = prior[one, one] + prior[other, other] - 2 * prior[one, other]
            variance -= ((told[:, one] - told[:, other]) ** 2).sum(dim=0)
            found[rows] = process.std**2 * variance.clamp_min(0.0).cpu().numpy()
        return found


def posterior_of(process: GaussianProcess, measured: Measurement | None = None, device: torch.device = CPU) -> Posterior:
    """Return what is left unknown, given the landmarks as they were measured, in the target's unit."""
    params, landmarks = process.kernel_params, process.landmarks
    measured = _plainly(len(landmarks)) if measured is None else measured.in_units_of(process.std)
    covariance = params.between(landmarks, landmarks, device)
    covariance.add_(measured.covariance_of_noise(params.noise + JITTER, params.level, device))
    factor = torch.linalg.cholesky(covariance)
    return Posterior(factor=factor.float().cpu().numpy(), groups=measured.groups)


def _plainly(num: int) -> Measurement:
    return Measurement(groups=np.full(num, NO_GROUP), noise_variance=np.zeros(num))


def packed(factor: np.ndarray) -> np.ndarray:
    """(c (c + 1) / 2,) of a lower triangle (c, c), row by row."""
    return factor[np.tril_indices(len(factor))]


def unpacked(numbers: np.ndarray) -> np.ndarray:
    """The lower triangle (c, c) from `packed`; raise ValueError where their count is that of none."""
    size = int((np.sqrt(8 * len(numbers) + 1) - 1) / 2)
    if size * (size + 1) // 2 != len(numbers):
        raise ValueError(f"{len(numbers):,} numbers are no triangle")
    factor = np.zeros((size, size), numbers.dtype)
    factor[np.tril_indices(size)] = numbers
    return factor
