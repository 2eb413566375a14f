"""Where a run stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Saved with each checkpoint."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # micro-batches finished in the next one
    step: int = 0
    loss_sum: float = 0.0  # over this epoch's posts so far, of all ranks
    best: float | None = None
    best_epoch: int = 0
    scores: dict[str, float] = field(default_factory=dict)  # of the kept weights, on validation posts
    averaged: list[int] = field(default_factory=list)  # the epochs whose mean the kept weights are
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def best_epochs(self, num: int, metric: str) -> list[int]:
        """Return the numbers of the best epochs so far by a validation metric, in their order."""
        ranked = sorted(self.history, key=lambda line: -line["validation"][metric])
        return sorted(line["epoch"] for line in ranked[:num])
