"""The step as a whole: what is fitted sees training rows alone, a killed call goes on, and the report tells the truth."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.dataset import IMAGES_FILE, load_dataset
from engage_cli.data.schema import ALL_COUNTERS
from engage_cli.data.split_names import SPLITS
from engage_cli.data.target_names import TARGETS
from engage_cli.errors import EngageError
from engage_cli.images import examine
from engage_cli.steps import prepare as step
from engage_cli.steps.prepare import Prepared, prepare
from engage_cli.steps.prepare import _check_images as checks
from engage_cli.steps.prepare.import_posts import Source
from tests import forked
from tests.calls import answer, engage
from tests.sources import PIXELREC, encoded, microlens_folder, picture, pixelrec_folder, smpd_folder, write_table

RNG = np.random.default_rng(1)
NUM = 120
POSTS = pd.DataFrame(
    {
        "id": [f"p{n}" for n in range(NUM)],
        "title": [f"title {n if n % 10 else 1}" for n in range(NUM)],
        "author": [f"a{n % 12}" for n in range(NUM)],
        "posted_at": [f"2021-{1 + n % 12:02d}-{1 + n % 28:02d}" for n in range(NUM)],
        "part": ["test" if n % 5 == 0 else "dev" if n % 5 == 1 else "train" for n in range(NUM)],
        **{counter: RNG.integers(0, 50, NUM) for counter in ALL_COUNTERS},
    }
)


def prepared(posts: pd.DataFrame, folder: Path, **config: object) -> Prepared:
    folder.mkdir(parents=True, exist_ok=True)
    posts.to_csv(folder / "posts.csv", index=False)
    sources = [Source(path=folder / "posts.csv")]
    return prepare(PrepareConfig(**config), folder=folder / "data", sources=sources, with_images=False, overwrite=True)


@pytest.fixture(scope="module", params=SPLITS)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Prepared]:
    folder = tmp_path_factory.mktemp(request.param)
    config = {"split": request.param, "split_from": "part" if request.param == "file" else ""}
    return request.param, folder, prepared(POSTS, folder, **config)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, NUM - 1), counter=st.sampled_from(ALL_COUNTERS), value=st.integers(0, 10**9))
def test_no_row_outside_training_changes_a_fitted_parameter(
    base: tuple[str, Path, Prepared], number: int, counter: str, value: int
) -> None:
    method, folder, first = base
    outside = np.flatnonzero((first.dataset.posts["split"] != "train").to_numpy())
    row = int(outside[number % len(outside)])
    changed = POSTS.copy()
    changed.loc[row, counter] = value
    again = prepared(changed, folder / "again", split=method, split_from="part" if method == "file" else "")
    assert set(first.dataset.meta.targets) == set(TARGETS) - {"given", "click_rate"}
    before, after = first.dataset.posts, again.dataset.posts
    assert before["split"].tolist() == after["split"].tolist()
    assert again.dataset.meta.targets == first.dataset.meta.targets
    train = before["split"] == "train"
    for column in ("author_posts", "author_median_views"):
        np.testing.assert_array_equal(before[column][train], after[column][train])


@pytest.mark.parametrize("method", SPLITS)
def test_a_permutation_of_the_rows_gives_the_same_parts_and_targets(method: str, tmp_path: Path) -> None:
    config = {"split": method, "split_from": "part" if method == "file" else ""}
    first = prepared(POSTS, tmp_path / "a", **config).dataset
    again = prepared(POSTS.sample(frac=1, random_state=3), tmp_path / "b", **config).dataset
    parts = [dataset.posts.set_index("id")["split"].to_dict() for dataset in (first, again)]
    assert parts[0] == parts[1]
    for name in first.meta.targets:
        assert first.target(name).formula.weights == pytest.approx(again.target(name).formula.weights)
        assert first.target(name).cuts == pytest.approx(again.target(name).cuts)


def test_a_file_of_ids_gives_the_parts(tmp_path: Path) -> None:
    parts = pd.DataFrame({"id": [*POSTS["id"][:100], "stranger"], "split": ["train"] * 60 + ["val"] * 20 + ["test"] * 21})
    parts.to_csv(tmp_path / "parts.csv", index=False)
    unique = POSTS.assign(title=[f"own title {n}" for n in range(NUM)])
    found = prepared(unique, tmp_path / "x", split="file", split_from=str(tmp_path / "parts.csv")).dataset
    assert found.posts["split"].tolist() == ["train"] * 60 + ["validation"] * 20 + ["test"] * 20 + [""] * 20
    assert found.meta.split.unused == 20
    assert any("1 of 101 ids belong to no post" in warning for warning in found.meta.warnings)
    assert any("20 posts are not named there" in warning for warning in found.meta.warnings)


def test_without_dedupe_is_marked_wherever_it_is_used(tmp_path: Path, encoders: object) -> None:
    kept = prepared(POSTS, tmp_path / "kept", split="random", seed=1).dataset
    loose = prepared(POSTS, tmp_path / "loose", split="random", seed=1, dedupe=False).dataset
    groups = kept.posts.groupby("group")["split"].nunique()
    assert groups.max() == 1
    same_title = loose.posts[loose.posts["title"] == "title 1"]
    assert same_title["split"].nunique() > 1
    assert kept.marks == ()
    (mark,) = loose.marks
    assert "near-duplicates were not kept in one part" in mark
    data = ["--data", loose.folder, "--text", encoders.text, "--vision", encoders.vision]
    run = ["--run", tmp_path / "run", "--target", "views", "--epochs", 2, "--blocks", "title"]
    assert mark in engage("train-regressor", *data, *run).stdout
    assert answer("evaluate", tmp_path / "run", "--data", loose.folder, "--no-report", "--resamples", 0)["marks"] == [mark]
    assert mark in engage("evaluate", tmp_path / "run", "--data", loose.folder, "--no-report", "--resamples", 0).stdout
    (tmp_path / "x.jpg").write_bytes(encoded(picture(0)))
    assert answer("predict", tmp_path / "x.jpg", "--run", tmp_path / "run")["posts"][0]["marks"] == [mark]
    assert mark in engage("predict", tmp_path / "x.jpg", "--run", tmp_path / "run").stdout


def test_time_is_the_default_only_where_nearly_all_posts_have_dates(tmp_path: Path) -> None:
    assert prepared(POSTS, tmp_path / "all").dataset.meta.split.method == "time"
    few = POSTS.assign(posted_at=POSTS["posted_at"].where(POSTS.index < 30, ""))
    found = prepared(few, tmp_path / "few").dataset
    assert found.meta.split.method == "random"
    assert "only 25% of the posts have a date, so the split is random, not by time" in found.meta.warnings


FORMATS = {
    "pixelrec": (lambda folder: _pixelrec(folder), ["popularity", "engagement", "composite", "views", "likes", "rate"]),
    "microlens": (lambda folder: _microlens(folder), ["popularity", "engagement", "composite", "views", "likes", "rate"]),
    "smpd": (lambda folder: smpd_folder(folder, num=40), ["given"]),
}


def _pixelrec(folder: Path) -> Path:
    header = PIXELREC.split("\n", 1)[0]
    rows = [f"i{n},{100 + n * 7 % 40}.0,{n % 5}.0,{n % 9}.0,1.0,0.0,{n % 3}.0,0.0,title {n},food,text" for n in range(40)]
    pixelrec_folder(folder, "\n".join([header, *rows]))
    for n in range(40):
        (folder / "covers" / f"i{n}.jpg").write_bytes(encoded(picture(n)))
    return folder


def _microlens(folder: Path) -> Path:
    microlens_folder(folder)
    (folder / "MicroLens-50k_titles.csv").write_text("item,title\n" + "".join(f"{n},title, no. {n}\n" for n in range(40)))
    counters = "".join(f"{n}\t{n % 9}\t{100 + n * 7 % 40}\n" for n in range(40))
    (folder / "MicroLens-50k_likes_and_views.txt").write_text(counters)
    for n in range(40):
        (folder / "MicroLens-50k_covers" / f"{n}.jpg").write_bytes(encoded(picture(n)))
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_by_name_and_by_itself(name: str, tmp_path: Path) -> None:
    make, targets = FORMATS[name]
    folder = make(tmp_path / "source")
    by_name = answer("prepare", f"--{name}-dir", folder, "--data", tmp_path / "a")
    by_itself = answer("prepare", folder, "--data", tmp_path / "b")
    assert list(by_name["targets"]) == targets
    assert by_name["rows"] == {"read": 40, "kept": 40, "left_out": {}}
    assert by_name["image_problems"] == {}
    assert by_itself["fingerprint"] == by_name["fingerprint"]
    assert by_itself["sources"][name]["format"] == name


def test_several_sources_in_one_call(tmp_path: Path, encoders: object) -> None:
    pixelrec, smpd = _pixelrec(tmp_path / "p"), smpd_folder(tmp_path / "s", num=40)
    found = answer("prepare", "--pixelrec-dir", pixelrec, smpd, "--data", tmp_path / "data")
    assert found["source"] == "smpd + pixelrec"
    dataset = load_dataset(tmp_path / "data")
    assert dataset.posts["source"].value_counts().to_dict() == {"smpd": 40, "pixelrec": 40}
    assert dataset.posts["id"].iloc[[0, 40]].tolist() == ["smpd:1000", "pixelrec:i0"]
    assert "target given: 40 posts lack what it needs and are left out of it" in found["warnings"]
    embedded = answer("embed", "--data", tmp_path / "data", "--vision", encoders.vision, "--blocks", "image")
    assert embedded["stores"][0]["image_problems"] == 0  # each source's images are found in its own folder


# Images that were opened once


def images_and_call(tmp_path: Path, num: int = 40) -> tuple[Path, list[object]]:
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(num):
        (folder / f"p{n}.jpg").write_bytes(encoded(picture(n)))
    table = write_table(tmp_path / "posts.csv", num)
    return folder, ["prepare", "--table", table, "--images-dir", folder, "--data", tmp_path / "data"]


def test_an_image_is_opened_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, call = images_and_call(tmp_path)
    first = answer(*call)
    opened: list[str] = []
    original = checks.check_images

    def note(root: Path, names: list[str], level: str) -> list:
        opened.extend(names)
        return original(root, names, level)

    monkeypatch.setattr(checks, "check_images", note)
    assert answer(*call, "--overwrite") == first
    assert opened == []
    (folder / "p3.jpg").write_bytes(encoded(picture(999)))
    assert answer(*call, "--overwrite")["fingerprint"] != first["fingerprint"]
    assert opened == ["p3.jpg"]
    answer(*call, "--overwrite", "--verify-images")  # a deeper look opens all
    assert len(opened) == 41
    answer(*call, "--overwrite")
    assert len(opened) == 41


def test_processes_and_one_process_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, call = images_and_call(tmp_path)
    alone = answer(*call)
    monkeypatch.setattr(checks, "FEW", 0)
    monkeypatch.setattr(checks, "BATCH", 7)
    batches: list[object] = []
    across = examine.map_on_all_cores
    monkeypatch.setattr(
        examine, "map_on_all_cores", lambda f, some, **how: (batches.extend(some), across(f, some, **how))[1]
    )
    (tmp_path / "data" / IMAGES_FILE).unlink()
    assert answer(*call, "--overwrite") == alone
    assert len(batches) == (6 if (os.cpu_count() or 1) > 1 else 0)


def slowly(*arguments: str) -> None:
    """Call `engage`, which says which images it opens, five at a time."""
    original = checks.check_images

    def check(root: Any, names: Any, *rest: Any, **more: Any) -> Any:
        time.sleep(0.2)
        print("opened", *names, flush=True)
        return original(root, names, *rest, **more)

    checks.BATCH, examine.SECONDS_BETWEEN_SAVES, checks.check_images = 5, 0, check
    forked.command(*arguments)


def test_kill_minus_9_while_checking_images_and_go_on(tmp_path: Path) -> None:
    _, call = images_and_call(tmp_path, num=60)
    process = forked.Forked(slowly, *call)
    cache, deadline = tmp_path / "data" / IMAGES_FILE, time.monotonic() + 60
    while not cache.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "data" / "dataset.json").exists()
    with pytest.raises(EngageError, match="is not finished"):
        load_dataset(tmp_path / "data")
    known = len(pd.read_parquet(cache))
    done = forked.run(slowly, *call)
    assert done.returncode == 0, done.stderr
    opened = sum(len(line.split()) - 1 for line in done.stdout.splitlines() if line.startswith("opened"))
    assert 0 < known < 60
    assert opened == 60 - known
    whole = answer(*call[:-1], tmp_path / "whole")
    assert load_dataset(tmp_path / "data").fingerprint == whole["fingerprint"]


def test_a_call_that_dies_while_it_writes_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was to replace a finished folder, in which the user keeps a file of their own."""
    table, data = write_table(tmp_path / "posts.csv", 40, title=lambda n: f"title {n * 17 % 41}"), tmp_path / "data"
    call = ["prepare", "--table", table, "--no-images", "--data", data]
    table.write_text(table.read_text() + '"bad","many","x"\n')
    first = answer(*call)
    assert (data / "problems.csv").exists()
    (data / "notes.txt").write_text("mine")
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("engage_cli.steps.prepare.render_quality", die)
        assert engage(*call, "--overwrite").exit_code == 130
    assert not (data / "dataset.json").exists()
    (data / ".posts.parquet.1234.tmp").write_text("half of a file, from a call that was killed")
    again = answer(*call)  # goes on without --overwrite: nothing finished lies there
    assert again["fingerprint"] == first["fingerprint"]
    files = {entry.name for entry in data.iterdir()}
    assert files == {".engage", ".lock", "posts.parquet", "quality.html", "dataset.json", "notes.txt"}


def test_two_calls_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, data = write_table(tmp_path / "posts.csv", 40), tmp_path / "data"
    call = ["prepare", "--table", table, "--no-images", "--data", data]
    data.mkdir()
    with FileLock(data / ".lock"):
        held = engage(*call)
    assert held.exit_code == 1
    assert "another process is preparing" in held.stderr
    # One that began before another finished sees it when it gets the lock.
    original = step.import_posts

    def slow_import(*arguments: object, **more: object) -> object:
        monkeypatch.setattr(step, "import_posts", original)
        answer(*call)
        return original(*arguments, **more)

    monkeypatch.setattr(step, "import_posts", slow_import)
    assert "is a finished data folder; give --overwrite" in engage(*call).stderr
