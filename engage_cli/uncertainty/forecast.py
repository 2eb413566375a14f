"""Predictions with their uncertainty, in the units that people think in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError
from engage_cli.io.records import record
from engage_cli.models.predictions import Differences, Predictions
from engage_cli.models.predictor import Predictor, difference_of
from engage_cli.runs.records import AGAIN, read_run_record, write_run_record
from engage_cli.runs.run_folder import Run
from engage_cli.uncertainty.conformal import Calibration
from engage_cli.uncertainty.difference_error import DifferenceError
from engage_cli.uncertainty.error_correlation import Correlation
from engage_cli.uncertainty.neighbours import VECTORS_FILE, Neighbours, load_neighbours

CALIBRATION_FILE, CALIBRATION_KIND = "calibration.json", "run calibration"
INTERVALS = {"80": 0.8, "95": 0.95}


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Of n posts."""

    value: np.ndarray | None  # (n,) in the target's own unit; None of a run of classes
    count: np.ndarray | None  # (n,) the value as a count, where the target is the log of one
    percentile: np.ndarray  # (n,) 0..100, among the posts that the target was fitted on
    # "80" and "95": (n,) low and high; none of a run of classes, nor where too few validation posts support it
    intervals: dict[str, tuple[np.ndarray, np.ndarray]]
    classes: np.ndarray  # (n,) int64: the most probable class
    probabilities: np.ndarray  # (n, 5) calibrated
    distance: np.ndarray | None  # (n,) to the nearest training posts; None for a run that reads no vectors
    far_in: dict[str, np.ndarray]  # block -> (n,) bool: in it the post is like none that the run learned from
    # (n,) what intervals can be fitted to anew: the model's own value, uncalibrated, and its spread; None of classes
    point: np.ndarray | None = None
    spread: np.ndarray | None = None

    @property
    def is_far(self) -> np.ndarray:
        """(n,) bool, in any block."""
        return _any_of(self.far_in, len(self))

    def take(self, rows: slice) -> Forecast:
        """Return that of some posts."""

        def of(part: np.ndarray | None) -> np.ndarray | None:
            return None if part is None else part[rows]

        return Forecast(
            value=of(self.value),
            count=of(self.count),
            percentile=self.percentile[rows],
            intervals={name: (low[rows], high[rows]) for name, (low, high) in self.intervals.items()},
            classes=self.classes[rows],
            probabilities=self.probabilities[rows],
            distance=of(self.distance),
            far_in={block: far[rows] for block, far in self.far_in.items()},
            point=of(self.point),
            spread=of(self.spread),
        )

    def __len__(self) -> int:
        return len(self.percentile)


