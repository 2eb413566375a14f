"""Trackio: a local project called "engage", which `trackio show` opens; TRACKIO_DIR says where it lies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engage_cli.errors import EngageError
from engage_cli.tracking.tracker import PROJECT

MISSING = "--track trackio needs Trackio; install it with: pip install 'engage-cli[trackio]'"


class TrackioTracker:
    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        try:
            import trackio
        except ImportError:
            raise EngageError(MISSING) from None
        self.trackio = trackio
        with contextlib.redirect_stdout(sys.stderr):  # results alone go to stdout
            self.run = trackio.init(project=PROJECT, name=name, config=dict(parameters), embed=False)

    def log(self, figures: Mapping[str, float], *, step: int) -> None:
        self.run.log(dict(figures), step=step)

    def finish(self, figures: Mapping[str, float], tags: Mapping[str, str], plots: Sequence[Path]) -> None:
        pictures = {f"plots/{path.stem}": self.trackio.Image(str(path)) for path in plots}
        self.run.log({**figures, **{f"about/{name}": value for name, value in tags.items()}, **pictures})
        self._close()

    def fail(self) -> None:
        self._close()

    def _close(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self.run.finish()
