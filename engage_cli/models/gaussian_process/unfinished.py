"""What is fitted before all of a run is: kept until then, so that a killed training need not fit it again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from engage_cli.errors import EngageError
from engage_cli.io.array_reading import Spec, load_arrays
from engage_cli.io.array_writing import save_arrays
from engage_cli.io.own_folders import is_plain_file
from engage_cli.io.ranges import Count, NotNegative, Positive
from engage_cli.io.records import check_file, file_hash, record
from engage_cli.models.gaussian_process._kernels import KernelParams
from engage_cli.models.gaussian_process._projection import Sums
from engage_cli.models.gaussian_process.inputs import KernelInputs
from engage_cli.models.gaussian_process.process import GaussianProcess, ProcessState
from engage_cli.runs.records import AGAIN, Hash, read_run_record, write_run_record

FITTED_KIND, LEARNED_KIND, SUMS_KIND = "fitted process", "learned kernel", "sums of a projection"


@record
class FittedProcess(ProcessState):
    """The record beside a file of arrays, which is written after it."""

    arrays: Hash


def save_fitted(path: Path, process: GaussianProcess, left_out: np.ndarray) -> None:
    """Write arrays to `path` (.safetensors), and then their record beside it.

    `left_out`: (n,) the prediction of each training post without itself; NaN where that is not known.
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


@record
class LearnedKernel:
    """What a process of a projection has learned of its kernel."""

    weights: dict[str, NotNegative]
    lengths: dict[str, Positive]
    noise: NotNegative
    level: NotNegative = 0.0


@record
class SavedSums:
    """The record beside the sums of a projection: of how many posts they are."""

    done: Count
    arrays: Hash


class KeptInFolder:
    """An unfinished fit by landmarks, in a folder; what is damaged there is found anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def params(self, number: int) -> KernelParams | None:
        path = self.folder / f"kernel-{number}.json"
        if not is_plain_file(path):
            return None
        try:
            saved = read_run_record(path, LearnedKernel, LEARNED_KIND)
        except EngageError:
            return None
        return KernelParams(weights=saved.weights, lengths=saved.lengths, noise=saved.noise, level=saved.level)

    def keep_params(self, number: int, params: KernelParams) -> None:
        write_run_record(self.folder / f"kernel-{number}.json", LearnedKernel(**asdict(params)), LEARNED_KIND)

    def sums(self, num: int, num_landmarks: int) -> Sums | None:
        record_path, path = self.folder / "sums.json", self.folder / "sums.safetensors"
        if not is_plain_file(record_path):
            return None
        sides = (num_landmarks, num_landmarks)
        specs = {f"squares {one}": Spec(dtype="float64", shape=sides) for one in range(num)}
        specs |= {f"rights {one}": Spec(dtype="float64", shape=sides[:1]) for one in range(num)}
        try:
            saved = read_run_record(record_path, SavedSums, SUMS_KIND)
            check_file(path, saved.arrays, again=AGAIN)
            arrays = load_arrays(path, specs, again=AGAIN)
        except EngageError:
            return None
        squares, rights = (
            [torch.from_numpy(arrays[f"{name} {one}"]) for one in range(num)] for name in ("squares", "rights")
        )
        return Sums(saved.done, squares, rights)

    def keep_sums(self, sums: Sums) -> None:
        """Write the arrays, and after them their record."""
        path = self.folder / "sums.safetensors"
        arrays = {f"squares {number}": one.cpu().numpy() for number, one in enumerate(sums.squares)}
        arrays |= {f"rights {number}": one.cpu().numpy() for number, one in enumerate(sums.rights)}
        save_arrays(path, arrays)
        write_run_record(self.folder / "sums.json", SavedSums(done=sums.done, arrays=file_hash(path)), SUMS_KIND)
