"""engage train-catboost."""

from __future__ import annotations

import dataclasses

from engage_cli.cli.generate import generated
from engage_cli.cli.places import DataPlace, NewRun, Output
from engage_cli.cli.render.train import show_training
from engage_cli.config.general import AUTO, STUDY, EncoderConfig
from engage_cli.config.training import CatBoostConfig


@generated(rename={"encoders.precision": "encoder_precision"}, defaults={"vision": AUTO, "text": AUTO})
def train_catboost(at: DataPlace, config: CatBoostConfig, place: NewRun, encoders: EncoderConfig, output: Output) -> None:
    """Train CatBoost on embeddings, words and hand-crafted features, all known before publication.

    Without --target it learns five classes of engagement, the study's label.
    train, train-gp and train-regressor default to the value of popularity.

    engage train-catboost

    engage train-catboost --target views --as value --folds 5

    engage train-catboost --features study    # the study's experiment: LEAKY, and marked so
    """
    from engage_cli.data.dataset import load_dataset
    from engage_cli.features.selection import STUDY_ENCODER
    from engage_cli.steps.train.catboost import train_catboost as run_step

    is_study = config.features.strip() == STUDY
    vision = config.vision if config.vision != AUTO else STUDY_ENCODER if is_study else CatBoostConfig.vision
    text = config.text if config.text != AUTO else STUDY_ENCODER if is_study else CatBoostConfig.text
    with place.tracking("train-catboost", config) as tracked:
        summary = run_step(
            dataclasses.replace(config, vision=vision, text=text),
            dataset=load_dataset(at.data),
            encoders=dataclasses.replace(encoders, vision=vision, text=text),
            run=place.run,
            runs_dir=place.runs,
            reporter=tracked.reporter,
        )
        tracked.finish(summary.run)
    show_training(summary, data=at.data, runs=place.runs, json=output.json)
