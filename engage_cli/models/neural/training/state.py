"""Where a run stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engage_cli.io.ranges import Count

ABOUT_BEST = ("best", "best_epoch", "scores", "averaged", "collapse")


@dataclass
class Progress:
    """Saved with each checkpoint."""

    epoch: Count = 0  # epochs finished
    batch: Count = 0  # micro-batches finished in the next one
    step: Count = 0
    loss_sum: float = 0.0  # over this epoch's posts so far, of all ranks
    best: float | None = None
    best_epoch: Count = 0
    scores: dict[str, float] = field(default_factory=dict)  # of the kept weights, on validation posts
    collapse: str | None = None  # what is wrong with their predictions as a whole
    averaged: list[Count] = field(default_factory=list)  # the epochs whose mean the kept weights are
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def best_epochs(self, num: int, metric: str) -> list[int]:
        """Return the numbers of the best epochs so far by a validation metric, in their order."""
        ranked = sorted(self.history, key=lambda line: -line["validation"][metric])
        return sorted(line["epoch"] for line in ranked[:num])

    def about_best(self) -> dict[str, Any]:
        """Return what is known of the kept weights, to be kept with them."""
        return {name: getattr(self, name) for name in ABOUT_BEST}

    def take_over(self, about: Mapping[str, Any]) -> None:
        """Believe what `about_best` said, where it said something."""
        for name in ABOUT_BEST if about else ():
            setattr(self, name, about[name])
