"""Laws of the fit and of its answer."""

from dataclasses import fields, replace
from typing import Any

import jax
import numpy as np
import pytest
from conftest import Known
from hypothesis import given
from hypothesis import strategies as st

from evinr.config import DEFAULT, OF_THE_WHOLE, OF_WINDOWS, PAPER, FitConfig
from evinr.events import Events, InputError
from evinr.fitting import CHUNK, Snapshot, deadline, schedule, snapshots, target, window
from evinr.knots import planes
from evinr.reconstruct import fit
from evinr.reconstruction import Reconstruction, Span

ONE = replace(DEFAULT, windows="whole")
TINY = replace(ONE, knots=8, hidden=8, basis=4, steps=6)
COLOUR = replace(TINY, bayer="rggb")
PARALLEL = replace(DEFAULT, intervals=8, overlap=2, iterations=6, warm_iterations=3, batch=4)
SEQUENTIAL = replace(PARALLEL, windows="sequential")
WHOLE = Span(0.0, 1.0)


@pytest.fixture(scope="module")
def noise() -> Events:
    """600 events at random on 18 x 20 pixels: two levels of the head."""
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 20, 600).astype(np.uint16), rng.integers(0, 18, 600).astype(np.uint16)
    t = np.sort(rng.integers(0, 10**6, 600)) / 1e6
    return Events(t, x, y, rng.choice([-1, 1], 600).astype(np.int8), 18, 20)


