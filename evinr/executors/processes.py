"""Fits in processes of this machine: one for each GPU or, where there is none, for a share of the CPU cores.

A worker is told of its share before Python starts in it, waits for jobs at a pipe, and stays. It is in a session of its own, so
that Ctrl-C reaches the driver alone, which has it stop; and it ends when the driver is gone, however that died.
"""

import faulthandler
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import takewhile
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import NamedTuple

from evinr import memory
from evinr.executors.work import Died, Job, Result, done

ROOM = 2.5e9
"""Bytes of memory for each worker where nobody says how many there are to be: fits of 1280 x 720 take 2.3 GB (README.md). One
core is enough for one: only a part of a fit uses more (`shared` in experiments/benchmarks/results/overhead.json)."""
MEMORY = {"XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"}
"""By these, JAX is told what part of a GPU's memory to take at its start; it refuses both together."""
PREALLOCATED = 0.75
"""What it takes where it is told nothing."""
GRACE = 5.0
"""Seconds in which a worker ends whose pipe is closed."""


class Share(NamedTuple):
    """What of the machine a worker has."""

    cores: tuple[int, ...]
    environment: dict[str, str]


class Worker:
    """A process that does jobs, seen from the driver."""

    def __init__(self, share: Share, work: Callable[[Job], Result]) -> None:
        context = get_context("spawn")  # a fork of a process with threads may hang, and has the driver's open files
        self.share = share
        self.job: Job | None = None
        self.told = False
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _birth(share):
            self.process.start()
        theirs.close()

    def end(self, grace: float) -> str:
        """Take it away, at the latest after these seconds; how it ended."""
        self.pipe.close()
        self.process.join(grace)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        return (
            f"killed by signal {-code}{', perhaps for want of memory' * (code == -9)}"
            if code < 0
            else f"exit code {code}"
        )


class Processes:
    """An executor whose workers are processes of this machine, started as they are needed."""

    def __init__(self, shares: Sequence[Share], work: Callable[[Job], Result] = done) -> None:
        self._work = work
        self._shares = list(shares)
        self._workers: list[Worker] = []
        self.about = _told(shares)

    @property
    def free(self) -> int:
        """How many jobs can be started now."""
        return len(self._shares) + sum(worker.job is None for worker in self._workers)

    @property
    def pids(self) -> dict[str, int]:
        """The process of every job in hand, for tests and tools."""
        return {worker.job.name: worker.process.pid or 0 for worker in self._workers if worker.job is not None}

    def start(self, job: Job) -> None:
        """Hand a job to a worker: a warm one where there is one."""
        for worker in [worker for worker in self._workers if worker.job is None]:
            try:
                worker.pipe.send(job)
            except OSError:  # it died while it had nothing to do
                self._bury(worker, 0.0)
                continue
            worker.job = job
            return
        worker = Worker(self._shares.pop(0), self._work)
        self._workers.append(worker)
        worker.job = job
        with suppress(OSError):  # it died at once, which `wait` will tell
            worker.pipe.send(job)

    def wait(self) -> list[Result | Died]:
        """What has happened, at least one thing; only while a job is in hand."""
        busy = [worker for worker in self._workers if worker.job is not None]
        ready = connection.wait([part for worker in busy for part in (worker.pipe, worker.process.sentinel)])
        return [self._news(worker) for worker in busy if worker.pipe in ready or worker.process.sentinel in ready]

    def stop(self) -> None:
        """Have the fits in hand save what they have and end."""
        for worker in self._workers:
            if worker.job is not None and not worker.told:
                worker.told = True
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid or 0, signal.SIGTERM)

    def close(self) -> None:
        """End all workers, at once."""
        while self._workers:
            self._bury(self._workers[-1], 0.0)  # an idle one, too, has nothing to save

    def _news(self, worker: Worker) -> Result | Died:
        assert worker.job is not None
        name = worker.job.name
        try:
            result: Result = worker.pipe.recv()
        except (EOFError, OSError):
            return Died(name, self._bury(worker, GRACE))
        worker.job, worker.told = None, False
        return result

    def _bury(self, worker: Worker, grace: float) -> str:
        """Take a worker away, so that another can have its share; how it ended."""
        self._workers.remove(worker)
        self._shares.append(worker.share)
        return worker.end(grace)


