"""The short version of experiments/faults: real processes, killed at a few of the worst moments."""

import os
import random
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from evinr.__main__ import main
from experiments.faults import processes
from experiments.faults.comparison import contents, differences, leftovers
from experiments.faults.kill import Reference, tortured, undisturbed
from experiments.faults.lives import Place, live
from experiments.faults.targets import CUT, Given, Target, fit, half_fit, recording, windows

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="goes by Linux' /proc")

ROOT = Path(__file__).parents[1]
QUICK = (*CUT, "--iterations", "20", "--warm-iterations", "10")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    recording(folder / "scene.txt", 0.6, 1)
    return Given(folder / "scene.txt", folder, folder)


def target(mode: str) -> Target:
    return Target(partial(fit, (*QUICK, "--windows", mode)), half_fit, done=windows)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps compiled programs."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def whole(given: Given, scratch: Path) -> Path:
    """The folder of an undisturbed run."""
    place = Place(scratch, scratch / "out")
    life = live(target("sequential").words(given, place.out, random.Random(0)), place)
    assert (life.code, life.killed, life.errors, life.survivors) == (0, False, "", [])
    assert len(life.changes) > 20 and life.changes[-1].startswith("os.r")
    return place.out


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_fit_that_is_killed_again_and_again(given: Given, scratch: Path, whole: Path, mode: str):
    if mode == "sequential":
        reference = Reference(contents(whole), 10.0, 40)
    else:
        reference = undisturbed(target(mode), given, scratch, 1)
    found = tortured(target(mode), given, scratch, reference, kills=3, aimed=1.0, chance=random.Random(2009))
    assert found["wrong"] == [] and found["kills"] == 3 == found["at_changes"]
    assert any(moment["done"] > 0 for moment in found["moments"])


def test_the_harness_sees_what_is_lost(whole: Path, tmp_path: Path):
    """A run of which a window, a row and the video were damaged, one file was added and one is missing."""
    expected = contents(whole)
    out, run = tmp_path / "out", tmp_path / "out" / "run"
    shutil.copytree(whole, out)
    assert half_fit(out, {}, expected) == [] == differences(expected, contents(out))
    window = sorted((run / "windows").glob("*.npz"))[1]
    size = window.stat().st_size
    with np.load(window) as file:
        arrays = dict(file)
    arrays["values"][0, 0, 0, 0] += 0.5
    np.savez(window, **arrays)
    assert window.stat().st_size == size
    (run / "video.mp4").write_bytes((run / "video.mp4").read_bytes()[:-1])
    rows = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(rows[: rows.rindex("{")])
    (run / "loss.png").unlink()
    (run / ".partial-x").touch()
    assert differences(expected, contents(out)) == [
        "run/.partial-x should not be there",
        "run/loss.png is missing",
        "run/metrics.jsonl differs",
        "run/video.mp4 differs",
        f"run/windows/{window.name} differs",
    ]
    assert leftovers(tmp_path) == ["out/run/.partial-x"]
    assert half_fit(out, {}, expected) == ["video.mp4 is there, and is not whole", f"windows/{window.name} differs"]


# Files that may not grow as far as they must: what a full disk is to a process, without a disk.

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from evinr.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def test_files_that_cannot_be_written(given: Given, whole: Path, tmp_path: Path):
    """A window is one. One line says so, and with space the run is as if nothing had been."""
    words = target("sequential").words(given, tmp_path, random.Random(0))
    told = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", LIMITED, "5000", *words], env=told, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"evinr: {tmp_path}/run/windows/") and "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert main(words) == 0
    assert differences(contents(whole), contents(tmp_path)) == []


def test_a_child_is_found_and_so_is_what_outlives_its_parent(tmp_path: Path):
    script = "import subprocess, time; p = subprocess.Popen(['sleep', '60'], start_new_session=True);"
    script += "print(p.pid, flush=True); time.sleep(60)"
    told = os.environ | {processes.LIFE: str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], env=told, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        number = int(parent.stdout.readline())
        (child,) = [one for one in processes.everyone() if one.parent == parent.pid]
        assert child == (number, parent.pid, "sleep 60", str(tmp_path))
        parent.kill()
    assert processes.survivors(str(tmp_path), 0.1) == ["sleep 60"]
    assert processes.survivors(str(tmp_path), 10.0) == []
