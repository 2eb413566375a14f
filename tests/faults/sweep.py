"""Disturb commands at their operations, and print what is wrong: python -m tests.faults.sweep [--quick] [COMMAND]..."""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path

from tests.faults.harness import ERRORS, KILL, Commands, build
from tests.faults.inputs import make_inputs
from tests.faults.scenarios import SCENARIOS, World


def make_world(root: Path) -> World:
    make_inputs(root / "inputs")
    return World(root, Commands(root / "here", build(root)))


def few_operations(world: World, name: str) -> list[int]:
    """The operations, of many alike in a row (a file that is written in pieces) the first, one amid, and the last."""
    world.undisturbed(name)
    lines = [line.partition(" ") for line in world.log_of(name).read_text().splitlines()]
    alike = [[int(number) for number, *_ in group] for _, group in groupby(lines, key=lambda line: line[2])]
    return [number for row in alike for number in sorted({row[0], row[len(row) // 2], row[-1]})]


def main(names: list[str], *, quick: bool) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder).resolve())
        for name in names or SCENARIOS:
            started, tried, wrong = time.monotonic(), 0, 0
            world.undisturbed(name)
            for at in few_operations(world, name) if quick else range(1, world.counts[name] + 1):
                errors = (ERRORS[at % len(ERRORS)],) if quick else ERRORS
                for fault, sticky in (
                    (KILL, False),
                    *((error, (at + place) % 2 == 1) for place, error in enumerate(errors)),
                ):
                    tried += 1
                    for what in world.disturb(name, at, fault, sticky=sticky):
                        wrong += 1
                        print(what.replace(folder, ""), flush=True)
            seconds = time.monotonic() - started
            print(f"== {name}: {world.counts[name]} operations, {tried} faults, {wrong} wrong, {seconds:.0f} s", flush=True)
            failed += wrong
        world.commands.close()
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main([name for name in sys.argv[1:] if name != "--quick"], quick="--quick" in sys.argv))
