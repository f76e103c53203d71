"""Devices and hosts change how fast a result comes, not the result; compiled programs are kept; lost processes are told."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evinr import devices, heads, hosts
from evinr.__main__ import main
from evinr.config import DEFAULT
from evinr.devices import Layout, layout
from evinr.events import InputError
from evinr.parallel import together
from tests.compilations import compilations
from tests.distributed_fit import CASES, LAYOUTS, problem, solved

ROOT = Path(__file__).parents[1]


def start(*command: str | Path, **environment: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    words = [sys.executable, *map(str, command)]
    return subprocess.Popen(words, env=os.environ | environment, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


# Layouts.


def test_windows_go_over_devices_first():
    assert layout(8, 240 * 180, devices=8) == Layout(8, 1)
    assert layout(16, 240 * 180, devices=8) == Layout(8, 1)
    assert layout(6, 240 * 180, devices=4) == Layout(3, 1)
    assert layout(1, 240 * 180, devices=8) == Layout(1, 1)


def test_large_windows_are_divided_where_devices_are_left():
    assert layout(1, 1280 * 720, devices=8) == Layout(1, 8)
    assert layout(2, 1280 * 720, devices=8) == Layout(2, 4)
    assert layout(8, 1280 * 720, devices=8) == Layout(8, 1)
    assert layout(3, 1280 * 720, devices=8) == Layout(1, 8)


def test_every_device_of_several_hosts_has_a_part():
    for windows in range(1, 9):
        assert np.prod(layout(windows, 100, devices=6, hosts=2)) == 6


def test_devices_agree_with_one(tmp_path: Path):
    """Eight give what one gives, to rounding; and each needs less memory for it, so that the work was divided."""
    flags = "--xla_force_host_platform_device_count=8"
    process = start("-m", "tests.distributed_fit", "layouts", tmp_path / "values.npz", XLA_FLAGS=flags)
    _, said = process.communicate()
    assert process.returncode == 0, said
    found = np.load(tmp_path / "values.npz")
    for number, (windows, size, _) in enumerate(LAYOUTS):
        one, every = found[f"one_{number}"], found[f"all_{number}"]
        assert one.shape == (windows, 5, 1, *size) and np.abs(one).max() > 0.1
        np.testing.assert_allclose(every, one, rtol=0, atol=1e-10 * np.abs(one).max())
        assert found[f"all_{number}_bytes"] < 0.75 * found[f"one_{number}_bytes"]


def test_windows_agree_with_those_of_one_device(tmp_path: Path):
    """Batches over devices, pixels of each window over devices, and both; also where the devices do not divide the rows."""
    flags = "--xla_force_host_platform_device_count=8"
    process = start("-m", "tests.distributed_fit", "windows", tmp_path / "values.npz", XLA_FLAGS=flags)
    _, said = process.communicate()
    assert process.returncode == 0, said
    found = np.load(tmp_path / "values.npz")
    for name, case in CASES.items():
        one, every = found[f"one {name}"], found[f"all {name}"]
        assert one.shape == (11, 9, 1, *case.size) and np.abs(one).max() > 0.5
        atol = 1e-10 if case.config.precision == "float64" else 2e-3  # stored as float16
        np.testing.assert_allclose(every, one, rtol=0, atol=atol)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 12])
def test_batches_suit_the_devices(count: int):
    """A window for each small sensor's device at least; of large ones no more than each has memory for."""
    assert together(100, DEFAULT, count) == {1: 8, 2: 8, 3: 6, 8: 8, 12: 12}[count]
    assert together(400_000, DEFAULT, count) == {1: 2, 2: 4, 3: 6, 8: 8, 12: 12}[count]
    assert together(921_600, DEFAULT, count) == min(count, 8)
    assert together(10**7, replace(DEFAULT, batch=1), count) == 1
    for pixels in (100, 400_000, 921_600, 10**7):
        laid = layout(together(pixels, DEFAULT, count), pixels, count)
        assert np.prod(laid) == count and together(pixels, DEFAULT, count) % laid.windows == 0


# Hosts.


class Pair(NamedTuple):
    """How two processes of one fit are to end, and after how many seconds one is missed."""

    first: str
    second: str
    start: int = 60
    silence: int = 60


PAIRS = {
    "well": Pair("end", "end"),
    "second dies": Pair("solve", "die"),
    "first dies": Pair("die", "sleep"),
    "second dies unseen": Pair("sleep", "die", silence=5),
    "first never comes": Pair("", "end", start=1),
}


