"""Vectors on a common scale: moments of rows that come in parts, and rows of length 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Moments:
    """Means and deviations of rows that come in parts (Chan, Golub and LeVeque 1983)."""

    def __init__(self, width: int) -> None:
        self.num, self.mean, self.squares = 0, np.zeros(width), np.zeros(width)

    def add(self, rows: np.ndarray) -> None:
        if not len(rows):
            return
        total, away = self.num + len(rows), rows.mean(axis=0, dtype=np.float64) - self.mean
        self.mean = self.mean + away * len(rows) / total
        self.squares += rows.var(axis=0, dtype=np.float64) * len(rows) + away**2 * self.num * len(rows) / total
        self.num = total

    def scale(self) -> np.ndarray:
        """(2, P) means and deviations; a number that is nearly the same for all posts is left as it is."""
        deviation = np.sqrt(self.squares / max(self.num, 1))
        return np.stack([self.mean, np.where(deviation > 1e-6, deviation, 1.0)]).astype(np.float32)


def unit_rows(rows: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """(n, P): each part of a row divided by its length."""
    found = np.zeros(rows.shape, np.float32)
    for part in parts_of_width(widths):
        found[:, part] = rows[:, part] / np.maximum(np.linalg.norm(rows[:, part], axis=1, keepdims=True), 1e-9)
    return found


def parts_of_width(widths: Sequence[int]) -> list[slice]:
    ends = np.cumsum(widths)
    return [slice(int(end - width), int(end)) for end, width in zip(ends, widths, strict=True)]
