"""Shell completion works, and costs the commands nothing where nobody asks for it."""

from __future__ import annotations

import os
import subprocess
import sys

from engage_cli.main import app, wants_completion


def test_the_shell_is_told_the_commands() -> None:
    asked = {"_ENGAGE_COMPLETE": "complete_bash", "COMP_WORDS": "engage train-", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['engage']; from engage_cli.main import app; app(prog_name='engage')"
    found = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True)
    assert found.stdout.split() == ["train-regressor", "train-classifier", "train-catboost", "train-gp"]


def test_completion_is_loaded_only_where_it_is_asked_for() -> None:
    assert wants_completion(["engage", "--install-completion"], {})
    assert wants_completion(["engage"], {"_ENGAGE_COMPLETE": "complete_zsh"})
    assert not wants_completion(["engage", "train", "--help"], {"ENGAGE_DATA": "data"})
    assert app._add_completion is False
