"""Train CatBoost on stored embeddings and honest features of the text."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from engage_cli.core.atomic import replacing, write_json, write_text
from engage_cli.core.config import CLASS_NAMES, CatBoostConfig, EncoderConfig
from engage_cli.core.dataset import Dataset
from engage_cli.core.devices import find_device
from engage_cli.core.errors import WrongCallError
from engage_cli.core.handmade import CATEGORICAL
from engage_cli.core.leakage import known_before, parse_features
from engage_cli.core.metrics import compute_metrics, true_of
from engage_cli.core.predictors import CONTRACT_FILE
from engage_cli.core.predictors.catboost import MODEL_FILE, predict_table
from engage_cli.core.progress import Reporter, SilentReporter, Stage
from engage_cli.core.runs import clear_stage, finish_run, open_run
from engage_cli.core.tabular import CATEGORY, TABLE_BLOCKS, build_table, kinds_of
from engage_cli.core.targets import require_variety
from engage_cli.steps.embed import stored_blocks
from engage_cli.steps.train_neural import TrainSummary

KINDS = ("classes", "value")


def train_catboost(
    config: CatBoostConfig,
    *,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TrainSummary:
    """Train to a finished run folder; a killed training starts anew in its folder."""
    reporter = reporter or SilentReporter()
    if config.kind not in KINDS:
        raise WrongCallError(f"unknown --as '{config.kind}'; there are: {', '.join(KINDS)}")
    target = dataset.target(config.target)
    columns = kinds_of(dataset.posts, parse_features(config.features, dataset.posts.columns, dataset.source_names))
    rows = {part: dataset.rows(part, target) for part in ("train", "validation")}
    source = stored_blocks(dataset, encoders, TABLE_BLOCKS, reporter)
    spaces = {store.encoder.shared_space for store in source.stores.values()}
    with_cosine = len(spaces) == 1 and None not in spaces
    if not with_cosine:
        reporter.say(
            f"no image-text cosine: {encoders.vision} and {encoders.text} do not share a space "
            "(the two sides of one CLIP or SigLIP checkpoint do)"
        )
    meta: dict[str, Any] = {
        "model": "catboost",
        "kind": config.kind,
        "config": dataclasses.asdict(config),
        "data": {"fingerprint": dataset.fingerprint, "split": dataset.meta["split"]["method"]},
        "encoders": {
            side: {"name": store.encoder.checkpoint.name, **store.encoder.record} for side, store in source.stores.items()
        },
        "leaky": False,
        "marks": list(dataset.marks),
    }
    tables, truths = {}, {}
    for part, numbers in rows.items():
        some = dataset.posts.iloc[numbers]
        tables[part] = build_table(known_before(some), source, with_cosine=with_cosine, extra=columns)
        scores = target.score(some)
        truths[part] = true_of(config.kind, scores, target.classes(scores))
    require_variety(truths["train"], config.kind, target.name)
    with open_run(run, runs_dir, command="train-catboost", meta=meta, target=target) as (folder, goes_on):
        clear_stage(folder)
        reporter.say(f"{'starting anew in' if goes_on else 'training'} {folder} ({tables['train'].shape[1]:,} features)")
        names = list(tables["train"].columns)
        categorical = [CATEGORICAL, *(name for name, kind in columns.items() if kind == CATEGORY)]
        write_json(
            folder / CONTRACT_FILE,
            {
                "names": names,
                "categorical": categorical,
                "blocks": list(TABLE_BLOCKS),
                "with_cosine": with_cosine,
                "columns": columns,
            },
        )
        started = time.monotonic()
        with reporter.stage("boosting", config.iterations) as stage:
            model = _fit(config, tables, truths, categorical, stage)
        with replacing(folder / MODEL_FILE) as beside:
            model.save_model(str(beside), format="cbm")
        write_text(folder / "history.jsonl", _history(model.get_evals_result()))
        predictions = predict_table(model, tables["validation"], config.kind)
        predicted = predictions.value if predictions.value is not None else predictions.probabilities
        assert predicted is not None
        finished = finish_run(
            folder,
            {
                "split": "validation",
                "note": "stopped early on these rows: optimistic; `engage evaluate` reads the test split",
                "best_iteration": int(model.tree_count_),
                "rows": {part: len(numbers) for part, numbers in rows.items()},
                "metrics": compute_metrics(config.kind, truths["validation"], predicted),
                "features": len(names),
                "seconds": round(time.monotonic() - started, 1),
                "leaky": False,
            },
        )
    return TrainSummary(run=finished, went_on=goes_on, warnings=dataset.marks)


def _fit(
    config: CatBoostConfig,
    tables: dict[str, Any],
    truths: dict[str, np.ndarray],
    categorical: list[str],
    stage: Stage,
) -> Any:
    from catboost import CatBoost, Pool

    pools = {part: Pool(tables[part], truths[part], cat_features=categorical) for part in tables}
    # Integer classes and a fixed count: a part that lacks a class must not have narrower probabilities.
    loss: dict[str, Any] = {"loss_function": "RMSE"}
    if config.kind == "classes":
        loss = {"loss_function": "MultiClass", "classes_count": len(CLASS_NAMES)}
    # rsm is not to be had on the GPU for these losses.
    device: dict[str, Any] = {"task_type": "GPU"} if find_device().type == "cuda" else {"rsm": config.rsm}
    model = CatBoost(
        {
            **loss,
            **device,
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
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
    )
    # Callbacks exist on the CPU only.
    callbacks = None if "task_type" in device else [_Advance(stage)]
    model.fit(pools["train"], eval_set=pools["validation"], callbacks=callbacks)
    return model


class _Advance:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def after_iteration(self, info: Any) -> bool:
        (loss,) = list(info.metrics["validation"].values())[:1]
        self.stage.advance(note=f"validation loss {loss[-1]:.4f}")
        return True


def _history(evals: dict[str, dict[str, list[float]]]) -> str:
    columns = {f"{part}_{name}": values for part, losses in evals.items() for name, values in losses.items()}
    lines = zip(*columns.values(), strict=True)
    return "".join(
        json.dumps({"iteration": number, **dict(zip(columns, values, strict=True))}) + "\n"
        for number, values in enumerate(lines, start=1)
    )
