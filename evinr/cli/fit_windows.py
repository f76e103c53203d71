"""`evinr fit` in windows: where it meets the clock and the console, and what it leaves of each as soon as it is fitted."""

import json
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from rich.console import Console
from rich.progress import Progress as Bar

from evinr import checkpoint, devices, flicker, heads, pacing, report
from evinr.cli import run_folder, settings, sheet
from evinr.cli.commands import Fit
from evinr.cli.newest import shown as newest_picture
from evinr.cli.passing import Passing
from evinr.cli.running import Log, logs, peak_mb, stop_signals, unwatched
from evinr.events import InputError
from evinr.files import write_json
from evinr.flicker import Flicker
from evinr.heads import Head
from evinr.joining import fitted as fitted_windows
from evinr.looks import Allow, Answer, Look, all_wanted
from evinr.parallel import together
from evinr.reconstruction import Reconstruction, Span
from evinr.windows import Window, windows


class Outcome(NamedTuple):
    """What a fit came to."""

    finished: bool
    """Not if a signal stopped it."""
    windows: int
    flicker: Flicker
    failure: InputError | None
    """What ended a recording that came in live."""


def fitted(command: Fit, again: str, console: Console, folder: Path, given: Passing, watch: Log = unwatched) -> int:
    """Fit what passes by into a folder that `run_folder.choose` chose; `again` is how to go on if stopped.

    `watch` is told of every step, once what it fitted is saved.
    """
    tell(console, given)
    span = Span(0.0, 0.0) if given.known is None else given.known.span
    empty = Reconstruction({}, command.fit, given.height, given.width, span)
    about = checkpoint.meaning(empty) | settings.of(command) | given.about
    if command.resume:
        run_folder.require_same(folder, command, given.about["sha256"])
        if run_folder.finished(folder):
            run_folder.tidy(folder)
            console.print(f"{folder} is finished: nothing to resume")
            return 0
    end_live = bool if given.live is None else given.live.waiting.close
    with (
        run_folder.opened(folder, command),
        logs(command, folder, about, watch) as log,
        stop_signals(console, end_live) as stop,
    ):
        if not command.resume:
            write_json(folder / "config.json", about)
        seen = sheet.Seen()
        outcome = _fit(command, console, folder, given, seen, log, stop)
        if not outcome.finished and not command.is_live:
            console.print(f"stopped after {outcome.windows} windows, all saved; to go on: {again}")
            return 130
        result = checkpoint.load(folder)
        said = list(given.conclude())
        about |= {} if given.live is None else {"origin_ns": given.live.passage.origin + given.live.passage.stream.zero}
        write_json(folder / "config.json", about | {"assumptions": said, "span": list(result.span)})
        for sentence in said if command.is_live else ():
            console.print(f"  {sentence}")
        _tell_flicker(console, outcome.flicker)
        sheet.write(command, console, folder, given, result, seen)
    console.print(f"video    {folder / 'video.mp4'}\npreview  {folder / 'preview.png'}")
    ask = shlex.join(["evinr", "render", str(folder), "--times", f"{(result.span.start + result.span.end) / 2:.4f}"])
    console.print(f"ask it   {ask}   ({result.span.start:.6f} to {result.span.end:.6f} s)")
    if outcome.failure is not None:
        raise outcome.failure
    return 0


def assisted(command: Fit, given: Passing) -> int:
    """Take this process' part in a fit that another one writes."""
    cut = windows(given.blocks(), command.fit)
    with stop_signals(Console(quiet=True)) as stop:
        for look in _sound(command, given, fitted_windows(cut, command.fit, mesh=_mesh(command, given))):
            if look.answers and _stopped(stop):
                return 130
    return 0


def _stopped(stop: list[int]) -> bool:
    """Whether any of the processes was told to stop."""
    if jax.process_count() == 1:
        return bool(stop)
    return bool(multihost_utils.process_allgather(np.array(len(stop))).any())


