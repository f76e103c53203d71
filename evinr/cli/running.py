"""Around a fit that goes on: signals that stop it, and where its numbers are logged."""

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from evinr.cli.commands import Fit
from evinr.events import InputError

if TYPE_CHECKING:
    import wandb

Log = Callable[[dict[str, Any]], None]
"""Takes the numbers of one step, `step` among them. What it raises ends the fit, which can be resumed."""


def unwatched(row: dict[str, Any]) -> None:
    """For a fit that nobody follows."""


class _Notes:
    """A handler that notes a first signal; a second one raises KeyboardInterrupt."""

    def __init__(self, console: Console, then: Callable[[], object]) -> None:
        self.seen: list[int] = []
        self._console, self._then = console, then

    def __call__(self, number: int, _: object) -> None:
        if self.seen:
            raise KeyboardInterrupt
        self.seen.append(number)
        self._console.print("stopping as soon as this is saved; once more to stop at once")
        self._then()


@contextmanager
def stop_signals(console: Console, then: Callable[[], object] = bool) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM, seen between chunks: raised inside one they would lose the state that it took over.

    `then` is called at once: to end what waits. Inside another of these, as a fit of a sweep is, they are seen by both.
    Outside the main thread, where W&B's agent runs a fit, none are seen.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    if isinstance(outer := signal.getsignal(signal.SIGINT), _Notes):
        yield outer.seen
        return
    notes = _Notes(console, then)
    before = {number: signal.signal(number, notes) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield notes.seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def logs(command: Fit, folder: Path, about: dict[str, Any], watch: Log) -> Iterator[Log]:
    """Where steps are logged to: `watch`, and Weights & Biases if asked."""
    if not command.wandb:
        yield watch
        return
    with session(folder, about) as run:
        yield logged(run, watch)


@contextmanager
def session(folder: Path, about: dict[str, Any]) -> "Iterator[wandb.Run]":
    """A run on Weights & Biases, which has the pictures at its end. Raises InputError where W&B will not have it."""
    import wandb

    try:
        project = None if "WANDB_PROJECT" in os.environ else "evinr"
        run = wandb.init(project=project, name=folder.name, config=about)
    except wandb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--wandb: {reason}; run `wandb login`, or set WANDB_MODE=offline") from None
    with run:
        yield run
        if (folder / "preview.png").exists():
            pictures = {"preview": wandb.Image(str(folder / "preview.png"))}
            run.log(pictures | {"video": wandb.Video(str(folder / "video.mp4"), format="mp4")})


def logged(run: "wandb.Run", watch: Log = unwatched) -> Log:
    """Takes the numbers of one step to W&B, and to `watch`."""

    def log(row: dict[str, Any]) -> None:
        run.log({name: value for name, value in row.items() if name != "step"}, step=row["step"])
        watch(row)

    return log


def peak_mb() -> float:
    """Peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
