"""Randomised experiments among the posts: variants of one post, shown at random, of which counts are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.data.schema import EXPERIMENT, EXPOSURE, IMAGE_ID, OUTCOME, TEXT_COLUMNS
from engage_cli.data.targets.target import Target

NONE = -1  # the experiment of a post that is in none


@dataclass(frozen=True, kw_only=True)
class ExperimentArrays:
    """What a trainer is given beside the target, of n posts; never a feature."""

    experiment: np.ndarray  # (n,) int64: equal for the variants of one experiment, -1 for a post in none
    noise: np.ndarray  # (n,) float64: the known variance of each target's error, 0 where nothing is known of it
    exposure: np.ndarray  # (n,) float64: how often each was shown; NaN where that is not known

    @property
    def any(self) -> bool:
        """Whether two of the posts are variants of one experiment."""
        return bool((np.bincount(self.experiment[self.experiment >= 0], minlength=1) > 1).any())


def experiment_arrays(posts: pd.DataFrame, target: Target) -> ExperimentArrays:
    """Return what is known of the posts' experiments; of a target without known errors, as views, the noise is 0."""
    noise = target.noise(posts)
    has_counts = EXPOSURE in posts
    return ExperimentArrays(
        experiment=experiment_codes(posts),
        noise=np.zeros(len(posts)) if noise is None else np.nan_to_num(noise, nan=0.0),
        exposure=posts[EXPOSURE].to_numpy(np.float64) if has_counts else np.full(len(posts), np.nan),
    )


def experiment_codes(posts: pd.DataFrame) -> np.ndarray:
    """Return (n,) int64, equal for the variants of one experiment, -1 for a post in none."""
    if EXPERIMENT not in posts:
        return np.full(len(posts), NONE, np.int64)
    names = posts[EXPERIMENT].fillna("")
    return np.asarray(pd.factorize(names.where(names != "", None))[0], np.int64)


def centred(values: np.ndarray, experiment: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return (n,) values less the weighted mean of their experiment's; of posts in none, less the mean of those."""
    weights = np.ones(len(values)) if weights is None else weights
    codes = experiment + 1
    sums = np.bincount(codes, weights=weights * values)
    return np.asarray(values - (sums / np.maximum(np.bincount(codes, weights=weights), 1e-300))[codes])


def clean_counts(posts: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Make counts unknown that cannot be: more clicks than were shown, or shown to nobody. In place.

    Return notes, and row, id and problem of each.
    """
    empty = pd.DataFrame({"row": pd.Series(dtype=int), "id": pd.Series(dtype=str), "problem": pd.Series(dtype=str)})
    if OUTCOME not in posts or EXPOSURE not in posts:
        return [], empty
    notes, problems = [], [empty]
    for rows, what in (
        (posts[OUTCOME] > posts[EXPOSURE], "more outcomes than it was shown"),
        (posts[EXPOSURE] == 0, "shown to nobody"),
    ):
        if not rows.any():
            continue
        some = posts.loc[rows, ["source_row", "id"]].rename(columns={"source_row": "row"})
        problems.append(some.assign(problem=f"{what}: its counts are taken as unknown"))
        notes.append(
            f"{int(rows.sum()):,} variants have {what}, and count as unknown (first in row {some['row'].iloc[0]})"
            if what.startswith("more")
            else f"{int(rows.sum()):,} variants were {what}, and count as unknown (first in row {some['row'].iloc[0]})"
        )
        posts.loc[rows, [OUTCOME, EXPOSURE]] = np.nan
    if EXPERIMENT in posts:
        sizes = posts.loc[posts[EXPERIMENT] != "", EXPERIMENT].value_counts()
        notes.append(f"{len(sizes):,} experiments with {int(sizes.sum()):,} variants")
        if alone := int((sizes == 1).sum()):
            notes.append(f"{alone:,} experiments have only one variant, so there is nothing to compare")
    return notes, pd.concat(problems, ignore_index=True)


def variant_names(posts: pd.DataFrame) -> pd.Series:
    """Return (n,) what a model can see of each variant: equal for packages of one experiment that look alike to it.

    Packages that differ in an image of which there is no file are alike to every model, and told apart by the image's id
    alone; their counts may be added up.
    """
    parts = [posts[EXPERIMENT], *(posts[column] for column in TEXT_COLUMNS), posts["image_hash"]]
    joined = parts[0].astype(str)
    for part in parts[1:]:
        joined = joined + "\0" + part.fillna("").astype(str)
    return joined


def image_ids(posts: pd.DataFrame) -> np.ndarray:
    """Return (n,) int64, equal where two posts have the same image, by its id or its bytes; -1 where it has none.

    For models with an effect of each image. It is no feature: of an image that was never seen its id says nothing.
    """
    ids = posts[IMAGE_ID].fillna("") if IMAGE_ID in posts else pd.Series("", index=posts.index)
    ids = ids.where(ids != "", posts["image_hash"].fillna(""))
    return np.asarray(pd.factorize(ids.where(ids != "", None))[0], np.int64)
