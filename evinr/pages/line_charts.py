"""Curves for a page: SVG that is as wide as there is room for, with what is written on it beside it."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

WIDTH, HEIGHT = 1000, 400
POINTS = 400
"""Of a loss curve at most."""
DECADES = 5
"""Of a loss that are shown at most: terms that start at zero must not flatten the rest."""


class Line(NamedTuple):
    """A curve."""

    title: str
    values: Float64[np.ndarray, " n"]
    """NaN where there is none."""
    kind: str
    """Classes of its style."""


def scores(heading: str, times: Float64[np.ndarray, " n"], lines: Sequence[Line], ends: tuple[str, str]) -> str:
    """A metric over time, in which the player seeks; `heading` is HTML."""
    known = _finite(lines)
    if not known.size:
        return _figure(heading, '<p class="soft">No picture has this score.</p>')
    low, high = float(known.min()), float(known.max())
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    x = _along(times)
    cursor = f'<path class="cursor" d="M{x[0]:.1f} 0V{HEIGHT}"/>'
    plot = _plot(x, lines, low - room, high + room, _marks(low - room, high + room), cursor, "seek")
    return _figure(heading, plot + _axis(*ends))


def losses(heading: str, terms: Mapping[str, Sequence[float]], colour: str) -> str:
    """The terms of an objective over the steps, on a logarithmic scale; `heading` is HTML."""
    lines = [
        Line(name, np.asarray(values, np.float64), f"{colour} {'total' if name == 'total' else f'term{index % 4}'}")
        for index, (name, values) in enumerate(terms.items())
        if len(values)
    ]
    known = _finite(lines)
    known = known[known > 0]
    if not known.size:
        return _figure(heading, '<p class="soft">No term is above zero.</p>')
    top = math.log10(float(known.max()))
    floor = max(math.log10(float(known.min())), top - DECADES)
    steps = max(len(line.values) for line in lines)
    drawn = "".join(_loss(line, steps, floor, top) for line in lines)
    samples = "".join(
        f'<span><svg class="sample" viewBox="0 0 30 10" aria-hidden="true"><path class="curve {line.kind}" '
        f'd="M0 5H30"/></svg>{escape(line.title)}</span>'
        for line in lines
    )
    low, high = _padded(floor, top)
    frame = _frame(drawn, low, high, _decades(low, high), "")
    return _figure(heading, frame + _axis("step 1", f"{steps:,}") + f'<p class="key">{samples}</p>')


def _loss(line: Line, steps: int, floor: float, top: float) -> str:
    at = np.unique(np.linspace(0, len(line.values) - 1, POINTS).round().astype(int))
    with np.errstate(invalid="ignore"):
        level = np.log10(np.maximum(line.values[at], 10.0**floor))
    return _curve(at / max(steps - 1, 1) * WIDTH, line._replace(values=level), *_padded(floor, top))


def _padded(floor: float, top: float) -> tuple[float, float]:
    room = max(0.05 * (top - floor), 0.1)
    return floor - room, top + room


def _finite(lines: Sequence[Line]) -> Float64[np.ndarray, " m"]:
    values = np.concatenate([line.values for line in lines]) if lines else np.empty(0)
    return values[np.isfinite(values)]


def _along(times: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Where times lie in the width; one alone in the middle."""
    if len(times) == 1:
        return np.array([WIDTH / 2])
    return (times - times[0]) / (times[-1] - times[0]) * WIDTH


def _plot(
    x: Float64[np.ndarray, " n"],
    lines: Sequence[Line],
    low: float,
    high: float,
    marks: Mapping[float, str],
    extra: str,
    kind: str,
) -> str:
    drawn = "".join(_curve(x, line, low, high) for line in lines)
    return _frame(drawn + extra, low, high, marks, kind)


def _frame(drawn: str, low: float, high: float, marks: Mapping[float, str], kind: str) -> str:
    """Curves above lines at the marks, which are written to their left."""
    levels = {100 * (high - mark) / (high - low): text for mark, text in marks.items()}
    written = "".join(f'<span style="top:{level:.1f}%">{text}</span>' for level, text in levels.items())
    lines = "".join(f"M0 {level * HEIGHT / 100:.1f}H{WIDTH}" for level in levels)
    return (
        f'<div class="plot"><div class="marks" aria-hidden="true">{written}</div>'
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f'<path class="faint" d="{lines}"/>{drawn}</svg></div>'
    )


def _curve(x: Float64[np.ndarray, " n"], line: Line, low: float, high: float) -> str:
    """A path with gaps where there is no number; a number alone is a dot, by the round ends of lines."""
    y = (high - line.values) / (high - low) * HEIGHT
    known = np.isfinite(y)
    path = ""
    for index in np.flatnonzero(known):
        start = index == 0 or not known[index - 1]
        path += f"{'M' if start else 'L'}{x[index]:.1f} {y[index]:.1f}"
        if start and (index + 1 == len(y) or not known[index + 1]):
            path += "h0"
    return f'<path class="curve {line.kind}" d="{path}"><title>{escape(line.title)}</title></path>'


def _marks(low: float, high: float) -> dict[float, str]:
    """From three to eight round numbers between two."""
    most = (high - low) / 3
    size = 10.0 ** math.floor(math.log10(most))
    step = max(factor * size for factor in (1, 2, 5) if factor * size <= most)
    places = max(-math.floor(math.log10(step) + 1e-9), 0)
    count = range(math.ceil(low / step), math.floor(high / step) + 1)
    return {index * step: f"{index * step:.{places}f}" for index in count}


def _decades(low: float, high: float) -> dict[float, str]:
    """Powers of ten between two logarithms; with less than two of them, also 2 and 5 times such."""
    whole = range(math.floor(low), math.ceil(high) + 1)
    marks = {float(power): f"{10.0**power:.0e}" if abs(power) > 3 else f"{10.0**power:g}" for power in whole}
    if sum(low <= mark <= high for mark in marks) < 2:
        marks |= {power + math.log10(factor): f"{factor * 10.0**power:.3g}" for power in whole for factor in (2, 5)}
    return {mark: text for mark, text in marks.items() if low <= mark <= high}


def _axis(first: str, last: str) -> str:
    return f'<div class="axis"><span>{escape(first)}</span><span>{escape(last)}</span></div>'


def _figure(heading: str, content: str) -> str:
    return f'<figure class="chart"><h3>{heading}</h3>{content}</figure>'
