"""A Gaussian process over posts (Rasmussen and Williams 2006): what is known of a post is what is known of posts like it.

How much each similarity counts, and how far it reaches, is learned from training posts, by their marginal likelihood and
then by the prediction of each without itself: no validation post is needed for it. Up to MOST_EXACT training posts are all
kept and solved exactly; of more, so many are landmarks to which all others are compared (the projected process, section
8.3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import AfterValidator
from torch import Tensor
from torch.nn.functional import softplus

from engage_cli.io.ranges import NotNegative, Number, Positive
from engage_cli.io.records import record
from engage_cli.models.gaussian_process._kernels import (
    AT_ONCE,
    CPU,
    JITTER,
    LENGTHS,
    TERMS,
    KernelParams,
    Products,
    first_lengths,
    kernel,
    present_terms,
)
from engage_cli.models.gaussian_process._likelihood import error_left_out, likelihood
from engage_cli.models.gaussian_process._projection import Kept, project
from engage_cli.models.gaussian_process.inputs import KernelInputs, Takes
from engage_cli.models.gaussian_process.measurement import Measurement

MOST_EXACT = 6_000
MOST_LEARNED_FROM = 1_500  # posts that are learned from at once; of more, samples take turns
NUM_STEPS, STEPS_A_SAMPLE, STEP = 60, 5, 0.15
LATE, LATE_STEP = 0.5, 0.3  # after this share of the steps they are so much shorter, and follow posts left out
NUM_AVERAGED = 10  # last steps whose mean is taken
# The same three of experiments, whose differences are mostly noise: smaller samples in faster turns, and a longer mean.
WITHIN_EXPERIMENTS = (1_000, 2, 24)
FIRST_WEIGHT, FIRST_NOISE = -2.5, 0.0  # before softplus
JITTER_OF_FLOATS = 1e-3  # where the kernel is computed in float32: enough to keep its smallest eigenvalue above 0

Advance = Callable[[str], None]


def learn_kernel_params(
    inputs: Takes,
    truth: np.ndarray,
    *,
    landmarks: KernelInputs,
    measured: Measurement | None = None,
    seed: int = 0,
    advance: Advance = lambda note: None,
    device: torch.device = CPU,
) -> KernelParams:
    """Fit to standardised truths (n,) by gradients, random samples of the posts in turn.

    There is a weight for every term that the landmarks have something for.

    Half of the steps follow the marginal likelihood (section 5.4.1), which seldom overfits; the others, from there, the
    squared error of posts that are each left out (section 5.4.2), which is what counts where no kernel is quite true.
    Where it is known how posts were measured, all steps follow the restricted likelihood of their contrasts, and a sample
    holds whole experiments.
    """
    names = present_terms(landmarks)
    first = first_lengths(names, landmarks)
    weights = torch.full((len(names),), FIRST_WEIGHT, dtype=torch.float64, requires_grad=True)
    logs = torch.tensor([np.log(value) for value in first.values()], dtype=torch.float64, requires_grad=True)
    noise = torch.tensor(FIRST_NOISE, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weights, logs, noise], lr=STEP)
    most, turn, averaged = (MOST_LEARNED_FROM, STEPS_A_SAMPLE, NUM_AVERAGED) if measured is None else WITHIN_EXPERIMENTS
    samples = _samples(len(inputs), seed) if measured is None else measured.samples(most, seed=seed)
    follows_likelihood = LATE * NUM_STEPS if measured is None else NUM_STEPS
    late: list[Tensor] = []
    for step in range(NUM_STEPS):
        if step == 0 or (step % turn == 0 and len(inputs) > most):
            some = next(samples)
            sample, wanted = inputs.take(some), torch.from_numpy(truth[some]).to(device)
            products = Products(sample, sample, dtype=torch.float32, device=device)
            identity = torch.eye(len(some), dtype=torch.float64, device=device)
            contrasts = None if measured is None else measured.take(some).contrasts(device)
            known = None if measured is None else measured.take(some).known_noise(device)
        optimizer.param_groups[0]["lr"] = STEP * (1 if step < LATE * NUM_STEPS else LATE_STEP)
        optimizer.zero_grad()
        values = dict(zip(names, softplus(weights).float(), strict=True))
        lengths = dict(zip(first, logs.exp().float(), strict=True))
        covariance = kernel(products, values, lengths).double() + (softplus(noise) + JITTER_OF_FLOATS) * identity
        if known is not None:
            covariance = covariance + known.diag()
        if step < follows_likelihood:
            loss, slope = likelihood(covariance.detach(), wanted, contrasts)
            note = f"{loss / len(some):.4f} nats a post"
        else:
            error, slope = error_left_out(covariance.detach(), wanted)
            note = f"squared error {error:.4f} of posts left out"
        covariance.backward(slope)
        optimizer.step()
        if step >= NUM_STEPS - averaged:
            late.append(torch.cat([softplus(weights), logs, softplus(noise)[None]]).detach())
        advance(note)
    mean = torch.stack(late).mean(dim=0).tolist()
    return KernelParams(
        weights=dict(zip(names, mean[: len(names)], strict=True)),
        lengths={name: float(np.exp(log)) for name, log in zip(first, mean[len(names) : -1], strict=True)},
        noise=mean[-1],
    )


def _samples(num: int, seed: int) -> Iterator[np.ndarray]:
    """Yield rows of random posts without end; none comes again before all others have come, but for the last few."""
    generator = np.random.default_rng(seed)
    size = min(num, MOST_LEARNED_FROM)
    while True:
        order = generator.permutation(num)
        for start in range(0, num - size + 1, size):
            yield order[start : start + size]


def _term(name: str) -> str:
    if name not in TERMS:
        raise ValueError(f"unknown term '{name[:40]}'")
    return name


def _length(name: str) -> str:
    if name.partition(" ")[0] not in LENGTHS:
        raise ValueError(f"unknown length '{name[:40]}'")
    return name


@record
class ProcessState:
    """A process but for its arrays: what was learned of its kernel, and of the scale of what it predicts."""

    weights: dict[Annotated[str, AfterValidator(_term)], NotNegative]
    lengths: dict[Annotated[str, AfterValidator(_length)], Positive]
    noise: NotNegative
    level: NotNegative = 0.0
    mean: Number
    std: Positive


@dataclass(frozen=True, kw_only=True)
class GaussianProcess:
    """Fitted: a post's prediction is mean + std x (its similarity to the landmarks) @ coefficients."""

    kernel_params: KernelParams
    landmarks: KernelInputs
    coefficients: np.ndarray  # (m,)
    mean: float
    std: float

    def predict(self, inputs: KernelInputs, device: torch.device = CPU) -> np.ndarray:
        """(n,) float64."""
        return predict_sum([(1.0, self)], inputs, device)

    def state(self) -> ProcessState:
        return ProcessState(**asdict(self.kernel_params), mean=self.mean, std=self.std)

    @classmethod
    def restore(cls, state: ProcessState, landmarks: KernelInputs, coefficients: np.ndarray) -> GaussianProcess:
        """Raise ValueError where a length is missing that the landmarks' terms need."""
        kernel_params = KernelParams(weights=state.weights, lengths=state.lengths, noise=state.noise, level=state.level)
        if missing := set(first_lengths(state.weights, landmarks)) - set(state.lengths):
            raise ValueError(f"there is no length of '{min(missing)}'")
        return cls(
            kernel_params=kernel_params, landmarks=landmarks, coefficients=coefficients, mean=state.mean, std=state.std
        )


