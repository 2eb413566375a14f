"""Predictions that have stopped to depend on the post: a training's most common failure, in words."""

from __future__ import annotations

import numpy as np

from engage_cli.config.general import CLASS_NAMES

FEWEST_POSTS = 10
CALLED, TRUE = 0.95, 0.80  # shares of posts: called one class, and truly of that class
SPREAD = 0.03  # standard deviation of the predictions over that of the truth


def find_collapse(kind: str, true: np.ndarray, predicted: np.ndarray) -> str | None:
    """Return a sentence on what collapsed and what to try, or None; `predicted` is values (n,) or probabilities (n, 5)."""
    if len(true) < FEWEST_POSTS:
        return None
    return _of_values(true, predicted) if kind == "value" else _of_classes(true, predicted)


def _of_classes(true: np.ndarray, predicted: np.ndarray) -> str | None:
    counts = np.bincount(predicted.argmax(axis=1), minlength=len(CLASS_NAMES))
    label = int(counts.argmax())
    called, share = int(counts[label]), float((true == label).mean())
    if called < CALLED * len(true) or share >= TRUE:
        return None
    words = "all validation posts" if called == len(true) else f"{100 * called // len(true)} % of the validation posts"
    return (
        f"{words} are predicted as '{CLASS_NAMES[label]}' ({100 * share:.0f} % are): the classifier has collapsed; try a "
        "smaller --learning-rate, more --warmup, --class-weights balanced or --objective ordinal"
    )


def _of_values(true: np.ndarray, predicted: np.ndarray) -> str | None:
    spread, wanted = float(np.std(predicted, dtype=np.float64)), float(np.std(true, dtype=np.float64))
    if not spread < SPREAD * wanted:
        return None
    return (
        f"the validation posts are all predicted at about {float(np.mean(predicted, dtype=np.float64)):.3g}, with "
        f"{100 * spread / wanted:.1f} % of the true spread: the regressor has collapsed; try a smaller --learning-rate, "
        "more --warmup, less --dropout or other --blocks"
    )
