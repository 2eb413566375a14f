"""Raw posts of one source or of several, under one set of names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pandas as pd

from engage_cli.data.cells.numbers import parse_scores
from engage_cli.data.importers import IMPORTERS, PROBLEM_COLUMNS, Import, Packed
from engage_cli.data.importers.folders import Tree, listing
from engage_cli.data.schema import DATES, EXPERIMENT, EXPOSURE, KNOWN_AFTER, OBSERVED_AT, OWN
from engage_cli.data.table_format import ColumnFormat, merge
from engage_cli.data.tables.options import AS_IT_SHOWS, DUPLICATES, ReadOptions
from engage_cli.data.tables.reading import SUFFIXES, is_table
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.near_names import did_you_mean_path
from engage_cli.progress.reporters import Reporter

AUTO = "auto"
LARGE = 20_000_000  # bytes: reading more takes seconds, so engage says so


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where posts come from: a folder or a table, and for a table where its images lie."""

    path: Path
    format: str = AUTO
    images: Path | None = None  # of a table: a folder, or an archive of one


@dataclass(frozen=True, kw_only=True)
class ImportedPosts:
    """The union of all sources: posts with the column `source`, and notes about them."""

    posts: pd.DataFrame
    images: dict[str, Path | None]  # source -> its folder or archive
    formats: dict[str, str]
    found: dict[str, dict[str, str]]  # source -> our column -> the source's
    unused: dict[str, tuple[str, ...]]
    warnings: list[str]
    problems: pd.DataFrame = field(repr=False)
    packed: dict[str, Packed]  # source -> where its images have to be written out of
    table: dict[str, ColumnFormat]  # our column -> what it is, as the first source that has it writes it
    raw: dict[str, pd.DataFrame] = field(repr=False)  # source -> its cells as they stand, of tables

    @property
    def name(self) -> str:
        return " + ".join(self.images)


def import_posts(
    sources: Sequence[Source],
    *,
    mapping: Mapping[str, str],
    keep: Sequence[str],
    split_column: str = "",
    group_column: str = "",
    options: ReadOptions = AS_IT_SHOWS,
    reporter: Reporter,
) -> ImportedPosts:
    """Read every source. With several, ids become `source:id`, and so do experiments.

    `split_column` and `group_column` are columns of the tables.
    """
    if not sources:
        raise WrongCallError(
            "name a source: --pixelrec-dir, --microlens-dir or --smpd-dir DIR, --table FILE --images-dir DIR, "
            "or a folder or file whose format is recognised"
        )
    places = [source.path.resolve() for source in sources]
    if again := [source.path for number, source in enumerate(sources) if places[number] in places[:number]]:
        raise WrongCallError(f"{again[0]} is named twice; its posts would be in several parts")
    formats = [_format_of(source) for source in sources]
    if split_column and "table" not in formats:
        near = did_you_mean_path(Path(split_column))
        raise WrongCallError(f"--split-from {split_column}: no such file (and only a table has columns to name){near}")
    if group_column and "table" not in formats:
        raise WrongCallError(f"--group {group_column}: only a table has columns to name")
    if (mapping or keep) and "table" not in formats:
        raise WrongCallError("--map and --keep belong to tables; the columns of the other formats are known")
    imports: dict[str, Import] = {}
    kinds: dict[str, str] = {}
    for source, kind in zip(sources, formats, strict=True):
        if source.path.is_file() and (size := source.path.stat().st_size) > LARGE:
            reporter.say(f"reading {source.path} ({size / 1e6:,.0f} MB)")
        imported = _read(source, kind, mapping, keep, (split_column, group_column), options)
        name, number = imported.source, 2
        while name in imports:
            name, number = f"{imported.source}-{number}", number + 1
        imports[name], kinds[name] = imported, kind
    frames, problems, warnings = [], [], []
    for name, imported in imports.items():
        posts = imported.posts.assign(source=name)
        prefix = f"{name}:" if len(imports) > 1 else ""
        if prefix:
            for column in {"id", EXPERIMENT} & set(posts):
                posts[column] = (prefix + posts[column]).where(posts[column] != "", "")
        frames.append(posts)
        warnings += [f"{name}: {warning}" if prefix else warning for warning in imported.warnings]
        if imported.problems is not None:
            problems.append(imported.problems.assign(source=name, id=prefix + imported.problems["id"].astype(str)))
    return ImportedPosts(
        posts=_union(frames),
        images={name: imported.images for name, imported in imports.items()},
        formats=kinds,
        found={name: imported.found for name, imported in imports.items()},
        unused={name: imported.unused for name, imported in imports.items()},
        warnings=warnings,
        problems=pd.concat([pd.DataFrame(columns=PROBLEM_COLUMNS), *problems])[list(PROBLEM_COLUMNS)],
        packed={name: imported.packed for name, imported in imports.items() if imported.packed is not None},
        table=merge([imported.formats for imported in imports.values()]),
        raw={name: imported.raw for name, imported in imports.items() if imported.raw is not None},
    )


