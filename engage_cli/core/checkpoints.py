"""A run's files while it trains: the best weights, the history, and the point from which a killed run goes on.

safetensors and JSON only: the optimizer's state is tensors and a few numbers, and nothing needs unpickling.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engage_cli.core.atomic import replacing, write_text

MODEL_FILE, HISTORY_FILE, RESUME_FILE = "model.safetensors", "history.jsonl", "resume.safetensors"


class Checkpoints:
    """The files of one run folder that the loop writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_best(self, model: nn.Module) -> None:
        with replacing(self.folder / MODEL_FILE) as beside:
            save_file(_on_cpu(model.state_dict()), beside)

    def load_best(self, model: nn.Module) -> None:
        model.load_state_dict(load_file(self.folder / MODEL_FILE))

    def save_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        write_text(self.folder / HISTORY_FILE, "".join(json.dumps(line) + "\n" for line in history))

    def save(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        progress: Mapping[str, Any],
    ) -> None:
        """Write model, optimizer, scaler, random state and progress as one file."""
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for number, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in values.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        metadata = {"progress": json.dumps(progress), "scaler": json.dumps(scaler.state_dict())}
        with replacing(self.folder / RESUME_FILE) as beside:
            save_file(_on_cpu(tensors), beside, metadata)

    def resume(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
    ) -> dict[str, Any] | None:
        """Restore what `save` wrote and return the progress; None where there is nothing to go on from."""
        path = self.folder / RESUME_FILE
        if not path.is_file():
            return None
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        tensors = load_file(path)
        model.load_state_dict(_under("model.", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            number, _, field = name.partition(".")
            state.setdefault(int(number), {})[field] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        scaler.load_state_dict(json.loads(metadata["scaler"]))
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        return dict(json.loads(metadata["progress"]))

    def forget(self) -> None:
        """Remove what only a killed run needs."""
        (self.folder / RESUME_FILE).unlink(missing_ok=True)


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
