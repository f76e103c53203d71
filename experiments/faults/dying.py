"""`evinr ...`, which kills itself right before one of its changes to the files of a folder: `python -m` this, with arguments.

What FAULT asks for is counted by an audit hook of Python, so that the moments around every replacement of a file can be met,
however short they are. Workers that are spawned run this module, too.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

FAULT = "EVINR_FAULT"
"""Variable of the environment: a `Fault` as JSON."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.rename": 1, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0}
"""Events that change files, and which argument is the path that is made or changed."""
FOLDERS = {"os.mkdir": 2, "os.remove": 1, "os.rmdir": 1}
"""Which argument is the folder, already open, that the path starts from."""


class Fault(NamedTuple):
    """When a process is to die. Its changes are noted in any case."""

    under: str
    """Changes in this folder count."""
    notes: str
    """File of the changes, a line each."""
    victim: Literal["driver", "worker"] = "driver"
    at: int | None = None
    """Before which of its changes it dies, counted from 0. It is done once: `notes` with `.armed` is removed first."""
    delay: float = 0.0
    """Seconds later, while it goes on."""
    save_every: float | None = None
    """Seconds between checkpoints of a fit as a whole, in place of its own."""


def watch(fault: Fault) -> None:
    """Count the changes that this process makes, and die before the one that was chosen."""
    notes = os.open(fault.notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    count = 0

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal count
        path = changed(event, given)
        if path is None or not path.startswith(fault.under):
            return
        os.write(notes, f"{event} {path[len(fault.under) :]}\n".encode())
        count += 1
        if fault.at == count - 1:
            _die(fault)

    sys.addaudithook(hook)


def changed(event: str, given: tuple[Any, ...]) -> str | None:
    """The path that an audit event is about to change, if any."""
    if event == "open":
        path, _, flags = given
        if not isinstance(path, str | bytes | os.PathLike) or not isinstance(flags, int) or not flags & WRITING:
            return None
        return os.path.abspath(os.fsdecode(path))
    if event not in CHANGES:
        return None
    path = given[CHANGES[event]]
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    folder = given[FOLDERS[event]] if event in FOLDERS else -1
    above = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd()  # shutil.rmtree goes by open folders
    return os.path.normpath(os.path.join(above, os.fsdecode(path)))


def _die(fault: Fault) -> None:
    try:
        os.unlink(f"{fault.notes}.armed")
    except FileNotFoundError:  # another worker did, or this one in an earlier life
        return
    if fault.delay == 0:
        os.kill(os.getpid(), signal.SIGKILL)

    def later() -> None:
        time.sleep(fault.delay)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=later, daemon=True).start()


def asked() -> Fault | None:
    """What the environment asks for."""
    return Fault(**json.loads(os.environ[FAULT])) if FAULT in os.environ else None


def main(run: Callable[[list[str]], int]) -> int:
    """Run a command under the fault that is asked for."""
    fault = asked()
    if fault is not None and fault.save_every is not None:
        from evinr.cli import fit_whole

        fit_whole.SAVE_EVERY = fault.save_every
    return run(sys.argv[1:])


if (fault := asked()) and {"__main__": "driver", "__mp_main__": "worker"}.get(__name__) == fault.victim:
    watch(fault)

if __name__ == "__main__":
    from evinr.__main__ import main as evinr

    sys.exit(main(evinr))
