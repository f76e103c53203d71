"""Laws of an answer that is made of many windows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from evinr import bayer, heads, render, siren
from evinr.config import DEFAULT
from evinr.events import InputError
from evinr.heads import Head
from evinr.reconstruction import BATCH, Reconstruction, joined
from evinr.tonemap import ToneMap

CONFIG = replace(DEFAULT, hidden=128, depth=1, basis=128, intervals=16, overlap=4, precision="float64")
SIZE = (3, 4)


def uneven(count: int, seed: int = 0) -> np.ndarray:
    """So many knots from 5 s on, whose distances differ by up to a factor of 20."""
    return 5 + np.cumsum(np.random.default_rng(seed).uniform(0.001, 0.02, count))


def fitted(times: np.ndarray, planes: int = 1, disagreement: float = 0.5, config=CONFIG) -> tuple[Head, ...]:
    """Smooth heads at these knots, of windows that overlap; each sees another brightness."""
    rng = np.random.default_rng(1)
    rows, columns = (side if planes == 1 else (side + 1) // 2 for side in SIZE)
    phases = rng.uniform(0, 6, (planes, rows, columns))
    last = len(times) - 1 - config.intervals
    made, reached = [], 0
    for first in [*range(0, last, config.intervals - config.overlap), last]:  # the last window slides back to be full
        knots = np.arange(first, first + config.intervals + 1)
        values = 3 * np.sin(phases + knots[:, None, None, None] / 3) + disagreement * rng.standard_normal(phases.shape)
        made.append(Head(times[knots], values, max(reached - first, 0)))
        reached = first + config.intervals + 1
    return tuple(made)


def answer(windows: tuple[Head, ...], **changes: Any) -> Reconstruction:
    """What they say together."""
    return joined(windows, replace(CONFIG, **changes), *SIZE)


WINDOWS = fitted(uneven(16 + 3 * 12 + 9 + 1))
"""Five windows, of which the last shares 7 intervals, 3 more than the others."""


def in_seam(window: int, part: float) -> float:
    """A time in the seam between a window and the one before."""
    _, start, end, _ = heads.place(WINDOWS[window], CONFIG.overlap)
    return start + part * (end - start)


def test_the_windows_of_these_tests_are_the_ones_meant():
    assert [head.shared for head in WINDOWS] == [0, 5, 5, 5, 8]
    for before, head in zip(WINDOWS[:-1], WINDOWS[1:], strict=True):
        np.testing.assert_array_equal(before.times[-head.shared :], head.times[: head.shared])


def test_at_a_knot_outside_seams_the_answer_is_the_head():
    rec = answer(WINDOWS, contrast_threshold=0.3)
    for number, head in enumerate(WINDOWS):
        first = max(head.shared - 1, 0)
        end = len(head.times) - (CONFIG.overlap if number < len(WINDOWS) - 1 else 0)
        expected = 0.3 * head.values[first:end, 0]
        np.testing.assert_allclose(rec.log_intensity(head.times[first:end]), expected, rtol=0, atol=1e-10)


def test_one_window_has_no_seams():
    head = WINDOWS[0]
    np.testing.assert_allclose(answer((head,)).log_intensity(head.times), 0.2 * head.values[:, 0], rtol=0, atol=1e-10)


def test_between_knots_the_answer_is_the_network_with_that_head():
    head = WINDOWS[0]
    times = np.linspace(head.times[0], head.times[-1], 23)
    knot = PchipInterpolator(head.times, np.arange(len(head.times)))(times)
    weights = siren.cardinal_functions(siren.cardinal(CONFIG, len(head.times)), knot)
    np.testing.assert_allclose(
        answer((head,)).log_intensity(times), 0.2 * np.tensordot(weights, head.values[:, 0], 1), atol=1e-11
    )


@pytest.mark.parametrize("what", ["log_intensity", "rate"])
@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_nothing_jumps_where_a_seam_starts_or_ends(what: str, window: int, end: float):
    ask: Callable[..., np.ndarray] = getattr(answer(WINDOWS), what)
    at = in_seam(window, end)
    left, there, right = ask([at - 1e-9, at, at + 1e-9])
    scale = np.abs(ask(np.linspace(*answer(WINDOWS).span, 50))).max()
    np.testing.assert_allclose(left, there, rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(right, there, rtol=0, atol=1e-5 * scale)


def test_a_seam_goes_from_one_window_to_the_next():
    rec, alone = answer(WINDOWS), [answer((head,)) for head in WINDOWS]
    for number in range(1, len(WINDOWS)):
        times = np.array([in_seam(number, part) for part in (0, 0.3, 0.7, 1)])
        before, after = (alone[at].log_intensity(times) for at in (number - 1, number))
        share = (rec.log_intensity(times) - before) / (after - before)
        assert np.ptp(share, axis=(1, 2)).max() < 1e-8, "all pixels by the same share"
        assert share[0].max() < 1e-10 < 0.01 < share[1].max() < share[2].max() < 0.99 < 1 - 1e-10 < share[3].min()


def test_windows_that_agree_have_no_seams():
    times = uneven(16 + 3 * 12 + 9 + 1)
    rec = answer(fitted(times, disagreement=0.0))
    whole = Head(times, np.concatenate([head.values[head.shared :] for head in fitted(times, disagreement=0.0)]), 0)
    asked = np.linspace(*rec.span, 300)
    truth = np.stack([np.interp(asked, times, whole.values[:, 0, y, x]) for y, x in np.ndindex(SIZE)], -1)
    error = np.abs(rec.log_intensity(asked) / 0.2 - truth.reshape(-1, *SIZE))
    assert error.max() < 0.15 * 3  # of linear interpolation: a few percent of the sine's amplitude


def test_the_rate_is_the_derivative_of_the_log_intensity():
    rec = answer(WINDOWS)
    inside = [in_seam(window, part) for window in (1, 2, 4) for part in (0.01, 0.2, 0.5, 0.9, 0.99)]
    times = np.concatenate([np.linspace(*rec.span, 101)[1:-1], inside])
    step = 1e-7
    differences = (rec.log_intensity(times + step) - rec.log_intensity(times - step)) / (2 * step)
    np.testing.assert_allclose(rec.rate(times), differences, rtol=0, atol=2e-6 * np.abs(differences).max())


@pytest.mark.parametrize("what", ["log_intensity", "rate", "intensity"])
def test_times_come_in_any_order_and_shape(what: str):
    ask = getattr(answer(WINDOWS), what)
    times = np.linspace(*answer(WINDOWS).span, 3 * BATCH + 5)
    rising = ask(times)
    order = np.random.default_rng(2).permutation(len(times))
    np.testing.assert_allclose(ask(times[order]), rising[order], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ask(float(times[7])), rising[7], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ask(times[:6].reshape(2, 3)), rising[:6].reshape(2, 3, *SIZE), rtol=1e-12, atol=1e-12)
    assert ask([]).shape == (0, *SIZE)


@pytest.mark.parametrize(("interval", "factor"), [(6, 1000.0), (6, 0.001), (13, 1000.0), (14, 0.001), (0, 1000.0)])
def test_silences_and_bursts_stay_finite_and_do_not_overshoot(interval: int, factor: float):
    steps = np.full(16 + 12, 0.01)
    steps[interval : interval + 3] *= factor
    times = 5 + np.concatenate([[0], np.cumsum(steps)])
    windows = fitted(times)
    rec = answer(windows)
    for left, right in zip(times[:-1], times[1:], strict=True):
        asked = np.linspace(left, right, 21)
        here = rec.log_intensity(asked)
        assert np.isfinite(here).all() and np.isfinite(rec.rate(asked)).all()
        near = slice(max(np.searchsorted(times, left) - 1, 0), np.searchsorted(times, right) + 2)
        around = np.concatenate([0.2 * h.values[np.isin(h.times, times[near]), 0] for h in windows])
        middle, reach = (around.max(0) + around.min(0)) / 2, np.maximum(np.ptp(around, axis=0), 0.1)
        assert (np.abs(here - middle) <= reach).all()


def test_a_window_does_not_come_in_while_nothing_happens():
    steps = np.full(16 + 12, 0.01)
    steps[14] = 100.0  # one of the four intervals of the seam, 12 to 16
    times = 5 + np.concatenate([[0], np.cumsum(steps)])
    first, second = fitted(times, disagreement=0.0)
    constant = [head._replace(values=np.full_like(head.values, level)) for head, level in ((first, 0.0), (second, 1.0))]
    shown = answer(tuple(constant)).log_intensity(times[12:17])[:, 0, 0] / 0.2
    np.testing.assert_allclose(shown, [0, 0.15625, 0.5, 0.84375, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("precision", "kind"), [("float64", np.float64), ("float32", np.float32), ("bfloat16", np.float32)]
)
def test_precision_is_that_of_the_answer(precision, kind: type):
    rec = answer(tuple(head._replace(values=head.values.astype(np.float16)) for head in WINDOWS), precision=precision)
    exact = answer(tuple(head._replace(values=np.float64(np.float16(head.values))) for head in WINDOWS))
    times = np.linspace(*rec.span, 40)
    for ask in ("log_intensity", "rate"):
        found, expected = getattr(rec, ask)(times), getattr(exact, ask)(times)
        assert found.dtype == kind
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_mosaic_of_four_planes_becomes_colour():
    windows = fitted(uneven(16 + 12 + 1), planes=4)
    rec = answer(windows, bayer="rggb")
    knot = windows[0].times[3]
    mosaic = 0.2 * bayer.mosaic(windows[0].values[3:4])[:, : SIZE[0], : SIZE[1]]
    np.testing.assert_allclose(rec.log_intensity(knot), mosaic[0], atol=1e-10)
    np.testing.assert_allclose(rec.intensity(knot), bayer.demosaic(np.exp(mosaic), "rggb")[0], rtol=1e-9)
    assert rec.intensity([knot] * 2).shape == (2, *SIZE, 3)


def test_a_pixel_that_never_rests_leaves_colour_to_the_others():
    """exp(443 thresholds of 0.2) is infinite, and demosaicing would make NaN of it everywhere."""
    windows = fitted(uneven(16 + 12 + 1), planes=4)
    windows[0].values[3, 2, 1, 1] = 500
    rec = answer(windows, bayer="rggb")
    assert np.isfinite(rec.intensity(windows[0].times[3])).all()
    exposed = render.exposure(rec, ToneMap())
    assert all(np.isfinite(np.array(part)).all() for part in exposed)


@pytest.mark.parametrize("extrapolate", [False, True])
def test_outside_the_knots_there_is_nothing(extrapolate: bool):
    rec = answer(WINDOWS)
    assert rec.span == (WINDOWS[0].times[0], WINDOWS[-1].times[-1])
    for bad in (rec.span.start - 1e-9, rec.span.end + 1e-9, np.nan):
        with pytest.raises(InputError, match="outside the fitted span .* ask inside it$"):
            rec.log_intensity(bad, extrapolate=extrapolate)
    rec.log_intensity(list(rec.span), extrapolate=extrapolate)


def test_pictures_of_windows_share_one_exposure():
    rec = answer(WINDOWS)
    times = np.linspace(*rec.span, 2 * BATCH + 1)
    shown = np.concatenate(list(render.pictures(rec, times, ToneMap())))
    assert shown.shape == (len(times), *SIZE) and 0 <= shown.min() < 0.01 < 0.99 < shown.max() <= 1
    assert len(np.concatenate(list(render.rate_pictures(rec, times)))) == len(times)


@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e3])
def test_the_knot_coordinate_is_scipy_s_monotone_cubic(factor: float):
    times = uneven(9)
    times[4:] += factor * 0.01
    times[-1] += 20 * factor  # flat at the end
    cubic = PchipInterpolator(times, np.arange(9.0))
    asked = np.concatenate([times, np.linspace(times[0], times[-1], 500)])
    knot, pace = heads.coordinate(times, asked)
    np.testing.assert_allclose(knot, cubic(asked), rtol=0, atol=1e-9)
    expected = cubic.derivative()(asked)
    np.testing.assert_allclose(pace, expected, rtol=0, atol=1e-8 * expected.max())
    np.testing.assert_allclose(knot[:9], np.arange(9), atol=1e-13)
    assert (np.diff(np.sort(knot[9:]) - knot[9:]) == 0).all(), "it never falls"
