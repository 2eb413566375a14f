"""A neural run whose encoders were trained too, as a predictor: it reads images and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from engage_cli.data.leakage import known_before
from engage_cli.data.schema import side_of
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import EngageError
from engage_cli.models.neural.finetuning import make_towers, parse_finetune
from engage_cli.models.neural.model import BlockInput, EngagementModel
from engage_cli.models.neural.numbers import load_numbers
from engage_cli.models.neural.predictor import columns_of, num_numbers_of, plan_model, read_config
from engage_cli.models.neural.training._validation import outputs_of
from engage_cli.models.neural.training.batches import Cut
from engage_cli.models.neural.training.checkpoints import MODEL_FILE, load_weights, must_fit
from engage_cli.models.neural.training.image_text_batches import ContentSource, LiveBatches
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import Predictor, Sources
from engage_cli.runs.records import AGAIN
from engage_cli.runs.run_folder import FIRST, Run, blaming
from engage_cli.runtime.devices import find_device


class FinetunedPredictor(Predictor):
    def __init__(self, run: Run) -> None:
        config, self.objective = read_config(run, is_finetuned=True)
        self.folder, self.dims = run.folder, run.meta.dims
        self.batch_size = config.batch_size
        self.device = find_device()
        weights = run.open(MODEL_FILE)
        must_fit(weights, plan_model(run, config, self.objective))
        with blaming(run.folder / FIRST, "encoders"):
            encoders = {
                side: Encoder(
                    side,
                    saved.name,
                    precision="fp32",
                    pool=saved.pooling,
                    tokens=saved.tokens,
                    dtype="fp32",
                    resize=saved.resize,
                )
                for side, saved in run.meta.encoders.items()
            }
            towers = make_towers(encoders, parse_finetune(config.finetune))
        num_tokens = next(iter(encoders.values())).tokens
        self.model = EngagementModel(
            self.dims,
            config,
            out_dim=self.objective.out_dim,
            towers=towers,
            num_tokens=num_tokens,
            num_numbers=num_numbers_of(run),
        )
        self.numbers = load_numbers(run)
        for name, width in self.dims.items():
            tower = encoders[side_of(name)].tower
            if width != (tower.dim if self.model.reads_tokens else tower.pooled_dim):
                raise EngageError(f"{run.folder / FIRST}: dims: its encoder's vectors of '{name}' do not match; {AGAIN}")
        load_weights(self.model, weights)
        self.model.to(self.device)

    @staticmethod
    def choose_source(run: Run, sources: Sources) -> ContentSource:
        return sources.contents(run)

    @staticmethod
    def further_columns(run: Run) -> dict[str, str]:
        return columns_of(run)

    def predict(self, posts: pd.DataFrame, source: ContentSource) -> Predictions:
        posts, num_outputs = known_before(posts), self.objective.out_dim
        batches = LiveBatches(
            {side: self.model.towers[side] for side in self.model.towers},
            list(self.dims),
            source.contents(posts, list(self.dims)),
            self.objective.encode(torch.zeros(len(posts), dtype=torch.float64)),
            Cut(batch_size=self.batch_size),
            device=self.device,
            numbers=None if self.numbers is None else self.numbers.read(posts),
        )
        both = outputs_of(
            _WithVectors(self.model, list(self.dims)),
            batches,
            num_outputs + sum(self.dims.values()),
            self.device,
            alone=True,
        )
        outputs, vectors = both[:, :num_outputs], both[:, num_outputs:].numpy().copy()
        parts = dict(zip(self.dims, np.split(vectors, np.cumsum(list(self.dims.values()))[:-1], axis=1), strict=True))
        said = self.objective.decode(outputs)
        said = said if self.numbers is None else self.numbers.moved(said, posts)
        return replace(said, vectors=parts).checked(self.folder)

    def vectors(self, posts: pd.DataFrame, source: ContentSource) -> dict[str, np.ndarray] | None:
        return self.predict(posts, source).vectors


class _WithVectors(nn.Module):
    """Outputs, and beside them each block's mean token: the towers run once for both."""

    def __init__(self, model: EngagementModel, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, blocks: Mapping[str, BlockInput]) -> Tensor:
        tokens = self.model.encode(blocks)
        means = [
            (block.values * block.mask[..., None]).sum(dim=1) / block.mask.sum(dim=1).clamp(min=1)[:, None]
            for block in map(tokens.__getitem__, self.names)
        ]
        return torch.cat([self.model.score(tokens), *(mean.float() for mean in means)], dim=1)