def opened(workers: int | None, jobs: int) -> Processes:
    """So many processes, but no more than jobs; None: one for each GPU or, where there is none, for each core that has ROOM.

    Starts no device.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    devices = gpus()
    if workers is None:
        workers = len(devices) or min(len(cores), max(1, int((memory.there() or ROOM) / ROOM)))
        if not devices and find_spec("libtpu"):
            workers = 1  # all of a machine's TPUs belong to one process
    return Processes(shares(min(workers, jobs), devices, cores))


def gpus() -> list[str]:
    """The GPUs that JAX may use, as CUDA_VISIBLE_DEVICES has them or, where that is unset, nvidia-smi counts them."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu"} & set(platforms.split(",")):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:  # what is no device there ends the list, as for CUDA
        return list(takewhile(re.compile(r"\d+|(GPU|MIG)-.+").fullmatch, (word.strip() for word in visible.split(","))))
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return re.findall(r"^GPU (\d+):", said, re.MULTILINE)


def shares(count: int, devices: Sequence[str], cores: Sequence[int]) -> list[Share]:
    """The machine, shared evenly: neighbouring cores, and a GPU or, where there are fewer, a part of the memory of one."""
    found = []
    for number in range(count):
        part = cores[number * len(cores) // count : (number + 1) * len(cores) // count]
        environment = {}
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
        if devices and count > len(devices) and not MEMORY & os.environ.keys():
            environment["XLA_CLIENT_MEM_FRACTION"] = f"{PREALLOCATED / -(-count // len(devices)):.3f}"
        found.append(Share(tuple(part or cores), environment))
    return found


def _told(shares: Sequence[Share]) -> str:
    sizes = sorted({len(share.cores) for share in shares})
    cores = " or ".join(map(str, sizes)) + " CPU core" + "s" * (sizes != [1])
    devices = sorted({share.environment.get("CUDA_VISIBLE_DEVICES", "") for share in shares} - {""})
    on = f" on GPU {', '.join(devices)}" if devices else ""
    several = len(shares) > 1
    return f"{len(shares)} process{'es' * several}{on}, {cores}{' each' * several}"


@contextmanager
def _birth(share: Share) -> Iterator[None]:
    """What a process inherits that is started inside: its share, and deafness to Ctrl-C, until it can heed its orders."""
    before = {name: os.environ.get(name) for name in share.environment}
    in_main = current_thread() is main_thread()
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        os.environ.update(share.environment)
        if cores is not None:
            os.sched_setaffinity(0, share.cores)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if cores is not None:
            os.sched_setaffinity(0, cores)
        if in_main:
            signal.signal(signal.SIGINT, heard)


_at_work: list[Job] = []
"""What this worker does, if anything."""


def _serve(pipe: Connection, work: Callable[[Job], Result]) -> None:
    """What a worker does, until the pipe is closed."""
    os.setsid()
    driver = parent_process()
    assert driver is not None
    Thread(target=_follow, args=(driver,), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        with suppress(OSError):  # of a full disk, which the fit will tell
            _speak_into(job)
        _at_work.append(job)
        result = work(job)
        _at_work.clear()
        pipe.send(result)


def _follow(driver: BaseProcess) -> None:
    """End with the driver: what it left behind would hold run folders, memory and devices."""
    driver.join()
    os._exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    """What is told outside the part of a fit that sees signals: nothing is lost by ending there."""
    if not _at_work:
        os._exit(130)
    raise KeyboardInterrupt


def _speak_into(job: Job) -> None:
    """Have libraries say into the job's log what they say, crashes included."""
    log = os.open(job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    faulthandler.enable()
