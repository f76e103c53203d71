"""Laws of the objective of a window: the gradient is its derivative, it is convex, and its curvature is not underrated."""

from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evinr import energy
from evinr.config import DEFAULT, FitConfig
from evinr.energy import FLAT, REST, Problem
from evinr.goal import goal
from evinr.losses import Weights, objective

SHARED = 3


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def problem(planes: int = 1, tie: tuple[float, float] = (0.3, 2.0), size: tuple[int, int] = (6, 7)) -> Problem:
    """Eight intervals of random events, and random neighbours."""
    rng = np.random.default_rng(planes)
    images = rng.poisson(0.4, (8, planes, *size)) * rng.choice([-1.0, 1.0], (8, planes, *size))
    before, after = rng.normal(size=(2, SHARED, planes, *size))
    return Problem(images, before, after, np.array(tie))


def values(problem: Problem, seed: int = 0) -> np.ndarray:
    """Random ones, at the knots of a problem."""
    intervals, *sides = problem.images.shape
    return np.random.default_rng(seed).normal(size=(intervals + 1, *sides))


CASES = {
    "gray": (DEFAULT, 1),
    "no outliers": (replace(DEFAULT, outlier=0.0), 1),
    "no ridge": (replace(DEFAULT, ridge=0.0, constancy=0.0), 1),
    "other weights": (replace(DEFAULT, smooth=7.0, still=0.5, constancy=3.0, ridge=0.2), 1),
    "three planes": (replace(DEFAULT, constancy=1.0), 3),
    "mosaic": (replace(DEFAULT, bayer="rggb"), 4),
    "mosaic, greens on the diagonal": (replace(DEFAULT, bayer="grbg", outlier=0.0), 4),
}
"""Configurations and numbers of planes."""


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_the_derivative(name: str):
    config, planes = CASES[name]
    both = jax.jit(
        lambda values, problem: (
            energy.gradient(values, problem, goal(config))[0],
            jax.grad(energy.value)(values, problem, goal(config)),
        )
    )
    for tie in ((0.0, 0.0), (0.3, 0.0), (0.1, 5.0)):
        given = problem(planes, tie)
        slope, expected = both(values(given), given)
        np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_it_is_convex(name: str):
    config, planes = CASES[name]
    given = problem(planes)
    one, other = values(given, 1), values(given, 2)
    value = jax.jit(lambda values: energy.value(values, given, goal(config)))
    for part in (0.1, 0.5, 0.8):
        assert value((1 - part) * one + part * other) < (1 - part) * value(one) + part * value(other)


def test_every_term_counts_what_it_says():
    """Each alone, against the sum written out."""
    given = problem()
    v, n = values(given), len(given.images)
    nothing = replace(DEFAULT, smooth=0.0, still=0.0, constancy=0.0, ridge=0.0, outlier=0.0)
    free = given._replace(images=v[1:] - v[:-1], tie=np.zeros(2))  # events that are met exactly

    def value(problem: Problem, **weights: float) -> float:
        return float(energy.value(v, problem, goal(replace(nothing, **weights))))  # pyright: ignore[reportArgumentType]

    change = v[1:] - v[:-1]
    down, right = np.diff(v, axis=2, append=v[:, :, -1:]), np.diff(v, axis=3, append=v[..., -1:])
    assert value(free) == 0
    expected = {
        "smooth": 2.0 / n * np.sqrt(2 * (down**2 + right**2) + FLAT**2).sum(),
        "still": 2.0 / n * np.sqrt(change**2 + REST**2).sum(),
        "constancy": 2.0 * v[0].size * (v.mean((1, 2, 3)) ** 2).sum(),
        "ridge": 2.0 * (v**2).sum(),
    }
    for name, sum_ in expected.items():
        assert value(free, **{name: 2.0}) == pytest.approx(sum_)
    for tie, part in (((2.0, 0.0), v[:SHARED] - given.before), ((0.0, 2.0), v[-SHARED:] - given.after)):
        assert value(free._replace(tie=np.array(tie))) == pytest.approx(2 * (part**2).sum())
    untied = given._replace(tie=np.zeros(2))
    assert value(untied) == pytest.approx(((change - given.images) ** 2).sum())
    assert value(untied, outlier=1.5) < value(untied)


@pytest.mark.parametrize("outlier", [0.0, 2.0])
def test_events_count_as_in_the_losses(outlier: float):
    """The same error, there a mean and here a sum."""
    given = problem(tie=(0.0, 0.0))
    config = replace(DEFAULT, smooth=0.0, still=0.0, constancy=0.0, ridge=0.0, outlier=outlier)
    mean = objective(jnp.asarray(values(given)), jnp.asarray(given.images), Weights(0.0, 0.0), goal(config)).events
    assert float(energy.value(values(given), given, goal(config))) == pytest.approx(float(mean) * given.images.size)


def test_curvature_is_that_of_variation_or_more():
    """At every pixel, of a picture that stands still: more would be slow, less unstable."""
    given = problem(size=(5, 6))
    only = replace(DEFAULT, still=0.0, constancy=0.0, ridge=0.0, outlier=0.0)
    still = np.tile(values(given)[:1], (9, 1, 1, 1))
    _, curvature = energy.gradient(still, given, goal(only))

    def variation(first: jax.Array) -> jax.Array:
        frames = jnp.asarray(still).at[0].set(first)
        return energy.value(frames, given, goal(only)) - energy.value(frames, given, goal(replace(only, smooth=0.0)))

    exact = np.diag(jax.jit(jax.hessian(variation))(still[0]).reshape(30, 30)).reshape(1, 5, 6)
    assert (curvature > 0).all() and (np.asarray(curvature) >= exact - 1e-9).all()
    _, flat = energy.gradient(0 * still, given, goal(only))
    steepest = 2 * only.smooth / 8 / FLAT
    np.testing.assert_allclose(flat[0, 1:, 1:], 4 * steepest)


def test_curvature_stays_positive_where_there_is_no_smoothness():
    given = problem()
    _, curvature = energy.gradient(values(given), given, goal(FitConfig(smooth=0.0)))
    assert (np.asarray(curvature) >= 0).all()
