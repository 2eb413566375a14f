"""The file of the ledger: SQLite, to which entries and outcomes are appended and in which none is ever changed or removed.

An answer is one transaction: all its posts are in the file or none is, and so are the outcomes of one table. The same
question to the same run adds nothing, nor does the same outcome, so a call that was killed can be given again. Several
processes may append at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError
from engage_cli.io.own_folders import refuse_link
from engage_cli.io.records import parse

APPLICATION = 0x656E6761  # "enga", in the header of the file
VERSION = 2
WAIT = 30.0  # seconds for another process to end its transaction
AGAIN = "name another file with --ledger"

Key = tuple[str, str, str]  # of an entry: its run, its post, the hash of its inputs
FIRST_TABLES = """
CREATE TABLE runs (marker TEXT PRIMARY KEY, folder TEXT NOT NULL, target TEXT NOT NULL) STRICT;
CREATE TABLE entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, run TEXT NOT NULL REFERENCES runs,
    post TEXT NOT NULL, title_hash TEXT NOT NULL, image_hash TEXT NOT NULL, inputs_hash TEXT NOT NULL,
    value REAL, percentile REAL NOT NULL, low REAL, high REAL, UNIQUE (run, post, inputs_hash)
) STRICT;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
"""
SINCE_2 = """
ALTER TABLE runs ADD COLUMN of TEXT NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN point REAL;
ALTER TABLE entries ADD COLUMN spread REAL;
CREATE TABLE outcomes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, entry INTEGER NOT NULL REFERENCES entries, time TEXT NOT NULL,
    earned REAL NOT NULL, UNIQUE (entry, earned)
) STRICT;
CREATE TRIGGER outcomes_stay BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes are never changed'); END;
CREATE TRIGGER outcomes_remain BEFORE DELETE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes are never removed'); END;
"""
STEPS = (FIRST_TABLES, SINCE_2)  # what makes version n of version n - 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A prediction of one post; `value`, `low` and `high` (80 % interval) are in the target's unit."""

    time: str  # UTC, ISO 8601
    run: str  # hash of the run's marker
    post: str  # the id that the user gave, "" for none
    title_hash: str
    image_hash: str  # "" without an image
    inputs_hash: str  # of all that was known of the post
    value: float | None
    percentile: float
    low: float | None
    high: float | None
    # What an interval can be fitted to anew: the model's own value, before any calibration, and its spread.
    point: float | None = None
    spread: float | None = None

    @property
    def key(self) -> Key:
        return self.run, self.post, self.inputs_hash


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a logged post came to, in the target's unit."""

    entry: Key
    time: str  # when it was scored: UTC, ISO 8601
    earned: float


NAMES = tuple(one.name for one in dataclasses.fields(Entry))


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    marker: str
    folder: str
    target: Target
    of: str = ""  # marker of the run that it was recalibrated from, the first of all; "" of one that was trained

    @property
    def model(self) -> str:
        """The marker of the run that was trained."""
        return self.of or self.marker


