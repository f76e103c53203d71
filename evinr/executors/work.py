"""One fit of many: begun, gone on with or kept, and told of in one record; and what an executor is.

Whatever dies in between, the same job done again comes to the same run. JAX is imported where a fit begins, as the process
that hands out the jobs must start no device.
"""

import errno
import json
import shlex
import time
import traceback
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from filelock import FileLock, Timeout
from rich.console import Console

from evinr.cli import settings
from evinr.cli.commands import Fit, Scoring
from evinr.events import InputError
from evinr.executors import record

PATIENCE = 10.0
"""Seconds to wait for a process that still writes a run: one whose driver was killed ends within a second."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What befalls one fit for want of space befalls the next one, too."""


class Job(NamedTuple):
    """A fit to be done. It travels to other processes, and perhaps to other machines that share the disk."""

    name: str
    """Of the run: its folder is `command.out / name`."""
    command: Fit
    """Source, settings and folder. `overwrite` replaces a run of other settings or of another recording, and no other;
    `name` and `resume` are not looked at."""
    argv: tuple[str, ...]
    """The words after `evinr` by which all is gone on with."""
    log: Path
    """Takes what the fit says; its folder is there."""
    score: Scoring | None = None
    """How to score it, if at all."""


class Result(NamedTuple):
    """What came of a job."""

    name: str
    state: Literal["done", "kept", "failed", "stopped"]
    """Kept: it had been done before. Stopped: by a signal, or for want of space; the same job goes on."""
    error: str | None = None
    """One line; of a failure, or of a want of space."""
    about: dict[str, Any] = {}
    """Of what is done or kept: source, events, seconds_of_recording, width, height, windows, loss, seconds (of the attempt
    that finished it), peak_mb (of its process meanwhile), evinr (its version), and of what
    is scored protocol and scores, a mapping, or unscored, why there are none."""
    again: bool = False
    """Whether another attempt may end better. Not where the user must mend something."""


class Died(NamedTuple):
    """A worker that is gone, with the job that it had in hand."""

    name: str
    why: str
    """A few words, such as: killed by signal 9."""


@runtime_checkable
class Executor(Protocol):
    """Workers that do a job each at a time. They stay, with what they compiled; one that died is replaced.

    `processes.opened(workers, jobs)` and `rays.opened(address, workers, jobs)` make one; None: as many as there are devices.
    """

    @property
    def about(self) -> str:
        """Who works, for people: `2 processes, a core each`."""
        ...

    @property
    def free(self) -> int:
        """How many jobs can be started now."""
        ...

    def start(self, job: Job) -> None:
        """Hand a job to a worker; only while there is a free one."""
        ...

    def wait(self) -> list[Result | Died]:
        """What has happened since, after some time perhaps nothing; only while a job is in hand or no worker is free.

        Nothing is raised for a job's sake.
        """
        ...

    def stop(self) -> None:
        """Have the fits in hand save what they have and end; `wait` tells of each. May be called more than once, and in the
        handler of a signal."""
        ...

    def close(self) -> None:
        """End all workers, at once. Nothing that was started stays behind."""
        ...


def kept(job: Job) -> Result | None:
    """The result of a job that was done before: the same settings, the same recording, and all its files whole.

    The recording is known by the path, sizes and times of change of its files, without reading them; where these differ,
    `done` compares the sha256 of what holds the events. Brings no JAX.
    """
    folder = job.command.out / job.name
    before = record.read(folder)
    if before is None or settings.difference(folder, job.command) or not record.is_scored(before, job.score):
        return None
    same = before.state == record.state(job.command.source) and not record.damaged(folder, before)
    return Result(job.name, "kept", about=before.about) if same else None


def done(job: Job) -> Result:
    """One fit, to its end: fresh, gone on with, or kept where it was done. Raises nothing that a fit can bring about."""
    try:
        return kept(job) or _logged(job)
    except KeyboardInterrupt:
        return Result(job.name, "stopped")
    except InputError as error:
        return Result(job.name, "failed", str(error))
    except MemoryError:
        why = "out of memory; pass --windows sequential, fewer --jobs or a part of it (--t-start, --t-end)"
        return Result(job.name, "failed", why, again=True)
    except OSError as error:
        line = f"{error.filename or job.command.out}: {error.strerror}" if error.errno else str(error)
        if error.errno in FULL:
            return Result(job.name, "stopped", f"{line}; make space, and go on")
        return Result(job.name, "failed", line, again=True)
    except Exception as error:  # a fault of ours, or of a device, in one recording must not stop the others
        first = (str(error).splitlines() or [""])[0]
        return Result(job.name, "failed", f"{type(error).__name__}: {first}; {job.log} has more", again=True)


