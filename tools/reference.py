"""Write docs/reference.md: every command and every visible option, read from the command line itself."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from engage_cli.main import app

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.md"
HEAD = """# Commands and options

`make docs` writes this page from the command line itself. `engage COMMAND --help` shows the same.

Results go to stdout and everything else to stderr. The exit code is 0 for success, 1 for bad input and 2 for a wrong call.
"""


def render() -> str:
    """Return the whole page."""
    group: Any = typer.main.get_command(app)
    lines = [HEAD]
    lines += ["## `engage`", "", *(_option(one) for one in group.params if not _is_hidden(one)), ""]
    for name, command in group.commands.items():
        lines += [f"## `engage {name}`", "", *_description(command.help), "", *_options(command.params), ""]
    return "\n".join(lines).rstrip() + "\n"


def _description(text: str | None) -> Iterator[str]:
    """Return the paragraphs of a docstring: sentences as they are, then the example calls in one block."""
    paragraphs = [" ".join(part.split()) for part in (text or "").split("\n\n") if part.strip()]
    calls = [one for one in paragraphs if re.match(r"([A-Z_]+=.* )?(engage|torchrun) ", one)]
    for number, sentence in enumerate(one for one in paragraphs if one not in calls):
        yield from ("", sentence) if number else (sentence,)
    if calls:
        yield from ("", "```sh", *calls, "```")


def _options(params: list[Any]) -> Iterator[str]:
    panels: dict[str, list[Any]] = {}
    for param in params:
        if not _is_hidden(param):
            panels.setdefault(getattr(param, "rich_help_panel", None) or "", []).append(param)
    for panel, some in panels.items():
        if panel:
            yield from ("", f"**{panel}**", "")
        yield from map(_option, some)


def _is_hidden(param: Any) -> bool:
    return getattr(param, "hidden", False) or param.name in ("help", "install_completion", "show_completion")


def _option(param: Any) -> str:
    """Return one line: names, what is given, the default, the environment variable, the meaning."""
    is_argument = param.param_type_name == "argument"
    names = ", ".join(f"`{flag}`" for flag in (*param.opts, *param.secondary_opts))
    head = f"`{(param.metavar or param.name).upper()}`" if is_argument else names
    is_flag = getattr(param, "is_flag", False)
    notes = []
    if not is_argument and not is_flag:
        notes.append(_kind(param))
    if not is_argument and _is_shown(param.default) and param.show_default and not callable(param.default):
        notes.append(f"default `{_default(param)}`")
    if getattr(param, "envvar", None):
        notes.append(f"environment variable `{param.envvar}`")
    about = f" ({'; '.join(notes)})" if notes else ""
    meaning = re.sub(r"([*_<>\[\]])", r"\\\1", " ".join((param.help or "").split()))
    return f"- {head}{about}: {meaning}"


def _is_shown(default: Any) -> bool:
    return default is not None and default is not False and default != ""


def _default(param: Any) -> str:
    if getattr(param, "is_flag", False):
        return str(param.opts[0] if param.default else (param.secondary_opts or param.opts)[0])
    return f"{param.default:g}" if isinstance(param.default, float) else str(param.default)


def _kind(param: Any) -> str:
    annotation = param.type_descriptor.annotation
    is_list = typing.get_origin(annotation) is list
    of = typing.get_args(annotation)[0] if is_list else annotation
    name = param.metavar or {str: "text", int: "integer", float: "number", Path: "path"}[of]
    limits = (
        "" if param.min is None else f" from {param.min:g}" if param.max is None else f" {param.min:g} to {param.max:,.10g}"
    )
    return f"{name}{limits}{', repeatable' if is_list else ''}"


if __name__ == "__main__":
    REFERENCE.write_text(render(), encoding="utf-8")
