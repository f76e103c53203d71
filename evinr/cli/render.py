"""`evinr render`: pictures, a video or raw numbers of a fitted run at any times."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.console import Console

from evinr import checkpoint, render, report
from evinr.cli import frame_files
from evinr.cli.commands import Render
from evinr.events import InputError
from evinr.files import named, write_json
from evinr.reconstruction import Reconstruction, Span
from evinr.tonemap import ToneMap


def run(command: Render) -> int:
    """Render, and say where to."""
    result = checkpoint.load(command.run)
    times = _times(command, result.span)
    result.check(times, extrapolate=command.extrapolate)  # before anything is written
    out = command.out or command.run / ("frames" if command.what == "intensity" else "rate")
    if out.suffix not in ("", ".npy", ".mp4"):
        raise InputError(f"{out}: {out.suffix} is not written here; give .mp4, .npy, or a folder for PNG frames")
    if out.is_dir() and not (out / "render.json").is_file():
        raise InputError(f"{out}: is a folder that `evinr render` did not make; pass another --out")
    if out.exists() and not command.overwrite:
        raise InputError(f"{out}: exists already; pass --overwrite or another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    with report.progress(console, "frames", len(times)) as advance:
        if out.suffix == ".npy":
            _raw(out, result, times, command, advance)
        elif out.suffix == ".mp4":
            report.video(out, _pictures(result, times, command), command.play, advance)
        else:
            _folder(out, result, times, command, advance)
    console.print(f"{len(times)} frames from {times[0]:.6f} to {times[-1]:.6f} s in {out}")
    return 0


def _times(command: Render, span: Span) -> Float[np.ndarray, " n"]:
    """The one list of times that the command asks for."""
    given = [name for name in ("times", "times_file", "fps", "count") if getattr(command, name) not in (None, ())]
    if len(given) != 1:
        raise InputError(f"give one of --times, --times-file, --fps and --count ({', '.join(given) or 'none'} given)")
    if command.times:
        return np.array(command.times)
    if command.times_file is not None:
        return _times_of(command.times_file)
    if command.fps is not None:
        if not 0 < command.fps < np.inf:
            raise InputError(f"--fps is {command.fps:g}: give a number above 0")
        return span.start + np.arange(int((span.end - span.start) * command.fps + 1e-9) + 1) / command.fps
    if command.count is None or command.count < 1:
        raise InputError(f"--count is {command.count}: give 1 or more")
    return np.linspace(span.start, span.end, command.count)


def _times_of(path: Path) -> Float[np.ndarray, " n"]:
    times = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            times.append(float(words[0]))
        except ValueError:
            raise InputError(
                f"{path}: line {number}: '{words[0][:40]}' is no time in seconds; mend or delete the line"
            ) from None
    if not times:
        raise InputError(f"{path}: no times; expected one a line, in seconds")
    return np.array(times)


def _tone(command: Render) -> ToneMap:
    about = json.loads((command.run / "config.json").read_text())
    tone = about.get("tone")  # a reconstruction saved from Python has none
    tone = ToneMap(tone["tone"], tone["gamma"], tuple(tone["percentiles"])) if tone else ToneMap()
    chosen = {name: value for name in ("tone", "gamma", "percentiles") if (value := getattr(command, name)) is not None}
    return replace(tone, **chosen)


def _pictures(result: Reconstruction, times: Float[np.ndarray, " n"], command: Render) -> Iterator[np.ndarray]:
    if command.what == "rate":
        return render.rate_pictures(result, times, extrapolate=command.extrapolate)
    return render.pictures(result, times, _tone(command), extrapolate=command.extrapolate)


def _raw(
    out: Path, result: Reconstruction, times: Float[np.ndarray, " n"], command: Render, advance: Callable[[int], None]
) -> None:
    """Log intensity or its rate as one float32 array (n, H, W) or (n, H, W, 3), written batch by batch."""
    ask = result.rate if command.what == "rate" else result.log_intensity
    shape = (len(times), *ask(times[0], extrapolate=True).shape)
    batches = (ask(batch, extrapolate=command.extrapolate) for batch in render.batches(times))
    for done in frame_files.array(out, shape, "<f4", batches):
        advance(done)


def _folder(
    out: Path, result: Reconstruction, times: Float[np.ndarray, " n"], command: Render, advance: Callable[[int], None]
) -> None:
    """PNG frames, `images.txt` with their times as IJRR has it, and how they were made."""
    partial = out.with_name(f".partial-{out.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with named(out):
            for batch in frame_files.pngs(partial, times, _pictures(result, times, command)):
                advance(len(batch))
        tone = vars(_tone(command)) if command.what == "intensity" else None
        write_json(partial / "render.json", {"what": command.what, "tone": tone})
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
