"""The learning rate over the steps of a run."""

from __future__ import annotations

import math

SCHEDULES = ("cosine", "constant")


def learning_rate_at(step: int, total: int, *, warmup: float, schedule: str) -> float:
    """Return the share of the peak rate at a step, 0 <= step < total: linear warm-up, then a cosine to 0 or no change."""
    rising = round(total * warmup)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
