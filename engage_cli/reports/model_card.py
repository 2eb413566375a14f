"""A run's model card as Markdown: what it predicts, how well, from what it was made, and what it is not for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from engage_cli.config.general import CLASS_NAMES, LEAKY
from engage_cli.config.recipes import RECIPE_DESCRIPTIONS, RECIPES
from engage_cli.config.training import CatBoostConfig, TrainConfig
from engage_cli.data.dataset_meta import DatasetMeta
from engage_cli.data.targets.target import Target
from engage_cli.evaluation.results import Score
from engage_cli.metrics.descriptions import say_verdict, words_of, write_figure
from engage_cli.metrics.paired_bootstrap import Comparison
from engage_cli.reports._templates import open_templates
from engage_cli.runs.names import last_name

CONTROLS = re.compile(r"([\\`*_{}\[\]#~|!])")  # of Markdown, wherever they stand in a line
CATBOOST_COMMAND = "train-catboost"


def render_card(
    meta: Mapping[str, Any],
    target: Target,
    score: Score,
    baselines: Sequence[Score],
    comparisons: Sequence[Comparison],
    *,
    split: str,
    marks: Sequence[str],
    leaky: bool,
    data: DatasetMeta | None,
) -> str:
    """Return the card of one run, from its run.json (`meta`), its target, its score and dataset.json (`data`).

    What `meta` lacks is left out, and all of the data without `data`. Folders of this machine are called by
    their last name alone.
    """
    # Of run.json each model writes other keys.
    environment = open_templates(autoescape=False, undefined=jinja2.ChainableUndefined)
    environment.filters.update(md=escape, code=code, last_name=last_name)
    own = [one for one in comparisons if score.name in (one.first, one.second)]
    beside = [one for one in baselines if (one.target, one.kind) == (score.target, score.kind)]
    leaky = leaky or score.leaky
    return environment.get_template("model_card.md").render(
        name=last_name(score.name),
        leaky=LEAKY if leaky else "",
        marks=[mark for mark in dict.fromkeys(marks) if mark != LEAKY],
        meta=meta,
        target=target,
        numbers=describe_formula(target),
        classes=list(zip(CLASS_NAMES, (*target.cuts, None), target.class_shares, strict=True)),
        score=score,
        columns=[score, *beside],
        metrics=[(name, words_of(name)) for name in score.metrics],
        cell=_write_cell,
        verdicts=[_say(one, score) for one in own],
        split=split,
        data=data,
        sources=[(last_name(name), source.format) for name, source in data.sources.items()] if data else [],
        encoders=meta.get("encoders") or {},
        recipe_words=RECIPE_DESCRIPTIONS.get(meta.get("recipe", ""), ""),
        settings=list_differences(meta),
        given=[(name, write_setting(value)) for name, value in meta.get("given", {}).items()],
    )


def escape(text: str) -> str:
    """Make a foreign text stand for itself within a line of Markdown: no tag, no link, no emphasis, no end of a cell."""
    line = " ".join("".join(" " if ord(letter) < 32 else letter for letter in str(text)).split())
    line = CONTROLS.sub(r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    # What would become a link by itself.
    return re.sub(r"\bwww\.", "www&#46;", line.replace("://", "&#58;//"), flags=re.IGNORECASE).replace("@", "&#64;")


def code(text: str) -> str:
    """Put a text between as many backticks as it takes."""
    line = " ".join(str(text).split())
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def describe_formula(target: Target) -> list[tuple[str, str]]:
    """Return the numbers of a fitted formula, each with its name."""
    formula = target.formula
    found = [(f"weight of {column}", f"{weight:.6g}") for column, weight in formula.weights.items()]
    found += [("offset", f"{formula.offset:.6g}")] if formula.offset else []
    found += [("floor", f"{formula.floor:.6g}")] if formula.floor is not None else []
    found += [("mean of the scores", f"{target.mean:.6g}"), ("their standard deviation", f"{target.std:.6g}")]
    return found


def list_differences(meta: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (setting, value, default) for each that is not as the run's recipe, or CatBoost's defaults, have it."""
    config = meta.get("config", {})
    if meta.get("command") == CATBOOST_COMMAND:
        usual = dataclasses.asdict(CatBoostConfig())
    else:
        recipe = RECIPES.get(meta.get("recipe", ""), {}).get(meta.get("kind", ""), {})
        usual = {**dataclasses.asdict(TrainConfig()), **recipe}
    return [
        (name, write_setting(value), write_setting(usual[name]))
        for name, value in config.items()
        if name in usual and value != usual[name]
    ]


def write_setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else last_name(str(value)) or "(empty)"


def _write_cell(score: Score, name: str) -> str:
    if name not in score.metrics:
        return "–"
    value, low, high = (write_figure(score.metrics[name][key], name) for key in ("value", "low", "high"))
    return value if low == high else f"{value} ({low} to {high})"


def _say(comparison: Comparison, score: Score) -> str:
    words = say_verdict(comparison, beside=escape(last_name(comparison.second)))
    subject = "This run" if comparison.first == score.name else escape(last_name(comparison.first))
    return f"{subject}: {words}."
