"""Which data folder a run is evaluated on, where nobody named one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.dataset_meta import MARKER
from engage_cli.runs.run_folder import FIRST, load_run


def open_data(folder: Path, *, run: Path | None, say: Callable[[str], None]) -> Dataset:
    """Open `folder`, the default; or that of its name beside the run's folder, if the run was trained on that one.

    `engage quickstart` leaves FOLDER/data beside FOLDER/runs/NAME. engage reports a folder other than the default.
    """
    dataset = load_dataset(folder) if (folder / MARKER).exists() else None
    beside = None if run is None else run.absolute().parent.parent / folder
    if run is None or beside is None or not (run / FIRST).is_file() or not (beside / MARKER).is_file():
        return dataset or load_dataset(folder)
    trained_on = load_run(run).meta.data.fingerprint
    if dataset is not None and dataset.fingerprint == trained_on:
        return dataset
    own = load_dataset(run.parent.parent / folder if len(run.parts) > 2 else beside)
    if own.fingerprint != trained_on:
        return dataset or load_dataset(folder)
    say(f"data: {own.folder} (what {run} was trained on; name another with --data)")
    return own