def _logged(job: Job) -> Result:
    """The fit, with what it says in its log."""
    before = job.log.read_text(errors="replace").splitlines() if job.log.exists() else []
    number = 1 + sum(line.startswith("attempt ") for line in before)
    with job.log.open("a", errors="backslashreplace") as file:
        console = Console(file=file, force_terminal=False, width=120, highlight=False, soft_wrap=True, markup=False)
        console.print(
            f"attempt {number}, {datetime.now().astimezone().isoformat(' ', 'seconds')}: {job.command.source}"
        )
        try:
            return _fitted(job, console)
        except (InputError, KeyboardInterrupt) as error:
            console.print(f"ended: {error}" if str(error) else "interrupted")
            raise
        except BaseException:
            with suppress(OSError):  # of a full disk
                traceback.print_exc(file=file)
            raise


def _fitted(job: Job, console: Console) -> Result:
    from evinr import devices
    from evinr.cli import fit, fit_windows, outputs, passing, run_folder, scored, scoring, source

    devices.compilation_cache()
    _reset_peak()
    begin, command, folder = time.monotonic(), job.command, job.command.out / job.name
    state = record.state(command.source)  # of before it is read
    rules = None if job.score is None else scoring.rules(job.score, source.name_of(command.source))
    _await(folder)
    read = partial(source.read, command.source, command.read, command.fit.seed, console)
    held = read() if command.fit.windows == "whole" else None
    given = passing.opened(command, console) if held is None else passing.held(held)
    before = record.read(folder)
    other = _other(folder, command, given.about["sha256"]) if run_folder.begun(folder) else None
    if other and not command.overwrite:
        raise InputError(f"{folder}: {other}; give the same, pass another --out, or replace it with --overwrite")
    resume = run_folder.begun(folder) and not other
    if resume and before and record.damaged(folder, before):
        for name in outputs.PICTURES:  # whatever it is; windows are known by their sizes, and fitted again
            (folder / name).unlink(missing_ok=True)
    one = replace(command, name=job.name, resume=resume, overwrite=bool(other))
    again = shlex.join(["evinr", *job.argv])
    if held is None:
        code = fit_windows.fitted(one, again, console, run_folder.choose(one), given)
    else:
        code = fit.fitted(one, again, console, run_folder.choose(one), held)
    if code:
        return Result(job.name, "stopped")
    assert given.known is not None  # nothing of a batch comes in live
    about = before.about if before and resume else _numbers(folder, command, given.known.events, begin)
    about = {name: value for name, value in about.items() if name not in ("scores", "protocol", "unscored")}
    if rules is not None:
        about["protocol"] = rules.protocol.name
        try:
            about["scores"] = scored.means(folder, held or read(), rules)
        except InputError as error:  # what is fitted is fitted
            about["unscored"] = str(error)
    record.keep(folder, job.score, about, state)
    return Result(job.name, "done", about=about)


def _await(folder: Path) -> None:
    """Wait until nobody else writes a folder. Raises TimeoutError where one still does after PATIENCE: one that NFS has not
    noticed yet to be dead, perhaps; and InputError where it is no run."""
    from evinr.cli import run_folder

    lock = folder / run_folder.LOCK
    try:
        with FileLock(lock, timeout=PATIENCE) if lock.exists() else nullcontext():
            pass
    except Timeout:
        raise TimeoutError(f"{folder}: another process is writing it; wait for that, or pass another --out") from None
    if run_folder.begun(folder) and not (folder / "config.json").exists():
        raise InputError(f"{folder}: exists, and is no run of evinr; move it, or pass another --out")


def _other(folder: Path, command: Fit, sha256: str) -> str | None:
    """In what a run that was begun differs from what is asked; None where it can be gone on with."""
    from evinr import checkpoint

    about = checkpoint.read_meaning(folder)
    if about.get("sha256") != sha256:
        return f"is a fit of another recording, {about.get('source')}, or of what {command.source} was before"
    return settings.difference(folder, command)


def _numbers(folder: Path, command: Fit, events: int, begin: float) -> dict[str, Any]:
    """What the table says of a run that was finished just now."""
    from evinr.cli.running import peak_mb

    config = json.loads((folder / "config.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = {row.get("window", 0): row for row in rows}.values()  # of every batch of windows
    windows = sum(row.get("windows", 1) for row in last)
    return {
        "source": command.source,
        "events": events,
        "seconds_of_recording": config["span"][1] - config["span"][0],
        "width": config["width"],
        "height": config["height"],
        "windows": windows,
        "loss": sum(row["total"] * row.get("windows", 1) for row in last) / windows,
        "seconds": round(time.monotonic() - begin, 3),
        "peak_mb": round(peak_mb()),
        "evinr": version("evinr"),
    }


def _reset_peak() -> None:
    """Let the process's peak of memory start from here, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
