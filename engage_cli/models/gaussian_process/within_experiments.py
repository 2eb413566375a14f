"""A Gaussian process that learns from differences within experiments, each post with its own known noise.

What it learns is the same kind of process as any other: only the likelihood differs (see measurement.py). Its own noise
is what a post has beside words and image: no kernel explains it, and more exposure does not take it away.
"""

from __future__ import annotations

import numpy as np
import torch

from engage_cli.models.gaussian_process._kernels import AT_ONCE, JITTER, KernelParams
from engage_cli.models.gaussian_process.inputs import KernelInputs, Takes
from engage_cli.models.gaussian_process.measurement import CPU, Measurement, on_contrasts
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
    mean, std = scale_of(truth, measured)
    wanted, measured = (truth - mean) / std, measured.in_units_of(std)
    rows = landmark_rows(measured, seed=seed)
    landmarks = inputs.take(rows)
    params = learn_kernel_params(
        inputs, wanted, landmarks=landmarks, measured=measured, seed=seed, advance=advance, device=device
    )
    if len(rows) == len(inputs):
        coefficients, level = _solve(params, landmarks, wanted, measured, device)
    else:
        coefficients, level = _project(params, inputs, landmarks, wanted, measured, advance, device)
    advance("solved")
    return GaussianProcess(
        kernel_params=params,
        landmarks=landmarks,
        coefficients=coefficients,
        mean=mean + std * level,
        std=std,
    )


def scale_of(truth: np.ndarray, measured: Measurement) -> tuple[float, float]:
    """Return the mean of all, and the deviation from the mean of an own experiment (of posts of none: from theirs)."""
    away = truth.astype(np.float64).copy()
    for posts in measured.members():
        if not measured.is_alone[posts[0]]:
            away[posts] -= truth[posts].mean()
    alone = measured.is_alone
    mean = float(truth[alone].mean()) if alone.any() else float(truth.mean())
    away[alone] -= mean if alone.any() else 0.0
    return mean, float(np.sqrt((away**2).mean())) or 1.0


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
    covariance.diagonal().add_(measured.known_noise(device) + params.noise + JITTER)
    return covariance


def _solve(
    params: KernelParams, inputs: KernelInputs, wanted: np.ndarray, measured: Measurement, device: torch.device
) -> tuple[np.ndarray, float]:
    covariance = noisy_covariance(params, inputs, measured, device)
    contrasts, truth = measured.contrasts(device), torch.from_numpy(wanted).to(device)
    factor = torch.linalg.cholesky(on_contrasts(contrasts, covariance))
    solved = torch.cholesky_solve((contrasts @ truth)[:, None], factor)
    coefficients = (contrasts.transpose(0, 1) @ solved)[:, 0]
    noise = measured.known_noise(device) + params.noise + JITTER
    levels = (truth - covariance @ coefficients + noise * coefficients).cpu().numpy()[~measured.is_alone]
    return coefficients.cpu().numpy(), 0.0 if measured.is_alone.any() else float(levels.mean())


def _project(
    params: KernelParams,
    inputs: Takes,
    landmarks: KernelInputs,
    wanted: np.ndarray,
    measured: Measurement,
    advance: Advance,
    device: torch.device,
) -> tuple[np.ndarray, float]:
    """The projected process (section 8.3.4) with weights: each batch of whole experiments adds its own."""
    total = params.between(landmarks, landmarks, device)
    total.diagonal().add_(JITTER)
    right = torch.zeros(len(landmarks), dtype=torch.float64, device=device)
    sums, truths, done = torch.zeros_like(right), 0.0, 0
    for rows in measured.batches(AT_ONCE):
        some, truth = measured.take(rows), torch.from_numpy(wanted[rows]).to(device)
        contrasts = some.contrasts(device)
        part = params.between(inputs.take(rows), landmarks, device)
        noise = torch.diag(some.known_noise(device) + params.noise + JITTER)
        factor = torch.linalg.cholesky(on_contrasts(contrasts, noise))
        white = torch.linalg.solve_triangular(factor, torch.sparse.mm(contrasts, part), upper=False)
        total += white.T @ white
        right += white.T @ torch.linalg.solve_triangular(factor, (contrasts @ truth)[:, None], upper=False)[:, 0]
        sums += part.sum(dim=0)
        truths += float(truth.sum())
        done += len(rows)
        advance(f"{done:,} of {len(inputs):,} posts compared")
    coefficients = torch.linalg.solve(total, right)
    level = 0.0 if measured.is_alone.any() else (truths - float(sums @ coefficients)) / done
    return coefficients.cpu().numpy(), level
