"""Numbers as people and programs write them: 1,234, 1.234, 1 234, 1.2K, 3.2万, "3.0K views".

What a comma and a dot mean is decided once for a whole column, and said. A column that is ambiguous is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from engage_cli.data.cells._number_words import MULTIPLIER, MULTIPLIERS, UNIT, UNKNOWN
from engage_cli.data.cells.texts import NOTHING, as_arrow

LARGEST = 1e15  # no post was seen by more; what is larger is not a counter
MOST_OF_ANOTHER_STYLE = 0.1  # of the cells that have separators
# "1亿2000万" is one number of two parts.
_SEVERAL = re.compile(r"(\d+(?:\.\d+)?)\s*([亿億억万萬만千仟천])\s*(\d+(?:\.\d+)?)\s*([万萬만千仟천]?)")
_OF_A_PROGRAM = re.compile(r"[+-]?(?:\d+(?:\.\d*)?[eE][+-]?\d+|inf)")
_NONE_AT_ALL = re.compile(r"no (?:views|likes|comments|shares|plays)(?: yet)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class NumberStyle:
    """What divides thousands, and what the whole from its decimals."""

    thousands: str = ","
    decimal: str = "."

    @property
    def whole(self) -> str:
        sign = re.escape(self.thousands)
        indian = r"|\d{1,2}(?:,\d{2})+,\d{3}" if self.thousands == "," else ""
        return rf"(?:\d{{1,3}}(?:{sign}\d{{3}})+{indian}|\d+)"

    @property
    def bare(self) -> str:
        """The pattern of a number without a word."""
        return rf"[+-]?{self.whole}(?:{re.escape(self.decimal)}\d*)?"

    @property
    def with_words(self) -> str:
        """The pattern of a number with a multiplier, a unit, a plus sign, or several of them."""
        return rf"(?i)(?:{UNIT}\s*[:：]?\s*)?({self.bare})\s*({MULTIPLIER})?\s*\+?\s*(?:{UNIT})?"

    def __str__(self) -> str:
        return {",": "commas", ".": "dots", " ": "spaces", "'": "apostrophes"}[self.thousands]


PLAIN = NumberStyle()
STYLES = (
    PLAIN,
    NumberStyle(thousands=".", decimal=","),
    NumberStyle(thousands=" ", decimal=","),
    NumberStyle(thousands=" ", decimal="."),
    NumberStyle(thousands="'", decimal="."),
    NumberStyle(thousands="'", decimal=","),
)


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A parsed column."""

    values: np.ndarray  # (n,) float64, NaN where no number stands
    unusable: np.ndarray  # (n,) bool: something stands there, and it is not a number
    style: NumberStyle = PLAIN
    notes: tuple[str, ...] = ()
    problem: str = ""  # why the column as a whole cannot be read


def parse_counters(column: pd.Series, *, decimal: str = "", is_typed: bool = False) -> Numbers:
    """Parse counts. An empty cell, "n/a", "hidden", -1 and the like are missing; what is not a number >= 0 is unusable.

    `decimal` is the sign before decimals where that is known. `is_typed`: the file had numbers, so that a dot is a dot.
    """
    found = _parse(column, decimal, is_typed=is_typed, are_counts=True)
    hidden = found.values == -1
    notes = found.notes
    if hidden.any():
        notes = (*notes, f"{int(hidden.sum()):,} cells are -1, which stands for unknown")
    values = np.where((found.values >= 0) & (found.values <= LARGEST), found.values, np.nan)
    unusable = found.unusable | (np.isfinite(found.values) | np.isinf(found.values)) & np.isnan(values) & ~hidden
    return Numbers(values=values, unusable=unusable, style=found.style, notes=notes, problem=found.problem)


def parse_scores(column: pd.Series, *, decimal: str = "", is_typed: bool = False) -> Numbers:
    """Parse real numbers of any sign."""
    found = _parse(column, decimal, is_typed=is_typed, are_counts=False)
    values = np.where(np.abs(found.values) <= LARGEST, found.values, np.nan)
    unusable = found.unusable | np.isinf(found.values) | np.isfinite(found.values) & np.isnan(values)
    return Numbers(values=values, unusable=unusable, style=found.style, notes=found.notes, problem=found.problem)


