"""A Gaussian process that learns from experiments: each with a level of its own, each post with its own known noise.

What it learns is the same kind of process as any other: only the likelihood differs (see measurement.py). Its own noise
is what a post has beside words and image: no kernel explains it, and more exposure does not take it away. Differences
within experiments say most; their means say the more, the less levels vary beyond what the date explains.
"""

from __future__ import annotations

import numpy as np
import torch

from engage_cli.models.gaussian_process._kernels import AT_ONCE, JITTER, KernelParams
from engage_cli.models.gaussian_process.inputs import KernelInputs, Takes
from engage_cli.models.gaussian_process.levels import learn_levels
from engage_cli.models.gaussian_process.measurement import CPU, Measurement
from engage_cli.models.gaussian_process.process import MOST_EXACT, Advance, GaussianProcess, learn_kernel_params


def fit_within_experiments(
    inputs: Takes,
    truth: np.ndarray,
    *,
    measured: Measurement,
    seed: int = 0,
    advance: Advance = lambda note: None,
    device: torch.device = CPU,
) -> GaussianProcess:
    """Fit on training posts with truths (n,), in the target's unit, as they were measured.

    Of more than MOST_EXACT posts, whole experiments are the landmarks.
    """
    centre, std = measured.centre(truth), scale_of(truth, measured)
    wanted, measured = (truth - centre) / std, measured.in_units_of(std)
    rows = landmark_rows(measured, seed=seed)
    landmarks = inputs.take(rows)
    params = learn_kernel_params(
        inputs, wanted, landmarks=landmarks, measured=measured, seed=seed, advance=advance, device=device
    )
    params = learn_levels(params, inputs, wanted, measured=measured, seed=seed, advance=advance, device=device)
    if len(rows) == len(inputs):
        covariance = noisy_covariance(params, landmarks, measured, device)
        factor = torch.linalg.cholesky(covariance)
        coefficients = torch.cholesky_solve(torch.from_numpy(wanted).to(device)[:, None], factor)[:, 0].cpu().numpy()
    else:
        coefficients = _project(params, inputs, landmarks, wanted, measured, advance, device)
    advance("solved")
    alone = measured.is_alone
    return GaussianProcess(
        kernel_params=params,
        landmarks=landmarks,
        coefficients=coefficients,
        mean=float((centre[alone] if alone.any() else centre)[0]),
        std=std,
    )


def scale_of(truth: np.ndarray, measured: Measurement) -> float:
    """Return the deviation from the mean of an own experiment (of posts of none: from theirs).

    The only variant of an experiment, which has none from it, is left out.
    """
    away, counts = (truth - measured.centre(truth)).astype(np.float64), np.ones(len(truth), bool)
    for posts in measured.members():
        if not measured.is_alone[posts[0]]:
            away[posts] -= away[posts].mean()
            counts[posts] = len(posts) > 1
    return (float(np.sqrt((away[counts] ** 2).mean())) if counts.any() else 0.0) or 1.0


def landmark_rows(measured: Measurement, *, seed: int = 0) -> np.ndarray:
    """(m,) rising: all posts, or those of random whole experiments."""
    if len(measured) <= MOST_EXACT:
        return np.arange(len(measured))
    return np.sort(next(measured.samples(MOST_EXACT, seed=seed + 1)))


def noisy_covariance(
    params: KernelParams, inputs: KernelInputs, measured: Measurement, device: torch.device
) -> torch.Tensor:
    """(n, n) float64 of what was measured of posts."""
    covariance = params.between(inputs, inputs, device)
    return covariance.add_(measured.covariance_of_noise(params.noise + JITTER, params.level, device))


def _project(
    params: KernelParams,
    inputs: Takes,
    landmarks: KernelInputs,
    wanted: np.ndarray,
    measured: Measurement,
    advance: Advance,
    device: torch.device,
) -> np.ndarray:
    """The projected process (section 8.3.4) with weights: each batch of whole experiments adds its own."""
    total = params.between(landmarks, landmarks, device)
    total.diagonal().add_(JITTER)
    right = torch.zeros(len(landmarks), dtype=torch.float64, device=device)
    done = 0
    for rows in measured.batches(AT_ONCE):
        some, truth = measured.take(rows), torch.from_numpy(wanted[rows]).to(device)
        part = params.between(inputs.take(rows), landmarks, device)
        factor = torch.linalg.cholesky(some.covariance_of_noise(params.noise + JITTER, params.level, device))
        white = torch.linalg.solve_triangular(factor, part, upper=False)
        total += white.T @ white
        right += white.T @ torch.linalg.solve_triangular(factor, truth[:, None], upper=False)[:, 0]
        done += len(rows)
        advance(f"{done:,} of {len(inputs):,} posts compared")
    return np.asarray(torch.linalg.solve(total, right).cpu().numpy())
