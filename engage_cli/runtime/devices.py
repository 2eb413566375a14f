"""Which device there is, and which arithmetic is fast on it."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

import torch

from engage_cli.errors import WrongCallError
from engage_cli.runtime.distributed import get_local_rank, get_local_world_size

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
MIXED_PRECISIONS = {**PRECISIONS, "fp16": torch.float16}  # of training: weights stay in float32
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # glibc's malloc.h


def find_device() -> torch.device:
    """Return the GPU, under torchrun the one of this rank, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", get_local_rank() % torch.cuda.device_count())


def choose_precision(asked: str, device: torch.device) -> str:
    """Return "fp32" or "bf16"; "auto" takes bf16 only where the hardware multiplies in it, for elsewhere it is slower."""
    if asked != "auto":
        if asked not in PRECISIONS:
            raise WrongCallError(f"unknown precision '{asked}'; give one of: auto, {', '.join(PRECISIONS)}")
        return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if processor_flags() & {"avx512_bf16", "amx_bf16"} else "fp32"


def mixed_precision(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a model computes in a precision of MIXED_PRECISIONS."""
    return torch.autocast(device.type, MIXED_PRECISIONS[precision], enabled=precision != "fp32")


def matmul_precision(device: torch.device) -> str:
    """Return what `torch.set_float32_matmul_precision` is given, so that float32 stays float32.

    "medium" lets oneDNN choose its kernels, twice as fast on some processors with errors at float32 level. Where there is
    AMX the same word makes it multiply in bfloat16 (errors of 1e-1 instead of 1e-4 in a product of 384 terms).
    """
    flags = processor_flags()  # none where the system does not list them: then nothing is known
    return "medium" if device.type == "cpu" and flags and "amx_bf16" not in flags else "highest"


def processor_flags() -> set[str]:
    """Return the processor's flags as Linux lists them; empty elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    return set()


def num_cores() -> int:
    """Return the cores that this process may use: its own share where torchrun started several on the machine."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, there // get_local_world_size())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on a GPU or on the CPU, could not get the memory that it asked for."""
    words = ("can't allocate memory", "not enough memory", "out of memory", "_ALLOC_FAILED")  # the last is cuBLAS's
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(word in str(error) for word in words)


def gpu_memory(device: torch.device) -> tuple[int, int]:
    """Return the bytes that are free on a GPU, once torch gave back what it keeps for later, and all that it has."""
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed instead of handing it back; elsewhere nothing is done.

    Else every activation of a tower is mapped and zeroed anew, which costs about 5 % of the arithmetic on two cores.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, 2**31 - 1), (M_ARENA_MAX, 1)):
            mallopt(parameter, value)
