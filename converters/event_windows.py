"""Which events belong to each picture, where a recording says so by their numbers: RLED, EventHDR, NER-Net's folders."""

import numpy as np
from jaxtyping import Int64, Shaped

from evinr.events import InputError


def event_windows(
    rows: Shaped[np.ndarray, "n 2"], pictures: int, events: int, where: str, notes: list[str]
) -> Int64[np.ndarray, "n 2"] | None:
    """The first event of each picture and the one after its last. None where there are not as many rows as pictures.

    Raises InputError where a number is no event's; `where` is for messages.
    """
    if len(rows) != pictures:
        notes.append(f"{where} has {len(rows)} rows for {pictures} pictures, and was not used")
        return None
    rows = rows.astype(np.int64)
    wrong = (rows < 0).any(1) | (rows > events).any(1) | (rows[:, 0] > rows[:, 1])
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{where}[{row}] is {rows[row].tolist()}, of {events} events; mend it, or pass --skip-frames")
    return rows
