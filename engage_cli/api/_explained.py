"""An explanation as a DataFrame."""

from __future__ import annotations

import pandas as pd

from engage_cli.steps.predict.explain import Explanation

COLUMNS = ("kind", "name", "change", "earned", "distance")


def table_of(explanation: Explanation) -> pd.DataFrame:
    """Return COLUMNS, a row for each part, word, region and neighbour; what one of them has not is missing."""
    rows: list[dict[str, str | float]] = [
        {"kind": "part", "name": one.part, "change": one.change} for one in explanation.parts
    ]
    rows += [{"kind": "word", "name": word, "change": change} for word, change in explanation.words]
    if explanation.regions is not None:
        rows += [
            {"kind": "region", "name": f"row {row}, column {column}", "change": float(change)}
            for row, line in enumerate(explanation.regions)
            for column, change in enumerate(line)
        ]
    rows += [
        {"kind": "neighbour", "name": one.title or one.id, "earned": one.earned, "distance": one.distance}
        for one in explanation.neighbours
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"change": float, "earned": float, "distance": float})
