"""Options from configurations: a command names dataclasses, and their fields become its options.

A field's name, type, default, help, range, choices and panel stand in its dataclass alone (see `setting`). A command is
a function whose parameters are annotated with such dataclasses:

    @generated(rename={"encoders.precision": "encoder_precision"})
    def train_gp(config: GaussianProcessConfig, encoders: EncoderConfig, place: TrainingPlace) -> None: ...

Fields of one name in several dataclasses are one option, which all of them get.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from engage_cli.config.settings import Setting, setting_of
from engage_cli.errors import WrongCallError
from engage_cli.registry import Registry


class GivenOf(NamedTuple):
    """Annotates a dict parameter: the options of a dataclass that were given, by field; of a command whose defaults vary.

    `help_of` returns a field's help, with its defaults; `tables` replaces the tables of fields, and `without` names
    fields that are not options of this command.
    """

    config: type
    help_of: Callable[[str], str]
    tables: Mapping[str, str] = {}
    without: tuple[str, ...] = ()


class _Option(NamedTuple):
    """One option, and which fields of which parameters it fills."""

    parameter: inspect.Parameter
    fills: list[tuple[str, str]]  # parameter of the command, field of its dataclass
    former: inspect.Parameter | None = None  # its spelling of the release before, hidden

    def take(self, values: dict[str, object]) -> object:
        """Return its value, by whichever spelling it was given."""
        value = values[self.parameter.name]
        if self.former is None or (former := values.pop(self.former.name)) in (None, []):
            return value
        return [*(value if isinstance(value, list) else ()), *former] if isinstance(former, list) else former


def generated(
    *,
    rename: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a function of dataclasses the signature that Typer reads.

    `rename`: "parameter.field" -> the option's name, where two dataclasses mean different things by one name.
    `defaults`: option -> this command's default, where it differs from the field's.
    `without`: "parameter.field" of fields that are not options of this command, and keep their defaults.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(command, include_extras=True)
        hints.pop("return", None)
        options = _options(hints, rename or {}, defaults or {}, without)

        def run(**values: object) -> None:
            filled: dict[str, dict[str, object]] = {name: {} for name in hints}
            for option in options.values():
                value = option.take(values)
                for parameter, field in option.fills:
                    filled[parameter][field] = value
            command(**{name: _make(hint, filled[name]) for name, hint in hints.items()})

        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        parameters = [option.parameter for option in options.values()]
        parameters += [option.former for option in options.values() if option.former]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _options(
    hints: Mapping[str, Any], rename: Mapping[str, str], defaults: Mapping[str, Any], without: Collection[str]
) -> dict[str, _Option]:
    """Return the options by name, in the order of the parameters and of their fields."""
    options: dict[str, _Option] = {}
    for parameter, hint in hints.items():
        given = _given_of(hint)
        config = given.config if given else hint
        types = typing.get_type_hints(config)
        for field in dataclasses.fields(config):
            if f"{parameter}.{field.name}" in without or (given and field.name in given.without):
                continue
            name = rename.get(f"{parameter}.{field.name}", field.name)
            if name in options:
                options[name].fills.append((parameter, field.name))
                continue
            default = None if given else defaults.get(name, _default_of(field))
            type_ = types[field.name] | None if given else types[field.name]
            about = setting_of(config, field.name)
            made = _parameter(name, type_, default, _typer_option(name, about, given, field.name))
            former = _parameter(f"former_{name}", type_ | None, None, _former_option(about)) if about.former_flags else None
            options[name] = _Option(made, [(parameter, field.name)], former)
    return options


def _parameter(name: str, type_: Any, default: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[type_, option])


def _former_option(about: Setting) -> Any:
    def translate(value: Any) -> Any:
        return about.former_names.get(value, value) if isinstance(value, str) else value

    return typer.Option(*about.former_flags, hidden=True, callback=translate)


def _typer_option(name: str, about: Setting, given: GivenOf | None, field: str) -> Any:
    help = given.help_of(field) if given else about.help
    table = given.tables.get(field, about.table) if given else about.table
    names = load_table(table) if table else about.names
    if names:
        help += f" {'Names' if about.is_open else 'One of'}: {', '.join((*about.more_names, *names))}."
    if about.argument:
        return typer.Argument(metavar=about.argument, help=help, readable=False, show_default=False)
    flags = about.flags or (f"--{name.replace('_', '-')}",)
    is_hidden = given is not None or not about.show_default
    return typer.Option(
        *flags,
        help=help,
        min=about.low,
        max=about.high,
        metavar=about.metavar,
        envvar=about.envvar,
        readable=False,
        rich_help_panel=about.panel,
        callback=_refuse_options(flags[0], _check(flags[0], names if not about.is_open else (), about)),
        show_default=not is_hidden,
        show_envvar=about.envvar is not None,
    )


def _refuse_options(flag: str, check: Callable[[Any], Any] | None) -> Callable[[typer.Context, Any], Any]:
    """Return a callback that refuses another option of the command as a value: then the value was forgotten."""

    def callback(context: typer.Context, value: Any) -> Any:
        options = {name for parameter in context.command.params for name in parameter.opts if name.startswith("-")}
        for one in value if isinstance(value, list) else [value]:
            if str(one) in options and isinstance(one, str | Path):
                raise WrongCallError(f"{flag} has no value: the option {one} follows it; write {flag} VALUE, then {one}")
        return check(value) if check is not None else value

    return callback


def _check(flag: str, names: Collection[str], about: Setting) -> Callable[[Any], Any] | None:
    """Return a callback that translates former names and refuses unknown ones; None where anything may be given."""
    if not names and not about.former_names:
        return None
    there = (*about.more_names, *names)

    def check(value: Any) -> Any:
        value = about.former_names.get(value, value) if isinstance(value, str) else value
        if value is None or value in about.more_names or not names:
            return value
        if isinstance(names, Registry):
            return names.check(value)
        if value not in there:
            raise WrongCallError(f"unknown {flag} '{value}'; give one of: {', '.join(there)}")
        return value

    return check


def load_table(place: str) -> Collection[str]:
    """Return the table that stands at "module:ATTRIBUTE"; its module imports nothing heavy."""
    module, _, attribute = place.partition(":")
    table: Collection[str] = getattr(import_module(module), attribute)
    return table


def _given_of(hint: Any) -> GivenOf | None:
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, GivenOf)), None)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _make(hint: Any, values: Mapping[str, object]) -> Any:
    """Make the dataclass of its fields' values, or keep those that were given."""
    return {name: value for name, value in values.items() if value is not None} if _given_of(hint) else hint(**values)
