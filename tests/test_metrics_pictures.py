"""Scores of pictures against the truth: EVREAL's own numbers, plain NumPy, and laws.

GOLDEN comes from EVREAL's classes (commit 398f035, scikit-image 0.26, OpenCV 5.0), run on `pictures()`.
"""

import warnings
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from evinr.events import InputError
from evinr.metrics import fidelity
from evinr.metrics.equalisation import equalise
from evinr.metrics.normalisation import align, normalise
from evinr.metrics.temporal import flow, temporal_consistency
from evinr.protocols import Equalisation
from evinr.simulator import demo

GOLDEN = {
    "mse": [0.01902367306945571, 0.016921366963574148, 0.015179297850482307],
    "ssim": [0.7664578349199146, 0.7832122235734548, 0.796875603565148],
    "ssim_legacy": [0.7921886298613889, 0.80664291171836, 0.8186087573426111],
    "ssim_uniform": [0.7818737865737194, 0.7986441714375898, 0.8137090986760499],
}
PLACES = ([0, 0, 1, 2, 2], [0, 30, 59, 17, 44], [0, 40, 79, 5, 61])
EQUALISED = {
    "global": (0.50318706, 0.28690135, [0.87531483, 0.82770699, 0.72138315, 0.49822521, 0.94783562]),
    "local": (0.50140256, 0.28666264, [0.85490203, 0.82745105, 0.73725492, 0.48235297, 0.95294124]),
    "clahe": (0.4857628, 0.27338743, [0.59215688, 0.73333335, 0.81960791, 0.40784317, 0.82745105]),
}
NORMALISED = {
    "none": (0.35136312, 0.78343636, [1.36047649, 1.18888092, 0.84092772, 0.335199, 1.66476011]),
    "standard": (0.46446738, 0.2692693, [0.8112008, 0.75223035, 0.63283837, 0.4588922, 0.91584671]),
    "robust": (0.47200522, 0.27363992, [0.82463634, 0.76468915, 0.64332974, 0.46602544, 0.930083]),
    "exprobust": (0.25448525, 0.24979162, [0.58142489, 0.48019177, 0.32157436, 0.16922551, 0.80750269]),
}
"""Mean and standard deviation over all pictures, and the numbers at PLACES."""


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Three predictions of 60 x 80 and their truths, by rule."""
    n, y, x = np.mgrid[:3, :60, :80]
    truth = 0.5 + 0.25 * np.sin(0.31 * x + 0.2 * n) + 0.2 * np.cos(0.23 * y - 0.15 * x)
    prediction = 0.45 + 0.3 * np.sin(0.31 * x + 0.2 * n + 0.4) + 0.22 * np.cos(0.21 * y - 0.15 * x + 0.1 * n)
    return np.clip(prediction, 0, 1).astype(np.float32), np.clip(truth, 0, 1).astype(np.float32)


PREDICTION, TRUTH = pictures()


def ssim_by_hand(window: np.ndarray, unbiased: float, reach: float) -> list[float]:
    """Wang et al., TIP 2004, eq. 13, over all windows that lie inside, one by one."""
    size = len(window)
    small, smaller = (0.01 * reach) ** 2, (0.03 * reach) ** 2
    answers = []
    for ours, theirs in zip(PREDICTION.astype(np.float64), TRUTH.astype(np.float64), strict=True):
        values = []
        for row, column in np.ndindex(60 - size + 1, 80 - size + 1):
            a, b = (image[row : row + size, column : column + size] for image in (ours, theirs))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = ((window * np.square(image)).sum() for image in (a, b))
            var_a, var_b = unbiased * (var_a - mean_a**2), unbiased * (var_b - mean_b**2)
            both = unbiased * ((window * a * b).sum() - mean_a * mean_b)
            above = (2 * mean_a * mean_b + small) * (2 * both + smaller)
            values.append(above / ((mean_a**2 + mean_b**2 + small) * (var_a + var_b + smaller)))
        answers.append(float(np.mean(values)))
    return answers


@pytest.mark.parametrize("name", GOLDEN)
def test_evreal_s_own_numbers(name: str):
    np.testing.assert_allclose(getattr(fidelity, name)(PREDICTION, TRUTH), GOLDEN[name], atol=1e-7, rtol=0)


@pytest.mark.parametrize(("name", "reach"), [("ssim", 1.0), ("ssim_legacy", 2.0)])
def test_ssim_with_the_gaussian_window_by_hand(name: str, reach: float):
    line = np.exp(-np.square(np.arange(-5, 6) / 1.5) / 2)
    window = np.outer(line, line) / line.sum() ** 2
    got = getattr(fidelity, name)(PREDICTION, TRUTH)
    np.testing.assert_allclose(got, ssim_by_hand(window, 1.0, reach), atol=1e-6, rtol=0)


def test_ssim_with_the_uniform_window_by_hand():
    by_hand = ssim_by_hand(np.full((7, 7), 1 / 49), 49 / 48, 2.0)
    np.testing.assert_allclose(fidelity.ssim_uniform(PREDICTION, TRUTH), by_hand, atol=1e-6, rtol=0)


def test_psnr_and_mse():
    black, gray = np.zeros((2, 3, 4), np.float32), np.full((2, 3, 4), 0.1, np.float32)
    np.testing.assert_allclose(fidelity.mse(black, gray), [0.01, 0.01], rtol=1e-6)
    np.testing.assert_allclose(fidelity.psnr(black, gray), [20, 20], rtol=1e-6)
    assert (fidelity.psnr(gray, gray) == np.inf).all() and (fidelity.mse(gray, gray) == 0).all()


@pytest.mark.parametrize("score", [fidelity.ssim, fidelity.ssim_legacy, fidelity.ssim_uniform])
def test_the_same_pictures_are_similar(score: Callable):
    np.testing.assert_allclose(score(TRUTH, TRUTH), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("score", "least"), [(fidelity.ssim, 11), (fidelity.ssim_legacy, 11), (fidelity.ssim_uniform, 7)]
)
def test_pictures_smaller_than_the_window_are_refused(score: Callable, least: int):
    fits, small = TRUTH[:, :least, :20], TRUTH[:, : least - 1, :20]
    assert score(fits, fits).shape == (3,)
    with pytest.raises(InputError, match=f"pictures of 20 x {least - 1} .* window is {least} x {least}"):
        score(small, small)


def test_corr_looks_past_factor_and_constant():
    log_truth = np.log(TRUTH + 0.05)
    np.testing.assert_allclose(fidelity.corr(3 * log_truth - 7, TRUTH), 1, atol=1e-6)
    np.testing.assert_allclose(fidelity.corr(-log_truth, TRUTH), -1, atol=1e-6)
    got = fidelity.corr(PREDICTION, TRUTH)
    by_numpy = [
        np.corrcoef(a.ravel(), np.log(b.astype(np.float64) + 0.05).ravel())[0, 1]
        for a, b in zip(PREDICTION, TRUTH, strict=True)
    ]
    np.testing.assert_allclose(got, by_numpy, rtol=1e-9)


def test_corr_of_a_constant_picture_is_not_a_number():
    flat = np.concatenate([np.full((1, 60, 80), 0.1), PREDICTION[1:]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = fidelity.corr(flat, TRUTH)
        second = fidelity.corr(PREDICTION, np.full_like(TRUTH, 0.3))
    assert np.isnan(first).tolist() == [True, False, False] and np.isnan(second).all()


@pytest.mark.parametrize("how", EQUALISED)
def test_evreal_s_own_equalisation(how: Equalisation):
    mean, deviation, places = EQUALISED[how]
    got = equalise(PREDICTION, how)
    assert got.dtype == np.float32 and got.shape == PREDICTION.shape
    np.testing.assert_allclose([got.mean(), got.std()], [mean, deviation], atol=2e-6)
    np.testing.assert_allclose(got[PLACES], places, atol=2e-6)


def test_evreal_s_own_contrast_limit():
    """On tiles large enough for the limit of 2 to be more than one pixel a bin."""
    y, x = np.mgrid[:180, :240]
    picture = 0.45 + 0.3 * np.sin(0.31 * x + 0.4) + 0.22 * np.cos(0.21 * y - 0.15 * x)
    got = equalise(np.clip(picture, 0, 1).astype(np.float32)[None], "clahe")[0]
    places = [got.mean(), got.std(), got[90, 120], got[17, 200]]
    np.testing.assert_allclose(places, [0.48718777, 0.29525423, 0.63529414, 0.40392160], atol=2e-6)


def test_equalised_is_named_by_the_protocols():
    assert set(get_args(Equalisation)) == {"none", *EQUALISED}
    assert equalise(PREDICTION, "none") is PREDICTION


@pytest.mark.parametrize("how", NORMALISED)
def test_evreal_s_own_normalisation(how):
    mean, deviation, places = NORMALISED[how]
    got = normalise(3 * PREDICTION - 1, how)
    np.testing.assert_allclose([got.mean(), got.std()], [mean, deviation], atol=2e-6)
    np.testing.assert_allclose(got[PLACES], places, atol=2e-6)


def test_normalisation_by_hand():
    """Of 0 to 100, the percentiles are the numbers themselves."""
    image = np.random.default_rng(0).permutation(101).reshape(1, 1, 101).astype(np.float64)
    np.testing.assert_allclose(normalise(image, "standard"), image / 100, rtol=1e-6)
    np.testing.assert_allclose(normalise(image, "robust"), (image - 1) / 98, rtol=1e-6, atol=1e-7)
    exponential = (np.exp(image / 50) - np.exp(0.02)) / (np.exp(1.98) - np.exp(0.02))
    np.testing.assert_allclose(normalise(image / 50, "exprobust"), exponential, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(normalise(image / 50 + 500, "exprobust"), exponential, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["standard", "robust", "exprobust"])
def test_a_constant_picture_becomes_black(how):
    images = np.stack([np.full((60, 80), 3.7), PREDICTION[0]])
    got = normalise(images, how)
    assert (got[0] == 0).all() and got[1].std() > 0.1


def test_alignment_by_hand():
    """Log intensities 0, 1, 2 against log(truth + 0.05) = 1, 3, 8: factor 7 / 2, constant 4 - 7 / 2."""
    log_intensity = np.arange(3.0).reshape(3, 1, 1)
    truth = (np.exp([1.0, 3.0, 8.0]) - 0.05).astype(np.float32).reshape(3, 1, 1)
    got = align(log_intensity, truth)
    np.testing.assert_allclose([got.factor, got.constant], [3.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(got.pictures.ravel(), np.exp([0.5, 4.0, 7.5]) - 0.05, rtol=1e-6)


def test_alignment_undoes_factor_and_constant_of_the_whole_sequence():
    got = align(0.2 * np.log(TRUTH + 0.05) + 4, TRUTH)
    np.testing.assert_allclose(got.pictures, TRUTH, atol=1e-5)
    np.testing.assert_allclose([got.factor, got.constant], [5, -20], rtol=1e-4)
    steps = np.array([-1.0, 0.0, 1.0]).reshape(3, 1, 1)  # a constant a picture is not forgiven
    assert np.abs(align(np.log(TRUTH + 0.05) + steps, TRUTH).pictures - TRUTH).max() > 0.1


def test_alignment_of_a_constant_is_the_mean():
    got = align(np.full((3, 60, 80), 2.0), TRUTH)
    assert got.factor == 0
    np.testing.assert_allclose(got.pictures, np.exp(np.log(TRUTH + 0.05).mean()) - 0.05, rtol=1e-5)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Nine pictures of the demo's moving scene, 0.02 s apart."""
    view = demo.scene(60, 80, 0)
    return np.clip(np.stack([np.exp(view(0.02 * k)) for k in range(9)]), 0, 1).astype(np.float32)


