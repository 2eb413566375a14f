"""The ledger: nothing is lost, doubled or rewritten, whenever a process dies; and the figures of a score by value."""

from __future__ import annotations

import dataclasses
import itertools
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engage_cli.data.targets.target import Target, fit_target
from engage_cli.errors import EngageError
from engage_cli.ledger.keys import image_hash, title_hash
from engage_cli.ledger.store import APPLICATION, FIRST_TABLES, Entry, LoggedRun, append, read, read_outcomes
from engage_cli.steps.ledger.score import NEEDED, score_ledger
from engage_cli.uncertainty.coverage_test import COINS, ENOUGH, bet_on_misses
from tests.calls import answer, engage

FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def run() -> LoggedRun:
    target: Target = fit_target("views", pd.DataFrame({"views": np.arange(1.0, 101.0)}), fit_on="train")
    return LoggedRun(marker="a" * 32, folder="runs/gp", target=target)


def entry(number: int, **more: object) -> Entry:
    plain = Entry(
        time="2026-10-01T00:00:00+00:00",
        run="a" * 32,
        post=f"p{number}",
        title_hash=title_hash(f"title {number}"),
        image_hash="",
        inputs_hash=f"{number:032x}",
        value=float(np.log1p(100 * (number + 1))),
        percentile=50.0,
        low=0.0,
        high=float(np.log1p(100 * (number + 1)) + 0.1),
    )
    return dataclasses.replace(plain, **more)  # type: ignore[arg-type]


