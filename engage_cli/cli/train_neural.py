"""What the two neural trainers do alike: the recipe decides what is not given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engage_cli.cli.generate import GivenOf
from engage_cli.cli.places import DataPlace, NewRun, Output
from engage_cli.cli.render.train import show_training
from engage_cli.config.general import EncoderConfig, EngineConfig
from engage_cli.config.recipes import RECIPE_DESCRIPTIONS, RECIPES, Value, help_with_defaults, resolve
from engage_cli.config.settings import setting
from engage_cli.config.training import TrainConfig
from engage_cli.runtime.distributed import get_rank

if TYPE_CHECKING:
    from engage_cli.config.general import Kind

_RECIPES = "; ".join(f"{name}: {RECIPE_DESCRIPTIONS[name]}" for name in RECIPES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeChoice:
    recipe: str | None = setting(
        None,
        f"A named set of hyper-parameters ({_RECIPES}). Your options override the recipe. Default: study on a GPU, else "
        "finetune with --finetune, else frozen.",
        show_default=False,
        former_names={"stored": "frozen", "best": "seeds3", "tuned": "finetune"},
    )


OF_VALUES = GivenOf(
    TrainConfig,
    help_with_defaults("value"),
    {"objective": "engage_cli.models.neural.objectives:VALUE_OBJECTIVES"},
    ("class_weights",),
)
OF_CLASSES = GivenOf(
    TrainConfig, help_with_defaults("classes"), {"objective": "engage_cli.models.neural.objectives:CLASS_OBJECTIVES"}
)


def run_training(
    kind: Kind,
    recipe: str | None,
    given: Mapping[str, Value],
    *,
    at: DataPlace,
    place: NewRun,
    encoders: EncoderConfig,
    how: EngineConfig,
    output: Output,
) -> None:
    """Train as the options say, and show it; `given` holds, by name, what is given of TrainConfig."""
    import torch

    from engage_cli.data.dataset import load_dataset
    from engage_cli.steps.train.seeds import train_seeds

    resolved = resolve(kind, recipe, given, has_gpu=torch.cuda.is_available())
    with place.tracking(resolved.command, resolved.config) as tracked:
        summary = train_seeds(
            resolved,
            dataset=load_dataset(at.data),
            encoders=dataclasses.replace(encoders, vision=resolved.config.vision, text=resolved.config.text),
            how=how,
            run=place.run,
            runs_dir=place.runs,
            reporter=tracked.reporter,
        )
        tracked.finish(summary.run)
    if get_rank() == 0:
        show_training(summary, data=at.data, runs=place.runs, json=output.json)
