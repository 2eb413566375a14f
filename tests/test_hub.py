"""Runs on the hub, a stub of it: the same numbers from there, and no byte of what is too large or wrong."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from engage_cli import load_run
from engage_cli.errors import WrongCallError
from engage_cli.steps.travel import hub as hub_step
from engage_cli.steps.travel.hub import Address, parse_address
from tests.calls import answer, engage
from tests.hub import Hub, hub_here

REPO = "me/views"
AT = f"hf://{REPO}"
POST = ("--title", "a quiet lake")


@pytest.fixture(scope="module")
def archive(world: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("packed") / "run.engage"
    answer("export", world / "runs" / "gp", "--out", out)
    return out.read_bytes()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(hub_step, "cache_dir", lambda: tmp_path / "cache")  # runs alone: encoders stay where they are
    with hub_here() as found:
        yield found


@pytest.fixture
def image(pixelrec: Path) -> Path:
    return next((pixelrec / "cover").iterdir())


def downloads(hub: Hub) -> list[str]:
    return [line for line in hub.asked if line.startswith("GET ") and "/resolve/" in line]


def test_a_pushed_run_predicts_the_same_and_is_fetched_once(hub: Hub, world: Path, image: Path, tmp_path: Path) -> None:
    told = answer("push", world / "runs" / "gp", REPO)
    assert told["commit"].startswith(f"{hub.url}/{REPO}/commit/")
    assert hub.private == {REPO: True}
    _, files = hub.files(REPO)
    assert sorted(files) == ["README.md", "run.engage"]
    card = files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: engage\n")
    assert "trained on: posts" in card
    assert str(world) not in card
    assert "neighbours.parquet" not in zipfile.ZipFile(io.BytesIO(files["run.engage"])).namelist()

    ours = answer("predict", image, *POST, "--run", world / "runs" / "gp")["posts"]
    first = engage("predict", image, *POST, "--run", AT, "--json")
    assert first.exit_code == 0, first.stderr
    told_before = first.stderr.split("loading the encoders")[0]
    assert "trained on: posts" in told_before
    assert "marks: none" in told_before
    assert answer("predict", image, *POST, "--run", AT)["posts"] == ours
    assert len(downloads(hub)) == 1
    assert [one.name for one in (tmp_path / "cache" / "runs" / "me--views").iterdir()] == [hub.files(REPO)[0]]

    asked = len(hub.asked)
    assert answer("predict", image, *POST, "--run", f"{AT}@{hub.files(REPO)[0]}")["posts"] == ours
    assert load_run(f"{AT}@{hub.files(REPO)[0]}").target == "views"
    assert len(hub.asked) == asked  # a commit that is there needs no hub


def test_a_newer_commit_is_fetched_and_the_old_one_stays(hub: Hub, archive: bytes) -> None:
    old = hub.commit(REPO, {"run.engage": archive})
    assert load_run(AT).folder.name == old
    new = hub.commit(REPO, {"run.engage": archive, "more": b""})
    assert [load_run(AT).folder.name, load_run(f"{AT}@{old}").folder.name] == [new, old]


def test_without_the_hub_the_run_that_was_fetched_answers(
    hub: Hub, archive: bytes, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, {"run.engage": archive})
    ours = answer("predict", image, *POST, "--run", AT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    result = engage("predict", image, *POST, "--run", AT, "--json")
    assert result.exit_code == 0
    assert "HF_HUB_OFFLINE is set" in result.stderr
    assert "which was fetched before" in result.stderr
    assert answer("predict", image, *POST, "--run", AT) == ours
    refused = engage("predict", image, *POST, "--run", "hf://me/other")
    assert (refused.exit_code, refused.stderr.count("engage: ")) == (1, 1)
    assert "hf://me/other: HF_HUB_OFFLINE is set" in refused.stderr


def test_nothing_too_large_is_downloaded(hub: Hub, archive: bytes, image: Path, tmp_path: Path) -> None:
    hub.commit(REPO, {"run.engage": archive})
    hub.says_size = 17 << 30
    refuse(image, tmp_path, "has 18,253,611,008 bytes, and the limit is 17,179,869,184")
    assert downloads(hub) == []


def refuse(image: Path, tmp_path: Path, says: str) -> None:
    result = engage("predict", image, *POST, "--run", AT)
    assert result.exit_code == 1
    assert says in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("engage: ")]) == 1
    assert list(tmp_path.glob("cache/runs/*/*")) == []


def test_a_hub_that_tells_a_path_for_a_commit_is_not_believed(
    hub: Hub, archive: bytes, image: Path, tmp_path: Path
) -> None:
    hub.commit(REPO, {"run.engage": archive})
    hub.says_commit = "../../../evil"
    refuse(image, tmp_path, "the hub did not send the commit and the size of run.engage")


def bad_archive(archive: bytes, kind: str) -> bytes:
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data[:-1] + b"!" if kind == "tampered" and name.endswith(".safetensors") else data)
        if kind == "escaping":
            new.writestr("../../evil.json", b"{}")
        if kind == "code":
            new.writestr("model.py", b"raise SystemExit('executed')")
        if kind == "link":
            entry = zipfile.ZipInfo("link.json")
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            new.writestr(entry, b"/etc/passwd")
    return changed.getvalue()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("tampered", "its hash differs"),
        ("escaping", "its name is not that of a file of a run folder"),
        ("code", "a run folder has no such file"),
        ("link", "it is a link or a device"),
    ],
)
def test_a_bad_archive_leaves_nothing(kind: str, says: str, hub: Hub, archive: bytes, image: Path, tmp_path: Path) -> None:
    hub.commit(REPO, {"run.engage": bad_archive(archive, kind), "modeling.py": b"raise SystemExit('executed')"})
    refuse(image, tmp_path, says)


@pytest.mark.parametrize(
    ("files", "status", "says"),
    [
        (None, None, "there is no such repository, or it is private"),
        ({"model.safetensors": b""}, None, "it holds no run.engage, so it is not a run of engage"),
        ({"run.engage": b""}, 403, "the hub refuses this (403)"),
    ],
)
def test_what_the_hub_has_not_is_one_sentence(
    files: dict[str, bytes] | None, status: int | None, says: str, hub: Hub, image: Path, tmp_path: Path
) -> None:
    if files is not None:
        hub.commit(REPO, files)
    hub.status = status
    refuse(image, tmp_path, says)


def test_a_missing_revision_is_one_sentence(hub: Hub, archive: bytes, image: Path) -> None:
    hub.commit(REPO, {"run.engage": archive})
    result = engage("predict", image, *POST, "--run", f"{AT}@v2")
    assert "there is no such revision" in result.stderr


def test_a_refused_push_is_one_sentence(hub: Hub, world: Path) -> None:
    hub.status = 401
    result = engage("push", world / "runs" / "gp", REPO)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("engage: me/views: ")
    assert "hf auth login" in result.stderr
    assert engage("push", world / "runs" / "gp", "no-owner").exit_code == 2


@pytest.mark.parametrize(
    "text", ["hf://me", "hf://me/views/more", "hf://../views", "hf://me/..", "hf://me/views@../x", "hf://"]
)
def test_an_address_that_is_none_is_a_wrong_call(text: str) -> None:
    with pytest.raises(WrongCallError, match=r"give hf://owner/name"):
        parse_address(text)


def test_addresses() -> None:
    assert parse_address("hf://me/views") == parse_address("hf:/me/views") == Address("me/views", "main")
    assert parse_address("hf://me/views@v1.0") == Address("me/views", "v1.0")
