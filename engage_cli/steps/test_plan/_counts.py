"""The counts so far: a table with a row for each variant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.data.cells.numbers import parse_counters
from engage_cli.data.counter_names import is_exposure_name, plain_name
from engage_cli.data.tables.reading import read_frame
from engage_cli.errors import EngageError

CLICKS = ("clicks", "click", "outcome", "linkclicks")
SHOWN = ("exposure", "exposures", "shown", "timesshown")
NAMES = ("variant", "title", "headline", "image", "thumbnail", "cover")
LAYOUT = "columns variant (its number, title or image), impressions and clicks"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Of n variants, in their order; 0 and 0 of one that the table does not name."""

    impressions: np.ndarray  # (n,) float64, whole
    clicks: np.ndarray  # (n,)


def read_counts(path: Path, posts: pd.DataFrame) -> Counts:
    """Read the counts of variants; several rows of one, as of several days, are added up.

    A cell of `variant` is the variant's number from 1, its title, its image's name or its id. A table may name a variant by
    a title and an image in two columns.
    """
    frame = read_frame(path).frame
    names = [column for column in frame.columns if plain_name(column) in NAMES]
    clicks = [column for column in frame.columns if plain_name(column) in CLICKS]
    shown = [column for column in frame.columns if is_exposure_name(column) or plain_name(column) in SHOWN]
    if not (names and clicks and shown):
        raise EngageError(f"{path} needs the {LAYOUT}; it has: {', '.join(frame.columns)}")
    found = Counts(impressions=np.zeros(len(posts)), clicks=np.zeros(len(posts)))
    numbers = {name: _whole(frame[name], path) for name in (shown[0], clicks[0])}
    for row in range(len(frame)):
        place = _find(posts, [str(frame[name].iloc[row]).strip() for name in names], path, row)
        number, successes = numbers[shown[0]][row], numbers[clicks[0]][row]
        if successes > number:
            raise EngageError(
                f"{path}, row {row + 1}: {successes:,.0f} clicks are more than {number:,.0f} impressions; correct the row"
            )
        found.impressions[place] += number
        found.clicks[place] += successes
    return found


def _whole(cells: pd.Series, path: Path) -> np.ndarray:
    values = parse_counters(cells).values
    wrong = ~np.isfinite(values) | (np.nan_to_num(values) % 1 != 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise EngageError(
            f"{path}, column '{cells.name}', row {row + 1}: '{str(cells.iloc[row])[:40]}' is not a whole number; "
            "write counts such as 1250"
        )
    return values


def _find(posts: pd.DataFrame, cells: list[str], path: Path, row: int) -> int:
    """Return the place of the only variant that all cells name."""
    fits = np.ones(len(posts), bool)
    for cell in cells:
        images = posts["image"].str.replace("\\", "/", regex=False)
        here = (posts["title"] == cell) | (posts["image"] == cell) | (images.str.rpartition("/")[2] == cell)
        if not here.any():
            here = (posts["id"] == cell) | (pd.Series(np.arange(1, len(posts) + 1).astype(str), index=posts.index) == cell)
        fits &= here.to_numpy() & (cell != "")
    if fits.sum() != 1:
        what = "no variant" if not fits.any() else f"{int(fits.sum())} variants"
        raise EngageError(
            f"{path}, row {row + 1}: {what} of these {len(posts)} {'is' if not fits.any() else 'are'} "
            f"'{', '.join(cells)[:60]}'; name each by its number from 1, its title or its image"
        )
    return int(np.flatnonzero(fits)[0])