def consistency(prediction: np.ndarray, truth: np.ndarray) -> float:
    got = temporal_consistency(prediction.astype(np.float32), truth)
    assert len(got) == len(truth) and np.isnan(got[0]) and np.isfinite(got[1:]).all()
    return float(got[1:].mean())


def test_the_truth_is_consistent_and_half_of_it_twice_as_much(scene: np.ndarray):
    assert consistency(scene, scene) < 0.005
    np.testing.assert_allclose(consistency(scene / 2, scene), consistency(scene, scene) / 2, rtol=1e-3)


def test_flicker_counts_in_proportion_and_blur_hardly(scene: np.ndarray):
    signs = (-1.0) ** np.arange(len(scene))[:, None, None]
    for height in (0.02, 0.08):
        np.testing.assert_allclose(consistency(scene + height * signs, scene), 2 * height, rtol=0.01)
    blurred = np.stack([gaussian_filter(picture, 2) for picture in scene])
    assert consistency(blurred, scene) < 0.01


def test_what_does_not_move_with_the_truth_is_inconsistent(scene: np.ndarray):
    still = np.repeat(scene[:1], len(scene), axis=0)
    assert consistency(still, scene) > 5 * consistency(scene, scene)
    noise = 0.05 * np.random.default_rng(0).standard_normal(scene.shape)
    assert consistency(scene + noise, scene) > 0.03


