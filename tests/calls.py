"""The command line as a test calls it."""

from __future__ import annotations

import json
from functools import cache

import typer.testing
from typer.testing import CliRunner, Result

from engage_cli.main import app

# Else a runner makes all commands anew for every call.
typer.testing._get_command = cache(typer.testing._get_command)


def engage(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def answer(*arguments: object) -> dict:
    result = engage(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)