def recognise(path: Path) -> str:
    """Return the format of a folder or file; raise EngageError with what was looked for and what is there."""
    if is_table(path):
        return "table"
    if not path.exists():
        raise EngageError(f"no such file or folder: {path}; check the path{did_you_mean_path(path)}")
    modules = {name: import_module(IMPORTERS[name].partition(":")[0]) for name in IMPORTERS if name != "table"}
    looked_for = "; ".join(f"{name} ({module.LAYOUT})" for name, module in modules.items())
    if not path.is_dir():
        raise EngageError(f"{path} is not a table ({', '.join(SUFFIXES)}) and no folder of a known format: {looked_for}")
    tree = Tree(path)
    fitting = [name for name, module in modules.items() if module.recognise(tree)]
    if len(fitting) > 1:
        raise EngageError(f"{path} looks like {' and like '.join(fitting)}; name one with --format")
    if not fitting:
        raise EngageError(
            f"{path} is in no known format; looked for {looked_for}; found {listing(path)}; "
            "give a table with --table FILE --images-dir DIR"
        )
    return fitting[0]


def _format_of(source: Source) -> str:
    return recognise(source.path) if source.format == AUTO else IMPORTERS.check(source.format)


def _read(
    source: Source,
    kind: str,
    mapping: Mapping[str, str],
    keep: Sequence[str],
    dividing: tuple[str, str],
    options: ReadOptions,
) -> Import:
    """Read one source; `dividing` are the columns of a table that have each post's part and its group."""
    read = IMPORTERS.load(kind)
    if kind == "table":
        imported: Import = read(
            source.path,
            images_dir=source.images,
            mapping=mapping,
            keep=keep,
            split_column=dividing[0],
            group_column=dividing[1],
            options=options,
        )
        return imported
    imported = read(source.path)
    return dataclasses.replace(imported, images=source.images, packed=None) if source.images is not None else imported


def _union(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Stack the posts; what a source has no column for is missing in its posts."""
    if len(frames) > 1:
        own = {column for frame in frames for column in frame.columns if column.startswith(OWN)}
        frames = [frame.assign(**{column: _as_words(frame[column]) for column in own & set(frame)}) for frame in frames]
        posts = pd.concat(frames, ignore_index=True)
        for column in own:  # numbers again, where every source has numbers
            numbers = parse_scores(posts[column], decimal=".")
            posts[column] = posts[column].fillna("") if numbers.unusable.any() else numbers.values
    else:
        posts = frames[0].reset_index(drop=True)
    for column in posts.columns:
        if column not in (*KNOWN_AFTER, *DATES) and not pd.api.types.is_numeric_dtype(posts[column]):
            posts[column] = posts[column].fillna("")
    return posts


def _as_words(column: pd.Series) -> pd.Series:
    """Return a kept column as text: one source may have numbers where another has words."""
    return column.map(lambda cell: "" if cell != cell else f"{cell:.15g}" if isinstance(cell, float) else cell).astype(str)


def merge_repeats(posts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the posts without rows that repeat another whole, and those rows."""
    shared = posts["id"].duplicated(keep=False)
    if not shared.any():
        return posts, posts.iloc[:0]
    content = [column for column in posts.columns if column not in ("source_row", OBSERVED_AT)]
    again = posts.loc[shared, content].duplicated()
    repeats = again.index[again]
    return posts.drop(index=repeats).reset_index(drop=True), posts.loc[repeats]


def choose_rows(posts: pd.DataFrame, duplicates: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row of each id, and the others; raise EngageError naming them where nobody said which one counts.

    A post may stand in a table once for each day that it was looked at. Where it says when, that decides which row is the
    first and which the last, else their order.
    """
    if duplicates not in DUPLICATES:
        raise WrongCallError(f"--duplicates {duplicates} is unknown; give {', '.join(DUPLICATES)}")
    shared = posts["id"].duplicated(keep=False)
    if not shared.any():
        return posts, posts.iloc[:0]
    clash = posts[shared]
    if duplicates == "error":
        rows = clash.groupby("id", sort=False)["source_row"].agg(list)
        named = "; ".join(
            f"'{str(id)[:60]}' (rows {' and '.join(map(str, numbers[:3]))})" for id, numbers in rows.head(3).items()
        )
        raise EngageError(
            f"{len(rows):,} ids belong to several different posts: {named}{'; ...' if len(rows) > 3 else ''}; "
            "make ids unique, or, if the rows are one post on several days, give --duplicates last, first or max"
        )
    if duplicates == "max":
        counter = next((column for column in KNOWN_AFTER if column in posts and clash[column].notna().any()), None)
        ranked = clash.sort_values(counter, kind="stable", na_position="first") if counter else clash
        kept = ranked.drop_duplicates("id", keep="last").index
    else:
        if OBSERVED_AT in clash:
            clash = clash.sort_values(OBSERVED_AT, kind="stable", na_position="first")
        kept = clash.drop_duplicates("id", keep="first" if duplicates == "first" else "last").index
    others = clash.index.difference(kept)
    return posts.drop(index=others).reset_index(drop=True), posts.loc[others]


def has_no_outcome(posts: pd.DataFrame) -> pd.Series:
    """Return (n,) bool: True where every counter, and the ready-made score, is missing."""
    outcomes = [column for column in KNOWN_AFTER if column in posts and column != EXPOSURE]
    return posts[outcomes].isna().all(axis=1)
