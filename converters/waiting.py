"""Blocks of events that wait between the thread that reads them and the fit: never more than LIMIT events."""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from evinr.events import Events

LIMIT = 2**22
"""Events that wait at most, 13 bytes each (55 MB): what a fast sensor sends in the half second that a window may take."""
WhenLate = Literal["wait", "drop"]
"""What is done when no more may wait: the reader waits too, and with it whoever writes; or the oldest are dropped."""


class Arrival(NamedTuple):
    """A block of events, and when it was there."""

    events: Events
    read: float
    """Seconds on the clock of time.monotonic."""


@dataclass
class Waiting:
    """A queue from one thread to another. `put` and `end` are for the reader, `take` and `close` for the other."""

    when_late: WhenLate
    limit: int
    events: int = field(init=False, default=0)
    """That wait now."""
    dropped: int = field(init=False, default=0)
    """Events."""
    _arrivals: deque[Arrival] = field(init=False, default_factory=deque)
    _ended: bool = field(init=False, default=False)
    _failure: BaseException | None = field(init=False, default=None)
    _changed: threading.Condition = field(init=False, default_factory=threading.Condition)

    def put(self, arrival: Arrival) -> None:
        """Add a block, at once or when there is room; after `close` it goes nowhere. One above the limit waits alone."""
        with self._changed:
            if self.when_late == "wait":
                self._changed.wait_for(lambda: self._ended or not self._arrivals or self._fits(arrival))
            while self._arrivals and not self._fits(arrival):
                oldest = self._arrivals.popleft().events.count
                self.events, self.dropped = self.events - oldest, self.dropped + oldest
            if not self._ended:
                self._arrivals.append(arrival)
                self.events += arrival.events.count
            self._changed.notify_all()

    def end(self, failure: BaseException | None) -> None:
        """No more will come, because of the failure if there is one."""
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def take(self) -> Arrival | None:
        """The oldest block as soon as there is one; at the end None. Raises the failure, if any, in its place."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrivals or self._ended)
            if self._arrivals:
                arrival = self._arrivals.popleft()
                self.events -= arrival.events.count
                self._changed.notify_all()
                return arrival
            if self._failure is not None:
                raise self._failure
            return None

    def close(self) -> None:
        """Nobody takes any more."""
        with self._changed:
            self._ended = True
            self._arrivals.clear()
            self.events = 0
            self._changed.notify_all()

    def _fits(self, arrival: Arrival) -> bool:
        return self.events + arrival.events.count <= self.limit
