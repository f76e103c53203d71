"""Laws of budgets: once the pace is known a fit keeps within them, and every window gets a step."""

from dataclasses import dataclass

import numpy as np
import pytest

from evinr.looks import CHUNK, Allow
from evinr.pacing import Progress, for_all, for_each
from evinr.windows import Window


@dataclass
class Clock:
    """A clock that stands still between steps."""

    now: float = 100.0
    pace: float = 0.01

    def __call__(self) -> float:
        return self.now

    def fit(self, allow: Allow, wanted: int) -> int:
        """Take the steps of one window; how many there were."""
        done = 0
        while count := allow(done, wanted, wanted):
            assert 0 < count <= min(CHUNK, wanted - done)
            self.now += count * self.pace
            done += count
        return done


def window(number: int, events: int, intervals: int = 8, shared: int = 0) -> Window:
    images = np.zeros((intervals, 1, 2, 2), np.float32)
    return Window(number, np.arange(intervals + 1.0), images, shared, events)


def cut(count: int, events: int = 8000) -> list[Window]:
    """Windows of 8 intervals, of which each shares the first two with the window before."""
    return [window(0, events)] + [window(number, events, shared=3) for number in range(1, count)]


def total(cut: list[Window]) -> int:
    return sum(window.events * (8 - max(window.shared - 1, 0)) // 8 for window in cut)


def test_progress_counts_every_event_once():
    windows = cut(5)
    progress = Progress(total(windows))
    assert [progress.part for _ in progress.watched(windows)] == [8 / 32, 14 / 32, 20 / 32, 26 / 32, 1.0]


def test_time_enough_is_no_limit():
    clock = Clock()
    allow = for_each(10.0, clock)
    assert [clock.fit(allow, wanted) for wanted in (50, 12, 12)] == [50, 12, 12]


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.333])
def test_each_window_keeps_its_time_once_the_pace_is_known(seconds: float):
    clock = Clock()
    allow = for_each(seconds, clock)
    assert clock.fit(allow, 50) <= max(CHUNK, seconds / clock.pace)  # a first chunk is taken blindly
    for _ in range(5):
        before = clock.now
        done = clock.fit(allow, 50)
        assert seconds - 1.001 * clock.pace <= clock.now - before <= seconds + 1e-9 and done >= 1
        clock.now += 0.7  # until the next one is there


def test_each_part_of_the_steps_has_its_share_of_the_time():
    """In the last part of a batch neighbours hold each other: without it seams would show."""
    clock = Clock()
    allow = for_each(0.2, clock)
    clock.fit(allow, 50)
    done = 0
    for until in (40, 50):
        while count := allow(done, until, 50):
            done, clock.now = done + count, clock.now + count * clock.pace
    assert done == 20
    begin, done, ends = clock.now, 0, []
    for until in (40, 50):
        while count := allow(done, until, 50):
            done, clock.now = done + count, clock.now + count * clock.pace
        ends.append(clock.now - begin)
    np.testing.assert_allclose(ends, [0.16, 0.2], atol=1.01 * clock.pace)


def test_every_window_gets_a_step():
    clock = Clock(pace=1.0)
    allow = for_each(0.001, clock)
    assert clock.fit(allow, 50) == CHUNK
    assert [clock.fit(allow, 50) for _ in range(4)] == [1] * 4


def test_a_pace_that_changes_is_followed():
    """As when the first chunk also compiles."""
    clock = Clock(pace=0.3)
    allow = for_each(1.0, clock)
    clock.fit(allow, 50)
    clock.pace = 0.01
    assert clock.fit(allow, 50) >= 50 / 2 and clock.fit(allow, 50) == 50
    clock.pace = 0.1
    clock.fit(allow, 50)
    before = clock.now
    clock.fit(allow, 50)
    assert clock.now - before <= 1 + 1e-9


@pytest.mark.parametrize("seconds", [1.0, 3.0, 8.0])
def test_all_windows_end_in_time(seconds: float):
    """Ten seconds' worth of steps."""
    clock, windows = Clock(), cut(20)
    progress = Progress(total(windows))
    begin, allow = clock.now, for_all(seconds, progress, clock)
    done = [clock.fit(allow, 50) for _ in progress.watched(windows)]
    assert 0.85 * seconds < clock.now - begin <= seconds + 1e-9
    assert max(done[2:]) <= 2 * min(done[2:]) and min(done) >= 1


def test_what_ends_early_is_left_to_the_others():
    clock, windows = Clock(), cut(10)
    progress = Progress(total(windows))
    begin, allow = clock.now, for_all(3.0, progress, clock)
    wanted = [5] * 5 + [100] * 5
    done = [clock.fit(allow, count) for count, _ in zip(wanted, progress.watched(windows), strict=True)]
    assert done[:5] == [5] * 5 and min(done[5:]) >= 50 and clock.now - begin <= 3 + 1e-9


def test_a_fit_that_goes_on_has_the_whole_budget_for_the_rest():
    clock, windows = Clock(), cut(20)
    progress = Progress(total(windows))
    coming = progress.watched(windows)
    for _ in range(15):
        next(coming)
    begin, allow = clock.now, for_all(1.0, progress, clock)
    done = [clock.fit(allow, 500) for _ in coming]
    assert len(done) == 5 and max(done) <= 1.5 * min(done) and clock.now - begin <= 1 + 1e-9


def test_without_time_left_a_fit_still_ends():
    clock, windows = Clock(), cut(6)
    progress = Progress(total(windows))
    allow = for_all(0.01, progress, clock)
    assert [clock.fit(allow, 50) for _ in progress.watched(windows)] == [CHUNK, 1, 1, 1, 1, 1]
