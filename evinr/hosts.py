"""One fit on several hosts: its processes find each other, and when one of them dies the others end, too, with one line.

The first process writes the run folder. Off unless asked for; on CPUs the processes talk by gloo, which is JAX's default.
"""

import atexit
import ctypes
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from evinr.events import InputError

START = 60
"""Seconds in which all processes must have come."""

SILENCE = 30
"""Seconds without a word from a process after which it counts as dead."""

WRITING = 24 * 3600
"""Seconds that the others wait at the end for the first process, which writes; if it dies meanwhile, that is noticed."""

LOST = "another process of this fit died or cannot be reached; see what it says, and start all of them again"

_OF_OTHERS = ("JAX distributed service", "oordination service", "Gloo", "NCCL")
"""In what libraries say when they cannot reach another process."""

_MEND = (
    "see that this port of process 0 is free",
    "give HOST:PORT, --processes and --process where there is no cluster",
)


@contextmanager
def joined(
    coordinator: str, processes: int | None, process: int | None, start: int = START, silence: int = SILENCE
) -> Iterator[None]:
    """Be process number `process`, counted from 0, of `processes`. Comes before anything is computed, once in a process.

    Args:
        coordinator: HOST:PORT at which process 0 can be reached, the same for all; "auto" where the cluster tells all of
            this by itself (SLURM, Open MPI, TPU).

    Raises:
        InputError: the options make no sense together, or another process is lost. Where JAX ends this process over that
            it does so with the same line, and exit code 1.
    """
    address = _address(coordinator, processes, process)
    _one_line_at_abort()
    try:
        jax.distributed.initialize(
            address,
            processes,
            process,
            initialization_timeout=start,
            heartbeat_timeout_seconds=silence,
            shutdown_timeout_seconds=WRITING,
        )
    except (RuntimeError, ValueError) as error:
        _leave_alone()
        reason = str(error).splitlines()[0]
        raise InputError(f"--coordinator {coordinator}: cannot start ({reason}); {_MEND[address is None]}") from error
    try:
        yield
    except BaseException as error:
        _leave_alone()
        if isinstance(error, RuntimeError | ValueError) and any(word in str(error) for word in _OF_OTHERS):
            raise InputError(LOST) from error
        raise
    jax.distributed.shutdown()


def writes() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def _address(coordinator: str, processes: int | None, process: int | None) -> str | None:
    if coordinator == "auto":
        if processes is not None or process is not None:
            raise InputError("--coordinator auto: the cluster knows the rest; leave out --processes and --process")
        return None
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(f"--coordinator {coordinator}: give HOST:PORT of process 0, or auto")
    if processes is None or process is None:
        raise InputError(
            f"--coordinator {coordinator}: pass --processes, how many, and --process, which of them this is"
        )
    if not 0 <= process < processes:
        raise InputError(f"--process {process}: of {processes} they are 0 to {processes - 1}; pass one of these")
    return coordinator


def _leave_alone() -> None:
    """At exit do not wait for the others, as JAX would: they are to notice."""
    _leaving.append(True)

    def leave() -> None:  # runs before JAX's, which was registered earlier
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    atexit.register(leave)


def _one_line_at_abort() -> None:
    """From now on libraries write to a file instead of standard error, and where they abort over another process LOST is
    said instead.

    JAX ends a process that lost another one by abort(), from a thread of its own, with two dozen lines (jax 0.10 and 0.12);
    Python's own handlers of signals are not run then.
    """
    said, shown = tempfile.TemporaryFile(), os.dup(2)
    os.dup2(said.fileno(), 2)
    sys.stderr = open(shown, "w", buffering=1, errors="backslashreplace")

    def aborting(number: int) -> None:
        if _leaving:
            time.sleep(10)  # the main thread is about to say why, and to end the process
        text = os.pread(said.fileno(), 1_000_000, 0)
        lost = any(word.encode() in text for word in _OF_OTHERS)
        os.write(shown, f"evinr: {LOST}\n".encode() if lost else text)
        os._exit(1 if lost else 128 + number)

    _handlers.append(ctypes.CFUNCTYPE(None, ctypes.c_int)(aborting))
    ctypes.CDLL(None).signal(signal.SIGABRT, _handlers[-1])


_leaving: list[bool] = []

_handlers: list[object] = []
"""Kept, as C only has their addresses."""
