"""A path or a column that does not exist: the message names what is there and looks like it."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from engage_cli.api._frames import write_posts
from engage_cli.near_names import did_you_mean, did_you_mean_path
from tests.calls import engage


def test_the_likest_names_are_asked_for() -> None:
    assert did_you_mean("veiws", ["id", "views", "likes"]) == "; did you mean 'views'?"
    assert did_you_mean("LIKECOUNT", ["likeCount", "title"]) == "; did you mean 'likeCount'?"
    assert did_you_mean("view", ["views", "view1", "viewz"]).count("'") == 4  # two at most
    assert did_you_mean("language", ["id", "views"]) == ""
    assert did_you_mean("views", []) == ""


def test_a_path_is_mended_at_its_first_missing_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("thumbnails/all").mkdir(parents=True)
    Path("thumbnails/all/new.jpg").touch()
    Path("posts.csv").touch()
    assert did_you_mean_path(Path("thumbnail/all/new.jpg")) == "; did you mean 'thumbnails/all/new.jpg'?"
    assert did_you_mean_path(Path("thumbnail/one/new.jpg")) == ""  # what it would name does not exist
    assert did_you_mean_path(Path("post.csv")) == "; did you mean 'posts.csv'?"
    assert did_you_mean_path(Path("posts"), folder=True) == ""
    assert did_you_mean_path(Path("posts.csv/inside")) == ""
    assert did_you_mean_path(tmp_path / "postz.csv") == f"; did you mean '{tmp_path / 'posts.csv'}'?"


CALLS = [
    (["prepare", "post.csv"], "posts.csv"),
    (["prepare", "--table", "post.csv"], "posts.csv"),
    (["prepare", "--table", "posts.csv", "--images-dir", "cover"], "covers"),
    (["prepare", "--pixelrec-dir", "cover"], "covers"),
    (["prepare", "--table", "posts.csv", "--map", "views=playz"], "plays"),
    (["prepare", "--table", "posts.csv", "--keep", "folowers"], "followers"),
    (["prepare", "--table", "posts.csv", "--group", "folower"], "followers"),
    (["prepare", "--table", "posts.csv", "--split", "file", "--split-from", "part.cvs"], "part.csv"),
    (["quickstart", "post.csv"], "posts.csv"),
    (["quickstart", "posts.csv", "--images-dir", "cover"], "covers"),
    (["embed", "--data", "dta"], "data"),
    (["evaluate", "--data", "dta"], "data"),
    (["predict", "--run", "run", "--title", "One title"], "runs"),
    (["import", "packd.engage", "--run", "new"], "packed.engage"),
]


@pytest.mark.parametrize(("call", "meant"), CALLS, ids=[" ".join(call) for call, _ in CALLS])
def test_every_command_asks(call: list[str], meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"id": ["a", "b"], "title": ["One", "Two"], "plays": [1, 2], "followers": [3, 4]}).to_csv("posts.csv")
    for folder in ("covers", "data", "runs"):
        Path(folder).mkdir()
    for name in ("part.csv", "packed.engage"):
        Path(name).touch()
    before = sorted(os.listdir())
    result = engage(*call)
    assert result.exit_code in (1, 2)
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"did you mean '{meant}'" in result.stderr
    assert set(os.listdir()) - set(before) <= {"data", "engage-quickstart"}


def test_from_python_too(tmp_path: Path) -> None:
    posts = pd.DataFrame({"cover": ["a.jpg"], "title": ["One"], "views": [3]})
    with pytest.raises(ValueError, match="give one of: cover, title, views; did you mean 'cover'"):
        write_posts(posts, tmp_path / "new", image_column="covr", images_dir=None)
    (tmp_path / "covers").mkdir()
    with pytest.raises(ValueError, match=r"did you mean '.*covers'"):
        write_posts(posts, tmp_path / "new", image_column="cover", images_dir=tmp_path / "cover")
