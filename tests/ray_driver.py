"""What test_rays runs in a process of its own, too: `FOLDER`, the recordings there fitted by workers of a Ray cluster that
it starts; `FOLDER plain`, without any."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from converters import ReadOptions
from evinr.cli.commands import Fit
from evinr.config import FitConfig
from evinr.executors import rays
from evinr.executors.work import Died, Executor, Job, Result, done

SHORT = FitConfig(windows="sequential", intervals=8, overlap=2, iterations=20, warm_iterations=10)
LONG = replace(SHORT, warm_iterations=4000)
"""For those in the middle of which something dies."""


def job(source: Path, out: Path, config: FitConfig) -> Job:
    """The fit of a recording of 24 x 20 pixels, its log beside its folder."""
    command = Fit(source=str(source), out=out, frames=4, read=ReadOptions(height=20, width=24), fit=config)
    return Job(source.stem, command, ("batch",), out / f"{source.stem}.log")


def jobs(folder: Path, out: str) -> list[Job]:
    """Those of the script: two long ones and a short one."""
    return [job(folder / f"{name}.txt", folder / out, SHORT if name == "c" else LONG) for name in "abc"]


def driven(executor: Executor, jobs: Sequence[Job]) -> tuple[dict[str, Result], list[Died]]:
    """Do all, and again what died."""
    todo, known = list(jobs), {job.name: job for job in jobs}
    found: dict[str, Result] = {}
    died: list[Died] = []
    while len(found) < len(jobs):
        while todo and executor.free:
            executor.start(todo.pop(0))
        for what in executor.wait():
            if isinstance(what, Died):
                died.append(what)
                todo.insert(0, known[what.name])
            else:
                found[what.name] = what
    return found, died


def main(folder: Path) -> None:
    """Fit by Ray, and tell."""
    executor = rays.opened(None, 2, 3)
    try:
        print(executor.about, flush=True)
        found, died = driven(executor, jobs(folder, "out"))
    finally:
        executor.close()
    for one in died:
        print(f"{one.name} died")
    failed = [result for result in found.values() if result.state not in ("done", "kept")]
    print(*(failed or ["a, b and c are done"]), sep="\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder]:
            main(Path(folder))
        case [folder, "plain"]:
            (Path(folder) / "plain").mkdir()
            for one in jobs(Path(folder), "plain"):
                print(done(one))
