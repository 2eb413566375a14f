"""Data folders and feature stores that were damaged or changed: the same answer, or one sentence that names the file.

By default a few damages of each kind. ENGAGE_FAULTS=all tries 500 flipped bits, and 300 changes of each record, each with
the checksum of what was written first and with one that fits.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.dataset_meta import POSTS_FILE, fingerprint_of, write_meta
from engage_cli.embeddings.manifest import MANIFEST, OWN_HASH, hash_of_tensors, read_manifest, write_manifest
from engage_cli.errors import EngageError
from engage_cli.io.records import CHECKSUM, file_hash, hash_files
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.doctor.folders import examine_data
from engage_cli.steps.embed import embed, stored_blocks
from engage_cli.steps.inputs._measure_images import MeasuredImages
from tests.damage import flip, write_checked

BLOCKS = ("image", "title")
ALL = os.environ.get("ENGAGE_FAULTS") == "all"
NUM_FLIPS = 500 if ALL else 8
NUM_CHANGES = 300 if ALL else 20  # of each record, at most
MARKERS = ("dataset.json", MANIFEST)
# Of no answer: pages for people, and marks whose existence alone counts.
UNREAD = ("quality.html", "problems.csv", ".engage", ".lock")


class World(NamedTuple):
    """A data folder with its stores and measured images, and what is read of it."""

    folder: Path
    encoders: EncoderConfig
    answer: str


@pytest.fixture(scope="module")
def made(dataset: Dataset, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("damaged") / "data"
    shutil.copytree(dataset.folder, folder, ignore=shutil.ignore_patterns("features"))
    encoders = dataclasses.replace(encoders, precision="fp32")
    embed(load_dataset(folder), encoders, blocks=BLOCKS)
    images = MeasuredImages(load_dataset(folder))
    images.measure(load_dataset(folder).posts, SilentReporter())
    return World(folder, encoders, answer_of(folder, encoders))


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    return made._replace(folder=Path(shutil.copytree(made.folder, tmp_path / "data")))


def answer_of(folder: Path, encoders: EncoderConfig) -> str:
    """Return a hash of all that training and evaluation read of a data folder."""
    dataset = load_dataset(folder)
    posts = dataset.posts
    digest = hashlib.sha256(posts.to_csv().encode("utf-8", "surrogatepass"))
    digest.update(json.dumps([dataset.fingerprint, dataset.marks, dataset.source_names]).encode())
    for target in map(dataset.target, dataset.meta.targets):
        digest.update(np.ascontiguousarray(target.percentile(target.score(posts))).tobytes())
        digest.update(np.concatenate([dataset.rows(part, target) for part in ("train", "validation", "test")]).tobytes())
    for block in stored_blocks(dataset, encoders, BLOCKS).blocks(posts, BLOCKS).values():
        for array in block:
            digest.update(np.ascontiguousarray(array).tobytes())
    images = MeasuredImages(dataset)
    images.measure(posts, SilentReporter())
    digest.update(images.of(posts).tobytes())
    return digest.hexdigest()


def same_or_sentence(world: World, path: Path) -> str | None:
    """Read the damaged folder; return the sentence, which names the file, or None where the answer is the same."""
    found, sentence = answer_or_sentence(world)
    if sentence is None:
        assert found == world.answer
    else:
        assert path.name in sentence
    return sentence


def answer_or_sentence(world: World) -> tuple[str, str | None]:
    try:
        return answer_of(world.folder, world.encoders), None
    except EngageError as error:
        return "", str(error)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in UNREAD and path.stat().st_size)


def test_flipped_bits(world: World) -> None:
    rng = np.random.default_rng(int(os.environ.get("ENGAGE_SEED", "0")))
    files = files_of(world.folder)
    assert {path.name for path in files} >= {POSTS_FILE, "dataset.json", MANIFEST, "shard-00000.safetensors"}
    for number in range(NUM_FLIPS):
        path = files[number % len(files)]
        place, bit = int(rng.integers(path.stat().st_size)), int(rng.integers(8))
        manifests = {marker: marker.read_bytes() for marker in world.folder.rglob(MANIFEST)}
        shards = {shard: shard.read_bytes() for shard in world.folder.rglob("shard-*.safetensors")}
        before = flip(path, place, bit)
        same_or_sentence(world, path)
        path.write_bytes(before)
        for one, content in {**manifests, **shards}.items():  # what was mended lies there as it was
            assert not one.exists() or one.read_bytes() == content or one == path
            one.write_bytes(content)


@pytest.mark.parametrize("name", [POSTS_FILE, "dataset.json", MANIFEST, "shard-00000.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "empty", "folder", "link", "garbage"])
def test_files_that_are_no_files_of_ours(world: World, name: str, damage: str) -> None:
    path = next(world.folder.rglob(name))
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "link":
        path.with_name("elsewhere").write_bytes(whole[: len(whole) // 2])
        path.symlink_to("elsewhere")
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "garbage": bytes(range(256)) * 40}[damage])
    assert same_or_sentence(world, path) is not None
    state = examine_data(world.folder)
    is_store = path.parent != world.folder
    found = next(store for store in state.stores if store.folder == path.parent.name) if is_store else state
    assert found.state in ("damaged", "none", "not finished")


def changes(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field of a record absent, of other types and out of its range, and one that nobody knows."""
    yield "unknown", {**content, "unknown": 1}
    for keys in _places(content):
        for value in (None, -1, 0.5, 1e300, "", "../x", [], {}, True, "gone"):
            changed = copy.deepcopy(content)
            holder = changed
            for key in keys[:-1]:
                holder = holder[key]
            if holder[keys[-1]] == value and type(holder[keys[-1]]) is type(value):
                continue
            if value == "gone":
                del holder[keys[-1]]
            else:
                holder[keys[-1]] = value
            yield f"{'.'.join(map(str, keys))} = {value!r}", changed


