"""Packed images: only what is asked for leaves an archive, and never for another folder."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from engage_cli.errors import EngageError
from engage_cli.images.archives import unpack
from tests.calls import answer, engage
from tests.sources import PIXELREC, encoded, picture, pixelrec_folder, smpd_folder, write_archive, write_table

NAMES = ["a.jpg", "b.jpg"]
WICKED = {
    "../a.jpg": b"out",
    "/tmp/a.jpg": b"out",
    "x/../../b.jpg": b"out",
    "..\\b.jpg": b"out",
    "cover/a.jpg": encoded(picture(1)),
    "deep/er/b.jpg": encoded(picture(2)),
    "cover/unwanted.exe": b"no image",
}


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["cover.tar.gz", "cover.zip", "cover.tar"])
def test_members_that_leave_the_archive_are_refused_and_counted(kind: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / kind, WICKED)
    refused = unpack(archive, NAMES, tmp_path / "out" / "covers", lambda: None)
    assert refused == {"path leaves the archive": 4}
    assert files_below(tmp_path) == {
        kind,
        "out/covers/a.jpg",
        "out/covers/b.jpg",
        "out/covers/.unpacked.json",
        "out/covers/.unpacking.json",
    }
    assert (tmp_path / "out" / "covers" / "a.jpg").read_bytes() == WICKED["cover/a.jpg"]


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "cover.tar", "w") as tar:
        for name, kind, link in (
            ("a.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            ("b.jpg", tarfile.LNKTYPE, "a.jpg"),
            ("c", tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    assert unpack(tmp_path / "cover.tar", NAMES, tmp_path / "covers", lambda: None) == {"no plain file": 3}
    with zipfile.ZipFile(tmp_path / "cover.zip", "w") as packed:
        link = zipfile.ZipInfo("a.jpg")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    assert unpack(tmp_path / "cover.zip", NAMES, tmp_path / "covers", lambda: None) == {"no plain file": 1}
    assert files_below(tmp_path / "covers") == {".unpacked.json", ".unpacking.json"}


@pytest.mark.parametrize("kind", ["cover.tar.gz", "cover.zip"])
def test_a_damaged_archive_is_a_sentence_and_what_was_whole_stays(kind: str, tmp_path: Path) -> None:
    members = {f"{n}.jpg": os.urandom(40_000) for n in range(20)}
    archive = write_archive(tmp_path / kind, members)
    data = archive.read_bytes()
    middle = len(data) // 2  # a .tar.gz that ends there; a .zip whose tenth member is not what its checksum says
    archive.write_bytes(data[:middle] if kind.endswith("gz") else data[:middle] + b"damage" + data[middle + 6 :])
    with pytest.raises(EngageError, match=r"cover\.\S+ is damaged or encrypted after (8|9|1\d) images"):
        unpack(archive, list(members), tmp_path / "covers", lambda: None)
    left = list((tmp_path / "covers").glob("*.jpg"))
    assert len(left) > 5
    for path in left:
        assert path.read_bytes() == members[path.name]  # nothing half-written
    archive.write_bytes(data)
    unpack(archive, list(members), tmp_path / "covers", lambda: None)
    assert files_below(tmp_path / "covers") == {*members, ".unpacked.json", ".unpacking.json"}


def test_a_kill_in_the_middle_leaves_no_half_file_and_the_next_call_tidies_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path / "cover.zip", {name: encoded(picture(1)) for name in NAMES})
    folder = tmp_path / "covers"

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        original = os.replace  # after the bytes are written, before the name is theirs
        patch.setattr(os, "replace", lambda a, b: kill() if str(b).endswith(".jpg") else original(a, b))
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, NAMES, folder, lambda: None)
    assert files_below(folder) == {".unpacking.json"}
    (folder / ".a.jpg.123.tmp").write_bytes(b"half")
    unpack(archive, NAMES, folder, lambda: None)
    assert files_below(folder) == {*NAMES, ".unpacked.json", ".unpacking.json"}


def test_what_is_left_of_the_mark_itself_is_taken_away(tmp_path: Path) -> None:
    """A call that was killed in its very first file leaves no mark, and half of one."""
    (tmp_path / "covers").mkdir()
    (tmp_path / "covers" / "..unpacking.json.123.tmp").write_bytes(b"half")
    unpack(write_archive(tmp_path / "cover.zip", WICKED), NAMES, tmp_path / "covers", lambda: None)
    assert files_below(tmp_path / "covers") == {*NAMES, ".unpacked.json", ".unpacking.json"}


def test_what_is_unpacked_is_not_unpacked_again(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "cover.zip", WICKED)
    unpack(archive, NAMES, tmp_path / "covers", lambda: None)
    before = (tmp_path / "covers" / "a.jpg").stat().st_mtime_ns
    written: list[None] = []
    assert unpack(archive, NAMES, tmp_path / "covers", lambda: written.append(None)) == {"path leaves the archive": 4}
    assert (written, (tmp_path / "covers" / "a.jpg").stat().st_mtime_ns) == ([], before)
    # As many other names are other names.
    unpack(archive, ["a.jpg", "unwanted.exe"], tmp_path / "covers", lambda: written.append(None))
    assert (tmp_path / "covers" / "unwanted.exe").exists()
    assert len(written) == 2


def test_another_archive_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    """As large, under the same names: what lies there is of the other archive all the same."""
    folder = tmp_path / "covers"
    unpack(write_archive(tmp_path / "x.zip", {"a.jpg": b"one", "b.jpg": b"old"}), NAMES, folder, lambda: None)
    unpack(write_archive(tmp_path / "x.zip", {"a.jpg": b"two"}), NAMES, folder, lambda: None)
    assert (folder / "a.jpg").read_bytes() == b"two"
    assert not (folder / "b.jpg").exists()


def test_two_files_of_one_name_are_never_confused(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "x.zip", {"a/1.jpg": encoded(picture(1)), "b/1.jpg": encoded(picture(2))})
    assert unpack(archive, ["1.jpg"], tmp_path / "covers", lambda: None) == {"a second file of the same name": 1}
    assert (tmp_path / "covers" / "1.jpg").read_bytes() == encoded(picture(1))
    assert unpack(archive, ["b/1.jpg"], tmp_path / "other", lambda: None) == {}
    assert (tmp_path / "other" / "1.jpg").read_bytes() == encoded(picture(2))  # the one that was asked for
    assert unpack(archive, ["deep/b/1.jpg"], tmp_path / "third", lambda: None) == {}
    assert (tmp_path / "third" / "1.jpg").read_bytes() == encoded(picture(2))
    images = lambda n: f"{'ab'[n % 2]}/{n // 2}.jpg"  # noqa: E731
    table = write_table(tmp_path / "posts.csv", 40, image=images)
    result = engage("prepare", "--table", table, "--images-dir", archive, "--data", tmp_path / "data")
    assert result.exit_code == 1
    assert "posts name 'a/0.jpg' and 'b/0.jpg', which unpack to one and the same file" in result.stderr


@pytest.mark.parametrize("kind", ["cover.tar.gz", "cover.zip"])
def test_prepare_reads_packed_pixelrec(kind: str, tmp_path: Path) -> None:
    header, row = PIXELREC.split("\n", 1)[0], "{0},{1},1,2,3,4,5,6,title {0},food,text"
    table = "\n".join([header, *(row.format(f"i{n}", 100 + n) for n in range(30))])
    folder = pixelrec_folder(tmp_path / "p", table)
    (folder / "covers").rmdir()
    write_archive(folder / kind, {f"cover/i{n}.jpg": encoded(picture(n)) for n in range(29)} | {"../i29.jpg": b"x"})
    found = answer("prepare", "--pixelrec-dir", folder, "--data", tmp_path / "data")
    assert found["image_problems"] == {"no such file": 1}
    assert any(f"{kind}: 1 members refused: path leaves the archive" in warning for warning in found["warnings"])
    assert (tmp_path / "data" / "covers" / "pixelrec" / "i3.jpg").read_bytes() == encoded(picture(3))


def test_prepare_reads_packed_smpd_by_the_files_names(tmp_path: Path) -> None:
    folder = smpd_folder(tmp_path / "s", num=30)
    images = {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "train").rglob("*.jpg")}
    for path in sorted((folder / "train").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (folder / "train").rmdir()
    write_archive(folder / "train_images.zip", images)
    found = answer("prepare", "--smpd-dir", folder, "--data", tmp_path / "data")
    assert found["image_problems"] == {}
    assert list(found["targets"]) == ["given"]
    assert found["split"]["method"] == "time"
