"""Every part of CatBoost's table: fitted on training rows alone, stored without code, the same for one post as for many."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.covers.reading import ReadFace, Reading, ReadLine
from engage_cli.data.folds import make_folds
from engage_cli.data.schema import ALL_COUNTERS
from engage_cli.embeddings.store import Block
from engage_cli.features.groups import PARTS, PartOptions, _many_rows, ridge_scores
from engage_cli.features.handcrafted import IMAGE_FEATURES, MISSING
from engage_cli.features.inputs import PostInputs
from engage_cli.features.table import ARRAYS_FILE, FeatureTable, load_table

NUM, DIM = 240, 12
OPTIONS = PartOptions(pca=4, columns={"own.mood": "category", "own.length": "number"}, shared_width=8)
WORDS = "storm cat pizza trailer official review music dance house garden robot winter 猫 ночь".split()  # noqa: SIM905


class FakeSource:
    """Vectors and measurements that depend on a post's id alone."""

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        found = {}
        for name in names:
            rows = [np.random.default_rng([int(post[1:]), len(name)]).normal(size=DIM) for post in posts["id"]]
            pooled = np.stack(rows).astype(np.float16)
            has = np.array([int(post[1:]) % 9 != 0 for post in posts["id"]])[:, None]
            found[name] = Block(pooled[:, None], has, pooled)
        return found

    def image_statistics(self, posts: pd.DataFrame) -> np.ndarray:
        rows = [np.random.default_rng(int(post[1:])).random(len(IMAGE_FEATURES)) for post in posts["id"]]
        return np.stack(rows).astype(np.float32)

    def covers(self, posts: pd.DataFrame) -> list[Reading | None]:
        return [a_reading(int(post[1:])) for post in posts["id"]]


def a_reading(number: int) -> Reading | None:
    random = np.random.default_rng(number)
    if number % 9 == 0:
        return None
    top = float(random.random() / 2)
    box = ((0.1, top), (0.9, top), (0.9, top + 0.2), (0.1, top + 0.2))
    words = [ReadLine(text=str(random.choice(WORDS)), score=0.9, corners=box, contrast=4.5)] * int(random.integers(0, 3))
    face = ReadFace(left=0.1, top=top, width=0.2, height=0.3, score=0.8, looks_at_camera=bool(number % 2))
    return Reading(width=160, height=90, lines=tuple(words), faces=(face,) * int(random.integers(0, 3)))


