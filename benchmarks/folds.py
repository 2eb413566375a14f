"""A cross-validated CatBoost run beside TF-IDF + ridge (logistic regression for classes) on the very same folds.

The baseline is fitted on each fold's own training posts and chooses its strength on the posts that stop CatBoost early
there; over all posts, each predicted out of fold, the difference is compared by a paired bootstrap.

python benchmarks/folds.py RUN --data data        (RUN: of `engage train-catboost --folds 5`)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.data.folds import make_folds
from engage_cli.evaluation.baselines import Part, tfidf_logistic, tfidf_ridge
from engage_cli.metrics.metrics import PRIMARY, compute_metrics, true_of
from engage_cli.metrics.paired_bootstrap import compare
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.train._cross_validate import OUT_OF_FOLD, STOPPING_SHARE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--data", type=Path, default=Path("data"))
    options = parser.parse_args()
    if options.run is None:
        print("give it a run of `engage train-catboost --folds 5`")
        return
    run, dataset = load_run(options.run), load_dataset(options.data)
    kind, target, config = run.kind, run.target, run.meta.settings(CatBoostConfig, folder=run.folder)
    name, baseline = (
        ("TF-IDF + ridge", tfidf_ridge) if kind == "value" else ("TF-IDF + logistic regression", tfidf_logistic)
    )
    rows = np.sort(np.concatenate([dataset.rows(part, target) for part in ("train", "validation")]))
    posts = dataset.posts.iloc[rows].reset_index(drop=True)
    scores = target.score(posts)
    true = true_of(kind, scores, target.classes(scores))
    folds = make_folds(posts, config.folds, seed=config.seed)
    found = np.zeros(len(posts) if kind == "value" else (len(posts), 5))
    for number in range(folds.num):
        training, held_out = folds.fitted(number), folds.held_out(number)
        inner = make_folds(posts.iloc[training], STOPPING_SHARE, seed=config.seed + 1)
        parts = [Part(posts.iloc[some], true[some]) for some in (training[inner.fitted(0)], training[inner.held_out(0)])]
        found[held_out] = baseline(*parts, Part(posts.iloc[held_out], np.zeros(0))).main
    stored = pd.read_parquet(options.run / OUT_OF_FOLD).set_index("id").loc[posts["id"]]
    ours = stored["value"].to_numpy() if kind == "value" else stored.filter(like="p_").to_numpy()
    for title, predicted in ((str(options.run), ours), (name, found)):
        by_fold = [
            compute_metrics(kind, true[held_out], predicted[held_out])[PRIMARY[kind]]
            for held_out in map(folds.held_out, range(folds.num))
        ]
        print(f"{title:32s} {PRIMARY[kind]} {np.mean(by_fold):.3f} ± {np.std(by_fold, ddof=1):.3f}  {np.round(by_fold, 3)}")
    print(compare(kind, true, (str(options.run), ours), (name, found), num_resamples=1000).verdict)


if __name__ == "__main__":
    main()
