"""Losses and what becomes of outputs, by value."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch

from engage_cli.config.general import QUANTILE_LEVELS
from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import Target, fit_target
from engage_cli.errors import WrongCallError
from engage_cli.models.neural.objectives import OBJECTIVES
from engage_cli.models.neural.objectives._class_weights import weights_of

RNG = np.random.default_rng(0)
TARGET = fit_target("views", pd.DataFrame({"views": np.expm1(RNG.normal(10, 2, 500))}), fit_on="train")
ALL = [(kind, name) for kind, table in OBJECTIVES.items() for name in table]


def make(kind: str, name: str, target: Target = TARGET, **changes: object):
    return OBJECTIVES[kind].load(name)(target, dataclasses.replace(TrainConfig(), **changes))


def skewed() -> Target:
    """A tenth of the posts in the first class, none in the last, the rest in between."""
    return dataclasses.replace(TARGET, class_shares=(0.1, 0.2, 0.3, 0.4, 0.0))


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_loss_adds_up_over_micro_batches(kind: str, name: str) -> None:
    objective = make(kind, name, class_weights="balanced")
    scores = torch.from_numpy(RNG.normal(10, 2, 12))
    outputs, wanted = torch.randn(12, objective.out_dim), objective.encode(scores)
    whole = objective.loss(outputs, wanted)
    parts = [objective.loss(outputs[start:end], wanted[start:end]) * (end - start) for start, end in ((0, 5), (5, 12))]
    assert float(sum(parts) / 12) == pytest.approx(float(whole), rel=1e-5)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_predictions_are_of_their_kind(kind: str, name: str) -> None:
    objective = make(kind, name)
    predictions = objective.decode(torch.randn(7, objective.out_dim) * 4)
    assert predictions.kind == kind
    assert len(predictions) == 7
    if kind == "classes":
        assert predictions.probabilities.sum(axis=1) == pytest.approx(np.ones(7))
        assert (predictions.probabilities >= 0).all()


def test_corn_by_value() -> None:
    objective = make("classes", "ordinal")
    outputs = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    sigmoid = [1 / (1 + math.exp(-x)) for x in (0.0, 1.0, -1.0, 2.0)]
    # A post of class 1 is above 0 and not above 1; whether it is above 2 or 3 is not asked.
    wanted = -math.log(sigmoid[0]) - math.log(1 - sigmoid[1])
    assert float(objective.loss(outputs, torch.tensor([1]))) == pytest.approx(wanted, rel=1e-6)
    assert float(objective.loss(outputs, torch.tensor([0]))) == pytest.approx(-math.log(1 - sigmoid[0]), rel=1e-6)
    highest = -sum(math.log(value) for value in sigmoid)
    assert float(objective.loss(outputs, torch.tensor([4]))) == pytest.approx(highest, rel=1e-6)
    above = np.cumprod(sigmoid)
    expected = [1 - above[0], above[0] - above[1], above[1] - above[2], above[2] - above[3], above[3]]
    assert objective.decode(outputs).probabilities[0] == pytest.approx(expected)


def test_pinball_by_value() -> None:
    objective = make("value", "quantile")
    zeros = torch.zeros(1, len(QUANTILE_LEVELS))  # the median at 0, and steps of softplus(0) = log 2 to both sides
    places = [(number - 3) * math.log(2) for number in range(7)]
    losses = [
        level * (0.5 - q) if q <= 0.5 else (level - 1) * (0.5 - q) for level, q in zip(QUANTILE_LEVELS, places, strict=True)
    ]
    assert float(objective.loss(zeros, torch.tensor([0.5]))) == pytest.approx(sum(losses) / 7, rel=1e-5)
    predictions = objective.decode(zeros)
    assert predictions.quantiles[0] == pytest.approx([TARGET.mean + TARGET.std * q for q in places])
    assert predictions.value[0] == pytest.approx(TARGET.mean)


def test_quantiles_never_cross_and_find_their_levels() -> None:
    objective = make("value", "quantile")
    outputs = torch.zeros(1, objective.out_dim, requires_grad=True)
    scores = torch.from_numpy(RNG.normal(TARGET.mean, TARGET.std, 4000))
    wanted = objective.encode(scores)
    optimizer = torch.optim.Adam([outputs], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        objective.loss(outputs.expand(len(wanted), -1), wanted).backward()
        optimizer.step()
    found = objective.decode(outputs.detach()).quantiles[0]
    below = [(scores.numpy() < quantile).mean() for quantile in found]
    assert below == pytest.approx(QUANTILE_LEVELS, abs=0.02)
    low, high = objective.decode(outputs.detach()).interval(0.8)
    assert ((scores.numpy() > low) & (scores.numpy() < high)).mean() == pytest.approx(0.8, abs=0.03)
    assert make("value", "hybrid").decode(torch.zeros(1, 1)).interval(0.8) is None
    wild = objective.decode(torch.randn(500, objective.out_dim) * 10).quantiles
    assert (np.diff(wild, axis=1) >= 0).all()


def test_balanced_weights_by_value() -> None:
    weights = weights_of(skewed(), dataclasses.replace(TrainConfig(), class_weights="balanced"))
    assert weights.tolist() == pytest.approx([1 / 0.4, 1 / 0.8, 1 / 1.2, 1 / 1.6, 1.0])
    shares = np.array(skewed().class_shares)
    assert float((weights.numpy() * shares).sum()) == pytest.approx(1.0)
    assert weights_of(skewed(), TrainConfig()).tolist() == [1.0] * 5
    with pytest.raises(WrongCallError, match="unknown --class-weights 'x'; give one of: none, balanced"):
        make("classes", "ordinal", class_weights="x")


def test_a_rare_class_counts_more() -> None:
    outputs, rare, common = torch.zeros(1, 5), torch.tensor([0]), torch.tensor([3])
    plain = make("classes", "cross-entropy", skewed())
    balanced = make("classes", "cross-entropy", skewed(), class_weights="balanced")
    assert float(plain.loss(outputs, rare)) == float(plain.loss(outputs, common))
    assert float(balanced.loss(outputs, rare) / balanced.loss(outputs, common)) == pytest.approx(4.0)