def assert_equal(one: Any, other: Any) -> None:
    """The same tree to the last bit."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


# Every field of the configuration.

CHANGES: dict[str, tuple[FitConfig, Any]] = {
    "knots": (TINY, 11),
    "supervision": (TINY, "midpoints"),
    "contrast_threshold": (TINY, 0.3),
    "scale_free": (TINY, False),
    "bayer": (COLOUR, "grbg"),
    "colour": (COLOUR, "planes"),
    "smooth": (TINY, 3.0),
    "variation": (TINY, "anisotropic"),
    "still": (TINY, 0.5),
    "constancy": (TINY, 0.9),
    "outlier": (TINY, 0.3),
    "hidden": (TINY, 9),
    "depth": (TINY, 2),
    "basis": (TINY, 5),
    "levels": (TINY, 1),
    "omega": (TINY, 12.0),
    "zero_head": (TINY, False),
    "steps": (TINY, 5),
    "head_rate": (TINY, 2e-2),
    "coarse_gain": (TINY, 3.0),
    "sine_rate": (TINY, 3e-3),
    "warmup": (TINY, 0.5),
    "decay": (TINY, "constant"),
    "weight_decay": (TINY, 0.5),
    "coarse_to_fine": (TINY, True),
    "precision": (TINY, "bfloat16"),
    "seed": (TINY, 1),
}
"""A configuration of one network, and another value of one of its fields."""

CHANGES_OF_WINDOWS: dict[str, tuple[FitConfig, Any]] = {
    "windows": (SEQUENTIAL, "parallel"),
    "intervals": (SEQUENTIAL, 16),
    "overlap": (SEQUENTIAL, 3),
    "batch": (PARALLEL, 2),
    "tie": (SEQUENTIAL, 0.5),
    "iterations": (SEQUENTIAL, 8),
    "warm_iterations": (SEQUENTIAL, 5),
    "contrast_threshold": (SEQUENTIAL, 0.3),
    "bayer": (replace(SEQUENTIAL, bayer="rggb"), "grbg"),
    "smooth": (SEQUENTIAL, 3.0),
    "still": (SEQUENTIAL, 0.5),
    "constancy": (SEQUENTIAL, 5.0),
    "revisions": (SEQUENTIAL, 3),
    "ridge": (SEQUENTIAL, 1e-2),
    "outlier": (SEQUENTIAL, 0.3),
    "hidden": (SEQUENTIAL, 64),
    "depth": (SEQUENTIAL, 2),
    "basis": (SEQUENTIAL, 64),
    "omega": (SEQUENTIAL, 12.0),
    "precision": (SEQUENTIAL, "bfloat16"),
    "seed": (SEQUENTIAL, 1),
}
"""The same of windows."""

_answers: dict[FitConfig, np.ndarray] = {}


def answer(events: Events, config: FitConfig) -> np.ndarray:
    if config not in _answers:
        _answers[config] = fit(events, config, span=WHOLE).intensity(np.array([0.3, 0.5, 0.9]))
    return _answers[config]


NAMES = [field.name for field in fields(FitConfig)]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        *((CHANGES, name) for name in NAMES if name not in ("windows", *OF_WINDOWS)),
        *((CHANGES_OF_WINDOWS, name) for name in NAMES if name not in OF_THE_WHOLE),
    ],
)
def test_every_field_changes_the_answer(noise: Events, changes: dict[str, tuple[FitConfig, Any]], name: str):
    assert name in changes, f"say in CHANGES how {name} can be seen to matter"
    config, value = changes[name]
    assert getattr(config, name) != value
    if changes is CHANGES_OF_WINDOWS:  # of a few pixels: compiled in a third of the time
        noise = noise._replace(x=noise.x % 8, y=noise.y % 8, height=8, width=8)
    before, after = answer(noise, config), answer(noise, replace(config, **{name: value}))
    assert np.isfinite(after).all()
    # By more than rounding and by what a field of its size should do: 1e-4 of what the picture has.
    assert before.shape != after.shape or np.abs(after - before).max() > 1e-4 * np.ptp(before)


def test_a_field_that_would_not_matter_is_refused():
    for config, changes, names in ((TINY, CHANGES_OF_WINDOWS, OF_WINDOWS), (PARALLEL, CHANGES, OF_THE_WHOLE)):
        for name in names:
            with pytest.raises(ValueError, match=f"{name} has no effect with windows {config.windows}"):
                replace(config, **{name: changes[name][1]})


def test_too_few_functions_of_time_are_refused():
    """As many as intervals give the values at all knots; 32 for 32 knots more than the bias."""
    with pytest.raises(ValueError, match="basis is 31: windows of 32 intervals"):
        replace(DEFAULT, basis=31)
    assert replace(DEFAULT, basis=32).basis == replace(ONE, basis=31).basis + 1


def test_unset_knots_are_automatic(noise: Events):
    unset = target(noise, WHOLE, replace(TINY, knots=None))
    assert len(unset.images) == 33  # 600 events on 360 pixels


# The schedule and the plan.


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_the_rates_rise_over_the_warm_up_and_fall_to_nothing(warmup: float):
    progress = (np.arange(1000) + 0.5) / 1000
    rates = schedule(progress, replace(ONE, warmup=warmup))
    peak = int(rates.argmax())
    assert abs(progress[peak] - warmup) <= 1e-3
    assert 0.99 < rates[peak] <= 1 and (rates >= 0).all()
    assert (np.diff(rates[: peak + 1]) > 0).all() and (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] < 1e-5
    half = np.abs(progress - (warmup + 1) / 2).argmin()
    assert abs(rates[half] - 0.5) < 2e-3
    level = schedule(progress, replace(ONE, warmup=warmup, decay="constant"))
    assert (level[progress >= warmup] == 1).all()
    np.testing.assert_array_equal(level[progress < warmup], rates[progress < warmup] if warmup else [])


class Clock:
    """Seconds that pass only when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def drive(steps: int, budget: float, pace: float, first: float) -> tuple[int, float, list[int]]:
    """A fit of `steps` steps of `pace` seconds, the first chunk `first` seconds more: steps taken, seconds, plans."""
    clock = Clock()
    plan = deadline(replace(ONE, steps=steps), budget, clock)
    step, plans = 0, []
    while (left := plan(step)) > 0:
        plans.append(left)
        clock.now += min(CHUNK, left) * pace + (first if step == 0 else 0)
        step += min(CHUNK, left)
    return step, clock.now - 100, plans


budgets = st.floats(0.05, 50)
paces = st.floats(0.001, 0.5)


@given(st.integers(1, 500), budgets, paces, st.floats(0, 3))
def test_a_budget_is_overrun_by_one_chunk_at_most_and_steps_never(steps: int, budget: float, pace: float, first: float):
    """The pace is known after two chunks, of which the first compiles; then the budget is kept."""
    taken, seconds, plans = drive(steps, budget, pace, first)
    assert 0 < taken <= steps
    assert all(step + left <= steps for step, left in zip(range(0, steps, CHUNK), plans, strict=False))
    one, two = CHUNK * pace + first, 2 * CHUNK * pace + first
    assert seconds <= max(budget, one if one >= budget else two) + 1e-6


