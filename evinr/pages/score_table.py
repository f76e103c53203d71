"""Scores as a page shows them: the table of means, and the numbers written as people read them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float64

from evinr.scores import METRICS, Mean

ABSENT = "no score: what the metric needs is absent, or no picture could be scored"
ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
SAID = {"lower": "lower is better", "higher": "higher is better", "neither": "good is near the frames' own"}


def table(names: Sequence[str], means: Sequence[Mapping[str, Mean]]) -> str:
    """A row for each method, a column for each metric that any of them has; the best in bold, intervals below."""
    present = metrics(means)
    if not present:
        return "<p>There are no scores.</p>"
    head = "".join(f'<th scope="col">{label(metric)}</th>' for metric in present)
    columns = [_column([of.get(metric) for of in means], METRICS[metric].better) for metric in present]
    rows = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>'
        for name, cells in zip(names, zip(*columns, strict=True), strict=True)
    )
    meanings = "".join(
        f"<dt>{escape(METRICS[metric].title)} {ARROWS[METRICS[metric].better]}</dt>"
        f"<dd>{escape(METRICS[metric].meaning)}; {SAID[METRICS[metric].better]}</dd>"
        for metric in present
    )
    return (
        '<div class="scroll" role="region" aria-label="table of scores" tabindex="0">'
        f'<table><thead><tr><th scope="col">method</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        '<p class="soft">Means over all pictures that were scored, with 95 % confidence intervals; '
        "the best of a column is bold.</p>"
        f'<details><summary>What the metrics mean</summary><dl class="legend">{meanings}</dl></details>'
    )


def metrics(scored: Iterable[Mapping[str, object]]) -> list[str]:
    """The metrics that occur, in the order of `METRICS`."""
    return sorted({name for of in scored for name in of}, key=list(METRICS).index)


def label(metric: str) -> str:
    """A metric's title with an arrow to where it is better, and what it means on hover."""
    title, better, meaning = METRICS[metric]
    return (
        f'<abbr title="{escape(meaning)}; {SAID[better]}">{escape(title)} '
        f'<span aria-hidden="true">{ARROWS[better]}</span></abbr>'
    )


def decimals(values: Iterable[float | None]) -> int:
    """Places after the point that show three figures of the largest number and two of the smallest; from two to six."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value]
    if not sizes:
        return 2
    return min(max(2, 2 - math.floor(math.log10(max(sizes))), 1 - math.floor(math.log10(min(sizes)))), 6)


def written(frames: Sequence[Mapping[str, Float64[np.ndarray, " n"]]]) -> list[dict[str, list[str]]]:
    """Scores a picture of each method, with the same places for all methods."""
    places = {
        metric: decimals(score for of in frames for score in of.get(metric, np.empty(0)).tolist())
        for metric in metrics(frames)
    }
    return [
        {
            metric: [number(score, digits) for score in of[metric].tolist()]
            for metric, digits in places.items()
            if metric in of
        }
        for of in frames
    ]


def number(value: float | None, places: int) -> str:
    """A score; `-` for none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{places}f}" if math.isfinite(value) else "∞" if value > 0 else "-∞"


def _column(means: Sequence[Mean | None], better: str) -> list[str]:
    """The cells of a metric. What reads like the best is bold too, where there is anything to compare."""
    places = decimals(mean.value for mean in means if mean)
    shown = [number(mean.value, places) if mean else "-" for mean in means]
    known = [mean.value for mean in means if mean and mean.value is not None and not math.isnan(mean.value)]
    best = (
        number((min if better == "lower" else max)(known), places) if len(known) > 1 and better != "neither" else None
    )
    return [_cell(text, mean, places, text == best) for text, mean in zip(shown, means, strict=True)]


def _cell(text: str, mean: Mean | None, places: int, best: bool) -> str:
    if mean is None or text == "-":
        return f'<td><abbr title="{ABSENT}">-</abbr></td>'
    interval = ""
    if mean.low is not None and mean.high is not None:
        interval = f"<small>{number(mean.low, places)} to {number(mean.high, places)}</small>"
    return f"<td>{f'<b>{text}</b>' if best else text}{interval}</td>"
