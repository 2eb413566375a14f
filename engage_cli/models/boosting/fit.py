"""One CatBoost training: its parameters, snapshots so that a killed one goes on, and what its outputs mean."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from engage_cli.config.general import CLASS_NAMES, QUANTILE_LEVELS
from engage_cli.config.training import CatBoostConfig
from engage_cli.errors import EngageError
from engage_cli.features.groups.age import GROWTH
from engage_cli.io.array_writing import refused
from engage_cli.io.files import atomic_write_by_library, remove_tree, write_text
from engage_cli.io.own_folders import refuse_link
from engage_cli.models.predictions import Predictions
from engage_cli.progress.reporters import Stage
from engage_cli.runtime.devices import find_device, gpu_memory

MEDIAN = QUANTILE_LEVELS.index(0.5)
FEWEST_ON_GPU = 20_000  # rows; fewer are not faster there, by CatBoost's own word, and the processor repeats itself exactly
GPU_SHARE, GPU_SPARE = 0.9, 1 << 30  # of the GPU's free memory; bytes beside the columns and histograms
SNAPSHOT, SECONDS_BETWEEN_SNAPSHOTS = "snapshot", 10
LOGS = ("learn_error_log", "test_error_log", "time_left_log", "json_log")  # a log that cannot be written ends the process
OF_FEW, OF_MANY, MANY_FEATURES = (0.3, 128), (0.1, 32), 1_000  # share of features that a split tries, candidates of each
ROWS_AT_ONCE = 8_192  # that are copied while they are hashed
ROWS_FILE = "rows.txt"  # beside the snapshot: of which rows and parameters it is, for CatBoost itself does not look


class Loss(NamedTuple):
    """What CatBoost minimises, and what it is called."""

    name: str
    parameters: dict[str, Any]
    on_gpu: bool = True


# Integer classes and a fixed count: a part that lacks a class must not have narrower probabilities.
OF_CLASSES = Loss("log loss", {"loss_function": "MultiClass", "classes_count": len(CLASS_NAMES)})
OF_VALUES = {
    "rmse": Loss("RMSE", {"loss_function": "RMSE"}),
    "quantile": Loss(
        "pinball loss",
        {"loss_function": f"MultiQuantile:alpha={','.join(map(str, QUANTILE_LEVELS))}"},
        on_gpu=False,
    ),
}


def loss_of(config: CatBoostConfig) -> Loss:
    return OF_CLASSES if config.kind == "classes" else OF_VALUES[config.objective]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table with its truth: values (n,), or integer classes; and how much each counts, where that differs."""

    table: pd.DataFrame
    truth: np.ndarray
    weights: np.ndarray | None = None

    def pool(self, categorical: Sequence[str], kind: str = "value") -> Any:
        from catboost import Pool

        wanted = self.truth - start_of(self.table) if kind == "value" and GROWTH in self.table else self.truth
        return Pool(self.table, wanted, cat_features=list(categorical), weight=self.weights)


def start_of(table: pd.DataFrame) -> np.ndarray:
    """(n,) what a model of values starts from, and adds trees to: how counters grow with age, 0 where that is unknown."""
    return table[GROWTH].to_numpy(np.float64) if GROWTH in table else np.zeros(len(table))


