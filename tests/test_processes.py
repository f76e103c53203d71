"""Processes that fit: how the machine is shared among them, and what comes of it when one of them, or the driver, dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from evinr import heads
from evinr.cli.commands import Fit
from evinr.config import FitConfig
from evinr.executors.processes import Processes, Share, gpus, opened, shares
from evinr.executors.record import RESULT
from evinr.executors.work import Died, Job, Result, done
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor

HEIGHT, WIDTH = 20, 24
LONG = FitConfig(windows="sequential", intervals=8, overlap=2, iterations=20)
"""Of `recording`: nine windows."""
PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux has them")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file of a simulated scene."""
    events, _ = demo.recording(HEIGHT, WIDTH, 1.2, Sensor(), seed=1)
    path = tmp_path_factory.mktemp("recording") / "scene.txt"
    path.write_text("".join(f"{t:.9f} {x} {y} {p}\n" for t, x, y, p in zip(*events[:4], strict=True)))
    return path


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Share:
    """All cores, and programs that one worker compiles for the next."""
    return Share(tuple(os.sched_getaffinity(0)), {"EVINR_CACHE": str(tmp_path_factory.mktemp("cache"))})


@pytest.fixture
def one(share: Share) -> Iterator[Processes]:
    """One worker, that is led."""
    executor = Processes([share], led)
    yield executor
    executor.close()


def led(job: Job) -> Result:
    """`done`, but where there is a number beside the log, so many windows are saved, and then it waits for a higher one."""
    save, allowed = heads.save, job.log.with_suffix(".allowed")

    def waiting(folder: Path, number: int, *rest: object) -> None:
        while allowed.exists() and number >= int(allowed.read_text() or 0):
            time.sleep(0.005)
        save(folder, number, *rest)  # pyright: ignore[reportArgumentType]

    heads.save = waiting  # pyright: ignore[reportAttributeAccessIssue]
    try:
        return done(job)
    finally:
        heads.save = save


def job(recording: Path, out: Path, name: str = "run", fit: FitConfig = LONG) -> Job:
    (out / "logs").mkdir(parents=True, exist_ok=True)
    return Job(
        name, Fit(str(recording), out=out, name=name, frames=4, fit=fit), ("batch",), out / "logs" / f"{name}.log"
    )


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(executor: Processes) -> Result:
    (news,) = executor.wait()
    assert isinstance(news, Result)
    return news


def windows(folder: Path) -> list[np.ndarray]:
    stored = heads.Stored(folder / heads.FOLDER)
    return [stored[number].values for number in range(len(stored))]


def same(one: Path, other: Path) -> None:
    for a, b in zip(windows(one), windows(other), strict=True):
        np.testing.assert_array_equal(a, b)


