"""The Gaussian process: its kernels, its arithmetic, what it learns; and `engage train-gp` as a user gives it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from engage_cli.data.dataset import load_dataset
from engage_cli.data.targets.target import fit_target
from engage_cli.features.groups import tfidf
from engage_cli.features.groups.tfidf import PLAIN, STYLE
from engage_cli.io.records import parse
from engage_cli.models.gaussian_process import _projection as projection
from engage_cli.models.gaussian_process import inputs as kernel_inputs
from engage_cli.models.gaussian_process import process as gaussian_process
from engage_cli.models.gaussian_process._kernels import LENGTHS, TERMS, Products, first_lengths, kernel, present_terms
from engage_cli.models.gaussian_process._likelihood import error_left_out, likelihood
from engage_cli.models.gaussian_process.cover_inputs import COVER_NUMBERS
from engage_cli.models.gaussian_process.decomposition import parts_of
from engage_cli.models.gaussian_process.inputs import (
    SPARSE,
    KernelInputs,
    KernelInputsMaker,
    kernel_inputs_from_arrays,
    kernel_inputs_to_arrays,
)
from engage_cli.models.gaussian_process.post_numbers import NUMBERS
from engage_cli.models.gaussian_process.predictor import Cuts, GaussianProcessPredictor
from engage_cli.models.gaussian_process.process import (
    JITTER,
    GaussianProcess,
    KernelParams,
    ProcessState,
    fit_by_landmarks,
    fit_process,
    learn_kernel_params,
    predict_sum,
)
from engage_cli.models.gaussian_process.unfinished import KeptInFolder
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train import gaussian_process as train_process
from tests.calls import answer, engage
from tests.damage import flip


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def covers(num: int) -> dict[str, Any]:
    """What a process that reads covers has beside."""
    rng = np.random.default_rng(9)
    numbers = {name: rng.standard_normal((num, width)).astype(np.float32) for name, width in COVER_NUMBERS.items()}
    return {"cover_words": sparse.identity(num, dtype=np.float32, format="csr"), **numbers}


def make_views(num: int, seed: int = 0, **more: Any) -> KernelInputs:
    rng = np.random.default_rng(seed)

    def terms() -> Any:
        rows = sparse.random(num, 40, density=0.1, random_state=np.random.default_rng(rng.integers(1 << 30)), format="csr")
        lengths = np.maximum(np.sqrt(rows.multiply(rows).sum(axis=1)), 1e-9)
        return sparse.csr_matrix(rows / lengths)

    day = rng.uniform(18_000, 18_500, num)
    found: dict[str, Any] = {
        **{kind: terms() for kind in PLAIN},
        "text": unit(rng.standard_normal((num, 6))),
        "image": unit(rng.standard_normal((num, 5))),
        "day": day,
        "weekday": (np.floor(day) + 3) % 7,
        **{name: np.where(rng.random(num) < 0.2, np.nan, rng.standard_normal(num)) for name in NUMBERS if name != "growth"},
        "statistics": rng.standard_normal((num, 4)).astype(np.float32),
        "author": rng.choice(np.array(["", "a", "b", "c"], object), num),
        "widths": {"text": (6,), "image": (5,)},
        **{kind: terms() for kind in STYLE},
        "growth": rng.standard_normal(num),
    }
    return KernelInputs(**{**found, **more})


def one_term(term: str, first: KernelInputs, second: KernelInputs) -> np.ndarray:
    lengths = {name: torch.tensor(value, dtype=torch.float64) for name, value in first_lengths([term], first).items()}
    return kernel(Products(first, second), {term: torch.tensor(1.0, dtype=torch.float64)}, lengths).numpy()


@pytest.mark.parametrize("term", TERMS)
def test_every_kernel_is_symmetric_and_positive_semi_definite(term: str) -> None:
    views = make_views(60, **covers(60))
    gram = one_term(term, views, views)
    np.testing.assert_allclose(gram, gram.T, atol=1e-6)
    assert np.linalg.eigvalsh((gram + gram.T) / 2).min() > -1e-5
    assert gram.max() <= 1 + 1e-5 or term == "growth"  # which is linear
    product = np.prod([one_term(name, views, views) for name in TERMS[term]], axis=0)
    np.testing.assert_allclose(gram, product, atol=1e-6)


def test_simple_kernels_by_hand() -> None:
    views = make_views(8)
    found = {name: one_term(name, views, views) for name in ("words", "text", "day", "weekday", "author", "statistics")}
    for i in range(8):
        for j in range(8):
            assert found["words"][i, j] == pytest.approx((views.words[i] @ views.words[j].T).toarray()[0, 0], abs=1e-6)
            away = ((views.text[i] - views.text[j]) ** 2).sum()
            assert found["text"][i, j] == pytest.approx(np.exp(-away / (2 * LENGTHS["text"] ** 2)), abs=1e-5)
            days = views.day[i] - views.day[j]
            assert found["day"][i, j] == pytest.approx(np.exp(-(days**2) / (2 * LENGTHS["day"] ** 2)))
            assert found["weekday"][i, j] == float(views.weekday[i] == views.weekday[j])
            assert found["author"][i, j] == float(views.author[i] == views.author[j] != "")


def test_each_part_of_an_embedding_has_a_length_of_its_own() -> None:
    rng = np.random.default_rng(0)
    text = np.concatenate([unit(rng.standard_normal((8, 6))), unit(rng.standard_normal((8, 3)))], axis=1)
    views = make_views(8, text=text, widths={"text": (6, 3), "image": (5,)})
    assert first_lengths(["text"], views) == pytest.approx({"text 0": 0.7 * 2**0.5, "text 1": 0.7 * 2**0.5})
    one = torch.tensor(1.0, dtype=torch.float64)
    found = kernel(Products(views, views), {"text": one}, {"text 0": one * 0.5, "text 1": one * 2.0}).numpy()
    away = [((text[1, part] - text[2, part]) ** 2).sum() for part in (slice(0, 6), slice(6, 9))]
    assert found[1, 2] == pytest.approx(np.exp(-away[0] / (2 * 0.5**2) - away[1] / (2 * 2.0**2)), abs=1e-6)
    text[3] = 0.0
    assert not kernel(Products(views, views), {"text": one}, {"text 0": one, "text 1": one})[3].any()


def test_the_parts_that_tell_something_are_found() -> None:
    """The truth is in the second part of the text: the length of the first is long."""
    rng = np.random.default_rng(3)
    text = np.concatenate([unit(rng.standard_normal((400, 6))), unit(rng.standard_normal((400, 4)))], axis=1)
    views = make_views(400, text=text, widths={"text": (6, 4), "image": (5,)})
    truth = np.sin(3 * text[:, 6]) + text[:, 7] + 0.2 * rng.standard_normal(400)
    kernel_params = learn_kernel_params(views, (truth - truth.mean()) / truth.std(), landmarks=views)
    assert kernel_params.lengths["text 0"] > 2 * kernel_params.lengths["text 1"]


def test_slopes_are_those_of_autograd() -> None:
    rng = np.random.default_rng(1)
    root, wanted = torch.from_numpy(rng.standard_normal((40, 40))), torch.from_numpy(rng.standard_normal(40))
    covariance = (root @ root.T / 40 + 0.3 * torch.eye(40)).requires_grad_()
    inverse = torch.linalg.inv(covariance)
    loss = 0.5 * wanted @ inverse @ wanted + 0.5 * torch.logdet(covariance)
    error = ((inverse @ wanted / inverse.diagonal()) ** 2).mean()
    for function, value, gains in ((likelihood, loss, loss), (error_left_out, error, 20 * error.log())):
        (slope,) = torch.autograd.grad(gains, covariance, retain_graph=True)
        found, found_slope = function(covariance.detach(), wanted)
        assert found == pytest.approx(value.item())
        torch.testing.assert_close(found_slope, 0.5 * (slope + slope.T), atol=1e-9, rtol=1e-7)


def test_errors_left_out_are_those_of_leaving_out() -> None:
    rng = np.random.default_rng(2)
    root, wanted = rng.standard_normal((12, 12)), rng.standard_normal(12)
    covariance = root @ root.T / 12 + 0.3 * np.eye(12)
    errors = []
    for row in range(12):
        rest = np.delete(np.arange(12), row)
        said = covariance[row, rest] @ np.linalg.solve(covariance[np.ix_(rest, rest)], wanted[rest])
        errors.append(wanted[row] - said)
    found, _ = error_left_out(torch.from_numpy(covariance), torch.from_numpy(wanted))
    assert found == pytest.approx(np.mean(np.square(errors)))


def test_what_is_said_of_posts_left_out_is_fitted_after_the_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a truth that no kernel quite has, in steps: the likelihood alone leaves a larger error than both together."""
    rng = np.random.default_rng(5)
    views = make_views(300, **{kind: sparse.csr_matrix((300, 0), dtype=np.float32) for kind in STYLE})
    truth = np.where(views.text[:, 0] > 0.3, 2.0, np.abs(views.text[:, 1])) * np.exp(0.5 * rng.standard_normal(300))
    truth = (truth - truth.mean()) / truth.std()
    notes: list[str] = []

    def error(**how: float) -> float:
        with monkeypatch.context() as patch:
            for name, value in how.items():
                patch.setattr(gaussian_process, name, value)
            kernel_params = learn_kernel_params(views, truth, landmarks=views, advance=notes.append)
        return float(((truth - gaussian_process._solve(kernel_params, views, truth)[1]) ** 2).mean())

    both = error()
    assert [note.endswith(" nats a post") for note in notes] == [True] * 30 + [False] * 30
    assert float(notes[-1].split()[2]) == pytest.approx(both, abs=0.02)
    assert both < 0.995 * error(LATE=1.0)


