"""What a run remembers of the data and the encoders that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from engage_cli.config.general import Kind
from engage_cli.data.ages import median_days
from engage_cli.data.dataset import Dataset
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import WrongCallError
from engage_cli.runs.records import DataOf, EncoderRecord

KINDS = ("classes", "value")


def data_of(dataset: Dataset) -> DataOf:
    meta = dataset.meta
    texts = tuple(column for column, missing in meta.missing.items() if missing < meta.rows.kept)
    return DataOf(
        fingerprint=dataset.fingerprint,
        split=meta.split.method,
        table=meta.table,
        texts=texts,
        median_age=median_days(dataset.posts[dataset.posts["split"] == "train"]),
    )


def encoders_of(encoders: Mapping[str, Encoder]) -> dict[str, EncoderRecord]:
    """Side -> record."""
    return {side: EncoderRecord(name=one.checkpoint.name, **one.record) for side, one in encoders.items()}


def parse_kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise WrongCallError(f"unknown --as '{kind}'; give one of: {', '.join(KINDS)}")
    return cast("Kind", kind)