def predict_sum(
    processes: Sequence[tuple[float, GaussianProcess]], inputs: Takes, device: torch.device = CPU
) -> np.ndarray:
    """(n,) float64: the sum of share x prediction, of processes that have the same landmarks."""
    found, landmarks = np.zeros(len(inputs)), processes[0][1].landmarks
    for start in range(0, len(inputs), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(inputs)))
        products = Products(inputs.take(rows), landmarks, device=device)
        for share, process in processes:
            said = (process.kernel_params.of(products) @ torch.from_numpy(process.coefficients).to(device)).cpu().numpy()
            found[rows] += share * (process.mean + process.std * said)
    return found


def fit_process(
    inputs: Takes,
    truth: np.ndarray,
    *,
    seed: int = 0,
    advance: Advance = lambda note: None,
    device: torch.device = CPU,
) -> tuple[GaussianProcess, np.ndarray]:
    """Fit on training posts; return it with (n,) what it would say of each of them without having seen it.

    The latter by the identity of section 5.4.2, for the similarity as it is; of more posts than are solved exactly, NaN.
    """
    if len(inputs) > MOST_EXACT:
        (process,) = fit_by_landmarks(inputs, [truth], seed=seed, advance=advance, device=device)
        return process, np.full(len(inputs), np.nan)
    mean, std, wanted = _standardised(truth)
    landmarks = landmarks_of(inputs, seed=seed)
    kernel_params = learn_kernel_params(inputs, wanted, landmarks=landmarks, seed=seed, advance=advance, device=device)
    coefficients, left_out = _solve(kernel_params, landmarks, wanted, device)
    advance("solved")
    process = GaussianProcess(
        kernel_params=kernel_params, landmarks=landmarks, coefficients=coefficients, mean=mean, std=std
    )
    return process, mean + std * left_out


