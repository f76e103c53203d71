"""How a recording is cut into windows of events, one picture each, as EVREAL cuts it (dataset.py)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64


class Windows(NamedTuple):
    """Windows one after another; the picture of each is of its end, but for stored ones."""

    first: Int[np.ndarray, " n"]
    """Its first event."""
    end: Int[np.ndarray, " n"]
    """The event after its last one."""
    times: Float64[np.ndarray, " n"]
    """Of the pictures, in seconds, rising."""


def between_frames(
    t: Float64[np.ndarray, " e"], frames: Float64[np.ndarray, " n"], *, from_start: bool = False
) -> Windows:
    """From each camera frame to the next, a picture at the time of each frame.

    The first window is empty, and what came before the first frame is left out; `from_start` it holds just that, as
    event_cnn_minimal's loader has it (data_loader/dataset.py, compute_frame_indices). The event of a frame is the last one at
    or before it, which is the first of its window (EVREAL's tools write its index so). EVREAL leaves out the last frame.
    """
    at = np.maximum(np.searchsorted(t, frames, side="right") - 1, 0)
    return Windows(np.concatenate([[0] if from_start else at[:1], at[:-1]]), at, frames)


def stored(windows: Int64[np.ndarray, "n 2"], frames: Float64[np.ndarray, " n"]) -> Windows:
    """The events that the recording itself gives to each frame: from the first number to before the second."""
    return Windows(windows[:, 0], windows[:, 1], frames)


def of_count(t: Float64[np.ndarray, " e"], count: int) -> Windows:
    """As many events in each, a picture at the time of the last of them. Events that fill no window are left out.

    Windows that end at one time are joined, so that times rise.
    """
    count = min(count, t.size + 1)
    end = np.arange(count, t.size + 1, count)
    end = end[np.append(np.diff(t[end - 1]) > 0, True)[: end.size]]
    return Windows(np.concatenate([[0], end[:-1]]).astype(end.dtype)[: end.size], end, t[end - 1])


def of_seconds(t: Float64[np.ndarray, " e"], seconds: float) -> Windows:
    """As many seconds in each from the first event on, a picture at its end; the last is shorter than that and left out.

    EVREAL has the picture at the window's last event, which gives two empty windows in a row the same time.
    """
    ends = t[0] + seconds * np.arange(1, int((t[-1] - t[0]) / seconds + 1e-9) + 1)
    end = np.searchsorted(t, ends)
    return Windows(np.concatenate([[0], end[:-1]]).astype(end.dtype)[: end.size], end, ends)
