"""Gaussian processes as a predictor: of values, or of classes by where the normal scores of the target are cut.

What they predict is the sum of their predictions, each times its share (models.gaussian_process.decomposition).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from engage_cli.covers.reading import Reading
from engage_cli.covers.source import covers_of
from engage_cli.data.leakage import known_before
from engage_cli.embeddings.store import BlockSource
from engage_cli.errors import EngageError
from engage_cli.io.array_reading import Spec, load_arrays
from engage_cli.io.array_writing import save_arrays
from engage_cli.io.ranges import FourRising, Number, Positive
from engage_cli.io.records import check_file, file_hash, record
from engage_cli.models.gaussian_process.cover_inputs import COVER_NUMBERS
from engage_cli.models.gaussian_process.inputs import (
    BLOCKS,
    KernelInputsMaker,
    kernel_input_specs,
    kernel_inputs_from_arrays,
    kernel_inputs_to_arrays,
    maker_specs,
)
from engage_cli.models.gaussian_process.posterior import Posterior, packed, unpacked
from engage_cli.models.gaussian_process.process import GaussianProcess, ProcessState, predict_sum
from engage_cli.models.predictions import Differences, Predictions
from engage_cli.models.predictor import Predictor, Sources
from engage_cli.runs.records import AGAIN, Hash, read_run_record, write_run_record
from engage_cli.runs.run_folder import Run, blaming
from engage_cli.runtime.devices import find_device

STATE_FILE, ARRAYS_FILE, STATE_KIND = "process.json", "process.safetensors", "run process"
POSTERIOR_FILE = "posterior.safetensors"  # what is left unknown; absent from runs of earlier releases
POSTERIOR_SPECS = {
    "factor": Spec(dtype="float32", shape=("numbers of a triangle",)),
    "groups": Spec(dtype="int64", shape=("m",)),
}


@record
class Cuts:
    """Where classes end on the scale that the process predicts, and how far a truth strays from its prediction there."""

    edges: FourRising
    deviation: Positive

    def probabilities(self, predicted: np.ndarray) -> np.ndarray:
        """(n, 5) of normal distributions around the predictions (n,)."""
        from scipy.special import ndtr

        below = ndtr((np.asarray(self.edges)[None] - predicted[:, None]) / self.deviation)
        ends = np.zeros((len(predicted), 1)), np.ones((len(predicted), 1))
        return np.asarray(np.diff(np.concatenate([ends[0], below, ends[1]], axis=1), axis=1))


@record
class SavedProcess(ProcessState):
    """One process: what it is of, and its share in the sum."""

    of: str
    share: Number


@record
class SavedProcesses:
    """process.json, and the hash of the arrays that belong to it."""

    arrays: Hash
    processes: Annotated[tuple[SavedProcess, ...], Field(min_length=1)]
    cuts: Cuts | None
    left_out_r2: Number | None  # R² of training posts that were each left out, where that is known


class GaussianProcessPredictor(Predictor):
    def __init__(self, run: Run) -> None:
        if sorted(run.meta.blocks) != sorted(BLOCKS):
            raise EngageError(f"{run.folder / 'run.json'}: blocks: a process reads {' and '.join(BLOCKS)}; {AGAIN}")
        self.run, self.folder = run, run.folder
        path = run.open(STATE_FILE)
        saved = read_run_record(path, SavedProcesses, STATE_KIND)
        if (saved.cuts is None) != (run.kind == "value"):
            raise EngageError(f"{path}: the cuts do not fit a run that predicts {run.kind}; {AGAIN}")
        self.maker, self.processes, self.cuts = load_processes(run.folder, saved)
        if bool(self.maker.covers.reads) != run.meta.reads_covers:
            raise EngageError(f"{run.folder / 'run.json'}: reads_covers does not match its process; {AGAIN}")

    @staticmethod
    def choose_source(run: Run, sources: Sources) -> BlockSource:
        return sources.vectors(run)

    @staticmethod
    def further_columns(run: Run) -> dict[str, str]:
        return dict.fromkeys(run.meta.reads_columns, "number")

    def predict(self, posts: pd.DataFrame, source: BlockSource) -> Predictions:
        once = _Once(posts, source)
        found = predict_sum(self.processes, self.maker.transform(posts, once), find_device())
        if self.cuts is None:
            return Predictions(value=found, vectors=once.vectors()).checked(self.folder)
        return Predictions(probabilities=self.cuts.probabilities(found), vectors=once.vectors()).checked(self.folder)

    def vectors(self, posts: pd.DataFrame, source: BlockSource) -> dict[str, np.ndarray]:
        return _Once(posts, source).vectors()

    def difference(
        self, posts: pd.DataFrame, source: BlockSource, first: np.ndarray, second: np.ndarray
    ) -> Differences | None:
        """As Predictor.difference: the variance is the posterior one of the first process, which is of the target itself.

        A run that learned from experiments adds what each post has of its own; in others that is the luck of a post, which
        its variants share. None of classes, and of a run that kept no posterior.
        """
        if self.cuts is not None or (posterior := self.posterior) is None:
            return None
        device, process = find_device(), self.processes[0][1]
        inputs = self.maker.transform(posts, _Once(posts, source))
        said = predict_sum(self.processes, inputs, device)
        variance = posterior.variance_of_differences(process, inputs, first, second, device)
        if posterior.has_experiments:
            variance = variance + 2 * process.kernel_params.noise * process.std**2
        return Differences(mean=said[first] - said[second], variance=variance)

    @cached_property
    def posterior(self) -> Posterior | None:
        return load_posterior(self.run, num_landmarks=len(self.processes[0][1].landmarks))


class _Once:
    """A source that is asked once."""

    def __init__(self, posts: pd.DataFrame, source: BlockSource) -> None:
        self._source = source
        self._blocks = source.blocks(known_before(posts), BLOCKS)

    def blocks(self, posts: pd.DataFrame, names: Any) -> dict[str, Any]:
        return {name: self._blocks[name] for name in names}

    def covers(self, posts: pd.DataFrame) -> Sequence[Reading | None]:
        return covers_of(self._source, posts)

    def vectors(self) -> dict[str, np.ndarray]:
        return {name: block.pooled for name, block in self._blocks.items()}


@dataclass(frozen=True, kw_only=True)
class FittedProcesses:
    """What a training has fitted."""

    maker: KernelInputsMaker
    processes: Sequence[tuple[str, float, GaussianProcess]]  # what each is of, its share, and itself
    cuts: Cuts | None  # of classes
    left_out_r2: float | None  # R² of training posts that were each left out, where that is known
    posterior: Posterior  # of the first


def predict_processes(fitted: FittedProcesses, posts: pd.DataFrame, source: BlockSource) -> np.ndarray:
    """(n,) float64 of posts, by processes that no run holds yet."""
    inputs = fitted.maker.transform(posts, source)
    return predict_sum([(share, process) for _, share, process in fitted.processes], inputs, find_device())


def save_processes(folder: Path, fitted: FittedProcesses) -> None:
    """Write the file that is read first last."""
    save_posterior(folder, fitted.posterior)
    arrays = {f"maker/{name}": array for name, array in fitted.maker.arrays().items()}
    landmarks = kernel_inputs_to_arrays(fitted.processes[0][2].landmarks)
    arrays |= {f"landmarks/{name}": array for name, array in landmarks.items()}
    arrays["coefficients"] = np.stack([process.coefficients for _, _, process in fitted.processes])
    save_arrays(folder / ARRAYS_FILE, arrays)
    states = tuple(SavedProcess(**asdict(process.state()), of=of, share=share) for of, share, process in fitted.processes)
    saved = SavedProcesses(
        arrays=file_hash(folder / ARRAYS_FILE), processes=states, cuts=fitted.cuts, left_out_r2=fitted.left_out_r2
    )
    write_run_record(folder / STATE_FILE, saved, STATE_KIND)


def save_posterior(folder: Path, posterior: Posterior) -> None:
    save_arrays(folder / POSTERIOR_FILE, {"factor": packed(posterior.factor), "groups": posterior.groups})


def load_posterior(run: Run, *, num_landmarks: int) -> Posterior | None:
    """Return what a run left unknown; None of a run of an earlier release. Raise EngageError where it is damaged."""
    if run.metrics is not None and POSTERIOR_FILE not in run.metrics.files:
        return None
    path = run.open(POSTERIOR_FILE)
    arrays = load_arrays(path, POSTERIOR_SPECS, again=AGAIN, sizes={"m": num_landmarks})
    with blaming(path, "factor"):
        return Posterior.restore(unpacked(arrays["factor"]), arrays["groups"])


def left_out_r2_of(folder: Path) -> float | None:
    """Return R² of training posts that were each left out, where that is known."""
    return read_run_record(folder / STATE_FILE, SavedProcesses, STATE_KIND).left_out_r2


def has_process(folder: Path) -> bool:
    return (folder / STATE_FILE).is_file()


def load_processes(
    folder: Path, saved: SavedProcesses
) -> tuple[KernelInputsMaker, list[tuple[float, GaussianProcess]], Cuts | None]:
    path = check_file(folder / ARRAYS_FILE, saved.arrays, again=AGAIN)
    specs = {f"maker/{name}": spec for name, spec in maker_specs().items()}
    specs |= {f"landmarks/{name}": spec for name, spec in kernel_input_specs().items()}
    specs["coefficients"] = Spec(dtype="float64", shape=(len(saved.processes), "n"))
    arrays = load_arrays(path, specs, again=AGAIN)
    maker = KernelInputsMaker()
    try:
        maker.restore(_under("maker/", arrays))
        landmarks = kernel_inputs_from_arrays(_under("landmarks/", arrays), num_terms=maker.num_terms, widths=maker.widths)
        if any(bool(getattr(landmarks, name).shape[1]) != (name in maker.covers.reads) for name in COVER_NUMBERS):
            raise ValueError("landmarks and kernels do not read the same of covers")
    except (ValueError, LookupError) as error:
        raise EngageError(f"{path}: {error}; {AGAIN}") from None
    try:
        processes = [
            (one.share, GaussianProcess.restore(one, landmarks, some))
            for one, some in zip(saved.processes, arrays["coefficients"], strict=True)
        ]
    except ValueError as error:
        raise EngageError(f"{folder / STATE_FILE}: {error}; {AGAIN}") from None
    return maker, processes, saved.cuts


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
