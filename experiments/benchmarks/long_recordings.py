"""Recordings of any length in the formats that are measured, written block by block: random, or of a scene that returns."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np

from evinr.events import Events
from evinr.simulator import demo
from evinr.simulator.sensor import SENSORS
from evinr.simulator.simulate import simulate

WIDTH, HEIGHT, RATE = 640, 480, 2_000_000
"""Sensor, and events a second."""
MESSAGE = 2000
"""Events in a message of a bag."""
SWAY, LOOKS = 0.03, 120
"""Seconds of the demo's scene that a lap goes through, forth and back, and looks on the way: it moves 0.2 pixels
between two of them, on average, on 640 x 480."""

Block = tuple[np.ndarray, ...]
"""Columns t (ns, whole us), x, y, p (0/1)."""


def events(count: int, seed: int = 0) -> Iterator[Block]:
    """Blocks of events that are uniform in space, as in time."""
    rng = np.random.default_rng(seed)
    start = 0
    for first in range(0, count, 2**18):
        n = min(2**18, count - first)
        t = start + np.sort(rng.integers(0, n * 10**6 // RATE, n)) * 1000
        start = int(t[-1])
        yield t, rng.integers(0, WIDTH, n), rng.integers(0, HEIGHT, n), rng.integers(0, 2, n)


def lap(height: int, width: int, seed: int = 0) -> Events:
    """A scene of moving edges that goes forth and back in one second and ends as it began, seen by a sensor without faults.

    Rising and falling events cancel at every pixel, so that laps may follow each other for ever.
    """
    view = demo.scene(height, width, seed)
    looks = [view(SWAY * (1 - np.cos(np.pi * k / LOOKS)) / 2) for k in range(LOOKS + 1)]
    looks += looks[-2::-1]

    def seen(t: float) -> np.ndarray:
        # From gray: were it from the first look, all pixels would fire at once whenever they see that again.
        return looks[round(t * 2 * LOOKS) % (2 * LOOKS)] if t > 0 else np.zeros((height, width))

    # The first lap brings every pixel's memory to where each later one leaves it again.
    whole = simulate(seen, np.arange(4 * LOOKS + 1) / 2 / LOOKS, SENSORS["clean"])
    second = whole.part(np.searchsorted(whole.t, 1.0, "right"), whole.count)
    return second._replace(t=second.t - 1)


def laps(once: Events, count: int, rate: float) -> Iterator[Block]:
    """Blocks of `count` events, `rate` a second: one lap after another, as fast as the rate asks."""
    t = np.rint(once.t * once.count / rate * 1e6).astype(np.int64) * 1000
    columns = once.x.astype(np.int64), once.y.astype(np.int64), (once.p > 0).astype(np.int64)
    period = round(once.count / rate * 1e6) * 1000
    for number, first in enumerate(range(0, count, once.count)):
        n = min(once.count, count - first)
        yield t[:n] + number * period, *(column[:n] for column in columns)


def text(path: Path, count: int) -> Path:
    """IJRR's `t x y p`, nine decimals; digits put into rows of bytes, as Python's formatting takes minutes."""
    with path.open("wb") as file:
        for t, x, y, p in events(count):
            columns = [*_digits(t // 10**9, 4), ord("."), *_digits(t % 10**9, 9), ord(" ")]
            columns += [*_digits(x, 3), ord(" "), *_digits(y, 3), ord(" "), *_digits(p, 1), ord("\n")]
            rows = np.empty((len(t), len(columns)), np.uint8)
            for index, column in enumerate(columns):
                rows[:, index] = column
            file.write(rows.tobytes())
    return path


def _digits(values: np.ndarray, width: int) -> list[np.ndarray]:
    return [values // 10 ** (width - 1 - place) % 10 + ord("0") for place in range(width)]


def bag(compression: str | None) -> Callable[[Path, int], Path]:
    """A rosbag1 with dvs_msgs of 2000 events in chunks of 768 kB, as `rosbag record` makes them."""

    def write(path: Path, count: int) -> Path:
        from rosbags.rosbag1 import Writer

        record = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
        path.unlink(missing_ok=True)
        writer = Writer(path)
        if compression:
            writer.set_compression(Writer.CompressionFormat[compression.upper()])
        with writer:
            definition = "Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n"
            kind, md5 = "dvs_msgs/msg/EventArray", "5e8beee5a6c107e504c2e78903c224b8"
            topic = writer.add_connection("/dvs/events", kind, msgdef=definition, md5sum=md5)
            for t, x, y, p in events(count):
                rows = np.empty(len(t), record)
                rows["x"], rows["y"], rows["s"], rows["ns"], rows["p"] = x, y, t // 10**9, t % 10**9, p
                for start in range(0, len(t), MESSAGE):
                    part = rows[start : start + MESSAGE]
                    head = np.array([0, int(part["s"][0]), int(part["ns"][0]), 0, HEIGHT, WIDTH, len(part)], "<u4")
                    writer.write(topic, int(t[start]) + 10**9, head.tobytes() + part.tobytes())
        return path

    return write


def h5(path: Path, count: int) -> Path:
    """TimoStoff's layout, chunked and uncompressed."""
    with h5py.File(path, "w") as file:
        file.attrs["sensor_resolution"] = (HEIGHT, WIDTH)
        shape = {"shape": (count,), "chunks": (min(count, 2**16),)}
        columns = [
            file.create_dataset(f"events/{name}", dtype=dtype, **shape)
            for name, dtype in (("ts", "f8"), ("xs", "i2"), ("ys", "i2"), ("ps", "?"))
        ]
        start = 0
        for t, x, y, p in events(count):
            for column, values in zip(columns, (t / 1e9, x, y, p > 0), strict=True):
                column[start : start + len(t)] = values
            start += len(t)
    return path


