"""Gradient boosting on 20,000 posts x 1,100 features in five classes: engage's settings, CatBoost's own, LightGBM's.

The matrix is drawn: two embeddings of 512 numbers, each a linear image of 24 hidden traits with noise as large as the
signal, and 76 features of which a third carry a trait; the classes are the quintiles of a law with products and
thresholds of the traits, and noise. One matrix for all: 16,000 rows train, 2,000 stop the training early, 2,000 are tested.

1. As they come: every contender with its own defaults and the same early stopping (150 trees; at most 2,000), one after the
   other. CatBoost's defaults choose their own learning rate.
2. Trees per second of CatBoost by border count and share of features (rsm), over 60 trees, with the accuracy of as many
   trees as engage's settings take: what those settings were chosen by.

python benchmarks/boosting.py [--rows 20000] [--trees 2000] [--only 1|2]
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.config.training import CatBoostConfig
from engage_cli.metrics.metrics import compute_metrics
from engage_cli.models.boosting.fit import Rows, boost, predict_table
from engage_cli.progress.reporters import SilentReporter

NUM_TRAITS, EMBEDDING, HANDMADE = 24, 512, 76
PATIENCE = 150
PARTS = ("train", "stopping", "test")
Data = dict[str, Rows]


def draw(rows: int, seed: int = 0) -> Data:
    """Draw the matrix, cut into the three parts."""
    random = np.random.default_rng(seed)
    traits = random.normal(size=(rows, NUM_TRAITS))
    blocks = []
    for _ in range(2):
        signal = traits @ random.normal(size=(NUM_TRAITS, EMBEDDING)) / np.sqrt(NUM_TRAITS)
        blocks.append(signal + random.normal(size=signal.shape))
    handcrafted = random.normal(size=(rows, HANDMADE))
    carriers = HANDMADE // 3
    handcrafted[:, :carriers] += traits[:, random.integers(0, NUM_TRAITS, carriers)]
    law = traits[:, :8] @ random.normal(size=8) + 2 * traits[:, 8] * traits[:, 9] + 2 * (traits[:, 10] > 0.5)
    law += np.abs(traits[:, 11]) * traits[:, 12] + random.normal(size=rows) * law.std() * 0.6
    truth = np.digitize(law, np.quantile(law, (0.2, 0.4, 0.6, 0.8))).astype(np.int64)
    matrix = np.column_stack([*blocks, handcrafted]).astype(np.float32)
    table = pd.DataFrame(matrix, columns=[f"f{number}" for number in range(matrix.shape[1])])
    ends = [0, int(rows * 0.8), int(rows * 0.9), rows]
    return {
        part: Rows(table=table.iloc[low:high].reset_index(drop=True), truth=truth[low:high])
        for part, low, high in zip(PARTS, ends[:-1], ends[1:], strict=True)
    }


def engage(data: Data, trees: int, **changes: Any) -> tuple[np.ndarray, int]:
    config = dataclasses.replace(CatBoostConfig(), iterations=trees, patience=PATIENCE, **changes)
    with tempfile.TemporaryDirectory() as work, SilentReporter().stage("", trees) as stage:
        model = boost(config, data["train"], data["stopping"], (), work=Path(work), stage=stage)
    return predict_table(model, data["test"].table, "classes").main, int(model.tree_count_)


def catboost_defaults(data: Data, trees: int) -> tuple[np.ndarray, int]:
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(
        iterations=trees, early_stopping_rounds=PATIENCE, verbose=False, allow_writing_files=False, random_seed=0
    )
    model.fit(data["train"].table, data["train"].truth, eval_set=(data["stopping"].table, data["stopping"].truth))
    return model.predict_proba(data["test"].table), int(model.tree_count_)


def lightgbm(data: Data, trees: int) -> tuple[np.ndarray, int]:
    from lightgbm import LGBMClassifier, early_stopping

    model = LGBMClassifier(n_estimators=trees, verbose=-1, random_state=0)
    model.fit(
        data["train"].table,
        data["train"].truth,
        eval_X=data["stopping"].table,
        eval_y=data["stopping"].truth,
        callbacks=[early_stopping(PATIENCE, verbose=False)],
    )
    return model.predict_proba(data["test"].table), int(model.best_iteration_)


CONTENDERS: dict[str, Callable[[Data, int], tuple[np.ndarray, int]]] = {
    "engage": engage,
    "CatBoost, its defaults": catboost_defaults,
    "LightGBM, its defaults": lightgbm,
}


def as_they_come(data: Data, trees: int) -> None:
    print(
        f"{'':26s} {'seconds':>8s} {'x engage':>9s} {'trees':>6s} {'accuracy':>9s} {'kappa':>7s} {'log loss':>9s}",
        flush=True,
    )
    first = 0.0
    for name, run in CONTENDERS.items():
        start = time.perf_counter()
        shares, count = run(data, trees)
        seconds = time.perf_counter() - start
        first = first or seconds
        print(f"{name:26s} {seconds:8.1f} {seconds / first:9.2f} {count:6d} {_scores(data, shares)}", flush=True)


def by_settings(data: Data) -> None:
    print(f"\n{'borders':>8s} {'rsm':>5s} {'trees/s':>8s} {'accuracy, kappa, log loss after 400 trees':>44s}", flush=True)
    for borders in (254, 64, 32, 16):
        for rsm in (1.0, 0.3, 0.1, 0.03):
            start = time.perf_counter()
            engage(data, 60, border_count=borders, rsm=rsm)
            rate = 60 / (time.perf_counter() - start)
            scores = ""
            if rate > 4:
                scores = _scores(data, engage(data, 400, border_count=borders, rsm=rsm)[0])
            print(f"{borders:8d} {rsm:5.2f} {rate:8.1f} {scores:>44s}", flush=True)


def _scores(data: Data, shares: np.ndarray) -> str:
    truth = data["test"].truth
    found = compute_metrics("classes", truth, np.asarray(shares, np.float64))
    loss = -np.log(np.maximum(shares[np.arange(len(truth)), truth], 1e-12)).mean()
    return f"{found['accuracy']:9.3f} {found['kappa']:7.3f} {loss:9.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--trees", type=int, default=2000)
    parser.add_argument("--only", choices=("1", "2"), default="")
    options = parser.parse_args()
    data = draw(options.rows)
    print(f"{options.rows:,} x {data['train'].table.shape[1]:,}", flush=True)
    if options.only != "2":
        as_they_come(data, options.trees)
    if options.only != "1":
        by_settings(data)


if __name__ == "__main__":
    main()
