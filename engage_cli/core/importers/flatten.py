"""Nested JSON objects as columns: {"statistics": {"viewCount": 5}} is a column statistics.viewCount."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DEPTH = 4  # objects within objects that become columns
MOST_COLUMNS = 1000  # an object whose keys are data, as subtitles by language, would make more


def flatten(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with the objects in them taken apart, keys joined by dots, as deep as the columns stay few."""
    if not any(isinstance(value, dict) for record in records for value in record.values()):
        return list(records)
    for depth in range(DEPTH, 0, -1):
        flat: list[dict[str, Any]] = []
        names: set[str] = set()
        for record in records:
            flat.append(_flat(record, "", depth))
            names.update(flat[-1])
            if len(names) > MOST_COLUMNS:
                break
        else:
            return flat
    return list(records)


def _flat(record: dict[str, Any], prefix: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth:
            for inner, cell in _flat(value, f"{name}.", depth - 1).items():
                found.setdefault(inner, cell)
        else:
            found[name] = value
    return found