@given(st.integers(1, 500), budgets, paces, st.floats(0, 3))
def test_a_budget_is_used_but_for_less_than_a_chunk(steps: int, budget: float, pace: float, first: float):
    taken, seconds, _ = drive(steps, budget, pace, first)
    assert taken == steps or seconds > budget - CHUNK * pace - 1e-6


def test_without_a_budget_all_steps_are_taken():
    plan = deadline(replace(ONE, steps=50), None)
    assert [plan(step) for step in (0, 20, 50)] == [50, 30, 0]


def test_a_fit_within_a_budget_ends_its_schedule(noise: Events):
    """A second a step, which is known after 40 steps, leaves time for 80 of 100: the rates still fall to nothing."""
    config, clock = replace(TINY, steps=100), Clock()
    plan = deadline(config, 81.0, clock)
    seen = []
    for snapshot in snapshots(noise, WHOLE, config, plan=plan):
        clock.now += CHUNK
        seen.append((snapshot.step, snapshot.progress))
    assert [step for step, _ in seen] == [20, 40, 60, 80]
    np.testing.assert_allclose([progress for _, progress in seen], [0.2, 0.4, 0.7, 1.0])


# Stopping and going on.


def kept_snapshots(events: Events, span: Span, config: FitConfig, start: Snapshot | None = None) -> list[Snapshot]:
    """All snapshots of a fit, copied: the next chunk reuses the memory."""
    return [jax.tree.map(np.array, snapshot) for snapshot in snapshots(events, span, config, start=start)]


@pytest.mark.parametrize(("coarse_to_fine", "chunks"), [(False, 1), (False, 2), (True, 1), (True, 2), (True, 3)])
def test_a_resumed_fit_equals_the_uninterrupted_one(noise: Events, coarse_to_fine: bool, chunks: int):
    config = replace(TINY, steps=2 * CHUNK + 13, coarse_to_fine=coarse_to_fine)
    whole = kept_snapshots(noise, WHOLE, config)
    assert whole[-1].step == config.steps and whole[-1].progress == pytest.approx(1)
    assert [len(snapshot.terms.total) for snapshot in whole] == np.diff([0, *[s.step for s in whole]]).tolist()
    if coarse_to_fine:
        assert config.steps // 2 in [snapshot.step for snapshot in whole]
    start = jax.tree.map(np.array, whole[chunks - 1])
    assert_equal(kept_snapshots(noise, WHOLE, config, start), whole[chunks:])


def test_coarse_to_fine_doubles_the_intervals_at_half_of_the_steps(noise: Events):
    """Its second half is the plain fit of twice the intervals, gone on with from the first half."""
    config = replace(TINY, steps=8, coarse_to_fine=True, decay="constant", warmup=0.0)
    half, end = kept_snapshots(noise, WHOLE, config)
    plain = replace(config, coarse_to_fine=False)
    (coarse,) = kept_snapshots(noise, WHOLE, replace(plain, steps=4))
    assert_equal(coarse.state, half.state)
    (rest,) = kept_snapshots(noise, WHOLE, replace(plain, knots=16), jax.tree.map(np.array, half))
    assert_equal(rest.state, end.state)


def test_coarse_to_fine_refuses_at_once_what_its_second_half_would(noise: Events):
    config = replace(TINY, knots=400, coarse_to_fine=True)
    with pytest.raises(InputError, match="600 events are too few for 800 intervals: pass --knots 300 or less"):
        target(noise, WHOLE, config)


# What is fitted.


def test_the_answer_is_proportional_to_the_contrast_threshold(noise: Events):
    one, other = fit(noise, TINY), fit(noise, replace(TINY, contrast_threshold=0.5))
    assert_equal(one.params, other.params)
    times = np.array([0.2, 0.7])
    np.testing.assert_allclose(other.log_intensity(times), 2.5 * one.log_intensity(times), rtol=1e-6)
    np.testing.assert_allclose(other.rate(times), 2.5 * one.rate(times), rtol=1e-6)


