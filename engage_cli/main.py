"""The app: one registration line a command, and the one place where errors become sentences."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from engage_cli import __version__, commands
from engage_cli.core.errors import EngageError


class SentenceGroup(TyperGroup):
    """Turns an EngageError into one sentence on stderr and its exit code."""

    def get_help_option(self, ctx: Any) -> Any:
        """Give --help the default False: with None, Typer 0.29 loads pydantic (0.13 s) to find out that it is none."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def invoke(self, ctx: Any) -> Any:
        if sys.stderr is None:  # closed by the caller: progress goes nowhere, and never among the answers
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that knows no arrow shows a question mark
        try:
            _require_working_folder()
            return super().invoke(ctx)
        except EngageError as error:
            print(f"engage: {_one_line(str(error))}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print("engage: stopped; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(130) from None
        except MemoryError:
            print("engage: memory ran out; close other programs, or give smaller batches or images", file=sys.stderr)
            raise typer.Exit(1) from None
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            what = "close what else uses it, or set CUDA_VISIBLE_DEVICES= to use the processor"
            print(f"engage: the GPU's memory ran out; {what}", file=sys.stderr)
            raise typer.Exit(1) from None
        except OSError as error:
            # A full disk, a folder without permission: the user's to mend, and the message names the file.
            what = os.strerror(error.errno) if error.errno else str(error)
            print(f"engage: {what}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
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
    from engage_cli.core.devices import is_out_of_memory

    return is_out_of_memory(error)


def _one_line(text: str) -> str:
    """What a message quotes from a file may hold line ends and control characters; the message may not."""
    return "".join(character if character.isprintable() else " " for character in text)


app = typer.Typer(
    cls=SentenceGroup,
    no_args_is_help=True,
    add_completion=False,  # its two options load pydantic before every command: 0.13 s of each --help
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="How much engagement a post will get, before it is published: from its cover, title, tags and description.",
)


def _version(asked: bool) -> None:
    if asked:
        print(f"engage {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None: ...


app.command("sample")(commands.sample)
app.command("prepare")(commands.prepare)
app.command("embed")(commands.embed)
app.command("train")(commands.train)
app.command("train-regressor")(commands.train_regressor)
app.command("train-classifier")(commands.train_classifier)
app.command("train-catboost")(commands.train_catboost)
app.command("train-gp")(commands.train_gp)
app.command("evaluate")(commands.evaluate)
app.command("predict")(commands.predict)
app.command("serve")(commands.serve)
app.command("doctor")(commands.doctor)

if __name__ == "__main__":
    app()
