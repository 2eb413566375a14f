"""MLflow: where MLFLOW_TRACKING_URI says, in the experiment of MLFLOW_EXPERIMENT_NAME, or one called "engage"."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engage_cli.errors import EngageError
from engage_cli.tracking.tracker import PROJECT

MISSING = "--track mlflow needs MLflow; install it with: pip install 'engage-cli[mlflow]'"
LONGEST = 6000  # characters of a parameter


class MlflowTracker:
    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise EngageError(MISSING) from None
        with _told():
            self.client = MlflowClient()
            experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
            known = self.client.get_experiment_by_name(experiment)
            place = known.experiment_id if known is not None else self.client.create_experiment(experiment)
            self.run = self.client.create_run(place, run_name=name).info.run_id
            for key, value in parameters.items():
                self.client.log_param(self.run, key, str(value)[:LONGEST])

    def log(self, figures: Mapping[str, float], *, step: int) -> None:
        with _told():
            for name, value in figures.items():
                self.client.log_metric(self.run, name, value, step=step)

    def finish(self, figures: Mapping[str, float], tags: Mapping[str, str], plots: Sequence[Path]) -> None:
        self.log(figures, step=0)
        with _told():
            for name, value in tags.items():
                self.client.set_tag(self.run, name, value)
            for path in plots:
                self.client.log_artifact(self.run, str(path), "plots")
            self.client.set_terminated(self.run, "FINISHED")

    def fail(self) -> None:
        with _told():
            self.client.set_terminated(self.run, "FAILED")


@contextmanager
def _told() -> Iterator[None]:
    """Say in one sentence what MLflow raises: it cannot write to the address that it has."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise EngageError(
            f"MLflow cannot take the run ({str(error).splitlines()[0][:300]}); see MLFLOW_TRACKING_URI"
        ) from None
