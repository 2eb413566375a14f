"""Arrays from files: names, dtypes, shapes and numbers are checked before a compiled library sees them.

Of .npz files only what numpy.savez writes is read: nothing compressed, nothing pickled.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engage_cli.errors import EngageError

WIDEST_SIDE = 1 << 40
_BROKEN = (OSError, ValueError, LookupError, TypeError, EOFError, OverflowError, MemoryError, NotImplementedError)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What an array must be. In a shape a word is any size, the same wherever it stands in the file."""

    dtype: str
    shape: tuple[int | str, ...]
    low: float | None = None
    high: float | None = None
    has_gaps: bool = False  # NaN stands for what is unknown; infinity never
    is_rising: bool = False  # along the last axis
    is_optional: bool = False


Arrays = dict[str, np.ndarray]


def load_arrays(path: Path, schema: Mapping[str, Spec], *, again: str, sizes: Mapping[str, int] | None = None) -> Arrays:
    """Read all arrays of a .safetensors or .npz file, which must be exactly those of the schema.

    `sizes` are words whose sizes are known. Raises EngageError that names file and array.
    """
    arrays, known = _read(path, again), dict(sizes or {})
    for name in arrays:
        if name not in schema:
            raise EngageError(f"{path}: the array '{name[:80]}' does not belong in this file; {again}")
    for name, spec in schema.items():
        if name in arrays:
            if problem := _problem_of(arrays[name], spec, known):
                raise EngageError(f"{path}: {name}: {problem}; {again}")
        elif not spec.is_optional:
            raise EngageError(f"{path}: the array '{name}' is missing; {again}")
    return arrays


def sparse_rows(arrays: Mapping[str, np.ndarray], name: str, *, num: int, width: int) -> Any:
    """Return NAME_data, NAME_indices and NAME_indptr as a (num, width) CSR matrix; raise ValueError where they are none."""
    from scipy import sparse

    data, indices, indptr = (arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    if len(indptr) != num + 1 or len(data) != len(indices):
        raise ValueError(f"{name}: its parts do not fit together")
    if indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
        raise ValueError(f"{name}: its rows do not begin and end where its numbers do")
    if len(indices) and (indices.min() < 0 or indices.max() >= width):
        raise ValueError(f"{name}: a column lies outside of its {width:,} columns")
    matrix = sparse.csr_matrix((data, indices, indptr), shape=(num, width))
    matrix.check_format(full_check=True)
    return matrix


def sparse_specs(name: str) -> dict[str, Spec]:
    """Return what `sparse_rows` takes."""
    return {
        f"{name}_data": Spec(dtype="float32", shape=(f"numbers of {name}",)),
        f"{name}_indices": Spec(dtype="int32", shape=(f"numbers of {name}",), low=0),
        f"{name}_indptr": Spec(dtype="int32", shape=(f"ends of {name}",), low=0),
    }


def _problem_of(array: np.ndarray, spec: Spec, sizes: dict[str, int]) -> str:
    """Return what is wrong with an array, "" where nothing is; learn the sizes of words."""
    if array.dtype.name != spec.dtype:
        return f"its numbers are {array.dtype.name}, not {spec.dtype}"
    wanted = tuple(sizes.setdefault(side, size) if isinstance(side, str) else side for side, size in _pairs(array, spec))
    if array.shape != wanted or array.ndim != len(spec.shape):
        return f"its shape is {array.shape}, which does not fit"
    if not array.size:
        return ""
    if array.dtype.kind == "f":
        bad = np.isinf(array) if spec.has_gaps else ~np.isfinite(array)
        if bad.any():
            return f"a number is {array[bad].flat[0]}"
        if spec.has_gaps and np.isnan(array).all():
            return ""
    if spec.low is not None and (least := _reduced(np.fmin, array)) < spec.low:
        return f"the number {least} is less than {spec.low:g}"
    if spec.high is not None and (most := _reduced(np.fmax, array)) > spec.high:
        return f"the number {most} is more than {spec.high:g}"
    if spec.is_rising and (np.diff(array, axis=-1) < 0).any():
        return "its numbers do not rise"
    return ""


def _reduced(extreme: np.ufunc, array: np.ndarray) -> Any:
    """Return the least or the most of the known numbers."""
    return extreme.reduce(array, axis=None)


def _pairs(array: np.ndarray, spec: Spec) -> Iterator[tuple[int | str, int]]:
    return zip(spec.shape, array.shape, strict=False)


def _read(path: Path, again: str) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(_read_npz(path)) if path.suffix == ".npz" else load_file(path)
    except (*_BROKEN, SafetensorError, zipfile.BadZipFile) as error:
        raise EngageError(f"{path} is damaged or gone ({_first_line(error)}); {again}") from None


def _read_npz(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or not entry.filename.endswith(".npy"):
                raise ValueError(f"'{entry.filename[:80]}' is not an array that was stored as it is")
            yield entry.filename.removesuffix(".npy"), _read_npy(archive.read(entry))


def _read_npy(content: bytes) -> np.ndarray:
    """Read what numpy.save wrote: its header says no more than there is."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, is_by_columns, dtype = read(file)
    if dtype.hasobject or dtype.kind not in "fiub":
        raise ValueError(f"an array of {dtype}")
    count = 1
    for side in shape:
        if not 0 <= side < WIDEST_SIDE:
            raise ValueError(f"an array of shape {shape}")
        count *= side
    left = content[file.tell() :]
    if len(left) != count * dtype.itemsize:
        raise ValueError("an array's numbers are not as many as its shape says")
    return np.frombuffer(left, dtype).reshape(shape, order="F" if is_by_columns else "C")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
