"""Arrays and tensors into safetensors files that are whole or absent; what the system refuses is its own error."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors.numpy
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from engage_cli.io.files import atomic_write_by_library


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Write arrays by name; raise OSError where the system refuses, as on a full disk."""
    # What lies by columns safetensors would write as if it lay by rows.
    by_rows = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with _writing(path) as beside:
        safetensors.numpy.save_file(by_rows, beside, metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors of any device by name; raise OSError where the system refuses."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with _writing(path) as beside:
        safetensors.torch.save_file(on_cpu, beside, metadata)


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    try:
        with atomic_write_by_library(path) as beside:
            yield beside
    except SafetensorError as error:
        raise refused(error, path) from None


def refused(error: Exception, path: Path) -> OSError:
    """Return what the system said to a library that writes files and wraps it in words of its own."""
    found = re.search(r"\b(?:os error|Error) (\d+)\b", str(error))
    number = int(found[1]) if found else errno.EIO
    return OSError(number, os.strerror(number), str(path))