def make_posts(num: int = NUM, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    numbers = np.arange(num) + 1000 * seed

    def words(low: int, high: int) -> list[str]:
        return [" ".join(random.choice(WORDS, random.integers(low, high))) for _ in range(num)]

    return pd.DataFrame(
        {
            "id": [f"p{n}" for n in numbers],
            "group": [f"p{n}" for n in numbers],
            "title": words(1, 7),
            "tags": ["|".join(random.choice(WORDS, random.integers(0, 4))) for _ in range(num)],
            "description": words(0, 12),
            "author": [f"a{n}" for n in random.integers(0, 60, num)],
            "weekday": random.integers(0, 7, num).astype(float),
            "hour": random.integers(0, 24, num).astype(float),
            "author_posts": random.integers(0, 9, num).astype(float),
            "author_median_views": np.where(random.random(num) < 0.2, np.nan, random.normal(8, 1, num)),
            "log_age": random.normal(3, 1, num),
            "own.mood": random.choice(["calm", "loud", ""], num),
            "own.length": random.random(num),
            **{name: random.integers(0, 1000, num).astype(float) for name in ALL_COUNTERS},
        }
    )


def given(posts: pd.DataFrame) -> PostInputs:
    return PostInputs(posts, FakeSource(), counters=ALL_COUNTERS)


def fit(parts: Sequence[str], posts: pd.DataFrame, options: PartOptions = OPTIONS) -> tuple[FeatureTable, pd.DataFrame]:
    table = FeatureTable(parts, options)
    truth = np.random.default_rng(5).normal(size=len(posts))
    return table, table.fit(given(posts), truth, make_folds(posts, 5, seed=0))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_comes_back_from_its_files_and_says_what_its_columns_are(part: str, tmp_path: Path) -> None:
    table, fitted = fit([part], make_posts())
    table.save(tmp_path)
    again = load_table(tmp_path.joinpath)
    others = given(make_posts(50, seed=1))
    pd.testing.assert_frame_equal(table.transform(others), again.transform(others), rtol=1e-5, atol=1e-6)
    assert again.names == table.names == list(fitted.columns)
    assert again.categorical == table.categorical
    assert again.further_columns == table.further_columns
    for meaning in table.meanings().values():
        assert re.fullmatch(r".+ \[[^\]]+\](;.*)?", meaning), meaning
    assert set(table.groups) == set(fitted.columns)


@pytest.mark.parametrize("part", PARTS)
def test_one_post_gets_what_it_gets_among_many(part: str) -> None:
    table, _ = fit([part], make_posts())
    many = make_posts(30, seed=1)
    alone = table.transform(given(many.iloc[[7]]))
    pd.testing.assert_frame_equal(table.transform(given(many)).iloc[[7]], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("part", PARTS)
def test_what_comes_later_changes_nothing_that_was_fitted(part: str) -> None:
    """Other posts may hold other words, tags and categories: columns and their order stay."""
    table, fitted = fit([part], make_posts())
    strange = make_posts(20, seed=2).assign(
        title="zzz ქართული", tags="never|seen", description="", **{"own.mood": "new", "hour": np.nan, "weekday": np.nan}
    )
    found = table.transform(given(strange))
    assert list(found.columns) == list(fitted.columns)
    numbers = [name for name in found.columns if name not in table.categorical]
    assert all(found[name].dtype == np.float32 for name in numbers)
    for name in table.categorical:
        assert found[name].dtype == object
        assert found[name].map(type).eq(str).all()


@pytest.mark.parametrize("part", PARTS)
def test_posts_with_nothing_but_an_image_are_no_error(part: str) -> None:
    table = FeatureTable([part, "image_statistics"], PartOptions())
    posts = make_posts()[["id", "group"]].assign(title="", tags="", description="")
    some = PostInputs(posts, FakeSource())
    fitted = table.fit(some, np.arange(float(len(posts))), make_folds(posts, 5, seed=0))
    assert list(table.transform(some.take(np.arange(3))).columns) == list(fitted.columns)


def test_a_missing_category_is_a_name_and_no_nan() -> None:
    posts = make_posts()
    posts["tags"] = [None, np.nan, "", "  "] * (NUM // 4)
    table, fitted = fit(["category", "own_columns", "title_statistics"], posts)
    assert set(fitted["category"]) == {MISSING}
    assert MISSING in set(fitted["own.mood"])
    assert table.categorical == ["title_script", "category", "own.mood"]


def test_scores_of_training_rows_do_not_know_their_own_truth() -> None:
    """On pure noise the score of a row that was fitted without it is no better than chance."""
    posts = make_posts()
    truth = np.random.default_rng(5).normal(size=NUM)
    table, fitted = fit(["text_score", "image_score", "words_score"], posts)
    refitted = table.transform(given(posts))
    for name in fitted.columns:
        assert np.corrcoef(fitted[name], truth)[0, 1] < 0.15, name
    assert np.corrcoef(refitted["words_score"], truth)[0, 1] > 0.5  # what it would be without folds


def test_scores_leave_near_duplicates_out() -> None:
    """Copies of a title with one truth: a row's score may not come from its copy."""
    posts = make_posts()
    copies = posts.assign(id=[f"p{5000 + n}" for n in range(NUM)])
    both = pd.concat([posts, copies], ignore_index=True)
    truth = np.tile(np.random.default_rng(5).normal(size=NUM), 2)
    table = FeatureTable(["words_score"], OPTIONS)
    fitted = table.fit(given(both), truth, make_folds(both, 5, seed=0))
    assert np.corrcoef(fitted["words_score"], truth)[0, 1] < 0.15


@pytest.mark.parametrize("part", ["image_score", "text_score"])
def test_scores_of_many_posts_are_those_of_few(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over blocks of rows give what all rows at once do; near-duplicates in other folds are left out too."""
    posts = make_posts()
    posts.loc[posts.index % 5 == 0, "group"] = "p0"
    few, of_few = fit([part], posts)
    monkeypatch.setattr(ridge_scores, "MOST_AT_ONCE", 50)
    monkeypatch.setattr(_many_rows, "AT_ONCE", 32)
    many, of_many = fit([part], posts)
    np.testing.assert_allclose(of_many, of_few, atol=2e-5)
    own, other = (table.parts[part] for table in (few, many))
    assert other.alpha == own.alpha  # type: ignore[attr-defined]
    asked = given(make_posts(120, seed=3))
    np.testing.assert_allclose(many.transform(asked), few.transform(asked), atol=2e-5)
    assert list(many.transform(asked).index) == list(few.transform(asked).index)


def test_everything_is_fitted_on_the_rows_it_was_given(tmp_path: Path) -> None:
    """A word, a tag and a direction that only other rows have stand in no stored file."""
    posts = make_posts(400)
    posts.loc[200:, "title"] += " unheardof"
    posts.loc[200:, "tags"] += "|unseentag"
    halves = [posts.iloc[:200].reset_index(drop=True), posts]
    found = []
    for number, some in enumerate(halves):
        table, _ = fit([name for name in PARTS if name != "counters"], some)
        table.save(tmp_path / str(number))
        with np.load(tmp_path / str(number) / ARRAYS_FILE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        terms = bytes(arrays["words_score.words_terms"]).decode().split("\n")
        found.append((arrays, "unheardof" in terms, "tag: unseentag" in table.names))
    assert [(word, tag) for _, word, tag in found] == [(False, False), (True, True)]
    for name in ("image_embedding.mean", "image_embedding.components", "text_score.mean", "text_score.coefficients"):
        assert not np.array_equal(found[0][0][name], found[1][0][name]), name


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a|b|c", "b", "c, d"], [["a", "b", "c"], ["b"], ["c", "d"]]),
        (["#Fun #sun", "fun、海"], [["fun", "sun"], ["fun", "海"]]),
        (["red sun sky", "sky night", "old red house"], [["red", "sun", "sky"], ["sky", "night"], ["old", "red", "house"]]),
        (
            ["a b c", "d e", "f g h", "c# d"] + [f"x{n} y" for n in range(60)],
            [["a", "b", "c"], ["d", "e"], ["f", "g", "h"]],
        ),
        (["Pet Life", "Pet Life", "Daily Life", "Pet Life"], [["pet life"], ["pet life"], ["daily life"], ["pet life"]]),
    ],
)
def test_tags_are_divided_as_the_source_writes_them(texts: list[str], expected: list[list[str]]) -> None:
    posts = make_posts(len(texts)).assign(tags=texts)
    part = PARTS.load("tags")(PartOptions())
    assert part._learn(PostInputs(posts, FakeSource()))[: len(expected)] == expected


def test_tags_as_columns() -> None:
    posts = make_posts(40).assign(tags=["a|b", "a", "", "b|rare"] + ["a|b|c"] * 36)
    _, fitted = fit(["tags"], posts)
    assert list(fitted.columns) == ["tag_count", "tag: a", "tag: b", "tag: c"]
    np.testing.assert_array_equal(fitted.iloc[:4], [[2, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [2, 0, 1, 0]])
    one_each = make_posts(40).assign(tags=["a", "b"] * 20)
    with pytest.raises(Exception, match="the posts have no values for --features, or all have the same ones"):
        fit(["tags"], one_each)  # the category says it


def test_the_studys_counters() -> None:
    posts = make_posts(30)
    posts.loc[0, ["views", "likes"]] = [0.0, 3.0]
    _, fitted = fit(["counters"], posts)
    assert fitted["likes"].iloc[0] == fitted["likes_per_view"].iloc[0] == 3.0
    assert fitted["log_likes"].iloc[0] == pytest.approx(np.log1p(3.0))
    assert set(fitted.columns) == {
        *ALL_COUNTERS,
        *(f"log_{name}" for name in ALL_COUNTERS),
        *(f"{name}_per_view" for name in ALL_COUNTERS if name != "views"),
    }


def test_topics_are_called_after_their_words() -> None:
    table, _ = fit(["title_topics"], make_posts())
    labels = table.labels()
    assert all(re.fullmatch(r"title_topic_\d+: \S.*", label) for label in labels.values())
    assert len(set(labels.values())) == len(labels) > 5
    assert any("pizza" in label for label in labels.values())


def test_topics_of_texts_without_spaces_are_called_after_pieces() -> None:
    signs = list("猫犬鳥魚花草木山川海")
    titles = ["".join(np.random.default_rng(n).permutation(signs)[:5]) + str(n) for n in range(NUM)]
    table, _ = fit(["title_topics"], make_posts().assign(title=titles))
    labels = list(table.labels().values())
    assert len(set(labels)) == len(labels) > 5
    assert any(sign in label for label in labels for sign in signs)


def test_what_is_taken_of_a_whole_equals_what_is_given_alone() -> None:
    posts = make_posts()
    rows = np.array([5, 3, 100])
    taken, alone = given(posts).take(rows), given(posts.iloc[rows])
    np.testing.assert_array_equal(taken.vectors("image"), alone.vectors("image"))
    np.testing.assert_array_equal(taken.has("text"), alone.has("text"))
    np.testing.assert_array_equal(taken.image_statistics(), alone.image_statistics())
    assert taken.text("title").tolist() == alone.text("title").tolist()
