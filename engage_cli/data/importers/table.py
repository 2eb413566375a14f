"""Any table: its columns found by what a known export calls them, by name, by well-known alias, or by --map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from engage_cli.data.counter_names import is_counter_name
from engage_cli.data.experiments import clean_counts
from engage_cli.data.importers import Import, Packed
from engage_cli.data.importers._cover_names import find_images
from engage_cli.data.importers.exports import Export, recognise_export
from engage_cli.data.schema import GIVEN_GROUP, GIVEN_PART, KNOWN_AFTER, OBSERVED_AT, OWN, TEXT_COLUMNS
from engage_cli.data.table_format import CATEGORY, NUMBER, ColumnFormat
from engage_cli.data.tables._aliases import looks_like, sample_of
from engage_cli.data.tables._columns import match_columns
from engage_cli.data.tables._delimited import warn_of_swallowed_rows
from engage_cli.data.tables._switches import find_switches
from engage_cli.data.tables.options import AS_IT_SHOWS, ReadOptions
from engage_cli.data.tables.reading import Raw, read_frame
from engage_cli.data.tables.typed import Typed, unknown_where_switched_off
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.near_names import did_you_mean, did_you_mean_path

END_OF_TIME = pd.Timestamp("2200-01-01", tz="UTC")
KINDS = {"number": NUMBER, "category": CATEGORY}


def read_table(
    path: Path,
    *,
    images_dir: Path | None = None,
    mapping: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    split_column: str = "",
    group_column: str = "",
    options: ReadOptions = AS_IT_SHOWS,
) -> Import:
    """Read posts from one file.

    `mapping` is our column -> the file's column and wins over what is found by name; `keep` names columns of the
    file that the user declares known before publication, each with its kind where the user gives it ("code:category");
    `split_column` has the part of each post, `group_column` what no two parts may share. `images_dir` may be an archive.
    """
    if images_dir is not None and not images_dir.exists():
        raise EngageError(f"no such image folder: {images_dir}; check --images-dir{did_you_mean_path(images_dir)}")
    raw = read_frame(path, options.encoding)
    export = recognise_export(raw)
    known = dict(export.columns) if export is not None else {}
    matched = match_columns(raw, mapping or {}, path, known=known)
    kept = _kept(keep, raw, matched.found, path)
    there = ", ".join(raw.frame.columns)
    if split_column and split_column not in raw.frame.columns:
        near = did_you_mean(split_column, raw.frame.columns) or did_you_mean_path(Path(split_column))
        raise WrongCallError(
            f"--split-from {split_column}: no such file, and {path} has no such column; it has: {there}{near}"
        )
    if group_column and group_column not in raw.frame.columns:
        near = did_you_mean(group_column, raw.frame.columns)
        raise WrongCallError(f"--group {group_column}: {path} has no such column; it has: {there}{near}")
    notes = [*raw.notes, *_say_export(export, path), *matched.notes]
    if raw.delimiter:
        notes += warn_of_swallowed_rows(raw.frame, matched.found, raw.delimiter, path)
    lone = [ours for ours in KNOWN_AFTER if ours in matched.found]
    typed = Typed(
        raw.frame,
        matched.found,
        path,
        list(kept),
        options=options,
        orders=export.date_orders if export is not None else None,
        numbers=raw.numbers,
        must=matched.mapped | (frozenset(lone) if len(lone) == 1 else frozenset()),
        kinds=kept,
    )
    posts = typed.posts
    switches = find_switches(raw.frame.columns)
    notes += unknown_where_switched_off(posts, raw.frame, switches)
    if split_column:
        posts[GIVEN_PART] = raw.frame[split_column].str.strip()
    if group_column:
        posts[GIVEN_GROUP] = raw.frame[group_column].str.strip()
    said, problems = clean_counts(posts)
    notes += said
    packed = Packed(table=path, column=raw.images[0]) if raw.images else None
    if options.fetch_images:
        if not matched.addresses:
            raise EngageError(
                f"--fetch-images: {path} has no column with addresses of images; name it with --map image=COLUMN"
            )
        packed = Packed(addresses=tuple(raw.frame[matched.addresses].str.strip()))
        posts["image"], images_dir = "", path
    elif packed is not None:
        posts["image"], images_dir = "", path
    elif images_dir is not None and images_dir.is_dir():
        posts["image"], said = find_images(posts, images_dir, matched.found)
        notes += said
    elif "image" not in posts:
        posts["image"] = posts["id"] if images_dir is not None else ""  # in an archive, under any suffix
    used = (*matched.found.values(), *kept, *switches, split_column, group_column)
    return Import(
        posts=posts,
        source=path.name,
        images=images_dir,
        found=matched.found,
        unused=tuple(column for column in raw.frame.columns if column not in used),
        warnings=(*notes, *typed.notes),
        problems=pd.concat([typed.problems, problems], ignore_index=True),
        formats=typed.formats,
        packed=packed,
        raw=raw.frame,
    )


def _kept(keep: Sequence[str], raw: Raw, found: Mapping[str, str], path: Path) -> dict[str, str]:
    """Return the kept columns -> the kind that the user gives ("" where none is given)."""
    kept: dict[str, str] = {}
    for asked in keep:
        column, _, kind = asked.rpartition(":")
        if asked in raw.frame.columns or kind not in KINDS:
            column, kind = asked, ""
        if column not in raw.frame.columns:
            there = ", ".join(raw.frame.columns)
            near = did_you_mean(column, raw.frame.columns)
            raise WrongCallError(f"--keep {asked}: {path} has no such column; it has: {there}{near}")
        ours = next((ours for ours, theirs in found.items() if theirs == column), None)
        if ours in KNOWN_AFTER or (is_counter_name(column) and _holds_counts(raw, column)):
            raise WrongCallError(f"--keep {column}: that is a counter, known only after publication; leave it out")
        if ours is not None:
            raise WrongCallError(f"--keep {column}: {path} has it as '{ours}', which is kept anyway")
        kept[column] = KINDS.get(kind, "")
    return kept


def _holds_counts(raw: Raw, column: str) -> bool:
    """A column called `comment` may hold words, which are not a count."""
    cells = sample_of(raw.frame[column])
    return cells.empty or not looks_like("views", cells, is_number=column in raw.numbers)


def _say_export(export: Export | None, path: Path) -> list[str]:
    return [] if export is None else [f"{path.name} was read as {export.name}: {note}" for note in export.notes]


def read_unpublished(
    path: Path,
    *,
    images_dir: Path | None,
    mapping: Mapping[str, str],
    reads: Sequence[str],
    known: Mapping[str, ColumnFormat] | None = None,
    options: ReadOptions = AS_IT_SHOWS,
) -> Import:
    """Read posts that are to be predicted; of counters, and of columns of the user's own, only those that a run `reads`.

    `known` is what the columns of the run's own table are: a column of the same name is read as it was there. They may be
    published at any time to come.
    """
    if images_dir is not None and not images_dir.is_dir():
        raise EngageError(f"no such image folder: {images_dir}; check --images-dir{did_you_mean_path(images_dir)}")
    known = known or {}
    raw = read_frame(path, options.encoding)
    export = recognise_export(raw)
    names = {ours: column.name for ours, column in known.items() if not ours.startswith(OWN)}
    if export is not None:
        names = {**export.columns, **{ours: name for ours, name in names.items() if name in raw.frame.columns}}
    matched = match_columns(raw, mapping, path, known=names, needs_counter=False)
    hidden = (*KNOWN_AFTER, OBSERVED_AT)  # of posts to come
    found = {ours: theirs for ours, theirs in matched.found.items() if ours not in hidden or ours in reads}
    if not set(found) & {"image", *TEXT_COLUMNS} and images_dir is None:
        raise EngageError(
            f"{path} has no column with an image or a text that could be found by name; it has the columns: "
            f"{', '.join(raw.frame.columns)}; name one, as in --map title=COLUMN"
        )
    own = [name.removeprefix(OWN) for name in reads if name.startswith(OWN)]
    keep = [name for name in own if name in raw.frame.columns]
    notes = [*raw.notes, *_say_export(export, path), *matched.notes]
    if raw.delimiter:
        notes += warn_of_swallowed_rows(raw.frame, found, raw.delimiter, path)
    typed = Typed(
        raw.frame,
        found,
        path,
        keep,
        now=END_OF_TIME,
        options=options,
        orders=export.date_orders if export is not None else None,
        numbers=raw.numbers,
        known=known,
    )
    posts = typed.posts
    posts["id"] = posts["id"].mask(posts["id"] == "", "row" + posts["source_row"].astype(str))
    if images_dir is not None:
        posts["image"], said = find_images(posts, images_dir, found)
        notes += said
    elif "image" not in posts:
        posts["image"] = ""
    return Import(
        posts=posts,
        source=path.stem,
        images=images_dir,
        found=found,
        unused=tuple(column for column in raw.frame.columns if column not in (*found.values(), *keep)),
        warnings=(*notes, *typed.notes),
        problems=typed.problems,
        formats=typed.formats,
    )
