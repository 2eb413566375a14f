"""Posts on their way through `prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(kw_only=True)
class Draft:
    """Posts on their way through the step, with all notes about them."""

    posts: pd.DataFrame
    num_read: int
    warnings: list[str]
    problems: list[pd.DataFrame]
    marks: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    images: dict[str, Path | None] = field(default_factory=dict)  # source -> the folder its images lie in
    perceptual: list[bytes] | None = None

    def leave_out(self, rows: pd.Series, reason: str) -> None:
        if not rows.any():
            return
        self.left_out[reason] = int(rows.sum())
        self.note_problems(rows.to_numpy(), [f"left out: {reason}"] * int(rows.sum()))
        kept = ~rows.to_numpy()
        if self.perceptual is not None:
            self.perceptual = [found for found, keep in zip(self.perceptual, kept, strict=True) if keep]
        self.posts = self.posts[kept].reset_index(drop=True)

    def note_left_out(self, rows: pd.DataFrame, reason: str) -> None:
        """Count rows that are gone from the posts already, and name them."""
        if len(rows):
            self.left_out[reason] = len(rows)
            named = rows.rename(columns={"source_row": "row"}).assign(problem=f"left out: {reason}")
            self.problems.append(named[["source", "row", "id", "problem"]])

    def note_problems(self, rows: np.ndarray, problems: Sequence[str]) -> None:
        some = self.posts.loc[rows, ["source", "source_row", "id"]]
        self.problems.append(some.rename(columns={"source_row": "row"}).assign(problem=list(problems)))
