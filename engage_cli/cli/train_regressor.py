"""engage train-regressor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from engage_cli.cli.generate import generated
from engage_cli.cli.places import DataPlace, NewRun, Output
from engage_cli.cli.train_neural import OF_VALUES, RecipeChoice, run_training
from engage_cli.config.general import EncoderConfig, EngineConfig
from engage_cli.config.recipes import Value


@generated(rename={"encoders.precision": "encoder_precision", "how.workers": "ray_workers"})
def train_regressor(
    at: DataPlace,
    choice: RecipeChoice,
    given: Annotated[Mapping[str, Value], OF_VALUES],
    encoders: EncoderConfig,
    place: NewRun,
    how: EngineConfig,
    output: Output,
) -> None:
    """Train a neural regressor of one target's value. A killed training continues when you give the command again.

    Without --target it learns the value of popularity.
    train-catboost and train-classifier default to five classes of engagement, the study's label.

    engage train-regressor --target views

    engage train-regressor --vision siglip --fusion study --tokens 16

    engage train-regressor --finetune top:2 --epochs 3

    torchrun --nproc-per-node 2 -m engage_cli train-regressor --recipe study
    """
    run_training("value", choice.recipe, given, at=at, place=place, encoders=encoders, how=how, output=output)
