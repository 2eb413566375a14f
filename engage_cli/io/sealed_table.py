"""Tables that can be found out again, as what was measured of each image: kept with a hash of their own content.

What is damaged, of another kind or of another version counts as absent, and is found out anew: never is it believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import xxhash
from pyarrow import parquet

from engage_cli.io.files import atomic_write

SEAL, KIND = b"engage.seal", b"engage.kind"
LARGEST = 8 << 30  # bytes
Check = Callable[[pd.Series], "pd.Series | np.ndarray"]  # (n,) bool: whether each value may stand there


def write_sealed(path: Path, table: pd.DataFrame, *, kind: str) -> None:
    """Write a table atomically; `kind` names what it holds, and its version."""
    found = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(
        {KIND: kind.encode(), SEAL: _seal(table, kind)}
    )
    with atomic_write(path) as beside:
        parquet.write_table(found, beside, compression="zstd")


def read_sealed(path: Path, *, kind: str, columns: Mapping[str, Check]) -> pd.DataFrame | None:
    """Return a table with exactly these columns, all of whose values pass their checks; None for anything else."""
    try:
        if not path.is_file() or path.is_symlink() or path.stat().st_size > LARGEST:
            return None
        with parquet.ParquetFile(path) as file:
            if file.schema_arrow.names != list(columns):
                return None
            seal = (file.schema_arrow.metadata or {}).get(SEAL)
            table = file.read().to_pandas(ignore_metadata=True)
        if seal != _seal(table, kind) or not all(np.asarray(check(table[name])).all() for name, check in columns.items()):
            return None
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return None
    return table


def is_intact(path: Path) -> bool:
    """Return whether a file is a sealed table, of whatever kind, as it was written."""
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return False
        with parquet.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            table = file.read().to_pandas(ignore_metadata=True)
        return bool(metadata.get(SEAL) == _seal(table, metadata.get(KIND, b"").decode()))
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return False


def _seal(table: pd.DataFrame, kind: str) -> bytes:
    """Return the hash of a table's kind, columns, dtypes and values."""
    digest = xxhash.xxh3_128(kind.encode())
    for name in table.columns:
        values = table[name].to_numpy()
        digest.update(f"{name} {len(values)}".encode())
        if values.dtype == object:
            digest.update(pd.util.hash_array(values, categorize=False).tobytes())
        else:
            digest.update(values.dtype.str.encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest().encode()
