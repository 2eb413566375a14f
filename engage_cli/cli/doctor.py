"""engage doctor."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engage_cli.cli.generate import generated
from engage_cli.cli.places import DataPlace, Output, RunsPlace
from engage_cli.cli.render.output import print_json, print_line
from engage_cli.io.written_numbers import count_of

if TYPE_CHECKING:
    from engage_cli.steps.doctor import Diagnosis
    from engage_cli.steps.doctor.folders import DataState, RunsState
    from engage_cli.steps.doctor.machine import Device
    from engage_cli.steps.doctor.speed import Probe

LABEL_WIDTH = 14
DEFAULT_WIDTH = 100  # where the output goes to no terminal
NUM_RUNS = 8  # that are named; --json names all


@generated()
def doctor(at: DataPlace, place: RunsPlace, output: Output) -> None:
    """Print what a bug report needs: versions, device, memory, encoders, data, runs, and how fast this machine is.

    engage doctor --json
    """
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.doctor import examine

    diagnosis = examine(at.data, place.runs, reporter=make_reporter())
    if output.json:
        print_json(diagnosis.to_json())
        return
    _show(diagnosis)


def _show(diagnosis: Diagnosis) -> None:
    """Print label and fact, a line each: columns flush right, as other tables have them, do not suit sentences."""
    groups = (
        _versions(diagnosis),
        _device(diagnosis.device),
        _memory(diagnosis),
        _encoders(diagnosis),
        (*_data(diagnosis.data), *_runs(diagnosis.runs)),
        _speed(diagnosis.probe),
    )
    width = shutil.get_terminal_size((DEFAULT_WIDTH, 0)).columns
    for number, facts in enumerate(groups):
        if number:
            print_line("")
        last = ""
        for label, fact in facts:
            _print_fact("" if label == last else label, fact, width)
            last = label


def _print_fact(label: str, fact: str, width: int) -> None:
    lines = textwrap.wrap(
        fact, max(width - LABEL_WIDTH, 2 * LABEL_WIDTH), break_long_words=False, break_on_hyphens=False
    ) or [""]
    for number, line in enumerate(lines):
        print_line(f"{label if number == 0 else '':<{LABEL_WIDTH}}{line}".rstrip())


def _versions(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    yield "engage", diagnosis.engage
    yield "python", diagnosis.python
    yield "system", diagnosis.system
    for name, version in diagnosis.packages.items():
        yield name, version or "not installed"


def _device(device: Device) -> Iterator[tuple[str, str]]:
    threads = f", {count_of(device.threads, 'thread')} in torch" if device.threads else ""
    load = f", load {device.load:.1f}" if device.load is not None else ""
    yield "processor", f"{device.processor}, {count_of(device.cores, 'core')} usable{threads}{load}"
    yield "flags", " ".join(device.flags) or "none that matter here"
    if device.problem:
        yield "device", device.problem
        return
    for gpu in device.gpus:
        yield "GPU", f"{gpu.name}, {_size(gpu.memory_bytes)}, compute capability {gpu.compute_capability}"
    if not device.gpus:
        yield "GPU", f"none that torch can use (torch is built for {device.built_for})"
    else:
        yield "driver", f"{device.driver or 'unknown'} (torch is built for {device.built_for})"
    yield "precision", f"auto means {device.precision}: {device.precision_reason}"


def _memory(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    memory = diagnosis.memory
    limit = f"; this process may use {_size(memory.limit_bytes)}" if memory.limit_bytes is not None else ""
    yield "memory", f"{_size(memory.total_bytes)}, of which {_size(memory.available_bytes)} available{limit}"
    for disk in diagnosis.disks:
        yield "disk", f"{disk.holds} ({disk.folder}): {_size(disk.free_bytes)} free of {_size(disk.total_bytes)}"
    hub = diagnosis.hub
    yield "hub", f"{hub.state}: {hub.endpoint}, {hub.note}"


def _encoders(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    for one in diagnosis.encoders:
        if one.source == "packaged":
            yield "encoders", f"{one.name}: {one.state}, {one.note}"
    cached = [one.name for one in diagnosis.encoders if one.state == "cached"]
    yield "encoders", f"of the hub, in its cache: {', '.join(cached) or 'none'}"


def _data(data: DataState) -> Iterator[tuple[str, str]]:
    if data.state == "finished":
        rows = ", ".join(f"{num:,} {part}" for part, num in data.rows.items())
        yield "data", f"{data.folder}: finished, {data.posts:,} posts, split {data.split} ({rows})"
    else:
        yield "data", f"{data.folder}: {data.state}, {data.note}"
    for store in data.stores:
        what = f"{store.vectors:,} vectors of {store.encoder}" if store.state == "finished" else store.note
        yield "features", f"{store.folder}: {store.state}, {what}"
    for name in data.damaged_tables:
        yield "images", f"{name}: damaged; engage rebuilds it when it needs it"


def _runs(runs: RunsState) -> Iterator[tuple[str, str]]:
    if not runs.found:
        yield "runs", f"{runs.folder}: {runs.state}, {runs.note}"
        return
    counts = Counter(run.state for run in runs.found)
    yield "runs", f"{runs.folder}: {', '.join(f'{num:,} {state}' for state, num in counts.items())}"
    ordered = sorted(runs.found, key=lambda run: run.state == "finished")  # what needs a look comes first
    for run in ordered[:NUM_RUNS]:
        yield "runs", f"{run.folder}: {run.state}, {run.note or run.command}"
    if len(ordered) > NUM_RUNS:
        yield "runs", f"and {len(ordered) - NUM_RUNS:,} more"


def _speed(probe: Probe) -> Iterator[tuple[str, str]]:
    if probe.images_per_second is not None:
        how = f"{probe.precision}, {probe.device}, {count_of(probe.batch_size or 0, 'image')} at a time"
        yield "speed", f"{_rate(probe.images_per_second)} images/s through {probe.model} ({how})"
    if probe.jpegs_per_second is not None:
        width, height = probe.jpeg_size
        yield "speed", f"{_rate(probe.jpegs_per_second)} JPEGs/s of {width}x{height} decoded, on one thread"
    for problem in probe.problems:
        yield "speed", problem


def _size(num_bytes: int | None) -> str:
    return "unknown" if num_bytes is None else f"{num_bytes / 2**30:,.1f} GiB"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