def children(pid: int, states: str = "RSDTtI") -> list[int]:
    """The processes in such states that one has started, but for Python's keeper of shared resources."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            about = stat.read_text().rpartition(")")[2].split()
            words = (stat.parent / "cmdline").read_text()
        except OSError:  # it ended meanwhile
            continue
        if int(about[1]) == pid and about[0] in states and "resource_tracker" not in words:
            found.append(int(stat.parent.name))
    return found


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Shares of the machine.


def test_a_process_for_each_gpu_with_its_part_of_the_cores():
    found = shares(2, ["0", "1"], range(8))
    assert found == [
        Share((0, 1, 2, 3), {"CUDA_VISIBLE_DEVICES": "0"}),
        Share((4, 5, 6, 7), {"CUDA_VISIBLE_DEVICES": "1"}),
    ]


def test_more_processes_than_gpus_share_their_memory(monkeypatch: pytest.MonkeyPatch):
    found = shares(3, ["0", "GPU-ab"], range(2))
    assert [share.environment["CUDA_VISIBLE_DEVICES"] for share in found] == ["0", "GPU-ab", "0"]
    assert {share.environment["XLA_CLIENT_MEM_FRACTION"] for share in found} == {"0.375"}
    assert [share.cores for share in found] == [(0, 1), (0,), (1,)]
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.2")  # JAX refuses both
    assert all("XLA_CLIENT_MEM_FRACTION" not in share.environment for share in shares(3, ["0"], range(4)))


@pytest.mark.parametrize(("workers", "cores"), [(7, 7), (3, 7), (4, 64), (1, 1), (1, 16)])
def test_cores_are_shared_evenly(workers: int, cores: int):
    found = [share.cores for share in shares(workers, [], range(cores))]
    assert sorted(sum(found, ())) == list(range(cores))
    assert max(map(len, found)) - min(map(len, found)) <= 1 and len(found) == workers


def test_no_more_workers_than_there_is_work_or_memory_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("evinr.executors.processes.gpus", lambda: [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr("evinr.memory.there", lambda: 26 * 10**9)
    assert opened(None, 100).about == "10 processes, 6 or 7 CPU cores each"
    assert (
        opened(None, 1).about == "1 process, 64 CPU cores" and opened(32, 100).about == "32 processes, 2 CPU cores each"
    )
    monkeypatch.setattr("evinr.executors.processes.gpus", lambda: ["0", "1"])
    assert opened(None, 100).about == "2 processes on GPU 0, 1, 32 CPU cores each"


def test_gpus_are_counted_without_jax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        '#!/bin/sh\necho "GPU 0: NVIDIA H100 (UUID: GPU-1)"\necho "  MIG 1g.10gb Device 0: (UUID: MIG-2)"\n'
    )
    tool.chmod(0o755)
    assert gpus() == ["0"]
    for visible, devices in {"": [], "2,GPU-7f": ["2", "GPU-7f"], "0,-1,1": ["0"], "NoDevFiles": []}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpus() == devices
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert gpus() == []


# Workers that live, and die.


@PROC
def test_a_worker_is_born_with_its_share_and_leaves_the_drivers_alone(tmp_path: Path):
    cores, some = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
    heard = signal.getsignal(signal.SIGINT)
    executor = Processes([Share((some,), {"CUDA_VISIBLE_DEVICES": "7"})], work=partial(Result, state="done"))
    try:
        assert executor.about == "1 process on GPU 7, 1 CPU core" and executor.free == 1
        executor.start(job(tmp_path, tmp_path, "first"))
        pid = executor.pids["first"]
        assert executor.free == 0 and ended(executor).state == "done" and executor.free == 1
        assert os.sched_getaffinity(pid) == {some}
        assert b"CUDA_VISIBLE_DEVICES=7\0" in Path(f"/proc/{pid}/environ").read_bytes()
        assert os.getsid(pid) == pid  # Ctrl-C at the terminal does not reach it
        executor.start(job(tmp_path, tmp_path, "second"))
        assert executor.pids == {"second": pid} and ended(executor).state == "done"  # it stays
        os.kill(pid, signal.SIGKILL)
        until(lambda: not running(pid))
        executor.start(job(tmp_path, tmp_path, "third"))
        assert executor.pids["third"] != pid and ended(executor).state == "done"
    finally:
        executor.close()
    assert os.sched_getaffinity(0) == cores and signal.getsignal(signal.SIGINT) is heard
    assert "CUDA_VISIBLE_DEVICES" not in os.environ and not children(os.getpid())


def test_a_worker_that_ends_is_told_of_and_leaves_no_zombie(tmp_path: Path):
    executor = Processes([Share((0,), {})], work=attrgetter("no_such"))
    try:
        for _ in range(2):
            executor.start(job(tmp_path, tmp_path))
            assert executor.wait() == [Died("run", "exit code 1")] and executor.free == 1
            assert not children(os.getpid(), "Z")
    finally:
        executor.close()
    assert "no_such" in (tmp_path / "logs/run.log").read_text()  # its last words


@PROC
def test_a_worker_killed_in_the_middle_costs_the_window_in_hand(recording: Path, tmp_path: Path, one: Processes):
    """Told of, replaced; what it saved is gone on with, to the bits of a fit that nobody disturbed. And one is stopped."""
    work, folder = job(recording, tmp_path), tmp_path / "run" / heads.FOLDER
    allowed, first = tmp_path / "logs/run.allowed", folder / "000000r.npz"
    allowed.write_text("2")
    one.start(work)
    until(lambda: heads.done(folder) == 2)
    written = first.stat().st_mtime_ns
    os.kill(one.pids["run"], signal.SIGKILL)
    assert one.wait() == [Died("run", "killed by signal 9, perhaps for want of memory")]
    allowed.write_text("4")
    one.start(work)
    until(lambda: heads.done(folder) == 4)
    pid = one.pids["run"]
    for _ in range(2):  # is not twice
        one.stop()
        until(lambda: "stopping as soon as" in work.log.read_text())
    allowed.unlink()
    assert one.wait() == [Result("run", "stopped")]
    assert 4 < heads.done(folder) < 9
    one.start(work)
    assert one.pids["run"] == pid  # that was stopped stays
    result = ended(one)
    assert result.state == "done" and result.about["windows"] >= 9
    assert first.stat().st_mtime_ns == written
    assert done(job(recording, tmp_path, "alone")).state == "done"
    same(tmp_path / "run", tmp_path / "alone")
    assert [line[:9] for line in work.log.read_text().splitlines() if "attempt" in line] == [
        f"attempt {number}" for number in (1, 2, 3)
    ]
    assert "\x1b" not in work.log.read_text()


DRIVER = """
import sys
from pathlib import Path
from evinr.executors.processes import Processes, Share
from tests.test_processes import job, led
executor = Processes([Share((0,), {"EVINR_CACHE": sys.argv[3]})], led)
executor.start(job(Path(sys.argv[1]), Path(sys.argv[2])))
print(executor.pids["run"], flush=True)
executor.wait()
"""


@PROC
def test_workers_end_with_a_driver_that_was_killed(recording: Path, tmp_path: Path, one: Processes, share: Share):
    out, allowed = tmp_path / "run", tmp_path / "logs/run.allowed"
    allowed.parent.mkdir()
    allowed.write_text("1")
    words = [sys.executable, "-c", DRIVER, str(recording), str(tmp_path), share.environment["EVINR_CACHE"]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as driver:
        assert driver.stdout is not None
        worker = int(driver.stdout.readline())
        until(lambda: heads.done(out / heads.FOLDER) == 1)
        assert running(worker)
        driver.kill()
        driver.wait()
        until(lambda: not running(worker), 10)
    assert not (out / RESULT).exists()
    allowed.unlink()
    one.start(job(recording, tmp_path))
    assert ended(one).state == "done"


@PROC
def test_memory_does_not_grow_with_the_fits(tmp_path: Path, one: Processes):
    """Nor with what they say, nor with their pictures: the last of 20 need at most 10 MB more than the 5th to 10th."""
    sources = []
    rng = np.random.default_rng(0)
    for number in range(20):
        times = np.sort(rng.uniform(0, 0.1, 400))
        where = [rng.integers(0, size, 400) for size in (16, 12)]
        np.save(tmp_path / f"{number}.npy", np.stack([times, *where, rng.integers(0, 2, 400)], axis=1))
        sources.append(tmp_path / f"{number}.npy")
    resident = []
    pid = 0
    for number, source in enumerate(sources):
        one.start(job(source, tmp_path / "out", str(number), FitConfig(iterations=2)))
        pid = pid or one.pids[str(number)]
        assert one.pids[str(number)] == pid
        assert ended(one).state == "done"
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        resident.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    # Python collects the rings that pictures leave every 50 fits or so; 20 MB may wait for that.
    assert max(resident[14:]) < max(resident[5:10]) + 10