def _places(value: Any, *before: Any) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in items:
        if key not in ("format", CHECKSUM):
            yield (*before, key)
            yield from _places(one, *before, key)


@pytest.mark.parametrize("marker", MARKERS)
def test_changed_fields(world: World, marker: str) -> None:
    """With the checksum of what was written first, and with one that fits. The latter can change what is only told."""
    path = next(world.folder.rglob(marker))
    whole = path.read_text()
    all_changes = list(changes(json.loads(whole)))
    rng = np.random.default_rng(0)
    some = rng.permutation(len(all_changes))[:NUM_CHANGES]
    for number in some.tolist():
        what, content = all_changes[number]
        path.write_text(json.dumps(content))
        assert same_or_sentence(world, path) is not None, what
        write_checked(path, content)
        _, sentence = answer_or_sentence(world)
        assert sentence is None or any(name in sentence for name in (path.name, POSTS_FILE, "shard-")), (what, sentence)
        assert sentence is None or "\n" not in sentence, what
    path.write_text(whole)


def test_a_format_of_another_version_is_a_sentence(world: World) -> None:
    for marker, then in (("dataset.json", "engage prepare --overwrite"), (MANIFEST, "engage embed")):
        path = next(world.folder.rglob(marker))
        whole = path.read_text()
        content = json.loads(whole)
        write_checked(path, {**content, "format": content["format"][:-1] + "9"})
        sentence = same_or_sentence(world, path)
        assert sentence is not None
        assert "9'" in sentence
        assert then in sentence
        path.write_text(whole)


def test_another_splits_posts_are_refused(world: World) -> None:
    posts = load_dataset(world.folder).posts
    parts = posts["split"].replace({"train": "test", "test": "train"})
    posts.assign(split=parts).to_parquet(world.folder / POSTS_FILE, index=False)
    with pytest.raises(EngageError, match=r"posts\.parquet was changed or damaged: its hash differs"):
        answer_of(world.folder, world.encoders)


BAD_POSTS = {
    "split": ("Train", r"the column split has 'Train' in row 4, which is none of train, validation, test"),
    "views": (-1.0, r"the column views has '-1.0' in row 4, which is not between 0 and inf"),
    "likes": (np.inf, r"the column likes has 'inf' in row 4"),
    "image_hash": ("../../etc", r"the column image_hash has '../../etc' in row 4, which is not a hash"),
    "source": ("elsewhere", r"the column source has 'elsewhere' in row 4, which is not a source"),
    "title": (None, r"the column title has .* in row 4, which is not a text"),
    "source_row": (0, r"the column source_row has '0' in row 4"),
}


def with_posts(world: World, posts: pd.DataFrame) -> None:
    """Write posts, and a dataset.json that fits them, as somebody would who means harm."""
    meta = load_dataset(world.folder).meta
    posts.to_parquet(world.folder / POSTS_FILE, index=False)
    files = hash_files(world.folder, [POSTS_FILE])
    write_meta(world.folder, dataclasses.replace(meta, files=files, fingerprint=fingerprint_of(files, meta.targets)))


