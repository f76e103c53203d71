"""Each term of the objective against loops over knots, planes and pixels."""

from dataclasses import replace
from itertools import product
from typing import get_args

import jax
import numpy as np
import pytest

from evinr import bayer
from evinr.config import DEFAULT, Bayer, FitConfig
from evinr.goal import goal
from evinr.losses import Terms, Weights, objective

ORDERS = get_args(Bayer)
KNOTS, PLANES, HEIGHT, WIDTH = SHAPE = 5, 4, 3, 6
SQUARED = replace(DEFAULT, outlier=0.0)
ANISOTROPIC = replace(DEFAULT, windows="whole", variation="anisotropic")


def terms(
    log_intensity: np.ndarray, event_images: np.ndarray, config: FitConfig = DEFAULT, smooth: float = 0.7
) -> Terms:
    """The objective in double precision."""
    with jax.enable_x64(True):
        answer, images = (jax.numpy.asarray(values, np.float64) for values in (log_intensity, event_images))
        return jax.tree.map(float, objective(answer, images, Weights(smooth, config.still), goal(config)))


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


LOG, EVENTS = random(*SHAPE), 2 * random(KNOTS - 1, *SHAPE[1:], seed=1)


def length(first: float, second: float) -> float:
    """What the isotropic variation counts for two differences."""
    return np.sqrt(2 * (first**2 + second**2) + 0.07**2)


def test_event_error_is_the_mean_square_of_change_less_events():
    residuals = [
        (LOG[k + 1, *pixel] - LOG[k, *pixel] - EVENTS[k, *pixel]) ** 2
        for k in range(KNOTS - 1)
        for pixel in np.ndindex(SHAPE[1:])
    ]
    np.testing.assert_allclose(terms(LOG, EVENTS, SQUARED).events, np.mean(residuals), rtol=1e-12)


@pytest.mark.parametrize("outlier", [0.5, 2.0])
def test_outliers_are_pseudo_huber(outlier: float):
    residuals = [
        2 * outlier**2 * (np.hypot(1, (LOG[k + 1, *pixel] - LOG[k, *pixel] - EVENTS[k, *pixel]) / outlier) - 1)
        for k in range(KNOTS - 1)
        for pixel in np.ndindex(SHAPE[1:])
    ]
    got = terms(LOG, EVENTS, replace(DEFAULT, outlier=outlier)).events
    np.testing.assert_allclose(got, np.mean(residuals), rtol=1e-12)


def error_of(residual: float, outlier: float) -> float:
    flat = np.zeros((2, 1, 2, 2))
    return float(terms(flat, np.full((1, 1, 2, 2), residual), replace(DEFAULT, outlier=outlier)).events)


@pytest.mark.parametrize("outlier", [0.5, 2.0])
def test_small_residuals_are_squared_and_large_ones_linear(outlier: float):
    np.testing.assert_allclose(error_of(1e-3 * outlier, outlier), error_of(1e-3 * outlier, 0.0), rtol=1e-6)
    for far in (1e3 * outlier, -1e3 * outlier):
        np.testing.assert_allclose(
            error_of(2 * far, outlier) - error_of(far, outlier), 2 * outlier * abs(far), rtol=1e-5
        )
        assert error_of(far, outlier) < error_of(far, 0.0)


def test_isotropic_variation_is_the_mean_length_of_the_gradient():
    inside = product(range(KNOTS), range(PLANES), range(HEIGHT - 1), range(WIDTH - 1))
    lengths = [
        length(LOG[k, p, r + 1, c] - LOG[k, p, r, c], LOG[k, p, r, c + 1] - LOG[k, p, r, c]) for k, p, r, c in inside
    ]
    np.testing.assert_allclose(terms(LOG, EVENTS).variation, np.mean(lengths), rtol=1e-12)


@pytest.mark.parametrize(("down", "right"), [(0.0, 0.0), (1.0, 0.0), (0.0, -2.0), (3.0, 4.0)])
def test_isotropic_variation_of_a_ramp_is_its_slope(down: float, right: float):
    ramp = down * np.arange(HEIGHT)[:, None] + right * np.arange(WIDTH)
    ramps = np.broadcast_to(ramp, (2, 1, HEIGHT, WIDTH))
    variation = terms(ramps, ramps[1:] * 0).variation
    np.testing.assert_allclose(variation, length(down, right), rtol=1e-12)
    turned = np.ascontiguousarray(ramps.swapaxes(2, 3))
    np.testing.assert_allclose(terms(turned, turned[1:] * 0).variation, variation, rtol=1e-12)


