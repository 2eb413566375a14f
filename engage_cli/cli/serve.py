"""engage serve."""

from __future__ import annotations

from dataclasses import dataclass

from engage_cli.cli.generate import generated
from engage_cli.cli.places import FinishedRun, LedgerPlace
from engage_cli.config.settings import setting

DEFAULT_PORT = 8765


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    host: str = setting("127.0.0.1", "Address to listen on. An address that other machines can reach needs --token.")
    port: int = setting(DEFAULT_PORT, "The port; 0 for any free one.", low=0, high=65535)
    token: str = setting("", "Token that every client must send.", envvar="ENGAGE_TOKEN", show_default=False)
    log: bool = setting(
        False,
        "Add a button to the page that logs its predictions, for `engage score` to compare with the outcome.",
        flags=("--log",),
    )
    open_page: bool = setting(False, "Also open the page in the browser.", flags=("--open",))


@generated()
def serve(place: FinishedRun, options: ServeOptions, at: LedgerPlace) -> None:
    """Open a page on this machine to compare covers and titles: which pair is ahead, how sure that is, and why.

    engage serve --run runs/views --log

    ENGAGE_TOKEN=$(openssl rand -hex 16) engage serve --host 0.0.0.0
    """
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.serve.server import serve as run_step

    def ready(address: str) -> None:
        print(address, flush=True)
        if options.open_page:
            import webbrowser

            webbrowser.open(address)

    reporter = make_reporter()
    run_step(
        run=place.run,
        runs_dir=place.runs,
        host=options.host,
        port=options.port,
        token=options.token,
        reporter=reporter,
        ready=ready,
        ledger=at.of(place.runs) if options.log else None,
    )
