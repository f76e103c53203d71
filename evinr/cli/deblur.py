"""`evinr deblur`: blurred camera frames made sharp by a published network, with the events of their exposures."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
from jaxtyping import UInt8
from rich.console import Console

from baselines.checkpoints import Model
from baselines.deblurring import RECIPES, Recipe, deblurred
from evinr import report
from evinr.cli import baseline, baseline_run, deblur_scores, frame_files
from evinr.cli.blurred import HIGHREV, Blurred, pictures, read
from evinr.cli.network_commands import Deblur
from evinr.files import whole_folder, write_json


def run(command: Deblur) -> int:
    """Make the frames sharp, write the run folder, and say where things are and what they score."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    folder = baseline.choose(command)
    model = baseline.loaded(command.method, command.weights, "--weights FILE")
    given = read(command.source, command.read, command.exposure, console)
    recipe = command.recipe or ("highrev" if given.about["format"] == HIGHREV else "gopro")
    chosen = "" if command.recipe else ", as no --recipe is given"
    assumptions = [*given.about["assumptions"], *model.notes, f"the recipe is {recipe}{chosen}"]
    console.print(f"{model.method.title} on {given.about['source']} ({given.about['format']})")
    for assumption in assumptions:
        console.print(f"  {assumption}")
    with whole_folder(folder, command.overwrite) as partial:
        with jax.default_matmul_precision(command.precision):
            _write_frames(console, partial, model, given, RECIPES[recipe])
        frames = np.load(partial / baseline_run.FRAMES, mmap_mode="r")
        _write_pictures(console, partial, frames, given, model.method.title, command.fps)
        scores = deblur_scores.scored(console, given, frames, command.method)
        if scores is not None:
            deblur_scores.write(partial, scores)
        times = given.windows.times
        about = {"method": command.method, "numbers": model.numbers, "recipe": recipe, "windows": given.how}
        about |= {"bayer": None, "precision": command.precision, "seed": 0, "read": asdict(command.read)}
        about |= {"weights": model.sha256, "span": [float(times[0]), float(times[-1])]}
        write_json(partial / "config.json", about | given.about | {"assumptions": assumptions})
    console.print(f"video    {folder / 'video.mp4'}\npreview  {folder / 'preview.png'}\nframes   {folder / 'frames'}")
    if scores is not None:
        deblur_scores.tell(console, scores)
        console.print(f"scores   {folder / deblur_scores.SCORES}")
    return 0


def _write_frames(console: Console, folder: Path, model: Model, given: Blurred, recipe: Recipe) -> None:
    """The sharpened pictures, and their times."""
    windows, height, width = given.windows, given.frames.rows, given.events.width
    count = len(windows.times)
    with report.progress(console, "network", count) as advance:
        batches = _sharpened(model, given, recipe)
        for done in frame_files.array(folder / baseline_run.FRAMES, (count, height, width, 3), "|u1", batches):
            advance(done)
    (folder / baseline_run.TIMES).write_text("".join(f"{time:.9f}\n" for time in windows.times))


def _sharpened(model: Model, given: Blurred, recipe: Recipe) -> Iterator[UInt8[np.ndarray, "1 h w 3"]]:
    """The pictures, one at a time; gray ones stay gray."""
    for first, end, image in zip(given.windows.first, given.windows.end, pictures(given.frames), strict=True):
        made = deblurred(model, image, given.events.part(first, end), recipe)
        if given.frames.kind.layout == "gray":
            made = np.rint(made.mean(axis=2, keepdims=True)).astype(np.uint8).repeat(3, axis=2)
        yield made[None]


def _write_pictures(
    console: Console, folder: Path, frames: UInt8[np.ndarray, "n h w 3"], given: Blurred, title: str, fps: float | None
) -> None:
    """`frames/` with the times of each, `video.mp4` with blurred and sharpened frames beside each other, `preview.png`."""
    (folder / "frames").mkdir()
    times, count = given.windows.times, len(frames)
    # One at a time: 16 of 1280 x 720 take 1.3 GB on their way into the video.
    shown = (frame[None] / np.float32(255) for frame in frames)
    with report.progress(console, "pictures", count) as advance:
        batches = _beside(pictures(given.frames), frame_files.pngs(folder / "frames", times, shown))
        report.video(folder / "video.mp4", batches, fps or baseline.pace(count), advance)
    columns = np.unique(np.linspace(0, count - 1, baseline.COLUMNS).round().astype(int))
    spans = given.spans[columns].tolist()
    drawn = [report.event_picture(given.events, (begin + end) / 2, end - begin) for begin, end in spans]
    rows = [report.Row("events", [picture[: given.frames.rows] for picture in drawn])]
    rows += [report.Row("blurred", [*pictures(given.frames.only(columns))]), report.Row(title, frames[columns])]
    if given.sharp is not None and (matched := np.isin(columns, given.scored)).any():
        sharp = pictures(given.sharp.only(np.searchsorted(given.scored, columns[matched])))
        blank = np.full(frames.shape[1:], 255, np.uint8)
        rows += [report.Row("sharp", [next(sharp) if there else blank for there in matched])]
    report.contact_sheet(folder / "preview.png", times[columns].tolist(), rows)


def _beside(blurred: Iterator[UInt8[np.ndarray, "h w 3"]], batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Each picture with the blurred one at its left."""
    for batch in batches:
        left = next(blurred)[None] / np.float32(255)
        yield np.concatenate([left, batch], axis=2)