class Ended(NamedTuple):
    codes: list[int]
    said: list[str]
    values: Path


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """All pairs, at the same time."""
    folder = tmp_path_factory.mktemp("hosts")
    with ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in PAIRS]
        for one in free:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in free]
    running: dict[str, list[subprocess.Popen[str]]] = {}
    for port, (name, pair) in zip(ports, PAIRS.items(), strict=True):
        command = ["-m", "tests.distributed_fit", "host", f"127.0.0.1:{port}", "2"]
        ends = [str(pair.start), str(pair.silence), str(folder / f"{name}.npy")]
        ways = [(str(number), way) for number, way in enumerate(pair[:2]) if way]
        running[name] = [start(*command, number, *ends, way) for number, way in ways]
    try:
        said = {name: [process.communicate(timeout=120)[1] for process in both] for name, both in running.items()}
    finally:
        for process in chain(*running.values()):
            process.kill()
    codes = {name: [process.returncode for process in both] for name, both in running.items()}
    return {name: Ended(codes[name], said[name], folder / f"{name}.npy") for name in PAIRS}


def test_two_processes_agree_with_one(ended: dict[str, Ended]):
    assert ended["well"].codes == [0, 0] and ended["well"].said == ["", ""]
    with jax.enable_x64(True):
        alone = np.asarray(solved(problem(4, (16, 24)), devices.mesh(Layout(1, 1))))
    np.testing.assert_allclose(np.load(ended["well"].values), alone, rtol=0, atol=1e-10 * np.abs(alone).max())


def test_two_processes_write_the_run_of_one(tmp_path: Path):
    """Through the command; the first one alone writes and speaks."""
    rng = np.random.default_rng(0)
    events = np.stack([np.sort(rng.uniform(0, 0.9, 900)), rng.integers(0, 16, 900), rng.integers(0, 12, 900)], 1)
    np.save(tmp_path / "scene.npy", np.concatenate([events, rng.choice([-1, 1], (900, 1))], 1))
    options = "--height 12 --width 16 --intervals 8 --overlap 2 --iterations 10 --frames 4".split()
    options = ["fit", str(tmp_path / "scene.npy"), "--out", str(tmp_path), *options]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = ["--name", "two", "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
    running = [start("-m", "evinr", *options, *hosts, "--process", str(number)) for number in range(2)]
    assert main([*options, "--name", "one"]) == 0
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert said[0][1] == said[1][1] == "" and "video" in said[0][0]
    assert "scene" not in said[1][0]  # but a line of Gloo's
    one, two = (heads.Stored(tmp_path / name / heads.FOLDER) for name in ("one", "two"))
    assert len(one) == len(two) > 5
    for number in range(len(one)):
        np.testing.assert_allclose(two[number].values, one[number].values, rtol=0, atol=2e-3)


def test_several_hosts_need_a_recording_that_is_there(capsys: pytest.CaptureFixture[str]):
    for wrong in (["--windows", "sequential"], ["--budget", "1s"], ["--follow", "1s"], ["--resume"]):
        with pytest.raises(SystemExit):
            main(["fit", "a.npy", "--coordinator", "here:1234", "--processes", "2", "--process", "0", *wrong])
        assert "several hosts" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["fit", "a.npy", "--processes", "2"])


LINE = f"evinr: {hosts.LOST}\n"


def test_a_lost_process_is_told_in_one_line(ended: dict[str, Ended]):
    """Whether it was the first or another, in the middle of an exchange or while nothing is exchanged."""
    assert ended["second dies"][:2] == ([1, 9], [LINE, ""])
    assert ended["first dies"][:2] == ([9, 1], ["", LINE])
    assert ended["second dies unseen"][:2] == ([1, 9], [LINE, ""])


def test_a_process_that_stays_alone_ends(ended: dict[str, Ended]):
    assert ended["first never comes"][:2] == ([1], [LINE])


@pytest.mark.parametrize(
    ("coordinator", "processes", "process", "mend"),
    [
        ("host", 2, 0, "give HOST:PORT"),
        ("host:0", 2, 0, "give HOST:PORT"),
        ("host:1234", None, 0, "pass --processes"),
        ("host:1234", 2, None, "and --process"),
        ("host:1234", 2, 2, "0 to 1"),
        ("auto", 2, None, "leave out"),
    ],
)
def test_options_that_make_no_sense(coordinator: str, processes: int | None, process: int | None, mend: str):
    with pytest.raises(InputError, match=mend), hosts.joined(coordinator, processes, process):
        pass


