"""The page of `evinr info --html`: facts and pictures of a recording in one file that asks nothing of any network."""

import base64
from html import escape
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, Shaped, UInt8
from PIL import Image

from converters.examine import Examination, Pixels
from converters.frame_health import FrameHealth
from converters.frame_offset import REACH
from converters.health import OCTAVES, Health, events_until
from converters.pictures import to_gray
from evinr.files import whole
from evinr.pages import head
from evinr.pages.health_facts import facts, findings, metric, span

COLUMNS = 300
"""Of the rate."""
WIDEST = 1280
"""Pixels of a picture's longer side at most."""
MARKED = 200
"""Hot pixels that are marked."""
TICKS = 2000
"""Frames that are marked beside the rate."""
FALLING, RISING = np.array([37, 99, 235]), np.array([220, 38, 38])
"""Blue and red that can be told on black and on white."""
LIGHT = np.array([[3, 7, 18], [76, 29, 149], [190, 24, 93], [249, 115, 22], [254, 249, 195]])
"""Few to many events."""


def write(path: Path, seen: Examination) -> None:
    """Write the page, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(page(seen), "utf-8", errors="replace")


def page(seen: Examination) -> str:
    """The page as HTML."""
    found = findings(seen)
    verdict = "".join(f"<li>{escape(sentence)}</li>" for sentence in found)
    rows = "".join(
        f"<dt>{escape(fact.label)}</dt><dd>{'<br>'.join(map(escape, fact.lines))}</dd>" for fact in facts(seen)
    )
    frames = seen.frames.health if seen.frames else None
    figures = [_rate(seen.health, frames, seen.origin)] if seen.health.seconds else []
    if seen.pixels is not None:
        figures += _pixels(seen.pixels)
    figures.append(_intervals(seen.health))
    if seen.frames and seen.frames.offset.correlation is not None:
        figures.append(_offset(seen.frames.offset.correlation))
    if frames is not None:
        figures.append(_frames(frames, seen.origin))
    return f"""<!doctype html>
