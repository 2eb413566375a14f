"""What a run remembers of the data and the encoders that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from engage_cli.core.dataset import Dataset
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.run_records import DataOf, EncoderRecord, Kind


def data_of(dataset: Dataset) -> DataOf:
    return DataOf(fingerprint=dataset.fingerprint, split=dataset.meta.split.method)


def encoders_of(encoders: Mapping[str, Encoder]) -> dict[str, EncoderRecord]:
    """Side -> record."""
    return {side: EncoderRecord(name=one.checkpoint.name, **one.record) for side, one in encoders.items()}


def kind_of(kind: str) -> Kind:
    """Narrow what a command has checked."""
    return cast("Kind", kind)
