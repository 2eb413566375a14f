"""Which device there is, and which arithmetic is fast on it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from engage_cli.core.errors import WrongCallError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def find_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(asked: str, device: torch.device) -> str:
    """Return "fp32" or "bf16"; "auto" takes bf16 only where the hardware multiplies in it, for elsewhere it is slower."""
    if asked != "auto":
        if asked not in PRECISIONS:
            raise WrongCallError(f"unknown precision '{asked}'; there are: auto, {', '.join(PRECISIONS)}")
        return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if processor_flags() & {"avx512_bf16", "amx_bf16"} else "fp32"


def matmul_precision(device: torch.device) -> str:
    """Return what `torch.set_float32_matmul_precision` is given, so that float32 stays float32.

    "medium" lets oneDNN choose its kernels, twice as fast on some processors with errors at float32 level. Where there is
    AMX the same word makes it multiply in bfloat16 (errors of 1e-1 instead of 1e-4 in a product of 384 terms).
    """
    return "medium" if device.type == "cpu" and "amx_bf16" not in processor_flags() else "highest"


def processor_flags() -> set[str]:
    """Return the processor's flags as Linux lists them; empty elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    return set()
