"""The store: nothing twice, nothing shifted, nothing that looks finished and is not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.schema import texts_of
from engage_cli.embeddings.live import LiveBlocks, LiveVectors
from engage_cli.embeddings.store import PLACEHOLDER_KEY, FeatureStore, content_keys
from engage_cli.errors import EngageError
from engage_cli.steps.embed import _shards as embed_shards
from engage_cli.steps.embed import embed, make_encoder, open_stores, stored_blocks
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from tests.test_encoders import photo
from tests.test_images import encoded


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
    fresh = LiveBlocks(LiveVectors(live), files).blocks(posts, ("image", "title", "context"))
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


def test_a_store_that_grows_after_it_was_opened_is_read_on(
    dataset: Dataset, encoders: EncoderConfig, tmp_path: Path
) -> None:
    """The first member of an ensemble reads titles; the second, which is opened later, has descriptions embedded too."""
    shutil.copytree(dataset.folder, tmp_path / "data", ignore=shutil.ignore_patterns("features"))
    copy = load_dataset(tmp_path / "data")
    first = stored_blocks(copy, encoders, ["title"])
    second = stored_blocks(copy, encoders, ["title", "text"])
    (title,), both = first.blocks(copy.posts, ["title"]).values(), second.blocks(copy.posts, ["title", "text"])
    np.testing.assert_array_equal(title.values, both["title"].values)
    manifest = second.stores["text"].manifest
    assert json.loads(manifest.read_text())["blocks"] == ["text", "title"]
    manifest.unlink()  # a command was killed before it wrote it: all vectors are there
    for block in ("title", "text"):
        stored_blocks(copy, encoders, [block])
    assert json.loads(manifest.read_text())["blocks"] == ["text", "title"]
    assert first.blocks(copy.posts, ["text"])["text"].mask.any()


def test_a_data_folder_takes_new_posts_in_and_embeds_these_alone(
    dataset: Dataset, encoders: EncoderConfig, tmp_path: Path
) -> None:
    """Prepared again from the old table and a new one: split and targets are made anew, and old vectors stay."""
    columns = ["id", "image", "title", "views", "likes", "comments"]
    posts = dataset.posts.loc[dataset.posts["image_problem"] == "", columns].head(60)
    images = dataset.images_of("pixelrec")
    tables = [tmp_path / "old.csv", tmp_path / "new.csv"]
    for table, some in zip(tables, (posts.head(45), posts.tail(15)), strict=True):
        some.to_csv(table, index=False)

    def prepared(*some: Path) -> Dataset:
        sources = [Source(path=table, images=images) for table in some]
        return prepare(PrepareConfig(), folder=tmp_path / "data", sources=sources, overwrite=True).dataset

    old = prepared(tables[0])
    before = {summary.side: files_of(summary.folder) for summary in embed(old, encoders)}
    known = {block: set(content_keys(old.posts, block)) for block in ("image", "title", "context")}
    joined = prepared(*tables)
    assert (len(old.posts), len(joined.posts)) == (45, 60)
    added = {summary.side: summary for summary in embed(joined, encoders)}
    new = {block: set(content_keys(joined.posts, block)) - known[block] - {""} for block in known}
    assert added["vision"].added == len(new["image"]) > 0
    assert added["text"].added == len((new["title"] | new["context"]) - known["title"] - known["context"]) > 0
    for side, files in before.items():
        now = files_of(added[side].folder)
        assert {name: now[name] for name in files if name.startswith("shard")} == {
            name: content for name, content in files.items() if name.startswith("shard")
        }


def test_what_a_killed_worker_left_half_written_is_gone_when_the_store_is_finished(
    pixelrec: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours are called .*.tmp, those of safetensors .tmp*; a worker dies after `begin` has looked."""
    write = FeatureStore.write

    def write_and_die_once(store: FeatureStore, *arguments: object) -> None:
        write(store, *arguments)
        (store.folder / ".shard-00007.safetensors.4711.tmp").touch()
        (store.folder / ".tmpZwxHW5").touch()

    monkeypatch.setattr(FeatureStore, "write", write_and_die_once)
    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=pixelrec)]).dataset
    (summary,) = embed(data, encoders, blocks=["title"])
    assert not [path.name for path in summary.folder.iterdir() if path.name.startswith(".")]


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
    with pytest.raises(EngageError, match=r"shard-00000\.safetensors is damaged .*; run `engage embed` again"):
        stored_blocks(data, encoders, ("title",))
    embed(data, encoders, blocks=("title",))
    assert shard.read_bytes() == whole


