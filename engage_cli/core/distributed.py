"""Which part of the work is this process's: torchrun's environment, and nothing else."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager

from engage_cli.core.errors import EngageError

# Ranks on slower machines are waited for; a rank that died is noticed at once.
PATIENCE = datetime.timedelta(days=7)


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
def together() -> Iterator[None]:
    """Join the other ranks for the time of the block; with one process nothing is done."""
    if get_world_size() == 1:
        yield
        return
    from torch import distributed

    # Only barriers pass between ranks: gloo does that on every machine, with GPUs or without.
    distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def wait_for_all() -> None:
    """Return when every rank has come here; raise EngageError where one died."""
    if get_world_size() == 1:
        return
    from torch import distributed

    try:
        distributed.barrier()
    except RuntimeError as error:
        raise EngageError(f"another rank ended: {str(error).splitlines()[0]}; the same command goes on") from None
