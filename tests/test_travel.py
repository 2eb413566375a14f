"""Runs travel: the same numbers elsewhere; no post goes along unasked; a bad archive is one sentence and leaves nothing."""

from __future__ import annotations

import dataclasses
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engage_cli.data.dataset import load_dataset
from engage_cli.runs.arrival import mark
from engage_cli.runs.records import RunMetrics, read_run_record, write_run_record
from engage_cli.runs.run_folder import FIRST, MARKER, META_KIND, METRICS_KIND, load_run
from engage_cli.steps.train.ensemble import combine
from engage_cli.uncertainty.forecast import load_uncertainty
from tests import forked
from tests.calls import answer, engage
from tests.test_recalibration import logged, scored

POST = ("--title", "a quiet lake")


@pytest.fixture(scope="module")
def packed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "run.engage"
    answer("export", world / "runs" / "gp", "--out", out)
    return out


def ask(run: Path, image: Path, *more: object) -> dict:
    found = answer("predict", image, *POST, "--run", run, *more)
    return {key: value for key, value in found.items() if key != "run"}


@pytest.mark.parametrize("name", ["gp", "catboost", "regressor"])
def test_a_run_says_the_same_in_another_folder(name: str, world: Path, pixelrec: Path, tmp_path: Path) -> None:
    image = next((pixelrec / "cover").iterdir())
    answer("export", world / "runs" / name, "--out", tmp_path / "run.engage")
    found = answer("import", tmp_path / "run.engage", "--run", tmp_path / "elsewhere" / "mine")
    assert any("trained on" in line for line in found["about"])
    assert ask(tmp_path / "elsewhere" / "mine", image) == ask(world / "runs" / name, image)


def test_what_is_there_already_is_left_and_other_files_are_refused(packed: Path, world: Path, tmp_path: Path) -> None:
    """A call that is killed as it ends can be given again; what another one half wrote is swept."""
    mine, out = tmp_path / "mine", tmp_path / "run.engage"
    (tmp_path / ".run.engage.4194999.tmp").touch()  # of a process that is gone
    answer("export", world / "runs" / "gp", "--out", out)
    answer("import", out, "--run", mine)
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    answer("export", world / "runs" / "gp", "--out", out)
    answer("import", out, "--run", mine)
    assert out.read_bytes() == packed.read_bytes()
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "run.engage"]
    other = engage("export", world / "runs" / "catboost", "--out", out)
    assert (other.exit_code, "is another archive; name another file with --out" in other.stderr) == (1, True)
    (tmp_path / "notes.txt").write_text("mine")
    notes = engage("export", world / "runs" / "gp", "--out", tmp_path / "notes.txt")
    assert (notes.exit_code, "is not an archive of a run" in notes.stderr) == (1, True)
    (mine / "target.json").write_text("{}")
    damaged = engage("import", out, "--run", mine)
    assert (damaged.exit_code, "target.json" in damaged.stderr) == (1, True)
    shutil.rmtree(mine)
    mine.mkdir()
    taken = engage("import", out, "--run", mine)
    assert (taken.exit_code, "already exists; name a new folder with --run" in taken.stderr) == (1, True)
    assert out.read_bytes() == packed.read_bytes()


@pytest.fixture(scope="module")
def ensemble(world: Path) -> Path:
    members = [world / "runs" / name for name in ("gp", "catboost-value")]
    return combine(members, dataset=load_dataset(world / "data"), run=world / "runs" / "both").folder


def test_an_ensemble_says_the_same_to_a_fresh_process_with_an_empty_home(
    ensemble: Path, pixelrec: Path, tmp_path: Path
) -> None:
    """Another folder, another home, no data folder and no run beside it: what the archive holds is all there is."""
    image = next((pixelrec / "cover").iterdir())
    answer("export", ensemble, "--out", tmp_path / "run.engage")
    there, home = tmp_path / "there", tmp_path / "home"
    home.mkdir()
    there.mkdir()
    (tmp_path / "run.engage").rename(there / "mine.engage")
    (there / "cover.jpg").write_bytes(image.read_bytes())
    away = {"cwd": there, "environment": {"HOME": str(home), "XDG_CACHE_HOME": str(home), "HF_HOME": str(home / "hf")}}
    told = forked.run(forked.command, "import", "mine.engage", **away)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[0] == "runs/mine"
    assert "trained on: posts" in told.stdout
    assert "marks: none" in told.stdout
    said = forked.run(forked.command, "predict", "cover.jpg", *POST, "--run", "runs/mine", "--json", **away)
    assert said.returncode == 0, said.stderr
    theirs, ours = json.loads(said.stdout)["posts"][0], ask(ensemble, image)["posts"][0]
    assert {**theirs, "image": ""} == {**ours, "image": ""}


