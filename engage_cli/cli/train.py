"""engage train."""

from __future__ import annotations

from engage_cli.cli.generate import generated
from engage_cli.cli.places import DataPlace, NewRun, Output
from engage_cli.cli.render.train import show_training
from engage_cli.config.general import EncoderConfig, EngineConfig
from engage_cli.config.training import EnsembleConfig


@generated(rename={"encoders.precision": "encoder_precision"}, without=("encoders.tokens",))
def train(
    at: DataPlace, config: EnsembleConfig, place: NewRun, encoders: EncoderConfig, how: EngineConfig, output: Output
) -> None:
    """Train the default pipeline: a Gaussian process, CatBoost and a neural model, combined into one ensemble.

    Without --target it learns the value of popularity.
    train-catboost and train-classifier default to five classes of engagement, the study's label.

    engage train --target views

    engage train --target engagement --as classes

    engage train --engine ray --workers 3    # each member on a worker of its own
    """
    from engage_cli.data.dataset import load_dataset
    from engage_cli.steps.train.pipeline import train_ensemble

    with place.tracking("train", config) as tracked:
        summary = train_ensemble(
            config,
            dataset=load_dataset(at.data),
            encoders=encoders,
            how=how,
            run=place.run,
            runs_dir=place.runs,
            reporter=tracked.reporter,
        )
        tracked.finish(summary.run)
    show_training(summary, data=at.data, runs=place.runs, json=output.json)
