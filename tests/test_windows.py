"""Laws of the cut into windows: every event once, wherever the blocks end; knots rise, are shared, and mark silences."""

import math
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evinr import windows
from evinr.config import DEFAULT, LENGTHS
from evinr.events import Events, InputError
from evinr.windows import FULL, LEAST, MARGIN, PATIENCE, SILENCE, WORTH, Window

HEIGHT, WIDTH = 15, 20  # 150 events fill an interval, 15 do after 20 ms, 2 earn a silence
PIXELS = HEIGHT * WIDTH
SMALL = replace(DEFAULT, intervals=8, overlap=3)


def recording(t: np.ndarray, seed: int = 0) -> Events:
    rng, n = np.random.default_rng(seed), len(t)
    x, y = rng.integers(0, WIDTH, n).astype(np.uint16), rng.integers(0, HEIGHT, n).astype(np.uint16)
    return Events(np.asarray(t, np.float64), x, y, rng.choice([-1, 1], n).astype(np.int8), HEIGHT, WIDTH)


def split(events: Events, places: list[int]) -> list[Events]:
    edges = [0, *sorted(places), events.count]
    return [events.part(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]


def image(events: Events) -> np.ndarray:
    made = np.zeros((HEIGHT, WIDTH), np.float32)
    np.add.at(made, (events.y, events.x), events.p)
    return made


def even(seconds: float, count: int, start: float = 0.0) -> np.ndarray:
    return start + np.arange(count) * (seconds / count)


def changing(seed: int, parts: int) -> Events:
    """Bursts, trickles, silences and events of one time, one after another."""
    rng, t, now = np.random.default_rng(seed), [], 0.0
    for _ in range(parts):
        kind, n = rng.integers(0, 5), int(rng.integers(1, 300))
        now += float(rng.choice([0.0, 1e-6, 0.03, 0.11, 5.0]))
        steps = rng.exponential([1e-6, 3e-5, 2e-3, 0.03, 0.0][kind], n)
        t.append(now + np.cumsum(np.round(steps, 6)))  # microseconds, so that some are shared
        now = float(t[-1][-1])
    return recording(np.concatenate(t), seed)


recordings = st.builds(changing, st.integers(0, 10**6), st.integers(1, 30))


def one_by_one(events: Events) -> list[tuple[float, float, int]]:
    """Begin, end and number of events of the intervals, by the rule as it is said."""
    found, t = [], events.t.tolist()
    start, count = t[0], 1
    for before, now in zip(t, t[1:], strict=False):
        a, b = before + MARGIN, now - MARGIN
        if now - before >= SILENCE and count >= WORTH * PIXELS:
            found += [(start, a, count), (a, b, 0)]
            start, count = b, 0
        elif now > before and (count >= FULL * PIXELS or (count >= LEAST * PIXELS and now >= start + PATIENCE)):
            found.append((start, (before + now) / 2, count))
            start, count = found[-1][1], 0
        count += 1
    return [*found, (start, max(t[-1], math.nextafter(start, math.inf)), count)]


@given(recordings)
def test_intervals_are_those_of_a_loop_over_the_events(events: Events):
    assert [cut[:3] for cut in windows.intervals([events])] == one_by_one(events)


@given(recordings, st.lists(st.integers(0, 5000), max_size=40))
def test_where_the_blocks_end_makes_no_difference(events: Events, places: list[int]):
    whole = list(windows.intervals([events]))
    parts = list(windows.intervals(split(events, [place % (events.count + 1) for place in places])))
    assert [cut[:3] for cut in parts] == [cut[:3] for cut in whole]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(parts, whole, strict=True))


def test_even_blocks_of_one_event_do():
    events = changing(3, 8)
    whole, parts = windows.intervals([events]), windows.intervals(split(events, list(range(events.count))))
    for a, b in zip(whole, parts, strict=True):
        assert a[:3] == b[:3]
        np.testing.assert_array_equal(a.image, b.image)


