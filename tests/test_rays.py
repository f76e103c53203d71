"""Fits on real Ray clusters: what dies costs the job in hand, results stay what they are, and nothing is left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evinr import heads
from evinr.events import InputError
from evinr.executors import ray_clusters, rays
from evinr.executors.rays import Place
from evinr.executors.work import Died, Job, Result
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor
from tests.ray_driver import LONG, SHORT, driven, job, jobs

pytestmark = [
    pytest.mark.xdist_group("ray"),
    # Ray leaves its sockets, and the pipes of processes that it started, to the garbage collector.
    pytest.mark.filterwarnings("ignore:Exception ignored in.*:pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ray, which would write a token to the home folder if it found none; and a cache of programs for all workers."""
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory(prefix="ray", dir="/tmp") as short:
        patched.setenv("RAY_TMPDIR", short)  # paths of sockets must be short; "auto" of this machine stays what it is
        patched.setenv("EVINR_CACHE", str(tmp_path_factory.mktemp("cache")))
        patched.setenv("RAY_AUTH_TOKEN", "of-the-tests")
        yield pytest.importorskip("ray", reason='Ray is not installed: pip install "evinr[ray]"')


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three."""
    folder = tmp_path_factory.mktemp("recordings")
    for seed, name in enumerate("abc"):
        events, _ = demo.recording(20, 24, 1.2, Sensor(), seed=seed)
        lines = (f"{t:.9f} {x} {y} {p}\n" for t, x, y, p in zip(*events[:4], strict=True))
        (folder / f"{name}.txt").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def undisturbed(ray: Any, recordings: Path) -> dict[str, list[np.ndarray]]:
    """What the jobs come to where nothing dies: a and b done the long way, c the short one."""
    script(recordings, "plain").communicate(timeout=300)
    return {name: windows(recordings / "plain" / name) for name in "abc"}


def script(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """tests/ray_driver.py."""
    words = (sys.executable, "-m", "tests.ray_driver", str(folder), *words)
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=ROOT, env=os.environ | environment, stdout=pipe, stderr=pipe, text=True)


def windows(run: Path) -> list[np.ndarray]:
    stored = heads.Stored(run / heads.FOLDER)
    return [stored[number].values for number in range(len(stored))]


def require_same(jobs: Sequence[Job], known: dict[str, list[np.ndarray]]) -> None:
    for one in jobs:
        for here, there in zip(windows(one.command.out / one.name), known[one.name], strict=True):
            np.testing.assert_array_equal(here, there)


def begun(job: Job) -> bool:
    """Whether the fit has saved something."""
    return heads.done(job.command.out / job.name / heads.FOLDER) > 0


def holder(job: Job) -> int | None:
    """The worker that has the run."""
    lock = str(job.command.out.resolve() / job.name / ".lock")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            worker = (process / "cmdline").read_bytes().startswith(b"ray::Worker")
            if worker and any(os.readlink(file) == lock for file in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    return None


def until(true: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


# What needs no cluster.


def test_a_worker_for_each_gpu_or_share_of_cpus():
    def node(name: str, alive: bool = True, **resources: float) -> dict[str, Any]:
        has = {kind: float(amount) for kind, amount in resources.items()}
        return {"NodeID": name, "Alive": alive, "Resources": has}

    assert rays.places([], 2, 0.0) == []
    two = [node("a", CPU=5), node("gone", False, CPU=8), node("b", CPU=2), node("head")]
    assert rays.places(two, 2, 0.0) == [Place("a", 0, False), Place("b", 0, False), Place("a", 1, False)]
    small = [node("a", CPU=5, memory=7e9), node("b", CPU=2, memory=1e9), node("c", CPU=1, memory=1e12)]
    assert [place.node for place in rays.places(small, 1, 3e9)] == ["a", "b", "c", "a"]
    mixed = [node("a", CPU=16, GPU=2, memory=1), node("b", CPU=64)]
    assert rays.places(mixed, 2, 3e9) == [Place("a", 0, True), Place("a", 1, True)]


def test_workers_have_the_environment_of_the_driver():
    """And no more of it than they must know: no keys."""
    given = {"EVINR_CACHE": "", "JAX_PLATFORMS": "cpu", "WANDB_MODE": "offline", "WANDB_API_KEY": "x", "HOME": "/root"}
    known = {"EVINR_CACHE": "", "JAX_PLATFORMS": "cpu", "WANDB_MODE": "offline"}
    assert rays.told(given, None) == known
    assert rays.told(given, 2) == known | {"PJRT_NPROC": "2"}
    assert rays.told({"PJRT_NPROC": "7"}, 2) == {"PJRT_NPROC": "2"}


@pytest.mark.parametrize("address", ["host", "host:", ":6379", "host:99999", "ray://host:10001", "host:port"])
def test_what_is_no_address(address: str):
    with pytest.raises(InputError, match=f"^Ray at {address}: give HOST:PORT"):
        rays.opened(address, None, 3)


def test_an_address_where_nobody_answers(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InputError, match=f"^Ray at {address}: does not answer .*refused"):
        rays.opened(address, None, 3)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match=f"^Ray at {address}: does not answer .*refused"):
        rays.opened(None, None, 3)


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'pip install "evinr\[ray\]"'):
        rays.opened(None, 1, 3)


# A cluster of our own, in a process of its own.


def left(mark: str) -> list[str]:
    """The processes with such an environment; but for Ray's agents, who look for a lost head for a minute."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return [command for command in found if "Agent" not in command]


