"""The metric over the runs of a sweep, with the best so far."""

from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple

import numpy as np

from evinr.pages import axes
from evinr.pages.parallel import colour

WIDTH, HEIGHT, LEFT, TOP, BELOW = 1000, 260, 70, 12, 46
"""Of what is drawn on, and around it; in units of the picture."""


class Dot(NamedTuple):
    """A run."""

    run: int
    metric: float | None
    """None of one that failed."""
    place: float
    """In the order of the metric: 0 the worst, 1 the best."""
    state: str
    said: str
    """Its values, to read."""


def drawn(dots: Sequence[Dot], goal: Literal["minimize", "maximize"]) -> str:
    """The figure as SVG, in the order of the runs."""
    axis = axes.numbers([dot.metric for dot in dots])
    spread = (WIDTH - 20) / max(len(dots) - 1, 1)
    across = [LEFT + 10 + (index * spread if len(dots) > 1 else WIDTH / 2) for index in range(len(dots))]
    levels = [TOP + HEIGHT * (1 - (0.04 + 0.92 * float(place))) for place in axis.places]
    marks = "".join(
        f'<path class="faint" d="M{LEFT} {(y := TOP + HEIGHT * (0.96 - 0.92 * place)):.1f}h{WIDTH}"/>'
        f'<text class="mark end" x="{LEFT - 8}" y="{y + 4:.1f}">{escape(text)}</text>'
        for place, text in axis.marks
    )
    failed = sum(dot.state == "failed" for dot in dots)
    points = "".join(_dot(dot, x, y) for dot, x, y in zip(dots, across, levels, strict=True))
    ends = f'<text class="mark" x="{LEFT}" y="{TOP + HEIGHT + BELOW - 4}">run {dots[0].run}</text>'
    if len(dots) > 1:
        ends += f'<text class="mark end" x="{LEFT + WIDTH}" y="{TOP + HEIGHT + BELOW - 4}">run {dots[-1].run}</text>'
    return (
        f'<svg class="course" viewBox="0 0 {LEFT + WIDTH + 10} {TOP + HEIGHT + BELOW}" role="img" '
        f'aria-label="metric of {len(dots)} runs, {failed} of them failed">{marks}'
        f'<path class="best" d="{_best(dots, across, levels, goal)}"/>{points}{ends}</svg>'
    )


def _dot(dot: Dot, x: float, y: float) -> str:
    said = f"<title>{escape(dot.said)}</title>"
    if np.isnan(y):  # below the others
        at = f"M{x - 4:.1f} {TOP + HEIGHT + 12}l8 8m0 -8l-8 8"
        return f'<path class="cross" data-run="{dot.run}" d="{at}">{said}</path>'
    kind = "dot hollow" if dot.state == "stopped" else "dot"
    return (
        f'<circle class="{kind}" data-run="{dot.run}" cx="{x:.1f}" cy="{y:.1f}" r="5" '
        f'style="--own:{colour(dot.place)}">{said}</circle>'
    )


def _best(
    dots: Sequence[Dot], across: Sequence[float], levels: Sequence[float], goal: Literal["minimize", "maximize"]
) -> str:
    """Steps from one best run to the next; a run that was stopped is none."""
    path, best = "", None
    for dot, x, y in zip(dots, across, levels, strict=True):
        if dot.state != "finished" or np.isnan(y) or dot.metric is None:
            continue
        if best is None:
            path = f"M{x:.1f} {y:.1f}"
        elif dot.metric < best if goal == "minimize" else dot.metric > best:
            path += f"H{x:.1f}V{y:.1f}"
        else:
            continue
        best = dot.metric
    return f"{path}H{across[-1]:.1f}" if path else ""
