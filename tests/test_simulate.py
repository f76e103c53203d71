"""The simulator: events say how log intensity changed, at the times it did."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evinr.events import Events
from evinr.simulator import demo, scenes
from evinr.simulator.pixels import draw_pixels
from evinr.simulator.sensor import SENSORS
from evinr.simulator.simulate import Sensor, blocks, simulate

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


def at_pixel(events: Events, pixel: int) -> Events:
    chosen = events.y.astype(int) * events.width + events.x == pixel
    return events._replace(t=events.t[chosen], x=events.x[chosen], y=events.y[chosen], p=events.p[chosen])


def counts(events: Events, polarity: int) -> np.ndarray:
    fired = events.p == polarity
    pixel = events.y[fired].astype(int) * events.width + events.x[fired]
    return np.bincount(pixel, minlength=events.height * events.width)


def gaps(events: Events) -> np.ndarray:
    """Seconds between events of the same pixel."""
    pixel = events.y.astype(int) * events.width + events.x
    order = np.lexsort((events.t, pixel))
    return np.diff(events.t[order])[np.diff(pixel[order]) == 0]


@pytest.mark.parametrize("name", scenes.SCENES)
@pytest.mark.parametrize("sensor", [replace(PERFECT, contrast_threshold=0.15), Sensor(0.2, 0.05, 0.0, 0.0, 0.3)])
def test_events_times_thresholds_are_the_change_of_log_intensity(name: str, sensor: Sensor):
    """In every pixel, within one event, with the pixel's own thresholds, from the start to any time."""
    world = scenes.build(name, 30, 40, 5)
    times = world.times(0.0, 0.103)
    events = simulate(world.light, times, sensor, 5)
    pixels = draw_pixels(sensor, 30 * 40, np.random.default_rng(5))
    for until in (times[len(times) // 2], times[-1]):
        seen = events.between(0.0, float(until))
        change = (world.light(float(until)) - world.light(0.0)).ravel()
        left = change - counts(seen, 1) * pixels.on + counts(seen, -1) * pixels.off
        assert (left < pixels.on + 1e-9).all() and (left > -pixels.off - 1e-9).all()
    assert events.count > 100


@given(st.integers(0, 2**31), st.floats(0.05, 0.5))
def test_light_that_only_rises_fires_only_rising_events_and_all_of_them(seed: int, threshold: float):
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.exponential(0.3, (6, 4, 5)), axis=0)
    times = np.cumsum(rng.uniform(0.01, 1, 6))
    events = simulate(lambda t: steps[np.searchsorted(times, t)], times, replace(PERFECT, contrast_threshold=threshold))
    exact = (steps[-1] - steps[0]).ravel() / threshold
    assert (events.p == 1).all() and (np.abs(counts(events, 1) - exact) <= 1).all()
    assert (np.abs(counts(events, 1) - np.floor(exact + 1e-9)) <= ((exact % 1 < 1e-9) | (exact % 1 > 1 - 1e-9))).all()


def test_crossings_have_their_times_between_samples():
    """Log intensity 3t sampled at 0 and 1 s, up, and then down by 2 to 1.5 s: crossings solved by hand."""
    samples = {0.0: 0.0, 1.0: 3.0, 1.5: 1.0}
    events = simulate(
        lambda t: np.full((1, 1), samples[t]), np.array([0.0, 1.0, 1.5]), replace(PERFECT, contrast_threshold=0.7)
    )
    # Memory after the last rising event is 2.8; it falls to 2.1 and 1.4 at 1 + 0.9 / 4 and 1 + 1.6 / 4.
    np.testing.assert_allclose(events.t, [0.7 / 3, 1.4 / 3, 2.1 / 3, 2.8 / 3, 1.225, 1.4], atol=1e-12)
    np.testing.assert_array_equal(events.p, [1, 1, 1, 1, -1, -1])


def test_rising_and_falling_events_may_have_thresholds_of_their_own():
    sensor = replace(PERFECT, contrast_threshold=0.1, off_threshold=0.25)
    events = simulate(lambda t: np.full((2, 2), 5.05 * min(t, 1) - 5 * max(t - 1, 0)), np.linspace(0, 2, 41), sensor)
    assert (counts(events, 1) == 50).all() and np.abs(counts(events, -1) - 20).max() <= 1


def test_blocks_are_consecutive_and_come_before_the_scene_is_over():
    seen = []

    def scene(t: float) -> np.ndarray:
        seen.append(t)
        return np.sin(40 * t + np.linspace(0, 3, 4000).reshape(50, 80))

    times = np.linspace(0, 1, 300)
    stream = blocks(scene, times, Sensor(0.1), 3)
    first = next(stream)
    assert len(seen) < 100
    parts = [first, *stream]
    whole = simulate(scene, times, Sensor(0.1), 3)
    for column in ("t", "x", "y", "p"):
        joined = np.concatenate([getattr(part, column) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, column))
    assert (np.diff(whole.t) >= 0).all() and max(part.count for part in parts) < 2**16 + 2**14


def test_a_still_scene_fires_nothing():
    events = simulate(lambda t: np.zeros((3, 4)), TIMES, PERFECT)
    assert events.count == 0 and (events.height, events.width) == (3, 4)


def test_a_refractory_pixel_fires_again_a_threshold_after_its_rest():
    """On a ramp of slope s: an event every refractory + threshold / s, however densely the ramp is sampled."""
    for samples in (7, 1001):
        sensor = replace(PERFECT, refractory=0.031)
        events = simulate(lambda t: np.full((1, 2), 4.0 * t), np.linspace(0, 1, samples), sensor)
        np.testing.assert_allclose(gaps(events), 0.031 + 0.1 / 4, atol=1e-9)
        falling = simulate(lambda t: np.full((1, 2), -4.0 * t), np.linspace(0, 1, samples), sensor)
        np.testing.assert_allclose(falling.t, events.t, atol=1e-9)


def test_no_two_events_of_a_pixel_are_closer_than_its_rest():
    rng = np.random.default_rng(0)
    light = rng.normal(0, 1, (40, 20, 30))
    sensor = Sensor(0.1, 0.03, 5.0, 200.0, refractory=0.02, hot_pixels=0.1)
    events = simulate(lambda t: light[round(t * 39)], np.linspace(0, 1, 40), sensor)
    assert events.count > 10_000 and gaps(events).min() >= 0.02 - 1e-9


@pytest.mark.parametrize("samples", [20, 500])
def test_the_leak_has_its_rate_its_spread_and_its_jitter(samples: int):
    times, still = np.linspace(0, 30, samples), np.zeros((30, 40))
    quiet = replace(PERFECT, leak_rate=3.0, leak_spread=0.0, leak_jitter=0.0)
    regular = simulate(lambda t: still, times, quiet)
    assert (regular.p == 1).all() and abs(regular.count / 1200 / 30 - 3) < 0.05
    np.testing.assert_allclose(gaps(regular), 1 / 3, atol=1e-9)
    spread = simulate(lambda t: still, times, replace(quiet, leak_spread=0.2))
    assert abs(np.log10(counts(spread, 1) / 90).std() - 0.2) < 0.02 and abs(spread.count / 1200 / 30 - 3) < 0.1
    jittered = gaps(simulate(lambda t: still, np.linspace(0, 30, 3000), replace(quiet, leak_jitter=0.15)))
    assert abs(jittered.std() / jittered.mean() - 0.15) < 0.01


def test_noise_stays_away_from_pixels_that_are_busy():
    """Its reset of what they remember would not fit the events of the same step."""
    events = simulate(lambda t: np.full((20, 20), 10.0 * t), TIMES, replace(PERFECT, shot_noise_rate=50.0))
    assert (events.p == 1).all() and abs(events.count / 400 - 100) <= 1


@pytest.mark.parametrize("intensity", [1e-6, 0.2, 1.0])
def test_shot_noise_has_the_rate_of_v2e(intensity: float):
    """Half for each polarity: rate / 2 (1 - 3/4 b), b = (255 I + 20) / 275 (v2e's code), times nominal over actual."""
    sensor = Sensor(0.2, 0.04, 0.0, 20.0)
    light = np.full((60, 70), np.log(intensity))
    events = simulate(lambda t: light, np.linspace(0, 5, 1000), sensor, 4)
    pixels = draw_pixels(sensor, 4200, np.random.default_rng(4))
    rate = 20 / 2 * (1 - 0.75 * (255 * intensity + 20) / 275)
    for polarity, threshold in ((1, pixels.on), (-1, pixels.off)):
        fired = counts(events, polarity)
        expected = 5 * rate * 0.2 / threshold
        assert abs(fired.sum() / expected.sum() - 1) < 0.03
        assert abs(np.corrcoef(fired, expected)[0, 1]) > 0.4
        assert abs((fired - expected).var() / expected.mean() - 1) < 0.1  # as Poisson's


def test_the_photoreceptor_is_a_low_pass_of_first_order():
    """A step of 2 in log intensity is seen as 2 (1 - exp(-2 pi f b t)), b = (255 I + 20) / 275 of the intensity after it."""
    sensor = replace(PERFECT, contrast_threshold=0.01, bandwidth=10.0)
    times = np.concatenate([[0, 1e-9], np.linspace(1e-4, 0.4, 4000)])
    for after in (0.0, -3.0):
        events = simulate(lambda t, after=after: np.full((1, 1), after - 2 * (t == 0)), times, sensor)
        cutoff = 10 * (255 * np.exp(after) + 20) / 275
        seen = 2 * (1 - np.exp(-2 * np.pi * cutoff * events.t))
        np.testing.assert_allclose(seen, 0.01 * np.arange(1, events.count + 1), atol=5e-4)


def test_a_slow_tone_passes_and_a_fast_one_is_damped():
    """By 1 / sqrt(1 + (f / f0)^2): dim light, so that its intensity hardly changes the cutoff."""
    sensor, dim = replace(PERFECT, contrast_threshold=0.01, bandwidth=100.0), -9.0
    cutoff = 100 * (255 * np.exp(dim) + 20) / 275
    for tone in (0.5, 20.0):
        times = np.linspace(0, 5 / tone, 1500)
        events = simulate(lambda t, tone=tone: np.full((1, 1), dim + np.sin(2 * np.pi * tone * t)), times, sensor)
        late = events.t > 3 / tone
        level = 0.01 * np.cumsum(events.p)
        assert abs(np.ptp(level[late]) / 2 * np.sqrt(1 + (tone / cutoff) ** 2) - 1) < 0.03


def test_dark_pixels_trail():
    """A lamp goes out: a pixel in the light has seen it in 10 ms, a dark one is still on its way."""
    sensor = SENSORS["night"]
    times = np.concatenate([np.linspace(0, 0.1, 200), np.linspace(0.1001, 0.4, 600)])
    ends = []
    for base in (0.0, -6.0):
        events = simulate(
            lambda t, base=base: np.full((8, 8), base + 2.0 * (t <= 0.1)),
            times,
            replace(sensor, shot_noise_rate=0.0, leak_rate=0.0, hot_pixels=0.0),
        )
        ends.append(np.median([at_pixel(events, pixel).t[-1] for pixel in range(64)]) - 0.1)
    assert ends[0] < 0.01 < 0.03 < ends[1]


def test_hot_pixels_fire_by_themselves():
    events = simulate(
        lambda t: np.zeros((50, 40)), np.linspace(0, 2, 200), replace(PERFECT, hot_pixels=0.01, hot_rate=70.0)
    )
    fired = counts(events, 1)
    assert (fired > 0).sum() == 20 and abs(fired.sum() / 20 - 140) < 5 and (events.p == 1).all()


@pytest.mark.parametrize("field", [field.name for field in fields(Sensor)])
def test_every_field_of_the_sensor_matters(field: str):
    base = Sensor(0.2, 0.03, 1.0, 5.0, hot_pixels=0.05)
    changed = replace(base, **{field: 0.21 if "threshold" in field else 0.07 + (getattr(base, field) or 0)})
    scene = scenes.build("demo", 20, 24, 0).light
    one, other = (simulate(scene, np.linspace(0, 0.2, 100), sensor, 0) for sensor in (base, changed))
    assert one.count != other.count or (one.t != other.t).any()


@pytest.mark.parametrize("field", [field.name for field in fields(Sensor)])
@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_a_sensor_that_cannot_be_is_refused(field: str, value: float):
    with pytest.raises(ValueError, match=field):
        Sensor(**{field: value})
    with pytest.raises(ValueError, match="hot_pixels"):
        Sensor(hot_pixels=1.1)
