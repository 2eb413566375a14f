"""Where commands find things and leave them: the options that they share."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engage_cli.config.settings import setting

if TYPE_CHECKING:
    from engage_cli.tracking.tracker import Tracked

DEFAULT_DATA = Path("data")
DEFAULT_RUNS = Path("runs")


@dataclass(frozen=True, kw_only=True)
class DataPlace:
    data: Path = setting(DEFAULT_DATA, "The data folder.", envvar="ENGAGE_DATA")


@dataclass(frozen=True, kw_only=True)
class RunsPlace:
    runs: Path = setting(
        DEFAULT_RUNS, "Folder of runs: new ones are created here, and the newest is found here.", envvar="ENGAGE_RUNS"
    )


@dataclass(frozen=True, kw_only=True)
class NewRun(RunsPlace):
    # torchrun takes --run for one of its own options: under it, the longer name.
    run: Path | None = setting(
        None, "The run's folder. Default: a new one under --runs.", flags=("--run", "--run-dir"), show_default=False
    )
    track: str = setting(
        "none",
        "Also log parameters, epochs, figures and plots to this tracker, if it is installed.",
        table="engage_cli.tracking:TRACKERS",
        more_names=("none",),
    )

    def tracking(self, command: str, config: Any) -> contextlib.AbstractContextManager[Tracked]:
        """Track a training with these settings, where that is asked for; only the first rank of torchrun does."""
        from engage_cli.progress.reporters import make_reporter
        from engage_cli.runtime.distributed import get_rank
        from engage_cli.tracking.tracker import NONE, tracking

        title = self.run.name if self.run is not None else f"{command} {config.target}"
        return tracking(self.track if get_rank() == 0 else NONE, title, dataclasses.asdict(config), make_reporter())


@dataclass(frozen=True, kw_only=True)
class BaseRun:
    base: Path | None = setting(
        None,
        "A finished run that learned from others' posts, to start from if you have few (up to about 300). Its models "
        "are copied, and a Gaussian process learns how your posts differ.",
        show_default=False,
    )


@dataclass(frozen=True, kw_only=True)
class FinishedRun(RunsPlace):
    run: Path | None = setting(
        None,
        "The run to use, a folder or hf://owner/name. Default: the newest finished run.",
        show_default=False,
    )


@dataclass(frozen=True, kw_only=True)
class LedgerPlace:
    ledger: Path | None = setting(
        None,
        "The file of logged predictions. Default: ledger.sqlite beside --runs.",
        envvar="ENGAGE_LEDGER",
        show_default=False,
    )

    def of(self, runs: Path) -> Path:
        return self.ledger if self.ledger is not None else runs.parent / "ledger.sqlite"


@dataclass(frozen=True, kw_only=True)
class Output:
    json: bool = setting(False, "Print one JSON object to stdout and nothing else.", flags=("--json",))
