"""Options and names of the release before: they still work, and help does not show them."""

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from engage_cli.cli.evaluate import EvaluateOptions
from engage_cli.cli.generate import generated
from engage_cli.cli.predict import PostOptions
from engage_cli.cli.train_neural import OF_VALUES, RecipeChoice
from engage_cli.config.general import EncoderConfig
from engage_cli.features.selection import parse_features
from tests.calls import engage

CASES = [
    (["--tune", "top:2"], "finetune", "top:2"),
    (["--finetune", "top:2"], "finetune", "top:2"),
    (["--recipe", "stored"], "recipe", "frozen"),
    (["--recipe", "best"], "recipe", "seeds3"),
    (["--recipe", "tuned"], "recipe", "finetune"),
    (["--recipe", "study"], "recipe", "study"),
    (["--fusion", "stack"], "fusion", "study"),
    (["--framing", "whole"], "resize", "squash"),
    (["--framing", "own"], "resize", "native"),
    (["--framing", "auto"], "resize", "auto"),
    (["--resize", "squash"], "resize", "squash"),
    (["--with", "a=1", "--with", "b=2"], "columns", ["a=1", "b=2"]),
    (["--with", "a=1", "--column", "b=2"], "columns", ["b=2", "a=1"]),
]


@pytest.mark.parametrize(("given", "field", "value"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_each_spelling_fills_its_field(given: list[str], field: str, value: object) -> None:
    seen: dict[str, Any] = {}
    app = typer.Typer()

    @app.command()
    @generated()
    def command(
        training: Annotated[dict[str, Any], OF_VALUES],
        encoders: EncoderConfig,
        recipe: RecipeChoice,
        post: PostOptions,
    ) -> None:
        seen.update(vars(encoders) | vars(recipe) | vars(post) | training)

    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert seen[field] == value


@pytest.mark.parametrize("flag", ["--ensemble", "--stack"])
def test_both_spellings_ask_for_an_ensemble(flag: str) -> None:
    seen: list[bool] = []
    app = typer.Typer()

    @app.command()
    @generated()
    def command(options: EvaluateOptions) -> None:
        seen.append(options.ensemble)

    assert CliRunner().invoke(app, [flag]).exit_code == 0
    assert seen == [True]


def test_a_former_set_of_features_is_read() -> None:
    assert parse_features("handmade", [], {}) == parse_features("handcrafted", [], {})


@pytest.mark.parametrize("command", ["train-regressor", "evaluate", "predict", "embed"])
def test_help_shows_the_new_spelling_alone(command: str) -> None:
    shown = engage(command, "--help").stdout
    assert not {word for word in ("--tune", "--framing", "--with", "--stack") if word in shown.replace("--with-", "")}
