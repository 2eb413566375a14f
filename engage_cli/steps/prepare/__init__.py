"""Raw posts become a data folder: checked, split, with targets fitted on the training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli import __version__
from engage_cli.config.general import DATA_MARK
from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.ages import add_age, age_in_days, parse_days
from engage_cli.data.authors.history import add_history
from engage_cli.data.dataset import (
    LOCK,
    PROBLEMS_FILE,
    REPORT_FILE,
    Dataset,
    finish_dataset,
    save_posts,
)
from engage_cli.data.dataset_meta import MARKER, DatasetMeta, RowCounts, SourceMeta, fingerprint_of
from engage_cli.data.importers import PROBLEM_COLUMNS
from engage_cli.data.plausibility import empty_parts, implausible_counters, mostly_unusable_covers
from engage_cli.data.quality import Quality, summarise
from engage_cli.data.schema import KNOWN_AFTER, TEXT_COLUMNS, is_known_before, table_columns
from engage_cli.data.split_names import SPLITS
from engage_cli.data.splits import parse_fractions
from engage_cli.data.tables.typed import NO_ID
from engage_cli.data.target_names import TARGETS
from engage_cli.data.targets.target import Target, dropped_terms, fit_target
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.evaluation.evidence import warn_of_few
from engage_cli.images.decode import read_same
from engage_cli.io.csv_cells import csv_of_rows
from engage_cli.io.files import half_written_of, sweep, write_json, write_text
from engage_cli.io.locks import hold_lock
from engage_cli.io.own_folders import own_data
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.reports.data_quality import render_quality
from engage_cli.steps.prepare._draft import Draft
from engage_cli.steps.prepare._split import split_posts
from engage_cli.steps.prepare.images import check_images_of, count_problems
from engage_cli.steps.prepare.import_posts import (
    ImportedPosts,
    Source,
    choose_rows,
    has_no_outcome,
    import_posts,
    merge_repeats,
)
from engage_cli.steps.prepare.understand import Understood, describe, options_of


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A finished data folder, and what was found on the way."""

    dataset: Dataset
    quality: Quality
    understood: Sequence[Understood]


def prepare(
    config: PrepareConfig,
    *,
    folder: Path,
    sources: Sequence[Source],
    mapping: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    with_images: bool = True,
    overwrite: bool = False,
    show: Callable[[Sequence[Understood]], None] | None = None,
    reporter: Reporter | None = None,
) -> Prepared:
    """Import posts and write the data folder. `keep` names columns of tables that are known before publication.

    `show` is given what was understood of the sources before anything is written.
    """
    reporter = reporter or SilentReporter()
    fractions = parse_fractions(config.fractions)
    _check_config(config)
    if config.min_age:
        parse_days(config.min_age, "--min-age")
    _check_folder(folder, sources, overwrite=overwrite)
    split_column = config.split_from if config.split_from and not Path(config.split_from).is_file() else ""
    options = options_of(config)
    imported = import_posts(
        sources,
        mapping=mapping or {},
        keep=keep,
        split_column=split_column,
        group_column=config.group,
        options=options,
        reporter=reporter,
    )
    understood = describe(imported)
    if show is not None:
        show(understood)
    draft = _start(imported, config)
    with hold_lock(folder / LOCK, taken=f"another process is preparing {folder}; wait for it to end"):
        _check_folder(folder, sources, overwrite=overwrite)  # another call may have finished since
        _claim(folder)
        check_images_of(draft, imported, config, folder, with_images=with_images, reporter=reporter)
        draft.leave_out(
            (draft.posts["image_problem"] != "") & (draft.posts[list(TEXT_COLUMNS)] == "").all(axis=1),
            "no image and no text",
        )
        if draft.posts.empty:
            raise EngageError(f"no usable post in {imported.name}: {_join(draft.left_out)}")
        split = split_posts(draft, config, fractions)
        reporter.say("fitting targets and checking for leaks")
        draft.posts = add_history(draft.posts)
        targets, unavailable = _fit_targets(draft, config, imported.name)
        quality = summarise(draft.posts, targets)
        draft.warnings += [
            *warn_of_few(vars(split.rows)),
            *_leaks(quality),
            *implausible_counters(draft.posts),
            *mostly_unusable_covers(draft.posts),
            *empty_parts(draft.posts, targets),
        ]
        posts = draft.posts[table_columns(draft.posts.columns)]
        files = save_posts(folder, posts)
        meta = DatasetMeta(
            engage=__version__,
            source=imported.name,
            sources=_describe_sources(imported, draft),
            table=imported.table,
            columns={column: "before" if is_known_before(column) else "after" for column in posts.columns},
            config=config,
            rows=RowCounts(read=draft.num_read, kept=len(posts), left_out=draft.left_out),
            missing={column: int((posts[column] == "").sum()) for column in TEXT_COLUMNS},
            image_problems=count_problems(posts),
            split=split,
            targets=targets,
            targets_unavailable=unavailable,
            correlations_with_views=quality.correlations,
            probes=quality.probes,
            warnings=tuple(draft.warnings),
            marks=tuple(draft.marks),
            files=files,
            fingerprint=fingerprint_of(files, targets),
        )
        _write_problems(folder, draft)
        page = render_quality(quality, meta, targets, posts, lambda row: _read_image(posts, draft.images, row))
        write_text(folder / REPORT_FILE, page)
        return Prepared(dataset=finish_dataset(folder, meta), quality=quality, understood=understood)


