"""One self-contained HTML page of a sweep: its best runs, what matters, and all runs at a glance."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from evinr.files import whole
from evinr.pages import asset, axes, head, parallel, run_course, score_table
from evinr.pages.axes import Axis
from evinr.pages.picture_data import encoded, shrunk
from evinr.scores import METRICS
from evinr.sweeping.importance import FEWEST, Importance, are_numbers, columns, importance
from evinr.sweeping.plan import Goal, flat
from evinr.sweeping.results import Row, best_first

SHOWN = 8
"""Best runs that have a picture."""
WIDEST = 320
"""Pixels of a picture's longer side at most."""
AXES = 12
"""Parameters among the parallel coordinates at most: the most important ones."""


class Page(NamedTuple):
    """All that a page shows."""

    title: str
    facts: Sequence[tuple[str, str]]
    """Label and value: recordings, method, how to go on."""
    metric: str
    """A key of `scores.METRICS`."""
    goal: Goal
    rows: Sequence[Row]
    """In the order of the runs."""
    searched: Mapping[str, Mapping[str, Any]]
    """What the sweep's file says of each parameter that varies (`plan.searched`)."""
    previews: Mapping[int, UInt8[np.ndarray, "h w *c"]]
    """Pictures by the number of the run; those of the `SHOWN` best are shown."""


def write(path: Path, page: Page) -> None:
    """Write the page as one HTML file that works from disk without a network."""
    with whole(path) as partial:
        partial.write_text(document(page), "utf-8", errors="replace")


def document(page: Page) -> str:
    """The page as HTML. Its script is named by its hash, so that nothing else in the page can run."""
    script = asset("sweep.js")
    sha = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = asset("page.css") + asset("sweep.css")
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in page.facts)
    weights = importance(page.rows)
    return f"""<!doctype html>
<html lang="en">
{head(page.title, f"script-src 'sha256-{sha}'; img-src data:", style)}
<body>
<main>
<header><p>a sweep</p><h1>{escape(page.title)}</h1></header>
<section><dl>{facts}</dl></section>
<section><h2>Best runs</h2>{_best(page)}</section>
<section><h2>{score_table.label(page.metric)} over the runs</h2>{_course(page)}</section>
<section><h2>What {score_table.label(page.metric)} depends on</h2>{_importance(weights)}</section>
<section><h2>Parameters and {score_table.label(page.metric)}</h2>{_parallel(page, weights)}</section>
<section><h2>All runs</h2>{_all(page)}</section>
<footer>evinr {version("evinr")}</footer>
</main>
<script>{script}</script>
</body>
</html>
"""


def _best(page: Page) -> str:
    """The best runs with their pictures."""
    rows = [row for row in best_first(page.rows, page.goal) if row.metric is not None][:SHOWN]
    if not rows:
        return '<p class="soft">No run has come to its end.</p>'
    seen = [row.number for row in rows if row.number in page.previews]
    clips = encoded([shrunk(page.previews[number], WIDEST)[None] for number in seen])
    pictures = {
        number: f'<img src="data:image/webp;base64,{clip[0]}" width="{size[0]}" height="{size[1]}" '
        f'alt="preview of run {number}">'
        for number, clip, size in zip(seen, clips.clips, clips.sizes, strict=True)
    }
    return _table(page, rows, pictures)


def _all(page: Page) -> str:
    """All runs, folded where they are many; below them what failed, and why."""
    rows = best_first(page.rows, page.goal)
    table = f'<div class="tall">{_table(page, rows, {})}</div>'
    reasons: dict[str, list[str]] = {}
    for row in sorted(rows):
        if row.state == "failed":
            reasons.setdefault(row.error or "", []).append(str(row.number))
    failed = "".join(
        f"<dt>run{'s' if len(runs) > 1 else ''} {', '.join(runs)}</dt><dd>{escape(reason)}</dd>"
        for reason, runs in reasons.items()
    )
    return (
        f"<details{' open' if len(rows) <= SHOWN else ''}><summary>{len(rows)} runs, best first</summary>{table}</details>"
        + (f'<h3>Failed</h3><dl class="failed">{failed}</dl>' if failed else "")
    )


def _table(page: Page, rows: Sequence[Row], pictures: Mapping[int, str]) -> str:
    """A row for each run: its picture, its metric, what it was told, and its other scores."""
    others = [name for name in METRICS if name != page.metric and any(name in row.scores for row in rows)]
    names = list(page.searched)
    titles = ["run", *["picture"] * bool(pictures), score_table.label(page.metric), *map(escape, names)]
    titles += [*map(score_table.label, others), "seconds", "state"]
    heading = "".join(f'<th scope="col">{title}</th>' for title in titles)
    places = {name: score_table.decimals([_score(page, row, name) for row in rows]) for name in (page.metric, *others)}

    def line(row: Row) -> str:
        values = flat(row.parameters)
        cells = [f'<td class="picture">{pictures.get(row.number, "")}</td>'] * bool(pictures)
        scores = {name: score_table.number(_score(page, row, name), digits) for name, digits in places.items()}
        cells += [f"<td><b>{scores[page.metric]}</b></td>"]
        cells += [f"<td>{escape(axes.word(values.get(name)))}</td>" for name in names]
        cells += [f"<td>{scores[name]}</td>" for name in others]
        cells += [f"<td>{row.seconds:.1f}</td>", f"<td>{row.state}</td>"]
        return f'<tr data-run="{row.number}"><th scope="row">{row.number}</th>{"".join(cells)}</tr>'

    return (
        '<div class="scroll" role="region" aria-label="table of runs" tabindex="0"><table class="runs">'
        f"<thead><tr>{heading}</tr></thead><tbody>{''.join(map(line, rows))}</tbody></table></div>"
    )


