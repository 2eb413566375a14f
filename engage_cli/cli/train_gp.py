"""engage train-gp."""

from __future__ import annotations

from engage_cli.cli.generate import generated
from engage_cli.cli.places import DataPlace, NewRun, Output
from engage_cli.cli.render.train import show_training
from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import GaussianProcessConfig


@generated(rename={"encoders.precision": "encoder_precision"}, without=("encoders.tokens",))
def train_gp(at: DataPlace, config: GaussianProcessConfig, place: NewRun, encoders: EncoderConfig, output: Output) -> None:
    """Train a Gaussian process, which predicts from similar posts: their words, images, dates and authors.

    Without --target it learns the value of popularity.
    train-catboost and train-classifier default to five classes of engagement, the study's label.

    engage train-gp --target views

    engage train-gp --target engagement --as classes
    """
    from engage_cli.data.dataset import load_dataset
    from engage_cli.steps.train.gaussian_process import train_process

    with place.tracking("train-gp", config) as tracked:
        summary = train_process(
            config,
            dataset=load_dataset(at.data),
            encoders=encoders,
            run=place.run,
            runs_dir=place.runs,
            reporter=tracked.reporter,
        )
        tracked.finish(summary.run)
    show_training(summary, data=at.data, runs=place.runs, json=output.json)
