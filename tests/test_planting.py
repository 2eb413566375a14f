"""Planted samples: the law of the word and the badge, the truth beside it, and ordinary samples that stay as they were."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from engage_cli.cli.sample import sample
from engage_cli.data.importers.pixelrec import read_pixelrec
from engage_cli.errors import EngageError
from engage_cli.images.decode import decode
from engage_cli.io.records import read_record
from engage_cli.steps.sample import COVERS, KIND, MARKER, PLANTED, TABLE, VERSION, SampleSettings, write_sample
from engage_cli.synthetic.covers import draw_cover, paint_cover
from engage_cli.synthetic.planting import (
    CELL,
    GRID,
    RATE_LAW,
    VIEWS_LAW,
    WORD,
    draw_planted_cover,
    insert_word,
    make_planted_posts,
)
from engage_cli.synthetic.posts import MEDIAN_VIEWS, SyntheticPosts, make_posts
from tests.test_sample import COUNTERS, files_in, read_rows
from tests.test_synthetic import design_of, explained, follows_the_law


@pytest.fixture(scope="module")
def many() -> SyntheticPosts:
    return make_planted_posts(20_000, 5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished planted sample of 60 posts with covers."""
    folder = tmp_path_factory.mktemp("planted") / "pixelrec"
    write_sample(folder, rows=60, seed=1, planted=True)
    return folder


def signs_of(posts: SyntheticPosts) -> np.ndarray:
    """Columns: the word, the badge; +1 or -1."""
    return np.where(np.column_stack([posts.factors["word"] == WORD, posts.factors["row"] >= 0]), 1.0, -1.0)


def truth_in(folder: Path) -> list[dict[str, str]]:
    with (folder / PLANTED).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Law


def test_word_and_badge_hold_most_of_the_views_as_documented(many: SyntheticPosts) -> None:
    known = follows_the_law(many)
    y = np.log(many.table["view_number"][known].astype(float)).to_numpy()
    assert VIEWS_LAW["word"] == VIEWS_LAW["badge"] == 0.9
    signs = np.column_stack([np.ones(len(many.table)), signs_of(many)])[known]
    coefficients, share = explained(signs, y)
    np.testing.assert_allclose(coefficients[1:], 1.6 * 0.9, atol=0.02)
    assert coefficients[0] == pytest.approx(np.log(MEDIAN_VIEWS), abs=0.02)
    assert share == pytest.approx(0.885, abs=0.01)
    assert [explained(signs[:, [0, column]], y)[1] for column in (1, 2)] == pytest.approx([0.4426] * 2, abs=0.02)

    coefficients, share = explained(np.column_stack([design_of(many)[known], signs[:, 1:]]), y)
    np.testing.assert_allclose(coefficients[1:], 1.6 * np.array([0.2, 0.2, 0.2, 0.9, 0.9]), atol=0.02)
    assert share == pytest.approx(1 - 0.09 / 1.83, abs=0.005)
    assert many.factors["views_score"].var() == pytest.approx(1.83, abs=0.03)


def test_the_rate_follows_word_and_badge_too(many: SyntheticPosts) -> None:
    known = follows_the_law(many)
    counts = many.table[COUNTERS][known].astype(float)
    known_likes = (counts["thumbup_number"] > 0).to_numpy()
    y = np.log(counts["thumbup_number"] / counts["view_number"])[known_likes].to_numpy()
    design = np.column_stack([design_of(many), signs_of(many)])[known][known_likes]
    coefficients, share = explained(design, y)
    planted = [RATE_LAW[name] for name in ("image", "words", "match", "word", "badge")]
    np.testing.assert_allclose(coefficients[1:], planted, atol=0.02)
    assert share == pytest.approx(1 - 0.04 / 0.57, abs=0.01)


def test_word_badge_and_cell_are_independent_and_half_or_even(many: SyntheticPosts) -> None:
    word, badge = (signs_of(many) > 0).T
    cells = many.factors.loc[badge, ["row", "column"]]
    assert [word.mean(), badge.mean(), (word == badge).mean()] == pytest.approx([0.5] * 3, abs=0.015)
    assert np.bincount(GRID * cells["row"] + cells["column"], minlength=GRID**2) / len(cells) == pytest.approx(
        np.full(GRID**2, 1 / 16), abs=0.01
    )
    assert (many.factors.loc[~badge, ["row", "column"]] == -1).all(axis=None)
    for other in ("style", "tone", "match", "drawn", "named"):
        shares = many.factors.assign(has_word=word, has_badge=badge).groupby(other)[["has_word", "has_badge"]].mean()
        assert shares.to_numpy() == pytest.approx(0.5, abs=0.03)


