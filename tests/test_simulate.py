"""The simulator: events say how log intensity changed, at the times it did."""

import numpy as np

from evinr import demo
from evinr.simulate import Sensor, simulate

PERFECT = Sensor(contrast_threshold=0.1, mismatch=0.0, leak_rate=0.0, shot_noise_rate=0.0)
TIMES = np.linspace(0.0, 1.0, 11)


def test_a_ramp_fires_once_per_threshold_at_even_times():
    """Log intensity that rises by 1 over a second crosses ten thresholds of 0.1, 0.1 s apart, wherever it started."""
    events = simulate(lambda t: np.full((2, 3), t), TIMES, PERFECT)
    for y in range(2):
        for x in range(3):
            times = events.t[(events.x == x) & (events.y == y)]
            assert 9 <= len(times) <= 10
            np.testing.assert_allclose(np.diff(times), 0.1, atol=1e-9)
    assert (events.p == 1).all() and (np.diff(events.t) >= 0).all()
    assert (events.height, events.width) == (2, 3)


def test_accumulated_events_follow_the_scene_within_a_threshold():
    wave = np.linspace(0, 3, 20).reshape(4, 5)
    times = np.linspace(0, 1, 400)
    events = simulate(lambda t: np.sin(6 * t + wave), times, PERFECT)
    for until in (0.3, 0.77, 1.0):
        seen = events.between(0.0, until)
        change = np.zeros((4, 5))
        np.add.at(change, (seen.y, seen.x), 0.1 * seen.p)
        truth = np.sin(6 * until + wave) - np.sin(wave)
        assert np.abs(change - truth).max() < 0.2 + 1e-6  # a threshold at either end


def test_falling_is_rising_mirrored():
    up = simulate(lambda t: np.full((2, 2), t), TIMES, PERFECT, seed=3)
    down = simulate(lambda t: np.full((2, 2), -t), TIMES, PERFECT, seed=3)
    assert (up.p == 1).all() and (down.p == -1).all() and abs(up.count - down.count) <= 4


def test_noise_is_seeded_and_has_its_rates():
    still = np.full((50, 60), -20.0)  # black
    sensor = Sensor(mismatch=0.0, leak_rate=0.0, shot_noise_rate=5.0)
    first, again, other = (simulate(lambda _: still, TIMES, sensor, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.t, again.t)
    assert first.count != other.count
    assert abs(first.count / 3000 - 5.0) < 0.3 and abs(float(first.p.mean())) < 0.05
    bright = simulate(lambda _: np.zeros((50, 60)), TIMES, sensor, 0)
    assert abs(bright.count / 3000 - 1.25) < 0.2
    leak = simulate(lambda _: still, 3 * TIMES, Sensor(mismatch=0.0, leak_rate=4.0, shot_noise_rate=0.0), 0)
    assert abs(leak.between(1.0, 3.0).count / 6000 - 4.0) < 0.1 and (leak.p == 1).all()


def test_mismatch_spreads_the_thresholds():
    spread = simulate(lambda t: np.full((40, 40), 5 * t), TIMES, Sensor(0.2, 0.04, 0.0, 0.0), 0)
    counts = np.bincount(spread.y * 40 + spread.x, minlength=1600)
    assert np.std(1 / counts) / np.mean(1 / counts) > 0.1


def test_the_demo_scene_moves_without_jumps():
    view = demo.scene(30, 40, seed=0)
    frames = np.stack([view(t) for t in np.arange(0, 0.5, 1 / demo.SAMPLES_PER_SECOND)])
    assert frames.shape[1:] == (30, 40) and np.isfinite(frames).all()
    assert np.abs(np.diff(frames, axis=0)).max() < 1.5
    assert frames.std(0).mean() > 0.05
