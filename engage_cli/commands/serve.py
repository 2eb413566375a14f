"""engage serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engage_cli.commands.options import DEFAULT_RUNS, RunsOpt

DEFAULT_PORT = 8765


def serve(
    run: Annotated[Path | None, typer.Option("--run", help="The run to ask. Without: the newest finished one.")] = None,
    runs: RunsOpt = DEFAULT_RUNS,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; one that other machines reach needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 for any free one.")] = DEFAULT_PORT,
    token: Annotated[
        str,
        typer.Option("--token", envvar="ENGAGE_TOKEN", show_envvar=True, help="A secret that everyone who asks must know."),
    ] = "",
    open_page: Annotated[bool, typer.Option("--open", help="Also open the page in the browser.")] = False,
) -> None:
    """Open a page on this machine where covers and titles are tried: which pair is ahead, how sure that is, and why.

    engage serve --run runs/views

    ENGAGE_TOKEN=$(openssl rand -hex 16) engage serve --host 0.0.0.0
    """
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.serve import serve as run_step

    def ready(address: str) -> None:
        print(address, flush=True)
        if open_page:
            import webbrowser

            webbrowser.open(address)

    reporter = make_reporter()
    run_step(run=run, runs_dir=runs, host=host, port=port, token=token, reporter=reporter, ready=ready)
