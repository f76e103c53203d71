"""Trails are moved to where they began, as the authors' loop over pixels does it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evinr.events import Events
from evinr.trails import suppress


def events_of(rows: list[tuple[float, int, int, int]], height: int = 4, width: int = 5) -> Events:
    """From rows t, x, y, p, in time order."""
    t, x, y, p = np.array(sorted(rows, key=lambda row: row[0]), np.float64).reshape(-1, 4).T
    return Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8), height, width)


def by_pixel(events: Events, on: int, off: int, tolerance: int) -> list[tuple[int, int, int, int]]:
    """The rule told event by event, times in whole microseconds, none later than it was."""
    found = []
    for y in range(events.height):
        for x in range(events.width):
            here = (events.x == x) & (events.y == y)
            ticks = np.rint(events.t[here] * 1e6).astype(int).tolist()
            longest, began, count, last = 0, 0, 0, None
            for t, p in zip(ticks, events.p[here].tolist(), strict=True):
                gap = t - last[0] if last else 0
                if last and p == last[1] and longest < gap < (on if p > 0 else off):
                    count, longest = count + 1, gap - tolerance
                    found.append((min(began + count, t), x, y, p))
                else:
                    count, longest, began = 0, 0, t
                    found.append((t, x, y, p))
                last = t, p
    return sorted(found, key=lambda row: row[0])


rows = st.tuples(st.integers(0, 400), st.integers(0, 1), st.integers(0, 1), st.sampled_from((-1, 1)))


@settings(max_examples=300)
@given(st.lists(rows, min_size=1, max_size=60), st.integers(1, 300), st.integers(1, 300), st.integers(0, 20))
def test_as_told_event_by_event(told: list[tuple[int, int, int, int]], on: int, off: int, tolerance: int):
    events = events_of([(t / 1e6, x, y, p) for t, x, y, p in told])
    after = suppress(events, on / 1e6, off / 1e6, tolerance / 1e6)
    ours = zip(np.rint(after.events.t * 1e6).astype(int), after.events.x, after.events.y, after.events.p, strict=True)
    assert [tuple(map(int, row)) for row in ours] == by_pixel(events, on, off, tolerance)


def test_a_trail_ends_up_at_its_edge():
    edge = [(0.1, 2, 1, 1), (0.11, 2, 1, 1), (0.13, 2, 1, 1), (0.17, 2, 1, 1), (0.16, 0, 0, -1), (0.18, 0, 0, -1)]
    after, moved = suppress(events_of(edge))
    assert moved == 4
    np.testing.assert_allclose(after.t, [0.1, 0.100001, 0.100002, 0.100003, 0.16, 0.160001], atol=1e-12)
    assert after.p.tolist() == [1, 1, 1, 1, -1, -1]


@pytest.mark.parametrize(
    "rows, moved",
    [
        ([(0.1, 0, 0, 1), (0.2, 0, 0, -1), (0.4, 0, 0, 1)], 0),  # polarity changes
        ([(0.1, 0, 0, 1), (0.2, 1, 0, 1), (0.4, 2, 0, 1)], 0),  # other pixels
        ([(0.1, 0, 0, 1), (1.2, 0, 0, 1)], 0),  # too late
        (
            [(0.1, 0, 0, 1), (0.3, 0, 0, 1), (0.4, 0, 0, 1), (0.5, 0, 0, 1)],
            2,
        ),  # the third comes sooner, and begins anew
    ],
)
def test_what_is_no_trail_stays(rows: list[tuple[float, int, int, int]], moved: int):
    assert suppress(events_of(rows)).moved == moved


def test_nothing_is_lost_or_becomes_later():
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(100, 101, 5000))
    x, y, p = rng.integers(0, 5, 5000), rng.integers(0, 4, 5000), rng.choice([-1, 1], 5000)
    events = Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8), 4, 5)
    after, moved = suppress(events)
    assert 0 < moved < 5000 and (np.diff(after.t) >= 0).all()
    assert np.isin(after.t, t).sum() == 5000 - moved
    for row in range(4):
        for column in range(5):
            of = [each.t[(each.x == column) & (each.y == row)] for each in (events, after)]
            assert (np.sort(of[1]) <= of[0] + 1e-9).all()
