"""A neural run on stored features as a predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from engage_cli.core.batches import Cut, StoredBatches
from engage_cli.core.checkpoints import Checkpoints
from engage_cli.core.devices import find_device, matmul_precision
from engage_cli.core.features import Block, BlockSource
from engage_cli.core.leakage import known_before
from engage_cli.core.model import EngagementModel
from engage_cli.core.objectives import OBJECTIVES, Objective
from engage_cli.core.predictions import Predictions
from engage_cli.core.runs import Run
from engage_cli.core.train_config import TrainConfig
from engage_cli.core.validation import outputs_of

BATCH_SIZE = 1024


class NeuralPredictor:
    def __init__(self, run: Run) -> None:
        config = TrainConfig(**run.meta["config"])
        self.dims: dict[str, int] = run.meta["dims"]
        self.objective: Objective = OBJECTIVES[run.kind].load(config.objective)(run.target, config)
        self.device = find_device()
        torch.set_float32_matmul_precision(matmul_precision(self.device))
        self.model = EngagementModel(self.dims, config, out_dim=self.objective.out_dim)
        Checkpoints(run.folder).load_best(self.model)
        self.model.to(self.device)

    def predict(self, posts: pd.DataFrame, source: BlockSource) -> Predictions:
        blocks = source.blocks(known_before(posts), list(self.dims))
        batches = StoredBatches(
            blocks,
            self.objective.encode(torch.zeros(len(posts), dtype=torch.float64)),
            Cut(batch_size=BATCH_SIZE),
            reads_tokens=self.model.reads_tokens,
            device=self.device,
        )
        outputs = outputs_of(self.model, batches, self.objective.out_dim, self.device, alone=True)
        return replace(self.objective.decode(outputs), vectors=_vectors(blocks))

    def vectors(self, posts: pd.DataFrame, source: BlockSource) -> dict[str, np.ndarray]:
        return _vectors(source.blocks(known_before(posts), list(self.dims)))


def _vectors(blocks: Mapping[str, Block]) -> dict[str, np.ndarray]:
    return {name: block.pooled for name, block in blocks.items()}
