"""How much memory a fit needs, before anyone fits."""

from evinr.knots import EVENTS_PER_PIXEL, FEWEST, MOST

PROGRAM = 270e6
"""Bytes of Python and JAX before anything is read (`baseline_mb` in experiments/benchmarks/results/memory.json)."""


def to_fit(events: int, height: int, width: int) -> float:
    """Peak bytes of a fit with default settings on a CPU, beside PROGRAM.

    130 MB to compile, 13 bytes an event, and for each pixel 625 bytes (33 parameters with their gradient and moments)
    and 55 an interval (the event images and what they pass through). Fitted to eight measurements by
    experiments/benchmarks/memory.py: 1, 10 and 50 million events at 240 x 180, 10 at 346 x 260, 0.02, 0.3 and 10 at
    640 x 480 and 1 at 1280 x 720. It is within 6 % of each.
    """
    intervals = min(max(round(events / (EVENTS_PER_PIXEL * height * width)), FEWEST), MOST, max(events, 1))
    return 130e6 + 13 * events + height * width * (625 + 55 * intervals)
