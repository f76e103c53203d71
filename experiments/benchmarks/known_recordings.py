"""Recordings whose pictures are known, each as long as a number of windows: simulated, or with a camera's frames.

They are kept as one file of arrays, so that every process that is timed gets the same events without reading a format.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from converters import read
from evinr import windows
from evinr.config import FitConfig
from evinr.events import Events
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor, blocks

LONGEST = 1.25 * windows.PATIENCE
"""Seconds of an interval: the scene has enough events at any time to fill one in PATIENCE."""


class Known(NamedTuple):
    """A recording and its pictures."""

    events: Events
    times: Float64[np.ndarray, " k"]
    """Seconds at which the pictures are known."""
    truth: Float[np.ndarray, "k h w"]
    """Intensity, 0 to 1 (above for lamps)."""


def simulated(width: int, height: int, count: int, pictures: int, config: FitConfig) -> Known:
    """The demo's moving scene, exactly as long as `count` windows, with pictures evenly over it.

    Raises:
        SystemExit: the scene has too few events for so many windows.
    """
    view = demo.scene(height, width, 0)
    rate = demo.SAMPLES_PER_SECOND * max(1.0, height / 180, width / 240)
    needed = count * config.intervals - (count - 1) * config.overlap
    times = np.arange(0, needed * LONGEST, 1 / rate)
    events = _beginning(blocks(view, times, Sensor()), count, config)
    start, end = float(events.t[0]), float(events.t[-1])
    times = start + (end - start) * (np.arange(pictures) + 0.5) / pictures
    return Known(events, times, np.exp([view(time) for time in times]).astype(np.float32))


def filmed(recording: Path) -> Known:
    """A recording with camera frames; the first of them is taken before the first events, or with them, and left out."""
    events, frames, *_ = read(recording)
    if frames is None:
        raise SystemExit(f"{recording}: has no camera frames to score against")
    return Known(events, frames.times[1:], (frames.images[1:] / 255.0).astype(np.float32))


def save(path: Path, known: Known) -> None:
    """Keep a recording; `load` gives it again."""
    events = known.events._asdict()
    np.savez(path, allow_pickle=False, **events, times=known.times, truth=known.truth)


def load(path: Path) -> Known:
    """What was kept."""
    with np.load(path) as kept:
        t, x, y, p = (kept[name] for name in "txyp")
        return Known(Events(t, x, y, p, int(kept["height"]), int(kept["width"])), kept["times"], kept["truth"])


def _beginning(stream: Iterator[Events], count: int, config: FitConfig) -> Events:
    """The events of the first `count` windows, and no more."""
    gathered = list[Events]()

    def passing() -> Iterator[Events]:
        for block in stream:
            gathered.append(block._replace(t=np.rint(block.t * 1e6) / 1e6))  # as cameras tell time
            yield gathered[-1]

    *_, last = islice(windows.windows(passing(), config), count)
    if last.number + 1 < count:
        raise SystemExit(f"the scene fills {last.number} windows, and {count} were asked for")
    t, x, y, p = (np.concatenate(column) for column in zip(*(part[:4] for part in gathered), strict=True))
    return Events(t, x, y, p, gathered[0].height, gathered[0].width).between(-np.inf, last.times[-1])