def test_the_clock_of_a_recording_does_not_matter(noise: Events):
    """A power of two, so that times are scaled without rounding."""
    slow = noise._replace(t=noise.t * 4)
    one, other = fit(noise, TINY), fit(slow, TINY)
    assert_equal(one.params, other.params)
    np.testing.assert_array_equal(one.log_intensity(0.5), other.log_intensity(2.0))
    np.testing.assert_allclose(one.rate(0.5), 4 * other.rate(2.0), rtol=1e-6)


def test_planes_pad_an_odd_mosaic_and_refuse_it_as_whole_cells():
    images = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    padded = planes(images, COLOUR)
    assert padded.shape == (2, 4, 3, 4)
    np.testing.assert_array_equal(padded[:, 0], images[:, ::2, ::2])
    np.testing.assert_array_equal(padded[:, 3, :2, :3], images[:, 1::2, 1::2])
    assert not padded[:, 3, 2].any() and not padded[:, 3, :, 3].any()
    with pytest.raises(InputError, match="a 7 x 5 sensor has no whole Bayer cells: pass --colour mosaic"):
        planes(images, replace(COLOUR, colour="planes"))


def test_a_hot_pixel_does_not_set_the_rate_of_all_others(noise: Events):
    """100,000 events at one pixel: the amplitude, to which the head's rate is tied, hardly rises."""
    t = np.linspace(noise.t[0], noise.t[-1], 100_000)
    everything = np.concatenate([noise.t, t])
    order = np.argsort(everything, kind="stable")
    x, y, p = (np.concatenate([old, np.full(len(t), 1, old.dtype)])[order] for old in (noise.x, noise.y, noise.p))
    hot = Events(everything[order], x, y, p, noise.height, noise.width)
    amplitudes = [target(*window(events, TINY), TINY).amplitude for events in (noise, hot)]
    # The knots move to where the events are, so the two are not quite the same even for the other pixels.
    assert amplitudes[1] < 1.5 * amplitudes[0]


@pytest.mark.parametrize("shape", [(1, 20), (20, 1)])
def test_a_sensor_without_neighbours_is_refused(shape: tuple[int, int]):
    with pytest.raises(InputError, match="too small: a fit needs 2 x 2"):
        planes(np.zeros((3, *shape), np.float32), TINY)


@pytest.mark.parametrize("config", [TINY, replace(PAPER, knots=8)])
def test_targets_lie_in_the_span_and_hold_the_events(noise: Events, config: FitConfig):
    events, span = window(noise, config, Span(0.25, 0.75))
    asked = noise.between(0.25, 0.75)
    aim = target(events, span, config)
    assert aim.times.dtype == np.float32 and len(aim.times) == len(aim.images) + 1
    assert (np.abs(aim.times) <= 1).all() and (np.diff(aim.times) > 0).all()
    if config.supervision == "edges":
        assert aim.times[0] == -1 and aim.times[-1] == 1 and span == (events.t[0], events.t[-1])
        assert aim.images.sum() == asked.p.sum() and events.count == asked.count
        assert aim.amplitude > 0 and aim.weights == (config.smooth / 8, config.still / 8)
    else:
        assert span == (0.25, 0.75) and aim.amplitude == 1 and aim.weights == (config.smooth, config.still)


@pytest.mark.parametrize("config", [TINY, replace(PAPER, knots=8)])
def test_a_span_without_events_is_refused(noise: Events, config: FitConfig):
    with pytest.raises(InputError, match=r"no events between 2.0 and 3.0 s: the recording spans 0\.\d+ to 0\.\d+ s"):
        window(noise, config, Span(2.0, 3.0))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_the_fit_lowers_its_objective_and_shows_the_scene(moving_bar: Known):
    events, scene = moving_bar.events, moving_bar.scene
    config = replace(ONE, knots=16, hidden=64, basis=16, contrast_threshold=moving_bar.contrast_threshold)
    totals = np.concatenate([snapshot.terms.total for snapshot in kept_snapshots(*window(events, config), config)])
    assert len(totals) == config.steps and totals[-1] < 0.4 * totals[0]
    assert np.median(totals[-10:]) < np.median(totals[10:20]) < totals[0]
    reconstruction = fit(events, config)
    times = np.linspace(5.01, 5.09, 17)
    shown, truth = reconstruction.log_intensity(times), np.array([scene(t) for t in times])
    assert correlation(shown, truth) > 0.9
    slope = np.polyfit(truth.ravel(), shown.ravel(), 1)[0]
    assert 0.5 < slope < 1.1, "log intensity is in units of the contrast threshold"
    assert correlation(reconstruction.rate(times), np.gradient(truth, times, axis=0)) > 0.8


