"""A model's outputs for all posts of a part, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engage_cli.metrics.metrics import compute_metrics
from engage_cli.models.neural.objectives import Objective
from engage_cli.models.neural.training._collapse import find_collapse
from engage_cli.models.neural.training._prefetch import prefetch
from engage_cli.models.neural.training.batches import Batches
from engage_cli.runtime.devices import mixed_precision
from engage_cli.runtime.distributed import gather_rows, put_in_order


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How good a model is on posts that it does not learn from."""

    scores: dict[str, float]
    loss: float  # mean over posts
    collapse: str | None  # what is wrong with the predictions as a whole, and what to try
    is_finite: bool


def outputs_of(
    model: nn.Module, batches: Batches, out_dim: int, device: torch.device, precision: str = "fp32", *, alone: bool = False
) -> Tensor:
    """Return (n, out_dim) float32 of all posts, in their order, on the CPU and on every rank.

    `alone`: this rank has all of the posts, and the others are not asked.
    """
    model.eval()
    outputs, rows = [], []
    with torch.inference_mode():
        for batch in prefetch(batches.epoch(0), device):
            with mixed_precision(device, precision):
                outputs.append(model(batch.blocks).float())
            rows.append(batch.rows)
        joined = torch.cat(outputs).cpu() if outputs else torch.zeros(0, out_dim)
        places, num = np.concatenate(rows) if rows else np.zeros(0, np.int64), len(batches.wanted)
        return put_in_order(joined, places, num) if alone else gather_rows(joined, places, num)


def validate(
    model: nn.Module, objective: Objective, batches: Batches, true: np.ndarray, device: torch.device, precision: str
) -> Validation:
    """Score a model on a part; `true` are scores or classes. Metrics are computed once over all posts, on every rank."""
    outputs = outputs_of(model, batches, objective.out_dim, device, precision)
    if not bool(torch.isfinite(outputs).all()):
        return Validation(scores={}, loss=float("nan"), collapse=None, is_finite=False)
    predicted = objective.decode(outputs).main
    return Validation(
        scores=compute_metrics(objective.kind, true, predicted),
        loss=float(objective.loss(outputs, batches.wanted)),
        collapse=find_collapse(objective.kind, true, predicted),
        is_finite=True,
    )
