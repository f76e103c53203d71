"""`evinr batch`: a fit for every recording of a dataset."""

import json
import shlex
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from evinr.cli import batch_list, batch_table
from evinr.cli.commands import complete
from evinr.cli.many_commands import Batch
from evinr.cli.running import stop_signals
from evinr.events import InputError
from evinr.executors import processes
from evinr.executors.record import files
from evinr.executors.work import Died, Executor, Job, Result, kept

ATTEMPTS = 3
"""What may end better is tried so often."""


class Ends(NamedTuple):
    """How the jobs of a batch ended."""

    results: dict[str, Result]
    stopped: bool
    full: str | None
    """What was said of a full disk."""


def run(command: Batch, argv: Sequence[str]) -> int:
    """Fit what is not fitted yet, and gather the table: 0 if all is done, 1 if anything failed, 130 if it was stopped.

    What the user must mend (InputError) is tried once, as it cannot change; anything else three times. `argv` is how the
    command was given.
    """
    console = Console(highlight=False, soft_wrap=True, markup=False)
    found = batch_list.found(command.sources, command.out)
    entries = batch_list.shard(found.entries, command.shard)
    if found.passed_over:
        some = ", ".join(map(str, found.passed_over[:20]))
        console.print(f"not taken for recordings: {some}{', ...' if len(found.passed_over) > 20 else ''}")
    batch_table.begin(command.out, _options(command), command.overwrite)
    names = batch_table.names(command.out, found.entries)
    jobs = [_job(command, argv, entry._replace(name=names[entry.source])) for entry in entries]
    before = {job.name: result for job in jobs if (result := kept(job))}
    for name in before:
        batch_table.succeeded(command.out, name)
    todo = [job for job in jobs if job.name not in before]
    part = f" (shard {command.shard} of {len(found.entries)})" if command.shard else ""
    console.print(f"{len(jobs)} recordings{part}, {len(before)} done before, {len(todo)} to do")
    try:
        ends = _worked(command, console, todo, len(before)) if todo else Ends({}, False, None)
    except InputError:  # no workers are left
        batch_table.write(command.out)
        raise
    return _concluded(command, argv, console, jobs, ends._replace(results=before | ends.results))


def _job(command: Batch, argv: Sequence[str], entry: batch_list.Entry) -> Job:
    log = command.out / batch_table.LOGS / f"{entry.name}.log"
    score = complete(command.scoring) if command.score else None
    return Job(entry.name, command.one(entry.source, entry.name), tuple(argv), log, score)


def _options(command: Batch) -> dict[str, object]:
    """What the results depend on, flat, as JSON has it. Scores can be had later, and anew."""
    one = asdict(command.one("", ""))
    flat = {name: one[name] for name in ("budget", "window_budget", "frames", "fps")}
    for part in ("read", "fit", "tone"):
        flat |= one[part]
    return json.loads(json.dumps(flat))


def _executor(command: Batch, jobs: int) -> Executor:
    if command.executor == "processes":
        return processes.opened(command.jobs, jobs)
    from evinr.executors import rays

    return rays.opened(command.address, command.jobs, jobs)


def _worked(command: Batch, console: Console, jobs: Sequence[Job], before: int) -> Ends:
    """Have the jobs done, the largest first, so that none of these is waited for at the end; `before` of others were."""
    sizes = {job.name: 1 + sum(status.st_size for _, status in files(job.command.source)) for job in jobs}
    waiting = deque(sorted(jobs, key=lambda job: -sizes[job.name]))
    running: dict[str, Job] = {}
    attempts: Counter[str] = Counter()
    results: dict[str, Result] = {}
    full, left, begin = None, "", time.monotonic()
    with (
        closing(_executor(command, len(jobs))) as executor,
        stop_signals(console, executor.stop) as stop,
        _bar(console) as bar,
    ):
        console.print(f"{executor.about}; what the fits say goes to {command.out / batch_table.LOGS}/")
        task = bar.add_task("", total=sum(sizes.values()))
        while running or (waiting and not stop and full is None):
            while waiting and executor.free and not stop and full is None:
                job = waiting.popleft()
                running[job.name] = job
                attempts[job.name] += 1
                executor.start(job)
            bar.update(task, description=told(results, running, before, len(jobs)) + left)
            if stop:
                executor.stop()
            for news in executor.wait() if running or not stop else ():
                job = running.pop(news.name)
                result = judged(news, attempts[job.name], bool(stop))
                if result is None:
                    waiting.append(job)
                    bar.console.print(f"{job.name}: {_why(news)}; again")
                    continue
                results[job.name] = result
                _record(command.out, job, result)
                full = result.error if result.state == "stopped" and result.error else full
                bar.advance(task, sizes[job.name])
                worked = sum(map(sizes.__getitem__, results))
                left = "" if stop else remaining(time.monotonic() - begin, worked, sum(sizes.values()))
                bar.console.print(f"[{len(results)}/{len(jobs)}] {job.name}: {_said(result)}{left}")
    return Ends(results, bool(stop), full)


