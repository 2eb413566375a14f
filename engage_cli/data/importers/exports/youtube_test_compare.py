"""Results of YouTube's "Test & compare": up to three thumbnails or titles of a video, and each one's share of watch time.

Studio shows them and writes no file, so the table is typed off: a row a variant, with the video, the thumbnail's file or
the title, the watch time share, and the video's impressions and views while the test ran. Variants are shown equally often,
so each has the impressions' equal part. Its share of the views stands for the clicks, and half of it is counted: how long
people watch varies about as much as an exponential distribution, so n views tell as much as n / (1 + 1²) clicks.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engage_cli.data.cells.numbers import parse_counters, parse_scores
from engage_cli.data.importers.exports import Export, present
from engage_cli.data.tables.reading import Raw
from engage_cli.errors import EngageError

SHARES = ("Watch time share", "Share of watch time", "Watch time share (%)", "Wiedergabezeitanteil")
COLUMNS = {
    "video": ("Video", "Video ID", "Content", "Test"),
    "share": SHARES,
    "exposure": ("Impressions",),
    "views": ("Views",),
}
MORE = {"image": ("Thumbnail", "Thumbnail file", "Image"), "title": ("Title", "Video title")}
SPREAD = 1.0  # of the watch time of a view: its deviation over its mean
MOST_OFF = 2.0  # percent by which rounded shares may miss 100
EXPERIMENT, ID, CLICKS, SHOWN = "test & compare", "variant", "watched views", "shown"  # columns that are added


def read(raw: Raw) -> Export | None:
    found = present(raw.frame.columns, COLUMNS)
    if len(found) < len(COLUMNS):
        return None
    frame = raw.frame
    video = frame[found["video"]].str.strip()
    shares = _shares(frame[found["share"]], video)
    size = video.groupby(video).transform("size").to_numpy(np.float64)
    impressions, views = (_same_in_a_test(frame[found[name]], video, found[name]) for name in ("exposure", "views"))
    number = video.groupby(video).cumcount() + 1
    added = {
        EXPERIMENT: video.tolist(),
        ID: (video + "/" + number.astype(str)).tolist(),
        CLICKS: _written(shares * views / (1.0 + SPREAD**2)),
        SHOWN: _written(impressions / size),
    }
    raw.frame = pd.concat([frame, pd.DataFrame(added, index=frame.index, dtype=str)], axis=1)
    columns = {"id": ID, "experiment": EXPERIMENT, "outcome": CLICKS, "exposure": SHOWN}
    return Export(
        name="results of YouTube's Test & compare",
        columns={**columns, **present(frame.columns, MORE)},
        notes=["each share of watch time counts as that share of half the views, out of an equal part of the impressions"],
    )


def _shares(cells: pd.Series, video: pd.Series) -> np.ndarray:
    """Return (n,) shares, from percentages or from parts of 1, that sum to 1 within each test."""
    found = parse_scores(cells.str.replace("%", "", regex=False).str.strip()).values
    whole = pd.Series(found).groupby(video.to_numpy()).transform(lambda some: some.sum(skipna=False)).to_numpy()
    scale = np.where(whole > 2.0, 100.0, 1.0)
    wrong = ~(np.abs(whole / scale - 1.0) <= MOST_OFF / 100.0) | (found < 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise EngageError(
            f"row {row + 1}: the watch time shares of '{str(video.iloc[row])[:40]}' do not sum to 100 %: give a row for "
            "each of its variants, with shares such as 38.4 %"
        )
    return np.asarray(found / whole)


def _same_in_a_test(cells: pd.Series, video: pd.Series, name: str) -> np.ndarray:
    """Return (n,) a number of the whole test; it may stand in its first row alone."""
    values = pd.Series(parse_counters(cells).values).groupby(video.to_numpy())
    if (values.nunique() > 1).any():
        test = values.nunique().idxmax()
        raise EngageError(
            f"column '{name}' differs between the variants of '{str(test)[:40]}': give the value of the whole test"
        )
    return np.asarray(values.transform("first"), np.float64)


def _written(values: np.ndarray) -> list[str]:
    return ["" if value != value else f"{value:.0f}" for value in values]