def test_what_a_post_lacks_makes_it_like_no_other() -> None:
    views = make_views(5)
    text, day = views.text.copy(), views.day.copy()
    text[0], day[0] = 0.0, np.nan
    lacking = make_views(5, text=text, day=day, author=np.array(["", "a", "a", "b", ""], object))
    for term in ("text", "day", "season", "text x image", "author"):
        assert not one_term(term, lacking, lacking)[0].any(), term
    nothing = make_views(5, text=np.zeros((5, 6), np.float32), day=np.full(5, np.nan), author=np.full(5, "", object))
    assert not {name for term in present_terms(nothing) for name in TERMS[term]} & {"text", "day", "season", "author"}
    assert set(present_terms(make_views(5, **covers(5)))) == set(TERMS)
    assert set(TERMS) - set(present_terms(views)) == {"cover_words", "lettering", "faces"}


LIKENESS = KernelParams(
    weights={"text": 0.6, "words": 0.3, "day": 0.2},
    lengths=first_lengths(["text", "words", "day"], make_views(1)),
    noise=0.4,
)


def test_predictions_are_those_of_the_textbook() -> None:
    views, new = make_views(40), make_views(7, seed=1)
    truth = np.random.default_rng(2).standard_normal(40)
    gram = sum(weight * one_term(term, views, views) for term, weight in LIKENESS.weights.items())
    cross = sum(weight * one_term(term, new, views) for term, weight in LIKENESS.weights.items())
    expected = cross @ np.linalg.solve(gram + (0.4 + JITTER) * np.eye(40), truth)
    coefficients, left_out = gaussian_process._solve(LIKENESS, views, truth)
    process = GaussianProcess(kernel_params=LIKENESS, landmarks=views, coefficients=coefficients, mean=3.0, std=2.0)
    np.testing.assert_allclose(process.predict(new), 3 + 2 * expected, atol=1e-8)
    for row in (0, 17, 39):
        rest = np.delete(np.arange(40), row)
        part = gram[np.ix_(rest, rest)] + (0.4 + JITTER) * np.eye(39)
        assert left_out[row] == pytest.approx(gram[row, rest] @ np.linalg.solve(part, truth[rest]), abs=1e-8)


