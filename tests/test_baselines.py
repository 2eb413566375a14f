"""Each baseline finds what its kind of information decides, from training posts alone."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest

from engage_cli.evaluation import baselines
from engage_cli.evaluation.baselines import BASELINES, NEED_VECTORS, Part
from engage_cli.metrics.metrics import METRICS, PRIMARY

ALL = [(kind, name) for kind in BASELINES for name in BASELINES[kind]]
INFORMED = [(kind, name) for kind, name in ALL if name != "constant"]
SIZES = {"train": 160, "validation": 80, "asked": 80}
WORDS = ["red", "blue", "green", "grey"]
DECIDED_BY = {"text length": "length", "tf-idf": "word", "nearest neighbours": "vector", "embeddings": "vector"}


@functools.cache
def parts_of(kind: str, decisive: str) -> tuple[Part, Part, Part, np.ndarray]:
    """Train, validation, the posts to predict, and what is true of these: decided by a length, a word, or a vector."""
    random = np.random.default_rng(0)
    num = sum(SIZES.values())
    level = random.integers(0, 5, num)  # of what decides
    lengths = 1 + 3 * level if decisive == "length" else np.full(num, 8)
    titles = [" ".join(random.choice(WORDS, length)) for length in lengths]
    if decisive == "word":
        titles = [f"{title} {'abcde'[one] * 4}" for title, one in zip(titles, level, strict=True)]
    vectors = random.normal(size=(num, 8)).astype(np.float32)
    if decisive == "vector":
        vectors[:, 0] += 2 * level
    truth = level if kind == "classes" else level + 0.3 * random.normal(size=num)
    posts = pd.DataFrame({"title": titles, "tags": "", "description": None, "views": np.expm1(truth)})
    ends = np.cumsum(list(SIZES.values()))
    cuts = [slice(end - size, end) for end, size in zip(ends, SIZES.values(), strict=True)]
    train, validation, asked = (Part(posts.iloc[cut], truth[cut], vectors[cut]) for cut in cuts)
    return train, validation, asked._replace(truth=np.zeros(0)), truth[cuts[2]]


def predict(kind: str, name: str, train: Part, validation: Part, asked: Part) -> np.ndarray:
    found = BASELINES[kind].load(name)(train, validation, asked)
    assert found.kind == kind
    assert found.main.shape == ((len(asked.posts),) if kind == "value" else (len(asked.posts), 5))
    assert np.isfinite(found.main).all()
    if kind == "classes":
        assert found.main.sum(axis=1) == pytest.approx(1.0)
        assert found.main.min() >= 0
    return found.main


def decisive_of(name: str) -> str:
    return DECIDED_BY.get(name, DECIDED_BY.get(name.partition(" + ")[0], "word"))


def test_which_baselines_need_vectors() -> None:
    assert set(NEED_VECTORS) == {name for _, name in ALL if decisive_of(name) == "vector"}


@pytest.mark.parametrize(("kind", "name"), INFORMED)
def test_each_finds_what_its_information_decides(kind: str, name: str) -> None:
    train, validation, asked, true = parts_of(kind, decisive_of(name))
    metric = METRICS[kind].load(PRIMARY[kind])
    constant = metric(true, predict(kind, "constant", train, validation, asked))
    assert constant < 0.05
    assert metric(true, predict(kind, name, train, validation, asked)) > 0.6


@pytest.mark.parametrize(("kind", "name"), [one for one in INFORMED if one[1] not in NEED_VECTORS])
def test_texts_decide_nothing_where_vectors_do(kind: str, name: str) -> None:
    train, validation, asked, true = parts_of(kind, "vector")
    found = METRICS[kind].load(PRIMARY[kind])(true, predict(kind, name, train, validation, asked))
    assert found < 0.15


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_none_looks_at_the_truth_of_the_posts_it_predicts(kind: str, name: str) -> None:
    """Nor at their counters, nor at the other posts that are asked for."""
    train, validation, asked, true = parts_of(kind, decisive_of(name))
    before = predict(kind, name, train, validation, asked)
    told = asked._replace(truth=true, posts=asked.posts.assign(views=1e9, likes=3))
    assert (predict(kind, name, train, validation, told) == before).all()
    few = Part(asked.posts.iloc[:7], np.zeros(0), asked.vectors[:7])
    assert predict(kind, name, train, validation, few) == pytest.approx(before[:7], abs=1e-5)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_where_all_training_posts_are_of_one_class_that_is_named(kind: str, name: str) -> None:
    train, validation, asked, _ = parts_of(kind, decisive_of(name))
    found = predict(kind, name, train._replace(truth=np.full(len(train.truth), 3)), validation, asked)
    if kind == "classes":
        assert (found[:, 3] == 1.0).all()
    else:
        assert found == pytest.approx(3.0)


@pytest.mark.parametrize(("kind", "name"), ALL)
@pytest.mark.parametrize("num", [1, 3])
def test_fewer_training_posts_than_neighbours(kind: str, name: str, num: int) -> None:
    train, validation, asked, _ = parts_of(kind, decisive_of(name))
    few = Part(train.posts.iloc[:num], train.truth[:num], train.vectors[:num])
    found = predict(kind, name, few, validation, asked)
    if name in ("constant", "nearest neighbours") and kind == "value":
        assert found == pytest.approx(train.truth[:num].mean())
    if kind == "classes":
        assert set(found.argmax(axis=1)) <= set(train.truth[:num])


@pytest.mark.parametrize(("kind", "name"), ALL)
@pytest.mark.parametrize("text", ["absent", "", "🔥", "—", "!!!"])
def test_posts_without_a_word(kind: str, name: str, text: str) -> None:
    """A vocabulary needs one; marks and emoji make none."""
    train, validation, asked, _ = parts_of(kind, "vector")

    def bare(part: Part) -> Part:
        return part._replace(posts=part.posts[["views"]] if text == "absent" else part.posts.assign(title=text))

    found = predict(kind, name, bare(train), bare(validation), bare(asked))
    if name not in NEED_VECTORS:
        assert (np.ptp(found, axis=0) < 1e-9).all()  # nothing tells one from another
    if kind == "value" and name not in NEED_VECTORS:
        assert found == pytest.approx(train.truth.mean())


@pytest.mark.parametrize("kind", BASELINES)
def test_the_constant_is_the_training_mean_or_the_training_shares(kind: str) -> None:
    train, validation, asked, _ = parts_of(kind, "word")
    found = predict(kind, "constant", train, validation, asked)
    shares = np.bincount(train.truth, minlength=5) / 160 if kind == "classes" else train.truth.mean()
    assert found == pytest.approx(np.broadcast_to(shares, found.shape))


def test_the_strength_is_what_serves_the_validation_posts() -> None:
    """Vectors tell the training truth and nothing of the validation posts: the strongest ridge is chosen."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(200, 150)).astype(np.float32)
    posts = pd.DataFrame({"title": [""] * 200})
    train = Part(posts[:100], vectors[:100, 0].astype(np.float64), vectors[:100])
    useless = Part(posts[100:], random.normal(size=100), vectors[100:])
    useful = useless._replace(truth=vectors[100:, 0].astype(np.float64))
    spreads = [predict("value", "embeddings + ridge", train, one, useless).std() for one in (useless, useful)]
    assert 10 * spreads[0] < spreads[1]


def test_of_many_posts_baselines_learn_from_some_evenly_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    places = np.arange(100, 400)
    assert baselines.thinned(places, "train", "value") is places
    monkeypatch.setattr(baselines, "MOST_LEARNED", {"value": 60, "classes": 7})
    some = baselines.thinned(places, "train", "value")
    assert (len(np.unique(some)), some[0], some[-1]) == (60, 100, 399)
    assert np.diff(some).max() - np.diff(some).min() <= 1
    assert len(baselines.thinned(places, "train", "classes")) == 7
    assert baselines.thinned(places, "validation", "value") is places


@pytest.mark.parametrize("kind", ["value", "classes"])
def test_neighbours_of_many_posts_are_those_of_few(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation, asked, _ = parts_of(kind, "vector")
    few = predict(kind, "nearest neighbours", train, validation, asked)
    monkeypatch.setattr(baselines, "MOST_EXACT", 10)
    np.testing.assert_allclose(predict(kind, "nearest neighbours", train, validation, asked), few, atol=1e-9)
