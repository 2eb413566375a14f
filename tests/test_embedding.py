"""The store: nothing twice, nothing shifted, nothing that looks finished and is not."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from engage_cli.core.config import EncoderConfig, PrepareConfig
from engage_cli.core.dataset import Dataset
from engage_cli.core.errors import EngageError
from engage_cli.core.features import PLACEHOLDER_KEY, LiveBlocks, content_keys
from engage_cli.core.posts import texts_of
from engage_cli.steps.embed import embed, make_encoder, open_stores, stored_blocks
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
    live = {side: make_encoder(side, encoders) for side in ("vision", "text")}
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
    store = open_stores(dataset, encoders, ["image"])["vision"]
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
    store = open_stores(data, encoders, ["title"])["text"]
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
    whole = shard.read_bytes()
    shard.write_bytes(whole[:100])
    with pytest.raises(
        EngageError, match=r"shard-00000\.safetensors is damaged .* delete it, then run `engage embed` again"
    ):
        embed(data, encoders, blocks=("title",))
    shard.unlink()
    embed(data, encoders, blocks=("title",))
    assert shard.read_bytes() == whole
