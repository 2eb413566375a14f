"""Images that lie in several archives, or in a column of the table itself: written into the data folder, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from engage_cli.data.dataset import COVERS
from engage_cli.data.importers import Packed
from engage_cli.images.archives import unpack
from engage_cli.images.decode import find_by_stem
from engage_cli.io.files import atomic_write, read_json, write_json
from engage_cli.io.own_folders import own_data
from engage_cli.progress.reporters import Reporter
from engage_cli.steps.prepare._fetch_images import fetch_images

ROWS = 256  # that are read at once
DONE = ".written.json"  # written last: of which table the images beside it are
SIGNS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp", b"II*\0": ".tif",
         b"MM\0*": ".tif"}  # fmt: skip


class Placed(NamedTuple):
    """Where images lie now."""

    root: Path
    names: list[str]  # of each post's image; "" where it has none
    refused: dict[str, int]  # images that could not be fetched, by reason
    problems: list[str]  # why each post has none, where that is known; "" where it has one


def place_packed(
    packed: Packed, posts: pd.DataFrame, source: str, folder: Path, reporter: Reporter, *, allow_private: bool = False
) -> Placed:
    """Write the images of these posts into the data folder."""
    place = own_data(folder).place(COVERS, source)
    if packed.table is not None:
        rows = posts["source_row"].to_numpy()
        return Placed(place, _write_images(packed.table, packed.column, rows, place, reporter), {}, [])
    if packed.addresses:
        places = (posts["source_row"] - 1).tolist()
        fetched, failed = fetch_images(
            [packed.addresses[at] for at in places], place, allow_private=allow_private, reporter=reporter
        )
        problems = [failed.get(packed.addresses[at], "") for at in places]
        return Placed(place, fetched, dict(Counter(filter(None, problems))), problems)
    names = posts["image"].tolist()
    taken: dict[str, str] = {}
    refused: dict[str, int] = {}
    with reporter.stage(f"unpacking {len(packed.archives):,} archives", sum(name != "" for name in names)) as stage:
        for archive in packed.archives:
            prefix = f"{archive.stem}/"
            wanted = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
            for reason, num in unpack(archive, wanted, place / archive.stem, stage.advance).items():
                refused[reason] = refused.get(reason, 0) + num
            taken |= {prefix + stem: prefix + name for stem, name in find_by_stem(place / archive.stem).items()}
    return Placed(place, [taken.get(name, name) for name in names], refused, [])


def _write_images(table: Path, column: str, rows: Sequence[int] | np.ndarray, place: Path, reporter: Reporter) -> list[str]:
    """Write each wanted row's image as a file called after the row; what an earlier call wrote of this table stays."""
    file = pq.ParquetFile(table)
    stat = table.stat()
    origin = {"table": str(table.resolve()), "size": stat.st_size, "mtime": stat.st_mtime_ns, "column": column}
    wanted, found, start = {int(row) for row in rows}, {}, 0
    is_done = (place / DONE).is_file() and read_json(place / DONE)["origin"] == origin
    place.mkdir(parents=True, exist_ok=True)
    with reporter.stage(f"writing images of {table.name}", len(wanted)) as stage:
        for batch in file.iter_batches(batch_size=ROWS, columns=[column]):
            for number, cell in enumerate(batch.column(0).to_pylist(), start=start + 1):
                data = cell.get("bytes") if isinstance(cell, dict) else cell
                if number in wanted and data:
                    name = f"row{number:07d}{_suffix(data)}"
                    if not is_done or not (place / name).is_file():
                        with atomic_write(place / name) as beside:
                            beside.write_bytes(data)
                    found[number] = name
                    stage.advance()
            start += batch.num_rows
    write_json(place / DONE, {"origin": origin})
    return [found.get(int(row), "") for row in rows]


def _suffix(data: bytes) -> str:
    return next((suffix for sign, suffix in SIGNS.items() if data.startswith(sign)), "")