# Words


def test_the_title_has_the_word_exactly_where_the_truth_says(many: SyntheticPosts) -> None:
    ordinary = make_posts(20_000, 5).table["title"]
    titles, has_word = many.table["title"], many.factors["word"] == WORD
    assert set(many.factors["word"]) == {"", WORD}
    assert not ordinary.str.contains(WORD).any()
    assert (titles[~has_word] == ordinary[~has_word]).all()
    assert (titles == "").sum() == (ordinary == "").sum() == 50, "no title, no word"
    places = set()
    for title, plain in zip(titles[has_word], ordinary[has_word], strict=True):
        words = title.split(" ")
        place = words.index(WORD)
        assert 0 < place < len(words) - 1
        places.add(place)
        assert " ".join(words[:place] + words[place + 1 :]) == plain
    assert places >= set(range(1, 7))


def test_the_word_stands_between_two_words() -> None:
    assert [insert_word("a b c", at) for at in (0.0, 0.49, 0.5, 0.999)] == [f"a {WORD} b c"] * 2 + [f"a b {WORD} c"] * 2


# Badges


@pytest.mark.parametrize("row", range(GRID))
@pytest.mark.parametrize("column", range(GRID))
def test_a_badge_changes_its_cell_and_no_other_pixel(row: int, column: int) -> None:
    for number, style in ((0, 0), (1, 3)):
        seed = (row, 100 * column + number)
        plain, marked = (
            np.asarray(decode(draw_planted_cover(number, style, seed, cell)), dtype=int) for cell in (None, (row, column))
        )
        changed = np.abs(marked - plain).max(axis=2)
        inside = np.zeros(changed.shape, dtype=bool)
        inside[CELL * row : CELL * (row + 1), CELL * column : CELL * (column + 1)] = True
        assert changed[~inside].max() == 0
        assert (changed[inside] > 60).mean() > 0.35, "a badge stands out by day and by night"
        # A spike can end between two pixels, so the image of a badge may be a little narrower than it is.
        for side in (0, 1):
            assert 42 <= np.ptp(np.flatnonzero((changed > 60).any(axis=side))) + 1 <= CELL


def test_below_the_badge_lies_the_ordinary_image() -> None:
    with_full_colours = np.asarray(decode(draw_planted_cover(1, 2, (3, 4), None)), dtype=float)
    assert np.abs(with_full_colours - np.asarray(paint_cover(1, 2, (3, 4)), dtype=float)).mean() < 2
    assert draw_planted_cover(1, 2, (3, 4), (0, 0)) == draw_planted_cover(1, 2, (3, 4), (0, 0))


# The folder


def test_the_folder_holds_the_truth_and_prepare_still_finds_its_table(whole: Path) -> None:
    truth, rows = truth_in(whole), read_rows(whole)
    assert list(truth[0]) == ["id", "word", "row", "column"]
    assert [row["id"] for row in truth] == [row["item_id"] for row in rows]
    assert [row["word"] for row in truth] == [WORD if WORD in row["title"].split(" ") else "" for row in rows]
    factors = make_planted_posts(60, 1).factors
    assert [(int(row["row"]), int(row["column"])) for row in truth] == [
        *zip(factors["row"], factors["column"], strict=True)
    ]

    found = read_pixelrec(whole)
    assert list(found.posts["id"]) == [row["id"] for row in truth]
    assert found.images == whole / COVERS
    assert not found.warnings


def test_covers_on_disk_show_the_badge_where_the_truth_says(whole: Path) -> None:
    posts = make_planted_posts(60, 1)
    lost = posts.missing_covers | posts.truncated_covers
    assert len(lost) == 2
    shown = 0
    for number, truth in enumerate(truth_in(whole)):
        if number in lost:
            assert (truth["row"], truth["column"]) == ("-1", "-1")
            continue
        drawn, style = (int(posts.factors[name][number]) for name in ("drawn", "style"))
        plain = np.asarray(decode(draw_planted_cover(drawn, style, (1, number), None)), dtype=int)
        there = np.asarray(decode((whole / COVERS / f"i{number}.jpg").read_bytes()), dtype=int)
        cells = np.abs(there - plain).reshape(GRID, CELL, GRID, CELL, 3).max(axis=(1, 3, 4))
        cell = [(int(truth["row"]), int(truth["column"]))] if truth["row"] != "-1" else []
        assert [tuple(place) for place in np.argwhere(cells > 0)] == cell
        shown += len(cell)
    assert 20 < shown < 40