def append(path: Path, run: LoggedRun, entries: Sequence[Entry]) -> int:
    """Append the entries in one transaction; return how many are new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open(path) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        target = json.dumps(dataclasses.asdict(run.target))
        ledger.execute(
            "INSERT OR IGNORE INTO runs (marker, folder, target, of) VALUES (?, ?, ?, ?)",
            (run.marker, run.folder, target, run.of),
        )
        before = ledger.total_changes
        marks = ", ".join("?" * len(NAMES))
        ledger.executemany(
            f"INSERT INTO entries ({', '.join(NAMES)}) VALUES ({marks}) ON CONFLICT (run, post, inputs_hash) DO NOTHING",
            [dataclasses.astuple(entry) for entry in entries],
        )
        added = ledger.total_changes - before
        ledger.execute("COMMIT")
    return added


def append_outcomes(path: Path, outcomes: Sequence[Outcome]) -> int:
    """Append outcomes of entries in one transaction; return how many are new."""
    with _open(path) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        before = ledger.total_changes
        ledger.executemany(
            "INSERT OR IGNORE INTO outcomes (entry, time, earned) "
            "SELECT number, ?, ? FROM entries WHERE run = ? AND post = ? AND inputs_hash = ?",
            [(one.time, one.earned, *one.entry) for one in outcomes],
        )
        added = ledger.total_changes - before
        ledger.execute("COMMIT")
    return added


def read_outcomes(path: Path) -> dict[Key, float]:
    """Return what each entry with an outcome earned, in the order in which the entries were written.

    Of several outcomes, as of a later count, the last one that was scored counts.
    """
    with _open(path) as ledger:
        rows = ledger.execute(
            "SELECT run, post, inputs_hash, earned FROM outcomes JOIN entries ON entry = entries.number "
            "ORDER BY entries.number, outcomes.number"
        ).fetchall()
    return {(run, post, inputs): earned for run, post, inputs, earned in rows}


def read(path: Path) -> tuple[dict[str, LoggedRun], list[Entry]]:
    """Return the runs by their markers, and the entries in the order in which they were written."""
    if not path.is_file():
        raise EngageError(f"there is no ledger {path}; write one with `engage predict --log`")
    with _open(path) as ledger:
        ledger.execute("BEGIN")
        runs = ledger.execute("SELECT marker, folder, target, of FROM runs").fetchall()
        rows = ledger.execute(f"SELECT {', '.join(NAMES)} FROM entries ORDER BY number").fetchall()
        ledger.execute("COMMIT")
    found = {}
    for marker, folder, text, of in runs:
        try:
            content = json.loads(text)
        except ValueError:
            raise EngageError(f"{path} is damaged: the target of {folder} is no JSON; {AGAIN}") from None
        target = parse(content, Target, where=f"{path}: target of {folder}", again=AGAIN)
        found[marker] = LoggedRun(marker=marker, folder=folder, target=target, of=of)
    return found, [Entry(**dict(zip(NAMES, row, strict=True))) for row in rows]


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield the ledger, made where it is not there; raise EngageError for any other file, and for a damaged one."""
    refuse_link(path)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=WAIT, isolation_level=None)) as ledger:
            _make(path, ledger)
            yield ledger
    except sqlite3.Error as error:
        raise EngageError(f"the ledger {path} cannot be used ({error}); {AGAIN}") from None


def _make(path: Path, ledger: sqlite3.Connection) -> None:
    _use_wal(ledger)
    ledger.execute("PRAGMA synchronous = FULL")  # an entry that was reported is on the disk
    if _header(ledger) == (APPLICATION, VERSION):
        return
    ledger.execute("BEGIN IMMEDIATE")
    try:
        header = _header(ledger)  # another process may have made it meanwhile
        is_new = header == (0, 0) and not ledger.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if is_new or header == (APPLICATION, 1):
            for step in STEPS[header[1] :]:
                for statement in step.strip().split(";\n"):  # none has a line end after a semicolon inside
                    ledger.execute(statement)
            ledger.execute(f"PRAGMA application_id = {APPLICATION}")
            ledger.execute(f"PRAGMA user_version = {VERSION}")
        elif header != (APPLICATION, VERSION):
            raise EngageError(f"{path} is not a ledger that this engage can read; {AGAIN}")
    except BaseException:
        ledger.execute("ROLLBACK")
        raise
    ledger.execute("COMMIT")


def _header(ledger: sqlite3.Connection) -> tuple[int, int]:
    application = ledger.execute("PRAGMA application_id").fetchone()[0]
    return int(application), int(ledger.execute("PRAGMA user_version").fetchone()[0])


def _use_wal(ledger: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; SQLite does not wait for another process that does the same, so this does."""
    until = time.monotonic() + WAIT
    while True:
        try:
            ledger.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
