"""Disturb commands at their operations, and print what is wrong: python -m tests.faults.sweep [--quick] [COMMAND]..."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.harness import ERRORS, KILL, Commands, build
from tests.faults.inputs import make_inputs
from tests.faults.scenarios import SCENARIOS, World


def make_world(root: Path) -> World:
    make_inputs(root / "inputs")
    return World(root, Commands(root / "here", build(root)))


def few_operations(world: World, name: str) -> list[int]:
    """The first operation of each kind on each file; of files that differ by their numbers alone one in eight."""
    world.undisturbed(name)
    seen: set[str] = set()
    kinds: Counter[str] = Counter()
    found = []
    for line in world.log_of(name).read_text().splitlines():
        number, _, what = line.partition(" ")
        if what not in seen:
            seen.add(what)
            kind = re.sub(r"[0-9a-f]*\d[0-9a-f]*", "N", what)
            if kinds[kind] % 8 == 0:
                found.append(int(number))
            kinds[kind] += 1
    return found


def main(names: list[str], *, quick: bool) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder).resolve())
        for name in names or SCENARIOS:
            started, tried, wrong = time.monotonic(), 0, 0
            world.undisturbed(name)
            states = world.states_of(name)
            for state in states[:: 1 + len(states) // 60] if quick else states:
                tried += 1
                for what in world.go_on(name, state):
                    wrong += 1
                    print(what.replace(folder, ""), flush=True)
            print(f"   {name}: {world.counts[name]} operations, {tried} states, {wrong} wrong", flush=True)
            for at in few_operations(world, name) if quick else range(1, world.counts[name] + 1):
                errors = (ERRORS[at % len(ERRORS)],) if quick else (KILL, *ERRORS)
                for place, fault in enumerate(errors):
                    tried += 1
                    sticky = (at + place) % 2 == 1
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
