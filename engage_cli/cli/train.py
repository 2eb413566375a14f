"""engage train."""

from __future__ import annotations

from engage_cli.cli.generate import generated
from engage_cli.cli.places import BaseRun, DataPlace, NewRun, Output
from engage_cli.cli.render.train import show_training
from engage_cli.config.general import LOCAL, EncoderConfig, EngineConfig
from engage_cli.config.training import EnsembleConfig
from engage_cli.errors import WrongCallError


@generated(rename={"encoders.precision": "encoder_precision"}, without=("encoders.tokens",))
def train(
    at: DataPlace,
    config: EnsembleConfig,
    start: BaseRun,
    place: NewRun,
    encoders: EncoderConfig,
    how: EngineConfig,
    output: Output,
) -> None:
    """Train the default pipeline: a Gaussian process, CatBoost and a neural model, combined into one ensemble.

    Without --target it learns the value of popularity.
    train-catboost and train-classifier default to five classes of engagement, the study's label.

    engage train --target views

    engage train --target engagement --as classes

    engage train --target views --base runs/others    # few posts: start from a run of others' posts

    engage train --engine ray --workers 3    # each member on a worker of its own
    """
    from functools import partial

    from engage_cli.data.dataset import load_dataset
    from engage_cli.steps.train.on_base import train_on_base
    from engage_cli.steps.train.pipeline import train_ensemble

    if start.base is None:
        train_it = partial(train_ensemble, how=how)
    elif how == LOCAL:
        train_it = partial(train_on_base, base=start.base)
    else:
        raise WrongCallError("--engine and --workers are for the members of an ensemble; leave them out with --base")
    with place.tracking("train", config) as tracked:
        summary = train_it(
            config,
            dataset=load_dataset(at.data),
            encoders=encoders,
            run=place.run,
            runs_dir=place.runs,
            reporter=tracked.reporter,
        )
        tracked.finish(summary.run)
    show_training(summary, data=at.data, runs=place.runs, json=output.json)
