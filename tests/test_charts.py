"""Numbers in few letters."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage_cli.io.written_numbers import count_of, plain_number, short_number, with_minus

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
SIZES = st.floats(-2, 14.9).map(lambda power: 10**power)


def read(text: str) -> float:
    found = re.fullmatch(r"(-?)(\d+(?:\.\d+)?)([kMBT]?)", text)
    assert found is not None, text  # never in powers of ten
    return float(found[1] + found[2]) * UNITS[found[3]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.5, "0.5"), (0.00012, "0.00012"), (5.19, "5.19"), (99.96, "100"), (415.3, "415"), (999.6, "1k"),
        (1_000, "1k"), (1_234, "1.2k"), (9_960, "10k"), (99_700, "100k"), (999_499, "999k"), (999_600, "1M"),
        (1_234_567, "1.2M"), (99_700_000, "100M"), (999_999_999, "1B"), (1e12, "1T"), (-99_700, "-100k"), (-0.0, "0"),
        (math.nan, "nan"), (math.inf, "inf"),
    ],
)  # fmt: skip
def test_a_number_in_few_letters(value: float, text: str) -> None:
    assert short_number(value) == text


@given(SIZES)
def test_it_is_short_and_close(value: float) -> None:
    text = short_number(value)
    assert len(text) <= (5 if value >= 0.1 else 6)
    assert read(text) == pytest.approx(value, rel=0.06)
    assert short_number(-value) == f"-{text}"


@given(SIZES, SIZES)
def test_a_larger_number_never_reads_as_a_smaller_one(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert read(short_number(low)) <= read(short_number(high)) * (1 + 1e-12)


def test_counts_and_signs_are_written_in_one_way() -> None:
    assert [count_of(num) for num in (0, 1, 1234)] == ["0 posts", "1 post", "1,234 posts"]
    assert count_of(2, "core") == "2 cores"
    assert [plain_number(value) for value in (-0.0, -0.5, 1e6)] == ["0", "−0.5", "1e+06"]
    assert with_minus("-0.00") == "0.00"
