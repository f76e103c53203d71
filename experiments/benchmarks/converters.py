"""How fast recordings are read, and in how much memory they are converted.

Every format is read to its end, checks included, in turns with a plain Python loop and with the readers of others that
are installed (polars, pandas, faery, evt3), in one process on one core. Files come from the page cache: what is compared
are readers, not disks.
"""

import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from converters.checks import Passage
from converters.door import open_stream
from converters.options import AS_STORED
from converters.stream import WHOLE
from experiments.benchmarks import long_recordings, machine
from experiments.benchmarks.fresh import fresh


@dataclass(frozen=True)
class Config:
    """What is read."""

    events: int = 10_000_000
    """Events of the recordings that are timed."""
    plain: int = 300_000
    """Events that the plain loops are given, which are slow."""
    repeats: int = 5
    """Readings of which the median is taken."""
    long: int = 200_000_000
    """Events of the recordings that are converted, text and bag; 0 for none."""
    scratch: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    """Where recordings are written: 32 bytes for each of 10 million events, 55 for each of the long ones."""
    out: Path = machine.RESULTS / "converters.json"


Count = Callable[[Path], int]


class Format(NamedTuple):
    """A format, what the project asks of its reader in million events a second, and who else reads it."""

    ending: str
    write: Callable[[Path, int], Path]
    asked: float | None
    plain: Count | None = None
    others: tuple[tuple[str, Count], ...] = ()


def ours(path: Path) -> int:
    """Every event through the door."""
    passage = Passage(open_stream(path), AS_STORED, path.name)
    for _ in passage.blocks():
        pass
    return passage.kept


def decoded(path: Path) -> int:
    """Every event as its file has it, unchecked: what the readers of others do."""
    return sum(len(block.t) for block in open_stream(path).blocks(WHOLE))


def by_lines(path: Path) -> int:
    """Text as EvINR's converters read it."""
    events = []
    with path.open() as file:
        for line in file:
            t, x, y, p = line.split()
            events.append((float(t), int(x), int(y), 2 * int(p) - 1))
    return len(events)


def by_messages(path: Path) -> int:
    """A bag as `rosbag` users read it: one object for each event."""
    from rosbags.rosbag1 import Reader
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    event = get_types_from_msg("uint16 x\nuint16 y\ntime ts\nbool polarity", "dvs_msgs/msg/Event")
    definition = "std_msgs/Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events"
    store.register(event | get_types_from_msg(definition, "dvs_msgs/msg/EventArray"))
    events = []
    with Reader(path) as reader:
        for connection, _, raw in reader.messages():
            message: Any = store.deserialize_ros1(raw, connection.msgtype)
            events += [(e.ts.sec + e.ts.nanosec / 1e9, e.x, e.y, 2 * e.polarity - 1) for e in message.events]
    return len(events)


def by_words(path: Path) -> int:
    """EVT3, a word at a time."""
    data = path.read_bytes()
    words = memoryview(data[data.index(b"% end\n") + 6 :]).cast("H")
    events, high, low, y, base, polarity = [], 0, 0, 0, 0, 0
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == 0:
            y = value & 0x7FF
        elif kind == 2:
            events.append((high << 12 | low, value & 0x7FF, y, value >> 11))
        elif kind == 3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind in (4, 5):
            events += [(high << 12 | low, base + bit, y, polarity) for bit in range(12) if value >> bit & 1]
            base += 12 if kind == 4 else 8
        elif kind == 6:
            low = value
        elif kind == 8:
            high, low = value, low if value == high else 0
    return len(events)


def by_polars(path: Path) -> int:
    import polars  # pyright: ignore[reportMissingImports]

    return len(polars.read_csv(path, separator=" ", has_header=False))


def by_pandas(path: Path) -> int:
    import pandas  # pyright: ignore[reportMissingImports]

    return len(pandas.read_csv(path, sep=" ", header=None))


def by_faery(path: Path) -> int:
    import faery  # pyright: ignore[reportMissingImports]

    return sum(len(packet) for packet in faery.events_stream_from_file(path))