def _check_config(config: PrepareConfig) -> None:
    if config.fit_target_on not in ("train", "all"):
        raise WrongCallError(f"--fit-target-on {config.fit_target_on} is unknown; give train or all")
    if config.split != "auto":
        SPLITS.check(config.split)
    if bool(config.split_from) != (config.split == "file"):
        raise WrongCallError("--split file and --split-from FILE or COLUMN belong together")


def _check_folder(folder: Path, sources: Sequence[Source], *, overwrite: bool) -> None:
    """Stop where the folder holds what is not ours, or a finished dataset that nobody asked to replace."""
    if folder.exists() and not folder.is_dir():
        raise EngageError(f"{folder} is a file; name an empty or new folder with --data")
    for source in sources:
        if source.path.resolve().is_relative_to(folder.resolve()):
            raise EngageError(f"{source.path} lies inside the data folder {folder}; name another folder with --data")
    if (folder / MARKER).exists() and not overwrite:
        raise EngageError(f"{folder} is a finished data folder; give --overwrite to replace it, or another --data")
    if folder.exists() and not (folder / DATA_MARK).exists():
        others = sorted(
            entry.name for entry in folder.iterdir() if entry.name != LOCK and half_written_of(entry.name) != DATA_MARK
        )
        if others:
            raise EngageError(f"{folder} holds other files ({others[0]}); name an empty or new folder with --data")


def _claim(folder: Path) -> None:
    """Say that the folder is ours, before anything else is written; remove half-written files of a killed call."""
    write_json(own_data(folder).place(DATA_MARK), {"engage": __version__})
    sweep(folder)


def _start(imported: ImportedPosts, config: PrepareConfig) -> Draft:
    draft = Draft(
        posts=imported.posts,
        num_read=len(imported.posts),
        warnings=imported.warnings,
        problems=[imported.problems],
    )
    draft.leave_out(draft.posts["id"] == "", NO_ID)
    draft.posts, repeats = merge_repeats(draft.posts)
    draft.note_left_out(repeats, "the same row again")
    draft.posts, others = choose_rows(draft.posts, config.duplicates)
    draft.note_left_out(others, f"another row of the same id (--duplicates {config.duplicates})")
    draft.leave_out(has_no_outcome(draft.posts), "every counter missing")
    draft.leave_out(_is_too_young(draft.posts, config.min_age), f"counters read within {config.min_age} of publication")
    draft.posts, notes = add_age(draft.posts)
    draft.warnings += notes
    if draft.posts.empty:
        raise EngageError(f"no usable post in {imported.name}: {_join(draft.left_out)}")
    return draft