def fit_by_landmarks(
    inputs: Takes,
    truths: Sequence[np.ndarray],
    *,
    seed: int = 0,
    advance: Advance = lambda note: None,
    device: torch.device = CPU,
    kept: Kept | None = None,
) -> list[GaussianProcess]:
    """Fit a process of each truth (n,), of posts too many to be solved exactly.

    Posts are compared with the landmarks once, for all processes. `kept` holds what a fit that was killed had found.
    """
    landmarks, scales = landmarks_of(inputs, seed=seed), [_standardised(truth) for truth in truths]
    params = []
    for number, (_, _, wanted) in enumerate(scales):
        known = kept.params(number) if kept is not None else None
        if known is None:
            known = learn_kernel_params(inputs, wanted, landmarks=landmarks, seed=seed, advance=advance, device=device)
            if kept is not None:
                kept.keep_params(number, known)
        params.append(known)
    solved = project(params, inputs, landmarks, [wanted for _, _, wanted in scales], advance, device, kept)
    return [
        GaussianProcess(kernel_params=one, landmarks=landmarks, coefficients=some, mean=mean, std=std)
        for one, some, (mean, std, _) in zip(params, solved, scales, strict=True)
    ]


def num_blocks(num: int) -> int:
    """Return how many blocks of posts are compared with the landmarks; 0 where all are landmarks."""
    return -(-num // AT_ONCE) if num > MOST_EXACT else 0


def _standardised(truth: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return mean and deviation, and (n,) the truth by them."""
    mean, std = float(truth.mean()), float(truth.std()) or 1.0
    return mean, std, (truth - mean) / std


def landmarks_of(inputs: Takes, *, seed: int = 0) -> KernelInputs:
    """Return the training posts that others are compared with: all, or a sample that is the same for the same seed."""
    if len(inputs) <= MOST_EXACT:
        return inputs if isinstance(inputs, KernelInputs) else inputs.take(np.arange(len(inputs)))
    return inputs.take(np.sort(np.random.default_rng(seed + 1).permutation(len(inputs))[:MOST_EXACT]))


def _solve(
    kernel_params: KernelParams, inputs: KernelInputs, wanted: np.ndarray, device: torch.device = CPU
) -> tuple[np.ndarray, np.ndarray]:
    covariance = kernel_params.between(inputs, inputs, device)
    covariance.diagonal().add_(kernel_params.noise + JITTER)
    factor = torch.linalg.cholesky(covariance)
    coefficients, errors = _left_out(factor, torch.from_numpy(wanted).to(device))
    return coefficients.cpu().numpy(), wanted - errors.cpu().numpy()


def _left_out(factor: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return (n,) coefficients and (n,) each truth minus the prediction without its post (equation 5.12)."""
    coefficients = torch.cholesky_solve(wanted[:, None], factor)[:, 0]
    return coefficients, coefficients / torch.cholesky_inverse(factor).diagonal()
