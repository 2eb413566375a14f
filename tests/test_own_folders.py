"""Nothing is removed, swept or overwritten through a link, nor in a folder that does not carry a mark of ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engage_cli.config import general as config
from engage_cli.data import dataset as datasets
from engage_cli.errors import EngageError
from engage_cli.images.archives import unpack
from engage_cli.images.decode import digest_of, read_same
from engage_cli.io import own_folders
from engage_cli.io.files import atomic_write, write_text
from engage_cli.io.own_folders import OwnFolder, own_run
from engage_cli.runs import run_folder as runs
from engage_cli.runs.lifecycle import clear_stage
from engage_cli.steps.evaluate.report import _Images
from tests.calls import answer, engage
from tests.good import good_table
from tests.sources import encoded, picture, write_archive, write_table

HOLIDAY = {"holiday.jpg": b"mine", ".holiday.tmp": b"mine too", ".posts.parquet.7.tmp": b"and mine"}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of somebody's own files, whatever their names."""
    folder = tmp_path / "victim"
    folder.mkdir()
    for name, data in HOLIDAY.items():
        (folder / name).write_bytes(data)
    return folder


def is_whole(folder: Path) -> bool:
    return {path.name: path.read_bytes() for path in folder.iterdir()} == HOLIDAY


def is_refused(*call: object) -> bool:
    """Say whether a call ends in one sentence that names a link."""
    result = engage(*call)
    assert result.exit_code in (1, 2), result.output
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("engage: ")]
    return "is a symbolic link" in sentence


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def packed_posts(tmp_path: Path, num: int = 40) -> tuple[object, ...]:
    """Return the options of `prepare` for a table whose images are packed."""
    names = [f"i{number}.jpg" for number in range(num)]
    table = write_table(tmp_path / "posts.csv", num, image=names)
    archive = write_archive(tmp_path / "covers.zip", {name: encoded(picture(n)) for n, name in enumerate(names)})
    return ("--table", table, "--images-dir", archive, "--split", "random")


def test_marks_are_those_that_the_folders_carry() -> None:
    assert own_folders.DATA_MARKS == (config.DATA_MARK, datasets.MARKER)
    assert own_folders.RUN_MARKS == (runs.FIRST,)


@pytest.mark.parametrize("link", ["covers", "covers/posts.csv"])
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_prepare_deletes_nothing_behind_a_link(link: str, more: tuple[str, ...], victim: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / ".engage").parent.mkdir()
    (data / ".engage").write_text("{}")
    (data / link).parent.mkdir(exist_ok=True)
    (data / link).symlink_to(victim, target_is_directory=True)
    assert is_refused("prepare", *packed_posts(tmp_path), "--data", data, *more)
    assert is_whole(victim)


def test_prepare_deletes_nothing_that_it_did_not_unpack(tmp_path: Path) -> None:
    data, call = tmp_path / "data", packed_posts(tmp_path)
    (data / "covers" / "posts.csv").mkdir(parents=True)
    (data / ".engage").write_text("{}")
    (data / "covers" / "posts.csv" / "holiday.jpg").write_bytes(b"mine")
    result = engage("prepare", *call, "--data", data)
    assert result.exit_code == 1
    assert "holds files that engage did not unpack (holiday.jpg)" in result.stderr
    assert (data / "covers" / "posts.csv" / "holiday.jpg").read_bytes() == b"mine"
    (data / "covers" / "posts.csv" / "holiday.jpg").unlink()
    answer("prepare", *call, "--data", data)
    # Another archive under the same name takes the place of what was unpacked, and of nothing else.
    (data / "covers" / "posts.csv" / "kept").mkdir()
    write_archive(tmp_path / "covers.zip", {f"i{n}.jpg": encoded(picture(n + 50)) for n in range(40)})
    assert engage("prepare", *call, "--data", data, "--overwrite").exit_code == 1
    assert (data / "covers" / "posts.csv" / "kept").is_dir()


@pytest.mark.parametrize(
    "name", [".engage", ".lock", "posts.parquet", "dataset.json", "problems.csv", "quality.html", "images.parquet"]
)
def test_prepare_overwrites_nothing_behind_a_link(name: str, tmp_path: Path) -> None:
    data, mine = tmp_path / "data", tmp_path / "mine.txt"
    data.mkdir()
    (data / ".engage").write_text("{}")
    (data / name).unlink(missing_ok=True)
    mine.write_text("mine")
    (data / name).symlink_to(mine)
    assert is_refused("prepare", *packed_posts(tmp_path), "--data", data, "--overwrite")
    assert mine.read_text() == "mine"
    assert (data / name).is_symlink()


