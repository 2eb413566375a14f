"""Checkpoints and stores that are damaged, foreign or odd: a sentence, or the right vector, never a traceback."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import resource
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import transformers

from engage_cli.config.general import EncoderConfig, setting_of_side
from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.dataset import Dataset
from engage_cli.embeddings.manifest import OWN_HASH, hash_of_tensors, read_manifest, write_manifest
from engage_cli.embeddings.pipeline import Pipeline
from engage_cli.encoders._checkpoints import find_checkpoint
from engage_cli.encoders.encoder import Encoder
from engage_cli.encoders.text import TextTower
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.images import decode as images_module
from engage_cli.io.records import file_hash
from engage_cli.runtime.distributed import get_rank, get_world_size
from engage_cli.steps.embed import embed, stored_blocks
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from tests import forked
from tests.calls import engage
from tests.test_encoders import TEXTS


def changed(source: str, folder: Path, file: str, **settings: object) -> str:
    """A copy of a checkpoint with other settings in one of its JSON files."""
    shutil.copytree(source, folder)
    path = folder / file
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(before | settings))
    return str(folder)


@pytest.mark.parametrize(
    ("side", "family", "file", "text"),
    [
        ("vision", "vit", "model.safetensors", "cut"),
        ("vision", "vit", "config.json", "{"),
        ("vision", "vit", "config.json", "[]"),
        ("vision", "vit", "preprocessor_config.json", '{"image_processor_type": "ViTImageProcessor", "size": "x"}'),
        ("text", "roberta", "1_Pooling/config.json", "{"),
        ("text", "bert", "tokenizer.json", "{"),
    ],
)
def test_damaged_files_of_a_checkpoint_are_named(
    side: str, family: str, file: str, text: str, checkpoints: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(checkpoints[family], tmp_path / "copy")
    (tmp_path / "copy" / file).write_text(text)
    with pytest.raises(EngageError, match=r"copy"):
        assert Encoder(side, str(tmp_path / "copy"), precision="fp32").tower


@pytest.mark.parametrize(
    ("side", "family", "file", "settings"),
    [
        ("vision", "vit", "preprocessor_config.json", {"size": {"height": 48, "width": 48}}),
        ("vision", "siglip", "config.json", {"vision_config": {"vision_use_head": False}}),
    ],
)
def test_checkpoints_that_do_not_fit_themselves(
    side: str, family: str, file: str, settings: dict[str, object], checkpoints: dict[str, str], tmp_path: Path
) -> None:
    if file == "config.json":
        config = json.loads((Path(checkpoints[family]) / file).read_text())
        settings = {key: config[key] | value for key, value in settings.items() if isinstance(value, dict)}
    folder = changed(checkpoints[family], tmp_path / "copy", file, **settings)
    with pytest.raises(EngageError, match=rf"does not work as a {side} encoder"):
        assert Encoder(side, folder, precision="fp32").tower


def says_yes(*arguments: str) -> None:
    """Call `engage`, and answer yes to whatever it asks."""
    sys.stdin = io.StringIO("y\n")
    forked.command(*arguments)


def test_code_of_a_checkpoint_is_not_run_nor_asked_about(
    checkpoints: dict[str, str], dataset: Dataset, tmp_path: Path
) -> None:
    auto = {"auto_map": {"AutoModel": "modeling.Evil", "AutoConfig": "modeling.EvilConfig"}, "model_type": "evil"}
    folder = changed(checkpoints["bert"], tmp_path / "copy", "config.json", **auto)
    (tmp_path / "copy" / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    done = forked.run(says_yes, "embed", "--data", dataset.folder, "--text", folder, "--blocks", "title", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("engage: ")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("mode", ["max", "lasttoken"])
def test_poolings_of_sentence_transformers(mode: str, checkpoints: dict[str, str], tmp_path: Path) -> None:
    new = changed(
        checkpoints["bert"], tmp_path / "new", "1_Pooling/config.json", pooling_mode="cls", embedding_dimension=32
    )
    assert Encoder("text", new).pooling == "cls"
    other = changed(checkpoints["bert"], tmp_path / "other", "1_Pooling/config.json", pooling_mode=mode)
    with pytest.raises(EngageError, match=f"texts are pooled by {mode}; give --pool mean or cls"):
        Encoder("text", other)
    assert Encoder("text", other, pool="mean").pooling == "mean"


def test_a_image_encoder_without_class_token_is_averaged(checkpoints: dict[str, str], tmp_path: Path) -> None:
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[1, 1], window_size=4
    )
    model = transformers.SwinModel(config).eval()
    model.save_pretrained(tmp_path)
    shutil.copy(Path(checkpoints["vit"]) / "preprocessor_config.json", tmp_path)
    encoder = Encoder("vision", str(tmp_path), precision="fp32", dtype="fp32")
    assert encoder.pooling == "mean"
    assert encoder.tower.pooled_dim == 32
    with pytest.raises(EngageError, match="has no class token"):
        Encoder("vision", str(tmp_path), pool="cls")


@pytest.mark.parametrize("family", ["bert", "clip", "roberta"])
def test_left_padding_tokenizers_give_the_same_vectors(family: str, checkpoints: dict[str, str], tmp_path: Path) -> None:
    folder = changed(checkpoints[family], tmp_path / "copy", "tokenizer_config.json", padding_side="left")
    encoder = Encoder("text", folder, precision="fp32", dtype="fp32", tokens=3)
    together, alone = Pipeline(encoder).encode(TEXTS), [Pipeline(encoder).encode([text]) for text in TEXTS]
    np.testing.assert_allclose(together.pooled, np.concatenate([one.pooled for one in alone]), atol=1e-5)
    assert together.token_mask is not None
    assert together.token_mask[1].all()  # "cat" between its two special tokens


def test_texts_are_cut_alike_from_many_threads(checkpoints: dict[str, str]) -> None:
    """A fast tokenizer keeps in itself whether it cuts, and two units are tokenised at once."""
    tower = TextTower(find_checkpoint("text", checkpoints["bert"]))
    texts = ["pizza " * 100, "cat"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: tower.tokenize(texts), range(1500)))
    assert {tuple(map(len, one.ids)) for one in found} == {(64, 3)}
    assert {tuple(one.num_cut.tolist()) for one in found} == {(38, 0)}


def test_an_unknown_token_that_ends_every_text_is_not_counted(checkpoints: dict[str, str], tmp_path: Path) -> None:
    folder = changed(checkpoints["clip"], tmp_path / "copy", "tokenizer_config.json", unk_token="[EOS]")
    tower = TextTower(find_checkpoint("text", folder))
    assert tower.tokenize(["cat", "zebra"]).num_unknown.tolist() == [0, 0]


def test_memory_that_runs_out_in_a_decoder_is_not_a_bad_image(
    dataset: Dataset, encoders: EncoderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starve(image: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images_module, "_turn_upright", starve)
    fresh = EncoderConfig(vision=encoders.vision, text=encoders.text, precision="fp32", dtype="fp32", pool="mean")
    with pytest.raises(EngageError, match="memory ran out while images were decoded"):
        embed(dataset, fresh, blocks=["image"])


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "engage features 0"}', '{"shards": null, "blocks": []}'])
def test_a_damaged_manifest_is_written_anew(text: str, dataset: Dataset, encoders: EncoderConfig) -> None:
    (summary,) = embed(dataset, encoders, blocks=["title"])
    manifest = summary.folder / "manifest.json"
    whole = json.loads(manifest.read_text())
    manifest.write_text(text)
    assert embed(dataset, encoders, blocks=["title"])[0].added == 0
    found = json.loads(manifest.read_text())
    assert found == whole | {"blocks": ["title"], "checksum": found["checksum"]}


def test_a_shard_whose_tensors_do_not_fit_is_embedded_again(
    pixelrec: Path, encoders: EncoderConfig, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=pixelrec)]).dataset
    (summary,) = embed(data, encoders, blocks=["title"])
    shard = summary.folder / "shard-00000.safetensors"
    tensors = load_file(shard)
    whole = shard.read_bytes()
    changed = {name: tensor for name, tensor in tensors.items() if name != OWN_HASH}
    changed |= {"pooled": tensors["pooled"][:-3].copy()}
    save_file(changed | {OWN_HASH: hash_of_tensors(changed)}, shard)
    manifest = read_manifest(summary.folder)
    write_manifest(summary.folder, dataclasses.replace(manifest, shards={shard.name: file_hash(shard)}))
    with pytest.raises(EngageError, match=r"shard-00000\.safetensors: pooled is .*, which does not fit"):
        stored_blocks(data, encoders, ["title"]).blocks(data.posts, ["title"])
    assert embed(data, encoders, blocks=["title"])[0].added > 0
    assert shard.read_bytes() == whole


def of_small_files(*arguments: str) -> None:
    """Call `engage` where no file may be larger than 8 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    forked.command(*arguments)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_shard_that_cannot_be_written_is_a_sentence(pixelrec: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    data = prepare(PrepareConfig(), folder=tmp_path / "data", sources=[Source(path=pixelrec)]).dataset
    done = forked.run(of_small_files, "embed", "--data", data.folder, "--text", encoders.text, "--blocks", "title")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"engage: File too large: .*shard-00000\.safetensors$", done.stderr.strip())
    assert "Traceback" not in done.stderr
    assert not list(data.folder.glob("features/*/*"))