def _is_too_young(posts: pd.DataFrame, min_age: str) -> pd.Series:
    """Return (n,) bool; raise EngageError where a least age is given and no post has one."""
    days = age_in_days(posts)
    if min_age and np.isnan(days).all():
        raise EngageError(
            f"--min-age {min_age}: no post says when it was published and when its counters were read; name the columns "
            "with --map posted_at=COLUMN,observed_at=COLUMN"
        )
    return pd.Series(days < (parse_days(min_age, "--min-age") if min_age else 0.0), index=posts.index)


def _fit_targets(draft: Draft, config: PrepareConfig, name: str) -> tuple[dict[str, Target], dict[str, str]]:
    numbers = draft.posts.select_dtypes("number")  # all that a formula may look at
    fit_rows = numbers if config.fit_target_on == "all" else numbers[(draft.posts["split"] == "train").to_numpy()]
    fit_rows = fit_rows.drop(columns=[c for c in KNOWN_AFTER if c in fit_rows and fit_rows[c].isna().all()])
    targets: dict[str, Target] = {}
    unavailable: dict[str, str] = {}
    for target in TARGETS:
        try:
            targets[target] = fit_target(target, fit_rows, fit_on=config.fit_target_on)
        except EngageError as error:
            unavailable[target] = str(error)
    if not targets:
        raise EngageError(f"no target can be computed from {name}: {'; '.join(unavailable.values())}")
    for dropped, names in dropped_terms(targets, fit_rows).items():
        draft.warnings.append(f"no column {dropped}: the formulas of {', '.join(names)} leave it out")
    for fitted in targets.values():
        draft.warnings += fitted.warnings
        without = int((~np.isfinite(fitted.score(draft.posts))).sum())
        if without:
            draft.warnings.append(f"target {fitted.name}: {without:,} posts lack what it needs and are left out of it")
    if config.fit_target_on == "all":
        draft.marks.append("targets were fitted on all rows, test rows included (--fit-target-on all, the study's way)")
    return targets, unavailable


def _leaks(quality: Quality) -> list[str]:
    return [
        f"column '{one.name}' alone predicts {one.target} with R² {one.r2:.2f} on held-out posts: "
        "is it really known before publication? If not, leave it out or map another column"
        for one in quality.probes
        if one.is_suspicious
    ] + [
        f"target {one.target}: the date alone predicts it with R² {one.r2:.2f} on held-out posts: the account grew or "
        "shrank, or older posts had longer to gather it; a split by time shows how much is left to predict"
        for one in quality.probes
        if one.tells_of_age
    ]


def _describe_sources(imported: ImportedPosts, draft: Draft) -> dict[str, SourceMeta]:
    return {
        source: SourceMeta(
            format=imported.formats[source],
            images=str(root.resolve()) if (root := draft.images.get(source)) is not None else None,
            columns=dict(imported.found[source]),
            not_used=tuple(imported.unused[source]),
        )
        for source in imported.images
    }


def _write_problems(folder: Path, draft: Draft) -> None:
    """Write problems.csv: what was wrong with which row. No file where nothing was."""
    own_data(folder).remove_file(folder / PROBLEMS_FILE)
    problems = pd.concat(draft.problems)[list(PROBLEM_COLUMNS)]
    if len(problems):
        write_text(folder / PROBLEMS_FILE, csv_of_rows(PROBLEM_COLUMNS, problems.itertuples(index=False, name=None)))


def _read_image(posts: pd.DataFrame, images: Mapping[str, Path | None], row: int) -> bytes | None:
    """Return a post's cover; None where it is gone or changed since it was checked: the report shows the post without."""
    post = posts.iloc[row]
    return read_same(images[post["source"]], str(post["image"]), str(post["image_hash"]))


def _join(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{num:,} {reason}" for reason, num in counts.items()) or "nothing was read"
