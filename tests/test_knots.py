"""Laws of the cuts of a recording and of the event images between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evinr import knots
from evinr.events import Events, InputError

HEIGHT, WIDTH = 3, 5


def recording(microseconds: list[int], seed: int = 0) -> Events:
    """Events at these times, anywhere on a 3 x 5 sensor."""
    rng, n = np.random.default_rng(seed), len(microseconds)
    x, y = rng.integers(0, WIDTH, n).astype(np.uint16), rng.integers(0, HEIGHT, n).astype(np.uint16)
    return Events(np.sort(microseconds) / 1e6, x, y, rng.choice([-1, 1], n).astype(np.int8), HEIGHT, WIDTH)


def backwards(events: Events) -> Events:
    """The film shown backwards: what rose now falls, the last comes first."""
    t, x, y, p = (column[::-1] for column in events[:4])
    return events._replace(t=-t, x=x, y=y, p=-p)


bursts = st.lists(st.integers(-5, 40), min_size=2, max_size=60).filter(lambda times: len(set(times)) > 1)
"""Times of which many are shared."""
counts = st.integers(1, 12)


@given(st.data())
def test_a_lone_event_lands_at_its_interval_row_and_column(data: st.DataObject):
    interval, y, x = (data.draw(st.integers(0, size - 1)) for size in (4, HEIGHT, WIDTH))
    p = data.draw(st.sampled_from([-1, 1]))
    column, row = np.array([x], np.uint16), np.array([y], np.uint16)
    lone = Events(np.zeros(1), column, row, np.array([p], np.int8), HEIGHT, WIDTH)
    images = knots.event_images(lone, np.array([0] * (interval + 1) + [1] * (4 - interval)))
    expected = np.zeros((4, HEIGHT, WIDTH))
    expected[interval, y, x] = p
    np.testing.assert_array_equal(images, expected)


@given(bursts, counts)
def test_images_agree_with_a_loop_and_conserve_polarity_per_pixel(times: list[int], count: int):
    events = recording(times)
    cuts = knots.edges(events, min(count, events.count))
    images = knots.event_images(events, cuts.first)
    naive, whole = np.zeros_like(images), np.zeros((HEIGHT, WIDTH))
    for t, x, y, p in events.to_array():
        inside = [i for i in range(len(naive)) if cuts.times[i] <= t < cuts.times[i + 1]]
        naive[inside[0] if inside else -1, int(y), int(x)] += p  # the last event lies on the last edge
        whole[int(y), int(x)] += p
    np.testing.assert_array_equal(images, naive)
    np.testing.assert_array_equal(images.sum(0), whole)


@given(bursts, counts)
def test_edges_cover_every_event_once_and_rise(times: list[int], count: int):
    events = recording(times)
    count = min(count, events.count)
    cuts = knots.edges(events, count)
    assert cuts.first[0] == 0 and cuts.first[-1] == events.count
    assert (np.diff(cuts.first) > 0).all(), "an interval without events"
    assert len(cuts.times) == len(cuts.first) <= count + 1
    assert (np.diff(cuts.times) > 0).all()
    assert cuts.times[0] == events.t[0] and cuts.times[-1] == events.t[-1]


@given(bursts, counts)
def test_events_of_one_time_share_an_interval(times: list[int], count: int):
    events = recording(times)
    cuts = knots.edges(events, min(count, events.count))
    interval = np.searchsorted(cuts.first, np.arange(events.count), "right")
    for time in set(events.t):
        assert len(set(interval[events.t == time])) == 1


@given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 99))
def test_distinct_times_make_equally_full_intervals(count: int, each: int, more: int):
    events = recording(list(range(0, 7 * (count * each + more % count) + 8, 7)))
    cuts = knots.edges(events, count)
    full = np.diff(cuts.first)
    assert len(full) == count and np.ptp(full) <= 1
    before, after = cuts.first[1:-1] - 1, cuts.first[1:-1]
    np.testing.assert_allclose(cuts.times[1:-1] - events.t[before], events.t[after] - cuts.times[1:-1], atol=1e-12)


@pytest.mark.parametrize("cut", [knots.edges, knots.midpoints])
@given(count=st.integers(1, 6), each=st.integers(2, 5), seed=st.integers(0, 9))
def test_time_and_polarity_reversed_mirror_the_images(cut, count: int, each: int, seed: int):
    # A symmetric law needs symmetric cuts: distinct times, and a number of events that the intervals divide.
    times = np.cumsum(np.random.default_rng(seed).integers(1, 9, count * each)).tolist()
    events = recording(times, seed)
    forth, back = cut(events, count), cut(backwards(events), count)
    np.testing.assert_array_equal(back.times, -forth.times[::-1])
    images, mirrored = knots.event_images(events, forth.first), knots.event_images(backwards(events), back.first)
    np.testing.assert_array_equal(mirrored, -images[::-1])


@given(bursts, counts)
def test_midpoints_are_array_split_and_the_middle_of_each_chunk(times: list[int], count: int):
    events = recording(times)
    count = min(count, events.count)
    cuts = knots.midpoints(events, count)
    chunks = np.array_split(np.arange(events.count), count)
    np.testing.assert_array_equal(cuts.first, [chunk[0] for chunk in chunks] + [events.count])
    stamps = np.array_split(events.t, count)
    np.testing.assert_allclose(cuts.times, [(chunk[0] + chunk[-1]) / 2 for chunk in stamps], rtol=1e-15)


@pytest.mark.parametrize(("per_pixel", "wanted"), [(0.01, 8), (0.4, 8), (0.5, 10), (1.0, 20), (2.5, 50), (9.0, 50)])
def test_automatic_is_one_interval_per_twentieth_of_an_event_a_pixel(per_pixel: float, wanted: int):
    height, width = 20, 60
    blank = np.zeros(round(per_pixel * height * width))
    u16 = blank.astype(np.uint16)
    assert knots.automatic(Events(blank, u16, u16, u16.astype(np.int8), height, width)) == wanted


@given(st.integers(1, 60))
def test_automatic_never_asks_for_more_intervals_than_events(count: int):
    events = recording(list(range(count)))
    assert 1 <= knots.automatic(events) <= min(count, knots.MOST)
    assert count < knots.FEWEST or knots.automatic(events) >= knots.FEWEST


@pytest.mark.parametrize("cut", [knots.edges, knots.midpoints])
def test_fewer_events_than_intervals_is_refused_with_what_would_do(cut):
    with pytest.raises(InputError, match=r"3 events are too few for 4 intervals: pass --knots 3 or less"):
        cut(recording([1, 2, 3]), 4)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_all_events_at_one_time_are_refused(count: int):
    with pytest.raises(InputError, match=r"all 9 events have the same time 7e-06 s.*check the time column"):
        knots.edges(recording([7] * 9), count)
