"""A lock is one process's at a time, frees itself, and follows no link."""

from __future__ import annotations

from pathlib import Path

import pytest

from engage_cli.errors import EngageError
from engage_cli.io.locks import hold_lock, try_lock


def test_one_holder_at_a_time_and_the_next_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / ".lock"
    with hold_lock(path, taken="not yet"):
        with try_lock(path) as is_ours:
            assert not is_ours
        with pytest.raises(EngageError, match="another process is busy"), hold_lock(path, taken="another process is busy"):
            raise AssertionError
    with try_lock(path) as is_ours:
        assert is_ours


def test_an_error_within_frees_the_lock_and_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="within"), hold_lock(tmp_path / ".lock", taken="busy"):
        raise ValueError("within")
    with try_lock(tmp_path / ".lock") as is_ours:
        assert is_ours


def test_a_lock_that_is_not_left_is_removed_by_its_holder_alone(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with hold_lock(path, taken="busy", leave=False):
        with try_lock(path, leave=False) as is_ours:
            assert not is_ours
        assert path.exists()
    assert not path.exists()


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngageError, match="link"), hold_lock(tmp_path / ".lock", taken="busy"):
        raise AssertionError
    assert not (tmp_path / "elsewhere").exists()