@given(recordings)
def test_every_event_is_in_one_interval_and_knots_rise(events: Events):
    cut = list(windows.intervals([events]))
    assert sum(interval.events for interval in cut) == events.count
    assert cut[0].start == events.t[0] and (len(cut) == 1 or cut[-1].end == max(cut[-1].end, events.t[-1]))
    np.testing.assert_array_equal(np.sum([interval.image for interval in cut], axis=0), image(events))
    for interval, after in zip(cut, [*cut[1:], None], strict=True):
        assert interval.start < interval.end
        assert after is None or interval.end == after.start
        last = np.searchsorted(events.t, interval.end, "left" if after else "right")
        inside = events.part(np.searchsorted(events.t, interval.start), last)
        assert inside.count == interval.events
        np.testing.assert_array_equal(image(inside), interval.image)


def test_busy_events_fill_intervals_and_calm_ones_wait():
    busy = list(windows.intervals([recording(even(0.1, 1500))]))
    assert [interval.events for interval in busy] == [150] * 10
    calm = list(windows.intervals([recording(even(1.0, 1500))]))  # 30 events in 20 ms
    assert {interval.events for interval in calm[:-1]} == {30}
    assert all(0.0199 < interval.end - interval.start < 0.021 for interval in calm[1:-1])
    dark = list(windows.intervals([recording(even(10.0, 150))]))  # 15 a second
    assert [interval.events for interval in dark] == [15] * 10


def test_a_silence_is_an_interval_of_its_own():
    t = np.concatenate([even(0.05, 100), even(0.05, 100, start=0.35)])
    cut = [interval for interval in windows.intervals([recording(t)]) if interval.events == 0]
    assert [interval[:3] for interval in cut] == [(t[99] + MARGIN, t[100] - MARGIN, 0)]
    assert not cut[0].image.any()


def test_lone_events_of_a_dark_sensor_earn_no_silences():
    assert len(list(windows.intervals([recording(even(10.0, 14))]))) == 13  # two events before each silence
    assert len(list(windows.intervals([recording(np.array([0.0, 3.0]))]))) == 1


def test_adjacent_doubles_still_have_a_knot_between_them():
    a = 0.1
    t = np.repeat([a, math.nextafter(a, 1)], 150)
    cut = list(windows.intervals([recording(t)]))
    assert [interval.events for interval in cut] == [150, 150]
    assert cut[0].start < cut[0].end < cut[1].end