class _Advance:
    """CatBoost's callback: one step of the bar for each tree, also for those of a snapshot."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.done = stage, 0

    def after_iteration(self, info: Any) -> bool:
        (losses,) = list(info.metrics["validation"].values())[:1]
        self.stage.advance(info.iteration - self.done, note=f"validation loss {losses[-1]:.4f}")
        self.done = info.iteration
        return True


def boost(
    config: CatBoostConfig, fitted: Rows, stopping: Rows, categorical: Sequence[str], *, work: Path, stage: Stage
) -> Any:
    """Train on `fitted`, stopped early on `stopping`; goes on from the snapshot in `work`, if one is there.

    `work` is CatBoost's own folder: what is in it of another training, or damaged, counts for nothing.
    """
    from catboost import CatBoost, CatBoostError

    loss, config = loss_of(config), _with_share_and_borders(config, fitted.table.shape[1])
    on_gpu = _on_gpu(loss, config, fitted)
    parameters = {
        **loss.parameters,
        **(on_gpu or {"rsm": config.rsm}),  # on the GPU there is no rsm for these losses, and there are no callbacks
        "iterations": config.iterations,
        "learning_rate": config.learning_rate,
        "depth": config.depth,
        "l2_leaf_reg": config.l2,
        "bootstrap_type": "Bernoulli",
        "subsample": config.subsample,
        "border_count": config.border_count,
        "random_seed": config.seed,
        "od_type": "Iter",
        "od_wait": config.patience,
        "use_best_model": True,
        "logging_level": "Silent",
        # Without leave to write files there is no snapshot; all of them go into a folder that is taken away afterwards.
        "allow_writing_files": True,
        "train_dir": str(work),
        **dict.fromkeys(LOGS, os.devnull),
        "save_snapshot": True,
        "snapshot_file": SNAPSHOT,
        "snapshot_interval": SECONDS_BETWEEN_SNAPSHOTS,
    }
    refuse_link(work)
    of_what = _fingerprint(fitted, stopping, parameters)
    if work.exists() and (not (work / ROWS_FILE).exists() or (work / ROWS_FILE).read_text() != of_what):
        remove_tree(work)
    write_text(work / ROWS_FILE, of_what)
    _write_no_events(work)
    pools = [rows.pool(categorical, config.kind) for rows in (fitted, stopping)]

    def fit() -> Any:
        model = CatBoost(parameters)
        return model.fit(pools[0], eval_set=pools[1], callbacks=None if on_gpu else [_Advance(stage)])

    had_snapshot = (work / SNAPSHOT).exists()
    try:
        return fit()
    except CatBoostError as error:
        if not had_snapshot or _is_of_system(error):
            raise _refusal(error, work) from None
    (work / SNAPSHOT).unlink()  # a damaged one costs its trees, not the training
    try:
        return fit()
    except CatBoostError as error:
        raise _refusal(error, work) from None


def _with_share_and_borders(config: CatBoostConfig, num: int) -> CatBoostConfig:
    """Choose what depends on the number of features, where it was left open."""
    rsm, borders = OF_MANY if num > MANY_FEATURES else OF_FEW
    return dataclasses.replace(config, rsm=config.rsm or rsm, border_count=config.border_count or borders)


def _settled(value: Any) -> Any:
    """Return a JSON value without the names of folders in it, in few digits: a training that went on knows no more."""
    if isinstance(value, dict):
        return {name: _settled(one) for name, one in sorted(value.items()) if name != "train_dir"}
    if isinstance(value, float):
        return float(f"{value:.8g}")
    return [_settled(one) for one in value] if isinstance(value, list) else value


def save_model(model: Any, path: Path) -> None:
    """Write a model; the same training gives the same bytes. Raises OSError where the system refuses."""
    from catboost import CatBoostError

    known = model.get_metadata()
    for name in ("model_guid", "train_finish_time"):
        if name in known.keys():  # noqa: SIM118 - it is not a mapping
            del known[name]
    for name in ("params", "output_options", "training"):  # where it was trained is nobody's business
        if name in known.keys():  # noqa: SIM118
            known[name] = json.dumps(_settled(json.loads(known[name])))
    try:
        with atomic_write_by_library(path) as beside:
            model.save_model(str(beside), format="cbm")
    except CatBoostError as error:
        raise refused(error, path) from None


def _write_no_events(work: Path) -> None:
    """Lead CatBoost's events for TensorBoard to nowhere: where they cannot be written it ends the whole process."""
    for part in ("learn", "test"):
        events = work / part / "events.out.tfevents"
        refuse_link(events.parent)
        if os.name == "posix" and not events.is_symlink():
            events.parent.mkdir(exist_ok=True)
            events.unlink(missing_ok=True)
            events.symlink_to(os.devnull)


def _on_gpu(loss: Loss, config: CatBoostConfig, fitted: Rows) -> dict[str, Any]:
    """Return what makes CatBoost train on the GPU, empty where it should not or need not.

    It asks for 95 % of all memory, whatever others hold, and ends the process where it gets less: it is given a share of
    what is free, and stays on the processor where the columns, a byte for each number, and the histograms of a level
    might not fit.
    """
    device = find_device()
    num_rows, num_columns = fitted.table.shape
    if not loss.on_gpu or device.type != "cuda" or num_rows < FEWEST_ON_GPU:
        return {}
    free, total = gpu_memory(device)
    outputs = loss.parameters.get("classes_count", 1)
    histograms = 2 ** (config.depth + 1) * num_columns * (config.border_count + 1) * 8 * outputs
    if 2 * num_rows * num_columns + histograms + GPU_SPARE > GPU_SHARE * free:
        return {}
    return {"task_type": "GPU", "devices": str(device.index or 0), "gpu_ram_part": GPU_SHARE * free / total}


