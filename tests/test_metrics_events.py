"""Scores that need no truth: what events say of a reconstruction."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from evinr.events import Events, InputError
from evinr.metrics.replay import ReplayError, _sums, event_replay_error
from evinr.metrics.sharpness import edge_sharpness
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor, simulate

THRESHOLD = 0.2
TIMES = np.linspace(0.0, 0.3, 26)


class Seen(NamedTuple):
    """What a sensor without faults recorded, having run before, and the log intensity it saw at TIMES."""

    events: Events
    truth: np.ndarray


@pytest.fixture(scope="module")
def seen() -> Seen:
    view = demo.scene(45, 60, 0)
    clean = Sensor(contrast_threshold=THRESHOLD, mismatch=0.0, leak_rate=0.0, shot_noise_rate=0.0)
    events = simulate(view, np.linspace(-0.1, 0.3, 500), clean)
    return Seen(events, np.stack([view(t) for t in TIMES]))


def replayed(log_intensity: np.ndarray, seen: Seen) -> ReplayError:
    got = event_replay_error(log_intensity, TIMES, seen.events)
    assert len(got.intervals) == len(TIMES) - 1
    np.testing.assert_allclose(got.intervals.mean(), got.error, rtol=1e-9)
    return got


def at(t: list[float], x: list[int], p: list[int], width: int = 2) -> Events:
    """Events on a sensor one pixel high."""
    return Events(
        np.array(t), np.array(x, np.uint16), np.zeros(len(t), np.uint16), np.array(p, np.int8), height=1, width=width
    )


def test_the_truth_explains_its_events_and_tells_the_threshold(seen: Seen):
    got = replayed(seen.truth, seen)
    assert got.error < 0.08
    np.testing.assert_allclose([got.up, got.down], THRESHOLD, rtol=0.03)


def test_what_a_sensor_with_two_thresholds_recorded_is_explained_too():
    """A pixel that rises by 0.1 and falls by 0.3, from a loop over fine steps of a wandering light."""
    rng = np.random.default_rng(0)
    fine = np.linspace(0, 1, 2001)
    phases, speeds = rng.uniform(0, 6, (2, 40)), rng.uniform(2, 9, (2, 40))
    light = np.sin(speeds[0] * fine[:, None] + phases[0]) + np.sin(speeds[1] * fine[:, None] + phases[1])
    t, x, p = [], [], []
    memory = light[0] - rng.uniform(-0.3, 0.1, 40)
    for time, now in zip(fine[1:], light[1:], strict=True):
        for pixel in np.flatnonzero((now - memory >= 0.1) | (memory - now >= 0.3)):
            rose = now[pixel] > memory[pixel]
            memory[pixel] += 0.1 if rose else -0.3
            t.append(time)
            x.append(int(pixel))
            p.append(1 if rose else -1)
    got = event_replay_error(light[::100, None], fine[::100], at(t, x, p, width=40))
    assert got.error < 0.08
    np.testing.assert_allclose([got.up, got.down], [0.1, 0.3], rtol=0.05)


def test_an_unexplained_event_by_hand():
    """One pixel rises by a threshold in each of three intervals, and one is still but fires in the second: 1, 2 and 1 events
    of which 0, 1 and 0 are not explained. An event at a time belongs to the interval that ends there."""
    times = np.arange(4.0)
    events = at([0.0, 1.0, 1.5, 2.0, 2.5], [1, 0, 1, 0, 0], [1, 1, 1, 1, 1])
    log_intensity = np.stack([5 * times, np.zeros(4)], axis=1)[:, None]
    got = event_replay_error(log_intensity, times, events)
    np.testing.assert_allclose(got.intervals, [0, 3 / 4, 0], atol=1e-12)
    assert got.error == 0.25


def test_too_many_events_are_as_wrong_as_too_few():
    """Two pixels rise alike, and one fires twice as often as the other: whatever the threshold, one event of three is wrong,
    but for the ends."""
    times = np.arange(51.0)
    events = at(np.repeat(times[1:], 3).tolist(), [0, 1, 1] * 50, [1] * 150)
    log_intensity = np.repeat(times[:, None, None], 2, axis=2)
    np.testing.assert_allclose(event_replay_error(log_intensity, times, events).error, 1 / 3, atol=2 / 150)


def test_what_is_worse_than_a_still_picture_counts_as_one():
    """A pixel fires ten times as it rises; one that rises a hundred times as far does not: it would, at any threshold tried."""
    times = np.arange(1001.0)
    events = at(times[1:11].tolist(), [0] * 10, [1] * 10)
    log_intensity = np.stack([np.minimum(times, 10), times], axis=1)[:, None]
    got = event_replay_error(log_intensity, times, events)
    assert got.error == 1.0 and got.up == got.down == np.inf and (got.intervals[10:] == 0).all()


@pytest.mark.parametrize("answer", ["constant", "mirrored", "noise"])
def test_what_explains_nothing_counts_as_a_still_picture(seen: Seen, answer: str):
    noise = np.random.default_rng(0).standard_normal(seen.truth.shape)
    wrong = {"constant": np.full_like(seen.truth, 2.0), "mirrored": -seen.truth, "noise": noise}[answer]
    got = replayed(wrong, seen)
    if answer != "noise":
        assert got.error == 1.0 and got.up == got.down == np.inf
    assert 0.95 < got.error <= 1


def test_reversed_in_time_explains_less_than_nothing_much(seen: Seen):
    assert replayed(seen.truth[::-1], seen).error > 0.95


@pytest.mark.parametrize(("factor", "constant"), [(4.0, -3.0), (0.3, 11.0)])
def test_factor_and_constant_do_not_matter(seen: Seen, factor: float, constant: float):
    plain, moved = replayed(seen.truth, seen), replayed(factor * seen.truth + constant, seen)
    np.testing.assert_allclose(moved.error, plain.error, atol=1e-3)
    np.testing.assert_allclose([moved.up, moved.down], [factor * plain.up, factor * plain.down], rtol=1e-6)


def test_more_blur_and_more_noise_explain_less(seen: Seen):
    noise = np.random.default_rng(0).standard_normal(seen.truth.shape)
    blurred = [replayed(gaussian_filter(seen.truth, (0, s, s)), seen).error for s in (0, 1, 2, 5)]
    noisy = [replayed(seen.truth + s * noise, seen).error for s in (0, 0.05, 0.1, 0.3)]
    assert (np.diff(blurred) > 0.03).all() and (np.diff(noisy) > 0.03).all()


def test_events_outside_the_times_do_not_count(seen: Seen):
    inside = event_replay_error(seen.truth[5:15], TIMES[5:15], seen.events)
    cut = event_replay_error(seen.truth[5:15], TIMES[5:15], seen.events.between(TIMES[5] + 1e-12, TIMES[14]))
    np.testing.assert_array_equal(inside.intervals, cut.intervals)


def test_events_that_say_nothing_are_refused(seen: Seen):
    with pytest.raises(InputError, match=r"no events to explain between 9\.000000 and 9\.300000 s"):
        event_replay_error(seen.truth, TIMES + 9, seen.events)
    both_ways = at([0.1, 0.2], [0, 0], [1, -1])
    with pytest.raises(InputError, match="as many up as down"):
        event_replay_error(np.zeros((2, 1, 2)), np.array([0.0, 1.0]), both_ways)


def test_other_sizes_are_refused(seen: Seen):
    with pytest.raises(InputError, match="predictions are 50 x 45, the sensor 60 x 45"):
        event_replay_error(seen.truth[:, :, :50], TIMES, seen.events)
    with pytest.raises(InputError, match="pictures are 50 x 45, the sensor 60 x 45"):
        edge_sharpness(seen.truth[:, :, :50].astype(np.float32), TIMES, seen.events)


@pytest.fixture(scope="module")
def pictures(seen: Seen) -> np.ndarray:
    return np.clip(np.exp(seen.truth), 0, 1).astype(np.float32)


def sharpness(pictures: np.ndarray, seen: Seen) -> np.ndarray:
    return edge_sharpness(pictures.astype(np.float32), TIMES, seen.events)


def test_sharpness_by_hand():
    """A ramp that rises by 0.1 a column and 0.05 a row, and a step of which only the pixels that fired count."""
    rows, columns = np.mgrid[:10, :10].astype(np.float32)
    ramp, step = 0.1 * columns + 0.05 * rows, (columns >= 5).astype(np.float32)
    events = Events(
        np.array([1.0, 2.0, 2.1, 2.2, 2.3, 2.4, 9.0]),
        np.array([0, 5, 4, 5, 1, 5, 0], np.uint16),
        np.array([0, 2, 2, 2, 3, 6, 0], np.uint16),
        np.ones(7, np.int8),
        height=10,
        width=10,
    )
    got = edge_sharpness(np.stack([ramp, step]), np.array([2.2, 2.2]), events)
    np.testing.assert_allclose(got[0], np.hypot(0.1, 0.05), rtol=1e-6)
    # Five events count, on four pixels: three beside the step, where central differences are 1 / 2, and one far from it.
    np.testing.assert_allclose(got[1], 3 / 4 * 0.5, rtol=1e-6)


def test_blur_lowers_sharpness_and_contrast_scales_it(seen: Seen, pictures: np.ndarray):
    plain = sharpness(pictures, seen)
    for sigma in (1, 2):
        blurred = sharpness(gaussian_filter(pictures, (0, sigma, sigma)), seen)
        assert (blurred < plain).all()
        plain = blurred
    np.testing.assert_allclose(sharpness(0.5 * pictures + 0.2, seen), sharpness(pictures, seen) / 2, rtol=1e-4)


@pytest.mark.parametrize("shift", [(0, 4), (4, 0), (-3, -3)])
def test_pictures_beside_their_events_are_less_sharp(seen: Seen, pictures: np.ndarray, shift: tuple[int, int]):
    moved = np.roll(pictures, shift, axis=(1, 2))
    assert sharpness(moved, seen).mean() < 0.9 * sharpness(pictures, seen).mean()


def test_no_events_no_sharpness(pictures: np.ndarray, seen: Seen):
    assert np.isnan(edge_sharpness(pictures, TIMES, seen.events.between(-9.0, -8.0))).all()


def test_a_pixel_may_fire_as_often_as_it_likes():
    """A hot pixel: 70,000 events in one interval are more than 16 bits hold."""
    count = 70_000
    events = at(np.linspace(0.01, 0.99, count).tolist(), [0] * count, [1] * count)
    assert _sums(np.array([0.0, 1.0]), events)[0].tolist() == [count, 0]
