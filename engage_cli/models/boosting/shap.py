"""What a boosted model's predictions rest on: SHAP contributions (Lundberg and Lee 2017), summed up by group of features.

Contributions of one post add up to its prediction's distance from the mean prediction, so a group's are the sum of its
features'. They say what the model's view rests on, not what would change a post's success.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.config.general import QUANTILE_LEVELS
from engage_cli.features.groups.age import GROWTH
from engage_cli.models.boosting.fit import MEDIAN, Rows, start_of

MOST_SHOWN = 15
UNIT_OF_CLASSES = "log-odds of the next higher class"


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one feature, or one group of features, contributes on average."""

    name: str
    group: str
    loss_change: float  # by how much the loss rises where its contributions are taken away; below 0 it hurts
    mean_abs_shap: float  # mean absolute contribution


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Contributions over some rows, summed up."""

    loss: str  # what loss_change is measured in, as "RMSE"
    unit: str  # what contributions are measured in, as "log1p(views)"
    rows: int
    groups: tuple[Share, ...]  # the largest loss_change first
    features: tuple[Share, ...]  # the same
    shown: tuple[str, ...]  # the features whose contributions are kept post by post, the largest mean first
    contributions: np.ndarray  # (rows, len(shown)) in `unit`
    ranks: np.ndarray  # (rows, len(shown)): where the post's value lies among the rows', 0 to 1; NaN for a category

    def for_people(self, labels: Mapping[str, str]) -> Attribution:
        """Return it with the features that have a label, under their labels."""
        features = [replace(one, name=labels[one.name]) for one in self.features if one.name in labels]
        return replace(self, features=tuple(features), shown=tuple(labels[name] for name in self.shown))


def attribute(
    model: Any,
    rows: Rows,
    categorical: Sequence[str],
    groups: Mapping[str, str],
    *,
    loss: str,
    unit: str,
    labelled: Collection[str],
) -> Attribution:
    """Attribute the predictions of rows. `groups` is the group of each column; of the `labelled` ones some are `shown`."""
    values, raw = _shap_values(model, rows.table, categorical)
    values, learned = values[..., :-1], learned_outputs(raw)
    toward = to_one(values, learned)
    names = list(rows.table.columns)
    before = _loss(loss, raw, rows.truth)

    def share(name: str, group: str, columns: list[int]) -> Share:
        without = raw - values[..., columns].sum(axis=-1)
        return Share(
            name=name,
            group=group,
            loss_change=_loss(loss, without, rows.truth) - before,
            mean_abs_shap=float(np.abs(toward[:, columns].sum(axis=1)).mean()),
        )

    features = [share(name, groups[name], [place]) for place, name in enumerate(names)]
    places = {
        group: [n for n, name in enumerate(names) if groups[name] == group] for group in dict.fromkeys(groups.values())
    }
    by_group = [share(group, group, columns) for group, columns in places.items() if columns]
    named = [one for one in features if one.name in labelled and one.mean_abs_shap > 0]
    shown = [one.name for one in sorted(named, key=lambda one: -one.mean_abs_shap)][:MOST_SHOWN]
    return Attribution(
        loss=loss,
        unit=unit,
        rows=len(raw),
        groups=tuple(sorted(by_group, key=lambda one: -one.loss_change)),
        features=tuple(sorted(features, key=lambda one: -one.loss_change)),
        shown=tuple(shown),
        contributions=toward[:, [names.index(name) for name in shown]],
        ranks=np.stack([_ranks(rows.table[name]) for name in shown], axis=1) if shown else np.zeros((len(raw), 0)),
    )


def contributions_of(model: Any, table: pd.DataFrame, categorical: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, F) contributions to each post's prediction, and (n,) what they start from."""
    values, raw = _shap_values(model, table, categorical)
    toward = to_one(values, learned_outputs(raw))
    return toward[:, :-1], toward[:, -1]


def _shap_values(model: Any, table: pd.DataFrame, categorical: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, F + 1), or (n, outputs, F + 1), and the raw outputs; zeros for a class that no training post had.

    CatBoost leaves such a class out of the first, and gives it minus infinity in the second. What a model of values starts
    from belongs to the column that says it.
    """
    from catboost import Pool

    pool = Pool(table, cat_features=list(categorical))
    values = np.asarray(model.get_feature_importance(data=pool, type="ShapValues"), np.float64)
    raw = np.asarray(model.predict(pool, prediction_type="RawFormulaVal"), np.float64)
    if values.ndim == 3 and values.shape[1] < raw.shape[1]:
        every = np.zeros((*raw.shape, values.shape[2]))
        every[:, learned_outputs(raw)] = values
        values = every
    if GROWTH in table and (raw.ndim == 1 or raw.shape[1] == len(QUANTILE_LEVELS)):
        start = start_of(table)
        values[..., table.columns.get_loc(GROWTH)] += start if raw.ndim == 1 else start[:, None]
        raw = raw + (start if raw.ndim == 1 else start[:, None])
    return values, raw


def learned_outputs(raw: np.ndarray) -> np.ndarray:
    """Return the places of the outputs that some training post had."""
    return np.flatnonzero(np.isfinite(raw).all(axis=0)) if raw.ndim == 2 else np.zeros(1, np.int64)


def to_one(values: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Return (n, F) contributions to one number from (n, F), or (n, outputs, F) of classes or quantiles.

    Of quantiles it is the median; of classes the slope of the learned ones' log-odds over their order: how much one step
    up gains.
    """
    if values.ndim == 2:
        return values
    if values.shape[1] == len(QUANTILE_LEVELS):
        return np.asarray(values[:, MEDIAN])
    steps = learned - learned.mean()
    return np.asarray(np.einsum("nkf,k->nf", values[:, learned], steps / (steps**2).sum()))


def _loss(name: str, raw: np.ndarray, truth: np.ndarray) -> float:
    """CatBoost's loss of raw outputs: its LossFunctionChange is the difference of two of these.

    A post of a class that no training post had tells nothing: its loss is infinite whatever the features say.
    """
    if name == "log loss":
        known = np.isin(truth, learned_outputs(raw))
        raw, truth = raw[known], truth[known]
        if not len(truth):
            return 0.0
        shifted = raw - raw.max(axis=1, keepdims=True)
        log_shares = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return float(-log_shares[np.arange(len(truth)), truth.astype(np.int64)].mean())
    if name == "RMSE":
        return float(np.sqrt(((truth - raw) ** 2).mean()))
    errors, levels = truth[:, None] - raw, np.asarray(QUANTILE_LEVELS)
    return float(np.maximum(levels * errors, (levels - 1) * errors).mean())


def _ranks(column: pd.Series) -> np.ndarray:
    """Return (n,) in 0..1; NaN where there is no number, equal values half-way between their neighbours."""
    from scipy import stats

    if column.dtype == object:
        return np.full(len(column), np.nan)
    values = column.to_numpy(np.float64)
    known = np.isfinite(values)
    ranks = np.full(len(values), np.nan)
    if known.any():
        ranks[known] = (stats.rankdata(values[known]) - 0.5) / known.sum()
    return ranks