def by_evt3(path: Path) -> int:
    import evt3  # pyright: ignore[reportMissingImports]

    return len(evt3.decode_file(str(path)))


FORMATS = {
    "text": Format(".txt", long_recordings.text, 3, by_lines, (("polars", by_polars), ("pandas", by_pandas))),
    "bag": Format(".bag", long_recordings.bag(None), 20, by_messages),
    "bag lz4": Format(".bag", long_recordings.bag("lz4"), 10),
    "bag bz2": Format(".bag", long_recordings.bag("bz2"), None),
    "h5": Format(".h5", long_recordings.h5, 20),
    "npy": Format(".npy", long_recordings.npy, None),
    "evt3": Format(".raw", long_recordings.evt3, 10, by_words, (("faery", by_faery), ("evt3", by_evt3))),
    "evt3 rows": Format(".raw", long_recordings.evt3_rows, 10, by_words, (("faery", by_faery), ("evt3", by_evt3))),
    "evt2": Format(".raw", long_recordings.evt2, None, None, (("faery", by_faery),)),
}


def main(config: Config) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["POLARS_MAX_THREADS"] = "1"
    folder = Path(tempfile.mkdtemp(dir=config.scratch))
    try:
        speeds = {name: fresh(speed, name, config, folder) for name in FORMATS}
        peaks = {name: fresh(peak, name, config.long, folder) for name in ("text", "bag") if config.long}
    finally:
        shutil.rmtree(folder)
    for name, result in speeds.items():
        print(name, result)
    print(peaks)
    others = ("polars", "pandas", "faery", "evt3", "rosbags", "h5py")
    versions = {package: version(package) for package in others if find_spec(package)}
    machine.save(config.out, config, {"million_events_per_s": speeds, "conversion": peaks, "versions": versions})


def speed(name: str, config: Config, folder: Path) -> dict[str, float | None]:
    """Million events a second of each reader, medians over turns; the plain loop's from a shorter recording."""
    format = FORMATS[name]
    path = format.write(folder / f"timed{format.ending}", config.events)
    readers: dict[str, Count] = {"evinr": ours, "evinr, unchecked": decoded} | {
        other: read for other, read in format.others if find_spec(other)
    }
    seconds: dict[str, list[float]] = {reader: [] for reader in readers}
    counts = {read(path) for read in readers.values()}
    assert len(counts) == 1, f"readers of {name} disagree: {counts}"
    for _ in range(config.repeats):
        for reader, read in readers.items():
            seconds[reader].append(timed(read, path))
    result: dict[str, float | None] = {"asked": format.asked}
    result |= {reader: round(counts.copy().pop() / statistics.median(s) / 1e6, 1) for reader, s in seconds.items()}
    path.unlink()
    if format.plain:
        short = format.write(folder / f"plain{format.ending}", config.plain)
        count = ours(short)
        result["plain loop"] = round(count / timed(format.plain, short) / 1e6, 2)
        short.unlink()
    return result


def timed(read: Count, path: Path) -> float:
    """Seconds of one reading."""
    start = time.perf_counter()
    read(path)
    return time.perf_counter() - start


def peak(name: str, count: int, folder: Path) -> dict[str, float]:
    """Seconds, and peak memory in MB of the whole process, of converting a long recording."""
    path = fresh(written, name, folder, count)
    result = fresh(conversion, path, folder / "converted")
    path.unlink()
    return {"events": count, **result}


def written(name: str, folder: Path, count: int) -> Path:
    """A long recording, made in a process of its own, so that its memory is not counted."""
    format = FORMATS[name]
    return format.write(folder / f"long{format.ending}", count)


def conversion(path: Path, out: Path) -> dict[str, float]:
    """As `evinr convert` does it."""
    from converters.job import Job, convert

    start = time.perf_counter()
    about = convert(Job(path, out, "npy", AS_STORED), lambda done: None)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    shutil.rmtree(out)
    return {"kept": about["events"]["count"], "seconds": round(seconds, 1), "peak_mb": round(peak)}


if __name__ == "__main__":
    main(tyro.cli(Config))