@dataclass(frozen=True, kw_only=True)
class UncertaintyModel:
    """All that a run folder knows of how sure its predictions are."""

    target: Target
    calibration: Calibration
    correlation: Correlation
    neighbours: Neighbours | None
    differences: DifferenceError | None = None  # None of a run of classes, or of an earlier release

    def forecast(self, predictions: Predictions) -> Forecast:
        """Say what predictions mean.

        Where a post is far from all that was learned from, residuals of ordinary posts promise too much: an interval is
        widened to hold that of all training posts too, and probabilities go half-way to those of all training posts.

        The class that is named is the most probable one, of a value too: to name the class in which the value lies would be
        right less often, and would contradict the probabilities beside it wherever the errors are wider than a class.
        """
        target, probabilities = self.target, self._probabilities(predictions)
        distance, far_in = self.distance(predictions), {}
        if predictions.vectors is not None and self.neighbours is not None:
            far_in = self.neighbours.far(predictions.vectors)
        far = _any_of(far_in, len(predictions))
        shares = np.asarray(target.class_shares)
        probabilities[far] = (probabilities[far] + shares) / 2
        classes = probabilities.argmax(axis=1).astype(np.int64)
        if predictions.value is None:
            return Forecast(
                value=None,
                count=None,
                percentile=self._percentile_of_classes(probabilities),
                intervals={},
                classes=classes,
                probabilities=probabilities,
                distance=distance,
                far_in=far_in,
            )
        value = self.calibration.middle(predictions)
        counts = target.counts(value)
        if counts is not None and not np.isfinite(counts).all():
            raise EngageError(f"the run predicts counts that are not finite; {AGAIN}")
        return Forecast(
            value=value,
            count=None if counts is None else np.maximum(0.0, counts),
            percentile=target.percentile(value),
            intervals={
                name: self._interval(predictions, share, far)
                for name, share in INTERVALS.items()
                if self.calibration.supports(share)
            },
            classes=classes,
            probabilities=probabilities,
            distance=distance,
            far_in=far_in,
            point=predictions.value,
            spread=self.calibration.spread(predictions),
        )

    def main(self, predictions: Predictions) -> np.ndarray:
        """(n,) the number by which posts are compared: the value, or the percentile of classes, however far they are."""
        if predictions.value is not None:
            return self.calibration.middle(predictions)
        return self._percentile_of_classes(self._probabilities(predictions))

    def _probabilities(self, predictions: Predictions) -> np.ndarray:
        found = self.calibration.probabilities(predictions, self.target.cuts)
        return self.calibration.smoothed(found, self.target.class_shares)

    def _percentile_of_classes(self, probabilities: np.ndarray) -> np.ndarray:
        """A class stands for the middle of its stretch of the training posts."""
        shares = np.asarray(self.target.class_shares)
        return np.asarray(100 * probabilities @ (np.cumsum(shares) - shares / 2))

    def distance(self, predictions: Predictions) -> np.ndarray | None:
        if self.neighbours is None or predictions.vectors is None:
            return None
        return self.neighbours.distance(predictions.vectors)

    def points(self, predictions: Predictions) -> np.ndarray | None:
        if self.neighbours is None or predictions.vectors is None:
            return None
        return self.neighbours.place(predictions.vectors)

    def true_differences(
        self,
        predictor: Predictor,
        posts: pd.DataFrame,
        source: Any,
        predictions: Predictions,
        pairs: tuple[np.ndarray, np.ndarray],
    ) -> Differences | None:
        """Return what the first of each pair of posts truly differs by from the second, in the target's own unit.

        `pairs` are places (k,) and (k,) among the posts, which `predictor` gave the predictions of. None of classes, and of
        a run that kept nothing of differences.
        """
        if self.differences is None:
            return None
        said, points = difference_of(predictor, posts, source, *pairs), self.points(predictions)
        if said is None:
            return None
        away = None if points is None else np.linalg.norm(points[pairs[0]] - points[pairs[1]], axis=1)
        return self.differences.of(said, away)

    def _interval(self, predictions: Predictions, share: float, far: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.calibration.interval(predictions, share)
        least, most = np.interp(
            [0.5 - share / 2, 0.5 + share / 2], np.linspace(0, 1, len(self.target.quantiles)), self.target.quantiles
        )
        return np.where(far, np.minimum(low, least), low), np.where(far, np.maximum(high, most), high)


@record
class SavedUncertainty:
    """calibration.json."""

    calibration: Calibration
    correlation: Correlation
    has_neighbours: bool
    differences: DifferenceError | None = None


def save_uncertainty(
    folder: Path,
    calibration: Calibration,
    correlation: Correlation,
    differences: DifferenceError | None = None,
    *,
    has_neighbours: bool,
) -> None:
    saved = SavedUncertainty(
        calibration=calibration.rounded(),
        correlation=correlation,
        differences=differences,
        has_neighbours=has_neighbours,
    )
    write_run_record(folder / CALIBRATION_FILE, saved, CALIBRATION_KIND)


def save_recalibrated(run: Run, folder: Path, calibration: Calibration) -> None:
    """Write what a run knows of its errors into another folder, with another calibration."""
    saved = replace(_read_saved(run), calibration=calibration.rounded())
    write_run_record(folder / CALIBRATION_FILE, saved, CALIBRATION_KIND)


def load_uncertainty(run: Run) -> UncertaintyModel:
    """Read what a run knows of its errors; raise EngageError where that is damaged."""
    saved = _read_saved(run)
    return UncertaintyModel(
        target=run.target,
        calibration=saved.calibration,
        correlation=saved.correlation,
        neighbours=load_neighbours(run.open(VECTORS_FILE)) if saved.has_neighbours else None,
        differences=saved.differences,
    )


def _read_saved(run: Run) -> SavedUncertainty:
    path = run.open(CALIBRATION_FILE)
    saved = read_run_record(path, SavedUncertainty, CALIBRATION_KIND)
    calibration = saved.calibration
    if calibration.kind != run.kind or (calibration.kind == "value") != bool(calibration.residuals):
        raise EngageError(f"{path}: the calibration does not fit a run that predicts {run.kind}; {AGAIN}")
    return saved


def _any_of(masks: dict[str, np.ndarray], num: int) -> np.ndarray:
    return np.asarray(np.any([np.zeros(num, bool), *masks.values()], axis=0))
