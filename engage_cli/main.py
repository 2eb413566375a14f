"""The app: one registration line a command, and the one place where errors become sentences."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from engage_cli import __version__, cli
from engage_cli.errors import EngageError
from engage_cli.io.printable import one_line

# What Click raises of a wrong call. Typer brings a Click of its own since 0.26, so it is found through what Typer exports.
ClickError: type[Exception] = next(one for one in typer.BadParameter.__mro__ if one.__name__ == "ClickException")


class SentenceGroup(TyperGroup):
    """Turns an EngageError into one sentence on stderr and its exit code."""

    def get_help_option(self, ctx: Any) -> Any:
        """Give --help the default False: with None, Typer 0.29 loads pydantic (0.13 s) to find out that it is none."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        try:
            return super().make_context(*arguments, **settings)
        except ClickError as error:
            raise _clean(error) from None

    def invoke(self, ctx: Any) -> Any:
        if sys.stderr is None:  # closed by the caller: progress goes nowhere, and never among the answers
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that knows no arrow shows a question mark
        try:
            _require_working_folder()
            return super().invoke(ctx)
        except ClickError as error:
            raise _clean(error) from None
        except EngageError as error:
            _say(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _say("stopped; give the same command again to continue from here")
            raise typer.Exit(130) from None
        except MemoryError:
            _say("memory ran out; close other programs, or give smaller batches or images")
            raise typer.Exit(1) from None
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            _say("the GPU's memory ran out; close what else uses it, or set CUDA_VISIBLE_DEVICES= to use the processor")
            raise typer.Exit(1) from None
        except OSError as error:
            # A full disk, a folder without permission: the user's to mend, and the message names the file.
            what = os.strerror(error.errno) if error.errno else str(error)
            _say(f"{what}: {error.filename or ''}".rstrip(": "))
            raise typer.Exit(1) from None


def _require_working_folder() -> None:
    """Raise EngageError where the folder that the command was called in is gone: torch cannot be loaded there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise EngageError("the working folder was deleted: change into another one, and give the command again") from None


def _is_out_of_memory(error: Exception) -> bool:
    """Whether torch, if it was loaded at all, says so of a GPU."""
    if "torch" not in sys.modules:
        return False
    from engage_cli.runtime.devices import is_out_of_memory

    return is_out_of_memory(error)


def _say(sentence: str) -> None:
    """What a sentence quotes from a file or an argument may hold line ends and escapes; the sentence may not."""
    print(one_line(f"engage: {sentence}"), file=sys.stderr)


def _clean(error: Exception) -> Exception:
    """Clean what Click says of a wrong call: it quotes the arguments as they are."""
    option, message = getattr(error, "option_name", None), getattr(error, "message", "")
    if option and message.endswith("requires an argument."):
        error.message = f"{option} has no value: nothing follows it. Write {option} VALUE, several words in quotes."  # type: ignore[attr-defined]
    for name, value in vars(error).items():
        if isinstance(value, str):
            setattr(error, name, one_line(value))
    return error


def wants_completion(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Say whether the shell asks for completions, or the user to install or show them."""
    asked = {"--install-completion", "--show-completion"} & set(arguments)
    return bool(asked) or any(name.endswith("_COMPLETE") and "ENGAGE" in name for name in environment)


app = typer.Typer(
    cls=SentenceGroup,
    no_args_is_help=True,
    # Its two options load pydantic: 0.13 s of every command, so they are there when somebody asks for one of them.
    add_completion=wants_completion(sys.argv, os.environ),
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="How much engagement a post will get, before it is published: from its cover, title, tags and description.\n\n"
    "Shell completion: engage --install-completion.",
)


def _version(asked: bool) -> None:
    if asked:
        print(f"engage {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None: ...


app.command("quickstart")(cli.quickstart)
app.command("sample")(cli.sample)
app.command("prepare")(cli.prepare)
app.command("embed")(cli.embed)
app.command("train")(cli.train)
app.command("train-regressor")(cli.train_regressor)
app.command("train-classifier")(cli.train_classifier)
app.command("train-catboost")(cli.train_catboost)
app.command("train-gp")(cli.train_gp)
app.command("evaluate")(cli.evaluate)
app.command("predict")(cli.predict)
app.command("frames")(cli.frames)
app.command("test-plan")(cli.test_plan)
app.command("score")(cli.score)
app.command("recalibrate")(cli.recalibrate)
app.command("export")(cli.export_run)
app.command("import")(cli.import_run)
app.command("push")(cli.push)
app.command("serve")(cli.serve)
app.command("doctor")(cli.doctor)

if __name__ == "__main__":
    app()
