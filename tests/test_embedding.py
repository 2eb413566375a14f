"""The store: nothing twice, nothing shifted, nothing that looks finished and is not."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engage_cli.core.config import EncoderConfig, PrepareConfig
from engage_cli.core.dataset import Dataset, load_dataset
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.errors import EngageError
from engage_cli.core.features import PLACEHOLDER_KEY, FeatureStore, LiveBlocks, content_keys
from engage_cli.core.posts import texts_of
from engage_cli.steps import embed as step
from engage_cli.steps.embed import embed, stored_blocks
from engage_cli.steps.import_posts import Source
from engage_cli.steps.prepare import prepare


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_row_has_its_own_vector(dataset: Dataset, encoders: EncoderConfig) -> None:
    encoders = dataclasses.replace(encoders, precision="fp32")  # in bf16 a batch's shape shows in the last digits
    embed(dataset, encoders)
    posts = dataset.posts
    stored = stored_blocks(dataset, encoders, ("image", "title", "context", "text")).blocks(
        posts, ("image", "title", "context")
    )
    live = {
        side: Encoder(side, name, precision="fp32") for side, name in (("vision", encoders.vision), ("text", encoders.text))
    }
    files = []
    for name, problem in zip(posts["image"], posts["image_problem"], strict=True):
        files.append(None if problem else (dataset.images_of("pixelrec") / name).read_bytes())
    fresh = LiveBlocks(live, files).blocks(posts, ("image", "title", "context"))
    for name in stored:
        np.testing.assert_allclose(stored[name].values, fresh[name].values, atol=2e-5)
        np.testing.assert_array_equal(stored[name].mask, fresh[name].mask)
    assert stored["title"].mask[:, 0].tolist() == [bool(title) for title in texts_of(posts, "title")]


def test_bad_images_get_the_placeholder_and_a_row(dataset: Dataset, encoders: EncoderConfig) -> None:
    (summary, _) = embed(dataset, encoders)
    lines = (summary.folder / "problems.csv").read_text().splitlines()
    assert lines[0] == "id,image,problem"
    assert sorted(line.partition(",")[2].partition(",")[2] for line in lines[1:]) == [
        "no such file",
        "truncated",
    ]
    store = FeatureStore(dataset.features_dir, Encoder("vision", encoders.vision))
    bad = dataset.posts[dataset.posts["id"].isin([line.partition(",")[0] for line in lines[1:]])]
    block = store.gather(content_keys(bad, "image"))
    assert not block.mask.any()
    np.testing.assert_allclose(block.values[:, 0], store.gather([PLACEHOLDER_KEY] * 2).values[:, 0], atol=1e-6)


def test_second_run_embeds_nothing_and_leaves_every_byte(dataset: Dataset, encoders: EncoderConfig) -> None:
    folders = [summary.folder for summary in embed(dataset, encoders)]
    before = [files_of(folder) for folder in folders]
    assert [summary.added for summary in embed(dataset, encoders)] == [0, 0]
    assert [files_of(folder) for folder in folders] == before


def test_only_new_contents_are_embedded(dataset: Dataset, encoders: EncoderConfig, tmp_path: Path) -> None:
    embed(dataset, encoders)
    changed = Dataset(dataset.folder, dataset.meta)
    posts = dataset.posts.copy()
    posts.loc[0, "title"] = "a title that nobody had"
    posts.loc[1, "id"] = "renamed"
    changed.__dict__["posts"] = posts
    vision, text = embed(changed, encoders, blocks=("image", "title"))
    assert (vision.added, text.added) == (0, 1)


def test_missing_and_finished_are_told_apart(pixelrec: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=pixelrec)]).dataset
    store = FeatureStore(data.features_dir, Encoder("text", encoders.text))
    with pytest.raises(EngageError, match=r"lacks .* vectors; run `engage embed` again"):
        store.gather(content_keys(data.posts, "title"))
    assert not store.manifest.exists()


def test_a_changed_image_is_named(pixelrec: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    copy = tmp_path / "pixelrec"
    shutil.copytree(pixelrec, copy)
    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=copy)]).dataset
    name = data.posts["image"][data.posts["image_problem"] == ""].iloc[0]
    (copy / "cover" / name).write_bytes((copy / "cover" / name).read_bytes() + b"\0")
    with pytest.raises(EngageError, match=f"{name} changed since `engage prepare`"):
        embed(data, encoders, blocks=("image",))


def test_an_image_folder_where_nothing_decodes(tmp_path: Path, encoders: EncoderConfig) -> None:
    (tmp_path / "posts.csv").write_text("id,views,title\n" + "".join(f"p{i},{i},t{i}\n" for i in range(30)))
    (tmp_path / "images").mkdir()
    with pytest.raises(EngageError, match=r"no image in .* can be opened: 30 no such file"):
        prepare(
            PrepareConfig(),
            folder=tmp_path / "d",
            sources=[Source(path=tmp_path / "posts.csv", images=tmp_path / "images")],
        )


def test_a_damaged_shard_is_named(pixelrec: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=pixelrec)]).dataset
    (summary,) = embed(data, encoders, blocks=("title",))
    shard = summary.folder / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(EngageError, match=r"shard-00000\.safetensors is damaged"):
        embed(data, encoders, blocks=("title",))


KILLED = """
import sys
from pathlib import Path
from engage_cli.core.config import EncoderConfig
from engage_cli.core.dataset import load_dataset
from engage_cli.steps import embed as step
step.SHARD_SIZE = {"vision": 16, "text": 16}
step.embed(load_dataset(Path(sys.argv[1])), EncoderConfig(vision=sys.argv[2], text=sys.argv[3]))
"""


def test_kill_minus_9_and_go_on(
    pixelrec: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed as soon as some shards lie there, then given again: byte for byte what one run writes."""
    for name in ("whole", "killed"):
        prepare(PrepareConfig(), folder=tmp_path / name, sources=[Source(path=pixelrec)])
    monkeypatch.setattr(step, "SHARD_SIZE", {"vision": 16, "text": 16})
    whole = [summary.folder for summary in embed(load_dataset(tmp_path / "whole"), encoders)]
    data = load_dataset(tmp_path / "killed")
    command = [sys.executable, "-c", KILLED, str(data.folder), encoders.vision, encoders.text]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while not list(data.features_dir.glob("*/shard-00002.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in data.features_dir.glob("*/shard-*")}
    assert len(kept) >= 3
    if process.returncode == -signal.SIGKILL:
        assert len(list(data.features_dir.glob("*/manifest.json"))) < 2
    killed = [summary.folder for summary in embed(data, encoders)]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    for one, other in zip(whole, killed, strict=True):
        assert files_of(one) == {name: data for name, data in files_of(other).items() if not name.endswith(".tmp")}
