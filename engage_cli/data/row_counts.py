"""How the rows that were read became training, validation and test posts, in one line."""

from __future__ import annotations

from engage_cli.data.dataset_meta import DatasetMeta
from engage_cli.io.written_numbers import count_of

ROLES = {"train": "to train on", "validation": "to tune with (validation)", "test": "to test on"}


def say_counts(meta: DatasetMeta) -> str:
    """Return "200 rows read, 198 kept (2 left out: ...): 159 to train on, ...": the numbers add up."""
    rows, split = meta.rows, meta.split
    why = {reason: num for reason, num in rows.left_out.items() if num}
    reasons = next(iter(why), "") if len(why) < 2 else ", ".join(f"{reason} {num:,}" for reason, num in why.items())
    out = f" ({rows.read - rows.kept:,} left out: {reasons})" if reasons else ""
    parts = [f"{num:,} {ROLES[part]}" for part, num in split.rows.items()]
    if split.unused:
        parts.append(f"{split.unused:,} in no part")
    return f"{count_of(rows.read, 'row')} read, {rows.kept:,} kept{out}: {', '.join(parts)}"
