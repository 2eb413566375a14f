"""engage train-classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from engage_cli.cli.generate import generated
from engage_cli.cli.places import DataPlace, NewRun, Output
from engage_cli.cli.train_neural import OF_CLASSES, RecipeChoice, run_training
from engage_cli.config.general import EncoderConfig, EngineConfig
from engage_cli.config.recipes import Value


@generated(rename={"encoders.precision": "encoder_precision", "how.workers": "ray_workers"})
def train_classifier(
    at: DataPlace,
    choice: RecipeChoice,
    given: Annotated[Mapping[str, Value], OF_CLASSES],
    encoders: EncoderConfig,
    place: NewRun,
    how: EngineConfig,
    output: Output,
) -> None:
    """Train a neural classifier of five ordered levels. A killed training continues when you give the command again.

    Without --target it learns five classes of engagement, the study's label.
    train, train-gp and train-regressor default to the value of popularity.

    engage train-classifier --target views

    engage train-classifier --objective ordinal --class-weights balanced

    engage train-classifier --recipe study
    """
    run_training("classes", choice.recipe, given, at=at, place=place, encoders=encoders, how=how, output=output)
