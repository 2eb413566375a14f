"""Which columns of a table hold a randomised experiment: whose variant a row is, how often it was shown, who clicked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from engage_cli.data.counter_names import is_exposure_name, plain_name
from engage_cli.data.schema import EXPERIMENT, EXPOSURE, IMAGE_ID, OUTCOME
from engage_cli.data.tables._aliases import looks_like, sample_of
from engage_cli.data.tables.reading import Raw
from engage_cli.errors import WrongCallError

EXPERIMENT_NAMES = (
    *("experiment", "experimentid", "experimentname", "clickabilitytestid", "testid", "abtestid", "abtest", "splittestid"),
    "headlinetestid",
)
OUTCOME_NAMES = ("outcome", "clicks", "click", "linkclicks", "clickcount", "numclicks")
EXPOSURE_NAMES = ("exposure", "exposures", "timesshown")  # and what counter_names knows as impressions
IMAGE_ID_NAMES = ("imageid", "eyecatcherid", "thumbnailid", "coverid")


def match_experiment(raw: Raw, found: dict[str, str], path: Path) -> None:
    """Add the columns of an experiment to those that were found (our column -> the table's).

    By name alone an experiment is recognised where a table has all three, and several rows of one experiment: exports of
    analytics have clicks and impressions too, and of no experiment.
    """
    free = [column for column in raw.frame.columns if column not in found.values()]
    names = {
        EXPERIMENT: [column for column in free if plain_name(column) in EXPERIMENT_NAMES],
        OUTCOME: [column for column in free if plain_name(column) in OUTCOME_NAMES],
        EXPOSURE: [column for column in free if is_exposure_name(column) or plain_name(column) in EXPOSURE_NAMES],
    }
    names = {ours: [theirs for theirs in columns if _fits(raw, ours, theirs)] for ours, columns in names.items()}
    asked = {ours for ours in names if ours in found}
    wanted = (EXPERIMENT, OUTCOME, EXPOSURE) if EXPERIMENT in asked or not asked else (OUTCOME, EXPOSURE)
    chosen = {ours: found.get(ours) or next(iter(names[ours]), "") for ours in wanted}
    missing = [ours for ours, theirs in chosen.items() if not theirs]
    if asked and missing:
        there = ", ".join(raw.frame.columns)
        raise WrongCallError(
            f"{path}: an experiment needs the impressions and the clicks of each variant; name the "
            f"{' and the '.join(missing)}, as in --{missing[0]} COLUMN; the table has: {there}"
        )
    if missing:
        return
    found.update(chosen)
    if EXPERIMENT in found and IMAGE_ID not in found:
        images = [column for column in free if plain_name(column) in IMAGE_ID_NAMES and column not in found.values()]
        if images:
            found[IMAGE_ID] = images[0]


def _fits(raw: Raw, ours: str, theirs: str) -> bool:
    """Say whether the cells are counts, or names of experiments of which one has several rows."""
    cells = sample_of(raw.frame[theirs])
    if cells.empty:
        return False
    if ours == EXPERIMENT:
        whole: pd.Series = raw.frame[theirs].str.strip()
        return bool(whole[whole != ""].duplicated().any())
    return not looks_like("views", cells, is_number=theirs in raw.numbers)
