"""Tags in the forms that tools write them, as one: names divided by bars, as in lamp|river."""

from __future__ import annotations

import ast
import csv
import json
import re
from typing import Any

import pandas as pd

from engage_cli.data.cells.texts import clean_text, mend_text

BAR = "|"
NO_TAGS = ("[none]", "none", "null", "nan", "n/a", "[]", "{}", "()", "[null]", "[nan]", '[""]', "['']", "set()", "-")
# Where an object stands for a tag, the field that names it.
NAMES = (
    "name",
    "tag",
    "hashtag",
    "hashtagName",
    "hashtag_name",
    "tag_name",
    "text",
    "title",
    "label",
    "value",
    "slug",
    "term",
)
MOST_SIGNS = 1 << 20  # of a list that is taken apart
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_HASHTAGS = re.compile(r"\s*#[^\s#,]+(?:[\s,]*#[^\s#,]+)*\s*")


def parse_tags(column: pd.Series) -> tuple[pd.Series, list[str]]:
    """Return the tags of each post, divided by bars where the cell is a list; other cells stay as they are written."""
    codes, cells = pd.factorize(clean_text(column))  # few are written in many ways
    text = pd.Series(cells, dtype=str)
    text = text.mask(text.str.lower().isin(NO_TAGS), "")
    shaped = text.str.contains(r"^[\[({]|^\s*#|\"", regex=True)
    if shaped.any():
        text = text.where(~shaped, text[shaped].map(_parse_cell).reindex(text.index))
    return mend_text(text.astype(str).take(codes).set_axis(column.index))


def _parse_cell(cell: str) -> str:
    if _BRACKETS.get(cell[:1]) == cell[-1:] and len(cell) <= MOST_SIGNS:
        items = _items_of(cell)
        return join_tags(items) if items is not None else cell
    if _HASHTAGS.fullmatch(cell):
        return join_tags(re.findall(r"#([^\s#,]+)", cell))
    if '"' in cell:
        delimiter = BAR if BAR in cell else ","
        if re.search(rf'(?:^|[{delimiter}])\s*"', cell):
            return join_tags(_read_line(cell, delimiter))
    return cell


def join_tags(items: list[Any]) -> str:
    """Return names divided by bars; a bar within a name becomes a slash, and the sign before a hashtag goes."""
    names = [re.sub(r"\s+", " ", name.replace(BAR, "/")).strip() for item in items if (name := _name_of(item))]
    return BAR.join(name for name in (name.removeprefix("#") or name for name in names) if name)


def _name_of(item: Any) -> str:
    if isinstance(item, dict):
        return next((str(item[key]) for key in NAMES if item.get(key) not in (None, "")), "")
    if isinstance(item, (list, tuple)):
        return _name_of(item[0]) if item else ""
    return "" if item is None or item != item else str(item)


def _items_of(cell: str) -> list[Any] | None:
    """Return the items of a list as JSON, Python, numpy or Postgres writes it; None where it is none of them."""
    inner = cell[1:-1].strip()
    quoted, between = _QUOTED.findall(inner), _QUOTED.sub("", inner)
    if len(quoted) > 1 and not between.strip():  # ['a' 'b'] of numpy, which Python would read as one string
        return [one or other for one, other in quoted]
    if cell[0] == "{" and quoted and not between.strip(", "):  # {'a', 'b'}
        return [one or other for one, other in quoted]
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(found, dict):
            return [found] if any(key in found for key in NAMES) else list(found)
        return list(found) if isinstance(found, (list, tuple)) else None
    if cell[0] == "(" or "[" in inner or quoted:
        return None
    return _read_line(inner, ",")


def _read_line(text: str, delimiter: str) -> list[Any]:
    try:
        return [
            item.strip() for item in next(csv.reader([text.replace("\n", " ")], delimiter=delimiter, skipinitialspace=True))
        ]
    except (csv.Error, StopIteration):
        return [text]