def _record(out: Path, job: Job, result: Result) -> None:
    if result.state == "failed":
        batch_table.failed(out, job.name, job.command.source, result.error or "")
    elif result.state != "stopped":
        batch_table.succeeded(out, job.name)


def _why(news: Result | Died) -> str | None:
    return f"its worker died, {news.why}" if isinstance(news, Died) else news.error


def judged(news: Result | Died, attempts: int, stopping: bool) -> Result | None:
    """How a job ended that was tried so often; None where it is to be tried again."""
    if isinstance(news, Died):
        why = f"its worker died, {news.why}; fit it alone, or a part of it (--t-start, --t-end)"
        news = Result(news.name, "failed", why, again=True)
    elif news.state == "stopped" and news.error is None:  # by somebody else than us
        news = Result(news.name, "failed", "it was stopped by a signal", again=True)
    if not news.again:
        return news
    if stopping:
        return Result(news.name, "stopped")
    return news if attempts == ATTEMPTS else None


def remaining(seconds: float, done: int, all: int) -> str:
    """What the time was in which so many bytes of all were fitted says of the rest, for people."""
    left = seconds * (all - done) / done if done else 0.0
    if left < 1:
        return ""
    for least, length, unit in ((6000, 3600, "h"), (100, 60, "min")):
        if left >= least:
            return f"; {left / length:.{unit == 'h':d}f} {unit} left"
    return f"; {left:.0f} s left"


def told(results: dict[str, Result], running: dict[str, Job], before: int, of: int) -> str:
    """The state of a batch in one line: what is done now and `before`, of so many and these."""
    failures = sum(result.state == "failed" for result in results.values())
    done = before + sum(result.state in ("done", "kept") for result in results.values())
    names = ", ".join(list(running)[:3]) + ", ..." * (len(running) > 3)
    failed = f", {failures} FAILED" if failures else ""
    return f"{done} of {before + of} done{failed}, {len(running)} running: {names}"


def _said(result: Result) -> str:
    if result.state in ("failed", "stopped"):
        return ("FAILED" if result.state == "failed" else "stopped") + (f": {result.error}" if result.error else "")
    scores = result.about.get("scores", {})
    unscored = [f"not scored: {result.about['unscored']}"] if "unscored" in result.about else []
    shown = [f"{name} {scores[name]:.3f}" for name in ("corr", "ssim", "replay") if name in scores]
    return ", ".join(
        [result.state, f"{result.about['seconds']:.1f} s", f"loss {result.about['loss']:.4f}", *shown, *unscored]
    )


def _concluded(command: Batch, argv: Sequence[str], console: Console, jobs: Sequence[Job], ends: Ends) -> int:
    """Gather the table, say what failed, and how to go on."""
    done = [job for job in jobs if job.name in ends.results and ends.results[job.name].state in ("done", "kept")]
    failures = [job for job in jobs if job.name in ends.results and ends.results[job.name].state == "failed"]
    if ends.full is None:
        batch_table.write(command.out)
        console.print(f"table    {command.out / 'results.csv'}, results.json")
    console.print(f"{len(done)} of {len(jobs)} recordings are fitted in {command.out}")
    for job in failures:
        console.print(f"failed: {job.name} ({job.command.source}): {ends.results[job.name].error}")
    if ends.full is not None:
        console.print(f"stopped: {ends.full}: {shlex.join(['evinr', *argv])}")
        return 1
    if ends.stopped and len(done) + len(failures) < len(jobs):
        console.print(f"stopped, what was begun is saved; to go on: {shlex.join(['evinr', *argv])}")
        return 130
    return 1 if failures else 0


def _bar(console: Console) -> Progress:
    columns = (BarColumn(20), TextColumn("{task.description}"))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