def test_anisotropic_variation_is_the_paper_s():
    rows, columns = [], []
    for k, p, r, c in np.ndindex(SHAPE):
        if r + 1 < HEIGHT:
            rows.append(abs(LOG[k, p, r + 1, c] - LOG[k, p, r, c]))
        if c + 1 < WIDTH:
            columns.append(abs(LOG[k, p, r, c + 1] - LOG[k, p, r, c]))
    np.testing.assert_allclose(terms(LOG, EVENTS, ANISOTROPIC).variation, np.mean(rows) + np.mean(columns), rtol=1e-12)


@pytest.mark.parametrize("variation", ["isotropic", "anisotropic"])
@pytest.mark.parametrize("order", ORDERS)
def test_a_mosaic_ties_each_upper_green_to_the_greens_diagonally_below(order: Bayer, variation):
    config = replace(DEFAULT, windows="whole", variation=variation)
    whole = bayer.mosaic(LOG)  # rows and columns of the sensor
    lefts, rights = [], []
    for k, r, c in np.ndindex(whole.shape):
        neighbours = [(r + 1, c - 1), (r + 1, c + 1)]
        if order[2 * (r % 2) + c % 2] != "g" or r % 2 or not all(0 <= x < 2 * WIDTH for _, x in neighbours):
            continue
        assert all(order[2 * (y % 2) + x % 2] == "g" for y, x in neighbours)
        left, right = (whole[k, y, x] - whole[k, r, c] for y, x in neighbours)
        lefts.append(left)
        rights.append(right)
    assert len(lefts) == KNOTS * HEIGHT * (WIDTH - 1)
    if variation == "isotropic":
        expected = np.mean([length(left, right) for left, right in zip(lefts, rights, strict=True)])
    else:
        expected = np.mean(np.abs(lefts)) + np.mean(np.abs(rights))
    tied = terms(LOG, EVENTS, replace(config, bayer=order)).variation
    np.testing.assert_allclose(tied - terms(LOG, EVENTS, config).variation, expected, rtol=1e-12)
    planes = replace(config, bayer=order, colour="planes")
    assert terms(LOG, EVENTS, planes).variation == terms(LOG, EVENTS, config).variation


def test_still_is_the_mean_change_between_knots():
    changes = [abs(LOG[k + 1, *pixel] - LOG[k, *pixel]) for k in range(KNOTS - 1) for pixel in np.ndindex(SHAPE[1:])]
    np.testing.assert_allclose(terms(LOG, EVENTS).still, np.mean(changes), rtol=1e-12)


def test_constancy_is_the_unbiased_variance_of_the_frames_means():
    means = [LOG[k].sum() / LOG[k].size for k in range(KNOTS)]
    variance = sum((mean - sum(means) / KNOTS) ** 2 for mean in means) / (KNOTS - 1)
    np.testing.assert_allclose(terms(LOG, EVENTS).constancy, variance, rtol=1e-12)


def test_total_is_the_weighted_sum():
    config = replace(DEFAULT, still=0.3, constancy=0.5)
    events, variation, still, constancy, total = terms(LOG, EVENTS, config, smooth=0.7)
    np.testing.assert_allclose(total, events + 0.7 * variation + 0.3 * still + 0.5 * constancy, rtol=1e-12)
    weightless = terms(LOG, EVENTS, replace(config, still=0.0, constancy=0.0), smooth=0.0)
    assert weightless.total == weightless.events


@pytest.mark.parametrize("config", [DEFAULT, ANISOTROPIC, replace(DEFAULT, bayer="rggb")])
def test_a_constant_is_free_and_is_not_seen(config: FitConfig):
    """Log intensity is known up to a constant; a flat still scene without events costs nothing but the rounding."""
    shifted, same = terms(LOG + 3.5, EVENTS, config), terms(LOG, EVENTS, config)
    np.testing.assert_allclose(shifted, same, rtol=1e-9)
    flat = terms(np.full(SHAPE, 2.0), np.zeros((KNOTS - 1, *SHAPE[1:])), config)
    assert flat.events == flat.still == flat.constancy == 0
    assert flat.variation < 0.15  # 0.07 for the planes, and for the diagonals of a mosaic


@pytest.mark.parametrize("config", [DEFAULT, replace(DEFAULT, bayer="grbg")])
def test_the_gradient_of_a_flat_scene_is_finite(config: FitConfig):
    def total(log_intensity):
        return objective(log_intensity, jax.numpy.zeros((KNOTS - 1, *SHAPE[1:])), Weights(1.0, 1.0), goal(config)).total

    assert np.isfinite(jax.grad(total)(jax.numpy.zeros(SHAPE))).all()
