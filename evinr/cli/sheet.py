"""What a fit in windows leaves for people to look at."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from evinr import bayer, render, report
from evinr.cli import outputs
from evinr.cli.commands import Fit
from evinr.cli.passing import Passing
from evinr.reconstruction import Reconstruction
from evinr.report import diverging
from evinr.tonemap import expose, picture
from evinr.windows import Window

MOST = 64
"""Pictures of events that are kept at once."""


class Seen:
    """Pictures of events, evenly over a recording of unknown length: when there are too many, every other one goes."""

    def __init__(self) -> None:
        self.stride, self.count = 1, 0
        self.times: list[float] = []
        self.images: list[np.ndarray] = []

    def watched(self, cut: Iterable[Window]) -> Iterator[Window]:
        """The windows, looked at."""
        for window in cut:
            for interval in range(max(window.shared - 1, 0), len(window.images)):
                if self.count % self.stride == 0 and (window.images[interval].any() or not self.times):
                    self.times.append(float(window.times[interval : interval + 2].mean()))
                    self.images.append(np.clip(window.images[interval], -2, 2).astype(np.int8))
                if len(self.times) > MOST:
                    self.times, self.images, self.stride = self.times[::2], self.images[::2], 2 * self.stride
                self.count += 1
            yield window

    def at(self, times: np.ndarray) -> list[int]:
        """The pictures nearest to these times, each once."""
        return sorted({self.nearest(time) for time in times})

    def nearest(self, time: float) -> int:
        """The picture nearest to a time."""
        return int(np.abs(np.array(self.times) - time).argmin())


def write(command: Fit, console: Console, folder: Path, given: Passing, result: Reconstruction, seen: Seen) -> None:
    """`loss.png`, `video.mp4` and `preview.png`, and the scores where truth is known."""
    outputs.loss_picture(folder)
    seconds = result.span.end - result.span.start
    count = command.frames or max(120, round(seconds * command.fps))
    times = np.linspace(*result.span, count)
    with report.progress(console, "video", count) as advance:
        report.video(folder / "video.mp4", render.pictures(result, times, command.tone), command.fps, advance)
    preview(folder / "preview.png", command, given, result, seen)
    if given.demo is not None and given.demo.truth is not None:
        outputs.tell_scores(console, given.demo, result)


def preview(path: Path, command: Fit, given: Passing, result: Reconstruction, seen: Seen) -> None:
    """Events, the reconstruction and, where there is one, the camera's or the simulator's picture of the same times."""
    start, end = result.span
    times = np.linspace(start, end, outputs.COLUMNS + 2)[1:-1]
    camera = given.frames(times)
    inside = None if camera is None else (camera.times >= start) & (camera.times <= end)
    beside = []
    if given.truth is not None:
        times = np.array([seen.times[place] for place in seen.at(times)])
        scene = np.stack([np.exp(given.truth(time)) for time in times])
        beside = [report.Row("truth", picture(scene, expose(scene, False, command.tone), command.tone))]
    elif camera is not None and inside is not None and inside.any():
        times = camera.times[inside]
        shown = camera.images[inside] / 255 + 0.02  # 0.02: a black pixel has no logarithm
        beside = [report.Row("camera", picture(shown, expose(shown, False, command.tone), command.tone))]
    else:
        times = np.array([seen.times[place] for place in seen.at(times)])
    events = [_event_picture(seen.images[seen.nearest(time)], result) for time in times]
    ours = np.concatenate(list(render.pictures(result, times, command.tone)))
    rows = [report.Row("events", events), report.Row("evinr", ours), *beside]
    report.contact_sheet(path, times.tolist(), rows)


def _event_picture(planes: np.ndarray, result: Reconstruction) -> np.ndarray:
    whole = planes[0] if result.config.bayer is None else bayer.mosaic(planes)
    return diverging(whole[: result.height, : result.width] / 2)
