"""What the study published of its three models, and what each figure was measured on."""

from __future__ import annotations

from dataclasses import dataclass

from engage_cli.evaluation.results import Evaluation, Score
from engage_cli.metrics.descriptions import label_of

NOT_COMPARABLE = (
    "The study used other posts and another split, and not all of its figures come from test posts. So its figures and "
    "ours cannot be compared: they only show what is usual, not which is better."
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """One figure of the study."""

    metric: str  # as in metrics.metrics
    value: float
    spread: float | None = None  # standard deviation over the folds
    measured_on: str
    variant: str = ""  # of the model
    digits: int = 4  # behind the point, as published

    @property
    def text(self) -> str:
        return f"{self.value:.{self.digits}f}" + ("" if self.spread is None else f" ± {self.spread:.{self.digits}f}")


@dataclass(frozen=True, kw_only=True)
class StudyModel:
    """A model of the study: one of its three tables."""

    name: str
    kind: str  # "value" or "classes"
    target: str
    encoders: str
    caution: str  # what its figures do not say
    is_leaky: bool
    figures: tuple[Published, ...]


REGRESSOR = StudyModel(
    name="regressor",
    kind="value",
    target="popularity",
    encoders="SigLIP or CLIP, and DeBERTa-v3",
    caution="the best epoch was chosen on the very posts that it was measured on: optimistic",
    is_leaky=False,
    figures=(
        Published(metric="r2", value=0.2033, measured_on="best validation epoch, PixelRec", variant="SigLIP"),
        Published(metric="r2", value=0.1284, measured_on="best validation epoch, PixelRec", variant="CLIP"),
    ),
)
CATBOOST = StudyModel(
    name="CatBoost",
    kind="classes",
    target="engagement",
    encoders="CLIP",
    caution="LEAKY: among its features are the raw counters that its label is computed from",
    is_leaky=True,
    figures=(
        Published(metric="accuracy", value=0.4528, measured_on="validation"),
        Published(metric="accuracy", value=0.4318, measured_on="test"),
        Published(metric="macro_f1", value=0.2471, measured_on="test"),
        Published(metric="weighted_f1", value=0.3855, measured_on="test"),
        Published(metric="accuracy", value=0.4382, spread=0.0029, measured_on="5-fold cross-validation"),
        Published(metric="macro_f1", value=0.2530, spread=0.0022, measured_on="5-fold cross-validation"),
    ),
)
CLASSIFIER = StudyModel(
    name="BERT + ViT classifier",
    kind="classes",
    target="engagement",
    encoders="BERT and ViT",
    caution="it predicts the same class for every post",
    is_leaky=False,
    figures=(
        Published(metric="accuracy", value=0.3594, measured_on="test"),
        Published(metric="macro_f1", value=0.11, digits=2, measured_on="test"),
        Published(metric="weighted_f1", value=0.19, digits=2, measured_on="test"),
    ),
)
STUDY_MODELS = (REGRESSOR, CATBOOST, CLASSIFIER)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A figure of the study beside the same metric of a run of ours."""

    model: str
    metric: str  # its label
    published: str
    published_on: str  # posts, target and kind
    caution: str
    is_leaky: bool
    run: str
    ours: float
    ours_on: str


def set_beside(evaluation: Evaluation) -> list[Beside]:
    """Return every figure of the study beside that of every run of its kind, whatever the run's target is."""
    return [
        Beside(
            model=f"{model.name}, {one.variant}" if one.variant else model.name,
            metric=label_of(one.metric),
            published=one.text,
            published_on=f"{one.measured_on}; {model.target} as {model.kind}",
            caution=model.caution,
            is_leaky=model.is_leaky,
            run=run.name,
            ours=run.metrics[one.metric]["value"],
            ours_on=_measured_on(run, evaluation.split),
        )
        for run in evaluation.runs
        for model in STUDY_MODELS
        if model.kind == run.kind
        for one in model.figures
        if one.metric in run.metrics
    ]


def _measured_on(run: Score, split: str) -> str:
    leaky = "; LEAKY" if run.leaky else ""
    return f"{split} split, {run.rows:,} posts; {run.target} as {run.kind}{leaky}"
