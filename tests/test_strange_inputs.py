"""Inputs that would hang, or eat all memory: pipes, devices, files of forty empty gigabytes, bombs, endless lines."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import socket
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engage_cli.data.tables.reading import read_frame
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.images import archives
from engage_cli.images import decode as images
from engage_cli.images.archives import unpack
from engage_cli.images.decode import ImageError, read_bytes, resolve_inside
from engage_cli.images.phash import near_pairs
from engage_cli.io import plain_files
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.predict import lines as predict_lines
from engage_cli.steps.predict import predict
from engage_cli.steps.predict.lines import answer_lines, read_lines
from engage_cli.steps.predict.requests import LONGEST_TEXT, Reads, make_posts
from tests.calls import answer, engage
from tests.sources import encoded, picture, write_archive, write_table

FORTY_GB = 40 << 30


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path is short
        one.bind(path.name)
        os.chdir(here)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(FORTY_GB)


STRANGE = {make_pipe: "a pipe, socket or device", make_device: "a pipe, socket or device", make_sparse: "larger than"}


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_device, make_sparse])
def test_a_strange_file_is_no_image(make, tmp_path: Path) -> None:
    make(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"pipe, socket or device|larger than 64 MiB|unreadable"):
        read_bytes(tmp_path / "a.jpg")
    result = engage("predict", tmp_path / "a.jpg", "--title", "a")
    assert result.exit_code == 1
    assert str(tmp_path / "a.jpg") in result.stderr


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("make", STRANGE)
def test_a_strange_file_is_no_table(make, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"posts{suffix}"
    make(path)
    with pytest.raises(EngageError) as said:
        read_frame(path)
    assert str(said.value).startswith(str(path))
    assert STRANGE[make] in str(said.value)
    with pytest.raises(EngageError):
        plain_files.read_table_bytes(path)


@pytest.mark.parametrize("make", [make_pipe, make_device])
@pytest.mark.parametrize("name", ["covers.tar", "covers.zip", "covers"])
def test_a_strange_file_is_no_archive_and_no_folder(make, name: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    table = write_table(tmp_path / "posts.csv", 40, image=lambda n: f"i{n}.jpg")
    result = engage("prepare", "--table", table, "--images-dir", tmp_path / name, "--data", tmp_path / "data")
    assert result.exit_code == 1
    assert "is neither a folder of images nor an archive" in result.stderr


def test_strange_files_in_a_folder_of_images_are_problems_of_their_posts(tmp_path: Path) -> None:
    covers = tmp_path / "covers"
    covers.mkdir()
    for number in range(40):
        (covers / f"i{number}.tmp").write_bytes(encoded(picture(number)))  # .tmp is a name like any
    for number, make in enumerate((make_pipe, make_socket, make_device, make_sparse)):
        (covers / f"i{number}.tmp").unlink()
        make(covers / f"i{number}.tmp")
    table = write_table(tmp_path / "posts.csv", 40, image=lambda n: f"i{n}.tmp")
    found = answer("prepare", "--table", table, "--images-dir", covers, "--split", "random", "--data", tmp_path / "data")
    assert sum(found["image_problems"].values()) == 4
    assert (covers / "i9.tmp").is_file()


@pytest.mark.parametrize("where", ["folder", "name"])
def test_a_nul_byte_in_a_path_is_a_problem(where: str, tmp_path: Path) -> None:
    folder, name = (Path("a\0b"), "a/../b.jpg") if where == "folder" else (tmp_path, "a\0.jpg")
    with pytest.raises(ImageError, match="NUL byte"):
        resolve_inside(folder, name)


def test_a_table_that_unpacks_to_more_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_files, "MOST_TABLE_BYTES", 10 << 20)
    long = pa.DictionaryArray.from_arrays(np.zeros(5000, np.int32), ["x" * 10_000])
    for column in (long, long.dictionary_decode()):
        pq.write_table(pa.table({"title": column}), tmp_path / "posts.parquet", compression="zstd")
        assert (tmp_path / "posts.parquet").stat().st_size < 100_000
        with pytest.raises(EngageError, match=r"posts\.parquet is larger than 10 MiB in memory"):
            read_frame(tmp_path / "posts.parquet")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_tar_header_of_three_gigabytes_is_refused(kind: bytes, suffix: str, tmp_path: Path) -> None:
    header = tarfile.TarInfo("a.jpg")
    header.type, header.size = kind, 3 << 30
    path = tmp_path / f"covers{suffix}"
    with gzip.open(path, "wb") if suffix.endswith("gz") else path.open("wb") as file:
        file.write(header.tobuf() + bytes(1 << 20))
    with pytest.raises(EngageError, match=r"a header of 3,221,225,472 bytes"):
        unpack(path, ["a.jpg"], tmp_path / "out", lambda: None)


def test_an_archive_that_unpacks_to_far_more_than_images_do_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "ALWAYS_UNPACKED", 1 << 20)
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in ("other.bin", "a.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 8 << 20
            tar.addfile(info, io.BytesIO(bytes(8 << 20)))
    (tmp_path / "covers.tar.bz2").write_bytes(bz2.compress(whole.getvalue()))
    with zipfile.ZipFile(tmp_path / "covers.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.jpg", bytes(8 << 20))
    for name in ("covers.tar.bz2", "covers.zip"):
        with pytest.raises(EngageError, match="unpacks to more than 100 times its size"):
            unpack(tmp_path / name, ["a.jpg"], tmp_path / f"{name}-out", lambda: None)


def test_a_damaged_mark_of_what_was_unpacked_is_unpacked_again(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "covers.tar", {"a.jpg": encoded(picture(1))})
    for damage in (b"", b"[1]", b"{}", b'{"wanted": 3, "refused": []}', b"[" * 100_000, b"\xff"):
        unpack(archive, ["a.jpg"], tmp_path / "out", lambda: None)
        for name in (".unpacked.json", ".unpacking.json"):
            (tmp_path / "out" / name).write_bytes(damage)
    assert unpack(archive, ["a.jpg"], tmp_path / "out", lambda: None) == {}
    assert (tmp_path / "out" / "a.jpg").read_bytes() == encoded(picture(1))


def test_covers_of_one_colour_are_prepared(tmp_path: Path) -> None:
    covers = tmp_path / "covers"
    covers.mkdir()
    for number in range(40):
        (covers / f"i{number}.png").write_bytes(encoded(images.Image.new("RGB", (8, 8), (number, 0, 9)), "PNG"))
    table = write_table(tmp_path / "posts.csv", 40, image=lambda n: f"i{n}.png")
    found = answer("prepare", "--table", table, "--images-dir", covers, "--split", "random", "--data", tmp_path / "data")
    assert found["rows"]["kept"] == 40
    for few in ([], [bytes(32)]):
        assert near_pairs(few).shape == (0, 2)


def test_one_text_is_read_up_to_a_limit() -> None:
    for name, texts in (("--title", {"title": "x"}), ("--tags", {"tags": "x"}), ("--description", {"description": "x"})):
        given = {"title": "", "tags": "", "description": ""} | dict.fromkeys(texts, "x" * 1000000)
        with pytest.raises(WrongCallError, match=rf"{name} has 1,000,000 characters; shorten it to {LONGEST_TEXT:,}"):
            make_posts(
                Reads(run="r", columns={}, date=False),
                [("a.jpg", given["title"])],
                tags=given["tags"],
                description=given["description"],
                posted_at="",
                columns={},
                reporter=SilentReporter(),
            )


def test_a_megabyte_of_title_is_a_sentence_also_where_it_is_explained(world: Path) -> None:
    with pytest.raises(WrongCallError, match="--title has 1,000,000 characters"):
        predict([_cover(world)], titles=["word " * 200_000], explain=True, run=world / "runs" / "regressor")


def _cover(folder: Path) -> Path:
    (folder / "cover.jpg").write_bytes(encoded(picture(1)))
    return folder / "cover.jpg"


def test_each_bad_line_gets_its_error_and_the_next_is_answered(world: Path) -> None:
    cover = str(_cover(world))
    good = json.dumps({"id": 7, "image": cover, "title": "a"}).encode()
    deep = b'{"id": ' + b"[" * 500 + b"]" * 500 + b"}"
    lines = [
        b'{"title": "\xff\xfe"}\n',
        b"x" * (predict_lines.MOST_LINE_BYTES + 99) + b"\n",
        deep + b"\n",
        b"[" * 100_000 + b"\n",
        b'{"image": "a\\u0000b", "title": "a"}\n',
        json.dumps({"image": cover, "title": "x" * 1_000_000}).encode() + b"\n",
        good,
    ]
    found = list(answer_lines(read_lines(io.BytesIO(b"".join(lines))), run=world / "runs" / "regressor"))
    said = [one.get("error", "") for one in found]
    for sentence, words in zip(
        said,
        (
            "not UTF-8 (its byte 12)",
            "longer than 4 MiB",
            "nested too deeply",
            "not JSON",
            "NUL byte",
            "1,000,000 characters",
        ),
        strict=False,
    ):
        assert words in sentence
    assert (found[-1]["id"], len(found)) == (7, len(lines))
    assert found[-1]["posts"][0]["title"] == "a"


def test_deeply_nested_json_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"id": ' + "[" * 200_000 + "\n")
    with pytest.raises(EngageError, match=r"posts\.jsonl, line 1: nested too deeply"):
        read_frame(tmp_path / "posts.jsonl")


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose posts have one of two numbers of views: two of the five classes."""
    folder = tmp_path_factory.mktemp("few")
    table = write_table(
        folder / "posts.csv", 120, views=lambda n: 100 if n % 3 else 1, title=lambda n: f"{'pizza' if n % 3 else 'cat'} {n}"
    )
    answer("prepare", "--table", table, "--no-images", "--split", "random", "--data", folder / "data")
    return folder


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("train-catboost", ["--as", "classes", "--iterations", 5, "--folds", 2]),
        ("train-classifier", ["--epochs", 2]),
        ("train-gp", []),
    ],
)
def test_a_target_with_two_of_five_classes_is_trained_evaluated_and_asked(
    command: str, more: list, two_classes: Path, checkpoints: dict[str, str], tmp_path: Path
) -> None:
    common = ["--data", two_classes / "data", "--vision", checkpoints["vit"], "--text", checkpoints["bert"]]
    run = tmp_path / "run"
    answer(command, *common, "--run", run, "--target", "views", *more)
    found = answer("evaluate", run, "--data", two_classes / "data")
    assert found["runs"]
    said = answer("predict", _cover(tmp_path), "--title", "pizza 3", "--run", run, "--explain")
    shares = said["posts"][0]["probabilities"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
    assert all(np.isfinite(share) for share in shares.values())


def test_contributions_of_two_learned_classes_add_up() -> None:
    from engage_cli.models.boosting.fit import Rows
    from engage_cli.models.boosting.shap import attribute, contributions_of

    catboost = pytest.importorskip("catboost")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(90, 3)), columns=list("abc"))
    truth = np.where(table["a"] > 0, 4, 1)
    model = catboost.CatBoost(
        {"loss_function": "MultiClass", "classes_count": 5, "iterations": 5, "logging_level": "Silent",
         "allow_writing_files": False}
    )  # fmt: skip
    model.fit(catboost.Pool(table, truth))
    held_out = Rows(table=table, truth=np.where(table["b"] > 1, 2, truth))  # a class that no training post had
    why = attribute(model, held_out, [], dict.fromkeys("abc", "all"), loss="log loss", unit="", labelled="abc")
    assert all(np.isfinite(one.loss_change) for one in (*why.features, *why.groups))
    assert why.features[0].name == "a"
    contributions, start = contributions_of(model, table, [])
    raw = np.asarray(model.predict(table, prediction_type="RawFormulaVal"))
    # The slope of the line through two classes that are three steps apart.
    np.testing.assert_allclose(contributions.sum(axis=1) + start, (raw[:, 4] - raw[:, 1]) / 3, atol=1e-6)
