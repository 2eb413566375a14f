"""Batches that come from the CPU reach the GPU one step ahead, on a stream of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def prefetch(batches: Iterator[Any], device: torch.device) -> Iterator[Any]:
    """Yield batches (tensors in named tuples and dicts) on the device; on a GPU the next one is copied meanwhile.

    Copies overlap with arithmetic only from pinned memory.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)
    ahead = _copied(next(batches, None), device, stream)
    while ahead is not None:
        torch.cuda.current_stream(device).wait_stream(stream)
        batch = ahead
        for tensor in _tensors(batch):  # else its memory could be handed out again while the model reads it
            tensor.record_stream(torch.cuda.current_stream(device))
        ahead = _copied(next(batches, None), device, stream)
        yield batch


def _copied(batch: Any, device: torch.device, stream: torch.cuda.Stream) -> Any:
    with torch.cuda.stream(stream):
        return _moved(batch, device)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_moved(item, device) for item in value))
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _tensors(item)
