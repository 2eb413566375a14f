"""What a run's figures rest on, and what must be said beside whatever it says."""

from __future__ import annotations

from engage_cli.core.runs import Run

LEAST_FOR_RANGE = 9  # validation posts, for an interval of 80 of 100


def warnings_of(run: Run) -> list[str]:
    """Return what must be said beside every answer of a run, in sentences."""
    rows = run.metrics.get("rows", {}).get("validation")
    if rows is None or rows >= LEAST_FOR_RANGE:
        return []
    return [f"{rows} validation posts: no range can be given; treat this as a coin toss"]