# Compiled programs.

COUNTED = """
import jax, numpy
from evinr import devices
devices.compilation_cache()
seen = []
jax.monitoring.register_event_listener(lambda event, **_: seen.append(event.rpartition("/")[2]))
print(jax.jit(lambda x: (x @ x).sum())(numpy.eye(5)), seen.count("cache_hits"), seen.count("cache_misses"))
"""


def test_programs_are_kept(tmp_path: Path):
    """A second process compiles nothing; one that finds a damaged entry does, and says nothing."""

    def run() -> tuple[str, str]:
        return start("-c", COUNTED, EVINR_CACHE=str(tmp_path / "new" / "cache")).communicate()

    assert run() == ("5.0 0 1\n", "")
    assert run() == ("5.0 1 0\n", "")
    (entry,) = (tmp_path / "new" / "cache").glob("*-cache")
    entry.write_bytes(entry.read_bytes()[:100])
    said = run()
    assert said[0].startswith("5.0 0 ") and said[1] == ""


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """JAX without a cache, before and after."""
    monkeypatch.delenv("EVINR_CACHE", raising=False)
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    yield monkeypatch
    for name, value in before.items():
        jax.config.update(name, value)


def chosen() -> str | None:
    devices.compilation_cache()
    return jax.config.values["jax_compilation_cache_dir"]


def test_folders_of_the_cache(cache: pytest.MonkeyPatch, tmp_path: Path):
    cache.setenv("EVINR_CACHE", str(tmp_path / "told"))
    cache.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert chosen() == str(tmp_path / "told")
    assert (tmp_path / "told").stat().st_mode & 0o077 == 0
    jax.config.update("jax_compilation_cache_dir", None)
    cache.delenv("EVINR_CACHE")
    assert chosen() == str(tmp_path / "xdg" / "evinr")
    jax.config.update("jax_compilation_cache_dir", None)
    cache.delenv("XDG_CACHE_HOME")
    cache.setenv("HOME", str(tmp_path / "home"))
    assert chosen() == str(tmp_path / "home" / ".cache" / "evinr")


def test_no_cache(cache: pytest.MonkeyPatch, tmp_path: Path):
    """Where it is switched off, or its folder cannot be made."""
    cache.setenv("EVINR_CACHE", "")
    assert chosen() is None
    (tmp_path / "file").touch()
    cache.setenv("EVINR_CACHE", str(tmp_path / "file" / "cache"))
    assert chosen() is None
    cache.setenv("EVINR_CACHE", str(tmp_path / "file"))
    assert chosen() is None


def test_the_users_own_cache_stays(cache: pytest.MonkeyPatch, tmp_path: Path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    cache.setenv("EVINR_CACHE", str(tmp_path / "told"))
    assert chosen() == str(tmp_path / "own") and not (tmp_path / "told").exists()


def test_what_was_used_longest_ago_goes_first(cache: pytest.MonkeyPatch, tmp_path: Path):
    cache.setattr(devices, "KEPT", 250)
    cache.setenv("EVINR_CACHE", str(tmp_path))
    for name, made, used in (("old", 1, 1), ("used", 1, 4), ("new", 3, 3), ("middle", 2, 2)):
        (tmp_path / f"{name}-cache").write_bytes(bytes(100))
        os.utime(tmp_path / f"{name}-cache", (used, made))
    (tmp_path / "own.txt").write_bytes(bytes(1000))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "too-cache").write_bytes(bytes(1000))
    devices.compilation_cache()
    assert {file.name for file in tmp_path.iterdir()} == {"used-cache", "new-cache", "own.txt", "own"}
    assert (tmp_path / "own" / "too-cache").exists()


def test_compilations_are_counted():
    function = jax.jit(lambda x: jnp.sin(x) + 1)
    with compilations() as seen:
        function(np.ones(3, np.float32))
        function(np.zeros(3, np.float32))
    assert len(seen) == 1
    with compilations() as seen:
        function(np.ones(3, np.float32))
    assert not seen
    with compilations() as seen:
        function(np.ones(4, np.float32))
    assert len(seen) == 1
    function(np.ones(5, np.float32))
    assert len(seen) == 1
