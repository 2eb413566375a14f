"""Synthetic posts: PixelRec's format and quirks, the planted law, and a call that was killed and goes on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from engage_cli.cli.sample import sample
from engage_cli.errors import EngageError
from engage_cli.images.decode import ImageError, decode
from engage_cli.steps.sample import COVERS, MARKER, TABLE, write_sample
from engage_cli.synthetic.covers import draw_cover
from engage_cli.synthetic.posts import (
    make_posts,
)

HEADER = (
    "item_id,view_number,comment_number,thumbup_number,share_number,coin_number,favorite_number,barrage_number,"
    "title,tag,description"
)
COUNTERS = [name for name in HEADER.split(",") if name.endswith("_number")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sample of 60 posts with covers."""
    folder = tmp_path_factory.mktemp("whole") / "pixelrec"
    write_sample(folder, rows=60, seed=1)
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Format


def test_the_table_has_pixelrecs_columns_ids_and_float_counters(whole: Path) -> None:
    assert (whole / TABLE).read_text(encoding="utf-8").splitlines()[0] == HEADER
    rows = read_rows(whole)
    assert [row["item_id"] for row in rows] == [f"i{number}" for number in range(60)]
    cells = [row[name] for row in rows for name in COUNTERS]
    assert all(cell == "" or (cell.endswith(".0") and cell[:-2].isdigit()) for cell in cells)
    for row in rows:
        assert len({row[name] == "" for name in COUNTERS}) == 1, "counters are null together"
    assert {path.name for path in whole.iterdir()} == {MARKER, COVERS, TABLE.parent.name}


def test_the_summary_counts_what_lies_on_disk(tmp_path: Path) -> None:
    summary = write_sample(tmp_path / "a", rows=60, seed=2)
    rows = read_rows(tmp_path / "a")
    covers = list((tmp_path / "a" / COVERS).iterdir())
    assert (summary.rows, summary.covers) == (60, 59) == (len(rows), len(covers))
    assert (summary.missing_covers, summary.truncated_covers) == (1, 1)
    assert summary.null_counters == sum(row["view_number"] == "" for row in rows) == 2
    assert summary.missing_titles == sum(row["title"] == "" for row in rows) == 1
    assert summary.missing_descriptions == sum(row["description"] == "" for row in rows)
    broken = []
    for path in covers:
        try:
            assert decode(path.read_bytes()).size == (224, 224)
        except ImageError:
            broken.append(path.stem)
    assert broken == [f"i{number}" for number in make_posts(60, 2).truncated_covers]


def test_without_images_no_cover_is_drawn_or_counted(tmp_path: Path) -> None:
    summary = write_sample(tmp_path / "a", rows=60, seed=1, with_images=False)
    assert (summary.covers, summary.missing_covers, summary.truncated_covers) == (0, 0, 0)
    assert set(files_in(tmp_path / "a")) == {MARKER, str(TABLE)}


# Seeds, and a call that goes on


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(whole: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "again", rows=60, seed=1)
    write_sample(tmp_path / "other", rows=60, seed=2)
    first, again, other = (files_in(folder) for folder in (whole, tmp_path / "again", tmp_path / "other"))
    assert first == again
    assert first[str(TABLE)] != other[str(TABLE)]
    covers = [name for name in first.keys() & other.keys() if name.startswith(COVERS)]
    assert len(covers) >= 58
    assert all(first[name] != other[name] for name in covers)


def test_a_killed_call_goes_on_to_the_same_bytes(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, drawn = tmp_path / "pixelrec", []

    def draw(*args: object) -> bytes:
        if len(drawn) == 20:
            raise KeyboardInterrupt
        drawn.append(args)
        return draw_cover(*args)

    monkeypatch.setattr("engage_cli.steps.sample.draw_cover", draw)
    with pytest.raises(KeyboardInterrupt):
        write_sample(folder, rows=60, seed=1)
    assert not (folder / TABLE).exists()
    (folder / COVERS / ".i20.jpg.123.tmp").write_bytes(b"half")  # what SIGKILL leaves
    rest = []
    monkeypatch.setattr("engage_cli.steps.sample.draw_cover", lambda *args: rest.append(args) or draw_cover(*args))
    write_sample(folder, rows=60, seed=1)
    assert files_in(folder) == files_in(whole)
    assert len(drawn) + len(rest) == 59
    assert not set(drawn) & set(rest), "no cover is drawn twice"


def test_an_unfinished_sample_with_other_settings_is_refused_then_replaced(whole: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, rows=80, seed=9)
    (tmp_path / TABLE).unlink()
    with pytest.raises(EngageError, match="unfinished sample with other settings; give --overwrite"):
        write_sample(tmp_path, rows=60, seed=1)
    write_sample(tmp_path, rows=60, seed=1, overwrite=True)
    assert files_in(tmp_path) == files_in(whole)


def test_a_finished_sample_is_refused_and_replaced_only_when_asked(tmp_path: Path) -> None:
    write_sample(tmp_path, rows=20, seed=9)
    before = files_in(tmp_path)
    with pytest.raises(EngageError, match="finished sample; give --overwrite"):
        write_sample(tmp_path, rows=20, seed=9)
    assert files_in(tmp_path) == before
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / COVERS / "mine.jpg").write_text("mine")
    write_sample(tmp_path, rows=20, seed=8, with_images=False, overwrite=True)
    assert set(files_in(tmp_path)) == {MARKER, str(TABLE), "notes.txt", f"{COVERS}/mine.jpg"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_others_is_refused_and_untouched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(EngageError, match="not part of a sample"):
        write_sample(tmp_path, rows=20, seed=0, overwrite=overwrite)
    assert files_in(tmp_path) == {"mine.txt": b"mine"}
    with pytest.raises(EngageError, match="is a file"):
        write_sample(tmp_path / "mine.txt", rows=20, seed=0, overwrite=overwrite)


@pytest.mark.parametrize("marker", ["{", "[]", "{}"])
def test_a_damaged_marker_is_a_sentence(tmp_path: Path, marker: str) -> None:
    (tmp_path / MARKER).write_text(marker)
    with pytest.raises(EngageError, match="engage cannot tell which of its files are its own"):
        write_sample(tmp_path, rows=20, seed=0, overwrite=True)


# Command


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command("sample")(sample)
    return app


def test_the_command_prints_counts_and_ends_with_the_next_one(app: typer.Typer, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    result = CliRunner().invoke(app, [str(folder), "--rows", "20"])
    assert result.exit_code == 0
    assert "missing descriptions" in result.stdout
    assert result.stdout.splitlines()[-1] == f"Next: engage prepare --pixelrec-dir '{folder}'"


def test_the_command_prints_one_json_object(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "a"), "--rows", "20", "--seed", "4", "--no-images", "--json"])
    answer = json.loads(result.stdout)
    assert answer["folder"] == str(tmp_path / "a")
    assert (answer["rows"], answer["covers"], answer["null_counters"]) == (20, 0, 2)
