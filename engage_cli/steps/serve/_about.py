"""What a served run is: what it was trained on, how well it did, what it reads."""

from __future__ import annotations

from collections.abc import Mapping

from engage_cli import __version__
from engage_cli.config.general import LEAKY
from engage_cli.data.schema import OWN
from engage_cli.evaluation.evidence import warnings_of
from engage_cli.features.groups.columns import Time
from engage_cli.metrics.descriptions import words_of
from engage_cli.models.predictor import extra_columns, members_of
from engage_cli.runs.run_folder import Run, read_test
from engage_cli.steps.predict.requests import has_seen_covers
from engage_cli.steps.serve._messages import FiguresJson, RunJson
from engage_cli.uncertainty.neighbours import Neighbours

FIRST_METRICS = {"value": ("pairwise_accuracy", "spearman", "r2"), "classes": ("accuracy", "kappa", "macro_f1")}


def describe_run(run: Run, known: Neighbours | None) -> RunJson:
    """Return what /api/run answers, but for the limits and whether the model is ready. It shows no path of this machine.

    `known` are the training posts that the run keeps: one that has met no cover is asked about titles alone.
    """
    members = members_of(run)
    columns = extra_columns(run)
    tested = read_test(run)
    crossed = None if tested is None else tested.cross_validated
    rows = next((found for member in members if (found := member.done.rows.get("train"))), None)
    return {
        "run": run.folder.name,
        "engage": __version__,
        "model": run.meta.model,
        "members": [member.meta.model for member in members] if len(members) > 1 else [],
        "model_in_words": " + ".join(member.meta.words for member in members),
        "kind": run.kind,
        "target": run.target.name,
        "unit": str(run.target.formula),
        "trained": {
            "posts": rows,
            "split": run.meta.data.split,
            "finished": run.done.finished,
        },
        "test": None if tested is None else _figures(run, tested.metrics, tested.rows),
        "cross_validated": None if crossed is None else _figures(run, crossed.metrics, crossed.rows),
        "validation": _figures(run, run.done.metrics, run.done.rows.get("validation")),
        "warnings": warnings_of(run),
        "leaky": run.leaky,
        "marks": list(dict.fromkeys([*([LEAKY] if run.leaky else []), *run.marks])),
        "reads": {
            "image": has_seen_covers(run, known),
            "date": any(member.meta.reads_date for member in members) or any(name in Time.names for name in columns),
            "columns": [
                {"name": name.removeprefix(OWN), "type": kind} for name, kind in columns.items() if name not in Time.names
            ],
        },
    }


def _figures(run: Run, metrics: Mapping[str, float | Mapping[str, float]], rows: int | None) -> FiguresJson:
    """Of test figures also the ends of their 95 % intervals."""
    found: list[Mapping[str, str | float]] = []
    for name in FIRST_METRICS[run.kind]:
        if name in metrics:
            words, said = words_of(name), metrics[name]
            figures = {"value": said} if isinstance(said, float) else said
            found.append({"name": name, "title": words.label, "meaning": words.meaning, **figures})
    return {"rows": rows, "metrics": found}
