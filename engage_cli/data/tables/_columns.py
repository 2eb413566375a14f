"""From the source's columns to ours: by --map, by what a known export calls them, by name or alias, and by their cells."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from engage_cli.data.counter_names import counter_hinted, is_exposure_name, plain_name
from engage_cli.data.schema import (
    ALL_COUNTERS,
    CONTENT_COLUMNS,
    EXPERIMENT_COLUMNS,
    EXPOSURE,
    KNOWN_AFTER,
    OBSERVED_AT,
    OUTCOME,
    SCORE,
)
from engage_cli.data.tables._aliases import ADDRESSES, candidates, looks_like, sample_of
from engage_cli.data.tables._experiments import match_experiment
from engage_cli.data.tables.reading import Raw
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.near_names import did_you_mean

COLUMNS = (*CONTENT_COLUMNS, *EXPERIMENT_COLUMNS, OBSERVED_AT, *KNOWN_AFTER)
SCORE_NAMES = ("score", "popularity", "popularityscore", "engagementscore", "label")


@dataclass(kw_only=True)
class Matched:
    """Which column is which, and why another one is not."""

    found: dict[str, str]  # our column -> the file's
    mapped: frozenset[str]  # those of ours that the user named
    notes: list[str] = field(default_factory=list)
    addresses: str = ""  # the column of the covers' addresses


def match_columns(
    raw: Raw,
    mapping: Mapping[str, str],
    path: Path,
    *,
    known: Mapping[str, str] | None = None,
    needs_counter: bool = True,
) -> Matched:
    """Match by --map, then by `known` names (our column -> the file's), then by equal names, then by aliases.

    A name counts only where the cells look like what it says; an empty column never wins over a filled one.
    """
    columns = list(raw.frame.columns)
    _check_mapping(mapping, columns, path)
    matched = Matched(found=dict(mapping), mapped=frozenset(mapping))
    for ours, theirs in (known or {}).items():
        if ours not in matched.found and theirs in columns and theirs not in matched.found.values():
            matched.found[ours] = theirs
    _match_by_name(raw, matched)
    if needs_counter:
        match_experiment(raw, matched.found, path)
    outcomes = set(KNOWN_AFTER) - {EXPOSURE}
    if needs_counter and not outcomes & set(matched.found):
        _match_score(raw, matched)
    if needs_counter and not outcomes & set(matched.found):
        raise EngageError(_no_counter(raw, path))
    exposures = [column for column in columns if is_exposure_name(column) and column not in matched.found.values()]
    if exposures and not {"views", OUTCOME} & set(matched.found) and needs_counter:
        matched.notes.append(
            f"column '{exposures[0]}' is how often a post was shown, so it was not read as views; "
            f"to do so, give --map views={_quoted(exposures[0])}"
        )
    matched.found = {ours: matched.found[ours] for ours in COLUMNS if ours in matched.found}
    return matched


def _check_mapping(mapping: Mapping[str, str], columns: list[str], path: Path) -> None:
    for ours, theirs in mapping.items():
        if ours not in COLUMNS:
            if theirs in COLUMNS and ours in columns:
                raise WrongCallError(f"--map {ours}={theirs} is the wrong way round; write --map {theirs}={ours}")
            raise WrongCallError(f"--map names the unknown field '{ours}'; give one of: {', '.join(COLUMNS)}")
        if theirs not in columns:
            there = ", ".join(columns) + did_you_mean(theirs, columns)
            raise WrongCallError(f"--map {ours}={theirs}: {path} has no column '{theirs}'; it has: {there}")
    named = [theirs for ours, theirs in mapping.items() if ours != "image"]  # a cover may be called after the id
    if len(set(named)) < len(named):
        raise WrongCallError("--map names one column of the table twice; map each column only once")


def _match_by_name(raw: Raw, matched: Matched) -> None:
    columns = list(raw.frame.columns)
    taken = {theirs for ours, theirs in matched.found.items() if (ours, theirs) != ("image", matched.found.get("id"))}
    if "image" in matched.mapped and "id" not in matched.found:  # --map image=id leaves the ids where they are
        taken.discard(matched.found["image"])
    ranked = candidates(columns)
    samples = {column: None for names in ranked.values() for column in names}
    cells = {column: sample_of(raw.frame[column]) for column in samples}
    # Equal names of all columns before any alias: a column `text` may be nobody's description.
    for only_equal in (True, False):
        for ours in COLUMNS:
            if ours not in ranked or ours in matched.found:
                continue  # a score by --map, or where there is nothing else: a column of that name may be anything
            names = [column for column in ranked[ours] if column not in taken]
            if only_equal:
                names = [column for column in names if plain_name(column) == plain_name(ours)]
            chosen = _choose(ours, names, cells, raw, matched, is_last=not only_equal)
            if chosen:
                matched.found[ours] = chosen
                taken.add(chosen)


def _choose(
    ours: str, names: list[str], cells: Mapping[str, pd.Series], raw: Raw, matched: Matched, *, is_last: bool
) -> str | None:
    """Return the first column that is filled and looks right; one that does not only where it is alone under its name."""
    filled = [column for column in names if len(cells[column])]
    wrong = {column: looks_like(ours, cells[column], is_number=column in raw.numbers) for column in filled}
    right = [column for column in filled if not wrong[column]]
    if right:
        if (lost := names[0]) != right[0] and (what := wrong.get(lost, "nothing")):
            shown = f", as '{cells[lost].iloc[0][:30]}'" if len(cells[lost]) else ""
            matched.notes.append(f"column '{lost}' holds {what}{shown}; '{right[0]}' was read as {ours} in its place")
        return right[0]
    if not is_last or not names:
        return None
    if ours in ("image", OBSERVED_AT) or (filled and ours not in (*ALL_COUNTERS, "posted_at")):
        if filled:
            first = filled[0]
            if ours == "image" and wrong[first] == ADDRESSES:
                matched.addresses = first
            matched.notes.append(
                f"column '{first}' holds {wrong[first]}, such as '{cells[first].iloc[0][:60]}'; not read as {ours}"
            )
        return None
    return (filled or names)[0]  # to be refused, or counted, with its cells


def _match_score(raw: Raw, matched: Matched) -> None:
    for column in raw.frame.columns:
        if plain_name(column) in SCORE_NAMES and column not in matched.found.values():
            cells = sample_of(raw.frame[column])
            if len(cells) and pd.to_numeric(cells, errors="coerce").notna().mean() > 0.5:
                matched.found[SCORE] = column
                matched.notes.append(f"no counter was found, and column '{column}' was read as a ready-made score")
                return


def _no_counter(raw: Raw, path: Path) -> str:
    """Say that there is no counter, with a hint where one column looks like one by its name and its cells."""
    columns = list(raw.frame.columns)
    hint = "; name one, as in --map views=COLUMN"
    for column in columns:
        ours = counter_hinted(column)
        if ours is None and is_exposure_name(column):
            ours = "views"
        cells = sample_of(raw.frame[column])
        if ours and len(cells) and not looks_like(ours, cells, is_number=column in raw.numbers):
            hint = f"; name one, as in --map {ours}={_quoted(column)}"
            break
    there = ", ".join(columns)
    return f"{path} has no counter (views, likes, ...) that could be found by name; it has the columns: {there}{hint}"


def _quoted(column: str) -> str:
    return shlex.quote(column)
