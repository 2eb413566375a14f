"""A CatBoost run as a predictor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from engage_cli.data.schema import KNOWN_AFTER
from engage_cli.errors import EngageError
from engage_cli.features.inputs import PostInputs, TableSource
from engage_cli.features.table import load_table
from engage_cli.models.boosting.fit import load_model, predict_table
from engage_cli.models.boosting.shap import UNIT_OF_CLASSES, contributions_of
from engage_cli.models.predictions import Predictions, Reasons
from engage_cli.models.predictor import Predictor, Sources
from engage_cli.runs.records import AGAIN
from engage_cli.runs.run_folder import FIRST, Run, blaming

MODEL_FILE = "model.cbm"


class CatBoostPredictor(Predictor):
    def __init__(self, run: Run) -> None:
        self.kind = run.kind
        self.unit = str(run.target.formula) if run.kind == "value" else UNIT_OF_CLASSES
        self.folder, self.table = run.folder, load_table(run.open)
        if not set(self.table.blocks) <= set(run.meta.blocks) or any(
            getattr(self.table, name) != getattr(run.meta, name) for name in ("reads_images", "reads_covers")
        ):
            raise EngageError(f"{run.folder / FIRST}: blocks, reads_images or reads_covers do not match its table; {AGAIN}")
        self.counters = [name for name in self.table.further_columns if name in KNOWN_AFTER]
        self.model = load_model(run.open(MODEL_FILE))  # verified first: CatBoost's own parser takes files on trust
        if self.model is None:
            raise EngageError(f"{run.folder / MODEL_FILE} is not a model that CatBoost can read; {AGAIN}")

    @staticmethod
    def choose_source(run: Run, sources: Sources) -> TableSource:
        return sources.table(run)

    @staticmethod
    def further_columns(run: Run) -> dict[str, str]:
        return dict(load_table(run.open).further_columns)

    def predict(self, posts: pd.DataFrame, source: TableSource) -> Predictions:
        inputs = PostInputs(posts, source, counters=self.counters)
        with blaming(self.folder / MODEL_FILE, "the model does not fit its table"):
            predictions = predict_table(self.model, self.table.transform(inputs), self.kind)
        return dataclasses.replace(predictions, vectors=self._vectors(inputs)).checked(self.folder)

    def vectors(self, posts: pd.DataFrame, source: TableSource) -> dict[str, np.ndarray] | None:
        return self._vectors(PostInputs(posts, source))

    def _vectors(self, inputs: PostInputs) -> dict[str, np.ndarray] | None:
        return {name: inputs.vectors(name) for name in self.table.blocks} or None

    def explain(self, posts: pd.DataFrame, source: TableSource) -> list[Reasons]:
        """Return what each post's prediction rests on."""
        table = self.table.transform(PostInputs(posts, source, counters=self.counters))
        contributions, starts = contributions_of(self.model, table, self.table.categorical)
        return [self._reasons(table.iloc[row], contributions[row], starts[row]) for row in range(len(table))]

    def _reasons(self, post: pd.Series, contributions: np.ndarray, start: float) -> Reasons:
        groups: dict[str, float] = {}
        features: dict[str, float] = {}
        labels = self.table.labels()
        for (name, group), contribution in zip(self.table.groups.items(), contributions.tolist(), strict=True):
            groups[group] = groups.get(group, 0.0) + contribution
            if name in labels:
                features[name] = contribution
        ordered = sorted(features, key=lambda name: -abs(features[name]))
        return Reasons(
            unit=self.unit,
            start=float(start),
            groups={name: groups[name] for name in sorted(groups, key=lambda name: -abs(groups[name]))},
            features={labels[name]: features[name] for name in ordered},
            values={labels[name]: post[name] if isinstance(post[name], str) else f"{post[name]:.4g}" for name in ordered},
        )