def joined(found: list[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Knots and images without what windows have from the one before."""
    times = np.concatenate([window.times[window.shared :] for window in found])
    return times, np.concatenate([window.images[max(window.shared - 1, 0) :] for window in found])


@given(recordings)
def test_windows_hold_every_interval_share_knots_and_have_one_shape(events: Events):
    cut, found = list(windows.intervals([events])), list(windows.windows([events], SMALL))
    assert [window.number for window in found] == list(range(len(found)))
    assert {window.images.shape for window in found} == {(8, 1, HEIGHT, WIDTH)}
    times, images = joined(found)
    np.testing.assert_array_equal(images.sum(0)[0], image(events))
    assert (np.diff(times) > 0).all()
    assert found[0].shared == 0
    for before, window in zip(found, found[1:], strict=False):
        assert window.shared >= SMALL.overlap + 1
        np.testing.assert_array_equal(window.times[: window.shared], before.times[-window.shared :])
        np.testing.assert_array_equal(window.images[: window.shared - 1], before.images[1 - window.shared :])
    assert all(window.shared == SMALL.overlap + 1 for window in found[1:-1])
    if len(cut) >= 8:
        np.testing.assert_array_equal(times, [cut[0].start, *(interval.end for interval in cut)])
        np.testing.assert_array_equal(images[:, 0], [interval.image for interval in cut])


def test_a_window_is_given_out_before_more_events_are_asked_for():
    asked: list[int] = []

    def blocks() -> Iterator[Events]:
        events = recording(even(0.2, 3000))
        for number, block in enumerate(split(events, list(range(150, 3000, 150)))):
            asked.append(number)
            yield block

    found = windows.windows(blocks(), SMALL)
    next(found)
    assert asked[-1] == 8  # its first event ends the eighth interval
    next(found)
    assert asked[-1] == 13


@pytest.mark.parametrize(
    ("events", "wanted"), [(9, 8), (120, 8), (179, 8), (181, 16), (310, 24), (430, 32), (2000, 32), (4000, 32)]
)
def test_a_short_recording_is_cut_into_8_16_24_or_32(events: int, wanted: int):
    short = recording(np.sort(np.random.default_rng(0).uniform(0, 0.4, events)))
    [window] = windows.windows(split(short, [4, 7]), DEFAULT)
    assert window.images.shape == (wanted, 1, HEIGHT, WIDTH)
    assert (window.times[0], window.times[-1]) == (short.t[0], short.t[-1])
    np.testing.assert_array_equal(window.images.sum(0)[0], image(short))
    sizes = np.diff(np.searchsorted(short.t, window.times))
    assert np.ptp(sizes) <= 2 and window.events == events


@pytest.mark.parametrize("intervals", LENGTHS)
def test_never_into_more_than_a_window_has(intervals: int):
    [window] = windows.windows([recording(even(0.01, 500))], replace(DEFAULT, intervals=intervals, overlap=2))
    assert len(window.images) == intervals


@pytest.mark.parametrize(
    "t", [[5.0], [5.0] * 40, [5.0] * 900, [5.0, 5.1, 5.3], [1.0, 1.0, 2.0, 2.0], [0.0] * 300 + [1e-6] * 300]
)
def test_a_handful_of_times_is_filled_up_behind_the_last_event(t: list[float]):
    events = recording(np.array(t))
    [window] = windows.windows([events], DEFAULT)
    assert len(window.images) == 8
    assert (np.diff(window.times) > 0).all()
    np.testing.assert_array_equal(window.images.sum(0)[0], image(events))
    behind = window.times > t[-1]
    assert not window.images[1:][behind[1:-1]].any()
    np.testing.assert_allclose(np.diff(window.times)[behind[1:]], MARGIN)


def test_no_events_and_tiny_sensors_are_refused():
    with pytest.raises(InputError, match="no events: a fit needs some"):
        list(windows.windows([], DEFAULT))
    with pytest.raises(InputError, match="1 x 1 sensor is too small"):
        one = np.zeros(9, np.uint16)
        list(windows.windows([Events(np.arange(9.0), one, one, one.astype(np.int8), 1, 1)], DEFAULT))


@pytest.mark.parametrize(("count", "before"), [(1000, 1), (1900, 2), (300, 1)])
def test_what_was_sound_before_an_error_is_given_out(count: int, before: int):
    def blocks() -> Iterator[Events]:
        yield from split(recording(even(0.01, count)), [200])
        raise InputError("line 7 is no event")

    found: list[Window] = []
    with pytest.raises(InputError, match="line 7"):
        for window in windows.windows(blocks(), SMALL):
            found.append(window)
    assert len(found) == before
    assert joined(found)[1].sum() == recording(even(0.01, count)).p.sum()


def test_an_error_before_the_first_event_is_that_error():
    def blocks() -> Iterator[Events]:
        raise InputError("line 1 is no event")
        yield

    with pytest.raises(InputError, match="line 1"):
        list(windows.windows(blocks(), SMALL))


def test_colour_windows_are_cut_alike():
    events = recording(even(0.1, 4000))
    gray = list(windows.windows([events], SMALL))
    colour = list(windows.windows([events], replace(SMALL, bayer="rggb")))
    assert {window.images.shape for window in colour} == {(8, 4, 8, 10)}
    for a, b in zip(gray, colour, strict=True):
        np.testing.assert_array_equal(a.times, b.times)
        np.testing.assert_array_equal(a.images.sum((1, 2, 3)), b.images.sum((1, 2, 3)))


def test_memory_is_that_of_a_window():
    height, width, per_block = 120, 160, 20_000

    def blocks(count: int) -> Iterator[Events]:
        rng = np.random.default_rng(0)
        for number in range(count):
            x, y = rng.integers(0, width, per_block), rng.integers(0, height, per_block)
            p = rng.choice([-1, 1], per_block).astype(np.int8)
            t = number * 0.05 + np.arange(per_block) * (0.05 / per_block)
            yield Events(t, x.astype(np.uint16), y.astype(np.uint16), p, height, width)

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            for _ in windows.windows(blocks(count), DEFAULT):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    window = 32 * height * width * 4
    short, long = peak(40), peak(400)
    assert long < 1.1 * short
    assert long < 5 * window
