"""`evinr convert`: a recording, or all of a folder, into plain files."""

import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from converters.dataset import find_recordings, is_recording_folder
from converters.job import Job, convert, is_done
from evinr.cli.commands import Convert
from evinr.events import InputError
from evinr.files import sweep


class Outcome(NamedTuple):
    """What became of one recording of many."""

    source: Path
    done: str | None
    """What to say of it, None where it had been converted before."""
    failure: str | None


def run(command: Convert) -> int:
    """Convert, and say what was assumed and where things are; 1 if any recording of a folder failed."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    signal.signal(signal.SIGTERM, _stop)  # of batch systems
    source = Path(command.source)
    if source.is_dir() and not is_recording_folder(source):
        return _all(command, source, console)
    job = Job(source, command.out, command.to, command.read, command.overwrite)
    if not command.overwrite and is_done(job):
        console.print(f"{command.out} is this conversion already: nothing to do")
        return 0
    with _bar(console) as bar:
        task = bar.add_task(source.name, total=1.0)
        about = convert(job, lambda done: bar.update(task, completed=done))
    console.print(f"{command.source}: {about['format']}")
    for assumption in about["assumptions"]:
        console.print(f"  {assumption}")
    console.print(f"{_summary(about)} in {command.out}")
    return 0


def _all(command: Convert, folder: Path, console: Console) -> int:
    """Convert what is in a folder, some at once; what is done is skipped, what fails is told at the end."""
    if command.out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{command.out}: lies in the folder that is to be converted; give another output")
    passed_over: list[Path] = []
    jobs = _jobs(command, folder, passed_over)
    if not jobs:
        found = ", ".join(sorted(os.listdir(folder))[:10]) or "nothing"
        raise InputError(f"{folder}: is a directory without a recording in it or below (found {found}); give another")
    outcomes: list[Outcome] = []
    sizes = {job.source: _size(job.source) for job in jobs}
    with _bar(console) as bar:
        task = bar.add_task(f"{len(jobs)} recordings", total=sum(sizes.values()))
        for outcome in (_at_once if command.jobs > 1 else _in_turn)(jobs, command.jobs):
            outcomes.append(outcome)
            said = "FAILED" if outcome.failure else outcome.done or "done before"
            bar.console.print(f"{outcome.source.relative_to(folder)}: {said}")
            bar.advance(task, sizes[outcome.source])
    if passed_over:
        names = ", ".join(str(path.relative_to(folder)) for path in passed_over[:20])
        console.print(f"not taken for recordings: {names}{', ...' if len(passed_over) > 20 else ''}")
    failed = [outcome for outcome in outcomes if outcome.failure]
    console.print(f"{len(outcomes) - len(failed)} of {len(jobs)} recordings are in {command.out}")
    for outcome in sorted(failed):
        console.print(f"failed: {outcome.source}: {outcome.failure}")
    return 1 if failed else 0


def _jobs(command: Convert, folder: Path, passed_over: list[Path]) -> list[Job]:
    """A job for each recording, its output named after it; with its ending where it would else meet another's."""
    sources = [source.relative_to(folder) for source in find_recordings(folder, passed_over)]
    above = {parent for source in sources for parent in source.parents}
    outs = {source: source if (folder / source).is_dir() else source.with_suffix("") for source in sources}
    while True:
        taken = Counter(outs.values())
        met = [source for source, out in outs.items() if out != source and (taken[out] > 1 or out in above)]
        if not met:
            break
        outs |= {source: source for source in met}
    ending = ".h5" if command.to == "h5" else ""
    return [
        Job(folder / source, command.out / f"{out}{ending}", command.to, command.read, command.overwrite)
        for source, out in outs.items()
    ]


def _in_turn(jobs: list[Job], _: int) -> Iterator[Outcome]:
    return map(_outcome, jobs)


def _at_once(jobs: list[Job], workers: int) -> Iterator[Outcome]:
    """Outcomes as they come. If a worker dies, what has none yet is done one by one, to find what kills it."""
    left = yield from _pooled(jobs, workers)
    for job in left:
        if (yield from _pooled([job], 1)):
            sweep(job.out)
            why = "its process died, perhaps for want of memory; convert it alone, or a part of it (--t-start, --t-end)"
            yield Outcome(job.source, None, why)


def _pooled(jobs: list[Job], workers: int) -> Generator[Outcome, None, list[Job]]:
    """Outcomes from a pool of processes; the jobs that have none because one of the processes died."""
    left = {job.source: job for job in jobs}
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker)
    # Workers are born deaf to Ctrl-C, which would print where in their imports it met them.
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        futures = [pool.submit(_worked, job) for job in jobs]
    finally:
        signal.signal(signal.SIGINT, heard)
    try:
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except BrokenProcessPool:
                break
            del left[outcome.source]
            yield outcome
    except BaseException:
        for worker in active_children():
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return list(left.values())


def _start_worker() -> None:
    """A worker stops, and sweeps up, when it is told to; and ends when the process that started it is gone."""
    signal.signal(signal.SIGTERM, _stop_worker)
    if parent := parent_process():

        def follow() -> None:
            parent.join()
            os._exit(1)

        Thread(target=follow, daemon=True).start()


_at_work: list[Job] = []
"""What this worker does, if anything."""


def _worked(job: Job) -> Outcome:
    """The outcome of a job; a worker that is told to stop sweeps up and begins no other."""
    _at_work.append(job)
    try:
        return _outcome(job)
    except KeyboardInterrupt:
        os._exit(130)
    finally:
        _at_work.clear()


def _stop_worker(number: int, frame: FrameType | None) -> None:
    if not _at_work:
        os._exit(130)
    raise KeyboardInterrupt


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _outcome(job: Job) -> Outcome:
    try:
        if not job.overwrite and is_done(job):
            return Outcome(job.source, None, None)
        about = convert(job, lambda done: None)
    except InputError as error:
        return Outcome(job.source, None, str(error))
    except OSError as error:
        return Outcome(job.source, None, f"{error.filename or job.out}: {error.strerror or error}")
    except MemoryError:
        return Outcome(job.source, None, "out of memory; pass fewer --jobs")
    except Exception as error:  # a fault of ours in one recording must not stop the others
        return Outcome(job.source, None, f"{type(error).__name__}: {error}; please report this")
    return Outcome(job.source, _summary(about), None)


def _summary(about: dict) -> str:
    pictures = ""
    for name, kind in about["frames"].items():
        pictures += f", {kind['count']} {name.replace('frames', 'camera')} picture{'s' * (kind['count'] != 1)}"
    sensor, events = about["sensor"], about["events"]
    span = f"{events['start_s']:.6f} to {events['end_s']:.6f} s"
    return f"{events['count']} events ({span}, {sensor['width']} x {sensor['height']}){pictures}"


def _size(path: Path) -> int:
    """Bytes of a recording, for the bar."""
    paths = [path] if path.is_file() else [member for member in path.rglob("*") if member.is_file()]
    return sum(member.stat().st_size for member in paths) or 1


def _bar(console: Console) -> Progress:
    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
