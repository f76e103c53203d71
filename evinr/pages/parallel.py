"""Parallel coordinates: an axis for each parameter and one for the metric, a line through them for each run."""

import json
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from evinr.pages.axes import Axis

TOP, HEIGHT, EDGE = 44, 320, 70
"""Above the axes, along them, and beside the outer ones; in pixels where the window is as wide as the picture."""
WIDTH, GAP = 1200, 130
"""Of the picture, and between axes at least, for which it is made wider."""
POOR_TO_BEST = ((100, 116, 139), (109, 90, 205), (200, 50, 130), (245, 130, 30))
"""Slate, violet, pink, orange: to be told on white and on black, the best the brightest."""


class Line(NamedTuple):
    """A run."""

    run: int
    """Its number."""
    place: float
    """In the order of the metric: 0 the worst, 1 the best."""
    stopped: bool
    said: str
    """Its values, to read."""


def drawn(titles: Sequence[str], axes: Sequence[Axis], lines: Sequence[Line]) -> str:
    """The figure as SVG; its axes have a value for each of the lines. The best lie on top."""
    width = max(WIDTH, 2 * EDGE + GAP * (len(axes) - 1))
    across = np.linspace(EDGE, width - EDGE, len(axes)).round().astype(int).tolist()
    order = sorted(range(len(lines)), key=lambda index: lines[index].place)
    places = np.stack([axis.places for axis in axes], axis=1)
    runs = "".join(_run(lines[index], across, places[index].tolist(), len(lines)) for index in order)
    columns = "".join(
        _axis(index, x, title, axis) for index, (x, title, axis) in enumerate(zip(across, titles, axes, strict=True))
    )
    frame = f'style="min-width:{0.8 * width:.0f}px" viewBox="0 0 {width} {TOP + HEIGHT + 16}"'
    return (
        f'<div class="scroll"><svg class="parallel" {frame} role="img" '
        f'aria-label="parameters and metric of {len(lines)} runs"><g class="runs">{runs}</g>{columns}</svg></div>'
    )


def colour(place: float) -> str:
    """From the worst, 0, to the best, 1."""
    at = np.interp(place, np.linspace(0, 1, len(POOR_TO_BEST)), np.arange(len(POOR_TO_BEST)))
    low = min(int(at), len(POOR_TO_BEST) - 2)
    mixed = (1 - (at - low)) * np.array(POOR_TO_BEST[low]) + (at - low) * np.array(POOR_TO_BEST[low + 1])
    return "#" + "".join(f"{round(part):02x}" for part in mixed)


def _run(line: Line, across: Sequence[int], places: Sequence[float], count: int) -> str:
    """A line that comes to each axis level, so that lines through one point can be told."""
    points = [(x, TOP + HEIGHT * (1 - place)) for x, place in zip(across, places, strict=True)]
    path = f"M{points[0][0]} {points[0][1]:.1f}"
    for (before, low), (x, y) in zip(points, points[1:], strict=False):
        reach = 0.4 * (x - before)
        path += f"C{before + reach:.0f} {low:.1f} {x - reach:.0f} {y:.1f} {x} {y:.1f}"
    opacity = min((0.2 if line.place < 0.9 else 0.5) + 20 / count, 0.9)  # many must not hide each other
    return (
        f'<path class="run{" stopped" if line.stopped else ""}" data-run="{line.run}" stroke="{colour(line.place)}" '
        f'style="--own:{opacity:.2f}" data-places="{json.dumps([round(place, 4) for place in places])}" d="{path}">'
        f"<title>{escape(line.said)}</title></path>"
    )


def _axis(index: int, x: int, title: str, axis: Axis) -> str:
    marks = "".join(
        f'<text class="mark" x="{x + 7}" y="{TOP + HEIGHT * (1 - place) + 4:.1f}">{escape(text)}</text>'
        f'<path class="tick" d="M{x - 4} {TOP + HEIGHT * (1 - place):.1f}h8"/>'
        for place, text in axis.marks
    )
    return (
        f'<g class="column" data-axis="{index}"><text class="title" x="{x}" y="20">{escape(title)}</text>'
        f'<path class="axis" d="M{x} {TOP}V{TOP + HEIGHT}"/>{marks}'
        f'<rect class="brush" x="{x - 9}" y="{TOP}" width="18" height="0"/>'
        f'<rect class="grip" x="{x - 18}" y="{TOP - 8}" width="36" height="{HEIGHT + 16}"/></g>'
    )
