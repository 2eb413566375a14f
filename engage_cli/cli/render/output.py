"""The one sink for answers: a table or one JSON object on stdout, and nothing else there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from engage_cli.io.printable import escaped_json, one_line, printable
from engage_cli.io.strict_json import strict

NUMBER = 4  # characters of a first column that is never folded
GAP = 2  # spaces after a column
BETWEEN = GAP + 1  # spaces between two columns: their divider is one too
NARROWEST = 24  # letters of the first column that other columns are left out for
LEAST_ROOM = 8  # letters of the first column however narrow the terminal is
BREAKS = "/_ -"  # a name may go on in the next line after one of these


def print_json(answer: Mapping[str, Any]) -> None:
    """Print one JSON object, strictly: a value that JSON has no word for is null, never NaN or Infinity."""
    is_unicode = (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")
    print(escaped_json(json.dumps(strict(answer), ensure_ascii=not is_unicode, indent=2, allow_nan=False)))


def print_json_line(answer: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own, at once: somebody waits for it."""
    print(json.dumps(strict(answer), allow_nan=False), flush=True)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, needed: int | None = None
) -> Sequence[str]:
    """Print a table, every column but the first right-aligned; return the columns that are shown.

    With `needed`, columns after so many are left out, the last first, where the terminal is too narrow for all.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    title, columns = one_line(title), [one_line(name) for name in columns]
    rows = [[one_line(cell) for cell in row] for row in rows]
    console.print(Text(title, style="bold"), soft_wrap=True)
    first, *others = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    widths = [first, *(BETWEEN + width for width in others)]
    firsts = [columns[0], *(row[0] for row in rows)]
    foldable = max(NARROWEST, *(len(part) for cell in firsts for part in _unbroken(cell)))
    shown = len(columns)
    while needed is not None and shown > needed and min(widths[0], foldable) + sum(widths[1:shown]) > console.width:
        shown -= 1
    room = max(LEAST_ROOM, console.width - sum(widths[1:shown]))
    columns, rows = columns[:shown], [[fold_name(row[0], room), *row[1:shown]] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, padding=(0, GAP, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(
            Text(column),
            justify="left" if index == 0 else "right",
            overflow="fold",
            no_wrap=index > 0 or max(map(len, (column, *(row[0] for row in rows)))) <= NUMBER,
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    console.print()
    return columns


def fold_name(name: str, room: int) -> str:
    """Break a name into lines of at most `room` letters, after one of BREAKS; only a longer part is left as it is."""
    lines = [""]
    for part in _unbroken(name):
        if lines[-1] and len((lines[-1] + part).rstrip()) > room:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _unbroken(name: str) -> list[str]:
    """Return the parts of a name that stay in one line, each with the sign that ends it."""
    return re.findall(f"[^{BREAKS}]*[{BREAKS}]|[^{BREAKS}]+", name)


def print_line(line: str) -> None:
    print(printable(line))
