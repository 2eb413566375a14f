"""Images that are read while encoders are trained: those that `prepare` checked, or a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from engage_cli.errors import EngageError
from engage_cli.images.decode import digest_of
from engage_cli.steps.inputs.contents import FileImages


def test_an_image_that_changed_is_a_sentence_and_one_that_is_gone_is_none(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    images = FileImages([(tmp_path, "a.png", digest_of(data)), (tmp_path, "b.png", "0" * 32), None])
    assert [images.read(row) for row in range(3)] == [data, None, None]
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "a.png")
    with pytest.raises(
        EngageError, match=r"a\.png was changed after `engage prepare`; run `engage prepare --overwrite` again"
    ):
        images.read(0)
