"""Gaussian processes as a predictor: of values, or of classes by where the normal scores of the target are cut.

What they predict is the sum of their predictions, each times its share (core.score_parts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from engage_cli.core.array_files import save_arrays
from engage_cli.core.atomic import read_json, write_json
from engage_cli.core.devices import find_device
from engage_cli.core.errors import EngageError
from engage_cli.core.features import BlockSource
from engage_cli.core.gaussian_process import GaussianProcess, predict_sum
from engage_cli.core.leakage import known_before
from engage_cli.core.post_views import BLOCKS, ViewMaker, views_from_arrays, views_to_arrays
from engage_cli.core.predictions import Predictions
from engage_cli.core.runs import Run

STATE_FILE, ARRAYS_FILE = "process.json", "process.safetensors"
LEFT_OUT = "left_out_r2"


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """Where classes end on the scale that the process predicts, and how far a truth strays from its prediction there."""

    edges: tuple[float, ...]  # four, rising
    deviation: float

    def probabilities(self, predicted: np.ndarray) -> np.ndarray:
        """(n, 5) of normal distributions around the predictions (n,)."""
        from scipy.special import ndtr

        below = ndtr((np.asarray(self.edges)[None] - predicted[:, None]) / self.deviation)
        ends = np.zeros((len(predicted), 1)), np.ones((len(predicted), 1))
        return np.asarray(np.diff(np.concatenate([ends[0], below, ends[1]], axis=1), axis=1))


class ProcessPredictor:
    def __init__(self, run: Run) -> None:
        self.maker, self.processes, self.cuts = _load(run.folder)

    def predict(self, posts: pd.DataFrame, source: BlockSource) -> Predictions:
        once = _Once(posts, source)
        found = predict_sum(self.processes, self.maker.transform(posts, once), find_device())
        if self.cuts is None:
            return Predictions(value=found, vectors=once.vectors())
        return Predictions(probabilities=self.cuts.probabilities(found), vectors=once.vectors())

    def vectors(self, posts: pd.DataFrame, source: BlockSource) -> dict[str, np.ndarray]:
        return _Once(posts, source).vectors()


class _Once:
    """A source that is asked once."""

    def __init__(self, posts: pd.DataFrame, source: BlockSource) -> None:
        self._blocks = source.blocks(known_before(posts), BLOCKS)

    def blocks(self, posts: pd.DataFrame, names: Any) -> dict[str, Any]:
        return {name: self._blocks[name] for name in names}

    def vectors(self) -> dict[str, np.ndarray]:
        return {name: block.pooled for name, block in self._blocks.items()}


def save_processes(
    folder: Path,
    maker: ViewMaker,
    processes: Sequence[tuple[str, float, GaussianProcess]],
    cuts: Cuts | None,
    *,
    left_out_r2: float | None,
) -> None:
    """Write what each is of, its share and itself; the file that is read first last.

    `left_out_r2` is known only once all are fitted, and a training that goes on must find it.
    """
    arrays = {f"maker/{name}": array for name, array in maker.arrays().items()}
    arrays |= {f"landmarks/{name}": array for name, array in views_to_arrays(processes[0][2].landmarks).items()}
    arrays["coefficients"] = np.stack([process.coefficients for _, _, process in processes])
    save_arrays(folder / ARRAYS_FILE, arrays)
    states = [{"of": of, "share": share, **process.state()} for of, share, process in processes]
    write_json(
        folder / STATE_FILE, {"processes": states, "cuts": None if cuts is None else vars(cuts), LEFT_OUT: left_out_r2}
    )


def has_process(folder: Path) -> bool:
    return (folder / STATE_FILE).is_file()


def left_out_r2(folder: Path) -> float | None:
    """Return R² of training posts that were each left out, where that is known."""
    found = read_json(folder / STATE_FILE).get(LEFT_OUT)
    return None if found is None else float(found)


def _load(folder: Path) -> tuple[ViewMaker, list[tuple[float, GaussianProcess]], Cuts | None]:
    try:
        state, arrays = read_json(folder / STATE_FILE), load_file(folder / ARRAYS_FILE)
        maker = ViewMaker()
        maker.restore(_under("maker/", arrays))
        landmarks = views_from_arrays(_under("landmarks/", arrays))
        states = state.get("processes") or [{"share": 1.0, **state["process"]}]  # a run that was stored with one
        processes = [
            (float(one["share"]), GaussianProcess.restore(one, landmarks, some))
            for one, some in zip(states, np.atleast_2d(arrays["coefficients"]), strict=True)
        ]
        saved = state["cuts"]
        cuts = None if saved is None else Cuts(edges=tuple(saved["edges"]), deviation=float(saved["deviation"]))
        return maker, processes, cuts
    except (OSError, ValueError, LookupError, TypeError, AssertionError, SafetensorError):
        raise EngageError(f"{folder}: {STATE_FILE} or {ARRAYS_FILE} is damaged; train again") from None


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