def test_variables_of_a_cluster_are_not_torchruns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("RANK", "")
    assert (get_rank(), get_world_size()) == (0, 1)


def test_settings_of_one_side() -> None:
    assert setting_of_side("mean", "text", "cls") == "mean"
    assert setting_of_side("vision=cls, text=mean", "text", "cls") == "mean"
    assert setting_of_side("vision=cls", "text", "map") == "map"
    for wrong in ("vision=", "audio=cls", "vision=cls,vision=mean", "vision=cls,"):
        with pytest.raises(WrongCallError, match="is not understood"):
            setting_of_side(wrong, "text", "cls")


def test_what_auto_stands_for() -> None:
    stored, own = (EncoderConfig().settled(is_own=is_own) for is_own in (False, True))
    assert (stored.pool, stored.resize) == ("vision=depths,text=depths", "squash")
    assert (own.pool, own.resize) == ("vision=checkpoint,text=checkpoint", "native")
    given = EncoderConfig(pool="vision=mean", resize="native")
    assert (given.settled(is_own=False).pool, given.settled(is_own=False).resize) == ("vision=mean,text=depths", "native")
    assert given.settled(is_own=True).pool == "vision=mean,text=checkpoint"
    assert stored.settled(is_own=True) == stored  # what is settled stays


def test_more_regions_than_patches(checkpoints: dict[str, str]) -> None:
    with pytest.raises(WrongCallError, match=r"--tokens 9: the images of .* have only 4 patches"):
        assert Encoder("vision", checkpoints["vit"], tokens=9).tower


def test_a_title_that_is_no_utf8_is_predicted(world: Path, pixelrec: Path) -> None:
    image = next(path for path in (pixelrec / "cover").iterdir() if path.stat().st_size > 1000)
    result = engage("predict", image, "--title", "\udcff cat", "--run", world / "runs" / "regressor", "--json")
    assert result.exit_code == 0, result.stderr
