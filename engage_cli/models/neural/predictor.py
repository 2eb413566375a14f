"""A neural run on stored features as a predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from engage_cli.config.training import TrainConfig
from engage_cli.data.leakage import known_before
from engage_cli.embeddings.store import Block, BlockSource
from engage_cli.errors import EngageError
from engage_cli.models.neural.finetuning import parse_finetune
from engage_cli.models.neural.fusion import FUSIONS
from engage_cli.models.neural.model import EngagementModel
from engage_cli.models.neural.numbers import load_numbers
from engage_cli.models.neural.objectives import OBJECTIVES, Objective
from engage_cli.models.neural.training._validation import outputs_of
from engage_cli.models.neural.training.batches import Cut, StoredBatches, tokens_of
from engage_cli.models.neural.training.checkpoints import MODEL_FILE, load_weights, must_fit
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import Predictor, Sources
from engage_cli.runs.records import AGAIN
from engage_cli.runs.run_folder import FIRST, Run, blaming
from engage_cli.runtime.devices import find_device, matmul_precision

BATCH_SIZE = 1024


class NeuralPredictor(Predictor):
    def __init__(self, run: Run) -> None:
        config, self.objective = read_config(run, is_finetuned=False)
        self.folder, self.dims = run.folder, run.meta.dims
        weights = run.open(MODEL_FILE)
        must_fit(weights, plan_model(run, config, self.objective))
        self.device = find_device()
        torch.set_float32_matmul_precision(matmul_precision(self.device))
        self.numbers = load_numbers(run)
        self.model = EngagementModel(self.dims, config, out_dim=self.objective.out_dim, num_numbers=num_numbers_of(run))
        load_weights(self.model, weights)
        self.model.to(self.device)

    @staticmethod
    def choose_source(run: Run, sources: Sources) -> BlockSource:
        return sources.vectors(run)

    @staticmethod
    def further_columns(run: Run) -> dict[str, str]:
        return columns_of(run)

    def predict(self, posts: pd.DataFrame, source: BlockSource) -> Predictions:
        posts = known_before(posts)
        blocks = source.blocks(posts, list(self.dims))
        for name, block in blocks.items():
            if tokens_of(block, self.model.reads_tokens).values.shape[-1] != self.dims[name]:
                raise EngageError(f"{self.folder / FIRST}: dims: its encoder's vectors of '{name}' do not match; {AGAIN}")
        batches = StoredBatches(
            blocks,
            self.objective.encode(torch.zeros(len(posts), dtype=torch.float64)),
            Cut(batch_size=BATCH_SIZE),
            reads_tokens=self.model.reads_tokens,
            device=self.device,
            numbers=None if self.numbers is None else self.numbers.read(posts),
        )
        outputs = outputs_of(self.model, batches, self.objective.out_dim, self.device, alone=True)
        said = self.objective.decode(outputs)
        said = said if self.numbers is None else self.numbers.moved(said, posts)
        return replace(said, vectors=_vectors(blocks)).checked(self.folder)

    def vectors(self, posts: pd.DataFrame, source: BlockSource) -> dict[str, np.ndarray]:
        return _vectors(source.blocks(known_before(posts), list(self.dims)))


def read_config(run: Run, *, is_finetuned: bool) -> tuple[TrainConfig, Objective]:
    """Return the settings of a neural run and its objective; raise EngageError for what there is not."""
    config = run.meta.settings(TrainConfig, folder=run.folder)
    with blaming(run.folder / FIRST, "config"):
        FUSIONS.check(config.fusion)
        objective: Objective = OBJECTIVES[run.kind].load(config.objective)(run.target, config)
        trains_encoders = parse_finetune(config.finetune).mode != "none"
    if trains_encoders != is_finetuned:
        raise EngageError(f"{run.folder / FIRST}: config.finetune: '{config.finetune}' does not fit its model; {AGAIN}")
    if not run.meta.dims:
        raise EngageError(f"{run.folder / FIRST}: dims: there is no block; {AGAIN}")
    return config, objective


def plan_model(run: Run, config: TrainConfig, objective: Objective) -> EngagementModel:
    """Return the new layers of a run's model without their memory, to see whether its weights fit."""
    with blaming(run.folder / FIRST, "config"), torch.device("meta"):
        return EngagementModel(run.meta.dims, config, out_dim=objective.out_dim, num_numbers=num_numbers_of(run))


def num_numbers_of(run: Run) -> int:
    """Return the width of the rows of numbers that a run's model reads; 0 for none."""
    return 0 if run.meta.numbers is None else run.meta.numbers.width


def columns_of(run: Run) -> dict[str, str]:
    """Return the columns of posts that a run's numbers are read from."""
    return {} if run.meta.numbers is None else dict(run.meta.numbers.columns)


def _vectors(blocks: Mapping[str, Block]) -> dict[str, np.ndarray]:
    return {name: block.pooled for name, block in blocks.items()}