# The answer.

TIMES = np.array([0.25, 0.5, 0.625])
KINDS = [TINY, COLOUR, replace(COLOUR, colour="planes")]


@pytest.fixture(scope="module", params=KINDS, ids=["gray", "mosaic", "planes"])
def answered(noise: Events, request: pytest.FixtureRequest) -> Reconstruction:
    return fit(noise, replace(request.param, steps=2, precision="float64", zero_head=False))


def test_the_rate_is_the_derivative(answered: Reconstruction):
    step = 1e-5
    differences = (answered.log_intensity(TIMES + step) - answered.log_intensity(TIMES - step)) / (2 * step)
    rates = answered.rate(TIMES)
    assert np.abs(rates - differences).max() < 1e-7 * np.abs(rates).max()
    assert np.abs(rates).max() > 0.1


def test_intensity_is_the_exponential_and_in_colour(answered: Reconstruction):
    log, linear = answered.log_intensity(TIMES), answered.intensity(TIMES)
    if answered.config.bayer is None:
        assert linear.shape == (3, 18, 20)
        np.testing.assert_allclose(linear, np.exp(log), rtol=1e-12)
    elif answered.config.colour == "planes":
        assert linear.shape == log.shape == (3, 18, 20, 3)
        np.testing.assert_allclose(linear, np.exp(log), rtol=1e-12)
    else:
        assert log.shape == (3, 18, 20) and linear.shape == (3, 18, 20, 3)
        np.testing.assert_allclose(linear[:, ::2, ::2, 0], np.exp(log[:, ::2, ::2]), rtol=1e-12)
        np.testing.assert_allclose(linear[:, 1::2, ::2, 1], np.exp(log[:, 1::2, ::2]), rtol=1e-12)
        np.testing.assert_allclose(linear[:, 1::2, 1::2, 2], np.exp(log[:, 1::2, 1::2]), rtol=1e-12)


@pytest.mark.parametrize("what", ["log_intensity", "rate", "intensity"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 0), (2, 3), (37,)])
def test_the_shape_of_the_times_leads(answered: Reconstruction, what: str, shape: tuple[int, ...]):
    ask = getattr(answered, what)
    times = np.random.default_rng(0).uniform(0.1, 0.9, shape)
    frames = ask(float(times) if shape == () else times)
    coloured = (3,) if answered.config.colour == "planes" or what == "intensity" and answered.config.bayer else ()
    assert frames.shape == (*shape, 18, 20, *coloured)
    for index in list(np.ndindex(shape))[-3:]:
        np.testing.assert_allclose(frames[index], ask(float(times[index])), rtol=1e-9, atol=1e-12)


def test_an_odd_mosaic_has_the_size_of_its_sensor(noise: Events):
    inside = noise.x < 19
    t, x, y, p = (column[inside] for column in noise[:4])
    odd = Events(t, x, y, p, 18, 19)
    reconstruction = fit(odd, replace(COLOUR, steps=1))
    assert reconstruction.log_intensity(0.5).shape == (18, 19)
    assert reconstruction.intensity(0.5).shape == (18, 19, 3)


@pytest.mark.parametrize("what", ["log_intensity", "rate", "intensity"])
def test_times_outside_the_span_are_refused_unless_extrapolation_is_asked_for(answered: Reconstruction, what: str):
    ask, (start, end) = getattr(answered, what), answered.span
    for outside in (start - 1e-6, end + 1e-6, np.array([0.5, end + 1])):
        with pytest.raises(InputError, match=r"outside the fitted span 0\.\d+ to 0\.\d+ s.*pass --extrapolate"):
            ask(outside)
        assert np.isfinite(ask(outside, extrapolate=True)).all()
    assert np.isfinite(ask(np.array([start, end]))).all()


@pytest.mark.parametrize("time", [np.nan, np.inf])
@pytest.mark.parametrize("extrapolate", [False, True])
def test_no_time_at_all_is_refused_always(answered: Reconstruction, time: float, extrapolate: bool):
    with pytest.raises(InputError, match=f"time {time} s"):
        answered.log_intensity(np.array([0.5, time]), extrapolate=extrapolate)
