"""Nested JSON objects as columns: {"statistics": {"viewCount": 5}} is a column statistics.viewCount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, object]  # an object of somebody's JSON, or a row of it under our names
DEPTH = 4  # objects within objects that become columns
MOST_COLUMNS = 1000  # an object whose keys are data, as subtitles by language, would make more


def flatten(records: Sequence[Record]) -> list[Record]:
    """Return the records with the objects in them taken apart, keys joined by dots, as deep as the columns stay few."""
    if not any(isinstance(value, dict) for record in records for value in record.values()):
        return list(records)
    for depth in range(DEPTH, 0, -1):
        flat: list[Record] = []
        names: set[str] = set()
        for record in records:
            flat.append(_flat(record, "", depth))
            names.update(flat[-1])
            if len(names) > MOST_COLUMNS:
                break
        else:
            return flat
    return list(records)


def _flat(record: Record, prefix: str, depth: int) -> Record:
    found: dict[str, object] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth:
            for inner, cell in _flat(value, f"{name}.", depth - 1).items():
                found.setdefault(inner, cell)
        else:
            found[name] = value
    return found


def records_of(content: Any) -> list[Record] | None:
    """Return the objects of a JSON document that are its rows; None where it is not a table.

    pandas' own forms are known: records, columns ({"id": {"0": ...}}), split ({"columns": [...], "data": [...]}).
    """
    if isinstance(content, list):
        pages = [records_of(page) for page in content] if content and all(_is_page(one) for one in content) else []
        if pages and all(page is not None for page in pages):
            return [row for page in pages for row in page or []]
        return content if content and all(isinstance(row, dict) for row in content) else None
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        return [dict(zip(content["columns"], row, strict=False)) for row in content["data"] if isinstance(row, list)]
    lists = [value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(lists) == 1:
        return records_of(lists[0])
    if isinstance(content.get("data"), dict):  # an answer around an answer, as Reddit's
        return records_of(content["data"])
    columns = list(content.values())
    if len(columns) > 1 and all(isinstance(column, dict) and list(column) == list(columns[0]) for column in columns):
        keys = list(columns[0])
        if keys == [str(number) for number in range(len(keys))]:  # pandas: a column is {"0": ..., "1": ...}
            return [{name: column[key] for name, column in content.items()} for key in keys]
    return [content] if content and not lists else None


def _is_page(content: Any) -> bool:
    """Say whether an object is a page of an API's answers: a list of items, and what the API says of it."""
    return isinstance(content, dict) and any(
        name in content and isinstance(content[name], list) for name in ("items", "data")
    ) and "id" not in content  # fmt: skip
