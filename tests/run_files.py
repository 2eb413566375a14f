"""Changing the files of a run folder as somebody would who knows its formats: with or without new hashes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engage_cli.io.records import checksum, file_hash
from engage_cli.runs.run_folder import MARKER


def change(run: Path, name: str, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a record of a run and make all hashes fit again."""
    content = json.loads((run / name).read_text())
    edit(content)
    write(run / name, content)
    sign(run)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a record with a checksum that fits."""
    content = {key: value for key, value in content.items() if key != "checksum"}
    path.write_text(json.dumps({**content, "checksum": checksum(content)}))


def sign(run: Path) -> None:
    """Make the marker hold the hashes of the files as they are now."""
    marker = json.loads((run / MARKER).read_text())
    marker["files"] = {name: file_hash(run / name) for name in marker["files"]}
    write(run / MARKER, marker)
