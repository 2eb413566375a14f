"""What `engage embed` shows: the stores, where the time went, and what was lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engage_cli.cli.render.output import print_line, print_table

if TYPE_CHECKING:
    from engage_cli.steps.covers import CoversSummary
    from engage_cli.steps.embed import StoreSummary

TOWER, WAIT = "tower", "wait for input"
LIMITS = {
    "read": "the disk is",
    "decode": "decoding images is",
    "tokenise": "the tokenizer is",
}


def show_embedding(summaries: Sequence[StoreSummary], covers: CoversSummary | None, next_command: str) -> None:
    rows = [
        (
            f"{s.side}: {s.encoder}",
            *(f"{n:,}" for n in (s.added, s.vectors, s.dim)),
            s.pooling,
            s.precision,
            f"{s.added / s.seconds:,.0f}/s" if s.added else "-",
        )
        for s in summaries
    ]
    print_table("Features", ("", "new", "vectors", "width", "pooling", "precision", "speed"), rows, needed=3)
    for summary in summaries:
        print_line(f"{summary.side}: {summary.folder}")
        if summary.added:
            print_line(f"  time: {describe_time(summary.stages)}")
        if summary.cut_texts:
            print_line(f"  {summary.cut_texts:,} texts are longer than the encoder reads; engage cut off their ends")
        if summary.unknown_texts:
            print_line(f"  {summary.unknown_texts:,} texts have words or characters that the encoder does not know")
        if summary.image_problems:
            print_line(f"  {summary.image_problems:,} posts without a usable image: {summary.folder / 'problems.csv'}")
    if covers is not None:
        print_line(
            f"covers: {covers.covers:,} read ({covers.added:,} new), {covers.with_lettering:,} with lettering, "
            f"{covers.with_faces:,} with faces"
        )
        if covers.added:
            print_line(f"  {covers.added / max(covers.seconds, 1e-9):.1f} covers a second")
    print_line(f"\n{next_command}")


def describe_time(stages: Mapping[str, float]) -> str:
    """Say how the seconds of all threads were spent, and what was the limit."""
    spent = {stage: seconds for stage, seconds in stages.items() if stage != WAIT}
    total = sum(spent.values()) or 1.0
    ordered = sorted(spent, key=lambda stage: -spent[stage])
    parts = ", ".join(f"{stage} {spent[stage]:,.1f} s ({100 * spent[stage] / total:.0f} %)" for stage in ordered)
    waited = stages.get(WAIT, 0.0) / max(stages.get(WAIT, 0.0) + stages.get(TOWER, 0.0), 1e-9)
    limits = [stage for stage in ordered if stage in LIMITS]
    if waited > 0.2 and limits:
        return f"{parts}; {LIMITS[limits[0]]} the limit: the encoder waited {100 * waited:.0f} % of its time"
    return f"{parts}; computing is the limit"
