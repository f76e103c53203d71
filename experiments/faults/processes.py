"""Processes of a command, as Linux tells of them: whom to kill, and who lives on."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Literal, NamedTuple

LIFE = "EVINR_LIFE"
"""Variable of the environment that a process hands on to all that it starts, in whatever session."""
WAIT = 10.0
"""Seconds that what a killed command started may live on."""


class One(NamedTuple):
    """A process."""

    number: int
    parent: int
    words: str
    """Its command line."""
    life: str | None
    """What LIFE was when it began."""


def everyone() -> list[One]:
    """All processes of this user but those that are dead and not buried."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_text().replace("\0", " ").strip()
            told = (folder / "environ").read_text(errors="replace").split("\0")
        except OSError:  # gone meanwhile, or another user's
            continue
        life = next((entry.partition("=")[2] for entry in told if entry.startswith(f"{LIFE}=")), None)
        if state not in "ZX":
            found.append(One(int(folder.name), int(parent), words, life))
    return found


def workers(parent: int) -> list[One]:
    """The workers that a process spawned."""
    return [one for one in everyone() if one.parent == parent and "spawn_main" in one.words]


def kill_after(
    process: subprocess.Popen[bytes], seconds: float, victim: Literal["driver", "worker"], chance: random.Random
) -> bool:
    """Kill a process, or one of its workers, unless it ends before; whether anyone was killed."""
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        pass
    if victim == "driver":
        process.kill()
        return True
    found = workers(process.pid)
    if found:
        os.kill(chance.choice(found).number, signal.SIGKILL)
    return bool(found)


def survivors(life: str, wait: float = WAIT) -> list[str]:
    """Who of a life is left after so many seconds, by command line; they are ended then."""
    end = time.monotonic() + wait
    while (left := [one for one in everyone() if one.life == life]) and time.monotonic() < end:
        time.sleep(0.05)
    for one in left:
        os.kill(one.number, signal.SIGKILL)
    return [one.words for one in left]
