"""How much experiments differ as wholes, beyond what their posts explain: learned once the kernels of differences are.

Both at once would give kernels of differences the blame for levels: what makes a topic popular is seldom what makes one
title of it better than another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from engage_cli.models.gaussian_process._kernels import CPU, TERMS, KernelParams, Products, first_lengths, kernel
from engage_cli.models.gaussian_process._likelihood import likelihood
from engage_cli.models.gaussian_process.inputs import Takes
from engage_cli.models.gaussian_process.measurement import Measurement

# What the variants of a post share: of these a difference tells nothing.
SHARED = {"day", "season", "weekday", "author", "age", "growth", "followers", "duration"}
NUM_STEPS, STEPS_A_SAMPLE, STEP = 20, 4, 0.2
MOST_LEARNED_FROM = 1_500  # posts at once; of more, samples take turns
TINY_WEIGHT = 1e-6
JITTER_OF_FLOATS = 1e-3


def learn_levels(
    params: KernelParams,
    inputs: Takes,
    truth: np.ndarray,
    *,
    measured: Measurement,
    seed: int = 0,
    advance: Callable[[str], None] = lambda note: None,
    device: torch.device = CPU,
) -> KernelParams:
    """Return the params with a variance of levels, and with new weights of what the variants of a post share.

    Truths (n,) are standardised. Weights, lengths and the variance follow the marginal likelihood (section 5.4.1 of
    Rasmussen and Williams 2006); all else stays as it is.
    """
    shared = [term for term in params.weights if set(TERMS[term]) <= SHARED]
    fixed = replace(params, weights={term: value for term, value in params.weights.items() if term not in shared})
    samples = measured.samples(MOST_LEARNED_FROM, seed=seed)
    some = next(samples)
    sample = inputs.take(some)
    lengths = sorted(set(first_lengths(shared, sample)) - set(first_lengths(fixed.weights, sample)))
    first = [measured.variance_of_levels(truth)]
    first += [max(params.weights[term], TINY_WEIGHT) for term in shared] + [params.lengths[name] for name in lengths]
    logs = torch.tensor(np.log(first), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logs], lr=STEP)
    known_lengths = {name: torch.tensor(value) for name, value in params.lengths.items()}
    for step in range(NUM_STEPS):
        if step and step % STEPS_A_SAMPLE == 0 and len(inputs) > MOST_LEARNED_FROM:
            some = next(samples)
            sample = inputs.take(some)
        if step == 0 or (step % STEPS_A_SAMPLE == 0 and len(inputs) > MOST_LEARNED_FROM):
            part, wanted = measured.take(some), torch.from_numpy(truth[some]).to(device)
            products = Products(sample, sample, dtype=torch.float32, device=device)
            same = part.same_experiment(device)
            rest = fixed.between(sample, sample, device)
            rest += part.covariance_of_noise(params.noise + JITTER_OF_FLOATS, 0.0, device)
        optimizer.zero_grad()
        level, *values = logs.exp()
        weights = dict(zip(shared, (value.float() for value in values), strict=False))
        reached = known_lengths | dict(zip(lengths, (value.float() for value in values[len(shared) :]), strict=True))
        covariance = rest + level * same + kernel(products, weights, reached).double()
        loss, slope = likelihood(covariance.detach(), wanted)
        covariance.backward(slope)
        optimizer.step()
        advance(f"levels of experiments: {loss / len(some):.4f} nats a post")
    level, *found = logs.detach().exp().tolist()
    return replace(
        params,
        weights=params.weights | dict(zip(shared, found, strict=False)),
        lengths=params.lengths | dict(zip(lengths, found[len(shared) :], strict=True)),
        level=level,
    )
