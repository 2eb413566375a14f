"""Write a synthetic folder: posts in PixelRec's on-disk format, with its quirks, or experiments as a table."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.files import atomic_write, half_written_of, sweep
from engage_cli.io.own_folders import OwnFolder
from engage_cli.io.ranges import Count
from engage_cli.io.records import read_record, record, write_record
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.synthetic.covers import draw_cover
from engage_cli.synthetic.experiments import make_experiments
from engage_cli.synthetic.planting import draw_planted_cover, make_planted_posts
from engage_cli.synthetic.posts import SyntheticPosts, make_posts

MARKER = ".engage-sample.json"  # written first: what lies beside it is ours
TABLE = Path("pixelrec_iteminfo") / "sample_item_info.csv"
EXPERIMENTS_TABLE, TRUTH = Path("experiments.csv"), "truth.csv"  # the truth is for judging, and no command reads it
COVERS = "cover"
KIND, VERSION = "engage sample", 1
MOST_ROWS = 10_000_000
PLANTED = "planted.csv"  # id, word, row, column: synthetic.planting's truth


@record
class SampleSettings:
    """What the marker holds: all that decides which files are written."""

    rows: Annotated[int, Ge(1), Le(MOST_ROWS)]
    seed: Count
    images: bool
    planted: bool
    experiments: bool = False

    @property
    def table(self) -> Path:
        """The table, whose presence says that the sample is finished."""
        return EXPERIMENTS_TABLE if self.experiments else TABLE


@dataclass(frozen=True, kw_only=True)
class SampleSummary:
    """What was written, and which quirks it has."""

    folder: Path
    rows: int
    covers: int
    missing_covers: int
    truncated_covers: int  # among the covers
    null_counters: int
    missing_titles: int
    missing_descriptions: int
    planted_words: int = 0
    planted_badges: int = 0
    experiments: int = 0


def write_sample(
    folder: Path,
    *,
    rows: int = 2000,
    seed: int = 0,
    with_images: bool = True,
    planted: bool = False,
    experiments: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> SampleSummary:
    """Write covers, then the table: a killed call goes on where it was when it is given again.

    `experiments`: at least `rows` variants of posts with their counts, and their true rates in a file beside.
    """
    reporter = reporter or SilentReporter()
    if planted and experiments:
        raise WrongCallError("--planted and --experiments are two kinds of posts; give one")
    settings = SampleSettings(rows=rows, seed=seed, images=with_images, planted=planted, experiments=experiments)
    _make_room(folder, settings, overwrite=overwrite)
    write_record(folder / MARKER, settings, kind=KIND, version=VERSION)
    if experiments:
        return _write_experiments(folder, settings, reporter)
    posts = make_planted_posts(rows, seed) if planted else make_posts(rows, seed)
    if with_images:
        _write_covers(folder / COVERS, posts, seed, reporter)
    if planted:
        truth = posts.table[["item_id"]].set_axis(["id"], axis=1).join(posts.factors[["word", "row", "column"]])
        with atomic_write(folder / PLANTED) as beside:
            truth.to_csv(beside, index=False, lineterminator="\n")
    with atomic_write(folder / TABLE) as beside:
        posts.table.to_csv(beside, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    table = posts.table
    return SampleSummary(
        folder=folder,
        rows=rows,
        covers=rows - len(posts.missing_covers) if with_images else 0,
        missing_covers=len(posts.missing_covers) if with_images else 0,
        truncated_covers=len(posts.truncated_covers) if with_images else 0,
        null_counters=int((table["view_number"] == "").sum()),
        missing_titles=int((table["title"] == "").sum()),
        missing_descriptions=int((table["description"] == "").sum()),
        planted_words=int((posts.factors["word"] != "").sum()) if planted else 0,
        planted_badges=int((posts.factors["row"] >= 0).sum()) if planted and with_images else 0,
    )


def _write_experiments(folder: Path, settings: SampleSettings, reporter: Reporter) -> SampleSummary:
    made = make_experiments(settings.rows, settings.seed)
    if settings.images:
        with reporter.stage("drawing covers", len(made.covers)) as stage:
            for number, cover in enumerate(made.covers):
                if not (folder / COVERS / cover.name).exists():
                    with atomic_write(folder / COVERS / cover.name) as beside:
                        beside.write_bytes(draw_cover(cover.drawn, cover.style, (settings.seed, number)))
                stage.advance()
    table = made.table if settings.images else made.table.drop(columns="image")
    for name, frame in ((TRUTH, made.truth), (EXPERIMENTS_TABLE, table)):
        with atomic_write(folder / name) as beside:
            frame.to_csv(beside, index=False, lineterminator="\n")
    return SampleSummary(
        folder=folder,
        rows=len(table),
        covers=len(made.covers) if settings.images else 0,
        missing_covers=0,
        truncated_covers=0,
        null_counters=0,
        missing_titles=0,
        missing_descriptions=0,
        experiments=table["test_id"].nunique(),
    )


def _make_room(folder: Path, settings: SampleSettings, *, overwrite: bool) -> None:
    """Leave alone what this call goes on with, remove an older sample, and refuse everything else."""
    if folder.exists() and not folder.is_dir():
        raise EngageError(f"{folder} is a file; name an empty or new folder")
    if not folder.exists():
        return
    if all(half_written_of(entry.name) == MARKER for entry in folder.iterdir()):
        sweep(folder)  # a call that was killed in its very first file, if any
        return
    before = _read_marker(folder)
    if not overwrite and (folder / before.table).exists():
        raise EngageError(f"{folder} is a finished sample; give --overwrite to replace it, or name another folder")
    if not overwrite and before != settings:
        raise EngageError(f"{folder} is an unfinished sample with other settings; give --overwrite to replace it")
    for place in (folder, folder / COVERS, folder / TABLE.parent):
        sweep(place)
    own = OwnFolder(folder, (MARKER,))
    own.place(COVERS)
    own.place(TABLE.parent)
    for place in (folder, folder / COVERS, folder / TABLE.parent):
        sweep(place)
    if overwrite:
        _remove(own, before)


def _read_marker(folder: Path) -> SampleSettings:
    if not (folder / MARKER).is_file():
        raise EngageError(f"{folder} holds files that are not part of a sample; name an empty or new folder")
    again = "engage cannot tell which of its files are its own; name an empty or new folder"
    return read_record(folder / MARKER, SampleSettings, kind=KIND, version=VERSION, again=again)


def _remove(own: OwnFolder, settings: SampleSettings) -> None:
    """Remove the files that a call with these settings writes, and no other; the marker stays until the new one."""
    own.remove_file(own.root / settings.table)
    if settings.planted or settings.experiments:
        own.remove_file(own.root / (PLANTED if settings.planted else TRUTH))
    covers = own.place(COVERS)
    if not covers.is_dir():
        return
    for name in _names_of_covers(settings):
        own.remove_file(covers / name)
    if not any(covers.iterdir()):
        covers.rmdir()


def _names_of_covers(settings: SampleSettings) -> Iterator[str]:
    if settings.experiments:
        yield from (cover.name for cover in make_experiments(settings.rows, settings.seed).covers)
    else:
        yield from (f"i{number}.jpg" for number in range(settings.rows))


def _write_covers(folder: Path, posts: SyntheticPosts, seed: int, reporter: Reporter) -> None:
    with reporter.stage("drawing covers", len(posts.factors)) as stage:
        for number, post in enumerate(posts.factors.to_dict("records")):
            path = folder / f"i{number}.jpg"
            if number not in posts.missing_covers and not path.exists():
                data = _draw(post, (seed, number))
                with atomic_write(path) as beside:
                    beside.write_bytes(data[: len(data) // 2] if number in posts.truncated_covers else data)
            stage.advance()


def _draw(post: dict[Hashable, Any], seed: tuple[int, int]) -> bytes:
    """Draw the cover of a row of `factors`."""
    if "row" not in post:
        return draw_cover(post["drawn"], post["style"], seed)
    cell = (post["row"], post["column"]) if post["row"] >= 0 else None
    return draw_planted_cover(post["drawn"], post["style"], seed, cell)
