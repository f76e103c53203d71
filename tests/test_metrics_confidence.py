"""Means and their intervals."""

import numpy as np
import pytest

from evinr.metrics.confidence import block_length, mean_with_interval, pooled
from evinr.scores import Mean


def series(count: int, alike: float, seed: int) -> np.ndarray:
    """AR(1) of mean 0 and variance 1."""
    steps = np.random.default_rng(seed).standard_normal(count) * np.sqrt(1 - alike**2)
    values = [np.random.default_rng(seed + 10**6).standard_normal()]
    for step in steps[1:]:
        values.append(alike * values[-1] + step)
    return np.array(values)


def numbers(mean: Mean) -> tuple[float, float, float]:
    """Value and interval, which are there."""
    assert mean.value is not None and mean.low is not None and mean.high is not None
    return mean.value, mean.low, mean.high


def covered(count: int, alike: float, trials: int = 150) -> float:
    means = [numbers(mean_with_interval(series(count, alike, seed))) for seed in range(trials)]
    return float(np.mean([low <= 0 <= high for _, low, high in means]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_none_takes_the_mean_with_it(bad: float):
    assert mean_with_interval(np.array([1.0, bad, 2.0])) == Mean(None, None, None)
    assert mean_with_interval(np.empty(0)) == Mean(None, None, None)


def test_one_score_has_no_interval():
    assert mean_with_interval(np.array([0.3])) == Mean(0.3, None, None)
    assert pooled(np.array([0.3]), np.array([7.0])) == Mean(0.3, None, None)


def test_scores_that_are_all_the_same_have_an_interval_of_no_width():
    got = numbers(mean_with_interval(np.full(20, 0.25)))
    np.testing.assert_allclose(got, 0.25, rtol=1e-12)


def test_two_scores_by_hand():
    """Draws of two are (0, 0), (0, 1), (1, 0) or (1, 1): means 0, 1/2 and 1, the outer ones a quarter of the time each."""
    assert mean_with_interval(np.array([0.0, 1.0])) == Mean(0.5, 0.0, 1.0)


def test_the_interval_of_unlike_scores_is_the_textbook_one():
    scores = np.random.default_rng(5).standard_normal(400)
    got = numbers(mean_with_interval(scores))
    half = 1.96 * scores.std() / 20
    np.testing.assert_allclose(got, [scores.mean(), scores.mean() - half, scores.mean() + half], atol=0.02)


def test_blocks_of_neighbours_by_a_loop():
    """Each draw is blocks of neighbours in a row, round the end to the start, cut to as many scores as there are."""
    scores = series(50, 0.8, 3)
    length = block_length(scores)
    assert length > 1 and 50 % length
    blocks = 50 // length + 1
    means = []
    for starts in np.random.default_rng(0).integers(0, 50, (2000, blocks)):
        round_it = np.tile(scores, 2)
        means.append(np.concatenate([round_it[start : start + length] for start in starts])[:50].mean())
    np.testing.assert_allclose(numbers(mean_with_interval(scores))[1:], np.percentile(means, (2.5, 97.5)), rtol=1e-9)


def test_the_seed_decides():
    scores = series(60, 0.5, 0)
    assert mean_with_interval(scores) == mean_with_interval(scores)
    assert mean_with_interval(scores, seed=1).low != mean_with_interval(scores).low
    assert mean_with_interval(scores, seed=1).value == mean_with_interval(scores).value


def test_the_interval_moves_and_grows_with_the_scores():
    scores = series(60, 0.5, 0)
    moved = numbers(mean_with_interval(3 * scores - 7))
    np.testing.assert_allclose(moved, 3 * np.array(numbers(mean_with_interval(scores))) - 7, rtol=1e-9)


def test_blocks_are_andrews_s():
    """1.1447 (4 r^2 n / (1 - r^2)^2)^(1/3), with the correlation of neighbours that the series has."""
    scores = series(500, 0.8, 1)
    off = scores - scores.mean()
    r = sum(off[1:] * off[:-1]) / sum(off * off)
    assert block_length(scores) == int(np.ceil(1.1447 * (4 * r**2 * 500 / (1 - r**2) ** 2) ** (1 / 3)))
    assert block_length(np.resize([1.0, -1.0], 50)) == 1
    assert block_length(np.arange(30.0)) == 10


def test_coverage_of_unlike_and_of_alike_frames():
    assert 0.88 <= covered(50, 0.0) <= 0.99
    assert 0.85 <= covered(500, 0.8) <= 0.98
    assert 0.6 <= covered(100, 0.8) <= 0.9  # too few frames for how alike they are: said in the docstring


def test_pooled_by_hand():
    means, frames = np.array([1.0, 4.0]), np.array([30.0, 10.0])
    got = pooled(means, frames)
    assert got == Mean(1.75, 1.0, 4.0)
    assert pooled(means, np.ones(2)).value == 2.5
