"""One self-contained HTML page that shows methods side by side: scores, loss curves, pictures that play together."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from evinr.files import whole
from evinr.pages import asset, head, line_charts, player, score_table
from evinr.pages.picture_data import encoded
from evinr.pages.player import Panel
from evinr.scores import Mean


class Clip(NamedTuple):
    """Pictures at the page's times."""

    title: str
    pictures: UInt8[np.ndarray, "n h w *c"]
    """Gray, or RGB with a last axis of 3."""


class Method(NamedTuple):
    """What one method made of the recording."""

    clip: Clip
    means: Mapping[str, Mean]
    """By name of the metric (a key of `scores.METRICS`)."""
    frames: Mapping[str, Float64[np.ndarray, " n"]]
    """For each metric a score at each of the page's times; NaN where there is none."""
    losses: Mapping[str, Sequence[float]]
    """For each term of the objective its course over the steps; empty for methods that fit nothing."""
    facts: Sequence[tuple[str, str]]
    """Label and value: seconds, steps, parameters, the prediction's path, what was assumed."""


class Page(NamedTuple):
    """All that a page shows."""

    title: str
    facts: Sequence[tuple[str, str]]
    """Label and value: recording, protocol, what was assumed."""
    times: Float64[np.ndarray, " n"]
    """Seconds of the recording's clock."""
    methods: Sequence[Method]
    truth: Clip | None
    events: Clip | None


def write(path: Path, page: Page) -> None:
    """Write the page as one HTML file that works from disk without a network."""
    with whole(path) as partial:
        partial.write_text(document(page), "utf-8", errors="replace")


def document(page: Page) -> str:
    """The page as HTML. Its script is named by its hash, so that nothing else in the page can run."""
    script = asset("player.js")
    sha = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    panels = _panels(page)
    clips = [page.truth, *(method.clip for method in page.methods), page.events]
    pictures = encoded([clip.pictures for clip in clips if clip])
    return f"""<!doctype html>
<html lang="en">
{head(page.title, f"script-src 'sha256-{sha}'; img-src data: blob:", asset("page.css"))}
<body>
<main>
<header><p>reconstructions side by side</p><h1>{escape(page.title)}</h1></header>
<section>{_facts(page.facts)}</section>
<section><h2>Scores</h2>{score_table.table(_names(page), [method.means for method in page.methods])}</section>
{player.section(page.times, panels, pictures)}
{_curves(page)}
{_losses(page)}
<section><h2>Methods</h2><div class="methods">{"".join(map(_method, _names(page), page.methods))}</div></section>
<footer>evinr {version("evinr")}</footer>
</main>
<script type="application/json" id="data">{player.data(page.times, panels, pictures)}</script>
<script>{script}</script>
</body>
</html>
"""


def _panels(page: Page) -> list[Panel]:
    """The truth, the methods, the events."""
    truth = [Panel(page.truth.title, escape(page.truth.title), True, {})] if page.truth else []
    events = [Panel(page.events.title, escape(page.events.title), False, {})] if page.events else []
    scores = score_table.written([method.frames for method in page.methods])
    methods = [
        Panel(method.clip.title, name, True, of)
        for name, method, of in zip(_names(page), page.methods, scores, strict=True)
    ]
    return truth + methods + events


def _curves(page: Page) -> str:
    """A chart for each metric."""
    stamps = player.stamps(page.times)
    charts = "".join(
        line_charts.scores(
            score_table.label(metric),
            page.times,
            [
                line_charts.Line(method.clip.title, method.frames[metric], _colour(index))
                for index, method in enumerate(page.methods)
                if metric in method.frames
            ],
            (stamps[0], stamps[-1]),
        )
        for metric in score_table.metrics(method.frames for method in page.methods)
    )
    if not charts:
        return ""
    key = "".join(f"<span>{name}</span>" for name in _names(page))
    return (
        f'<section><h2>Scores over time</h2><p class="key">{key}</p><div class="charts">{charts}</div>'
        '<p class="soft help">A click on a curve shows the pictures of that time.</p></section>'
    )


def _losses(page: Page) -> str:
    charts = "".join(
        line_charts.losses(name, method.losses, _colour(index))
        for index, (name, method) in enumerate(zip(_names(page), page.methods, strict=True))
        if method.losses
    )
    return f'<section><h2>Loss</h2><div class="charts">{charts}</div></section>' if charts else ""


def _method(name: str, method: Method) -> str:
    return f"<div><h3>{name}</h3>{_facts(method.facts)}</div>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    said = [(label, value) for label, value in facts if label != "assumed"]
    assumed = [(label, value) for label, value in facts if label == "assumed"]
    folded = (
        f"<details><summary>What was assumed ({len(assumed)})</summary>{_list(assumed)}</details>" if assumed else ""
    )
    return _list(said) + folded


def _list(facts: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(label)}</dt><dd>{escape(value)}</dd>' for label, value in facts)}</dl>"


def _names(page: Page) -> list[str]:
    """The methods' titles in HTML, each with its colour."""
    return [
        f'<i class="swatch {_colour(index)}"></i>{escape(method.clip.title)}'
        for index, method in enumerate(page.methods)
    ]


def _colour(index: int) -> str:
    """Eight colours, and then the same with broken lines."""
    return f"m{index % 8}{' again' if index >= 8 else ''}"