def test_with_every_post_a_landmark_the_projection_is_exact() -> None:
    views, new = make_views(50), make_views(9, seed=1)
    truth = np.random.default_rng(2).standard_normal(50)
    exact, _ = gaussian_process._solve(LIKENESS, views, truth)
    (projected,) = projection.project([LIKENESS], views, views, [truth])
    said = [
        GaussianProcess(kernel_params=LIKENESS, landmarks=views, coefficients=some, mean=0.0, std=1.0).predict(new)
        for some in (exact, projected)
    ]
    np.testing.assert_allclose(said[0], said[1], atol=2e-3)


def planted(num: int, seed: int = 0, **more: Any) -> tuple[KernelInputs, np.ndarray]:
    """Posts whose truth is a bend of their text's direction, and noise of a quarter of its variance."""
    views = make_views(num, seed, **more)
    rng = np.random.default_rng(seed + 100)
    signal = np.sin(3 * views.text[:, 0]) + views.text[:, 1]
    truth = signal / signal.std() + 0.5 * rng.standard_normal(num)
    return views, (truth - truth.mean()) / truth.std()


def test_it_learns_which_likeness_counts() -> None:
    views, truth = planted(400)
    kernel_params = learn_kernel_params(views, truth, landmarks=views)
    by_text = sum(weight for term, weight in kernel_params.weights.items() if TERMS[term][0] == "text")
    assert by_text > 0.5 * sum(kernel_params.weights.values())
    assert kernel_params.noise == pytest.approx(0.2, abs=0.1)  # a fifth of the variance
    process, left_out = fit_process(views, truth)
    new, wanted = planted(300, seed=5)
    r2 = 1 - ((wanted - process.predict(new)) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum()
    assert r2 > 0.65
    assert 1 - ((truth - left_out) ** 2).sum() / (truth**2).sum() == pytest.approx(r2, abs=0.12)


def test_of_many_posts_landmarks_serve_nearly_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    (views, truth), (new, wanted) = planted(400), planted(300, seed=5)
    monkeypatch.setattr(gaussian_process, "NUM_STEPS", 20)
    whole = fit_process(views, truth)[0].predict(new)
    monkeypatch.setattr(gaussian_process, "MOST_EXACT", 200)
    monkeypatch.setattr(gaussian_process, "AT_ONCE", 128)
    process, left_out = fit_process(views, truth)
    assert len(process.landmarks) == 200
    assert np.isnan(left_out).all()
    misses = [((wanted - said) ** 2).mean() for said in (whole, process.predict(new))]
    assert misses[1] < 1.15 * misses[0]


class _KilledError(Exception):
    pass


def test_processes_of_many_posts_are_fitted_at_once_and_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two of the same posts are what each is alone; a fit that is killed while it compares is the same in the end."""
    views, truth = planted(200)
    monkeypatch.setattr(gaussian_process, "MOST_EXACT", 60)
    monkeypatch.setattr(gaussian_process, "NUM_STEPS", 10)
    monkeypatch.setattr(projection, "AT_ONCE", 16)
    monkeypatch.setattr(projection, "BLOCKS_BETWEEN_SAVES", 4)
    truths = [truth, np.exp(truth)]
    alone = [fit_process(views, one)[0] for one in truths]
    both = fit_by_landmarks(views, truths)
    for one, other in zip(alone, both, strict=True):
        assert other.kernel_params == one.kernel_params
        np.testing.assert_array_equal(other.coefficients, one.coefficients)

    def advance(note: str) -> None:
        told.append(note)
        if note.startswith("112 of"):
            raise _KilledError

    told: list[str] = []
    kept = KeptInFolder(tmp_path)
    with pytest.raises(_KilledError):
        fit_by_landmarks(views, truths, advance=advance, kept=kept)
    told.clear()
    again = fit_by_landmarks(views, truths, advance=told.append, kept=kept)
    assert [note.partition(" ")[0] for note in told] == ["80", "96", "112", "128", "144", "160", "176", "192", "200"]
    for one, other in zip(both, again, strict=True):
        np.testing.assert_array_equal(other.coefficients, one.coefficients)
    damaged = tmp_path / "sums.safetensors"
    flip(damaged, damaged.stat().st_size - 3, 4)
    assert kept.sums(2, 60) is None


def test_views_and_process_come_back_from_arrays() -> None:
    views, truth = planted(60)
    views = replace(views, **covers(60))
    num_terms = {kind: getattr(views, kind).shape[1] for kind in SPARSE}
    back = kernel_inputs_from_arrays(kernel_inputs_to_arrays(views), num_terms=num_terms, widths=views.widths)
    for name in ("day", "weekday", "statistics"):
        np.testing.assert_array_equal(getattr(back, name), getattr(views, name))
    assert back.author.tolist() == views.author.tolist()
    assert all((getattr(back, kind) != getattr(views, kind)).nnz == 0 for kind in SPARSE)
    for name in COVER_NUMBERS:
        np.testing.assert_array_equal(getattr(back, name), getattr(views, name))
    np.testing.assert_allclose(back.text, views.text, atol=1e-3)
    process, _ = fit_process(views, truth)
    state = parse(json.loads(json.dumps(asdict(process.state()))), ProcessState, where="process.json", again="train again")
    restored = GaussianProcess.restore(state, back, process.coefficients)
    new = replace(planted(20, seed=9)[0], **{name: value[:20] for name, value in covers(60).items()})
    np.testing.assert_allclose(restored.predict(new), process.predict(new), atol=5e-3)


def test_who_publishes_is_known_by_how_titles_are_written(checkpoints: dict[str, str], tmp_path: Path) -> None:
    """Words are drawn anew for each title; one channel begins every odd one with a capital, one every even one."""
    rng = np.random.default_rng(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = [["".join(rng.choice(letters, 6)) for _ in range(4)] for _ in range(200)]
    channel = rng.integers(0, 2, 200)
    views = np.exp(8 + 3 * channel + 0.3 * rng.standard_normal(200)).astype(int)
    titles = [
        " ".join(word.capitalize() if place % 2 == odd else word for place, word in enumerate(some))
        for some, odd in zip(words, channel, strict=True)
    ]
    pd.DataFrame({"id": [f"p{n}" for n in range(200)], "title": titles, "views": views}).to_csv(tmp_path / "p.csv")
    data, run = tmp_path / "data", tmp_path / "run"
    answer("prepare", "--table", tmp_path / "p.csv", "--no-images", "--data", data, "--no-dedupe")
    names = ["--vision", checkpoints["vit"], "--text", checkpoints["bert"]]
    found = answer("train-gp", "--data", data, "--target", "views", *names, "--run", run)
    assert found["metrics"]["r2"] > 0.9


def counted(num: int = 50) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    views = rng.integers(10, 10_000, num)
    return pd.DataFrame({"views": views, "likes": rng.binomial(views, 0.1)}).astype(float)


def test_what_grows_with_views_is_learned_in_two_ways_that_add_up_to_it() -> None:
    posts = counted()
    likes = fit_target("likes", posts, fit_on="train")
    parts = parts_of(likes, posts)
    assert [(part.of, part.share) for part in parts] == [("likes", 0.5), ("views", 0.5), ("likes beyond views", 0.5)]
    np.testing.assert_allclose(parts[1].truth, np.log1p(posts["views"]))
    np.testing.assert_allclose(sum(part.share * part.truth for part in parts), likes.score(posts))


@pytest.mark.parametrize("target", ["views", "rate", "composite"])
def test_what_does_not_grow_with_views_is_learned_alone(target: str) -> None:
    posts = counted()
    (part,) = parts_of(fit_target(target, posts, fit_on="train"), posts)
    assert (part.of, part.share) == (target, 1.0)


def test_where_views_lack_the_score_is_learned_alone() -> None:
    posts = counted()
    likes = fit_target("likes", posts, fit_on="train")
    for lacking in (posts.drop(columns="views"), posts.assign(views=posts["views"].where(posts.index > 0))):
        (part,) = parts_of(likes, lacking)
        np.testing.assert_array_equal(part.truth, likes.score(posts))


def test_processes_add_up_by_their_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_process, "NUM_STEPS", 10)
    monkeypatch.setattr(gaussian_process, "AT_ONCE", 16)
    (views, truth), new = planted(60), planted(40, seed=9)[0]
    one, other = (fit_process(views, some)[0] for some in (truth, 3 - 2 * truth**2))
    wanted = 0.5 * one.predict(new) + 2.0 * other.predict(new)
    np.testing.assert_allclose(predict_sum([(0.5, one), (2.0, other)], new), wanted, atol=1e-9)


@pytest.mark.usefixtures("few_steps")
def test_a_run_of_likes_keeps_three_processes(world: Path, tmp_path: Path) -> None:
    encoders = json.loads((world / "runs" / "gp" / "run.json").read_text())["encoders"]
    names = ["--vision", encoders["vision"]["name"], "--text", encoders["text"]["name"]]
    run = tmp_path / "run"
    answer("train-gp", "--data", world / "data", "--target", "likes", *names, "--run", run)
    state = json.loads((run / "process.json").read_text())
    assert [one["of"] for one in state["processes"]] == ["likes", "views", "likes beyond views"]
    predictor = GaussianProcessPredictor(load_run(run))
    assert [share for share, _ in predictor.processes] == [0.5, 0.5, 0.5]
    assert predictor.cuts is None


@pytest.mark.parametrize("damage", ["", "cut", "a number", "the record"])
def test_a_killed_training_of_likes_does_not_fit_again_what_it_had_fitted(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    encoders = json.loads((world / "runs" / "gp" / "run.json").read_text())["encoders"]
    names = ["--vision", encoders["vision"]["name"], "--text", encoders["text"]["name"]]
    command = ["train-gp", "--data", world / "data", "--target", "likes", *names, "--run"]
    monkeypatch.setattr(gaussian_process, "NUM_STEPS", 10)
    answer(*command, tmp_path / "whole")
    asked: list[float] = []

    def killed_in_the_third(views: KernelInputs, truth: np.ndarray, **more: Any) -> Any:
        asked.append(float(truth.mean()))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return fit_process(views, truth, **more)

    monkeypatch.setattr(train_process, "fit_process", killed_in_the_third)
    run = tmp_path / "run"
    assert engage(*command, run).exit_code == 130
    kept = [f"{number}.{suffix}" for number in range(2) for suffix in ("json", "safetensors")]
    assert sorted(path.name for path in (run / "work").iterdir()) == kept
    arrays, state = run / "work" / "1.safetensors", run / "work" / "1.json"
    if damage == "cut":
        arrays.write_bytes(arrays.read_bytes()[:100])
    elif damage == "a number":
        flip(arrays, arrays.stat().st_size - 3, 4)
    elif damage == "the record":
        state.write_text(state.read_text().replace('"mean": ', '"mean": 1'))
    answer(*command, run)
    assert asked[3:] == ([asked[1]] if damage else []) + [asked[2]]
    assert not (run / "work").exists()
    for name in ("process.json", "process.safetensors"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_killed_training_of_more_posts_than_landmarks_goes_on(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not learn its three kernels again, and ends at the same files."""
    encoders = json.loads((world / "runs" / "gp" / "run.json").read_text())["encoders"]
    names = ["--vision", encoders["vision"]["name"], "--text", encoders["text"]["name"]]
    command = ["train-gp", "--data", world / "data", "--target", "likes", *names, "--run"]
    monkeypatch.setattr(gaussian_process, "NUM_STEPS", 10)
    for module in (gaussian_process, train_process):
        monkeypatch.setattr(module, "MOST_EXACT", 60)
    answer(*command, tmp_path / "whole")

    def killed(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as while_killed:
        while_killed.setattr(gaussian_process, "project", killed)
        assert engage(*command, tmp_path / "run").exit_code == 130
    assert sorted(path.name for path in (tmp_path / "run" / "work").iterdir()) == [f"kernel-{n}.json" for n in range(3)]
    monkeypatch.setattr(gaussian_process, "learn_kernel_params", killed)
    answer(*command, tmp_path / "run")
    assert not (tmp_path / "run" / "work").exists()
    for name in ("process.json", "process.safetensors", "posterior.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(json.loads((tmp_path / "run" / "process.json").read_text())["processes"]) == 3


def test_classes_are_cut_from_a_normal_distribution() -> None:
    cuts = Cuts(edges=(-0.84, -0.25, 0.25, 0.84), deviation=0.5)
    found = cuts.probabilities(np.array([-3.0, 0.0, 3.0]))
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert found.argmax(axis=1).tolist() == [0, 2, 4]
    assert found[1] == pytest.approx(found[1][::-1])
    assert found[1, 2] == pytest.approx(0.3829, abs=1e-4)  # half a deviation to each side


def test_the_maker_sees_no_counter_and_fits_on_training_posts_alone(world: Path) -> None:
    data = load_dataset(world / "data")
    source: Any = source_of(load_run(world / "runs" / "gp"), data, SilentReporter())
    train = data.posts[data.posts["split"] == "train"]
    maker = KernelInputsMaker()
    maker.fit(train, source)
    before = {name: array.copy() for name, array in maker.arrays().items()}
    found = kernel_inputs_to_arrays(maker.transform(data.posts, source))
    shuffled = data.posts.assign(views=1.0, likes=data.posts["likes"].to_numpy()[::-1])
    again = kernel_inputs_to_arrays(maker.transform(shuffled, source))
    for name, array in found.items():
        np.testing.assert_array_equal(again[name], array)
    for name, array in before.items():
        np.testing.assert_array_equal(maker.arrays()[name], array)


def test_terms_of_many_posts_are_counted_in_a_sample(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_dataset(world / "data")
    source: Any = source_of(load_run(world / "runs" / "gp"), data, SilentReporter())
    train = data.posts[data.posts["split"] == "train"]

    def terms(most: int) -> set[str]:
        monkeypatch.setattr(tfidf, "MOST_COUNTED", most)
        maker = KernelInputsMaker()
        maker.fit(train, source)
        return set(maker.tfidf.terms["words"])

    all_of_them, some = terms(len(train)), terms(len(train) // 2)
    assert terms(len(train) // 2) == some
    assert some != all_of_them


def test_views_of_many_posts_are_made_when_they_are_taken(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same process, whether all views are in memory or some at a time; scales of parts are those of the whole."""
    data = load_dataset(world / "data")
    source: Any = source_of(load_run(world / "runs" / "gp"), data, SilentReporter())
    train = data.posts[data.posts["split"] == "train"]
    truth = np.log1p(train["views"].to_numpy(float))
    whole = KernelInputsMaker().fit(train, source)
    monkeypatch.setattr(kernel_inputs, "AT_ONCE", 50)
    maker = KernelInputsMaker().fit(train, source)
    for name, scale in whole.scales.items():
        np.testing.assert_allclose(maker.scales[name], scale, rtol=1e-5, atol=1e-6)
    vectors = maker.vectors(train, source)["text"]
    there = vectors[vectors.any(axis=1)]
    np.testing.assert_allclose(
        maker.scales["text"], np.stack([there.mean(axis=0), there.std(axis=0)]), rtol=1e-4, atol=1e-5
    )
    monkeypatch.setattr(gaussian_process, "MOST_EXACT", 60)
    monkeypatch.setattr(gaussian_process, "MOST_LEARNED_FROM", 60)
    views = maker.transform(train, source)
    (kept, _), (made, left_out) = (fit_process(some, truth) for some in (views, maker.later(train, source)))
    assert len(made.landmarks) == 60
    assert np.isnan(left_out).all()
    assert made.kernel_params == kept.kernel_params
    np.testing.assert_array_equal(made.coefficients, kept.coefficients)


@pytest.mark.parametrize("kind", ["value", "classes"])
def test_a_run_without_dates_and_authors(world: Path, kind: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    meta = json.loads((world / "data" / "dataset.json").read_text())["sources"]
    assert meta
    encoders = json.loads((world / "runs" / "gp" / "run.json").read_text())["encoders"]
    names = ["--vision", encoders["vision"]["name"], "--text", encoders["text"]["name"]]
    found = answer("train-gp", "--data", world / "data", "--target", "views", "--as", kind, *names, "--run", run)
    assert found["note"] == "no validation post was used in training"
    assert found["rows"]["train"] > 100
    weights = json.loads((run / "process.json").read_text())["processes"][0]["weights"]
    assert not {name for term in weights for name in TERMS[term]} & {"day", "season", "weekday", "author"}
    shown = engage("train-gp", "--data", world / "data", "--as", "both", "--run", tmp_path / "no")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "unknown --as 'both'" in shown.stderr


def test_dates_count_where_posts_have_them(tmp_path: Path, pixelrec: Path, checkpoints: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    days = rng.integers(0, 360, 240)
    views = np.exp(8 + 2 * np.sin(days / 57) + 0.2 * rng.standard_normal(240)).astype(int)
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D")
    posts = pd.DataFrame({"id": [f"p{n}" for n in range(240)], "title": [f"title {n}" for n in range(240)], "views": views})
    posts.assign(posted_at=dates.strftime("%Y-%m-%d")).to_csv(tmp_path / "posts.csv", index=False)
    data, run = tmp_path / "data", tmp_path / "run"
    answer("prepare", "--table", tmp_path / "posts.csv", "--no-images", "--data", data, "--split", "random", "--no-dedupe")
    names = ["--vision", checkpoints["vit"], "--text", checkpoints["bert"]]
    answer("train-gp", "--data", data, "--target", "views", *names, "--run", run)
    (score,) = answer("evaluate", run, "--data", data, "--resamples", 5, "--no-report")["runs"]
    assert score["metrics"]["r2"]["value"] > 0.8
    ask = ["predict", pixelrec / "cover" / "i5.jpg", "--title", "title 7", "--run", run]
    assert (
        "no publication date is given: the answer is for an unknown one. If you know it, give --posted-at"
        in engage(*ask).stderr
    )
    high, low = (answer(*ask, "--posted-at", day)["posts"][0]["value"] for day in ("2024-03-30", "2024-09-26"))
    assert high - low == pytest.approx(4.0, abs=1.0)


@pytest.mark.parametrize("name", ["process.json", "process.safetensors"])
def test_a_damaged_run_is_one_sentence(world: Path, pixelrec: Path, name: str, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(world / "runs" / "gp", run)
    (run / name).write_bytes((run / name).read_bytes()[:50])
    result = engage("predict", pixelrec / "cover" / "i5.jpg", "--title", "a", "--run", run)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{name} was changed or damaged: its hash differs; train again" in result.stderr