def test_still_pictures_by_hand():
    """Without motion W is nothing: half of the truth jumps by 0.2, which weighs e^-2 there; the prediction jumps by 0.1 all
    over, and by 0.4 in the other half."""
    truth = np.full((2, 16, 32), 0.4, np.float32)
    truth[1, :, :16] = 0.6
    prediction = np.full((2, 16, 32), 0.3, np.float32)
    prediction[1, :, :16], prediction[1, :, 16:] = 0.4, 0.7
    expected = (np.exp(-2) * 0.1 + 0.4) / (np.exp(-2) + 1)
    np.testing.assert_allclose(consistency(prediction, truth), expected, rtol=0.01)


@pytest.mark.parametrize("shift", [(2, 0), (0, -3), (3, 2)])
def test_flow_finds_a_shift(shift: tuple[int, int]):
    texture = sum(gaussian_filter(np.random.default_rng(1).standard_normal((120, 140)), s) * s for s in (1, 3, 9))
    texture = ((texture - np.min(texture)) / np.ptp(texture)).astype(np.float32)
    right, down = shift
    found = flow(texture[20:100, 20:120], texture[20 - down : 100 - down, 20 - right : 120 - right])
    inside = found[8:-8, 8:-8]
    np.testing.assert_allclose(inside.mean((0, 1)), shift, atol=0.05)
    assert np.abs(inside - shift).max() < 0.5


def test_pictures_too_small_for_motion_are_refused():
    small = np.zeros((2, 11, 7), np.float32)
    with pytest.raises(InputError, match="pictures of 7 x 11 are too small to find motion"):
        temporal_consistency(small, small)


def test_polarity_is_no_unknown_of_the_alignment():
    """A negative of the truth is not turned over: it becomes one gray."""
    truth = np.linspace(0.1, 0.9, 48, dtype=np.float32).reshape(1, 6, 8)
    aligned = align(-np.log(truth), truth)
    assert aligned.factor == 0 and np.ptp(aligned.pictures) < 1e-6
