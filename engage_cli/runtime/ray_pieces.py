"""Pieces of work on a Ray cluster: whichever worker is free does one, and another does it again where a worker dies.

A piece leaves its result on a disk that all machines share, where the command finds it: what is done is not done again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engage_cli.config.general import ENGINES, EngineConfig
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.progress.reporters import Reporter
from engage_cli.runtime.distributed import get_world_size

CORES_PER_WORKER = 4
MOST_TRIES = 3  # of a piece whose worker died, after the first
# What would be printed among our own lines: usage statistics, and messages about lost workers.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}

Piece = tuple[Any, ...]  # arguments of the work, plain values and paths


def check_engine(how: EngineConfig) -> None:
    """Raise WrongCallError for an engine that there is not, or that does not go with torchrun."""
    if how.engine not in ENGINES:
        raise WrongCallError(f"unknown --engine '{how.engine}'; give one of: {', '.join(ENGINES)}")
    if how.engine == "ray" and get_world_size() > 1:
        raise WrongCallError("--engine ray starts its own workers: call it without torchrun")


def run_on_ray(
    work: Callable[..., object], pieces: Sequence[Piece], how: EngineConfig, reporter: Reporter, *, title: str
) -> None:
    """Do the work of each piece; raise EngageError with what a piece raises, or where Ray gives up.

    `work` is a function of a module. A worker has its share of the cluster's cores, and a GPU where there are some.
    """
    if not pieces:
        return
    with ray_session() as ray:
        share = share_cluster(ray, how.workers, len(pieces), reporter)
        options = {"num_cpus": share.cores, "num_gpus": share.gpus, "max_retries": MOST_TRIES}
        task = ray.remote(**options)(_do)
        waiting = [task.remote(work, piece) for piece in pieces]
        with reporter.stage(title, len(pieces)) as stage:
            while waiting:
                (done,), waiting = ray.wait(waiting)
                if failed := ray.get(done):
                    raise EngageError(failed)
                stage.advance()


def _do(work: Callable[..., object], piece: Piece) -> str:
    """Return an error that the user can mend, as a sentence: engage reports it once and does not try again."""
    try:
        work(*piece)
    except EngageError as error:
        return str(error) or "a piece failed"
    return ""


@dataclass(frozen=True, kw_only=True)
class Share:
    """How many workers there are, and what each has of the cluster."""

    workers: int
    cores: int
    gpus: int


def share_cluster(ray: Any, asked: int, pieces: int, reporter: Reporter) -> Share:
    """Divide the cluster among as many workers as are asked for, else one for each GPU or for every four cores."""
    resources = ray.cluster_resources()
    gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    workers = min(asked or gpus or max(1, cores // CORES_PER_WORKER), pieces)
    reporter.say(f"Ray: {workers} workers, {cores} cores, {gpus} GPUs in the cluster")
    return Share(workers=workers, cores=max(1, cores // workers), gpus=1 if gpus else 0)


@contextmanager
def ray_session() -> Iterator[Any]:
    """Join $RAY_ADDRESS or, without it, start Ray on this machine for as long as the block takes.

    What Ray raises becomes one sentence.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise EngageError("--engine ray needs Ray: pip install 'engage-cli[ray]'") from None
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise EngageError(f"Ray gave up: {last}; give the same command again to continue") from None
    finally:
        if started_here:
            ray.shutdown()