def test_the_first_answer_stands(run: LoggedRun, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    assert append(path, run, [entry(0), entry(1)]) == 2
    assert append(path, run, [entry(0, value=9.0), entry(2)]) == 1
    assert read(path) == ({run.marker: run}, [entry(0), entry(1), entry(2)])
    for change in ("UPDATE entries SET value = 0", "DELETE FROM entries"):
        with pytest.raises(sqlite3.IntegrityError, match="never"), sqlite3.connect(path) as ledger:
            ledger.execute(change)


def write_until_killed(path: Path, run: LoggedRun, first: int, told: int) -> None:
    for number in range(first, first + 10_000, 2):
        append(path, run, [entry(number), entry(number + 1)])
        os.write(told, f"{number}\n".encode())


def test_kills_at_random_moments_lose_and_double_nothing(run: LoggedRun, tmp_path: Path) -> None:
    path, chance, acknowledged = tmp_path / "ledger.sqlite", random.Random(0), []
    for round_ in range(20):
        reading, writing = os.pipe()
        child = FORK.Process(target=write_until_killed, args=(path, run, 10_000 * round_, writing))
        child.start()
        os.close(writing)
        with os.fdopen(reading) as lines:
            if round_ % 2:  # every other one dies while it opens the file
                acknowledged.append(int(lines.readline()))
            time.sleep(chance.uniform(0, 0.05))
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            acknowledged += [int(line) for line in lines]
    append(path, run, [entry(10_000 * 20)])
    _, found = read(path)
    posts = [one.post for one in found]
    assert len(acknowledged) > 0
    assert len(set(posts)) == len(posts)
    assert {f"p{number}" for number in acknowledged} <= set(posts)
    pairs = {int(post[1:]) // 2 for post in posts[:-1]}
    assert len(posts) - 1 == 2 * len(pairs)  # an answer is there whole or not at all


def score_until_killed(ledger: Path, tables: Path, told: int) -> None:
    for table in itertools.cycle(sorted(tables.glob("*.csv"))):
        score_ledger(ledger, table)
        os.write(told, f"{table.name}\n".encode())


def test_kills_of_a_score_lose_double_and_change_nothing(run: LoggedRun, tmp_path: Path) -> None:
    """Each table holds ten outcomes of one round: they are in the ledger together or not at all."""
    ledger, tables, chance = tmp_path / "ledger.sqlite", tmp_path / "tables", random.Random(1)
    append(ledger, run, [entry(number) for number in range(100)])
    before, acknowledged, slowest = read(ledger), set(), 0.05
    tables.mkdir()
    for table in range(10):
        posts = range(10 * table, 10 * table + 10)
        (tables / f"{table}.csv").write_text("id,views\n" + "".join(f"p{n},{1000 + n}\n" for n in posts))
    for _ in range(20):
        reading, writing = os.pipe()
        child = FORK.Process(target=score_until_killed, args=(ledger, tables, writing))
        child.start()
        os.close(writing)
        with os.fdopen(reading) as lines:
            time.sleep(chance.uniform(0, slowest))
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            acknowledged |= {int(line.partition(".")[0]) for line in lines}
        slowest = slowest if acknowledged else 2 * slowest  # a slow machine
        scored = [int(post[1:]) for _, post, _ in read_outcomes(ledger)]
        assert all(scored.count(n) == 1 for n in scored)
        assert len(scored) == 10 * len({n // 10 for n in scored})
        assert acknowledged <= {n // 10 for n in scored}
    assert acknowledged
    for table in tables.iterdir():
        score_ledger(ledger, table)
    assert read(ledger) == before
    assert sorted(read_outcomes(ledger).values()) == pytest.approx([np.log1p(1000 + n) for n in range(100)])


def score_some(ledger: Path, table: Path) -> None:
    for _ in range(5):
        score_ledger(ledger, table)


def test_one_process_scores_while_another_logs(run: LoggedRun, tmp_path: Path) -> None:
    ledger, table = tmp_path / "ledger.sqlite", tmp_path / "outcomes.csv"
    append(ledger, run, [entry(number) for number in range(5)])
    table.write_text("id,views\n" + "".join(f"p{n},{1000 + n}\n" for n in range(5)))
    children = [
        FORK.Process(target=write_some, args=(ledger, run, 100)),
        *(FORK.Process(target=score_some, args=(ledger, table)) for _ in range(2)),
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(read(ledger)[1]) == 25
    assert [post for _, post, _ in read_outcomes(ledger)] == [f"p{n}" for n in range(5)]


def write_some(path: Path, run: LoggedRun, first: int) -> None:
    for number in range(first, first + 20):
        append(path, run, [entry(number)])


def test_two_processes_write_at_once(run: LoggedRun, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    children = [FORK.Process(target=write_some, args=(path, run, first)) for first in (0, 10)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert sorted(one.post for one in read(path)[1]) == sorted(f"p{number}" for number in range(30))


@pytest.mark.parametrize("content", [b"no ledger at all, and long enough to be looked into" * 40, None])
def test_another_file_is_no_ledger(content: bytes | None, run: LoggedRun, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE mine (a)")
    else:
        path.write_bytes(content)
    with pytest.raises(EngageError, match=r"ledger.*name another file with --ledger"):
        append(path, run, [entry(0)])


def test_figures_by_hand(run: LoggedRun, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    append(ledger, run, [entry(n, time=f"2026-{10 + n // 2}-01T00:00:00+00:00") for n in range(4)])
    # Predicted 100, 200, 300, 400 views; the third got far more than its interval allows.
    (tmp_path / "outcomes.csv").write_text(
        "id,title,views,date\n"
        "p0,a,100,2026-10-01\np1,b,200,2026-10-02\np2,c,5000,2026-11-01\np3,d,400,2026-11-02\nother,e,7,2026-11-03\n"
    )
    found = score_ledger(ledger, tmp_path / "outcomes.csv")
    (score,) = found.runs
    assert (found.entries, found.matched, score.outcomes, score.needed) == (4, 4, 4, NEEDED - 4)
    assert score.coverage == 0.75
    assert score.coverage_low == pytest.approx(0.1941, abs=1e-4)  # Clopper and Pearson, 3 of 4
    assert score.coverage_high == pytest.approx(0.9937, abs=1e-4)
    assert score.pairs_right == pytest.approx(5 / 6)
    logs = np.log1p([100, 200, 5000, 400])
    usual = np.array([logs[0], logs[:2].mean(), logs[1]])
    wrong = np.array([0, logs[2] - np.log1p(300), 0])
    assert score.usual_posts == 3
    assert score.gain_over_usual == pytest.approx(1 - wrong.mean() / np.abs(logs[1:] - usual).mean())
    assert [(one.month, one.posts, one.covered) for one in score.months] == [("2026-10", 2, 1.0), ("2026-11", 2, 0.5)]
    assert score.months[1].drift == pytest.approx(wrong[1] / 2)


def test_the_test_of_coverage_is_valid_whenever_one_looks_and_finds_a_shift() -> None:
    random = np.random.default_rng(0)
    # At the edge of the hypothesis: 12.5 % of misses on either side. The highest capital of 1,000 posts counts.
    levels = random.random((200, 1000))
    assert (bet_on_misses(levels < 0.125, levels > 0.875)[:, -1] >= ENOUGH).mean() <= 0.05
    late = random.normal(size=(50, 500))
    late[:, 300:] -= 1
    found = bet_on_misses(late < -1.2816, late > 1.2816)
    assert (found[:, 299] >= ENOUGH).mean() <= 0.05
    assert (found[:, 400] >= ENOUGH).mean() > 0.9


def test_capital_by_hand() -> None:
    win, loss, wait = COINS / 0.125, (1 - COINS) / 0.875, 50
    first = win.mean() / (1 + wait)  # staked on post 1 and won
    below = first + wait / (1 + wait)
    above = loss.mean() / (1 + wait) + wait / (1 + wait)
    assert bet_on_misses(np.array([True]), np.array([False])) == pytest.approx([max(1, (below + above) / 2)])


def test_outcomes_are_kept_and_the_last_count_counts(run: LoggedRun, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    append(ledger, run, [entry(0), entry(1)])
    for views in (100, 100, 150):
        (tmp_path / "outcomes.csv").write_text(f"id,views\np1,{views}\n")
        score_ledger(ledger, tmp_path / "outcomes.csv")
    assert read_outcomes(ledger) == {entry(1).key: pytest.approx(np.log1p(150))}
    with sqlite3.connect(ledger) as opened:
        assert opened.execute("SELECT count(*) FROM outcomes").fetchone() == (2,)
    for change in ("UPDATE outcomes SET earned = 0", "DELETE FROM outcomes"):
        with pytest.raises(sqlite3.IntegrityError, match="never"), sqlite3.connect(ledger) as opened:
            opened.execute(change)


def test_a_ledger_of_the_first_version_goes_on(run: LoggedRun, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path, isolation_level=None) as old:
        for statement in FIRST_TABLES.strip().split(";\n"):
            old.execute(statement)
        old.execute(f"PRAGMA application_id = {APPLICATION}")
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO runs VALUES (?, ?, ?)", (run.marker, run.folder, json.dumps(dataclasses.asdict(run.target)))
        )
        known = dataclasses.asdict(entry(0))
        names = [name for name in known if name not in ("point", "spread")]
        marks = ", ".join("?" * len(names))
        old.execute(f"INSERT INTO entries ({', '.join(names)}) VALUES ({marks})", [known[name] for name in names])
    assert append(path, run, [entry(0), entry(1)]) == 1
    assert read(path) == ({run.marker: run}, [entry(0), entry(1)])


@pytest.mark.usefixtures("pixels")
def test_ages_are_told_apart(run: LoggedRun, tmp_path: Path) -> None:
    """Young posts have half of what was predicted: the table says when each was published and counted."""
    ledger = tmp_path / "ledger.sqlite"
    append(ledger, run, [entry(n) for n in range(4)])
    (tmp_path / "outcomes.csv").write_text(
        "id,views,date,observed_at\n"
        "p0,50,2026-10-01,2026-10-04\np1,100,2026-10-01,2026-10-07\n"
        "p2,300,2026-10-01,2026-11-10\np3,400,2026-10-01,2026-11-11\n"
    )
    found = score_ledger(ledger, tmp_path / "outcomes.csv").runs[0].ages
    assert [(one.age, one.posts) for one in found] == [("under 7 days", 2), ("30 to 90 days", 2)]
    assert found[0].drift == pytest.approx(np.log(0.5), abs=0.01)
    assert found[1].drift == pytest.approx(0, abs=0.01)
    shown = engage("score", tmp_path / "outcomes.csv", "--ledger", ledger, "--plot", tmp_path / "drift.png")
    assert "counted at under 7 days: 2 posts, drift -0.6" in shown.stdout
    with Image.open(tmp_path / "drift.png") as picture:
        assert picture.format == "PNG"
        assert len(set(picture.convert("RGB").getdata())) > 100
    assert engage("score", tmp_path / "outcomes.csv", "--ledger", ledger, "--plot", "drift.jpg").exit_code == 2


def test_variants_are_told_apart_by_their_image(run: LoggedRun, tmp_path: Path) -> None:
    ledger, images = tmp_path / "ledger.sqlite", tmp_path / "images"
    images.mkdir()
    (images / "b.jpg").write_bytes(b"second")
    title = title_hash("one title")
    variants = [
        entry(n, post="", title_hash=title, image_hash=image_hash(data)) for n, data in enumerate([b"first", b"second"])
    ]
    append(ledger, run, variants)
    (tmp_path / "outcomes.csv").write_text("id,title,views,image\nx,one title,200,b.jpg\n")
    found = score_ledger(ledger, tmp_path / "outcomes.csv", images=images)
    assert (found.matched, found.ambiguous) == (1, 0)
    assert found.runs[0].months[0].drift == pytest.approx(0)
    assert score_ledger(ledger, tmp_path / "outcomes.csv").ambiguous == 1


def test_predict_logs_and_score_finds(world: Path, pixelrec: Path, tmp_path: Path) -> None:
    image, ledger = next((pixelrec / "cover").iterdir()), tmp_path / "ledger.sqlite"
    call = ("predict", image, "--title", "a quiet lake", "--run", world / "runs" / "gp", "--ledger", ledger, "--log")
    said = answer(*call)["posts"][0]
    answer(*call)  # again: nothing is added
    ((logged,),) = [read(ledger)[1]]
    assert (logged.value, [logged.low, logged.high]) == (said["value"], said["interval_80"])
    (tmp_path / "outcomes.csv").write_text(f"id,title,views,image\nx,a quiet lake,{said['count']:.0f},{image.name}\n")
    found = answer("score", tmp_path / "outcomes.csv", "--images-dir", image.parent, "--ledger", ledger)
    assert (found["matched"], found["runs"][0]["coverage"]) == (1, 1.0)
    shown = engage("score", tmp_path / "outcomes.csv", "--ledger", ledger)
    assert f"{NEEDED - 1} more outcomes are needed" in shown.stdout


def test_a_missing_ledger_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("id,views\nx,1\n")
    result = engage("score", tmp_path / "outcomes.csv", "--ledger", tmp_path / "none.sqlite")
    assert result.exit_code == 1
    assert "write one with `engage predict --log`" in result.stderr
