"""What is trained, and on what."""

from __future__ import annotations

from dataclasses import dataclass

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
