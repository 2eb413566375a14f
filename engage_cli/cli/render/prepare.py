"""What `engage prepare` prints: the same as quality.html, in a terminal's width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engage_cli.cli.render.next_step import next_step
from engage_cli.cli.render.output import print_line, print_table
from engage_cli.config.general import CLASS_NAMES

if TYPE_CHECKING:
    from engage_cli.data.dataset_meta import DatasetMeta, SplitMeta
    from engage_cli.data.quality import Histogram, Quality
    from engage_cli.steps.prepare import Prepared
    from engage_cli.steps.prepare.understand import Understood

BLOCKS = " ▁▂▃▄▅▆▇█"
NUM_EXAMPLES = 5
# Why a split leaves posts in no part.
UNUSED = {
    "random": "none",
    "time": "later copies, no date",
    "author": "copies of other authors' posts",
    "file": "not named there, or copies",
}
NUM_PROBES = 6


def show_prepared(prepared: Prepared, data: Path) -> None:
    """Print counts, split, distributions, targets, probes, warnings, and the next command."""
    from engage_cli.data.row_counts import say_counts

    meta, quality = prepared.dataset.meta, prepared.quality
    for name, source in meta.sources.items():
        columns = ", ".join(ours if ours == theirs else f"{ours} ← {theirs}" for ours, theirs in source.columns.items())
        print_line(f"{name} ({source.format}): {columns}")
        if source.not_used:
            print_line(f"  not used: {', '.join(source.not_used)}")
    for one in prepared.understood:
        print_line(f"\nExamples of {one.source}")
        for line in _fields(one):
            print_line(line)
    print_line("")
    rows = meta.rows
    posts = [("read", f"{rows.read:,}")]
    posts += [(f"left out: {reason}", f"{num:,}") for reason, num in rows.left_out.items()]
    posts += [("kept", f"{rows.kept:,}")]
    posts += [(f"without {column}", f"{num:,}") for column, num in meta.missing.items() if num]
    posts += [(f"image: {reason}", f"{num:,}") for reason, num in meta.image_problems.items()]
    print_table(f"Posts of {meta.source}", ("", "posts"), posts)
    print_line(f"{say_counts(meta)}.\n")
    _show_split(meta.split, quality)
    _show_outcomes(quality)
    _show_targets(meta)
    before = [one for one in quality.probes if one.known_before]
    after = [one for one in quality.probes if not one.known_before]
    shown = [*before[:NUM_PROBES], *(one for one in before[NUM_PROBES:] if one.is_suspicious), *after[:1]]
    probes = [
        (
            one.name,
            "before" if one.known_before else "only after",
            one.target,
            f"{one.r2:.2f}{' !' if one.is_suspicious else ''}",
        )
        for one in shown
    ]
    print_table("How well each single column predicts the training posts", ("", "known", "best predicts", "R²"), probes)
    _show_examples(quality)
    for warning in meta.warnings:
        print_line(f"warning: {warning}")
    for mark in meta.marks:
        print_line(f"MARK: {mark}")
    problems = "; problems of rows are in problems.csv" if (data / "problems.csv").exists() else ""
    print_line(f"\nMore in {data / 'quality.html'}{problems}")
    print_line(next_step("embed", data=data))


def show_understood(understood: Sequence[Understood]) -> None:
    """Print what was understood of each source: fields, examples, unused columns, and how to change it."""
    for one in understood:
        tell_understood([one], print_line)
        for note in one.notes:
            print_line(f"  note: {note}")
    print_line("Nothing was written. Next: the same command without --dry-run")


def tell_understood(understood: Sequence[Understood], say: Callable[[str], None]) -> None:
    """Say what was understood, a line a field, while nothing is written yet."""
    for one in understood:
        say(f"{one.source} ({one.format}): {one.posts:,} rows")
        for line in _fields(one):
            say(line)
        say(f"  {one.images}")
        for unused in one.unused:
            say(f"  not used: {unused.column}: {'; '.join(unused.examples) or 'empty'}")
        if one.map_hint:
            say(f"  to change it: {one.map_hint}")


def _fields(one: Understood) -> list[str]:
    lines = []
    for field in one.fields:
        name = field.name if field.name == field.column else f"{field.name} ← {field.column}"
        lines.append(f"  {name}: {field.shown or 'empty'}{f' ({field.how_full})' if field.how_full else ''}")
    return lines


def _show_split(split: SplitMeta, quality: Quality) -> None:
    parts = [(part, f"{num:,}", " to ".join(quality.dates.get(part, ()))) for part, num in split.rows.items()]
    if split.unused:
        parts.append((f"in no part ({UNUSED[split.method]})", f"{split.unused:,}", ""))
    width = 3 if quality.dates else 2
    print_table(f"Split. {split.text}", ("", "posts", "dates")[:width], [row[:width] for row in parts])
    print_line(split.duplicates_text + "\n")


def _show_outcomes(quality: Quality) -> None:
    rows = []
    for one in quality.counters:
        bars = sparkline(one.histogram)
        quartiles = [_short(value) for value in one.quartiles] or [""] * 5
        weight = "" if one.name not in quality.correlations else f"{quality.correlations[one.name]:.3f}"
        rows.append((one.name, bars, f"{one.histogram.zeros:,}", quartiles[1], quartiles[2], quartiles[3], weight))
    columns = ("", "log scale", "zero", "25 %", "median", "75 %", "cor. views")
    if rows:
        print_table(f"Counters of the {quality.num_train:,} training posts", columns, rows)


def _show_targets(meta: DatasetMeta) -> None:
    shares = [
        (name, *(f"{100 * share:.1f} %" for share in target.class_shares), f"{target.num_rows:,}")
        for name, target in meta.targets.items()
    ]
    print_table("Targets and the shares of their classes", ("", *CLASS_NAMES, "fitted on"), shares)
    for name, target in meta.targets.items():
        print_line(f"{name} = {target.formula}")
    for name, reason in meta.targets_unavailable.items():
        print_line(f"no target {name}: {reason}")
    print_line("")


def _show_examples(quality: Quality) -> None:
    step = max(1, (len(quality.examples) - 1) // max(NUM_EXAMPLES - 1, 1))
    rows = [
        (
            one.title[:60] or "(no title)",
            f"{one.percentile:.0f}",
            f"{one.value:.3g}" if one.count is None else _short(one.count),
        )
        for one in quality.examples[::step]
    ]
    print_table(f"Training posts across {quality.main_target}", ("", "percentile", quality.main_target), rows)


def sparkline(histogram: Histogram, width: int = 16) -> str:
    """Draw a histogram in one line of text."""
    counts: Sequence[int] = histogram.counts
    if not counts:
        return ""
    merged = [sum(counts[at * len(counts) // width : (at + 1) * len(counts) // width]) for at in range(width)]
    merged = merged if len(counts) >= width else list(counts)
    top = max(merged)
    return "".join(BLOCKS[max(1, round(8 * num / top)) if num else 0] for num in merged)


def _short(value: float) -> str:
    from engage_cli.io.written_numbers import short_number

    return short_number(value)
