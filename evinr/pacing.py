"""How many steps there is time for: budgets of a whole recording, or of each window of one that comes in live."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from evinr.looks import CHUNK, Allow
from evinr.windows import Window

Clock = Callable[[], float]


@dataclass
class Progress:
    """How far a recording is cut; told by `watched`, read by budgets."""

    total: int
    """Events of the recording."""
    cut: int = 0
    """Events up to the end of the newest window."""

    def watched(self, cut: Iterable[Window]) -> Iterator[Window]:
        """The windows, counted."""
        for window in cut:
            intervals = len(window.images)
            self.cut += round(window.events * (intervals - max(window.shared - 1, 0)) / intervals)
            yield window

    @property
    def part(self) -> float:
        """Part of the recording that is cut, 0 to 1."""
        return min(self.cut / self.total, 1.0) if self.total else 0.0


def for_each(seconds: float, clock: Clock = time.monotonic) -> Allow:
    """The same time for every window, or batch of them: a step is taken at least."""
    return _within(lambda: seconds, clock)


def for_all(seconds: float, progress: Progress, clock: Clock = time.monotonic) -> Allow:
    """So that all windows are fitted `seconds` from now: to each its part of what time is left."""
    end, before = clock() + seconds, [progress.part]  # not 0 where a fit goes on

    def share() -> float:
        part, before[0] = (progress.part - before[0]) / max(1 - before[0], 1e-9), progress.part
        return (end - clock()) * part

    return _within(share, clock)


def _within(share: Callable[[], float], clock: Clock) -> Allow:
    begin = whole = pace = asked = 0.0
    last = 0

    def allow(done: int, until: int, of: int) -> int:
        nonlocal begin, whole, pace, asked, last
        now = clock()
        if done == 0:
            begin, whole = now, share()
        elif last:
            pace = (now - asked) / last
        count = min(CHUNK, until - done)
        if pace:
            left = begin + whole * until / of - now
            count = min(count, max(int(left / pace), 1 if done == 0 else 0))
        asked, last = now, count
        return count

    return allow
