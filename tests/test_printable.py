"""No escape, C1 or direction sign from data reaches a stream; no cell of data is a formula for a spreadsheet."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from engage_cli.cli.render.output import print_json, print_line, print_table
from engage_cli.io.csv_cells import csv_of_rows, csv_of_table, safe_cell
from engage_cli.io.printable import SHOWN, escaped_json, one_line, printable
from engage_cli.progress.reporters import LineReporter, RichReporter
from tests.calls import answer, engage
from tests.good import ROWS, good_table
from tests.sources import encoded, picture, write_table

DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
WICKED = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\n"] + ["\u2028", "\u2029", *DIRECTIONS]
ATTACK = "\x1b]0;pwned\x07\x1b[31mred\x9b2J\u202egnp\u2066\u061c\u2028next"
FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1+1", '=HYPERLINK("http://x")', "-", "+49 170"]
NUMBERS = ["-1.5", "+3", "-2e-05", "1", "-.5", "7."]


def is_clean(text: str) -> bool:
    return not any(sign in text for sign in WICKED)


@pytest.mark.parametrize("sign", WICKED, ids=lambda sign: f"{ord(sign):04x}")
def test_each_sign_that_acts_is_replaced_and_escaped(sign: str) -> None:
    assert printable(f"a{sign}b") == f"a{SHOWN}b"
    text = json.dumps({"title": f"a{sign}b"}, ensure_ascii=False)
    assert is_clean(escaped_json(text))
    assert json.loads(escaped_json(text)) == {"title": f"a{sign}b"}


def test_letters_of_all_scripts_stay() -> None:
    text = "Café 你好 مرحبا שלום नमस्ते 👨\u200d👩\u200d👧 ½ €"
    assert (printable(text), one_line(text), printable("a\nb")) == (text, text, "a\nb")
    assert one_line("a\r\nb\tc\n") == "a b c "
    assert all(unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") for sign in WICKED)


def test_every_sink_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(ATTACK)
    print_table(ATTACK, [ATTACK, ATTACK], [[ATTACK, ATTACK]])
    print_json({ATTACK: [ATTACK]})
    lines = LineReporter()
    lines.say(f"{ATTACK}\nengage: all is well")
    with lines.stage(ATTACK, 2) as stage:
        stage.advance(2, note=ATTACK)
    said = capsys.readouterr()
    assert is_clean(said.out)
    assert is_clean(said.err)
    assert "red" in said.out
    assert len(said.err.splitlines()) == 2


def test_the_live_display_takes_nothing_for_markup_or_for_an_escape() -> None:
    reporter = RichReporter()
    reporter.console = Console(file=io.StringIO(), force_terminal=False, width=120)
    reporter.say(f"[bold]{ATTACK}[/nothing]")
    with reporter.stage(f"[red]{ATTACK}[/nothing]", 1) as stage:
        stage.advance(note=f"{ATTACK}[/b]")
    shown = reporter.console.file.getvalue()  # type: ignore[attr-defined]
    assert is_clean(shown)
    assert "[/nothing]" in shown


@pytest.mark.parametrize(
    "call",
    [
        [ATTACK],
        ["predict", f"--{ATTACK}"],
        ["predict", "a.jpg", "--run", ATTACK],
        ["sample", "out", "--rows", ATTACK],
        ["serve", "--port", ATTACK],
        ["prepare", "--table", ATTACK],
        ["train-catboost", "--as", ATTACK],
        ["train-regressor", "--fusion", ATTACK],
        ["predict", "--table", f"{ATTACK}.csv", "--out", f"{ATTACK}.csv"],
    ],
    ids=lambda call: call[0][:20].encode("unicode_escape").decode(),
)
def test_what_a_call_says_of_its_arguments_is_clean(call: list[str]) -> None:
    result = engage(*call)
    assert result.exit_code != 0
    assert is_clean(result.output)


def test_names_and_cells_of_a_table_reach_no_stream(tmp_path: Path) -> None:
    header = f"id,views,title,{ATTACK.replace(chr(0x2028), '')}\n"
    path = good_table(tmp_path, 3, f"p3,{ATTACK},{ATTACK},x\n", header)
    result = engage("prepare", "--table", path, "--no-images", "--data", tmp_path / "data")
    assert is_clean(result.output), result.output
    assert len(ROWS) == 40


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_becomes_text(cell: str) -> None:
    assert safe_cell(cell) == "'" + cell.replace("\r", "\n")
    assert safe_cell(f"a\r{cell}") == "a\n" + cell.replace("\r", "\n")  # one cell, in quotes: no row begins in it


@pytest.mark.parametrize("cell", [*NUMBERS, -1.5, 3, None, "", "a=1", "über", "a\tb"])
def test_numbers_and_texts_stay(cell: object) -> None:
    assert safe_cell(cell) == cell


def test_both_writers_guard_cells_and_names() -> None:
    table = pd.DataFrame({"=id": FORMULAS, "value": [-1.5] * len(FORMULAS), "missing": [float("nan")] * len(FORMULAS)})
    for text in (csv_of_table(table), csv_of_rows(list(table), table.itertuples(index=False, name=None))):
        again = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        assert next(iter(again)) == "'=id"
        assert again["'=id"].tolist() == [safe_cell(cell) for cell in FORMULAS]
        assert set(again["value"]) == {"-1.5"}
    assert table["=id"].tolist() == FORMULAS  # what was given is not changed


def test_every_csv_that_holds_data_is_safe(world: Path, tmp_path: Path) -> None:
    covers = tmp_path / "covers"
    covers.mkdir()
    (covers / "=a.jpg").write_bytes(encoded(picture(1)))
    names = [FORMULAS[n % len(FORMULAS)].strip() + str(n) for n in range(40)]
    table = write_table(
        tmp_path / "posts.csv",
        40,
        id=names,
        image=lambda n: "=no.jpg" if n else "=a.jpg",
        title=names,
        views=lambda n: "-x" if n == 5 else n,
    )
    data = tmp_path / "data"
    answer("prepare", "--table", table, "--images-dir", covers, "--split", "random", "--data", data)
    out = tmp_path / "said.csv"
    answer("predict", "--table", table, "--images-dir", covers, "--out", out, "--run", world / "runs" / "regressor")
    written = [data / "problems.csv", out, tmp_path / "said.csv.problems.csv", *(world / "runs").glob("*/importance.csv")]
    for path in written:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False).stack()
        assert len(cells)
        assert [cell for cell in cells if safe_cell(cell) != cell] == [], path
    assert any(cell.startswith("'=") for cell in pd.read_csv(out, dtype=str)["id"])