def test_a_recalibrated_ensemble_travels_too(ensemble: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    scored(ledger, logged(ensemble, ledger, 40))
    new = answer("recalibrate", "--run", ensemble, "--ledger", ledger, "--out", tmp_path / "new")["run"]
    answer("export", new, "--out", tmp_path / "run.engage")
    about = answer("import", tmp_path / "run.engage", "--run", tmp_path / "elsewhere")["about"]
    assert "intervals: fitted anew on 40 outcomes, predicted 2026-01-01 to 2026-01-01" in about
    assert (
        load_uncertainty(load_run(tmp_path / "elsewhere")).calibration == load_uncertainty(load_run(Path(new))).calibration
    )


def test_what_a_run_must_not_hide_is_shown_before_its_first_answer(packed: Path, tmp_path: Path) -> None:
    """A mark in run.json of a stranger's run: its hash is in the marker, and the marker has its own checksum."""
    folder = Path(answer("import", packed, "--run", tmp_path / "mine")["run"])
    meta = dataclasses.replace(load_run(folder).meta, leaky=True, marks=("LEAKY: it reads counters",))
    write_run_record(folder / FIRST, meta, META_KIND)
    mark(folder, load_run_unverified(folder))
    answer("export", folder, "--out", tmp_path / "leaky.engage")
    shown = engage("import", tmp_path / "leaky.engage", "--run", tmp_path / "theirs").stdout
    assert "mark: LEAKY: it reads counters" in shown
    assert "trained on: posts" in shown


def load_run_unverified(folder: Path) -> RunMetrics:
    return read_run_record(folder / MARKER, RunMetrics, METRICS_KIND)


def test_posts_go_along_only_where_that_is_asked_for(world: Path, packed: Path, pixelrec: Path, tmp_path: Path) -> None:
    image = next((pixelrec / "cover").iterdir())
    assert "neighbours.parquet" not in zipfile.ZipFile(packed).namelist()
    answer("import", packed, "--run", tmp_path / "without")
    (without,) = ask(tmp_path / "without", image, "--explain")["posts"]
    assert without["explanation"]["neighbours"] == []
    answer("export", world / "runs" / "gp", "--out", tmp_path / "posts.engage", "--with-posts")
    assert "neighbours.parquet" in zipfile.ZipFile(tmp_path / "posts.engage").namelist()


def rewritten(packed: Path, out: Path, change: Callable[[str, bytes], bytes], *more: tuple[zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for entry, data in more:
            new.writestr(entry, data)
    return out


def same(name: str, data: bytes) -> bytes:
    return data


def link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("link.json")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (zipfile.ZipInfo("../evil.json"), "its name is not that of a file of a run folder"),
        (zipfile.ZipInfo("/tmp/evil.json"), "its name is not that of a file of a run folder"),
        (zipfile.ZipInfo("members/../evil.json"), "its name is not that of a file of a run folder"),
        (zipfile.ZipInfo("a/b/c/evil.json"), "its name is not that of a file of a run folder"),
        (zipfile.ZipInfo("evil.py"), "a run folder has no such file"),
        (link(), "it is a link or a device"),
        (zipfile.ZipInfo("RUN.json"), "it is there twice"),
        (zipfile.ZipInfo("more.json"), "is not recorded by the run's marker"),
    ],
    ids=lambda value: getattr(value, "filename", None),
)
def test_an_entry_that_no_run_has_is_one_sentence(entry: zipfile.ZipInfo, says: str, packed: Path, tmp_path: Path) -> None:
    bad = rewritten(packed, tmp_path / "bad.engage", same, (entry, b"{}"))
    refuse(bad, tmp_path, says)


def refuse(bad: Path, tmp_path: Path, says: str) -> None:
    result = engage("import", bad, "--run", tmp_path / "runs" / "new")
    assert result.exit_code == 1
    assert says in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("engage: ")]) == 1
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_changed_file_is_refused(packed: Path, tmp_path: Path) -> None:
    def spoil(name: str, data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1]) if name.endswith(".safetensors") else data

    refuse(rewritten(packed, tmp_path / "bad.engage", spoil), tmp_path, "its hash differs")


def test_sizes_are_limited(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engage_cli.steps.travel.import_run.MOST_BYTES", 1000)
    refuse(packed, tmp_path, "the limit is 1,000")


@pytest.mark.parametrize(
    ("limit", "most", "says"), [("MOST_ENTRY_BYTES", 100, "the limit is 100"), ("MOST_ENTRIES", 3, "a run has at most 3")]
)
def test_entries_are_limited(
    limit: str, most: int, says: str, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"engage_cli.steps.travel.import_run.{limit}", most)
    refuse(packed, tmp_path, says)


def test_an_entry_that_says_less_than_it_holds_is_refused(packed: Path, tmp_path: Path) -> None:
    """A bomb that says in the directory of the archive that it is small."""
    data = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as archive:
        entry = next(one for one in archive.infolist() if one.filename == MARKER)
    place = data.rindex(MARKER.encode()) - 46  # its record in the directory
    assert data[place : place + 4] == b"PK\x01\x02"
    assert int.from_bytes(data[place + 24 : place + 28], "little") == entry.file_size
    data[place + 24 : place + 28] = (10).to_bytes(4, "little")
    (tmp_path / "bad.engage").write_bytes(data)
    refuse(tmp_path / "bad.engage", tmp_path, "not an archive of a run")


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_cut_archive_is_refused(share: float, packed: Path, tmp_path: Path) -> None:
    data = packed.read_bytes()
    (tmp_path / "bad.engage").write_bytes(data[: int(len(data) * share)])
    refuse(tmp_path / "bad.engage", tmp_path, "not an archive of a run")


def test_what_a_killed_import_left_is_no_run_and_goes(packed: Path, world: Path, tmp_path: Path) -> None:
    left = tmp_path / "runs" / ".new.99999999.tmp" / "run"
    shutil.copytree(world / "runs" / "gp", left)
    assert list((tmp_path / "runs").glob(f"*/{MARKER}")) == []
    answer("import", packed, "--run", tmp_path / "runs" / "new")
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["new"]
