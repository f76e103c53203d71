"""Events while they come: a thread reads, decodes and checks them, and what the fit has no time for yet waits in a queue.

They pass the checks that files pass, but a fault is raised in place of the block that has it, not at the end.
"""

import os
import threading
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from converters.checks import Block, Passage
from converters.files import open_regular
from converters.incoming import Source, open_incoming
from converters.options import AS_STORED, ReadOptions
from converters.stream import SensorSize
from converters.waiting import LIMIT, Arrival, Waiting, WhenLate
from evinr.events import Events, InputError


def open_live(
    path: Path | str,
    options: ReadOptions = AS_STORED,
    *,
    follow: float | None = None,
    when_late: WhenLate = "wait",
    limit: int = LIMIT,
) -> "Live":
    """A recording that is still coming: `-` is standard input, anything else a file that may grow.

    Returns when its head is there, which tells the format, if the options do not, and perhaps the sensor.

    Args:
        path: where it comes from.
        options: what is known of it; the sensor's size is needed where its head does not tell it.
        follow: seconds without news after which the end of the file is taken for its end; unset, it is one at once.
        when_late: what happens when `limit` events wait.
        limit: events that may wait.

    Raises:
        InputError: no such file, a format that cannot be read forwards, a sensor of unknown size, or events to be sorted.
    """
    name = "standard input" if str(path) == "-" else os.path.basename(os.path.abspath(path))
    if options.sort:
        raise InputError(f"{name}: --sort needs all of a recording; write it to a file first, and give that")
    # A copy, so that standard input itself stays open.
    descriptor = os.dup(0) if str(path) == "-" else _descriptor(Path(path), name)
    source = Source(descriptor, name, follow)
    try:
        stream = open_incoming(source.pieces(), name, options)
        size = options.size or stream.size
        if size is None:
            raise InputError(f"{name}: the sensor's size is not told at its start: pass --height and --width")
    except BaseException:
        os.close(descriptor)
        raise
    return Live(source, Passage(stream, options, name), size, Waiting(when_late, limit))


def _descriptor(path: Path, name: str) -> int:
    with open_regular(path, name) as file:
        return os.dup(file.fileno())


@dataclass
class Live:
    """A recording that is coming. Take its `blocks` until they end; end them early with `close`."""

    source: Source
    passage: Passage
    size: SensorSize
    waiting: Waiting
    _seen: deque[tuple[float, float]] = field(init=False, default_factory=deque)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, name=f"reader of {self.source.name}", daemon=True)
        self._thread.start()

    def blocks(self) -> Generator[Events, None, None]:
        """The events, block by block as they come, none empty.

        Raises InputError as `Passage` does, after the blocks before. The reader ends when this does, or is closed.
        """
        try:
            while arrival := self.waiting.take():
                self._seen.append((float(arrival.events.t[-1]), arrival.read))
                yield arrival.events
        finally:
            self.close()

    def read_at(self, time: float) -> float:
        """When the first event not before this time was read, on the clock of time.monotonic; of the last, if all are before.

        Times are to rise from one call to the next, as those of windows do: what is known of earlier ones is forgotten.
        """
        while len(self._seen) > 1 and self._seen[0][0] < time:
            self._seen.popleft()
        return self._seen[0][1]

    def conclusion(self) -> tuple[str, ...]:
        """What was assumed, cut off and dropped, one sentence each; complete when the blocks have ended."""
        _, said = self.passage.conclusion()
        if dropped := self.waiting.dropped:
            plural = "s were" if dropped > 1 else " was"
            said += (f"{dropped} event{plural} dropped, the oldest that waited, as fitting did not keep up",)
        return said

    def close(self) -> None:
        """End the reader, and leave what waits."""
        self.source.stop.set()
        self.waiting.close()
        self._thread.join()

    def _read(self) -> None:
        failure = None
        try:
            for t, x, y, p, _ in prompt(self.passage):
                self.waiting.put(Arrival(Events(t, x, y, p, self.size.height, self.size.width), self.source.read))
        except BaseException as error:
            failure = error
        finally:
            os.close(self.source.descriptor)
            self.waiting.end(failure)


def prompt(passage: Passage) -> Iterator[Block]:
    """The blocks of a passage, each sound: InputError comes in place of the first one that is not, not at the end."""
    stream, options = passage.stream, passage.options
    in_seconds = stream.unit == "s" and options.time_unit is None and not stream.settled
    for block in passage.blocks():
        if wrong := passage._survey.objection(options.sort, in_seconds, stream.place):
            raise InputError(f"{passage.name}: {wrong}")
        yield block
