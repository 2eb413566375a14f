"""Recipes: named sets of hyper-parameters for the neural trainers. What is given explicitly wins over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engage_cli.config.general import Kind
from engage_cli.config.settings import help_of
from engage_cli.config.training import TrainConfig
from engage_cli.errors import WrongCallError

Value = bool | int | float | str | None  # of a hyper-parameter
# Where five classes differ from a value, whatever the recipe.
CLASSES: Mapping[str, Value] = {"target": "engagement", "objective": "cross-entropy"}
# What helped a neural model alone, on validation posts of three splits; benchmarks/RESULTS.md says what did not.
BEST: Mapping[str, Value] = {"seeds": 3}
# Encoders in the loop learn slowly, what is new learns fast, and few epochs suffice.
FINETUNED: Mapping[str, Value] = {
    "finetune": "top:2",
    "epochs": 5,
    "batch_size": 16,
    "accumulate": 2,
    "learning_rate": 2e-5,
    "head_lr": 5e-4,
    "layer_decay": 0.9,
    "dropout": 0.2,
    "patience": 3,
}
# Study, section 4.3. It names neither width, layers, heads and dropout, nor the length of the warm-up: those are ours.
STUDY_REGRESSOR: Mapping[str, Value] = {
    "vision": "siglip",
    "text": "deberta",
    "blocks": "image,title,context",
    "fusion": "study",
    "objective": "hybrid",
    "finetune": "full",
    "epochs": 50,
    "batch_size": 16,
    "accumulate": 3,
    "learning_rate": 2e-5,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup": 0.1,
    "clip_norm": 1.0,
    "precision": "fp16",
    "width": 512,
    "heads": 8,
    "dropout": 0.1,
    "patience": 0,
}
# Study, section 4.1, whose fusion is one of three. It names no schedule, no clipping and no mixed precision: there is none.
STUDY_CLASSIFIER: Mapping[str, Value] = {
    "vision": "vit",
    "text": "bert",
    "blocks": "image,text",
    "fusion": "concat",
    "objective": "cross-entropy",
    "finetune": "full",
    "epochs": 1,
    "batch_size": 16,
    "accumulate": 1,
    "learning_rate": 2e-5,
    "weight_decay": 0.01,
    "schedule": "constant",
    "warmup": 0.0,
    "clip_norm": 0.0,
    "precision": "fp32",
    "width": 512,
    "heads": 8,
    "dropout": 0.1,
    "patience": 0,
}
RECIPES: Mapping[str, Mapping[str, Mapping[str, Value]]] = {
    "frozen": {"value": {}, "classes": CLASSES},
    "seeds3": {"value": BEST, "classes": {**CLASSES, **BEST}},
    "finetune": {"value": FINETUNED, "classes": {**CLASSES, **FINETUNED}},
    "study": {"value": STUDY_REGRESSOR, "classes": {**CLASSES, **STUDY_CLASSIFIER}},
}
RECIPE_DESCRIPTIONS = {
    "frozen": "our defaults for stored embeddings",
    "seeds3": "our defaults for stored embeddings, and the mean of three seeds",
    "finetune": "our defaults for training the encoders too",
    "study": "the study's hyper-parameters, its encoders trained end to end",
}


class Resolved(NamedTuple):
    """Which recipe was taken, what was given besides, and what came out."""

    kind: Kind
    recipe: str
    given: dict[str, Value]
    config: TrainConfig

    @property
    def command(self) -> str:
        return "train-regressor" if self.kind == "value" else "train-classifier"


def resolve(kind: Kind, recipe: str | None, given: Mapping[str, Value], *, has_gpu: bool) -> Resolved:
    """Return the configuration of a recipe under what is given (None is not given).

    Without a recipe: "frozen" where `finetune` says none; on a GPU "study"; elsewhere "finetune" where encoders are to be
    trained, else "frozen".
    """
    explicit: dict[str, Value] = {name: value for name, value in given.items() if value is not None}
    finetune = explicit.get("finetune")
    if recipe is None:
        recipe = "frozen" if finetune == "none" else "study" if has_gpu else "finetune" if finetune else "frozen"
    if recipe not in RECIPES:
        raise WrongCallError(f"unknown --recipe '{recipe}'; give one of: {', '.join(RECIPES)}")
    chosen: Any = {**RECIPES[recipe][kind], **explicit}  # each of its own field's type, which TrainConfig checks
    return Resolved(kind, recipe, explicit, TrainConfig(**chosen))


def help_with_defaults(kind: str) -> Callable[[str], str]:
    """Return a function that gives a field's help with the default of each recipe, where it is not the same for all."""

    def help_of_field(field: str) -> str:
        names: dict[str, list[str]] = {}
        for name, kinds in RECIPES.items():
            names.setdefault(_shown(kinds[kind].get(field, getattr(TrainConfig, field))), []).append(name)
        words = (
            next(iter(names))
            if len(names) == 1
            else ", ".join(f"{'/'.join(those)} {value}" for value, those in names.items())
        )
        return f"{help_of(TrainConfig, field)} Default: {words}."

    return help_of_field


def _shown(value: Any) -> str:
    return "no" if value is False else f"{value:g}" if isinstance(value, float) else str(value)
