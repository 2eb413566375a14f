"""Learning from experiments: their levels and known noise, and what is left unknown of a difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engage_cli.models.gaussian_process import process as gaussian_process
from engage_cli.models.gaussian_process import within_experiments
from engage_cli.models.gaussian_process._kernels import JITTER, KernelParams
from engage_cli.models.gaussian_process._likelihood import likelihood
from engage_cli.models.gaussian_process.inputs import KernelInputs
from engage_cli.models.gaussian_process.levels import learn_levels
from engage_cli.models.gaussian_process.measurement import NO_GROUP, Measurement, off_contrasts, on_contrasts
from engage_cli.models.gaussian_process.posterior import packed, posterior_of, unpacked
from engage_cli.models.gaussian_process.process import fit_process, learn_kernel_params
from engage_cli.models.gaussian_process.within_experiments import fit_within_experiments, scale_of
from tests.test_gaussian_process import make_views

GROUPS = np.array([7, 7, 7, NO_GROUP, 3, 9, 3, NO_GROUP])
KERNEL = KernelParams(weights={"text": 0.8, "words": 0.4}, lengths={"text 0": 0.7}, noise=0.1, level=9.0)


def planted(num: int, seed: int = 0, *, levels: float = 5.0) -> tuple[KernelInputs, np.ndarray, np.ndarray, np.ndarray]:
    """Posts of experiments of four, whose levels differ wildly; truths, groups, and known noise of two sizes."""
    rng = np.random.default_rng(seed)
    views = make_views(num, seed)
    groups = np.arange(num) // 4
    noise = np.where(np.arange(num) % 2, 0.01, 0.5)
    effect = 2 * views.text[:, 0] + np.sin(4 * views.text[:, 1])
    truth = effect + levels * rng.standard_normal(num)[groups] + np.sqrt(noise) * rng.standard_normal(num)
    return views, truth, groups, noise


def test_contrasts_are_orthonormal_and_see_no_level_of_an_experiment() -> None:
    contrasts = Measurement(groups=GROUPS, noise_variance=np.zeros(8)).contrasts().to_dense().numpy()
    assert contrasts.shape == (5, 8)  # three posts, two, one, and two of no experiment
    np.testing.assert_allclose(contrasts @ contrasts.T, np.eye(5), atol=1e-12)
    level = np.where(GROUPS == 7, 2.0, np.where(GROUPS == 3, -1.0, np.where(GROUPS == 9, 8.0, 0.0)))
    np.testing.assert_allclose(contrasts @ level, 0.0, atol=1e-12)
    np.testing.assert_allclose((contrasts**2).sum(axis=0)[[3, 5, 7]], [1, 0, 1])


def test_the_way_back_from_contrasts_is_the_transpose() -> None:
    contrasts = Measurement(groups=GROUPS, noise_variance=np.zeros(8)).contrasts()
    rng = np.random.default_rng(0)
    matrix, other = torch.from_numpy(rng.standard_normal((8, 8))), torch.from_numpy(rng.standard_normal((5, 5)))
    there, back = on_contrasts(contrasts, matrix), off_contrasts(contrasts, other)
    assert float((there * other).sum()) == pytest.approx(float((matrix * back).sum()))


def test_the_slope_of_the_restricted_likelihood_is_that_of_autograd() -> None:
    rng = np.random.default_rng(1)
    root = torch.from_numpy(rng.standard_normal((8, 8)))
    covariance, wanted = (root @ root.T + torch.eye(8)).requires_grad_(), torch.from_numpy(rng.standard_normal(8))
    contrasts = Measurement(groups=GROUPS, noise_variance=np.zeros(8)).contrasts()
    dense = contrasts.to_dense()
    reduced, seen = dense @ covariance @ dense.T, dense @ wanted
    loss = 0.5 * seen @ torch.linalg.solve(reduced, seen) + 0.5 * torch.logdet(reduced)
    loss.backward()
    found, slope = likelihood(covariance.detach(), wanted, contrasts)
    assert found == pytest.approx(loss.item())
    assert covariance.grad is not None
    np.testing.assert_allclose(slope, (covariance.grad + covariance.grad.T) / 2, atol=1e-10)


def test_variants_of_an_experiment_share_its_level_and_have_noise_of_their_own() -> None:
    known = np.arange(8) / 10
    found = Measurement(groups=GROUPS, noise_variance=known).covariance_of_noise(0.5, 2.0).numpy()
    for one in range(8):
        for other in range(8):
            level = 2.0 * (GROUPS[one] == GROUPS[other] != NO_GROUP)
            assert found[one, other] == pytest.approx(level + (0.5 + known[one]) * (one == other))


def test_posts_are_centred_by_the_mean_of_experiments_and_others_by_their_own() -> None:
    truth = np.array([1.0, 2.0, 3.0, 10.0, 5.0, 9.0, 7.0, 30.0])
    measured = Measurement(groups=GROUPS, noise_variance=np.zeros(8))
    mean = (2.0 + 6.0 + 9.0) / 3
    np.testing.assert_allclose(measured.centre(truth), np.where(GROUPS == NO_GROUP, 20.0, mean))
    assert measured.variance_of_levels(truth) == pytest.approx(np.var([2.0, 6.0, 9.0]))


def test_samples_hold_whole_experiments() -> None:
    measured = Measurement(groups=np.repeat(np.arange(50), 3), noise_variance=np.zeros(150))
    samples = measured.samples(40, seed=1)
    for _ in range(9):
        rows = next(samples)
        assert len(rows) in (33, 39)  # the rest of a turn is shorter
        assert set(np.bincount(measured.groups[rows])) == {0, 3}
    assert [len(rows) for rows in measured.batches(2)] == [3] * 50


@pytest.fixture
def fixed_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(within_experiments, "learn_kernel_params", lambda *args, **more: KERNEL)
    monkeypatch.setattr(within_experiments, "learn_levels", lambda params, *args, **more: params)


@pytest.mark.usefixtures("fixed_kernel")
def test_a_level_of_each_experiment_is_in_the_covariance() -> None:
    """Worked out by hand: what is predicted, and what is left unknown of differences."""
    (views, truth, groups, noise), new = planted(40), make_views(10, seed=8)
    groups = np.where(groups == 0, NO_GROUP, groups)
    measured = Measurement(groups=groups, noise_variance=noise)
    process = fit_within_experiments(views, truth, measured=measured)
    centre, std = measured.centre(truth), scale_of(truth, measured)
    assert (process.mean, process.std) == (centre[0], std)
    kernel = KERNEL.between(views, views).numpy()
    same = (groups[:, None] == groups[None]) & (groups != NO_GROUP)[:, None]
    noisy = kernel + KERNEL.level * same + np.diag(noise / std**2 + KERNEL.noise + JITTER)
    expected = KERNEL.between(new, views).numpy() @ np.linalg.solve(noisy, (truth - centre) / std)
    np.testing.assert_allclose(process.predict(new), centre[0] + std * expected, atol=1e-6)
    left = KERNEL.between(new, new).numpy() - KERNEL.between(new, views).numpy() @ np.linalg.solve(
        noisy, KERNEL.between(views, new).numpy()
    )
    first, second = np.array([0, 3, 5, 5]), np.array([1, 2, 9, 5])
    variance = std**2 * (left[first, first] + left[second, second] - 2 * left[first, second])
    found = posterior_of(process, measured).variance_of_differences(process, new, first, second)
    np.testing.assert_allclose(found, np.maximum(variance, 0.0), atol=1e-4 * std**2)
    assert found[3] == 0.0


@pytest.mark.usefixtures("fixed_kernel")
def test_a_level_that_varies_without_end_changes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    (views, truth, groups, noise), new = planted(40), make_views(10, seed=8)
    moved = []
    for level in (1e8, 0.0):
        params = replace(KERNEL, level=level)
        monkeypatch.setattr(within_experiments, "learn_levels", lambda *args, params=params, **more: params)
        measured = Measurement(groups=groups, noise_variance=noise)
        said = [
            fit_within_experiments(views, some, measured=measured).predict(new)
            for some in (truth, truth + 3 * (groups == 2))
        ]
        moved.append(np.abs(np.diff(said[1]) - np.diff(said[0])).max())
    assert moved[0] < 1e-5 < 0.1 < moved[1]


@pytest.mark.parametrize("size", [0.1, 4.0])
def test_the_variance_of_levels_is_learned(size: float) -> None:
    views, truth, groups, noise = planted(800, levels=size)
    measured = Measurement(groups=groups, noise_variance=noise)
    std = scale_of(truth, measured)
    wanted = (truth - measured.centre(truth)) / std
    found = learn_levels(KERNEL, views, wanted, measured=measured.in_units_of(std))
    assert found.level * std**2 == pytest.approx(size**2, rel=0.35, abs=0.15)


@pytest.mark.usefixtures("fixed_kernel")
def test_landmarks_that_are_all_posts_give_the_exact_process(monkeypatch: pytest.MonkeyPatch) -> None:
    (views, truth, groups, noise), new = planted(40), make_views(10, seed=8)
    exact = fit_within_experiments(views, truth, measured=Measurement(groups=groups, noise_variance=noise))
    measured = Measurement(groups=groups, noise_variance=noise).in_units_of(exact.std)
    monkeypatch.setattr(within_experiments, "AT_ONCE", 10)
    projected = within_experiments._project(
        KERNEL, views, views, (truth - exact.mean) / exact.std, measured, lambda note: None, torch.device("cpu")
    )
    said = exact.mean + exact.std * (KERNEL.between(new, views).numpy() @ projected)
    np.testing.assert_allclose(said, exact.predict(new), atol=1e-3)


def test_an_ordinary_process_knows_its_differences_too() -> None:
    views, truth, _, _ = planted(40)
    process = fit_process(views, truth)[0]
    new = make_views(6, seed=4)
    params = process.kernel_params
    noisy = params.between(views, views).numpy() + np.eye(40) * (params.noise + JITTER)
    left = params.between(new, new).numpy() - params.between(new, views).numpy() @ np.linalg.solve(
        noisy, params.between(views, new).numpy()
    )
    found = posterior_of(process).variance_of_differences(process, new, np.array([0, 2]), np.array([1, 5]))
    expected = process.std**2 * np.array(
        [left[0, 0] + left[1, 1] - 2 * left[0, 1], left[2, 2] + left[5, 5] - 2 * left[2, 5]]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_differences_are_learned_where_levels_hide_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels vary five times as much as what is planted; with the intercepts, new pairs come out in the right order."""
    monkeypatch.setattr(gaussian_process, "NUM_STEPS", 20)
    views, truth, groups, noise = planted(400)
    new = make_views(200, seed=5)
    effect = 2 * new.text[:, 0] + np.sin(4 * new.text[:, 1])
    within = fit_within_experiments(views, truth, measured=Measurement(groups=groups, noise_variance=noise)).predict(new)
    without = fit_process(views, truth)[0].predict(new)
    right = [
        (np.sign(said[:100] - said[100:]) == np.sign(effect[:100] - effect[100:])).mean() for said in (within, without)
    ]
    assert right[0] > 0.78 > 0.7 > right[1]


def test_known_noise_is_not_taken_for_what_a_post_has_of_its_own() -> None:
    views, truth, groups, noise = planted(200)
    std = scale_of(truth, Measurement(groups=groups, noise_variance=noise))
    learned = [
        learn_kernel_params(
            views,
            (truth - truth.mean()) / std,
            landmarks=views,
            measured=Measurement(groups=groups, noise_variance=some / std**2),
        ).noise
        for some in (noise, 0 * noise)
    ]
    assert learned[0] < 0.5 * learned[1]


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_triangle_is_packed_and_unpacked(size: int) -> None:
    factor = np.tril(np.random.default_rng(0).standard_normal((size, size))).astype(np.float32)
    np.testing.assert_array_equal(unpacked(packed(factor)), factor)
    with pytest.raises(ValueError, match="no triangle"):
        unpacked(np.zeros(2, np.float32))