def test_a_half_written_file_that_is_a_link_is_neither_swept_nor_written_through(tmp_path: Path) -> None:
    data, mine = tmp_path / "data", tmp_path / "mine.txt"
    data.mkdir()
    (data / ".engage").write_text("{}")
    mine.write_text("mine")
    (data / ".posts.parquet.7.tmp").symlink_to(mine)
    answer("prepare", "--table", good_table(tmp_path), "--no-images", "--data", data)
    assert mine.read_text() == "mine"
    assert (data / ".posts.parquet.7.tmp").is_symlink()
    with atomic_write(tmp_path / "a.txt") as beside:
        name = beside.name
    (tmp_path / name).symlink_to(mine)
    write_text(tmp_path / "a.txt", "ours")
    assert (mine.read_text(), (tmp_path / "a.txt").read_text()) == ("mine", "ours")


def test_the_users_own_links_are_read_through(tmp_path: Path) -> None:
    names = [f"i{number}.jpg" for number in range(40)]
    (tmp_path / "disk").mkdir()
    for number, name in enumerate(names):
        (tmp_path / "disk" / name).write_bytes(encoded(picture(number)))
    (tmp_path / "covers").symlink_to(tmp_path / "disk", target_is_directory=True)
    write_table(tmp_path / "disk" / "posts.csv", 40, image=names)
    (tmp_path / "posts.csv").symlink_to(tmp_path / "disk" / "posts.csv")
    (tmp_path / "big").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "big", target_is_directory=True)
    call = ("--table", tmp_path / "posts.csv", "--images-dir", tmp_path / "covers", "--split", "random")
    found = answer("prepare", *call, "--data", tmp_path / "data")
    assert found["image_problems"] == {}
    assert (tmp_path / "big" / "dataset.json").is_file()


@pytest.mark.parametrize("place", ["features", "features/{store}", "features/{store}/manifest.json"])
def test_embed_writes_nothing_behind_a_link(place: str, victim: Path, checkpoints: dict[str, str], tmp_path: Path) -> None:
    folder, encoders = tmp_path / "data", ("--text", checkpoints["bert"], "--vision", checkpoints["vit"])
    answer("prepare", "--table", good_table(tmp_path), "--no-images", "--data", folder)
    answer("embed", "--data", folder, *encoders)
    store = next(path for path in sorted((folder / "features").iterdir()) if path.name.startswith("local-text-"))
    link = folder / place.format(store=store.name)
    _remove(link)
    link.symlink_to(victim / "holiday.jpg" if link.suffix else victim)
    assert is_refused("embed", "--data", folder, *encoders)
    assert is_whole(victim)


