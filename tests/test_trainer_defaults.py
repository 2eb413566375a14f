"""What a trainer predicts where nothing is named differs between the trainers, and each of them says so."""

from __future__ import annotations

import re

import click
import pytest
import typer.main

from engage_cli.config.recipes import RECIPES, resolve
from engage_cli.main import app
from engage_cli.models.neural.objectives import OBJECTIVES

GROUP = typer.main.get_command(app)
assert isinstance(GROUP, typer.core.TyperGroup)
TRAINERS = {name: command for name, command in GROUP.commands.items() if name == "train" or name.startswith("train-")}


def option_of(command: click.Command, flag: str) -> click.Parameter | None:
    return next((one for one in command.params if flag in one.opts), None)


def default_of(name: str, flag: str) -> str:
    """Return what the trainer takes without the option; of a command with recipes, what all of these take."""
    option = option_of(TRAINERS[name], flag)
    if option is not None and option.default is not None:
        return str(option.default)
    objective = option_of(TRAINERS[name], "--objective")
    assert objective is not None
    (kind,) = (kind for kind, table in OBJECTIVES.items() if f"One of: {', '.join(table)}." in objective.help)
    if flag == "--as":
        return kind
    (only,) = {resolve(kind, recipe, {}, has_gpu=False).config.target for recipe in RECIPES}
    return only


TARGETS = {name: default_of(name, "--target") for name in TRAINERS}
KINDS = {name: default_of(name, "--as") for name in TRAINERS}


def test_the_trainers_are_those_of_the_command_line_and_differ() -> None:
    assert len(TRAINERS) >= 5
    assert len(set(TARGETS.values())) > 1
    assert {TARGETS[name] for name in TRAINERS if KINDS[name] == "value"} == {"popularity"}
    assert {TARGETS[name] for name in TRAINERS if KINDS[name] == "classes"} == {"engagement"}


def clause_of(text: str, name: str) -> str:
    """Return what follows a trainer's name in a sentence that says of each what it takes."""
    after = re.split(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, maxsplit=1)
    assert len(after) == 2, f"{name} is not named in: {text}"
    return after[1]


@pytest.mark.parametrize("name", TRAINERS)
def test_the_help_of_target_says_what_every_trainer_takes(name: str) -> None:
    option = option_of(TRAINERS[name], "--target")
    assert option is not None
    for other, target in TARGETS.items():
        clause = clause_of(option.help, other)
        first = min(set(TARGETS.values()), key=lambda one: clause.find(one) if one in clause else len(clause))
        assert first == target, f"--target of {name} says of {other}: {clause}"


@pytest.mark.parametrize("name", TRAINERS)
def test_the_description_names_its_own_defaults_and_all_trainers_that_have_others(name: str) -> None:
    text = " ".join((TRAINERS[name].help or "").split())
    sentence, rest = text.partition("Without --target")[2].partition(". ")[::2]
    assert TARGETS[name] in sentence
    assert ("five classes" if KINDS[name] == "classes" else "the value") in sentence
    for other in TRAINERS:
        if (TARGETS[other], KINDS[other]) != (TARGETS[name], KINDS[name]):
            assert TARGETS[other] in clause_of(rest, other), other
    assert not [
        other for other in TRAINERS if TARGETS[other] == TARGETS[name] and re.search(rf"\b{other}(?![\w-])", sentence)
    ]


@pytest.mark.parametrize("name", [name for name in TRAINERS if option_of(TRAINERS[name], "--as")])
def test_the_help_of_as_says_what_every_trainer_with_it_takes(name: str) -> None:
    option = option_of(TRAINERS[name], "--as")
    assert option is not None
    words = {"value": "the value", "classes": "the classes"}
    for other in TRAINERS:
        if option_of(TRAINERS[other], "--as"):
            clause = clause_of(option.help, other)
            first = min(words, key=lambda kind: clause.find(words[kind]) if words[kind] in clause else len(clause))
            assert first == KINDS[other], f"--as of {name} says of {other}: {clause}"
