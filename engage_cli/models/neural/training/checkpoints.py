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
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from engage_cli.errors import EngageError
from engage_cli.io.array_writing import save_tensors
from engage_cli.io.files import write_text
from engage_cli.io.own_folders import remove_plain
from engage_cli.io.records import parse
from engage_cli.models.neural.finetuning import load_trained, trained_state
from engage_cli.models.neural.training._averaging import RunningAverage
from engage_cli.models.neural.training.state import Progress
from engage_cli.runs.records import AGAIN

MODEL_FILE, HISTORY_FILE, RESUME_FILE = "model.safetensors", "history.jsonl", "resume.safetensors"
SEAL, CONTENT = "engage", "content"  # the one key of the metadata; in it the one of the hash of all else
ANEW = "remove the run's folder, and train it again"
FROM_START = "remove it; the same command then starts over"


class Checkpoints:
    """The files of one run folder that the loop writes; with `writes` False (a rank but the first) it writes none."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder, self.writes = folder, writes

    def save_best(self, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Keep the best weights, with what is known about them."""
        self._save(MODEL_FILE, state, {"about": json.dumps(about)})

    def about_best(self) -> dict[str, Any]:
        """Return what `save_best` received; nothing where no weights are kept."""
        path = self.folder / MODEL_FILE
        if not path.is_file():
            return {}
        return dict(json.loads(_read(path, again=ANEW)[1]["about"]))

    def save_candidate(self, epoch: int, state: Mapping[str, Tensor]) -> None:
        """Keep an epoch's weights for the average of the best."""
        self._save(_candidate(epoch), state)

    def has_candidate(self, epoch: int) -> bool:
        return (self.folder / _candidate(epoch)).is_file()

    def load_candidate(self, epoch: int) -> dict[str, Tensor]:
        return _read(self.folder / _candidate(epoch), again=ANEW)[0]

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
    ) -> Progress | None:
        """Restore what `save` wrote and return the progress; None where there is nothing to go on from."""
        path = self.folder / RESUME_FILE
        if not path.is_file():
            return None
        tensors, metadata = _read(path, again=FROM_START)
        try:
            self._resume(tensors, metadata, model, optimizer, scaler, average)
            return parse(json.loads(metadata["progress"]), Progress, where=f"{path}: progress", again=FROM_START)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise EngageError(f"{path} does not fit this training ({error}); {FROM_START}") from None

    def _resume(
        self,
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, str],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        average: RunningAverage | None,
    ) -> None:
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

    def forget(self) -> None:
        """Remove what only an unfinished run needs."""
        self.keep_candidates(())
        if self.writes:
            remove_plain(self.folder / RESUME_FILE)

    def _save(self, name: str, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
        if self.writes:
            on_cpu = {key: tensor.detach().cpu() for key, tensor in tensors.items()}
            save_tensors(self.folder / name, on_cpu, sealed(on_cpu, metadata or {}))


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights that `save_best` wrote; raise EngageError where they do not fit, or are not numbers."""
    tensors, _ = _read(path, again=AGAIN)
    try:
        load_trained(model, tensors)
    except EngageError as error:
        raise EngageError(f"{path}: {error}") from None


def must_fit(path: Path, model: nn.Module) -> None:
    """Raise EngageError where a file lacks a parameter of `model`, or has one of another shape; no weight is read."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise EngageError(f"{path} is damaged ({error}); {AGAIN}") from None
    for name, parameter in model.named_parameters():
        if shapes.get(name) != tuple(parameter.shape):
            raise EngageError(f"{path}: the weights '{name}' do not fit the model described by run.json; {AGAIN}")


def _read(path: Path, *, again: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file that `_save` wrote, whole and finite."""
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = parse(json.loads((file.metadata() or {})[SEAL]), dict[str, str], where=str(path), again=again)
    except (SafetensorError, OSError, LookupError, ValueError) as error:
        raise EngageError(f"{path} is missing or damaged ({error}); {again}") from None
    if metadata.pop(CONTENT, None) != _content_hash(tensors, metadata):
        raise EngageError(f"{path} was changed or damaged: its content does not match its hash; {again}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise EngageError(f"{path}: {name}: a weight is not finite; {again}")
    return tensors, metadata


def sealed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata to write, with the hash of all else: one key, for several would be written in a random order."""
    return {SEAL: json.dumps({**metadata, CONTENT: _content_hash(tensors, metadata)})}


def _content_hash(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return 32 hex digits of the XXH3 hash of names, types, shapes and numbers, and of the metadata."""
    digest = xxhash.xxh3_128(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _candidate(epoch: int) -> str:
    return f"candidate-{epoch:05d}.safetensors"


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
