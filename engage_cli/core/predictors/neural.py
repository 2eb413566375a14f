"""A neural run as a predictor."""

from __future__ import annotations

import pandas as pd
import torch

from engage_cli.core.checkpoints import Checkpoints
from engage_cli.core.devices import find_device
from engage_cli.core.features import BlockSource
from engage_cli.core.leakage import known_before
from engage_cli.core.model import EngagementModel
from engage_cli.core.objectives import OBJECTIVES, Objective
from engage_cli.core.predictions import Predictions
from engage_cli.core.runs import Run
from engage_cli.core.training import StoredBatches, predict

BATCH_SIZE = 1024


class NeuralPredictor:
    def __init__(self, run: Run) -> None:
        config = run.meta["config"]
        self.dims: dict[str, int] = run.meta["dims"]
        self.objective: Objective = OBJECTIVES[run.kind].load(config["objective"])(run.target)
        self.device = find_device()
        self.model = EngagementModel(
            self.dims,
            fusion=config["fusion"],
            width=config["width"],
            dropout=config["dropout"],
            out_dim=self.objective.out_dim,
        )
        Checkpoints(run.folder).load_best(self.model)
        self.model.to(self.device)

    def predict(self, posts: pd.DataFrame, source: BlockSource) -> Predictions:
        blocks = source.blocks(known_before(posts), list(self.dims))
        unknown = self.objective.encode(torch.zeros(len(posts), dtype=torch.float64))
        batches = StoredBatches(blocks, unknown, batch_size=BATCH_SIZE, device=self.device, seed=None)
        return predict(self.model, self.objective, batches)[0]
