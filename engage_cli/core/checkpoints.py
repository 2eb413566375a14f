"""A run's files while it trains: the best weights, the history, and the point from which a killed run goes on.

safetensors and JSON only: the optimizer's state is tensors and a few numbers, and nothing needs unpickling. Of encoders
only what learned is kept. Random numbers need no state: the loop seeds them anew for every micro-batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engage_cli.core.atomic import replacing, write_text
from engage_cli.core.averaging import RunningAverage
from engage_cli.core.errors import EngageError
from engage_cli.core.own_folders import remove_plain
from engage_cli.core.tuning import load_trained, trained_state

MODEL_FILE, HISTORY_FILE, RESUME_FILE = "model.safetensors", "history.jsonl", "resume.safetensors"


class Checkpoints:
    """The files of one run folder that the loop writes; with `writes` False (a rank but the first) it writes none."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder, self.writes = folder, writes

    def save_best(self, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Keep the best weights, with what is known about them."""
        self._save(MODEL_FILE, state, {"about": json.dumps(about)})

    def about_best(self) -> dict[str, Any]:
        """Return what `save_best` was told; nothing where no weights are kept."""
        path = self.folder / MODEL_FILE
        if not path.is_file():
            return {}
        try:
            with safe_open(path, framework="pt") as file:
                return dict(json.loads((file.metadata() or {})["about"]))
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise EngageError(f"{path} is damaged ({error}); remove the run's folder, and train it again") from None

    def load_best(self, model: nn.Module) -> None:
        load_trained(model, self._load(MODEL_FILE))

    def save_candidate(self, epoch: int, state: Mapping[str, Tensor]) -> None:
        """Keep an epoch's weights for the average of the best."""
        self._save(_candidate(epoch), state)

    def has_candidate(self, epoch: int) -> bool:
        return (self.folder / _candidate(epoch)).is_file()

    def load_candidate(self, epoch: int) -> dict[str, Tensor]:
        return self._load(_candidate(epoch))

    def keep_candidates(self, epochs: Sequence[int]) -> None:
        """Remove the weights of all other epochs."""
        kept = {_candidate(epoch) for epoch in epochs}
        for path in self.folder.glob("candidate-*.safetensors") if self.writes else ():
            if path.name not in kept:
                remove_plain(path)

    def save_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        if self.writes:
            write_text(self.folder / HISTORY_FILE, "".join(json.dumps(line) + "\n" for line in history))

    def save(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        average: RunningAverage | None,
        progress: Mapping[str, Any],
    ) -> None:
        """Write model, optimizer, scaler, running average and progress as one file."""
        if not self.writes:
            return
        tensors = {f"model.{name}": tensor for name, tensor in trained_state(model).items()}
        for number, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in values.items()}
        if average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in average.average.items()}
        metadata = {
            "progress": json.dumps(progress),
            "scaler": json.dumps(scaler.state_dict()),
            "averaged": str(average.num_steps if average else 0),
        }
        self._save(RESUME_FILE, tensors, metadata)

    def resume(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        average: RunningAverage | None,
    ) -> dict[str, Any] | None:
        """Restore what `save` wrote and return the progress; None where there is nothing to go on from."""
        path = self.folder / RESUME_FILE
        if not path.is_file():
            return None
        try:
            return self._resume(path, model, optimizer, scaler, average)
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, EngageError) as error:
            raise EngageError(f"{path} is damaged ({error}); remove it, and the same command starts anew") from None

    def _resume(
        self,
        path: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        average: RunningAverage | None,
    ) -> dict[str, Any]:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        load_trained(model, _under("model.", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            number, _, field = name.partition(".")
            state.setdefault(int(number), {})[field] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        scaler.load_state_dict(json.loads(metadata["scaler"]))
        if average is not None:
            for name, kept in average.average.items():
                kept.copy_(tensors[f"average.{name}"])
            average.num_steps = int(metadata["averaged"])
        return dict(json.loads(metadata["progress"]))

    def forget(self) -> None:
        """Remove what only an unfinished run needs."""
        self.keep_candidates(())
        if self.writes:
            remove_plain(self.folder / RESUME_FILE)

    def _save(self, name: str, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
        if not self.writes:
            return
        path = self.folder / name
        on_cpu = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        try:
            with replacing(path) as beside:
                save_file(on_cpu, beside, metadata)
        except SafetensorError as error:  # it wraps what the system said, as that the disk is full
            raise EngageError(f"{path} cannot be written: {error}") from None

    def _load(self, name: str) -> dict[str, Tensor]:
        path = self.folder / name
        try:
            return load_file(path)
        except (SafetensorError, FileNotFoundError) as error:
            raise EngageError(
                f"{path} is missing or damaged ({error}); remove the run's folder, and train it again"
            ) from None


def _candidate(epoch: int) -> str:
    return f"candidate-{epoch:05d}.safetensors"


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