def _is_of_system(error: Exception) -> bool:
    return re.search(r"\(Error \d+: ", str(error)) is not None


def _refusal(error: Exception, work: Path) -> EngageError | OSError:
    """What the system told CatBoost, or what CatBoost says after the place in its source, as one sentence."""
    if _is_of_system(error):
        return refused(error, work)
    return EngageError(f"CatBoost cannot train on these posts: {_words_of(error)}")


def _words_of(error: Exception) -> str:
    return re.sub(r"^\S+\.(cpp|h):\d+: ", "", str(error)).strip().rstrip(".")


def _fingerprint(fitted: Rows, stopping: Rows, parameters: dict[str, Any]) -> str:
    # A run may be moved, and other memory be free.
    settings = {name: value for name, value in parameters.items() if name not in ("train_dir", "gpu_ram_part", *LOGS)}
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    for rows in (fitted, stopping):
        digest.update(np.ascontiguousarray(rows.truth).data)
        if rows.weights is not None:
            digest.update(np.ascontiguousarray(rows.weights).data)
        numbers = rows.table.select_dtypes("number")
        for start in range(0, len(numbers), ROWS_AT_ONCE):
            digest.update(np.ascontiguousarray(numbers.iloc[start : start + ROWS_AT_ONCE].to_numpy(np.float32)).data)
        categories = rows.table.drop(columns=numbers.columns).to_numpy().ravel()
        digest.update("\0".join(categories).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def load_model(path: Path) -> Any | None:
    """Return a model that was saved; None where the file is damaged or absent."""
    from catboost import CatBoost, CatBoostError

    try:
        return CatBoost().load_model(str(path))
    except CatBoostError:
        return None


def _pool_of(table: pd.DataFrame) -> Any:
    """Return the table as CatBoost reads it at once; a DataFrame it takes column by column. It finds features by name."""
    from catboost import FeaturesData, Pool

    is_number = [pd.api.types.is_numeric_dtype(dtype) for dtype in table.dtypes]
    numbers, categories = table.loc[:, is_number], table.loc[:, np.logical_not(is_number)]
    if categories.empty:
        return table.to_numpy(np.float32)
    cells = [[str(cell).encode("utf-8", "surrogatepass") for cell in row] for row in categories.to_numpy()]
    return Pool(
        FeaturesData(
            num_feature_data=None if numbers.empty else numbers.to_numpy(np.float32),
            cat_feature_data=np.array(cells, dtype=object),
            num_feature_names=list(numbers) or None,
            cat_feature_names=list(categories),
        )
    )


def predict_table(model: Any, table: pd.DataFrame, kind: str) -> Predictions:
    """Predict the rows of a table. Quantiles that cross are put in order (Chernozhukov et al. 2010).

    Raises ValueError where the model is not one of this table and kind.
    """
    from catboost import CatBoostError

    rows = _pool_of(table)
    try:
        if kind == "classes":
            probabilities = np.asarray(model.predict(rows, prediction_type="Probability"), np.float64)
            if probabilities.shape != (len(table), len(CLASS_NAMES)):
                raise ValueError(f"it gives {probabilities.shape} for {len(table)} posts of {len(CLASS_NAMES)} classes")
            return Predictions(probabilities=probabilities)
        raw = np.asarray(model.predict(rows), np.float64)
    except CatBoostError as error:
        raise ValueError(_words_of(error)) from None
    if raw.shape == (len(table),):
        return Predictions(value=raw + start_of(table))
    if raw.shape != (len(table), len(QUANTILE_LEVELS)):
        raise ValueError(f"it gives {raw.shape} for {len(table)} posts")
    quantiles = np.sort(raw, axis=1) + start_of(table)[:, None]
    return Predictions(value=quantiles[:, MEDIAN].copy(), quantiles=quantiles)