@pytest.mark.parametrize("name", ["plots", "members", "work", "model.safetensors", "notes"])
def test_a_run_is_not_begun_anew_through_a_link(name: str, victim: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    (run / name).symlink_to(victim, target_is_directory=True)
    with pytest.raises(EngageError, match="is a symbolic link"):
        clear_stage(run)
    assert is_whole(victim)


def test_only_a_marked_folder_is_emptied(victim: Path, tmp_path: Path) -> None:
    with pytest.raises(EngageError, match=r"no run\.json, so engage does not remove .*holiday\.jpg"):
        own_run(victim).remove_file(victim / "holiday.jpg")
    with pytest.raises(EngageError, match="so engage does not remove"):
        clear_stage(victim)
    (tmp_path / "elsewhere").write_text("{}")
    (victim / "run.json").symlink_to(tmp_path / "elsewhere")  # a mark is a plain file
    assert not own_run(victim).is_ours
    own = OwnFolder(tmp_path / "own", ("mark",))
    (own.root / "a" / "b").mkdir(parents=True)
    (own.root / "mark").touch()
    (own.root / "a" / "c").symlink_to(victim, target_is_directory=True)
    with pytest.raises(EngageError, match="is a symbolic link"):
        own.remove_file(own.root / "a" / "c" / "holiday.jpg")
    own.sweep(own.root / "a", "*")
    own.remove_folder(own.root / "a")  # the link goes with the folder, what it leads to stays
    (victim / "run.json").unlink()
    assert is_whole(victim)
    assert not (own.root / "a").exists()


@pytest.mark.parametrize("name", ["cover", "pixelrec_iteminfo", "cover/i3.jpg", "pixelrec_iteminfo/sample_item_info.csv"])
def test_sample_removes_and_writes_nothing_behind_a_link(name: str, victim: Path, tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    answer("sample", sample, "--rows", 20)
    _remove(sample / name)
    (sample / name).symlink_to(victim / "holiday.jpg" if Path(name).suffix else victim)
    assert is_refused("sample", sample, "--rows", 20, "--overwrite")
    assert is_whole(victim)


def test_what_is_written_where_the_user_says_is_no_link(victim: Path, tmp_path: Path) -> None:
    mine = victim / "holiday.jpg"
    for name in ("out.csv", "why.png", "page.html"):
        (tmp_path / name).symlink_to(mine)
    table = good_table(tmp_path)
    assert is_refused("predict", "--table", table, "--out", tmp_path / "out.csv")
    assert is_refused("predict", tmp_path / "cover.jpg", "--title", "a", "--explain", "--overlay", tmp_path / "why.png")
    for beside in (".new.csv.parts", ".new.csv.lock", "new.csv.problems.csv"):
        (tmp_path / beside).symlink_to(victim)
        assert is_refused("predict", "--table", table, "--out", tmp_path / "new.csv")
        (tmp_path / beside).unlink()
    assert is_whole(victim)


def test_the_report_shows_only_what_prepare_saw(tmp_path: Path) -> None:
    covers, secret = tmp_path / "covers", encoded(picture(9))
    covers.mkdir()
    (covers / "a.jpg").write_bytes(encoded(picture(1)))
    (tmp_path / "secret.jpg").write_bytes(secret)
    (covers / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    digest = digest_of((covers / "a.jpg").read_bytes())
    assert read_same(covers, "a.jpg", digest) == (covers / "a.jpg").read_bytes()
    assert read_same(covers, "a.jpg", digest_of(secret)) is None  # another image than the post's
    for name in ("../secret.jpg", "link.jpg", str(tmp_path / "secret.jpg"), "a\0.jpg", ""):
        assert read_same(covers, name, digest_of(secret)) is None


def test_an_evaluation_shows_no_image_that_changed(dataset: datasets.Dataset) -> None:
    row = int(np.flatnonzero((dataset.posts["image_hash"] != "").to_numpy())[0])
    images = _Images(dataset)
    assert images.read(row) is not None
    images.posts = images.posts.assign(image_hash="0" * 32)
    assert images.read(row) is None


def test_members_never_take_the_names_of_our_own_files(tmp_path: Path) -> None:
    names = [".unpacked.json", ".unpacking.json", ".engage", ".a.jpg.7.tmp", "b.tmp", "c.jpg"]
    archive = write_archive(tmp_path / "covers.tar", {name: encoded(picture(n)) for n, name in enumerate(names)})
    place = tmp_path / "covers"
    for _ in range(2):  # what is called .tmp is as good an image as any, also the second time
        assert unpack(archive, names, place, lambda: None) == {"hidden file": 4}
        assert {path.name for path in place.iterdir()} == {".unpacked.json", ".unpacking.json", "b.tmp", "c.jpg"}
        assert (place / ".unpacked.json").read_bytes().startswith(b"{")


@pytest.mark.parametrize("at", range(5))
def test_a_folder_that_is_taken_away_is_ours_until_all_else_is_gone(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is killed meanwhile can be given again, in whatever order the system lists the files."""
    root = tmp_path / "parts"
    (root / "deeper").mkdir(parents=True)
    for name in ("plan.json", "a.parquet", "b.parquet", "z.json", "deeper/file"):
        (root / name).write_text("x")
    own, left = OwnFolder(root, ("plan.json",)), [at]

    def counted(remove: Callable[..., None]) -> Callable[..., None]:
        def removed(path: str, *how: object, **more: object) -> None:
            if Path(path) != root:
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
            remove(path, *how, **more)

        return removed

    with monkeypatch.context() as patch:
        patch.setattr("engage_cli.io.own_folders.os.unlink", counted(os.unlink))
        patch.setattr("engage_cli.io.own_folders.shutil.rmtree", counted(shutil.rmtree))
        if at < 4:
            with pytest.raises(KeyboardInterrupt):
                own.remove_folder(root)
            assert own.is_ours
    if root.exists():
        own.remove_folder(root)
    assert not root.exists()
