"""`evinr fit --windows whole`: where a fit of one network meets the clock and the console."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from evinr import checkpoint, report
from evinr.cli import outputs, run_folder, settings, source
from evinr.cli.commands import Fit
from evinr.cli.running import Log, logs, peak_mb, stop_signals, unwatched
from evinr.events import Events, InputError
from evinr.files import write_json
from evinr.fitting import Snapshot, deadline, reconstruction, snapshots, target, window
from evinr.reconstruction import Reconstruction, Span

SAVE_EVERY = 30.0
"""Seconds between checkpoints while a fit goes on: what a machine that dies can lose."""


def fitted(
    command: Fit, again: str, console: Console, folder: Path, given: source.Source, watch: Log = unwatched
) -> int:
    """Fit a source that was read into a folder that `run_folder.choose` chose; `again` is how to go on if stopped.

    `watch` is told of every step.
    """
    try:
        events, span = window(given.events, command.fit, given.asked)
        intervals = len(target(events, span, command.fit).images)
    except InputError as error:
        raise InputError(f"{command.source}: {error}") from None
    source.tell(console, given, events, span, intervals)
    empty = Reconstruction({}, command.fit, events.height, events.width, span)
    about = checkpoint.meaning(empty) | settings.of(command) | given.about
    start = None
    if command.resume:
        run_folder.require_same(folder, command, given.about["sha256"])
        start = checkpoint.load_state(folder) if run_folder.has_numbers(folder) else None
    done = start is not None and start.progress >= 1
    if start and done and outputs.exist(folder):
        run_folder.tidy(folder)
        console.print(f"{folder} is finished, at step {start.step}: nothing to resume")
        return 0
    with run_folder.opened(folder, command), logs(command, folder, about, watch) as log, stop_signals(console) as stop:
        checkpoint.tidy(folder)
        if start is None:
            write_json(folder / "config.json", about)
        last = start if start and done else _fit(command, console, folder, events, span, start, log, stop)
        if last.progress < 1:
            console.print(f"stopped at step {last.step} and saved; to go on: {again}")
            return 130
        result = reconstruction(last, events, span, command.fit)
        outputs.write(command, console, folder, given, result)
    console.print(f"video    {folder / 'video.mp4'}\npreview  {folder / 'preview.png'}")
    ask = shlex.join(["evinr", "render", str(folder), "--times", f"{(span.start + span.end) / 2:.4f}"])
    console.print(f"ask it   {ask}   ({span.start:.6f} to {span.end:.6f} s)")
    return 0


def _fit(
    command: Fit,
    console: Console,
    folder: Path,
    events: Events,
    span: Span,
    start: Snapshot | None,
    log: Log,
    stop: list[int],
) -> Snapshot:
    """Run the fit; the last snapshot, saved. Its progress is below 1 if a signal stopped it."""
    begin = saved = tick = time.monotonic()
    last, step = start, start.step if start else 0
    plan = deadline(command.fit, command.budget)
    bar = report.bar(console, "{task.fields[loss]}  {task.fields[speed]}, left")
    kept = None if start is None else lambda row: row["step"] <= step
    metrics = run_folder.metrics(folder, kept)
    with bar:
        task = bar.add_task("compiling", total=1.0, speed="", loss="")
        bar.update(task, completed=start.progress if start else 0.0)
        for last in snapshots(events, span, command.fit, plan=plan, start=start):
            now = time.monotonic()
            rows = _rows(step, last)
            rows[-1] |= {"seconds": round(now - begin, 3), "memory_mb": round(peak_mb())}
            if not np.isfinite(rows[-1]["total"]):
                raise InputError(f"{command.source}: the fit diverged by step {last.step}; pass lower rates or weights")
            metrics("".join(json.dumps(row) + "\n" for row in rows))
            for row in rows:
                log(row)
            speed, loss = f"{len(rows) / (now - tick):.0f} steps/s", f"loss {rows[-1]['total']:.5f}"
            bar.update(task, completed=last.progress, description=f"step {last.step}", speed=speed, loss=loss)
            step, tick = last.step, now
            if stop:
                break
            if now - saved > SAVE_EVERY:
                checkpoint.save_state(folder, last)
                saved = time.monotonic()
    assert last is not None  # a plan takes one step or more
    if not stop:
        last = last._replace(progress=1.0)  # a schedule that its budget ended is at its end, too
    console.print(f"  {last.step} steps in {time.monotonic() - begin:.2f} s, peak memory {peak_mb():.0f} MB")
    checkpoint.save_state(folder, last)
    return last


def _rows(step: int, snapshot: Snapshot) -> list[dict[str, Any]]:
    """The numbers of every step after `step`."""
    terms = snapshot.terms._asdict()
    return [
        {"step": step + 1 + i} | {name: float(values[i]) for name, values in terms.items()}
        for i in range(snapshot.step - step)
    ]