@pytest.mark.parametrize("column", BAD_POSTS)
def test_posts_out_of_range_are_named(world: World, column: str) -> None:
    posts, (value, sentence) = load_dataset(world.folder).posts.copy(), BAD_POSTS[column]
    posts[column] = posts[column].astype(object)
    posts.loc[3, column] = value
    with_posts(world, posts.infer_objects() if column in ("views", "likes", "source_row") else posts)
    with pytest.raises(EngageError, match=sentence):
        _ = load_dataset(world.folder).posts


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda posts: posts.drop(columns="group"), "its columns are not those that dataset.json names"),
        (lambda posts: posts.assign(evil=1), r"its columns are not those .* \(evil\)"),
        (lambda posts: posts.assign(views=posts["views"].astype(str)), "the column views is .*string, not number"),
        (lambda posts: posts.assign(title=1.0), "the column title is double, not text"),
        (lambda posts: posts.head(9), r"holds 9 posts, but dataset\.json says"),
        (lambda posts: posts.assign(split="train"), r"train posts, and dataset\.json says"),
    ],
)
def test_a_table_of_another_shape_is_named(world: World, change: Any, sentence: str) -> None:
    with_posts(world, change(load_dataset(world.folder).posts))
    with pytest.raises(EngageError, match=sentence):
        _ = load_dataset(world.folder).posts


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pooled": np.full((2, 32), np.nan, np.float16)}, "pooled holds values that are not numbers"),
        ({"pooled": np.zeros((2, 32), np.float32)}, r"pooled is float32 \(2, 32\), which does not fit"),
        ({"decoded": np.full(2, 7, np.uint8)}, "decoded is neither 0 nor 1"),
        ({"num_cut": np.full(2, -1, np.int32)}, "num_cut is negative"),
        ({"more": np.zeros(2, np.int32)}, "the tensor more is missing or unknown"),
    ],
)
def test_arrays_that_do_not_fit_are_named(world: World, change: dict[str, np.ndarray], sentence: str) -> None:
    """In a shard whose hash and manifest fit, as somebody would write who means harm."""
    from safetensors.numpy import load_file, save_file

    shard = next(world.folder.glob("features/*text*/shard-00000.safetensors"))
    tensors = load_file(shard)
    for name, value in change.items():
        tensors[name] = np.resize(value, (len(tensors["keys"]), *value.shape[1:]))
    tensors[OWN_HASH] = hash_of_tensors(tensors)
    save_file(tensors, shard)
    manifest = read_manifest(shard.parent)
    write_manifest(shard.parent, dataclasses.replace(manifest, shards={shard.name: file_hash(shard)}))
    with pytest.raises(EngageError, match=sentence.replace("(2, 32)", ".*").replace(r"\(2, 32\)", ".*")):
        answer_of(world.folder, world.encoders)
    embed(load_dataset(world.folder), world.encoders, blocks=BLOCKS)
    assert answer_of(world.folder, world.encoders) == world.answer


def test_embedding_again_mends_what_is_damaged(world: World) -> None:
    """And nothing else is embedded again; a shard of nobody is taken away."""
    shards = sorted(world.folder.rglob("shard-*.safetensors"))
    whole = {path: path.read_bytes() for path in [*shards, *world.folder.rglob(MANIFEST)]}
    flip(shards[0], len(whole[shards[0]]) - 3, 1)
    foreign = shards[1].with_name("shard-00077.safetensors")
    shutil.copy(shards[1], foreign)
    added = [summary.added for summary in embed(load_dataset(world.folder), world.encoders, blocks=BLOCKS)]
    assert sorted(added)[0] == 0
    assert sum(added) > 0
    assert not foreign.exists()
    assert {path: path.read_bytes() for path in whole} == whole
    assert answer_of(world.folder, world.encoders) == world.answer


def test_a_killed_writers_shard_is_verified_too(world: World) -> None:
    """Without a manifest a shard is held against the hash that it carries."""
    shard = next(world.folder.glob("features/*text*/shard-00000.safetensors"))
    whole = shard.read_bytes()
    (shard.parent / MANIFEST).unlink()
    flip(shard, len(whole) - 3, 1)
    assert answer_of(world.folder, world.encoders) == world.answer
    assert shard.read_bytes() == whole
