"""The report and the terminal tell the truth, about training posts alone, and nothing in them comes from outside."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from engage_cli.data.quality import NUM_EXAMPLES, histogram
from engage_cli.data.schema import ALL_COUNTERS
from tests.calls import answer, engage
from tests.sources import write_table
from tests.test_prepare import POSTS, images_and_call, prepared


def test_the_report_is_one_file_and_escapes_what_posts_say(tmp_path: Path) -> None:
    folder, _ = images_and_call(tmp_path)
    wicked = '<script>alert("x")</script>\u202e RTL'
    table = write_table(tmp_path / "posts.csv", 40, title=lambda n: f"{wicked} {n * 17 % 41}", likes=lambda n: n % 7)
    found = answer("prepare", "--table", table, "--images-dir", folder, "--data", tmp_path / "data")
    page = (tmp_path / "data" / "quality.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    # Nothing is fetched: every address in the page is data inside it.
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", page)
    assert not re.search(r"https?://|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert page.count("data:image/jpeg;base64,") == NUM_EXAMPLES
    for words in (*found["targets"], "only after: no model sees it", "Near-duplicates", "weights of equation 1", "Split"):
        assert words in page
    assert f"{found['split']['rows']['train']:,} training posts" in page
    assert "<b>40</b>with a usable image" in page
    without = answer("prepare", "--table", table, "--no-images", "--data", tmp_path / "text")
    assert without["image_problems"] == {"not asked for": 40}
    assert "<b>0</b>with a usable image" in (tmp_path / "text" / "quality.html").read_text()


def test_the_report_shows_training_posts_alone(tmp_path: Path) -> None:
    """Outcomes of other posts may not be seen, so that nobody tunes on them."""
    first = prepared(POSTS, tmp_path / "a", split="random")
    outside = (first.dataset.posts["split"] != "train").to_numpy()
    changed = POSTS.copy()
    for counter in ALL_COUNTERS:
        changed.loc[outside, counter] = changed.loc[outside, counter] * 1000 + 17
    again = prepared(changed, tmp_path / "b", split="random")
    assert again.quality == first.quality
    assert all(not outside[example.row] for example in first.quality.examples)
    assert len(first.quality.examples) == NUM_EXAMPLES
    percentiles = [example.percentile for example in first.quality.examples]
    assert percentiles == sorted(percentiles)


def test_histograms_by_value() -> None:
    found = histogram(np.array([0.0, 1.0, 1.0, 32.0]))
    assert (sum(found.counts), found.edges[0], found.edges[-1], found.counts[1]) == (4, 0.0, 32.0, 2)
    assert histogram(np.array([5.0, 5.0])).counts == (2,)
    assert histogram(np.array([])).counts == ()


def test_the_terminal_says_what_the_report_says(tmp_path: Path) -> None:
    folder, call = images_and_call(tmp_path)
    (folder / "p5.jpg").write_bytes(b"no image")
    (folder / "p6.jpg").write_bytes((folder / "p7.jpg").read_bytes())
    result = engage(*call)
    assert result.exit_code == 0
    for words in (
        "id, title, views",
        "image: not an image",
        "Split. At random, 80/10/10, seed 0.",
        "2 posts share nearly the same image or the same title with another (1 groups); no group is in two parts",
        "Counters of the 32 training posts",
        "Very Low",
        "views = log1p(views)",
        "no target popularity: popularity needs likes, shares, comments or favorites",
        "only after",
        "quality.html; problems of rows are in problems.csv",
    ):
        assert words in result.stdout, words
    assert result.stdout.splitlines()[-1].startswith("Next: engage embed --data ")
    assert max(map(len, result.stdout.splitlines())) < 200
