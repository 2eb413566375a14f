"""The model card: what is in it, from whatever run.json there is, and that no text of others takes it over."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import CLASS_NAMES, LEAKY
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import CatBoostConfig, TrainConfig
from engage_cli.data.dataset_meta import DatasetMeta, PartCounts, RowCounts, SourceMeta, SplitMeta, fingerprint_of
from engage_cli.data.targets.target import fit_target
from engage_cli.evaluation.results import Evaluation
from engage_cli.metrics.descriptions import say_verdict, write_figure
from engage_cli.reports.model_card import code, describe_formula, escape, list_differences, render_card
from engage_cli.runs.names import last_name, short_names
from tests.scored import class_score, evaluation_of, posts_of, value_score

ENCODER = {
    "name": "clip",
    "side": "vision",
    "revision": "08a27b35391bb52f",
    "precision": "bf16",
    "pooling": "cls",
    "tokens": 0,
    "dtype": "fp16",
    "normalised": False,
    "preprocessing": "pixels 1",
}
NEURAL = {
    "engage": "0.1.0",
    "command": "train-regressor",
    "model": "neural",
    "kind": "value",
    "recipe": "frozen",
    "given": {"vision": "/home/somebody/weights/vit", "epochs": 6, "flip": True},
    "config": {**dataclasses.asdict(TrainConfig()), "vision": "/home/somebody/weights/vit", "epochs": 6},
    "ranks": 1,
    "data": {"fingerprint": "31d12f951fd1a57c", "split": "random"},
    "encoders": {"vision": {**ENCODER, "name": "/home/somebody/weights/vit"}, "text": {**ENCODER, "name": "minilm"}},
    "dims": {"image": 32, "title": 32},
    "leaky": False,
    "marks": [],
    "started": "2026-03-01T10:00:00+00:00",
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
}
CATBOOST = {
    "engage": "0.1.0",
    "command": "train-catboost",
    "model": "catboost",
    "kind": "classes",
    "config": {**dataclasses.asdict(CatBoostConfig()), "features": "study", "depth": 4},
    "data": {"fingerprint": "31d12f951fd1a57c", "split": "random"},
    "encoders": {},
    "blocks": [],
    "leaky": True,
    "marks": [LEAKY],
}
HASHES = {"posts.parquet": "0" * 32}
TARGETS = {"views": fit_target("views", pd.DataFrame({"views": np.arange(1.0, 919.0)}), fit_on="train")}
DATA = DatasetMeta(
    engage="0.1.0",
    source="pixelrec",
    sources={"pixelrec": SourceMeta(format="pixelrec", images="/home/somebody/cover", columns={}, not_used=())},
    columns={"views": "after"},
    table={},
    config=PrepareConfig(),
    rows=RowCounts(read=1150, kept=1148, left_out={"every counter missing": 2}),
    missing={},
    image_problems={},
    split=SplitMeta(
        method="random",
        dedupe=True,
        text="At random, 80/10/10, seed 0.",
        rows=PartCounts(train=918, validation=115, test=115),
        unused=0,
        groups_of_duplicates=1,
        rows_in_groups=2,
        duplicates_text="2 posts share nearly the same image (1 groups); no group is in two parts",
    ),
    targets=TARGETS,
    targets_unavailable={},
    correlations_with_views={},
    probes=(),
    warnings=("target views: 3 posts lack what it needs and are left out of it",),
    marks=(),
    files=HASHES,
    fingerprint=fingerprint_of(HASHES, TARGETS),
)


def card_of(evaluation: Evaluation, meta: dict[str, Any], **changed: Any) -> str:
    score = evaluation.runs[0]
    given = {"split": "test", "marks": meta.get("marks", []), "leaky": score.leaky, "data": DATA, **changed}
    target = fit_target(score.target, posts_of(), fit_on="train")
    return render_card(meta, target, score, evaluation.baselines, evaluation.comparisons, **given)


def rows_of(card: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line.startswith("|")]


def test_a_card_says_all_of_it() -> None:
    score = value_score()
    evaluation = evaluation_of(score)
    card = card_of(evaluation, NEURAL)
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "What it predicts",
        "How well",
        "Data",
        "Encoders",
        "How it was made",
        "Intended use and limits",
        "Passing it on",
    ]
    assert card.startswith("# Model card: runs/regressor-views\n\n## What")
    r2 = score.metrics["r2"]
    others = [one.metrics["r2"]["value"] for one in evaluation.baselines]
    row = next(row for row in rows_of(card) if row[0] == "R² (higher is better)")
    assert row[1] == f"{r2['value']:.3f} ({r2['low']:.3f} to {r2['high']:.3f})"
    assert [cell.partition(" ")[0] for cell in row[2:]] == [write_figure(value) for value in others]
    head = next(row for row in rows_of(card) if row[0] == "metric")
    assert head == ["metric", "runs/regressor-views", "constant", "tf-idf + ridge"]
    for words in (
        "    log1p(views)\n",
        "Fitted on 600 posts (the training part alone)",
        f"- This run: {say_verdict(evaluation.comparisons[0])}.",
        "- Source: pixelrec\n",
        "1,150 read, 1,148 kept; 2 left out: every counter missing",
        "At random, 80/10/10, seed 0. train 918, validation 115, test 115.",
        "no group is in two parts.",
        "- vision: vit, revision `08a27b35391bb52f`, precision bf16",
        "- text: minilm,",
        "- Command: `engage train-regressor`, given vision vit, epochs 6, flip yes\n",
        "- Versions: engage 0.1.0, python 3.11.7, torch 2.13.0",
        "split-conformal",
        "neighbours.parquet",
    ):
        assert words in card, words
    assert "LEAKY" not in card
    assert "somebody" not in card
    assert "\n\n\n" not in card


def test_tables_are_whole() -> None:
    for score, meta in ((value_score(), NEURAL), (class_score(leaky=True), CATBOOST)):
        lines = card_of(evaluation_of(score), meta).splitlines()
        for above, line in itertools.pairwise(lines):
            if line.startswith("|") and above.startswith("|"):
                assert line.count("|") == above.count("|"), line
        starts = [at for at, line in enumerate(lines) if line.startswith("|") and not lines[at - 1].startswith("|")]
        assert all(set(lines[at + 1]) <= set("|-:") for at in starts)
        assert all(lines[at - 1] == "" for at in starts)
        assert len(starts) >= 4


def test_leaky_stands_first() -> None:
    card = card_of(evaluation_of(class_score(leaky=True)), CATBOOST, marks=[LEAKY, "duplicates stand in two parts"])
    assert card.splitlines()[2] == f"> **{LEAKY}.**"
    assert card.splitlines()[4] == "> **Mark:** duplicates stand in two parts"
    assert card.count(LEAKY) == 1
    assert "its figures say nothing about new posts.\n" in card
    assert "runs/classifier-engagement (LEAKY)" in card
    assert "It reads no embeddings." in card
    stacked = card_of(evaluation_of(class_score()), {**CATBOOST, "model": "ensemble", "members": ["gp", "neural"]})
    assert "Those of its members (`members/` in its folder).\n" in stacked
    assert "It reads no embeddings." not in stacked
    assert [row[0] for row in rows_of(card) if row[0] in CLASS_NAMES] == list(CLASS_NAMES)
    by_call = card_of(evaluation_of(class_score()), {**CATBOOST, "marks": []}, leaky=True)
    assert by_call.splitlines()[2] == f"> **{LEAKY}.**"


@pytest.mark.parametrize("meta", [{}, {"command": "train-regressor"}, {"config": {"unknown": 1}, "encoders": None}])
def test_whatever_run_json_holds(meta: dict[str, Any]) -> None:
    evaluation = evaluation_of(value_score(slices=False))
    card = card_of(dataclasses.replace(evaluation, comparisons=[]), meta, data=None, split="validation")
    assert "figures are optimistic" in card
    assert "was not computed" in card
    assert "None" not in card
    assert "unknown" not in card


def test_foreign_text_stays_text() -> None:
    wicked = "<script>alert(1)</script> **bold** [a](http://x.y) | cell `code`\n# head www.x.y a@b.c"
    evaluation = evaluation_of(value_score(name=wicked))
    meta = {**NEURAL, "encoders": {"text": {**ENCODER, "name": wicked}}, "given": {"vision": wicked}}
    source = SourceMeta(format=wicked, images=None, columns={}, not_used=())
    data = dataclasses.replace(DATA, sources={wicked: source}, warnings=(wicked,))
    card = card_of(evaluation, meta, data=data, marks=[wicked])
    for words in ("<script", "**bold**", "://", "www.", "a@b", "\n# head"):
        assert words not in card, words
    assert not re.search(r"(?<!\\)(\[a|\]\(|\| cell|`code)", card)
    assert card.count("&lt;script&gt;") >= 7
    assert rows_of(card)  # and the tables stand
    lines = [line.replace(r"\|", "") for line in card.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} <= {3, 4, 5}


def test_escaping_by_value() -> None:
    assert escape("a_b*c") == r"a\_b\*c"
    assert escape("1 < 2 & 3\n\t4") == "1 &lt; 2 &amp; 3 4"
    assert escape("a|b") == r"a\|b"
    assert code("a") == "`a`"
    assert code("a`b``c") == "```a`b``c```"
    assert code("`a`") == "`` `a` ``"
    assert code("") == ""


def test_paths_of_this_machine_are_not_told() -> None:
    assert last_name("/home/somebody/runs/best/") == "best"
    assert last_name("C:\\Users\\somebody\\vit") == "vit"
    assert last_name("~/weights/vit") == "vit"
    assert last_name("../vit") == "vit"
    assert last_name("google/siglip-so400m-patch14-384") == "google/siglip-so400m-patch14-384"
    assert last_name("runs/best") == "runs/best"
    assert last_name("/") == "/"
    names = ["/a/best", "/b/best", "runs/best", "/a/best"]
    assert short_names(names) == {"/a/best": "best", "/b/best": "best (2)", "runs/best": "runs/best"}


def test_only_what_differs_is_listed() -> None:
    assert list_differences(NEURAL) == [("vision", "vit", "dinov2-small"), ("epochs", "6", "40")]
    assert list_differences(CATBOOST) == [("features", "study", "honest"), ("depth", "4", "6")]
    study = {**NEURAL, "recipe": "study", "config": {"vision": "siglip", "epochs": 3}}
    assert list_differences(study) == [("epochs", "3", "50")]
    assert list_differences({}) == []


def test_numbers_of_a_formula() -> None:
    fitted = fit_target("rate", posts_of(likes=3.0), fit_on="train")
    numbers = dict(describe_formula(fitted))
    assert numbers["weight of likes"] == "1"
    assert float(numbers["floor"]) == pytest.approx(fitted.formula.floor, rel=1e-5)
    assert float(numbers["mean of the scores"]) == pytest.approx(fitted.mean, rel=1e-5)
