"""The README knows every command, and every option it shows exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engage_cli.main import app

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS = [command.name for command in app.registered_commands]
CALLS = sorted(set(re.findall(r"^(?:\$ )?engage ((?:[a-z-]+)[^\n#]*)", README, flags=re.MULTILINE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_section(command: str) -> None:
    assert re.search(rf"^### `engage {command}", README, flags=re.MULTILINE)


@pytest.mark.parametrize("call", CALLS)
def test_every_option_shown_exists(call: str) -> None:
    command = call.split()[0]
    assert command in COMMANDS
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).stdout
    for option in re.findall(r"--[a-z-]+", call):
        assert option in shown, option


def test_the_first_screen_has_the_two_commands() -> None:
    first = "\n".join(README.splitlines()[:40])
    assert "make demo" in first
    assert "make test" in first