def test_new_renamed_and_changed_posts(tmp_path: Path, encoders: EncoderConfig) -> None:
    """Ten new posts cost ten vectors a side, an image under another name none, a changed title one text."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(50):
        (images / f"p{number}.png").write_bytes(encoded(photo(40, 40, number)))

    def embedded(rows: list[tuple[str, str, str]]) -> list[int]:
        table = "id,image,title,views\n" + "".join(
            f"{id},{image},{title},{i}\n" for i, (id, image, title) in enumerate(rows)
        )
        (tmp_path / "posts.csv").write_text(table)
        source = Source(path=tmp_path / "posts.csv", images=images)
        data = prepare(PrepareConfig(split="random"), folder=tmp_path / "data", sources=[source], overwrite=True).dataset
        summaries = embed(data, encoders, blocks=("image", "title"))
        manifests = [json.loads((summary.folder / "manifest.json").read_text()) for summary in summaries]
        assert [manifest["data"] for manifest in manifests] == [data.fingerprint] * 2
        return [summary.added for summary in summaries]

    rows = [(f"p{number}", f"p{number}.png", f"title {number}") for number in range(50)]
    assert embedded(rows[:40]) == [40, 40]
    assert embedded(rows) == [10, 10]
    (images / "p7.png").rename(images / "other.png")
    rows[7] = ("p7", "other.png", "title 7")
    assert embedded(rows) == [0, 0]
    rows[3] = ("p3", "p3.png", "a better title")
    assert embedded(rows) == [0, 1]
    assert embedded([(f"again{id}", image, title) for id, image, title in rows]) == [0, 0]


def test_kept_tokens_lie_beside_the_pooled_vector(dataset: Dataset, checkpoints: dict[str, str]) -> None:
    """Masked words and regions of every post, and the same pooled vectors as without them."""
    plain = EncoderConfig(vision=checkpoints["vit"], text=checkpoints["bert"], precision="fp32", dtype="fp32")
    kept = dataclasses.replace(plain, tokens=4)
    posts, names = dataset.posts, ("image", "title")
    without = stored_blocks(dataset, plain, names).blocks(posts, names)
    found = stored_blocks(dataset, kept, names).blocks(posts, names)
    for name in names:
        assert found[name].values.shape == (len(posts), 4, 32)
        np.testing.assert_allclose(found[name].pooled, without[name].pooled, atol=1e-5)
        np.testing.assert_array_equal(found[name].mask.any(axis=1), without[name].mask[:, 0])
    lengths = found["title"].mask.sum(axis=1)
    assert set(lengths.tolist()) <= {0, 1, 2, 3, 4}
    assert not found["title"].values[~found["title"].mask].any()
    assert found["image"].mask[found["image"].mask.any(axis=1)].all()
    files = [None if bad else (dataset.images_of("pixelrec") / name).read_bytes()
             for name, bad in zip(posts["image"], posts["image_problem"], strict=True)]  # fmt: skip
    live = LiveBlocks(LiveVectors({side: make_encoder(side, kept) for side in ("vision", "text")}), files).blocks(
        posts, names
    )
    for name in names:
        np.testing.assert_allclose(live[name].values, found[name].values, atol=2e-5)
        np.testing.assert_allclose(live[name].pooled, found[name].pooled, atol=2e-5)
        np.testing.assert_array_equal(live[name].mask, found[name].mask)


def test_gaps_between_shards_are_filled_with_the_same_bytes(
    pixelrec: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a dead rank leaves them."""
    monkeypatch.setattr(embed_shards, "SHARD_SIZE", {"vision": 16, "text": 16})
    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=pixelrec)]).dataset
    (summary,) = embed(data, encoders, blocks=("title",))
    whole = files_of(summary.folder)
    for number in (1, 2, 5):
        (summary.folder / f"shard-{number:05d}.safetensors").unlink()
    (summary.folder / ".shard-00009.safetensors.123.tmp").write_bytes(b"left by a killed writer")
    assert embed(data, encoders, blocks=("title",))[0].added == 48
    assert files_of(summary.folder) == whole


def test_counts_of_what_was_lost(tmp_path: Path, encoders: EncoderConfig) -> None:
    titles = ["cat", "pizza " * 100, "the cat of zebra", *(f"best {word}" for word in ["cat", "car", "food"] * 9)]
    (tmp_path / "posts.csv").write_text("id,title,views\n" + "".join(f"p{i},{t},{i}\n" for i, t in enumerate(titles)))
    source = Source(path=tmp_path / "posts.csv")
    config = PrepareConfig(split="random", dedupe=False)
    data = prepare(config, folder=tmp_path / "d", sources=[source], with_images=False).dataset
    for _ in range(2):  # the second call reads them from the store
        (summary,) = embed(data, encoders, blocks=("title",))
        assert (summary.cut_texts, summary.unknown_texts, summary.vectors) == (1, 1, 6)
