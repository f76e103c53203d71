"""Which events belong to each picture, where a recording says so by their numbers, as RLED and NER-Net's folders do."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64, Shaped

from evinr.events import InputError


def event_windows(
    rows: Shaped[np.ndarray, "n 2"],
    pictures: int,
    events: int,
    time_of: Callable[[int], int],
    where: str,
    notes: list[str],
) -> Int64[np.ndarray, "n 2"] | None:
    """Begin and end, this one not included, in nanoseconds, of the events from number `rows[:, 0]` to before `rows[:, 1]`.

    `time_of` gives the nanoseconds of an event. None where there are no pictures or events, or not as many rows as pictures.
    Raises InputError where a number is no event's; `where` is for messages.
    """
    if not pictures or not events:
        return None
    if len(rows) != pictures:
        notes.append(f"{where} has {len(rows)} rows for {pictures} pictures, and was not used")
        return None
    rows = rows.astype(np.int64)
    wrong = (rows < 0).any(1) | (rows > events).any(1) | (rows[:, 0] > rows[:, 1])
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{where}[{row}] is {rows[row].tolist()}, of {events} events; mend it, or pass --skip-frames")
    numbers, back = np.unique(rows, return_inverse=True)
    # The end of all is an instant after the last event.
    times = [time_of(min(number, events - 1)) + (number == events) for number in numbers.tolist()]
    return np.array(times, np.int64)[back].reshape(rows.shape)