<html lang="en">
{head(f"{seen.name}: health of a recording", "img-src data:", STYLE)}
<body>
<main>
<header><p>health of a recording</p><h1>{escape(seen.name)}</h1></header>
<section class="verdict {"bad" if found else "good"}">{f"<ul>{verdict}</ul>" if found else "Looks sound."}</section>
<div class="figures">{"".join(figures)}</div>
<section><h2>Facts</h2><dl>{rows}</dl></section>
<footer>evinr {version("evinr")}</footer>
</main>
</body>
</html>
"""


def _figure(title: str, content: str, caption: str, wide: bool = False) -> str:
    return (
        f'<figure class="{"wide" if wide else ""}"><h2>{title}</h2>{content}<figcaption>{caption}</figcaption></figure>'
    )


def _rate(health: Health, frames: FrameHealth | None, origin: int) -> str:
    """Rising events upwards, falling ones downwards, frames as ticks below."""
    edges = np.linspace(health.start, health.end, COLUMNS + 1)
    falling, rising = np.diff(events_until(health, edges)) * COLUMNS / health.seconds
    top = float(max(falling.max(), rising.max()))
    plot = _chart(
        f'<path class="rising" d="{_steps(100 - 96 * rising / top)}"/>'
        f'<path class="falling" d="{_steps(100 + 96 * falling / top)}"/>',
        COLUMNS,
        200,
        "rate",
    )
    ticks = ""
    if frames is not None:
        at = ((frames.times - origin) / 1e9 - health.start) / health.seconds * COLUMNS
        at = at[(at >= 0) & (at <= COLUMNS)]
        marks = "".join(f"M{x:.2f} 0V1" for x in at[:: -(-len(at) // TICKS) or 1])
        ticks = _chart(f'<path class="line" d="{marks}"/>', COLUMNS, 1, "ticks")
    caption = (
        f"Events a second: <b class='rising'>rising</b> upwards, up to {metric(float(rising.max()))}; "
        f"<b class='falling'>falling</b> downwards, up to {metric(float(falling.max()))}. "
        f"A column takes {span(health.seconds / COLUMNS)}.{' Ticks below are camera frames.' if ticks else ''}"
    )
    axis = _axis(f"{health.start:.6g} s", f"{(health.start + health.end) / 2:.6g} s", f"{health.end:.6g} s")
    return _figure("Rate", plot + ticks + axis, caption, wide=True)


def _pixels(pixels: Pixels) -> list[str]:
    """How often each pixel fired, and which polarity it had more of."""
    counts = pixels.counts.sum(0)
    height, width = counts.shape
    radius = max(width, height) / 60
    rings = "".join(
        f'<circle cx="{index % width + 0.5}" cy="{index // width + 0.5}" r="{radius:.4g}"/>'
        for index in pixels.hot[:MARKED].tolist()
    )
    marked = f"{'The worst ' if len(pixels.hot) > MARKED else ''}{min(len(pixels.hot), MARKED)} hot ones are ringed."
    busy = _figure(
        "Events of each pixel",
        _picture(_png(_heat(_shrunk(counts))), width, height, rings, "heat"),
        f"Black: none; yellow: {int(counts.max()):,} (log scale). {marked if rings else 'None is hot.'}",
    )
    balance = _figure(
        "Polarity of each pixel",
        _picture(_png(_polarity(_shrunk(pixels.counts[0]), _shrunk(pixels.counts[1]))), width, height),
        "<b class='rising'>Red</b>: most of its events rise; <b class='falling'>blue</b>: most fall; violet: both. "
        "The stronger, the more events.",
    )
    return [busy, balance]


def _heat(counts: Int64[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    level = np.log1p(counts) / max(float(np.log1p(counts.max())), 1e-9)
    steps = np.linspace(0, 1, len(LIGHT))
    return np.stack([np.interp(level, steps, channel) for channel in LIGHT.T], -1).round().astype(np.uint8)


def _polarity(falling: Int64[np.ndarray, "h w"], rising: Int64[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 4"]:
    """Transparent where nothing fired, so that it suits any background."""
    total = falling + rising
    part = (rising / np.maximum(total, 1))[..., None]
    usual = max(float(np.percentile(total[total > 0], 95)) if total.any() else 0.0, 1.0)
    opaque = np.where(total > 0, 0.25 + 0.75 * np.minimum(np.log1p(total) / np.log1p(usual), 1), 0)
    return np.dstack([FALLING * (1 - part) + RISING * part, 255 * opaque]).round().astype(np.uint8)


def _intervals(health: Health) -> str:
    counts = health.course.intervals
    present = np.flatnonzero(counts)
    if not present.size:
        return ""
    low, high = int(present[0]), int(present[-1]) + 1
    shown = counts[low:high] / counts.max()
    bars = "".join(
        f'<rect x="{i + 0.08:.2f}" y="{100 - 96 * height:.2f}" width="0.84" height="{96 * height:.2f}"/>'
        for i, height in enumerate(shown)
        if height
    )
    ends = [span(2.0 ** (octave - OCTAVES)) for octave in (low, high)]
    caption = (
        f"From one event to the next, in steps of a factor of 2; {health.course.same_time:,} events that have the time "
        "of the one before are left out."
    )
    return _figure("Intervals", _chart(bars, high - low, 100, "bars") + _axis(ends[0], "", ends[1]), caption)


def _offset(correlation: Float64[np.ndarray, " 101"]) -> str:
    low, high = min(float(correlation.min()), 0.0), max(float(correlation.max()), 0.1)
    y = 98 - 96 * (correlation - low) / (high - low)
    line = "M" + "L".join(f"{x} {value:.2f}" for x, value in enumerate(y))
    zero = f'<path class="faint" d="M{REACH} 0V100M0 {98 + 96 * low / (high - low):.2f}H{2 * REACH}"/>'
    best = int(np.abs(correlation).argmax())
    caption = (
        "How well the events between the shifted times of two frames explain the change of these frames; "
        f"best, {correlation[best]:.2f}, with {best - REACH:+d} ms added to the times of frames."
    )
    chart = _chart(f'{zero}<path class="line" d="{line}"/>', 2 * REACH, 100, "bars")
    return _figure("Frames and events", chart + _axis(f"-{REACH} ms", "0", f"+{REACH} ms"), caption)


def _frames(frames: FrameHealth, origin: int) -> str:
    shown = "".join(
        f'<div><img alt="camera frame" src="{_jpeg(frame.image)}"><p>{(frame.time - origin) / 1e9:.6f} s</p></div>'
        for frame in frames.shown
    )
    return _figure("Camera frames", f'<div class="frames">{shown}</div>', "The first, the middle and the last.", True)


def _chart(content: str, width: int, height: int, kind: str) -> str:
    """A drawing that is as wide as there is room for; so what is written on it stands beside it."""
    return f'<svg class="{kind}" viewBox="0 0 {width} {height}" preserveAspectRatio="none">{content}</svg>'


def _axis(*labels: str) -> str:
    return f'<div class="axis">{"".join(f"<span>{label}</span>" for label in labels)}</div>'


def _steps(y: Float64[np.ndarray, " n"]) -> str:
    """The outline of columns from a baseline at 100 to heights `y`."""
    return "M0 100" + "".join(f"V{value:.1f}H{x}" for x, value in enumerate(y, 1)) + "V100Z"


def _picture(data: str, width: int, height: int, marks: str = "", kind: str = "") -> str:
    """A picture of the sensor, and marks on it in pixels."""
    image = f'<image href="{data}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    return f'<svg class="sensor {kind}" viewBox="0 0 {width} {height}">{image}{marks}</svg>'


def _shrunk(counts: Int64[np.ndarray, "h w"]) -> Int64[np.ndarray, "a b"]:
    """The largest count of each square of pixels, so many that the picture is not too large."""
    side = -(-max(counts.shape) // WIDEST)
    rows, columns = (-(-length // side) for length in counts.shape)
    padded = np.zeros((rows * side, columns * side), np.int64)
    padded[: counts.shape[0], : counts.shape[1]] = counts
    return padded.reshape(rows, side, columns, side).max((1, 3))


def _png(picture: UInt8[np.ndarray, "h w c"]) -> str:
    return _encoded(picture, "png")


def _jpeg(picture: Shaped[np.ndarray, "h w *rgb"]) -> str:
    shown = picture if picture.ndim == 3 and picture.dtype == np.uint8 else to_gray(picture)
    side = -(-max(shown.shape[:2]) // WIDEST)
    return _encoded(np.ascontiguousarray(shown[::side, ::side]), "jpeg")


def _encoded(picture: Shaped[np.ndarray, "h w *c"], kind: str) -> str:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, kind, quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


STYLE = """
.verdict { border-left: 5px solid var(--good); }
.verdict.bad { border-left-color: var(--bad); }
.verdict ul { padding-left: 1.1rem; }
.figures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.wide { grid-column: 1 / -1; }
.rate { height: 190px; } .bars { height: 170px; } .ticks { height: 10px; margin-top: 3px; }
path.rising { fill: var(--rising); } path.falling { fill: var(--falling); }
b.rising { color: var(--rising); } b.falling { color: var(--falling); }
rect { fill: var(--falling); }
.sensor { height: auto; border-radius: 4px; }
.sensor.heat { background: #000; }
.sensor image { image-rendering: pixelated; }
circle { fill: none; stroke: #22d3ee; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.frames { display: grid; gap: 0.8rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 220px), 1fr)); }
.frames img { width: 100%; display: block; border-radius: 4px; }
"""
