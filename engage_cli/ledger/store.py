"""The file of the ledger: SQLite, to which entries are appended and in which none is ever changed or removed.

An answer is one transaction: all its posts are in the file or none is. The same question to the same run adds
nothing, so a call that was killed can be given again. Several processes may append at once.
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
VERSION = 1
WAIT = 30.0  # seconds for another process to end its transaction
AGAIN = "name another file with --ledger"
TABLES = """
CREATE TABLE runs (marker TEXT PRIMARY KEY, folder TEXT NOT NULL, target TEXT NOT NULL) STRICT;
CREATE TABLE entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, run TEXT NOT NULL REFERENCES runs,
    post TEXT NOT NULL, title_hash TEXT NOT NULL, image_hash TEXT NOT NULL, inputs_hash TEXT NOT NULL,
    value REAL, percentile REAL NOT NULL, low REAL, high REAL, UNIQUE (run, post, inputs_hash)
) STRICT;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
"""


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


NAMES = tuple(one.name for one in dataclasses.fields(Entry))


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    marker: str
    folder: str
    target: Target


def append(path: Path, run: LoggedRun, entries: Sequence[Entry]) -> int:
    """Append the entries in one transaction; return how many are new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open(path) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        before = ledger.total_changes
        target = json.dumps(dataclasses.asdict(run.target))
        ledger.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?)", (run.marker, run.folder, target))
        before = ledger.total_changes
        marks = ", ".join("?" * len(NAMES))
        ledger.executemany(
            f"INSERT INTO entries ({', '.join(NAMES)}) VALUES ({marks}) ON CONFLICT (run, post, inputs_hash) DO NOTHING",
            [dataclasses.astuple(entry) for entry in entries],
        )
        added = ledger.total_changes - before
        ledger.execute("COMMIT")
    return added


def read(path: Path) -> tuple[dict[str, LoggedRun], list[Entry]]:
    """Return the runs by their markers, and the entries in the order in which they were written."""
    if not path.is_file():
        raise EngageError(f"there is no ledger {path}; write one with `engage predict --log`")
    with _open(path) as ledger:
        ledger.execute("BEGIN")
        runs = ledger.execute("SELECT marker, folder, target FROM runs").fetchall()
        rows = ledger.execute(f"SELECT {', '.join(NAMES)} FROM entries ORDER BY number").fetchall()
        ledger.execute("COMMIT")
    found = {}
    for marker, folder, text in runs:
        try:
            content = json.loads(text)
        except ValueError:
            raise EngageError(f"{path} is damaged: the target of {folder} is no JSON; {AGAIN}") from None
        target = parse(content, Target, where=f"{path}: target of {folder}", again=AGAIN)
        found[marker] = LoggedRun(marker=marker, folder=folder, target=target)
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
        if header == (0, 0) and not ledger.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in TABLES.replace("END;", "END;\n;").split(";\n"):
                if statement.strip(" ;\n"):
                    ledger.execute(statement)
            ledger.execute(f"PRAGMA application_id = {APPLICATION}")
            ledger.execute(f"PRAGMA user_version = {VERSION}")
        elif header != (APPLICATION, VERSION):
            raise EngageError(f"{path} is no ledger of this engage; {AGAIN}")
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