def test_a_driver_and_a_worker_are_killed(ray: Any, recordings: Path, undisturbed: dict[str, list[np.ndarray]]):
    """Nothing stays of the driver; begun anew it goes on, also without one of its workers, and says nothing but its own."""
    (recordings / "out").mkdir()
    todo = jobs(recordings, "out")
    mark = uuid.uuid4().hex
    first = script(recordings, EVINR_MARK=mark)
    until(lambda: begun(todo[0]))
    first.kill()
    first.communicate()
    until(lambda: not left(mark))

    second = script(recordings, EVINR_MARK=mark)
    while not (worker := holder(todo[0])):
        assert second.poll() is None, "it was done before its worker was found"
        time.sleep(0.01)
    os.kill(worker, signal.SIGKILL)
    said, complaints = second.communicate(timeout=300)
    assert left(mark) == []
    assert said.splitlines() == ["2 workers of Ray on this machine, 1 CPU core each", "a died", "a, b and c are done"]
    assert complaints == "" and second.returncode == 0
    require_same(todo, undisturbed)


# A cluster that is there.


@pytest.fixture(scope="module")
def cluster(ray: Any) -> Iterator[Any]:
    """Of one node, for one worker."""
    from ray.cluster_utils import Cluster

    store = {"object_store_memory": ray_clusters.STORE, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **store})
    yield found
    found.shutdown()


def alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_a_node_is_lost(
    cluster: Any, recordings: Path, undisturbed: dict[str, list[np.ndarray]], monkeypatch: pytest.MonkeyPatch
):
    """What it had in hand is done elsewhere; paths that are relative to the driver's folder lead there."""
    monkeypatch.chdir(recordings)
    (recordings / "lost").mkdir()
    todo = [job(Path(f"{name}.txt"), Path("lost"), LONG) for name in "ab"]
    node = cluster.add_node(num_cpus=1, object_store_memory=ray_clusters.STORE)
    raylet = node.all_processes["raylet"][0].process.pid

    def lose() -> None:
        until(lambda: all(map(begun, todo)))
        there = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
        cluster.remove_node(node, allow_graceful=False)
        for process in map(int, there):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    executor = rays.opened(cluster.address, None, 3)
    losing = threading.Thread(target=lose)
    losing.start()
    try:
        assert executor.about == f"2 workers of Ray at {cluster.address}, 1 CPU core each"
        found, died = driven(executor, todo)
    finally:
        losing.join()
        executor.close()
    assert {one.state for one in found.values()} == {"done"} and len(died) == 1
    assert "is gone" in died[0].why
    require_same(todo, undisturbed)


def test_a_fit_is_stopped(cluster: Any, recordings: Path, tmp_path: Path):
    """It saves what it has, and its worker is there for more; the cluster, which was there before, stays."""
    endless = job(recordings / "a.txt", tmp_path, replace(LONG, warm_iterations=6 * LONG.warm_iterations))
    before = signal.getsignal(signal.SIGTERM)
    executor = rays.opened(cluster.address, 1, 3)
    try:
        assert signal.getsignal(signal.SIGTERM) is before
        executor.start(endless)
        worker = executor.pids["a"]
        assert executor.free == 0 and alive(worker)
        happened: list[Result | Died] = []
        while not happened:
            if begun(endless):
                executor.stop()
                executor.stop()
            happened = executor.wait()
        assert happened == [Result("a", "stopped")] and executor.free == 1
        assert begun(endless) and not (tmp_path / "a/video.mp4").exists()
        assert "stopping as soon as this is saved" in endless.log.read_text()

        short = job(recordings / "c.txt", tmp_path, SHORT)
        executor.start(short)
        assert executor.pids == {"c": worker}
        while not happened[1:]:
            happened += executor.wait()
        assert happened[1].name == "c" and isinstance(happened[1], Result) and happened[1].state == "done"
    finally:
        executor.close()
    until(lambda: not alive(worker))
    assert cluster.head_node.all_processes and not cluster.head_node.dead_processes()


def test_evinr_is_another_one_there(cluster: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rays, "version", lambda name: "99.0")
    with pytest.raises(InputError, match=r"has evinr \S+, this is 99.0; see that all nodes have the same"):
        rays.opened(cluster.address, None, 3)


def test_something_else_answers(ray: Any):
    """One line after three times ANSWER, where Ray by itself would ask for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code = f"from evinr.executors import ray_clusters as r; r.ANSWER = 1; r.joined('{address}', None, 1)"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90
        )
    said = done.stderr.splitlines()
    assert said[0].startswith("Traceback") and said[-1].count("Traceback") == 0
    why = "(Timed out while waiting for GCS to become available.)"
    assert said[-1].startswith(f"evinr.events.InputError: Ray at {address}: cannot be joined {why}; see `ray status`")


def test_ray_of_another_version(monkeypatch: pytest.MonkeyPatch):
    """What Ray says over several lines is told in one."""
    why = "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\nThis process was started with:\n    Ray: 2.61.0"

    class Refusing(ModuleType):
        exceptions = SimpleNamespace(RayError=KeyError)

        def init(self, *_: Any, **__: Any) -> None:
            raise RuntimeError(why)

        def shutdown(self) -> None:
            pass

    monkeypatch.setitem(sys.modules, "ray", Refusing("ray"))
    with pytest.raises(InputError, match="with: Ray: 2.60.0 This process was started with: Ray: 2.61.0") as refused:
        rays.opened("auto", None, 1)
    assert "\n" not in str(refused.value)
