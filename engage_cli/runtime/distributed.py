"""Which part of the work is this process's: torchrun's environment, and nothing else."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engage_cli.errors import EngageError, WrongCallError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

# Ranks on slower machines are waited for; a rank that died is noticed at once.
PATIENCE = datetime.timedelta(days=7)
LOST = ("connection closed", "connection reset", "gloo", "nccl", "broken pipe")  # in what the others hear of it


SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def is_torchrun() -> bool:
    """Whether torchrun started this process; clusters set some of its variables for purposes of their own."""
    return all(os.environ.get(name) for name in SET_BY_TORCHRUN)


def get_rank() -> int:
    return int(os.environ["RANK"]) if is_torchrun() else 0


def get_local_rank() -> int:
    return int(os.environ["LOCAL_RANK"]) if is_torchrun() else 0


def get_world_size() -> int:
    """Return the number of processes; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if is_torchrun() else 1


def get_local_world_size() -> int:
    """Return the number of processes on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if is_torchrun() else 1


@contextmanager
def together(*, on_gpu: bool = False) -> Iterator[None]:
    """Join the other ranks for the time of the block; with one process, or inside such a block, nothing is done."""
    if get_world_size() == 1:
        yield
        return
    from torch import distributed

    if distributed.is_initialized():
        yield
        return
    if on_gpu:
        _require_gpus()
    # Barriers and what is on the CPU go through gloo, on every machine; gradients on GPUs through NCCL.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _require_gpus() -> None:
    import torch

    found, asked = torch.cuda.device_count(), get_local_world_size()
    if asked > found:  # NCCL refuses two ranks on one
        raise WrongCallError(
            f"torchrun started {asked} processes on a machine with {found} GPU{'s' * (found > 1)}, and each needs one: "
            f"give --nproc-per-node {found}"
        )


def wait_for_all() -> None:
    """Return when every rank has come here; raise EngageError where one died."""
    if get_world_size() == 1:
        return
    from torch import distributed

    with noticing_lost_ranks():
        # Not barrier(): on a machine with GPUs that would go through NCCL.
        distributed.all_reduce(_cpu_tensor([0]))


@contextmanager
def noticing_lost_ranks() -> Iterator[None]:
    """Turn the error that a rank meets when another one ended into a sentence."""
    try:
        yield
    except RuntimeError as error:
        lines = str(error).splitlines() or [""]
        if get_world_size() == 1 or not any(word in str(error).lower() for word in LOST):
            raise
        raise EngageError(f"another rank ended: {lines[0]}; give the same command again to continue") from None


def gather_rows(values: Tensor, rows: np.ndarray, num: int) -> Tensor:
    """Return (num, ...) on the CPU, the same on all ranks, from each rank's `values` (n, ...) of its `rows` of all."""
    if get_world_size() > 1:
        import torch
        from torch import distributed

        values, mine = values.cpu(), torch.from_numpy(rows)

        # Ranks hold unequal numbers of rows: each adds its own to zeros, which changes no bit of them.
        whole = torch.zeros((num, *values.shape[1:]), dtype=values.dtype)
        whole[mine] = values
        with noticing_lost_ranks():
            distributed.all_reduce(whole)
        return whole
    return put_in_order(values, rows, num)


def put_in_order(values: Tensor, rows: np.ndarray, num: int) -> Tensor:
    """Return (num, ...) on the CPU from `values` (num, ...) of `rows`, which are all."""
    import torch

    values = values.cpu()
    return values.new_empty((num, *values.shape[1:])).index_copy_(0, torch.from_numpy(rows), values)


def sum_over_ranks(value: float) -> float:
    """Return the sum of a number over all ranks."""
    if get_world_size() == 1:
        return value
    from torch import distributed

    total = _cpu_tensor([value])
    with noticing_lost_ranks():
        distributed.all_reduce(total)
    return float(total[0])


def share_text(text: str) -> str:
    """Return the first rank's text on every rank."""
    if get_world_size() == 1:
        return text
    import torch
    from torch import distributed

    data = text.encode()
    length = torch.tensor([len(data)])
    with noticing_lost_ranks():
        distributed.broadcast(length, src=0)
        content = torch.zeros(int(length), dtype=torch.uint8)
        if get_rank() == 0:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        distributed.broadcast(content, src=0)
    return bytes(content.tolist()).decode()


def _cpu_tensor(values: list[float]) -> Tensor:
    import torch

    return torch.tensor(values, dtype=torch.float64)
