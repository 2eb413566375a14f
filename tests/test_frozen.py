"""A training gives what it always gave: one tiny run of each model against the predictions kept in tests/frozen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import load_dataset
from tests.frozen.make import FILE, OF_THE_WORLD, RUNS, machine, predictions_of, train_more

FROZEN = json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def more(world: Path, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("frozen")
    train_more(world, runs, encoders)
    return runs


@pytest.mark.parametrize("name", RUNS)
def test_a_run_predicts_what_it_always_did(name: str, world: Path, more: Path) -> None:
    run = (world / "runs" if name in OF_THE_WORLD else more) / name
    found = predictions_of(run, load_dataset(world / "data"))
    tolerance = 1e-6 if machine() == FROZEN["machine"] else 1e-3
    np.testing.assert_allclose(found, FROZEN["predictions"][name], rtol=tolerance, atol=tolerance)
