"""The player of a page: pictures side by side, one slider for all, scores below; assets/player.js moves it."""

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from html import escape
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from evinr.pages.picture_data import EXACT, Encoded
from evinr.scores import METRICS


class Panel(NamedTuple):
    """One of the pictures that play side by side."""

    title: str
    name: str
    """The title in HTML, with its colour."""
    compared: bool
    """Whether it can differ from another: events cannot."""
    scores: Mapping[str, Sequence[str]]
    """For each metric what is written at each time."""


def section(times: Float64[np.ndarray, " n"], panels: Sequence[Panel], pictures: Encoded) -> str:
    """The player as HTML, which shows the first pictures until its script runs."""
    first = stamps(times)[0]
    rows = math.ceil(len(panels) / 4)
    figures = "".join(
        f'<figure class="panel"><div class="view"><img alt="{escape(panel.title)}, {first}" width="{width}" '
        f'height="{height}" src="data:image/webp;base64,{frames[0]}"></div><figcaption>'
        f'<div class="name">{panel.name}</div><div class="now">{_now(panel.scores)}</div></figcaption></figure>'
        for panel, frames, (width, height) in zip(panels, pictures.clips, pictures.sizes, strict=True)
    )
    how = "exact" if pictures.plan.quality == EXACT else f"compressed (WebP, quality {pictures.plan.quality})"
    size = f" and shrunk to {pictures.plan.widest} pixels at most" if pictures.shrunk else ""
    return f"""<section class="player{"" if len(times) > 1 else " still"}"
 style="--columns:{math.ceil(len(panels) / rows)}">
<h2>Pictures</h2>
<noscript><p class="soft">Scripts are off, so these are the first pictures only.</p></noscript>
<div class="panels">{figures}</div>
<div class="time"><button id="play" type="button">Play</button>
<button id="back" type="button" aria-label="one picture back">‹</button>
<button id="next" type="button" aria-label="one picture on">›</button>
<input id="time" type="range" min="0" max="{len(times) - 1}" value="0" aria-label="time">
<output id="now">{first}</output></div>
<div class="choices"><span id="count"></span>
<label class="speed">speed <select id="speed">{_speeds(times)}</select></label>
{_references(panels)}
<label>magnify <select id="zoom"><option value="1">no</option><option value="2">2 ×</option>\
<option value="4">4 ×</option><option value="8">8 ×</option></select></label>
<span class="scale">darker by half of the range <i></i> brighter by half</span></div>
<p class="soft help"><kbd>space</kbd> plays and pauses, <kbd>←</kbd> <kbd>→</kbd> step, <kbd>d</kbd> shows differences,
 <kbd>m</kbd> or a click on a picture magnifies all of them there, <kbd>shift</kbd> with arrows moves the spot.</p>
<p class="soft">Pictures here are {how}{size}; scores are those of the originals.</p>
</section>"""


def _now(scores: Mapping[str, Sequence[str]]) -> str:
    """Scores of the picture that is shown."""
    return "".join(
        f'<span>{escape(METRICS[metric].title)} <b data-metric="{metric}">{written[0]}</b></span>'
        for metric, written in scores.items()
    )


def _references(panels: Sequence[Panel]) -> str:
    """What pictures can be compared with."""
    options = "".join(
        f'<option value="{index}">{escape(panel.title)}</option>'
        for index, panel in enumerate(panels)
        if panel.compared
    )
    if sum(panel.compared for panel in panels) < 2:
        return ""
    return f'<label>difference from <select id="reference"><option value="">nothing</option>{options}</select></label>'


def _speeds(times: Float64[np.ndarray, " n"]) -> str:
    """Parts of real time that show from 2 to 60 pictures a second."""
    if len(times) == 1:
        return ""
    rate = (len(times) - 1) / float(times[-1] - times[0])
    ladder = [Fraction(factor) * Fraction(10) ** power for power in range(-7, 4) for factor in (1, 2, 5)]
    fitting = [speed for speed in ladder if 2 <= speed * rate <= 60]
    usual = max(speed for speed in fitting if speed * rate <= 12)
    return "".join(
        f'<option value="{float(speed):g}"{" selected" if speed == usual else ""}>{speed} '
        f"({float(speed * rate):.2g} pictures/s)</option>"
        for speed in fitting
    )


def data(times: Float64[np.ndarray, " n"], panels: Sequence[Panel], pictures: Encoded) -> str:
    """What the player is told, as JSON that cannot end its element."""
    content = {
        "times": times.tolist(),
        "stamps": stamps(times),
        "panels": [
            {"title": panel.title, "compared": panel.compared, "values": panel.scores, "pictures": frames}
            for panel, frames in zip(panels, pictures.clips, strict=True)
        ],
    }
    return json.dumps(content).replace("<", "\\u003c")


def stamps(times: Float64[np.ndarray, " n"]) -> list[str]:
    """Times with as many places as tell them apart."""
    closest = float(np.diff(times).min()) if len(times) > 1 else 1e-3
    places = min(max(3, 1 - math.floor(math.log10(closest) + 1e-6)), 9)
    return [f"{time:.{places}f} s" for time in times]