def test_a_killed_planted_call_goes_on_to_the_same_bytes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, drawn = tmp_path / "pixelrec", []

    def draw(*args: object) -> bytes:
        if len(drawn) == 20:
            raise KeyboardInterrupt
        drawn.append(args)
        return draw_planted_cover(*args)

    monkeypatch.setattr("engage_cli.steps.sample.draw_planted_cover", draw)
    with pytest.raises(KeyboardInterrupt):
        write_sample(folder, rows=60, seed=1, planted=True)
    monkeypatch.undo()
    (folder / f".{PLANTED}.123.tmp").write_bytes(b"half")  # what SIGKILL leaves
    with pytest.raises(EngageError, match="unfinished sample with other settings"):
        write_sample(folder, rows=60, seed=1)
    write_sample(folder, rows=60, seed=1, planted=True)
    assert files_in(folder) == files_in(whole)


def test_ordinary_and_planted_samples_replace_each_other_without_a_trace(whole: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "ordinary", rows=60, seed=1)
    ordinary, planted = files_in(tmp_path / "ordinary"), files_in(whole)
    for folder, is_planted in ((tmp_path / "ordinary", False), (whole, True)):
        settings = read_record(folder / MARKER, SampleSettings, kind=KIND, version=VERSION, again="")
        assert settings == SampleSettings(rows=60, seed=1, images=True, planted=is_planted)
    assert planted.keys() - ordinary.keys() == {PLANTED}
    write_sample(tmp_path / "ordinary", rows=60, seed=1, planted=True, overwrite=True)
    assert files_in(tmp_path / "ordinary") == planted
    write_sample(tmp_path / "ordinary", rows=60, seed=1, overwrite=True)
    assert files_in(tmp_path / "ordinary") == ordinary


def test_a_file_of_the_users_named_like_the_truth_outlives_an_ordinary_sample(tmp_path: Path) -> None:
    write_sample(tmp_path, rows=20, with_images=False)
    (tmp_path / PLANTED).write_text("mine")
    write_sample(tmp_path, rows=20, with_images=False, overwrite=True)
    assert (tmp_path / PLANTED).read_text() == "mine"


def test_an_ordinary_sample_is_what_it_was_before_there_were_planted_ones(tmp_path: Path) -> None:
    """Under the pinned versions; with another Pillow the covers' bytes may differ for its own reasons."""
    write_sample(tmp_path, rows=60, seed=1)
    files = files_in(tmp_path)
    found = {
        name: hashlib.blake2b(files[name], digest_size=8).hexdigest()
        for name in (str(TABLE), f"{COVERS}/i0.jpg", f"{COVERS}/i7.jpg", f"{COVERS}/i30.jpg")
    }
    assert found == {
        str(TABLE): "e373309d707d232e",
        f"{COVERS}/i0.jpg": "6b34d7afa7cd4cb8",
        f"{COVERS}/i7.jpg": "74371a629e994763",
        f"{COVERS}/i30.jpg": "7b1ca62a1a9e8cb7",
    }
    assert (
        draw_cover(*(int(make_posts(60, 1).factors[name][7]) for name in ("drawn", "style")), (1, 7))
        == files[f"{COVERS}/i7.jpg"]
    )


# Command


@pytest.mark.parametrize("arguments", [[], ["--planted"]])
def test_the_command_speaks_of_plants_only_where_there_are_some(tmp_path: Path, arguments: list[str]) -> None:
    app = typer.Typer()
    app.command("sample")(sample)
    result = CliRunner().invoke(app, [str(tmp_path / "a"), "--rows", "40", *arguments])
    assert result.exit_code == 0
    for words in ("planted words", "planted badges", f"{PLANTED} says which titles have the word {WORD}"):
        assert (words in result.stdout) == bool(arguments)
    answer = json.loads(CliRunner().invoke(app, [str(tmp_path / "b"), "--rows", "40", "--json", *arguments]).stdout)
    truth = truth_in(tmp_path / "a") if arguments else []
    assert answer["planted_words"] == sum(row["word"] == WORD for row in truth)
    assert answer["planted_badges"] == sum(row["row"] != "-1" for row in truth)
    assert bool(answer["planted_words"]) == bool(answer["planted_badges"]) == bool(arguments)


def test_without_images_there_is_no_badge_to_count_but_its_part_in_the_law_stays(tmp_path: Path) -> None:
    summary = write_sample(tmp_path, rows=60, seed=1, with_images=False, planted=True)
    assert summary.planted_words > 20
    assert summary.planted_badges == 0
    assert set(files_in(tmp_path)) == {MARKER, PLANTED, str(TABLE)}
