"""What is trained, on what, and who takes note of each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from torch import nn

from engage_cli.models.neural.objectives import Objective
from engage_cli.models.neural.training.batches import Batches


@dataclass(frozen=True, kw_only=True)
class Task:
    """A model, its loss, and the posts of both parts."""

    model: nn.Module
    objective: Objective
    train: Batches
    validation: Batches
    true: np.ndarray  # of the validation posts: scores or classes


class HistoryLog(Protocol):
    """Takes note of epochs as they end, and closes what it opened when the training does."""

    def add(self, history: Sequence[Mapping[str, Any]]) -> None: ...

    def __enter__(self) -> HistoryLog: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
