"""A field that can be set: its default, and all that the command line says of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the command line says of a field: all that an option is but its name, its type and its default."""

    help: str
    flags: tuple[str, ...] = ()  # else "--" and the field's name
    argument: str = ""  # the name under which help shows it, of what is given without a flag
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()  # that may be given
    table: str = ""  # "module:ATTRIBUTE" of the table whose names may be given
    more_names: tuple[str, ...] = ()  # beside those of the table
    is_open: bool = False  # other words than these names may be given too
    panel: str | None = None
    metavar: str | None = None
    envvar: str | None = None
    show_default: bool = True
    former_flags: tuple[str, ...] = ()  # of the release before: they still work, and help does not show them
    former_names: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the same of values: former -> name of today


def setting(default: Any, help: str, **about: Any) -> Any:
    """Return a dataclass field with what the command line says of it (see Setting); `Config.field` is its default."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help=help, **about)})


def setting_of(config: type, field: str) -> Setting:
    """Return what `setting` noted of a field."""
    found: Setting = next(f.metadata["setting"] for f in dataclasses.fields(config) if f.name == field)
    return found


def help_of(config: type, field: str) -> str:
    """Return the help text of a field made by `setting`."""
    return setting_of(config, field).help