def _parse(column: pd.Series, decimal: str, *, is_typed: bool, are_counts: bool) -> Numbers:
    cells = as_arrow(column)
    none = np.zeros(len(cells), bool)
    asked = [style for style in STYLES if style.decimal == decimal] if decimal else list(STYLES)
    try:  # nearly every column is numbers and empty cells, which this reads twenty times as fast
        plain = pc.cast(pc.if_else(pc.equal(cells, ""), None, cells), pa.float64())
    except pa.ArrowInvalid:
        pass
    else:
        values = plain.to_numpy(zero_copy_only=False).astype(np.float64)
        is_clear = is_typed or decimal == "." or not are_counts or not _any_match(cells, _like_thousands("."))
        if is_clear and decimal != ",":
            return Numbers(values=values, unusable=none)
    cells = _normalise(cells)
    missing = pc.is_in(pc.utf8_lower(cells), pa.array(UNKNOWN if are_counts else NOTHING)).to_numpy(zero_copy_only=False)
    is_zero = np.zeros(len(cells), bool)
    rows = np.flatnonzero(~missing & ~_match(cells, r"^[+-]?\d+$"))
    odd = cells.take(pa.array(rows))
    style, notes, problem = _choose(odd, asked, are_counts=are_counts)
    values = np.full(len(cells), np.nan)
    whole = ~missing
    whole[rows] = False
    values[whole] = pc.cast(pc.filter(cells, pa.array(whole)), pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    values[rows] = _read(odd, style)
    if are_counts:
        for row, cell in zip(
            rows[np.isnan(values[rows])], odd.filter(pa.array(np.isnan(values[rows]))).to_pylist(), strict=True
        ):
            is_zero[row] = _NONE_AT_ALL.fullmatch(cell) is not None
        values[is_zero] = 0.0
    notes += _notes_of(odd, values[rows], style, are_counts=are_counts)
    return Numbers(values=values, unusable=np.isnan(values) & ~missing, style=style, notes=tuple(notes), problem=problem)


def _choose(odd: pa.Array, asked: Sequence[NumberStyle], *, are_counts: bool) -> tuple[NumberStyle, list[str], str]:
    """Return the style that fits most cells that are not plain digits; a problem where two styles do, with other values."""
    divided = odd.filter(pc.match_substring_regex(odd, r"\d[.,' ]\d"))
    divided = pc.unique(divided)
    if not len(divided):
        return asked[0], [], ""
    readings = [_read(divided, style) for style in asked]
    bare = [_match(divided, f"^{style.bare}$") for style in asked]
    is_free = are_counts and len({style.decimal for style in asked}) > 1
    weak = [
        _have_decimals(divided, style) & np.isfinite(values) & is_bare & is_free
        for style, values, is_bare in zip(asked, readings, bare, strict=True)
    ]
    scores = []
    for style, values, is_weak in zip(asked, readings, weak, strict=True):
        # A count has no decimals: a bare fraction fits only where decimals are written with a dot, as programs do.
        strong = int((np.isfinite(values) & ~is_weak).sum())
        scores.append((int(np.isfinite(values).sum()) if style.decimal == "." else strong, strong))
    best = max(scores)
    first = scores.index(best)
    equal = [place for place, score in enumerate(scores) if score == best]
    chosen, style = readings[first], asked[first]
    if not best[0]:
        return asked[0], [], ""
    for place in equal[1:]:
        differs = ~((readings[place] == chosen) | (np.isnan(readings[place]) & np.isnan(chosen)))
        if differs.any():
            return style, [], _two_ways(divided, differs, chosen, readings[place])
    # Three decimals of a count are thousands to somebody else, and another cell would have to say that they are none.
    like = weak[first] & _match(divided, _like_thousands(style.decimal))
    if like.any() and (style.decimal != "." or (like == weak[first]).all()):
        other = next(values for one, values in zip(asked, readings, strict=True) if one.thousands == style.decimal)
        if best[1] or (np.isfinite(other) & ~like).any():
            return style, [], _two_ways(divided, like, chosen, other)
    others = np.isnan(chosen) & np.any([np.isfinite(values) for values in readings], axis=0)
    if others.sum() > MOST_OF_ANOTHER_STYLE * len(divided) and (np.isfinite(chosen)).any():
        odd_one = divided.filter(pa.array(others))[0].as_py()
        usual = divided.filter(pa.array(np.isfinite(chosen)))[0].as_py()
        if _is_decisive(odd_one, asked, style):
            return style, [], f"'{usual}' and '{odd_one}' are written in two styles; write all numbers in one"
    return style, [], ""


def _is_decisive(cell: str, asked: Sequence[NumberStyle], style: NumberStyle) -> bool:
    """Say whether a cell is a well-formed number of more than a stray sign in another style."""
    return any(
        other != style
        and re.fullmatch(rf"\d{{1,3}}(?:{re.escape(other.thousands)}\d{{3}})+(?:{re.escape(other.decimal)}\d+)?", cell)
        for other in asked
    )


def _have_decimals(divided: pa.Array, style: NumberStyle) -> np.ndarray:
    """Say which cells, read in a style, have decimals that a count has not."""
    sign = re.escape(style.decimal)
    return _match(divided, rf"{sign}0*[1-9]\d*$") | _match(divided, _like_thousands(style.decimal))


def _like_thousands(sign: str) -> str:
    """The pattern of 1.234 and 12.000: three thousands and more where that sign divides thousands, else small fractions."""
    return rf"^\+?[1-9]\d{{0,2}}(?:{re.escape(sign)}\d{{3}})+$"


def _two_ways(divided: pa.Array, differs: np.ndarray, one: np.ndarray, other: np.ndarray) -> str:
    place = int(np.flatnonzero(differs)[0])
    lone = [np.flatnonzero(np.isfinite(a) & np.isnan(b)) for a, b in ((one, other), (other, one))]
    if all(rows.size for rows in lone):
        first, second = (divided[int(rows[0])].as_py() for rows in lone)
        return f"'{first}' and '{second}' are written in two styles; write all numbers in one"
    return (
        f"'{divided[place].as_py()}' can be {one[place]:,.10g} or {other[place]:,.10g}; choose the "
        "decimal sign with --decimal . or --decimal ,"
    )


def _read(cells: pa.Array, style: NumberStyle) -> np.ndarray:
    """Return (n,) float64: the cells as numbers of a style, NaN where one is none."""
    values = np.full(len(cells), np.nan)
    bare = _match(cells, f"^{style.bare}$")
    if bare.any():
        some = pc.replace_substring(cells.filter(pa.array(bare)), style.thousands, "")
        some = pc.replace_substring(some, style.decimal, ".") if style.decimal != "." else some
        values[bare] = pc.cast(some, pa.float64()).to_numpy(zero_copy_only=False)
    pattern = re.compile(style.with_words)
    known: dict[str, float] = {}
    for row, cell in zip(np.flatnonzero(~bare), cells.filter(pa.array(~bare)).to_pylist(), strict=True):
        if cell not in known:
            known[cell] = _read_words(cell, pattern, style)
        values[row] = known[cell]
    return values


def _read_words(cell: str, pattern: re.Pattern[str], style: NumberStyle) -> float:
    if found := pattern.fullmatch(cell):
        number = found[1].replace(style.thousands, "").replace(style.decimal, ".")
        scaled = float(number) * MULTIPLIERS.get((found[2] or "").lower(), 1.0)
        # 511.7万 is 5,117,000, and not 5,116,999.999...
        return float(round(scaled)) if found[2] and abs(scaled - round(scaled)) < 1e-6 * max(1.0, abs(scaled)) else scaled
    if found := _SEVERAL.fullmatch(cell.rstrip("+").strip()):
        large = MULTIPLIERS[found[2]]
        small = MULTIPLIERS[found[4]] if found[4] else 1.0
        return float(found[1]) * large + float(found[3]) * small if small < large else np.nan
    return float(cell) if _OF_A_PROGRAM.fullmatch(cell) else np.nan


def _notes_of(odd: pa.Array, values: np.ndarray, style: NumberStyle, *, are_counts: bool) -> list[str]:
    notes: list[str] = []
    known = np.isfinite(values)
    if style != PLAIN and known.any():
        divided = _match(odd, r"\d[.,' ]\d") & known
        if divided.any():
            row = int(np.flatnonzero(divided)[0])
            notes.append(
                f"{style} divide thousands, '{style.decimal}' decimals: '{odd[row].as_py()}' is {values[row]:,.10g}"
            )
    bounds = int((known & _match(odd, r"\d\D*\+\s*\D*$")).sum())
    if are_counts and bounds:
        notes.append(f"{bounds:,} cells end in a plus sign; they count as the number before it")
    return notes


def _normalise(cells: pa.Array) -> pa.Array:
    """Trim, and write full-width signs, digits of other scripts and the many spaces, minus signs and apostrophes as one."""
    cells = pc.utf8_trim_whitespace(cells)
    odd = np.flatnonzero(~pc.string_is_ascii(cells).to_numpy(zero_copy_only=False))
    if not odd.size:
        return cells
    values = cells.to_pylist()
    for row in odd:
        values[row] = _plain(values[row])
    return pa.array(values, pa.string())


def _plain(cell: str) -> str:
    cell = unicodedata.normalize("NFKC", cell).translate(_SAME).strip()
    return "".join(str(unicodedata.digit(sign)) if not sign.isascii() and sign.isdecimal() else sign for sign in cell)


_SAME = str.maketrans({"−": "-", "–": "-", "’": "'", "٬": ",", "٫": ".", "＋": "+", "\u200e": "", "\u200f": ""})


def _match(cells: pa.Array, pattern: str) -> np.ndarray:
    if not len(cells):
        return np.zeros(0, bool)
    return np.asarray(pc.match_substring_regex(cells, pattern).to_numpy(zero_copy_only=False), bool)


def _any_match(cells: pa.Array, pattern: str) -> bool:
    if not pc.any(pc.match_substring(cells, ".")).as_py():
        return False
    return bool(pc.any(pc.match_substring_regex(cells, pattern)).as_py())