def npy(path: Path, count: int) -> Path:
    """N x 4 float64."""
    rows = np.lib.format.open_memmap(path, "w+", np.dtype("f8"), (count, 4))
    start = 0
    for t, x, y, p in events(count):
        rows[start : start + len(t)] = np.stack([t / 1e9, x, y, 2 * p - 1], 1)
        start += len(t)
    rows.flush()
    return path


def evt3(path: Path, count: int) -> Path:
    """Prophesee EVT3: time and row where they change, one ADDR_X for each event (a scene without dense rows)."""
    with path.open("wb") as file:
        file.write(f"% format EVT3;height={HEIGHT};width={WIDTH}\n% end\n".encode())
        before = np.zeros(3, np.int64) - 1
        for t, x, y, p in events(count):
            microseconds = t // 1000
            state = np.stack([microseconds >> 12 & 0xFFF, microseconds & 0xFFF, y], 1)
            changed = np.diff(state, axis=0, prepend=before[None]) != 0
            changed[:, 1] |= changed[:, 0]
            before = state[-1]
            words = np.stack([8 << 12 | state[:, 0], 6 << 12 | state[:, 1], y, 2 << 12 | p << 11 | x], 1).astype("<u2")
            file.write(words[np.concatenate([changed, np.ones((len(t), 1), bool)], 1)].tobytes())
    return path


def evt3_rows(path: Path, count: int) -> Path:
    """Prophesee EVT3 of a dense scene: groups of 32 pixels as VECT 12, 12, 8, of which half fired."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(f"% format EVT3;height={HEIGHT};width={WIDTH}\n% end\n".encode())
        groups, time = count // 16, 0
        for first in range(0, groups, 2**14):
            n = min(2**14, groups - first)
            microseconds = time + np.arange(n) * 8
            time += n * 8
            masks = rng.integers(0, [[2**12, 2**12, 2**8]], (n, 3))
            row, column = rng.integers(0, HEIGHT, n), rng.integers(0, WIDTH // 32, n) * 32
            head = [8 << 12 | microseconds >> 12 & 0xFFF, 6 << 12 | microseconds & 0xFFF, row]
            head += [3 << 12 | rng.integers(0, 2, n) << 11 | column]
            kinds = np.array([4 << 12, 4 << 12, 5 << 12])
            file.write(np.concatenate([np.stack(head, 1), kinds | masks], 1).astype("<u2").tobytes())
    return path


def evt2(path: Path, count: int) -> Path:
    """Prophesee EVT2 of random events."""
    return evt2_of(path, events(count), HEIGHT, WIDTH)


def evt2_of(path: Path, blocks: Iterable[Block], height: int, width: int) -> Path:
    """Prophesee EVT2: a word for each event, TIME_HIGH where it changes."""
    with path.open("wb") as file:
        file.write(f"% format EVT2;height={height};width={width}\n% end\n".encode())
        before = -1
        for t, x, y, p in blocks:
            microseconds = t // 1000
            high = microseconds >> 6
            words = np.stack([8 << 28 | high, p << 28 | (microseconds & 63) << 22 | x << 11 | y], 1).astype("<u4")
            changed = np.diff(high, prepend=before) != 0
            before = int(high[-1])
            file.write(words[np.stack([changed, np.ones(len(t), bool)], 1)].tobytes())
    return path
