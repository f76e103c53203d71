"""What a finished fit leaves for people to look at."""

import json
from pathlib import Path

import numpy as np
from rich.console import Console

from evinr import render, report
from evinr.cli.commands import Fit
from evinr.cli.source import Source, truth
from evinr.prediction import of_reconstruction
from evinr.protocols import ALIGNED
from evinr.reconstruction import Reconstruction
from evinr.scores import METRICS
from evinr.simulator.simulate import Scene
from evinr.tonemap import ToneMap, expose, picture

PICTURES = ("loss.png", "video.mp4", "preview.png")
"""What a run has when it is finished, made from what it has fitted."""
COLUMNS = 5
"""Times on the contact sheet."""


def exist(folder: Path) -> bool:
    """Whether a run has all its pictures."""
    return all((folder / name).exists() for name in PICTURES)


def write(command: Fit, console: Console, folder: Path, source: Source, result: Reconstruction) -> None:
    """`loss.png`, `video.mp4` and `preview.png`, and the scores where truth is known."""
    loss_picture(folder)
    times = np.linspace(*result.span, command.frames or 120)
    with report.progress(console, "video", len(times)) as advance:
        report.video(folder / "video.mp4", render.pictures(result, times, command.tone), command.fps, advance)
    _contact_sheet(folder / "preview.png", source, result, command.tone)
    if source.truth is not None:
        tell_scores(console, source, result)


def loss_picture(folder: Path) -> None:
    """`loss.png`: all terms over the steps, those of windows one after another."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    terms = {name: [row[name] for row in rows] for name in ("total", "events", "variation", "still", "constancy")}
    report.loss_curve(folder / "loss.png", [row["step"] for row in rows], terms)


def _contact_sheet(path: Path, source: Source, result: Reconstruction, tone: ToneMap) -> None:
    """Events, the reconstruction and, where there is one, the camera's or the simulator's picture of the same times."""
    span = result.span
    times, beside = _inner_times(result), []
    if source.frames is not None:
        inside = np.flatnonzero((source.frames.times >= span.start) & (source.frames.times <= span.end))
        if inside.size:
            chosen = inside[np.unique(np.linspace(0, inside.size - 1, COLUMNS).round().astype(int))]
            times = source.frames.times[chosen]
            # 0.02: a black pixel has no logarithm
            beside = [report.Row("camera", _toned(source.frames.images[chosen] / 255 + 0.02, tone))]
    if source.truth is not None:
        beside = [report.Row("truth", _toned(_seen(source.truth, times), tone))]
    gap = (span.end - span.start) / 25
    events = report.Row("events", [report.event_picture(source.events, time, gap) for time in times])
    ours = report.Row("evinr", np.concatenate(list(render.pictures(result, times, tone))))
    report.contact_sheet(path, times.tolist(), [events, ours, *beside])


def tell_scores(console: Console, source: Source, result: Reconstruction) -> None:
    """Scores against the truth of a simulated recording."""
    from evinr.evaluation import evaluate  # 0.5 s of libraries, for the demo only

    known = truth(source)
    assert known is not None
    means = evaluate(of_reconstruction(result), known, source.events, ALIGNED).means
    told = ", ".join(f"{METRICS[name].title} {means[name].value:.3f}" for name in ("corr", "ssim", "mse", "replay"))
    console.print(f"  against the truth: {told} (protocol aligned, see `evinr compare`)")


def _inner_times(result: Reconstruction) -> np.ndarray:
    return np.linspace(*result.span, COLUMNS + 2)[1:-1]


def _seen(truth: Scene, times: np.ndarray) -> np.ndarray:
    return np.stack([np.exp(truth(time)) for time in times])


def _toned(intensity: np.ndarray, tone: ToneMap) -> np.ndarray:
    return picture(intensity, expose(intensity, False, tone), tone)
