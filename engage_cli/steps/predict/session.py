"""A run that is open: it answers for posts, one call after the other, with everything loaded once."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.run_folder import Run
from engage_cli.steps.inputs.sources import LiveSources
from engage_cli.uncertainty.forecast import Forecast, load_uncertainty


class InferenceSession:
    def __init__(self, run: Run, *, num_towers: int | None = 1) -> None:
        """`num_towers`: 1 for the soonest answer to one post, None for the most posts a second."""
        self.run = run
        self.uncertainty = load_uncertainty(run)
        self.sources = LiveSources(run, num_towers=num_towers)
        self.predictor = load_predictor(run)

    def load(self, reporter: Reporter) -> None:
        """Load the encoders, which otherwise happens at the first question."""
        encoders = self.sources.encoders
        with reporter.stage("loading the encoders", len(encoders)) as stage:
            for encoder in encoders:
                assert encoder.tower
                stage.advance(note=encoder.checkpoint.name)

    def predict(self, posts: pd.DataFrame, images: Sequence[bytes | None]) -> Predictions:
        """Predict posts whose covers are these files; None, or a broken one, is a post without a cover."""
        return self.predictor.predict(posts, self.sources.of(images))

    def forecast(self, posts: pd.DataFrame, images: Sequence[bytes | None]) -> Forecast:
        return self.uncertainty.forecast(self.predict(posts, images))
