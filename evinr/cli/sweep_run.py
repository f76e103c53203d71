"""One run of a sweep, whichever road it is on: every recording fitted and scored, all of it said to a file."""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from evinr.cli import fit as fit_command
from evinr.cli import run_folder, scored, scoring, settings, source, sweep_history
from evinr.cli.commands import PRESETS, Fit
from evinr.cli.side_by_side import TERMS
from evinr.cli.source import Source
from evinr.events import InputError
from evinr.matching import in_cut
from evinr.sweeping import engine, results
from evinr.sweeping.plan import Plan, command
from evinr.sweeping.results import Row

Log = Callable[[dict[str, Any]], object]
"""Takes numbers for W&B."""


class Recording(NamedTuple):
    """A recording of a sweep."""

    source: str
    name: str
    """That of its runs' folders: empty where there is but one."""
    given: Source
    rules: scoring.Rules


class Sweeping(NamedTuple):
    """A sweep that goes on: what all its runs share."""

    plan: Plan
    metric: str
    id: str
    """Tells its runs from those of other sweeps on W&B."""
    out: Path
    recordings: tuple[Recording, ...]
    again: str
    """How to go on."""

    @property
    def results(self) -> Path:
        """A line for each run."""
        return self.out / "results.jsonl"


class Interrupted(Exception):
    """A signal ended the fit in hand, which is saved."""


class Stopped(Exception):
    """The sweep's early termination ended a run."""


def folder_of(number: int, recording: Recording) -> Path:
    """Of a run, inside the sweep's."""
    return Path("runs") / (f"{number:03d}-{recording.name}" if recording.name else f"{number:03d}")


def require_metric(recording: Recording, metric: str) -> None:
    """Raises InputError where a recording cannot be scored by the metric, before anything is fitted."""
    name, rules = recording.source, recording.rules
    protocol = rules.protocol
    of_light = metric.endswith(("_mu", "_pu"))
    if of_light != protocol.light and metric not in (*sweep_history.WITHOUT_TRUTH, "corr", "temporal"):
        other = "pass --protocol hdr" if of_light else "pass another --protocol"
        raise InputError(f"{metric}: is no metric of protocol {protocol.name}; {other}, or another metric")
    if metric.startswith("ssim") and not protocol.light and metric != protocol.ssim:
        raise InputError(f"{metric}: protocol {protocol.name} has {protocol.ssim}; pass another --protocol or metric")
    if metric == "lpips" and rules.lpips is None:
        raise InputError("lpips: needs weights; pass --lpips FILE (see `evinr weights convert --help`)")
    if metric in sweep_history.WITHOUT_TRUTH:
        return
    truth = source.truth(recording.given, protocol.light)
    if truth is None:
        raise InputError(f"{name}: has no camera frames to score {metric} by; use the metric replay, which needs none")
    try:
        in_cut(truth, protocol, rules.cut)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def never(error: Exception) -> bool:
    """For who is not stopped by a server."""
    return False


def done(
    sweeping: Sweeping,
    number: int,
    id: str,
    values: Mapping[str, Any],
    log: Log,
    is_stop: Callable[[Exception], bool] = never,
) -> Row:
    """Fit and score every recording with these values; what was begun with them is gone on with.

    What the user can mend, or a device cannot do, is a failed run; `is_stop` tells whether some other error is how a server
    ends one. Raises Interrupted.
    """
    begin = time.monotonic()
    state, error, scores, history = "finished", None, {}, []
    with log_file(sweeping, number).open("a") as file:
        console = Console(file=file, force_terminal=False, width=128, highlight=False, soft_wrap=True, markup=False)
        try:
            fit = command(values, PRESETS["default"])
            scores = _scores(sweeping, number, fit, console, history, log)
        except InputError as failure:
            state, error = "failed", str(failure)
            console.print(error)
        except (MemoryError, RuntimeError) as failure:  # of a device; the next values may do
            state, error = "failed", f"{type(failure).__name__}: {(str(failure).splitlines() or [''])[0]}"
            traceback.print_exc(file=file)
        except Exception as stop:
            if not isinstance(stop, Stopped) and not is_stop(stop):
                raise
            state, scores = "stopped", {sweeping.metric: history[-1]} if history else {}
            console.print(f"stopped early: {scores}")
    return Row(
        number=number,
        id=id,
        state=state,
        parameters=dict(values),
        scores=scores,
        metric=scores.get(sweeping.metric),
        history=history,
        seconds=round(time.monotonic() - begin, 3),
        folder=str(folder_of(number, sweeping.recordings[0])),
        error=error,
    )


def log_file(sweeping: Sweeping, number: int) -> Path:
    """What a run said."""
    return sweeping.out / "logs" / f"{number:03d}.log"


def _scores(
    sweeping: Sweeping, number: int, fit: Fit, console: Console, history: list[float], log: Log
) -> dict[str, float]:
    """The means over the recordings of the scores that all of them have."""
    early = sweeping.plan.early is not None
    if early and fit.fit.windows == "whole":
        raise InputError("early_terminate: a fit with windows whole has no pictures before its end; leave it out")
    rows, so_far, found = results.read(sweeping.results), [], []

    def heard(score: float, frames: int) -> None:
        so_far.append((score, frames))
        history.append(float(np.average([one for one, _ in so_far], weights=[count for _, count in so_far])))
        log({sweeping.metric: history[-1]})
        if engine.stops(sweeping.plan, rows, history):
            raise Stopped

    for recording in sweeping.recordings:
        folder = sweeping.out / folder_of(number, recording)
        follow = (
            sweep_history.follower(folder, recording.given, recording.rules, sweeping.metric, heard) if early else bool
        )
        before = f"{recording.name}/" if recording.name else ""

        def watch(row: dict[str, Any], follow: Callable[[], object] = follow, before: str = before) -> None:
            log({before + name: row[name] for name in TERMS})
            follow()

        begun = run_folder.has_numbers(folder) and not settings.difference(folder, fit)
        one = replace(fit, source=recording.source, out=folder.parent, name=folder.name, resume=begun)
        if not begun:
            run_folder.discard(folder)
        if fit_command.fitted(one, sweeping.again, console, run_folder.choose(one), recording.given, watch):
            raise Interrupted
        follow()  # of a fit that was whole already, when the sweep was killed
        found.append(scored.means(folder, recording.given, recording.rules))
        if sweeping.metric not in found[-1]:
            raise InputError(
                f"{folder}: has no {sweeping.metric}, see `evinr evaluate {folder} --truth {recording.source}`"
            )
    return {
        name: float(np.mean([scores[name] for scores in found])) for name in found[0] if all(name in s for s in found)
    }
