"""The README: short, true, and its code runs."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from engage_cli.config.general import CLASS_NAMES
from engage_cli.main import app
from tests.calls import engage
from tests.documents import PAGES, ROOT, blocks, sections

README = PAGES["README.md"]
COMMANDS = [command.name for command in app.registered_commands]
FIXED_LINES = (
    "engage prepare --pixelrec-dir ",
    "engage train-regressor --vision siglip",
    "engage predict img.jpg --title ",
)


def test_it_is_of_three_screens_at_most() -> None:
    assert len(README.splitlines()) <= 150


def test_the_first_screen_has_the_two_commands() -> None:
    first = "\n".join(README.splitlines()[:40])
    assert "make demo" in first
    assert "make test" in first


@pytest.mark.parametrize("line", FIXED_LINES)
def test_the_lines_that_people_copy_are_there(line: str) -> None:
    assert re.search(rf"^{re.escape(line)}", README, flags=re.MULTILINE)


def test_every_command_has_its_line() -> None:
    assert set(re.findall(r"^\| `engage ([a-z-]+)` \| \S", sections("README.md")["Commands"], flags=re.M)) == set(COMMANDS)


@pytest.mark.parametrize("page", ["README.md", "docs/performance.md"])
def test_its_figures_are_those_of_the_benchmark(page: str) -> None:
    """Four rows of the default, beside TF-IDF + ridge, as benchmarks/RESULTS.md has them."""
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    expected = []
    for table in ("views, random split", "likes, random split", "views, time split", "likes, time split"):
        rows = results.partition(f"**{table}**")[2].partition("\n**")[0]
        default = re.search(r"^\| \*\*engage train \(default\)\*\* \|(.*)\|$", rows, flags=re.MULTILINE)
        ridge = re.search(r"^\| tf-idf \+ ridge \|(.*)\|$", rows, flags=re.MULTILINE)
        assert default is not None
        assert ridge is not None
        r2, spearman, _, pairs = (cell.strip() for cell in default[1].split("|")[:4])
        beside = ", ".join(cell.split("±")[0].strip() for cell in ridge[1].split("|")[:2])
        expected.append([r2, spearman, pairs, beside])
    shown = re.findall(
        r"^\| log (?:views|likes), [^|]+\|([^|]+)\|([^|]+)\|([^|]+)\|([^|]+)\|$",
        PAGES[page].replace("\u00a0", " "),
        flags=re.M,
    )
    assert [[cell.strip() for cell in row] for row in shown] == expected


@pytest.mark.parametrize("page", ["README.md", "docs/predictions.md"])
def test_the_answer_shown_is_worded_as_the_program_words_it(page: str, world: Path, pixelrec: Path) -> None:
    shown = next(block for block in blocks(page, "") if "pixelrec/cover" in block)
    cover = next((pixelrec / "cover").glob("*.jpg"))
    found = engage("predict", cover, "--title", "OMG pizza", "--run", world / "runs" / "gp").stdout
    assert _shapes(shown, "pixelrec/cover/i7.jpg") <= _shapes(found, str(cover))


def test_the_picture_shows_what_the_program_prints(world: Path, pixelrec: Path) -> None:
    svg = (ROOT / "docs" / "images" / "terminal.svg").read_text(encoding="utf-8")
    drawn = "".join("".join(re.findall(r"<text [^>]*>([^<]*)</text>", html.unescape(svg))).split())
    covers = sorted((pixelrec / "cover").glob("*.jpg"))[:2]
    titles = ("--title", "OMG the most AMAZING pizza", "--title", "My pizza, week 3")
    printed = engage("predict", *covers, *titles, "--run", world / "runs" / "gp").stdout.splitlines()
    heading, columns = printed[:2]
    # The verdict depends on the posts, and so do the figures of the gain; what the columns mean does not.
    legend = [line for line in printed if line.startswith("80 % interval: ")]
    assert legend
    (gain,) = (line for line in printed if line.startswith("Choosing "))
    legend += re.findall(r"over choosing one of them at random|\(80 % interval:", gain)
    assert len(legend) == 3
    for line in (heading, columns, *legend):
        assert "".join(line.split()) in drawn, "draw it again: see tools/terminal.py"


def _shapes(text: str, cover: str) -> set[str]:
    """Return the lines without what differs from answer to answer: figures, names, bars."""
    text = re.sub(r"“.*”", "“title”", text.replace(cover, "cover")).replace("popularity:", "views:")
    text = re.sub(rf"\b(?:{'|'.join(CLASS_NAMES)}|Very)\b(?: Low| High)?", "level", re.sub(r"[\d,.]+", "#", text))
    return {re.sub(r"\s+", " ", line.rstrip(" █")) for line in text.splitlines() if line.strip()}


def test_its_python_runs_and_prints_such_a_table(
    checkpoints: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("README.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 5
    tiny = f'members="gp", vision={checkpoints["vit"]!r}, text={checkpoints["bert"]!r}'
    for shown, quick in (('members="gp,catboost"', tiny), ("sample_posts(600)", "sample_posts(60)")):
        assert shown in code
        code = code.replace(shown, quick)
    capsys.readouterr()
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    shown_output = next(block for block in blocks("README.md", "") if "count_80_low" in block).splitlines()
    assert printed[0].split() == shown_output[0].split()
    titles = [line.split("  ")[0] for line in shown_output[2:]]
    assert [line.split("  ")[0] for line in printed[2:]] == titles
