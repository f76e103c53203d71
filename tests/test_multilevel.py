"""Laws of the optimiser: resolutions are each other's transpose; it converges fast, never diverges, and counts its steps."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from evinr import energy
from evinr.config import DEFAULT, FitConfig
from evinr.energy import Problem
from evinr.goal import goal
from evinr.multilevel import Moving, advance, enlarge, shrink, still
from tests.compilations import compilations


def problem(
    size: tuple[int, int], tie: float = 0.0, intervals: int = 8, kind: Any = np.float32, seed: int = 0
) -> Problem:
    """Events of a wave that runs over half of the sensor; nothing fires in the other half but noise."""
    rng, (height, width) = np.random.default_rng(seed), size
    rows, columns = np.mgrid[:height, :width]
    wave = np.stack([3 * np.sin(0.7 * columns + 0.2 * rows - 0.5 * t) for t in range(intervals + 1)])
    level = np.round(wave * (columns < width / 2))[:, None]
    noise = rng.choice([-1.0, 0.0, 1.0], (intervals, 1, height, width), p=[0.01, 0.98, 0.01])
    before, after = level[:3] + rng.normal(size=(3, 1, height, width)), level[-3:]
    return Problem(*(part.astype(kind) for part in (np.diff(level, axis=0) + noise, before, after, np.full(2, tie))))


def nothing(problem: Problem) -> np.ndarray:
    return np.zeros((len(problem.images) + 1, *problem.images.shape[1:]), problem.images.dtype)


total = jax.jit(energy.value)


def value(state: Moving, problem: Problem, config: FitConfig) -> float:
    return float(total(state.values, problem, goal(config)))


# Resolutions.


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 3)])
def test_shrinking_is_the_transpose_of_enlarging(size: tuple[int, int]):
    rng = np.random.default_rng(0)
    fine = jnp.asarray(rng.normal(size=(3, *size)))
    coarse = jnp.asarray(rng.normal(size=(3, -(-size[0] // 2), -(-size[1] // 2))))
    assert shrink(fine).shape == coarse.shape
    assert float(jnp.vdot(enlarge(coarse, *size), fine)) == pytest.approx(
        float(jnp.vdot(coarse, shrink(fine))), rel=1e-5
    )


def test_enlarging_keeps_constants_and_slopes():
    np.testing.assert_allclose(enlarge(jnp.full((1, 3, 4), 2.5), 5, 8), 2.5)
    rows, columns = np.mgrid[:8, :10] + 0.0
    slope = enlarge(jnp.asarray(rows + 2 * columns, np.float32)[None], 16, 20)[0]
    expected = (np.arange(16)[:, None] + 0.5) / 2 - 0.5 + 2 * ((np.arange(20) + 0.5) / 2 - 0.5)
    np.testing.assert_allclose(slope[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-5)


# Convergence.


def lowest(problem: Problem, config: FitConfig) -> float:
    """The minimum, by L-BFGS in double precision."""
    start = nothing(problem)
    both = jax.jit(lambda flat: jax.value_and_grad(energy.value)(flat.reshape(start.shape), problem, goal(config)))

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        found, slope = both(flat)
        return float(found), np.asarray(slope).ravel()

    return minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 500}).fun


@pytest.mark.parametrize(
    ("intervals", "tie", "changes"),
    [
        (8, 0.0, {}),
        (24, 0.1, {}),
        (8, 0.0, {"bayer": "rggb"}),
        (8, 0.1, {"still": 50.0}),
        (8, 10.0, {"smooth": 10.0}),
        (8, 0.0, {"smooth": 0.1, "constancy": 5.0, "ridge": 0.1, "outlier": 0.0}),
    ],
)
def test_it_comes_to_the_minimum(intervals: int, tie: float, changes: dict[str, Any]):
    """200 steps to 0.1 %, as hundreds of L-BFGS do; half of them do not go on far from it either."""
    config = replace(DEFAULT, precision="float64", **changes)
    with jax.enable_x64(True):
        given = problem((14, 11), tie, intervals, np.float64)
        if config.bayer:
            images, before, after = (np.tile(part, (1, 4, 1, 1)) for part in given[:3])
            given = Problem(images, before, after, given.tie)
        best, state = lowest(given, config), still(nothing(given), goal(config))
        found = []
        for count in (50, 50, 100):
            state = advance(state, given, count, goal(config))
            found.append(value(state, given, config) / best - 1)
    assert found[0] < 0.02 and max(found[1:]) < 1e-3


def test_it_is_ten_times_as_fast_as_plain_gradients():
    """Where nothing fires, only smoothness says what the level is: that is what the resolutions are for."""
    given = problem((40, 48))
    ours = value(advance(still(nothing(given), goal(DEFAULT)), given, 50, goal(DEFAULT)), given, DEFAULT)

    @jax.jit
    def plain(values: Any) -> Any:
        return jax.lax.fori_loop(0, 500, lambda _, v: v - 0.02 * energy.gradient(v, given, goal(DEFAULT))[0], values)

    assert ours < float(total(plain(nothing(given)), given, goal(DEFAULT)))


@pytest.mark.parametrize(("size", "smooth"), [((5, 7), 10.0), ((64, 48), 0.1), ((33, 17), 10.0), ((33, 18), 1.25)])
def test_it_never_diverges(size: tuple[int, int], smooth: float):
    config = replace(DEFAULT, smooth=smooth)
    for tie in (0.0, 1.0, 10.0):
        given = problem(size, tie)
        settled = advance(still(nothing(given), goal(config)), given, 100, goal(config))
        first = value(settled, given, config)
        later = value(advance(settled, given, 300, goal(config)), given, config)
        assert first < float(total(nothing(given), given, goal(config))) and later < 1.005 * first


def test_half_precision_of_velocity_costs_little():
    given, config = problem((40, 48)), replace(DEFAULT, precision="bfloat16")
    state = still(nothing(given), goal(config))
    assert state.velocity.dtype == jnp.bfloat16
    found = value(advance(state, given, 50, goal(config)), given, DEFAULT)
    assert found < 1.002 * value(
        advance(still(nothing(given), goal(DEFAULT)), given, 50, goal(DEFAULT)), given, DEFAULT
    )


# Steps.


def test_steps_may_be_taken_in_parts_and_are_compiled_once():
    given = problem((9, 13))
    begin = partial(still, nothing(given), goal(DEFAULT))
    ten = advance(begin(), given, 10, goal(DEFAULT))
    with compilations() as seen:
        parts = advance(advance(begin(), given, 3, goal(DEFAULT)), given, 7, goal(DEFAULT))
        advance(begin(), given, 0, goal(DEFAULT))
    assert not seen
    np.testing.assert_array_equal(parts.values, ten.values)
    np.testing.assert_array_equal(parts.velocity, ten.velocity)


def test_constants_of_the_objective_are_no_matter():
    """Only ridge, constancy and ties see a level that is common to all pixels and times."""
    given = problem((9, 13), tie=0.5)
    config = replace(DEFAULT, ridge=0.0, constancy=0.0)
    state = advance(still(nothing(given), goal(config)), given, 30, goal(config))
    moved = given._replace(before=given.before + 7, after=given.after + 7)
    other = advance(still(nothing(given) + 7, goal(config)), moved, 30, goal(config))
    np.testing.assert_allclose(other.values - 7, state.values, atol=2e-4)