def _score(page: Page, row: Row, name: str) -> float | None:
    return row.metric if name == page.metric else row.scores.get(name)


def _course(page: Page) -> str:
    places = _places(page)
    dots = [
        run_course.Dot(row.number, row.metric, places.get(row.number, 0.0), row.state, _said(page, row))
        for row in page.rows
    ]
    if not places:
        return '<p class="soft">No run has come to its end.</p>'
    better = "lower" if page.goal == "minimize" else "higher"
    return (
        run_course.drawn(dots, page.goal)
        + f'<p class="soft">The line is the best so far ({better} is better). Hollow: stopped early; a cross: failed.</p>'
    )


def _importance(weights: Sequence[Importance] | None) -> str:
    """Bars for the importance, and from the middle to both sides for the correlation."""
    if weights is None:
        return f'<p class="soft">Told from {FEWEST} finished runs on.</p>'
    if not weights:
        return '<p class="soft">All runs had the same parameters.</p>'
    most = max(*(each.importance for each in weights), 1e-9)
    lines = "".join(
        f'<tr><th scope="row">{escape(each.name)}</th>'
        f'<td><div class="bar"><i style="width:{100 * each.importance / most:.1f}%"></i></div></td>'
        f"<td>{each.importance:.2f}</td><td>{_correlation(each.correlation)}</td>"
        f"<td>{'-' if each.correlation is None else f'{each.correlation:+.2f}'}</td></tr>"
        for each in weights
    )
    return (
        '<div class="scroll"><table class="weights"><thead><tr><th scope="col">parameter</th>'
        '<th scope="col" colspan="2">importance</th><th scope="col" colspan="2">correlation</th></tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
        '<p class="soft">Importance: the part of the variation that a random forest explains by it. Correlation: linear, '
        "of its value with the metric; blue where the metric falls with it, red where it rises. Few runs tell little.</p>"
    )


def _correlation(value: float | None) -> str:
    if value is None:
        return ""
    kind, left = ("rises", 50.0) if value >= 0 else ("falls", 50 - 50 * abs(value))
    return f'<div class="bar sides"><i class="{kind}" style="left:{left:.1f}%;width:{50 * abs(value):.1f}%"></i></div>'


def _parallel(page: Page, weights: Sequence[Importance] | None) -> str:
    places = _places(page)
    rows = [row for row in page.rows if row.number in places]
    values = columns(rows)
    order = [each.name for each in weights] if weights else list(values)
    names = [name for name in order if name in values][:AXES]
    if not names:
        return '<p class="soft">Nothing varies yet.</p>'
    lines = [parallel.Line(row.number, places[row.number], row.state == "stopped", _said(page, row)) for row in rows]
    scales = [_axis(values[name], page.searched.get(name, {})) for name in names]
    scales.append(axes.numbers([row.metric for row in rows]))
    ramp = "".join(f"<i style='background:{parallel.colour(place)}'></i>" for place in np.linspace(0, 1, 24))
    left_out = len(values) - len(names)
    more = f" The {left_out} least important parameters are left out." if left_out else ""
    return (
        f'<p class="ramp">worst<span>{ramp}</span>best</p>'
        + parallel.drawn([*names, METRICS[page.metric].title], scales, lines)
        + f'<p class="soft said" aria-live="polite">{len(rows)} runs, coloured by their place.{more}</p>'
        '<p class="soft help">Pull along an axis to keep only the runs that pass there; a click on it lets all go.</p>'
    )


def _axis(values: Sequence[Any], told: Mapping[str, Any]) -> Axis:
    if are_numbers(values):
        return axes.numbers(values, log="log" in str(told.get("distribution")))
    return axes.words(values)


def _places(page: Page) -> dict[int, float]:
    """Runs that have the metric, in its order: 0 the worst, 1 the best."""
    rows = [row for row in page.rows if row.metric is not None and np.isfinite(row.metric)]
    best = sorted(rows, key=lambda row: (row.metric if page.goal == "maximize" else -(row.metric or 0), -row.number))
    return {row.number: index / max(len(best) - 1, 1) if len(best) > 1 else 1.0 for index, row in enumerate(best)}


def _said(page: Page, row: Row) -> str:
    """A run in one line."""
    values = ", ".join(
        f"{name} {axes.word(value)}" for name, value in flat(row.parameters).items() if name in page.searched
    )
    score = row.state if row.metric is None else f"{METRICS[page.metric].title} {axes.short(row.metric)}"
    return f"run {row.number}: {score} ({values})"