def _mesh(command: Fit, given: Passing) -> Mesh | None:
    """The devices that share the work, if there are several."""
    count, config = len(jax.devices()), command.fit
    pixels = given.height * given.width
    if config.bayer is not None:  # odd sides are padded
        pixels = 4 * ((given.height + 1) // 2) * ((given.width + 1) // 2)
    layout = devices.layout(
        together(pixels, config, count) if config.windows == "parallel" else 1, pixels, count, jax.process_count()
    )
    return devices.mesh(layout) if layout.windows * layout.pixels > 1 else None


def tell(console: Console, given: Passing) -> None:
    """Say what was found, and what was assumed."""
    console.print(f"{given.about['source']}: {given.about['format']}, {given.width} x {given.height}")
    for assumption in given.about["assumptions"]:
        console.print(f"  {assumption}")
    if given.known is not None:
        count, (start, end), rising = given.known
        when = f"at {start:.6f} s"
        if end > start:
            when = f"from {start:.6f} to {end:.6f} s ({end - start:.4g} s), {count / (end - start):,.0f} a second"
        console.print(f"  {count} events {when}, {rising / count:.0%} of them rising")


def _fit(
    command: Fit, console: Console, folder: Path, given: Passing, seen: sheet.Seen, log: Log, stop: list[int]
) -> Outcome:
    """Fit window by window, each saved when it is done."""
    kept = folder / heads.FOLDER
    number = heads.done(kept) if command.resume else 0
    heads.tidy(kept)
    before = heads.Stored(kept)[number - 1] if number else None
    progress = pacing.Progress(given.known.events if given.known else 0)
    begin, total, seconds, failure = time.monotonic(), Flicker(), 0.0, None
    newest = newest_picture(folder / "latest.png", command, given.height, given.width)
    bar = report.bar(console, "{task.fields[loss]}  {task.fields[speed]}" + ", left" * (given.live is None))
    earlier = (lambda row: row["window"] < number) if command.resume else None
    metrics = run_folder.metrics(folder, earlier)
    with bar:
        step = _last_step(folder)
        task = bar.add_task("compiling", total=None if given.live else 1.0, speed="", loss="")
        cut = progress.watched(seen.watched(windows(given.blocks(), command.fit)))
        last, cut = _resumed(cut, number, before)
        behind = progress.part
        allow, mesh = _allow(command, progress), _mesh(command, given)
        try:
            for look in _sound(command, given, fitted_windows(cut, command.fit, allow=allow, last=last, mesh=mesh)):
                now, step = time.monotonic(), step + 1
                row = _row(look, step, now - begin)
                metrics(json.dumps(row) + "\n")
                _save(kept, number, look.answers, command.fit.overlap)
                log(row)
                for answer in look.answers:
                    window, head = answer
                    if last is None or window.number > last.window.number:
                        before = None if last is None else last.head
                        total += flicker.of_window(window, head, before, command.fit.overlap)
                        seconds += float(head.times[-1] - head.times[max(head.shared - 1, 0)])
                        number = window.number + 1
                    last = answer
                if given.live is not None and look.answers:
                    newest(look.answers[-1].head)
                _show(bar, task, look, seconds / (now - begin), given)
                if given.live is None:
                    behind, ahead = (progress.part, 0.0) if look.answers else (behind, progress.part - behind)
                    bar.update(task, completed=behind + ahead * look.steps / look.wanted)
                if look.answers and given.live is None and _stopped(stop):
                    break
        except InputError as error:
            if given.live is None or number == 0:
                raise
            failure = error
    console.print(f"  {number} windows in {time.monotonic() - begin:.2f} s, peak memory {peak_mb():.0f} MB")
    return Outcome(not stop, number, total, failure)


def _save(kept: Path, number: int, answers: Sequence[Answer], overlap: int) -> None:
    """New windows, `number` and later, and the one before them if they revised it."""
    new = [head for window, head in answers if window.number >= number]
    revised = [head for window, head in answers if window.number < number]
    if new:
        heads.save(kept, number, new, overlap, *revised)


def _last_step(folder: Path) -> int:
    """Of the rows that `metrics.jsonl` has."""
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    return json.loads(rows[-1])["step"] if rows else 0


def _resumed(cut: Iterator[Window], number: int, head: Head | None) -> tuple[Answer | None, Iterator[Window]]:
    """The last window that is done, with its answer, and those behind it."""
    if head is None:
        return None, cut
    for window in cut:
        if window.number == number - 1:
            return Answer(window, head), cut
    return None, iter(())


def _allow(command: Fit, progress: pacing.Progress) -> Allow:
    if command.window_budget is not None:
        return pacing.for_each(command.window_budget)
    return all_wanted if command.budget is None else pacing.for_all(command.budget, progress)


def _sound(command: Fit, given: Passing, looks: Iterable[Look]) -> Iterator[Look]:
    """The looks. Raises InputError that names the recording, also where a fit diverged."""
    try:
        for look in looks:
            if not np.isfinite(look.terms.total):
                start = look.windows[0].times[0]
                raise InputError(f"the fit diverged in the window from {start:.6f} s on; pass lower weights")
            for window, head in look.answers:
                heads.require_storable(window.number, head)
            yield look
    except InputError as error:
        named = str(error).startswith((f"{command.source}: ", f"{given.name}: "))
        raise InputError(str(error) if named else f"{command.source}: {error}") from None


def _show(bar: Bar, task: Any, look: Look, pace: float, given: Passing) -> None:
    """The state of the fit in one line: how many seconds of the recording are fitted in one, or how long ago the window came
    and how many events wait behind it."""
    window = look.windows[-1]
    speed = f"{pace:.2g} x real time" if pace else ""
    if given.live is not None:
        lag = time.monotonic() - given.live.read_at(float(window.times[-1]))
        speed = f"{lag:.2f} s behind, {given.live.waiting.events} events wait, {speed}"
    loss = f"loss {float(look.terms.total):.5f}"
    bar.update(task, description=f"window {window.number}", speed=speed, loss=loss)


def _row(look: Look, step: int, seconds: float) -> dict[str, Any]:
    """A line of `metrics.jsonl`."""
    terms = {name: float(value) for name, value in look.terms._asdict().items()}
    about = {"window": look.windows[0].number, "windows": len(look.windows), "steps": look.steps, "step": step}
    return about | terms | {"seconds": round(seconds, 3), "memory_mb": round(peak_mb())}


def _tell_flicker(console: Console, total: Flicker) -> None:
    seam, inside = total.means
    if seam is not None and inside is not None:
        console.print(f"  flicker (change where nothing fired): {seam:.4f} at seams, {inside:.4f} inside windows")
