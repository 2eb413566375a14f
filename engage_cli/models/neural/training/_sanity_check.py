"""What is broken shows before an epoch is spent on it."""

from __future__ import annotations

import torch

from engage_cli.errors import EngageError
from engage_cli.models.neural.finetuning import freeze_unreached, train_mode
from engage_cli.models.neural.training._prefetch import prefetch
from engage_cli.models.neural.training.batches import first_of
from engage_cli.models.neural.training.task import Task
from engage_cli.runtime.devices import mixed_precision

NUM_POSTS = 2  # of a backward pass
NUM_BATCHES = 2  # of validation


def run_sanity_check(task: Task, device: torch.device, precision: str) -> None:
    """Do one backward pass of two posts, and validation as far as two batches.

    What the loss does not reach is frozen: AdamW would only let it decay, and other ranks wait for its gradient.
    """
    model, objective = task.model, task.objective
    train_mode(model)
    batch = first_of(next(prefetch(task.train.epoch(0), device)), NUM_POSTS)
    with mixed_precision(device, precision):
        outputs = model(batch.blocks)
    if not bool(torch.isfinite(outputs).all()):
        raise EngageError(f"the model's outputs are not finite in {precision}, before the first step; try --precision fp32")
    objective.loss(outputs.float(), batch.wanted).backward()
    freeze_unreached(model)
    model.zero_grad(set_to_none=True)
    model.eval()
    with torch.inference_mode():
        for _, batch in zip(range(NUM_BATCHES), prefetch(task.validation.epoch(0), device), strict=False):
            with mixed_precision(device, precision):
                objective.decode(model(batch.blocks).float())
