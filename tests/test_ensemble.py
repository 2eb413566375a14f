"""Weights of an ensemble: found again, never negative, and blind to the truth of the post that is predicted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

from engage_cli.data.targets.target import fit_target
from engage_cli.errors import EngageError
from engage_cli.io.records import checksum
from engage_cli.models.ensemble.fit import fit_weights, held_out_predictions
from engage_cli.models.ensemble.predictor import WEIGHTS_FILE, EnsemblePredictor, Weights
from engage_cli.models.predictions import Predictions
from engage_cli.runs.records import DataOf, RunMeta
from engage_cli.runs.run_folder import Run


def values(random: np.random.Generator, num: int = 500, members: int = 3) -> list[Predictions]:
    return [Predictions(value=random.normal(loc=number, size=num)) for number in range(members)]


def classes(random: np.random.Generator, num: int = 3000, members: int = 3) -> list[Predictions]:
    return [Predictions(probabilities=random.dirichlet(np.full(5, 0.5), num)) for _ in range(members)]


def labels_of(shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return (random.random((len(shares), 1)) > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)


def log_loss(weights: Weights, said: list[Predictions], true: np.ndarray) -> float:
    mixed = weights.combine(said).main
    return float(-np.log(np.maximum(mixed[np.arange(len(true)), true], 1e-12)).mean())


def test_members_are_added_up_by_their_weights() -> None:
    said = [Predictions(value=np.array([1.0, 2.0])), Predictions(value=np.array([10.0, 20.0]))]
    found = Weights(members=(0.5, 0.1), offset=3.0).combine(said)
    assert found.value.tolist() == [4.5, 6.0]


def test_classes_are_added_up_on_the_scale_of_normal_scores() -> None:
    edges = [stats.norm.cdf([-1.0, 0.0, 0.5, 2.0]), stats.norm.cdf([-2.0, 0.5, 1.0, 1.5])]
    said = [Predictions(probabilities=np.diff(below, prepend=0.0, append=1.0)[None]) for below in edges]
    found = Weights(members=(0.5, 0.4)).combine(said).main[0]
    assert found.cumsum()[:4] == pytest.approx(stats.norm.cdf([-1.3, 0.2, 0.65, 1.6]))
    assert found.sum() == pytest.approx(1.0)


def test_known_weights_of_values_are_found_again() -> None:
    random = np.random.default_rng(0)
    said = values(random)
    true = 1.5 + 0.7 * said[0].main + 0.2 * said[1].main
    exact = fit_weights(said, true)
    assert exact.members == pytest.approx((0.7, 0.2, 0.0), abs=1e-9)
    assert exact.offset == pytest.approx(1.5)
    noisy = fit_weights(said, true + 0.2 * random.normal(size=500))
    assert noisy.members == pytest.approx((0.7, 0.2, 0.0), abs=0.03)
    assert noisy.offset == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_no_weight_is_negative_and_a_useless_member_counts_for_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    said = values(random, num=80, members=4)
    against = fit_weights(said, said[0].main - 2 * said[1].main + random.normal(size=80))
    assert 0.0 <= min(against.members) == against.members[1] < 0.2 < against.members[0]
    twins = [said[0], Predictions(value=said[0].main + 1e-3 * random.normal(size=80))]
    played_off = fit_weights(twins, said[0].main + random.normal(size=80))
    assert min(played_off.members) >= 0.0
    assert sum(played_off.members) == pytest.approx(1.0, abs=0.5)
    with_useless = fit_weights(values(random, num=5000), random.normal(size=5000))
    assert max(with_useless.members) < 0.05


def test_a_constant_member_and_a_constant_truth_do_no_harm() -> None:
    random = np.random.default_rng(1)
    useful = random.normal(size=100)
    said = [Predictions(value=np.full(100, 0.3)), Predictions(value=useful)]
    found = fit_weights(said, 2 * useful + 1)
    assert found.combine(said).main == pytest.approx(2 * useful + 1)
    flat = fit_weights(said, np.full(100, 0.3))
    assert flat.combine(said).main == pytest.approx(0.3)


def test_what_members_say_together_is_corrected_only_as_far_as_the_posts_show_it() -> None:
    """An offset or a sum that noise explains is none."""
    random = np.random.default_rng(3)
    said = values(random, num=400, members=2)
    true = 0.6 * said[0].main + 0.4 * said[1].main + random.normal(size=400)
    found = fit_weights(said, true)
    assert sum(found.members) == pytest.approx(1.0, abs=1e-12)
    assert found.offset == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("moved", [0.15, 0.3, 1.0])
def test_an_offset_that_the_posts_show_is_kept_as_far_as_the_garrote_lets_it(moved: float) -> None:
    random = np.random.default_rng(4)
    one = random.normal(size=500)
    noise = random.normal(size=500)
    noise -= np.polyval(np.polyfit(one, noise, 1), one)  # so that the sum is 1, and the offset what was moved
    found = fit_weights([Predictions(value=one)], one + noise + moved)
    variance = (noise**2).sum() / 498 / 500
    chance = stats.f.ppf(stats.norm.cdf(2) - stats.norm.cdf(-2), 1, 498)  # 4 of very many posts
    assert found.members == pytest.approx((1.0,))
    assert found.offset == pytest.approx(moved * (1 - chance * variance / moved**2), rel=1e-4)


def test_an_error_that_models_of_other_posts_share_is_no_offset() -> None:
    """Models of the earlier half are too low for the later one; those of all posts, which the weights are for, are not."""
    random = np.random.default_rng(4)
    one = random.normal(size=60)
    said, true = [Predictions(value=one), Predictions(value=one + 0.1 * random.normal(size=60))], one + 1.0
    by_others = fit_weights(said, true, by_others=True)
    assert by_others.members == pytest.approx(fit_weights(said, true).members)
    assert fit_weights(said, true).combine(said).main.mean() == pytest.approx(true.mean(), abs=0.1)
    middle = np.average([each.main.mean() for each in said], weights=by_others.members)
    assert by_others.combine(said).main.mean() == pytest.approx(middle)
    held_out = held_out_predictions(said, true, by_others=True).main
    assert np.abs(held_out - one).max() < 0.3


@pytest.mark.parametrize("kind", ["value", "classes"])
@pytest.mark.parametrize("num", [1, 2, 3, 6, 12, 27, 54])
def test_weights_of_few_posts_stay_equal_where_chance_explains_all(kind: str, num: int) -> None:
    """Three members that know the truth equally well, each with noise of its own."""
    moved = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        truth = random.normal(size=num)
        hints = [truth + random.normal(size=num) for _ in range(3)]
        if kind == "value":  # what each says of the truth: their mean is as spread out as it should be
            said = [Predictions(value=0.75 * hint) for hint in hints]
            true = truth
        else:
            edges = np.array([-0.84, -0.25, 0.25, 0.84])
            below = [stats.norm.cdf((edges - 0.75 * hint[:, None]) / 0.5) for hint in hints]
            said = [Predictions(probabilities=np.diff(one, axis=1, prepend=0.0, append=1.0)) for one in below]
            true = (truth[:, None] > edges).sum(axis=1)
        found = fit_weights(said, true)
        assert 0.3 < sum(found.members) < 2.0
        moved += max(found.members) - min(found.members) > 1e-9
    assert moved <= 6  # of 40: chance alone moves one in 22


@pytest.mark.parametrize("num", [199, 200, 600])
def test_many_posts_hold_shares_back_only_by_what_chance_gains_in_the_mean(num: int) -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=num)
    said = np.stack([truth + noise * random.normal(size=num) for noise in (1.0, 1.5, 1.5)], axis=1)
    found = np.array(fit_weights([Predictions(value=one) for one in said.T], truth).members)
    away, wanted = said - said.mean(axis=0), truth - truth.mean()
    best, rest = optimize.nnls(away, wanted)
    mean = away.mean(axis=1)
    gain = ((wanted - mean * (mean @ wanted) / (mean @ mean)) ** 2).sum() - rest**2
    times = special.fdtri(2, num - 4, 0.9545) if num < 200 else 1.0
    kept = 1 - 2 * times * rest**2 / (num - 4) / gain
    assert 0 < kept < 1
    assert found / found.sum() == pytest.approx(1 / 3 + kept * (best / best.sum() - 1 / 3), abs=1e-6)


@pytest.mark.parametrize("kind", ["value", "classes"])
def test_what_models_of_other_posts_show_moves_weights_only_where_it_is_clear(kind: str) -> None:
    """A member that is a little better counts more; but not where what is seen of it comes from other models."""
    random = np.random.default_rng(0)
    truth = random.normal(size=54)

    def weights(deviation: float, *, by_others: bool) -> tuple[float, ...]:
        hints = [truth + size * random.permutation(noise) for size in (deviation, 1.0, 1.0)]
        if kind == "value":
            said, true = [Predictions(value=0.75 * hint) for hint in hints], truth
        else:
            edges = np.array([-0.84, -0.25, 0.25, 0.84])
            below = [stats.norm.cdf((edges - 0.75 * hint[:, None]) / 0.5) for hint in hints]
            said = [Predictions(probabilities=np.diff(one, axis=1, prepend=0.0, append=1.0)) for one in below]
            true = (truth[:, None] > edges).sum(axis=1)
        return fit_weights(said, true, by_others=by_others).members

    noise = random.normal(size=54)
    clear = weights(0.1, by_others=True)
    assert clear[0] > 2 * max(clear[1:])
    moved = dict.fromkeys((False, True), 0)
    for by_others in moved:
        for _ in range(30):
            found = weights(0.75, by_others=by_others)
            moved[by_others] += max(found) - min(found) > 1e-9
    assert moved[True] < moved[False]


@pytest.mark.parametrize("better", [0.3, 1.0])
def test_a_member_that_is_far_better_is_found_by_many_posts_and_not_by_few(better: float) -> None:
    weights = {}
    for num in (6, 30, 3000):
        random = np.random.default_rng(7)
        truth = random.normal(size=num)
        said = [Predictions(value=truth + size * random.normal(size=num)) for size in (better, 3.0, 3.0)]
        weights[num] = fit_weights(said, truth).members
    assert weights[3000][0] > 5 * max(weights[3000][1:])
    assert max(weights[6]) == min(weights[6]) or better < 1.0  # their shares are equal still
    assert weights[30][0] <= weights[3000][0] + 0.2


def test_members_that_say_nothing_count_for_nearly_nothing_where_many_posts_show_it() -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=2000)
    true = 0.5 * random.normal(size=2000)
    found = fit_weights([Predictions(value=one), Predictions(value=one)], true)
    assert found.members[0] == found.members[1]
    assert 0 < sum(found.members) < 0.05
    few = fit_weights([Predictions(value=one[:12]), Predictions(value=one[:12])], 2 * random.normal(size=12))
    assert sum(few.members) > 0.5


@pytest.mark.parametrize("known", [(0.6, 0.3, 0.1), (0.9, 0.5, 0.0), (1.0, 0.0, 0.0)])
def test_weights_of_classes_are_the_likeliest(known: tuple[float, ...]) -> None:
    random = np.random.default_rng(2)
    said = classes(random)
    true = labels_of(Weights(members=known).combine(said).main, random)
    found = fit_weights(said, true)
    assert min(found.members) >= 0
    assert found.members == pytest.approx(known, abs=0.06)

    def loss(weights: np.ndarray) -> float:
        return log_loss(Weights(members=tuple(np.abs(weights))), said, true)

    starts = (np.full(3, 0.3), np.array([2.0, 0.1, 0.1]))
    best = min(optimize.minimize(loss, start, method="Nelder-Mead").fun for start in starts)
    assert log_loss(found, said, true) == pytest.approx(best, abs=3e-4)  # as far as the posts do not show it


def test_members_that_know_different_things_are_surer_together() -> None:
    """What no average of probabilities can be: two independent hints at one class say more than either."""
    random = np.random.default_rng(6)
    truth = random.normal(size=4000)
    edges = np.array([-0.84, -0.25, 0.25, 0.84])
    hints = [truth + random.normal(size=4000) for _ in range(2)]  # the truth given one hint: half of it, deviation 0.71

    def say(hint: np.ndarray) -> Predictions:
        below = stats.norm.cdf((edges - hint[:, None] / 2) / 0.5**0.5)
        return Predictions(probabilities=np.diff(below, axis=1, prepend=0.0, append=1.0))

    said, true = [say(hint) for hint in hints], (truth[:, None] > edges).sum(axis=1)
    found = fit_weights(said, true)
    assert sum(found.members) > 1.1
    average = np.mean([one.main for one in said], axis=0)[np.arange(len(true)), true]
    assert log_loss(found, said, true) < -np.log(average).mean() - 0.02


def test_a_class_that_no_member_believes_in_is_no_division_by_zero() -> None:
    said = [Predictions(probabilities=np.eye(5)[[0, 1, 2]]), Predictions(probabilities=np.eye(5)[[0, 1, 3]])]
    found = fit_weights(said, np.array([0, 1, 4]))
    assert np.isfinite(found.members).all()
    assert found.members[0] == pytest.approx(found.members[1], abs=0.2)


@pytest.mark.parametrize("kind", ["value", "classes"])
@pytest.mark.parametrize("num", [3, 60])
def test_a_posts_own_truth_does_not_move_its_prediction(kind: str, num: int) -> None:
    random = np.random.default_rng(3)
    said = values(random, num=num) if kind == "value" else classes(random, num=num)
    true = random.normal(size=num) if kind == "value" else random.integers(0, 5, num)
    before = held_out_predictions(said, true).main
    others_move = 0
    for row in range(num):
        other = true.copy()
        other[row] = other[row] + 50 if kind == "value" else (other[row] + 2) % 5
        after = held_out_predictions(said, other).main
        assert (after[row] == before[row]).all()
        others_move += bool((after != before).any())
    assert others_move >= (num - 1 if num > 3 else 0)  # three posts move no weight


@pytest.mark.parametrize("kind", ["value", "classes"])
@pytest.mark.parametrize("num", [1, 2, 11])
def test_held_out_predictions_of_few_posts(kind: str, num: int) -> None:
    random = np.random.default_rng(4)
    said = values(random, num=num) if kind == "value" else classes(random, num=num)
    true = random.normal(size=num) if kind == "value" else random.integers(0, 5, num)
    found = held_out_predictions(said, true)
    assert found.kind == kind
    assert found.main.shape == said[0].main.shape
    assert np.isfinite(found.main).all()
    if kind == "classes":
        assert found.main.sum(axis=1) == pytest.approx(1.0)


def test_held_out_predictions_are_not_as_good_as_fitted_ones() -> None:
    """On noise, weights fitted on the rows themselves seem to help, as far as they move."""
    random = np.random.default_rng(5)
    said, true = values(random, num=100, members=12), random.normal(size=100)
    fitted = fit_weights(said, true).combine(said).main
    assert ((fitted - true) ** 2).mean() < ((held_out_predictions(said, true).main - true) ** 2).mean()


def stored(folder: Path, saved: dict[str, object]) -> Run:
    """A run of two members whose weights are these."""
    content = {"format": "run weights 2", **saved}
    (folder / WEIGHTS_FILE).write_text(json.dumps({**content, "checksum": checksum(content)}))
    target = fit_target("views", pd.DataFrame({"views": [1.0, 2.0, 3.0]}), fit_on="train")
    data = DataOf(fingerprint="f", split="random")
    return Run(folder, RunMeta(command="x", model="ensemble", kind="value", data=data, members=("1-a", "2-b")), target)


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({}, "weights: Field required"),
        ({"weights": {}, "offset": 0.0}, "the weights do not match the members"),
        ({"weights": [0.5, 0.5], "offset": 0.0}, "weights: Input should be"),
        ({"weights": {"1-a": 0.5, "2-b": None}, "offset": 0.0}, r"weights\.2-b: Input should be a valid number"),
        ({"weights": {"1-a": 0.5, "2-b": "much"}, "offset": 0.0}, r"weights\.2-b: Input should be a valid number"),
        (
            {"weights": {"1-a": 0.5, "2-b": -0.1}, "offset": 0.0},
            r"weights\.2-b: Input should be greater than or equal to 0",
        ),
        ({"weights": {"1-a": 0.5, "2-b": 1e9}, "offset": 0.0}, r"weights\.2-b: Input should be less than or equal to"),
        ({"weights": {"1-a": 0.5, "2-b": 0.5}, "offset": None}, "offset: Input should be a valid number"),
        ({"weights": {"1-a": 0.5, "2-b": 0.5}, "offset": 0.0, "scale": "linear"}, "scale: Unexpected keyword argument"),
    ],
)
def test_wrong_weights_are_one_sentence(saved: dict[str, object], words: str, tmp_path: Path) -> None:
    run = stored(tmp_path, saved)
    with pytest.raises(EngageError, match=rf"ensemble\.json: {words}.*; train again$"):
        EnsemblePredictor(run)


def test_weights_go_by_the_members_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engage_cli.models.ensemble.predictor.members_of", lambda run: [])
    run = stored(tmp_path, {"weights": {"2-b": 0.2, "1-a": 0.8}, "offset": 1.0})
    assert EnsemblePredictor(run).weights == Weights(members=(0.8, 0.2), offset=1.0)
