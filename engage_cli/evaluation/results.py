"""What an evaluation found: runs and baselines on the same rows of one split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

from engage_cli.metrics.paired_bootstrap import Comparison, ComparisonJson

Metrics = dict[str, dict[str, float]]  # name -> value, low, high
# Of values on the test split; null where too few validation posts support such an interval, and of a baseline.
TEST, CROSS_VALIDATED = "test", "cross-validated"
OF_INTERVALS = ("coverage_80", "width_80", "coverage_95", "width_95")


class BoundsJson(TypedDict):
    """A figure and the ends of its 95 % interval; null of one that cannot be known."""

    value: float | None
    low: float | None
    high: float | None


class SliceJson(TypedDict):
    by: str
    name: str
    rows: int
    metrics: Metrics


class ScoreJson(TypedDict):
    run: str
    kind: str
    target: str
    rows: int
    leaky: bool
    metrics: Mapping[str, BoundsJson]
    slices: list[SliceJson]
    experiments: dict[str, float] | None
    warnings: list[str]


class EvaluationJson(TypedDict):
    """What `engage evaluate --json` prints, but for the files that were written."""

    split: str
    runs: list[ScoreJson]
    baselines: list[ScoreJson]
    ladder: list[ScoreJson]
    cross_validated: list[ScoreJson]
    comparisons: list[ComparisonJson]
    marks: list[str]
    note: str | None


UNKNOWN = BoundsJson(value=None, low=None, high=None)


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A run on some of the rows: those of one tag, month, author, ..."""

    by: str  # "tag"
    name: str  # "Music"; "" for posts that have none
    rows: int
    metrics: Metrics

    def to_json(self) -> SliceJson:
        return {"by": self.by, "name": self.name, "rows": self.rows, "metrics": self.metrics}


@dataclass(frozen=True, kw_only=True)
class ExperimentScore:
    """What an evaluation says of one run's variants, and what its reliability plot shows."""

    experiments: int
    variants: int
    pairs: int
    significant: int
    stories: int
    best_gain: float  # percent more clicks, had the variant with the best counts been shown
    chances: np.ndarray | None = None  # (k,) P(the counts show the first ahead); None of a baseline
    wins: np.ndarray | None = None  # (k,) 1 where they do, 0 where the second is ahead, 0.5 for a tie

    def to_json(self) -> dict[str, float]:
        names = ("experiments", "variants", "pairs", "significant", "stories", "best_gain")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Score:
    """One row of the table: a run or a baseline."""

    name: str
    kind: str  # "value" or "classes"
    target: str
    unit: str  # the target's formula, as "log1p(views)"
    metrics: Metrics
    places: np.ndarray  # (n,) which rows of the data's posts these are
    predicted: np.ndarray  # values (n,), or probabilities (n, 5)
    true: np.ndarray  # scores (n,), or classes (n,) int64
    # "80" and "95" -> low (n,) and high (n,); none of a baseline, or of a run of classes
    intervals: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    experiments: ExperimentScore | None = None  # of the variants among these posts, where the target is of experiments
    leaky: bool = False
    warnings: tuple[str, ...] = ()  # to be shown beside its figures

    @property
    def rows(self) -> int:
        return len(self.true)

    def to_json(self, *, split: str = TEST) -> ScoreJson:
        measured = OF_INTERVALS if self.kind == "value" and split == TEST else ()
        return {
            "run": self.name,
            "kind": self.kind,
            "target": self.target,
            "rows": self.rows,
            "leaky": self.leaky,
            "metrics": {**dict.fromkeys(measured, UNKNOWN), **{name: _bounds(one) for name, one in self.metrics.items()}},
            "slices": [one.to_json() for one in self.slices],
            "experiments": None if self.experiments is None else self.experiments.to_json(),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Runs, the baselines of each target and kind among them, and how they compare."""

    split: str
    runs: list[Score]
    baselines: list[Score]
    ladder: list[Score] = field(default_factory=list)  # baselines that learned differences within experiments
    cross_validated: list[Score] = field(
        default_factory=list
    )  # where test posts are too few: all, each by models without it
    comparisons: list[Comparison] = field(default_factory=list)  # with the best baseline, and of each two runs
    marks: tuple[str, ...] = ()  # of the data: what makes these figures incomparable with honest ones
    note: str = ""  # on the split

    def to_json(self) -> EvaluationJson:
        return {
            "split": self.split,
            "runs": [score.to_json(split=self.split) for score in self.runs],
            "baselines": [score.to_json(split=self.split) for score in self.baselines],
            "ladder": [score.to_json(split=self.split) for score in self.ladder],
            "cross_validated": [score.to_json(split=CROSS_VALIDATED) for score in self.cross_validated],
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "marks": list(self.marks),
            "note": self.note or None,
        }


def _bounds(figure: Mapping[str, float]) -> BoundsJson:
    return {"value": figure["value"], "low": figure["low"], "high": figure["high"]}
