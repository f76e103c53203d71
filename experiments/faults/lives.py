"""One life of a command of evinr in a process of its own: until it ends, or is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal, NamedTuple

from experiments.faults import dying, processes

ROOT = Path(__file__).parents[2]
PATIENCE = 1800.0
"""Seconds after which a command counts as hanging: machines are busy, and may be suspended."""


class Moment(NamedTuple):
    """When a process is to die: after so many seconds, or at so many changes of files and a delay. Neither: it is not."""

    seconds: float | None = None
    change: int | None = None
    delay: float = 0.0


class Life(NamedTuple):
    """How a process ended."""

    code: int
    seconds: float
    changes: list[str]
    """Of files below the folder that was watched, in order."""
    killed: bool
    """It, or one of its workers."""
    said: str
    errors: str
    survivors: list[str]
    """Processes it started that lived on for seconds; they are ended."""


class Place(NamedTuple):
    """Where a command runs."""

    scratch: Path
    """Its working directory, which keeps compiled programs and what it said."""
    out: Path
    """The folder whose changes count."""


def began(words: list[str], place: Place, fault: dying.Fault, name: str = "said") -> subprocess.Popen[bytes]:
    """A command that runs; what it says goes to two files of that name."""
    told = {dying.FAULT: json.dumps(fault._asdict()), processes.LIFE: fault.notes}
    told |= {"EVINR_CACHE": str(place.scratch / "cache"), "PYTHONPATH": str(ROOT)}
    with (place.scratch / name).open("wb") as said, (place.scratch / f"{name}.errors").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.faults.dying", *words],
            cwd=place.scratch,
            env={**os.environ, "JAX_PLATFORMS": "cpu", **told},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=errors,
            start_new_session=True,
        )


def live(
    words: list[str],
    place: Place,
    moment: Moment = Moment(),  # noqa: B008 (it is frozen)
    victim: Literal["driver", "worker"] = "driver",
    save_every: float | None = None,
    chance: random.Random | None = None,
) -> Life:
    """Run a command until it ends, or it or one of its workers is killed at that moment and it has ended then.

    Raises RuntimeError where it hangs.
    """
    notes, armed = place.scratch / "notes", place.scratch / "notes.armed"
    notes.write_text("")
    armed.touch()
    fault = dying.Fault(f"{place.out}{os.sep}", str(notes), victim, moment.change, moment.delay, save_every)
    begin, killed = time.monotonic(), False
    process = began(words, place, fault)
    try:
        if moment.seconds is not None:
            killed = processes.kill_after(process, moment.seconds, victim, chance or random.Random(0))
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{' '.join(words)}: hangs") from None
    finally:
        process.kill()
        process.wait()
    seconds = time.monotonic() - begin
    killed = process.returncode == -signal.SIGKILL if victim == "driver" else killed or not armed.exists()
    said, errors = ((place.scratch / name).read_text(errors="replace") for name in ("said", "said.errors"))
    survivors = processes.survivors(fault.notes)
    return Life(process.returncode, seconds, notes.read_text().splitlines(), killed, said, errors, survivors)


def refusal(life: Life, folder: Path) -> list[str]:
    """What is wrong with how a command that could not do its work said so: with code 1 and a line that names a file of the
    folder; commands that do several things, with such a line for each of those that failed."""
    wrong = [] if life.code == 1 else [f"ended with code {life.code}"]
    lines = [line for line in life.said.splitlines() if line.startswith(("failed: ", "stopped: "))]
    if not lines and (life.errors.count("\n") != 1 or not life.errors.startswith("evinr: ")):
        wrong.append(f"said more, or less, than a line: {life.errors}")
    if lines and life.errors:
        wrong.append(f"said more: {life.errors}")
    wrong += [f"names no file: {line}" for line in lines or [life.errors] if str(folder) not in line]
    return wrong + [f"said {word}" for word in ("Traceback", "Exception ignored") if word in life.said]
