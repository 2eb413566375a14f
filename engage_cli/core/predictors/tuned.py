"""A neural run whose encoders were trained too, as a predictor: it reads pictures and texts."""

from __future__ import annotations

import pandas as pd
import torch

from engage_cli.core.batches import Cut
from engage_cli.core.checkpoints import Checkpoints
from engage_cli.core.config import TrainConfig
from engage_cli.core.devices import find_device
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.leakage import known_before
from engage_cli.core.live_batches import ContentSource, LiveBatches
from engage_cli.core.model import EngagementModel
from engage_cli.core.objectives import OBJECTIVES, Objective
from engage_cli.core.predictions import Predictions
from engage_cli.core.runs import Run
from engage_cli.core.tuning import make_towers, parse_tune
from engage_cli.core.validation import outputs_of


class TunedPredictor:
    def __init__(self, run: Run) -> None:
        config = TrainConfig(**run.meta["config"])
        self.dims: dict[str, int] = run.meta["dims"]
        self.batch_size = config.batch_size
        self.objective: Objective = OBJECTIVES[run.kind].load(config.objective)(run.target, config)
        self.device = find_device()
        encoders = {
            side: Encoder(
                side, record["name"], precision="fp32", pool=record["pooling"], tokens=record["tokens"], dtype="fp32"
            )
            for side, record in run.meta["encoders"].items()
        }
        towers = make_towers(encoders, parse_tune(config.tune))
        num_tokens = next(iter(encoders.values())).tokens
        self.model = EngagementModel(
            self.dims, config, out_dim=self.objective.out_dim, towers=towers, num_tokens=num_tokens
        )
        Checkpoints(run.folder).load_best(self.model)
        self.model.to(self.device)

    def predict(self, posts: pd.DataFrame, source: ContentSource) -> Predictions:
        posts = known_before(posts)
        batches = LiveBatches(
            {side: self.model.towers[side] for side in self.model.towers},
            list(self.dims),
            source.contents(posts, list(self.dims)),
            self.objective.encode(torch.zeros(len(posts), dtype=torch.float64)),
            Cut(batch_size=self.batch_size),
            device=self.device,
        )
        return self.objective.decode(outputs_of(self.model, batches, self.objective.out_dim, self.device))
