"""`evinr baseline`: a published network over a recording, from its published weights to a video."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Float64, Shaped
from rich.console import Console

from baselines import installed
from baselines.checkpoints import Model, load
from baselines.colour import colour_pictures
from baselines.method import Method
from baselines.methods import DEBLURRING, every
from baselines.runner import pictured, pictures
from baselines.windows import Windows
from evinr import report
from evinr.cli import baseline_light, baseline_run, frame_files, run_folder, source
from evinr.cli.cutting import cut, require_fit
from evinr.cli.network_commands import Baseline, Cutting, Deblur
from evinr.cli.source import Source
from evinr.events import InputError
from evinr.files import whole_folder, write_json
from evinr.light import tone_mapped
from evinr.metrics.normalisation import normalise

COLUMNS = 5
"""Times on the contact sheet."""
BATCH = 16
"""Pictures written together."""
SECONDS = 4.0
"""A video lasts, if that takes no more than 30 pictures a second and no fewer than one."""


def run(command: Baseline) -> int:
    """Run the network, write the run folder, and say where things are; or tell what there is."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if command.list:
        tell(console)
        return 0
    folder = choose(command)
    model = loaded(command.method, command.weights, "--weights FILE")
    given = source.read(command.source, command.read, command.seed, console)
    made(command, console, folder, model, given)
    return 0


def loaded(name: str, weights: Path | None, option: str) -> Model:
    """The method with its weights: those given, or those of an installed package.

    Raises InputError where there are none, which names the `option` that gives them.
    """
    if weights is None and name in installed.PIE_NET_FILES:
        weights = installed.pie_net_weights(name)
    if weights is None:
        where = every()[name].weights + (f" (into {sys.executable})" if name in installed.PIE_NET_FILES else "")
        raise InputError(f"{name}: no weights; give {option}: {where}")
    return load(name, weights)


def choose(command: Baseline | Deblur) -> Path:
    """The run's folder. Raises InputError where it exists and may not be replaced, or its name is none."""
    folder = run_folder.place(command.out, command.name or f"{source.name_of(command.source)}-{command.method}")
    if folder.exists() and not command.overwrite:
        raise InputError(f"{folder}: exists already; pass --overwrite or another --name")
    if folder.exists():
        baseline_run.require_replaceable(folder)
    return folder


def made(command: Baseline, console: Console, folder: Path, model: Model, given: Source) -> None:
    """Run the network over a source that was read, into a folder that `choose` chose."""
    windows, how, said = cut(given, command.cutting, model.method, command.source)
    times = pictured(model.method, windows)
    require_fit(model.method, given, command.bayer is not None, command.source)
    console.print(f"{model.method.title} on {given.about['source']} ({given.about['format']})")
    assumptions = [*given.about["assumptions"], *model.notes, *said]
    for assumption in assumptions:
        console.print(f"  {assumption}")
    with whole_folder(folder, command.overwrite) as partial:
        with jax.default_matmul_precision(command.precision):
            light = _write_frames(console, partial, model, given, windows, command)
        frames = np.load(partial / baseline_run.FRAMES, mmap_mode="r")
        fps = command.fps or pace(len(frames))
        _pictures(console, partial, frames, times, given, model.method, fps)
        about = made_with(command, model, how) | {"weights": model.sha256}
        about |= {"span": [float(times[0]), float(times[-1])]} | given.about | ({"light": light} if light else {})
        write_json(partial / "config.json", about | {"assumptions": assumptions})
    console.print(f"video    {folder / 'video.mp4'}\npreview  {folder / 'preview.png'}\nframes   {folder / 'frames'}")
    if light:
        console.print(f"light    {folder / baseline_run.EXR}\n16 bits  {folder / baseline_run.DEEP}")


def made_with(command: Baseline, model: Model, how: Cutting) -> dict[str, Any]:
    """What the pictures of a recording depend on, as `config.json` has it."""
    about = {"method": model.method.name, "numbers": model.numbers, "windows": asdict(how), "bayer": command.bayer}
    return about | {"precision": command.precision, "seed": command.seed, "read": asdict(command.read)}


def _write_frames(
    console: Console, folder: Path, model: Model, given: Source, windows: Windows, command: Baseline
) -> dict[str, float] | None:
    """The pictures as the network's authors would hand them to a metric, and their times; of light, what became 0 and 1."""
    events, times, finish = given.events, pictured(model.method, windows), model.method.finish
    (folder / baseline_run.TIMES).write_text("".join(f"{time:.9f}\n" for time in times))
    shape, kind = (len(times), events.height, events.width), "<f4"
    if command.bayer is not None:
        shape, kind = (*shape, 3), "|u1"
        batches = colour_pictures(model, events, windows, command.bayer)
    elif finish == "light":
        return baseline_light.write(console, folder, shape, pictures(model, events, windows), model.method.title)
    else:
        batches = (normalise(batch, finish) for batch in pictures(model, events, windows))
    with report.progress(console, "network", len(times)) as advance:
        for done in frame_files.array(folder / baseline_run.FRAMES, shape, kind, batches):
            advance(done)
    return None


def _pictures(
    console: Console,
    folder: Path,
    frames: Shaped[np.ndarray, "n h w *c"],
    times: Float64[np.ndarray, " n"],
    given: Source,
    method: Method,
    fps: float,
) -> None:
    """`frames/` with the times of each, `video.mp4` and `preview.png`; of light, its folders too."""
    (folder / "frames").mkdir()
    batches, look = (frames[start : start + BATCH] for start in range(0, len(frames), BATCH)), _unit
    if method.finish == "light":
        for name, write in ((baseline_run.EXR, frame_files.exrs), (baseline_run.DEEP, frame_files.deep_pngs)):
            (folder / name).mkdir()
            batches = write(folder / name, times, batches)
        look = tone_mapped
    shown = map(look, batches)
    with report.progress(console, "pictures", len(frames)) as advance:
        batches = frame_files.pngs(folder / "frames", times, shown)
        report.video(folder / "video.mp4", batches, fps, advance)
    chosen = np.unique(np.linspace(0, len(frames) - 1, COLUMNS + 1).round().astype(int))[1:]
    chosen = chosen if chosen.size else np.array([0])
    gap = float(np.median(np.diff(times))) if len(frames) > 1 else given.events.t[-1] - given.events.t[0]
    times = times[chosen]
    events = report.Row("events", [report.event_picture(given.events, time - gap / 2, gap) for time in times])
    rows = [events, report.Row(method.title, [look(frames[place]) for place in chosen])]
    camera = source.near(given, times)
    rows += [] if camera is None else [report.Row("camera", camera / 255)]
    report.contact_sheet(folder / "preview.png", times.tolist(), rows)


def _unit(frames: Shaped[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """As shown: clipped to [0, 1]."""
    return frames / 255 if frames.dtype == np.uint8 else np.clip(frames, 0, 1)


def pace(count: int) -> float:
    """Frames per second at which a video of so many pictures is played, where nothing else is asked for."""
    return min(30.0, max(1.0, count / SECONDS))


def tell(console: Console) -> None:
    """Print what there is: papers, weights, licences, parameters."""
    for method in every().values():
        command = ", run by `evinr deblur`" if method.name in DEBLURRING else ""
        console.print(f"{method.name}: {method.title}, {method.parameters:,} parameters{command}")
        console.print(f"  paper    {method.paper}")
        console.print(f"  weights  {method.weights}")
        console.print(f"  licence  {method.licence}")
