"""Numbers, dates and tags: what is written in any style of one column comes back as it was, or the column is refused."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage_cli.data.cells._dates import ORDERS, parse_dates
from engage_cli.data.cells._tags import parse_tags
from engage_cli.data.cells.numbers import parse_counters, parse_scores
from engage_cli.data.cells.texts import mend_text

NOW = pd.Timestamp("2026-01-01", tz="UTC")
COUNTS = st.lists(st.integers(0, 10**10), min_size=1, max_size=12)
GROUPS = {",": ",", ".": ".", " ": " ", "narrow": "\u202f", "'": "'", "’": "’", "": ""}


@given(
    counts=COUNTS,
    sign=st.sampled_from(list(GROUPS.values())),
    words=st.sampled_from(["{}", "{} views", "{}次播放", " {} "]),
)
def test_whole_numbers_in_any_grouping_come_back(counts: list[int], sign: str, words: str) -> None:
    column = pd.Series([words.format(f"{count:,}".replace(",", sign)) for count in counts])
    found = parse_counters(column)
    assert found.problem or found.values.tolist() == [float(count) for count in counts]
    assert found.problem or not found.unusable.any()


@given(
    tenths=st.lists(st.integers(1, 99_999), min_size=1, max_size=12),
    decimal=st.sampled_from([".", ","]),
    word=st.sampled_from(
        [("K", 1e3), ("k views", 1e3), ("万", 1e4), ("w", 1e4), (" Mio.", 1e6), ("亿", 1e8), ("B", 1e9), (" млн", 1e6)]
    ),
    small=st.lists(st.integers(0, 999), max_size=5),
)
def test_shortened_numbers_come_back(tenths: list[int], decimal: str, word: tuple[str, float], small: list[int]) -> None:
    cells = [f"{n // 10}{decimal}{n % 10}{word[0]}" for n in tenths] + [str(n) for n in small]
    found = parse_counters(pd.Series(cells))
    expected = [round(n * word[1] / 10) for n in tenths] + small
    assert found.problem or found.values.tolist() == pytest.approx(expected, rel=1e-12)


@given(counts=COUNTS, others=COUNTS)
def test_two_styles_in_one_column_never_give_a_wrong_number(counts: list[int], others: list[int]) -> None:
    cells = [f"{count:,}" for count in counts] + [f"{count:,}".replace(",", ".") for count in others]
    found = parse_counters(pd.Series(cells))
    if not found.problem:
        expected = np.array([*counts, *others], float)
        assert ((found.values == expected) | np.isnan(found.values)).all()


@given(values=st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=12))
def test_numbers_of_a_typed_column_come_back(values: list[float]) -> None:
    found = parse_scores(pd.Series([repr(value) for value in values]), is_typed=True)
    assert found.values.tolist() == values


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["8849", "3.2万", "1.2亿", "10万+", "1.2w"], [8849, 32_000, 1.2e8, 1e5, 12_000]),
        (["1亿2000万", "3万5"], [1.2e8, 30_005]),
        (["1.234", "567"], [1234, 567]),
        (["1,2K", "1.234"], [1200, 1234]),
        (["12,34,567"], [1_234_567]),
        (["１２３", "٣٤"], [123, 34]),
        (["hidden", "-1", "N/A", "−1", "7"], [np.nan, np.nan, np.nan, np.nan, 7]),
        (["No views", "1 view"], [0, 1]),
    ],
)
def test_counts_as_people_write_them(cells: list[str], values: list[float]) -> None:
    found = parse_counters(pd.Series(cells))
    np.testing.assert_array_equal(found.values, np.array(values, float))
    assert not found.unusable.any()
    assert not found.problem


@pytest.mark.parametrize("cells", [["1.234", "5.6K"], ["1,234K"], ["1.5 Mio.", "2,3 Tsd."], ["1,234,567", "1.234.567"]])
def test_numbers_that_can_be_read_in_two_ways_are_refused(cells: list[str]) -> None:
    assert parse_counters(pd.Series(cells)).problem


DAYS = st.lists(st.dates(datetime.date(2001, 1, 1), datetime.date(2025, 12, 31)), min_size=1, max_size=10)


def written(day: datetime.date, order: str, sign: str, *, short_year: bool, padded: bool) -> str:
    year = f"{day.year % 100:02d}" if short_year else str(day.year)
    width = 2 if padded or short_year else 1
    parts = {"D": f"{day.day:0{width}d}", "M": f"{day.month:0{width}d}", "Y": year}
    return sign.join(parts[letter] for letter in order)


@given(
    days=DAYS,
    order=st.sampled_from([one for one in ORDERS if one != "YDM"]),
    sign=st.sampled_from(["/", ".", "-", " "]),
    padded=st.booleans(),
)
def test_dates_in_any_order_come_back_or_are_refused(
    days: list[datetime.date], order: str, sign: str, padded: bool
) -> None:
    cells = [written(day, order, sign, short_year=False, padded=padded) for day in days]
    found = parse_dates(pd.Series(cells), now=NOW)
    assert found.problem or [value.date() for value in found.values] == days
    told = parse_dates(pd.Series(cells), now=NOW, order=order)
    assert [value.date() for value in told.values] == days


@given(days=DAYS, order=st.sampled_from(ORDERS), sign=st.sampled_from(["/", ".", "-"]))
def test_dates_of_short_years_come_back_once_the_order_is_said(days: list[datetime.date], order: str, sign: str) -> None:
    cells = [written(day, order, sign, short_year=True, padded=True) for day in days]
    told = parse_dates(pd.Series(cells), now=NOW, order=order)
    assert [value.date() for value in told.values] == days


@pytest.mark.parametrize(
    ("cells", "days", "order"),
    [
        (["17.14.11", "18.30.01"], ["2017-11-14", "2018-01-30"], "YDM"),
        (["2021-13-05", "2021-01-05"], ["2021-05-13", "2021-05-01"], "YDM"),
        (["1. August 2025", "3 août 2025", "12 de agosto de 2025"], ["2025-08-01", "2025-08-03", "2025-08-12"], ""),
        (["2025年8月1日", "2025. 8. 2."], ["2025-08-01", "2025-08-02"], ""),
        (["03/01/2025 6:08 PM", "03/30/2025 06:08"], ["2025-03-01", "2025-03-30"], "MDY"),
    ],
)
def test_dates_as_exports_write_them(cells: list[str], days: list[str], order: str) -> None:
    found = parse_dates(pd.Series(cells), now=NOW)
    assert [value.strftime("%Y-%m-%d") for value in found.values] == days
    assert found.order == order


@pytest.mark.parametrize("cells", [["09/05/2021"], ["17.04.12", "17.05.12"], ["25/09/2021", "09/25/2021"]])
def test_dates_that_several_orders_fit_or_none_are_refused(cells: list[str]) -> None:
    found = parse_dates(pd.Series(cells), now=NOW)
    assert found.problem
    assert found.values.isna().all()


NAMES = st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters=" '\"&-"), min_size=1, max_size=12)
TAGS = st.lists(NAMES.map(lambda name: " ".join(name.split())).filter(lambda name: name.strip() and name.lower() not in
                ("none", "null", "nan")), min_size=2, max_size=5)  # fmt: skip


@given(tags=TAGS, form=st.sampled_from(["json", "python", "objects", "numpy"]))
def test_tags_of_any_list_come_back(tags: list[str], form: str) -> None:
    tags = [tag.replace("'", "").replace('"', "") or "x" for tag in tags] if form == "numpy" else tags
    cell = {
        "json": lambda: json.dumps(tags, ensure_ascii=False),
        "python": lambda: repr(tags),
        "objects": lambda: json.dumps([{"id": str(n), "name": tag, "title": ""} for n, tag in enumerate(tags)]),
        "numpy": lambda: "[" + " ".join(f"'{tag}'" for tag in tags) + "]",
    }[form]()
    found, _ = parse_tags(pd.Series([cell]))
    assert found[0].split("|") == [tag.strip() for tag in tags]


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ('a|"b c"|"d"', "a|b c|d"),
        ("[none]", ""),
        ("[]", ""),
        ("{lamp,river}", "lamp|river"),
        ("#a #b", "a|b"),
        ('"a","b, c"', "a|b, c"),
        ('["a|b", "c"]', "a/b|c"),
        ("lamp, river", "lamp, river"),
        ('say "hi" now', 'say "hi" now'),
    ],
)
def test_tags_as_exports_write_them(cell: str, tags: str) -> None:
    assert parse_tags(pd.Series([cell]))[0].tolist() == [tags]


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([r"a\nb", "c"], ["a\nb", "c"]),
        ([r"C:\new\folder"], [r"C:\new\folder"]),
        ([r"\frac and \nabla"], [r"\frac and \nabla"]),
        ([r"a\nb", "real\nline"], [r"a\nb", "real\nline"]),
        (["Tom &amp; Jerry &#39;s", "R&D; &T;"], ["Tom & Jerry 's", "R&D; &T;"]),
    ],
)
def test_escapes_are_read_where_nothing_else_explains_them(cells: list[str], texts: list[str]) -> None:
    assert mend_text(pd.Series(cells))[0].tolist() == texts
