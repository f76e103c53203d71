"""One fit of many: begun, gone on with or kept, and told of in one record; and what an executor is.

Whatever dies in between, the same job done again comes to the same run. JAX is imported where a fit begins, as the process
that hands out the jobs must start no device.
"""

import errno
import hashlib
import json
import os
import shlex
import time
import traceback
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from filelock import FileLock, Timeout
from rich.console import Console

from evinr.cli.commands import Fit, Scoring
from evinr.events import InputError
from evinr.files import write_json

RESULT = "result.json"
"""In the folder of a run that is done; goes with it when it is replaced."""
PATIENCE = 10.0
"""Seconds to wait for a process that still writes a run: one whose driver was killed ends within a second."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What befalls one fit for want of space befalls the next one, too."""
BESIDE = ("budget", "window_budget", "frames", "fps")
"""Options that a result depends on and `config.json` does not have."""


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
    that finished it), peak_mb (of its process meanwhile), and scores, a mapping."""
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

    `processes.opened(workers, jobs)` and `rays.opened(address, workers)` make one, of as many as there are devices for None.
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
        """End all workers, at once where they are at work. Nothing that was started stays behind."""
        ...


def kept(job: Job) -> Result | None:
    """The result of a job that was done before: the same settings, the same recording, and all its files whole.

    The recording is known by the path, sizes and times of change of its files, without reading them; where these differ,
    `done` compares the sha256 of what holds the events. Brings no JAX.
    """
    folder = job.command.out / job.name
    record = recorded(folder)
    if record is None or _changed(folder, record, job.command) or record["state"] != _state(job.command.source):
        return None
    if job.score is not None and record["scoring"] != _plain(asdict(job.score)):
        return None
    if any(_size(folder / name) != size for name, size in record["files"].items()):
        return None
    return Result(job.name, "kept", about=record["about"])


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


def files(source: str) -> list[tuple[str, os.stat_result]]:
    """The files of a recording, by their real paths: itself, or all in its folder and below."""
    top = os.path.realpath(source)
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names] or [top]
    found = []
    for path in sorted(paths):
        with suppress(OSError):  # a link to nothing, which the reader will miss if it needs it
            found.append((path, os.stat(path)))
    return found


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
    from evinr.cli import fit, fit_windows, passing, run_folder, scored, scoring, source

    devices.compilation_cache()
    _reset_peak()
    begin, command, folder = time.monotonic(), job.command, job.command.out / job.name
    state = _state(command.source)  # of before it is read
    rules = None if job.score is None else scoring.rules(job.score, source.name_of(command.source))
    _await(folder)
    read = partial(source.read, command.source, command.read, command.fit.seed, console)
    held = read() if command.fit.windows == "whole" else None
    given = passing.opened(command, console) if held is None else passing.held(held)
    record = recorded(folder)
    other = None if not run_folder.begun(folder) else _other(folder, record, command, given.about["sha256"])
    if other and not command.overwrite:
        raise InputError(f"{folder}: {other}; give the same, pass another --out, or replace it with --overwrite")
    resume = run_folder.begun(folder) and not other
    one = replace(command, name=job.name, resume=resume, overwrite=bool(other))
    again = shlex.join(["evinr", *job.argv])
    if held is None:
        code = fit_windows.fitted(one, again, console, run_folder.choose(one), given)
    else:
        code = fit.fitted(one, again, console, run_folder.choose(one), held)
    if code:
        return Result(job.name, "stopped")
    assert given.known is not None  # nothing of a batch comes in live
    about = record["about"] if record is not None and resume else _numbers(folder, command, given.known.events, begin)
    if rules is not None:
        about = about | {"scores": scored.means(folder, held or read(), rules)}
    _keep(job, folder, about, state)
    return Result(job.name, "done", about=about)


def _await(folder: Path) -> None:
    """Wait until nobody else writes a folder. Raises InputError where one still does after PATIENCE, and where it is no run."""
    from evinr.cli import run_folder

    lock = folder / run_folder.LOCK
    try:
        with FileLock(lock, timeout=PATIENCE) if lock.exists() else nullcontext():
            pass
    except Timeout:
        raise InputError(f"{folder}: another process is writing it; wait for that, or pass another --out") from None
    if run_folder.begun(folder) and not (folder / "config.json").exists():
        raise InputError(f"{folder}: exists, and is no run of evinr; move it, or pass another --out")


def _other(folder: Path, record: dict[str, Any] | None, command: Fit, sha256: str) -> str | None:
    """In what a run that was begun differs from what is asked; None where it can be gone on with."""
    from evinr import checkpoint

    before = checkpoint.read_meaning(folder)
    if before.get("sha256") != sha256:
        return f"is a fit of another recording, {before.get('source')}, or of what {command.source} was before"
    return _changed(folder, record, command)


def _changed(folder: Path, record: dict[str, Any] | None, command: Fit) -> str | None:
    """The first setting that a run was made with otherwise."""
    before = _read(folder / "config.json") or {}
    pairs = [
        (before.get(part, {}).get(name), value, name)
        for part, now in (("config", command.fit), ("read", command.read), ("tone", command.tone))
        for name, value in _plain(asdict(now)).items()
    ]
    if record is not None:
        pairs += [(record["beside"].get(name), getattr(command, name), name) for name in BESIDE]
    return next((f"{name} was {old} and is now {new}" for old, new, name in pairs if old != new), None)


def _keep(job: Job, folder: Path, about: dict[str, Any], state: str) -> None:
    """Write that the run is done."""
    inside = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    record = {
        "about": about,
        "beside": {name: getattr(job.command, name) for name in BESIDE},
        "scoring": None if job.score is None else _plain(asdict(job.score)),
        "state": state,
        "files": {str(path.relative_to(folder)): _size(path) for path in inside if path.name != RESULT},
    }
    write_json(folder / RESULT, record)


def recorded(folder: Path) -> dict[str, Any] | None:
    """What `_keep` wrote, unless somebody damaged it."""
    record = _read(folder / RESULT)
    return record if record and record.keys() == {"about", "beside", "scoring", "state", "files"} else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


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
    }


def _state(source: str) -> str:
    """A digest of the path, sizes and times of change of a recording's files; `demo` is known by its settings."""
    if source == "demo":
        return source
    lines = [f"{path} {status.st_size} {status.st_mtime_ns}\n" for path, status in files(source)]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _plain(content: Any) -> Any:
    return json.loads(json.dumps(content, default=str))


def _reset_peak() -> None:
    """Let the process's peak of memory start from here, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
