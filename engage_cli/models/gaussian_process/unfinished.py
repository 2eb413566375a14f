"""A process that is fitted before all of a run are: kept until then, so that a killed training need not fit it again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from engage_cli.io.array_reading import Spec, load_arrays
from engage_cli.io.array_writing import save_arrays
from engage_cli.io.records import check_file, file_hash, record
from engage_cli.models.gaussian_process.inputs import KernelInputs
from engage_cli.models.gaussian_process.process import GaussianProcess, ProcessState
from engage_cli.runs.records import AGAIN, Hash, read_run_record, write_run_record

FITTED_KIND = "fitted process"


@record
class FittedProcess(ProcessState):
    """The record beside a file of arrays, which is written after it."""

    arrays: Hash


def save_fitted(path: Path, process: GaussianProcess, left_out: np.ndarray) -> None:
    """Write arrays to `path` (.safetensors), and then their record beside it.

    `left_out`: (n,) what is said of each training post without itself; NaN where that is not known.
    """
    save_arrays(path, {"coefficients": process.coefficients, "left_out": left_out})
    saved = FittedProcess(**asdict(process.state()), arrays=file_hash(path))
    write_run_record(path.with_suffix(".json"), saved, FITTED_KIND)


def load_fitted(path: Path, landmarks: KernelInputs, *, num: int) -> tuple[GaussianProcess, np.ndarray]:
    """Return what was saved of `num` training posts; raise EngageError or ValueError where that is damaged or gone."""
    saved = read_run_record(path.with_suffix(".json"), FittedProcess, FITTED_KIND)
    check_file(path, saved.arrays, again=AGAIN)
    specs = {
        "coefficients": Spec(dtype="float64", shape=(len(landmarks),)),
        "left_out": Spec(dtype="float64", shape=(num,), has_gaps=True),
    }
    arrays = load_arrays(path, specs, again=AGAIN)
    return GaussianProcess.restore(saved, landmarks, arrays["coefficients"]), arrays["left_out"]
