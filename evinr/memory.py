"""How much memory a fit needs, before anyone fits, and how much there is."""

import os
from collections.abc import Iterator
from pathlib import Path

from evinr.config import DEFAULT, LENGTHS
from evinr.windows import FULL, LEAST, PATIENCE

PROGRAM = 311e6
"""Bytes of Python and JAX before anything is read (`baseline_mb` in experiments/benchmarks/results/memory.json)."""
PIXELS = 2**20
"""As in `parallel`, which would start JAX."""


def to_fit(events: int, seconds: float, height: int, width: int) -> float:
    """Peak bytes of `evinr fit FILE` with default settings on a CPU, beside PROGRAM.

    165 MB for compiled programs and pictures, and for each pixel 120 bytes, and at each knot of a window 46 for every window
    that is fitted at once, 11 for every one of the batch before, and 36 where a last window slides back. Fitted to ten
    measurements by experiments/benchmarks/memory.py, from 50 thousand to 50 million events on 240 x 180 to 1280 x 720.
    It is within 12 % of each. It does not grow with the length of a recording, beyond two batches of windows.
    """
    pixels = height * width
    intervals = intervals_of(events / pixels, seconds)
    most = min(DEFAULT.batch, max(1, PIXELS // pixels))
    if intervals <= DEFAULT.intervals:
        knots = 1 + min(LENGTHS, key=lambda length: abs(length - events / (LEAST * pixels)))
        return 165e6 + pixels * (120 + 46 * knots)
    full = 1 + int(intervals - DEFAULT.intervals) // (DEFAULT.intervals - DEFAULT.overlap)
    first, second = min(most, full), max(min(most, full - most), 0)
    return 165e6 + pixels * (120 + (DEFAULT.intervals + 1) * (46 * first + 11 * second + 36))


def intervals_of(events: float, seconds: float) -> float:
    """How many intervals `windows.intervals` makes of so many events a pixel, if they come evenly."""
    return max(min(events / LEAST, seconds / PATIENCE), events / FULL)


def there(system: Path = Path("/")) -> int | None:
    """Bytes that this process may use: the machine's or, in a container or a job of SLURM, what its control groups leave it.

    None where the system does not tell. `system` is where its files are.
    """
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # no such name, or (Windows) no such function
        return None
    return min([machine, *_limits(system)])


def _limits(system: Path) -> Iterator[int]:
    """Of the control groups of this process, version 1 or 2, and of those above them."""
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = system / "sys/fs/cgroup" / controllers
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            file = folder / ("memory.limit_in_bytes" if controllers else "memory.max")
            if file.is_file() and (limit := file.read_text().strip()) != "max":
                yield int(limit)
