"""What is drawn while a run trains: its plots and, where asked for, TensorBoard's events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from engage_cli.errors import EngageError
from engage_cli.plots._training_curves import draw_history

SECONDS_BETWEEN_PLOTS = 10.0  # epochs on stored features are shorter than drawing them
TENSORBOARD = "tensorboard"


class HistoryLog:
    """Draws a history as it grows, and at the end; with `writes` False (a rank but the first) nothing."""

    def __init__(self, folder: Path, kind: str, *, tensorboard: bool = False, writes: bool = True) -> None:
        self.folder, self.kind, self.writes = folder, kind, writes
        self.history: Sequence[Mapping[str, Any]] = ()
        self.drawn = 0  # epochs in the plots
        self.last = time.monotonic()
        self.wants_events = tensorboard and writes
        self.events: Any = None

    def add(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Take note of one more epoch, the last of `history`."""
        self.history = history
        if self.wants_events:
            line = history[-1]
            self.events = self.events or _open_events(self.folder / TENSORBOARD, line["epoch"])
            scores = {f"validation/{name}": value for name, value in line["validation"].items()}
            losses = {f"loss/{name}": line[f"{name}_loss"] for name in ("train", "validation")}
            for name, value in {**losses, **scores, "learning_rate": line["learning_rate"]}.items():
                self.events.add_scalar(name, value, line["epoch"])
            self.events.flush()
        if time.monotonic() - self.last > SECONDS_BETWEEN_PLOTS:
            self._draw()

    def __enter__(self) -> HistoryLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.events is not None:
            self.events.close()
        with (
            contextlib.suppress(OSError) if error is not None else contextlib.nullcontext()
        ):  # the first error is the one to report
            self._draw()

    def _draw(self) -> None:
        if self.writes and len(self.history) > self.drawn:
            draw_history(self.folder, self.kind, self.history, title=self.folder.name)
            self.drawn, self.last = len(self.history), time.monotonic()


def require_tensorboard() -> None:
    """Raise EngageError where it is not installed."""
    if find_spec("tensorboard") is None:
        raise EngageError("--tensorboard needs tensorboard; install it with: pip install 'engage-cli[tensorboard]'")


def _open_events(folder: Path, epoch: int) -> Any:
    """Later events of an earlier, killed pass are purged."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=epoch)
