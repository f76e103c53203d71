"""`evinr fit` in windows, end to end: each is saved when it is done, so that a run can be asked, killed and gone on with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

import evinr
from evinr import heads, looks
from evinr.__main__ import main
from evinr.cli import fit_windows, passing
from evinr.heads import Head
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor
from tests.conftest import refused

# imageio leaves the pipes to ffmpeg, through which videos are read back here, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HEIGHT, WIDTH = 20, 24
SIZE = ["--height", str(HEIGHT), "--width", str(WIDTH)]
SMALL = [*SIZE, "--intervals", "8", "--overlap", "2", "--batch", "3", "--iterations", "20", "--frames", "4"]
SEQUENTIAL = [*SMALL, "--windows", "sequential"]
WINDOWS = 9


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file of a simulated scene."""
    events, _ = demo.recording(HEIGHT, WIDTH, 1.2, Sensor(), seed=1)
    path = tmp_path_factory.mktemp("recording") / "scene.txt"
    path.write_text("".join(f"{t:.9f} {x} {y} {p}\n" for t, x, y, p in zip(*events[:4], strict=True)))
    return path


@pytest.fixture(scope="module")
def runs(recording: Path) -> dict[str, Path]:
    """A finished run in either mode, of several windows."""
    found = {}
    for mode in ("sequential", "parallel"):
        assert (
            main(["fit", str(recording), "--out", str(recording.parent), "--name", mode, *SMALL, "--windows", mode])
            == 0
        )
        found[mode] = recording.parent / mode
    return found


MODES = pytest.mark.parametrize("mode", ["sequential", "parallel"])


def fit(recording: Path | str, out: Path, *options: str) -> int:
    return main(["fit", str(recording), "--out", str(out), "--name", "run", *options])


def windows(folder: Path) -> list[Head]:
    stored = heads.Stored(folder / heads.FOLDER)
    return [stored[number] for number in range(len(stored))]


def same(one: Path, other: Path, count: int | None = None) -> None:
    for a, b in zip(windows(one)[:count], windows(other)[:count], strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.times, b.times)


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# What a run leaves.


@MODES
def test_a_run_of_many_windows(runs: dict[str, Path], mode: str):
    folder = runs[mode]
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "windows", "metrics.jsonl", "video.mp4", "preview.png", "loss.png"
    }  # fmt: skip
    found = windows(folder)
    assert len(found) >= WINDOWS and len({head.values.shape for head in found}) == 1
    assert len(iio.imread(folder / "video.mp4")) == 4
    result = evinr.load(folder)
    assert (result.span.start, result.span.end) == (found[0].times[0], found[-1].times[-1])
    assert json.loads((folder / "config.json").read_text())["span"] == list(result.span)
    assert np.isfinite(result.log_intensity(np.linspace(*result.span, 50))).all()


@MODES
def test_rows_of_the_steps(runs: dict[str, Path], mode: str):
    found = rows(runs[mode])
    assert [row["step"] for row in found] == list(range(1, len(found) + 1))
    first = [row["window"] for row in found]
    assert first == sorted(first) and first[0] == 0
    assert all(row["memory_mb"] > 100 and np.isfinite(row["total"]) for row in found)
    batches = {row["window"]: row["windows"] for row in found}
    assert sum(batches.values()) == len(windows(runs[mode]))
    assert max(batches.values()) == (1 if mode == "sequential" else 3)


@MODES
def test_flicker_is_told(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str):
    assert fit(recording, tmp_path, *SMALL, "--windows", mode) == 0
    said = capsys.readouterr().out
    assert "windows in " in said and "flicker (change where nothing fired): 0." in said and "at seams" in said


# Killed, stopped, gone on with.


def raising(number: int, error: BaseException) -> Callable[..., None]:
    """`heads.save` that dies before it saves this window for the first time."""
    save = heads.save

    def dying(folder: Path, window: int, *rest: object) -> None:
        if window == number:
            raise error
        save(folder, window, *rest)  # pyright: ignore[reportArgumentType]

    return dying


@pytest.mark.parametrize(("mode", "last"), [("sequential", 4), ("parallel", 3), ("parallel", 6)])
def test_a_killed_run_goes_on_to_the_same_bits(
    recording: Path, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, last: int
):
    """Before any window, in parallel before any batch."""
    options = [*SMALL, "--windows", mode]
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(heads, "save", raising(last, RuntimeError("killed")))
        fit(recording, tmp_path, *options)
    folder = tmp_path / "run"
    assert len(windows(folder)) == last and not (folder / "video.mp4").exists()
    assert fit(recording, tmp_path, *options, "--resume") == 0
    same(folder, runs[mode])
    assert [row["step"] for row in rows(folder)] == list(range(1, len(rows(folder)) + 1))
    assert len(windows(folder)) == len(windows(runs[mode])) and (folder / "video.mp4").exists()


@pytest.fixture(scope="module")
def killed(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a process leaves that is killed while it fits."""
    out = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "evinr", "fit", str(recording), "--out", str(out), "--name", "run", *SEQUENTIAL]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while heads.done(out / "run" / heads.FOLDER) < 3:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    return out / "run"


def test_a_process_that_is_killed_loses_no_window_that_was_done(killed: Path, recording: Path, runs: dict[str, Path]):
    done = heads.done(killed / heads.FOLDER)
    assert 3 <= done
    result = evinr.load(killed)  # and can be asked
    assert np.isfinite(result.log_intensity(result.span.end)).all()
    assert fit(recording, killed.parent, *SEQUENTIAL, "--resume") == 0
    same(killed, runs["sequential"])


def test_a_run_can_be_asked_while_it_is_fitted(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    save = heads.save

    def asked(folder: Path, number: int, *rest: object) -> None:
        save(folder, number, *rest)  # pyright: ignore[reportArgumentType]
        result = evinr.load(tmp_path / "run")
        seen.append(result.span.end)
        assert np.isfinite(result.log_intensity([result.span.start, result.span.end])).all()

    monkeypatch.setattr(heads, "save", asked)
    assert fit(recording, tmp_path, *SEQUENTIAL) == 0
    assert len(set(seen)) >= WINDOWS and max(seen) == seen[-1]


@MODES
def test_ctrl_c_saves_and_tells(
    recording: Path, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, mode: str,
):  # fmt: skip
    options = [*SMALL, "--windows", mode]
    monkeypatch.setattr(signal, "signal", signal.signal)
    fitted = fit_windows.fitted_windows

    def interrupted(*given: object, **options: object) -> Iterator[looks.Look]:
        for number, look in enumerate(fitted(*given, **options)):  # pyright: ignore[reportArgumentType]
            if number == 7:
                os.kill(os.getpid(), signal.SIGINT)
            yield look

    with monkeypatch.context() as patched:
        patched.setattr(fit_windows, "fitted_windows", interrupted)
        assert fit(recording, tmp_path, *options) == 130
    said = capsys.readouterr().out
    assert "stopping" in said and "windows, all saved; to go on: evinr fit" in said and "--resume" in said
    assert 0 < len(windows(tmp_path / "run")) < WINDOWS
    assert fit(recording, tmp_path, *options, "--resume") == 0
    same(tmp_path / "run", runs[mode])


def test_resume_refuses_other_settings(runs: dict[str, Path], recording: Path, capsys: pytest.CaptureFixture[str]):
    at = ["--out", str(recording.parent), "--name", "sequential", *SEQUENTIAL, "--resume"]
    assert "tie was 0.1 and is now 0.2" in refused(capsys, "fit", recording, *at, "--tie", "0.2")
    assert "windows was sequential and is now parallel" in refused(
        capsys, "fit", recording, *at, "--windows", "parallel"
    )
    assert main(["fit", str(recording), *at]) == 0
    assert "finished" in capsys.readouterr().out


def test_overwrite(runs: dict[str, Path], recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(runs["sequential"], tmp_path / "run")
    at = ["--out", tmp_path, "--name", "run"]
    assert "--resume, --overwrite" in refused(capsys, "fit", recording, *at, *SEQUENTIAL)
    # What cannot be read at all leaves the run as it was.
    refused(capsys, "fit", recording.parent / "missing.txt", *at, *SEQUENTIAL, "--overwrite")
    same(tmp_path / "run", runs["sequential"])
    assert fit(recording, tmp_path, *SMALL, "--windows", "parallel", "--overwrite") == 0
    same(tmp_path / "run", runs["parallel"])


@pytest.mark.parametrize("budget", [["--budget", "1s"], ["--window-budget", "0.01s"]])
def test_budgets(recording: Path, runs: dict[str, Path], tmp_path: Path, budget: list[str]):
    """Fewer steps, all windows."""
    assert fit(recording, tmp_path, *SEQUENTIAL, "--iterations", "3000", "--warm-iterations", "3000", *budget) == 0
    assert len(windows(tmp_path / "run")) == len(windows(runs["sequential"]))
    assert max(row["steps"] for row in rows(tmp_path / "run")) < 3000


# Live.


@pytest.fixture
def pipe() -> Iterator[int]:
    """Standard input becomes a pipe; gives the end to write to."""
    before = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield writing
    os.dup2(before, 0)
    os.close(before)


def sent(writing: int, content: bytes, then: Callable[[], object] = bool) -> threading.Thread:
    """Write it, and close the pipe after `then`."""

    def write() -> None:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(writing, left) :]
            then()
        except BrokenPipeError:
            pass
        finally:
            os.close(writing)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


TEXT = [*SEQUENTIAL, "--format", "text"]


def test_a_pipe_gives_the_windows_of_the_file(
    recording: Path, runs: dict[str, Path], tmp_path: Path, pipe: int, capsys: pytest.CaptureFixture[str]
):
    """Also with the default, parallel, which would have them wait; and the newest picture lies beside them."""
    sent(pipe, recording.read_bytes())
    assert fit("-", tmp_path, *SMALL, "--format", "text") == 0
    same(tmp_path / "run", runs["sequential"])
    assert "live: windows are fitted one after another" in capsys.readouterr().out
    assert iio.imread(tmp_path / "run" / "latest.png").shape == (HEIGHT, WIDTH)
    about = json.loads((tmp_path / "run" / "config.json").read_text())
    assert about["config"]["windows"] == "sequential" and any(
        "seconds" in said or "times" in said for said in about["assumptions"]
    )


def test_a_growing_file(recording: Path, runs: dict[str, Path], tmp_path: Path):
    lines = recording.read_bytes().splitlines(keepends=True)
    growing = tmp_path / "growing.txt"
    growing.write_bytes(b"".join(lines[:2000]))

    def grow() -> None:
        with growing.open("ab") as file:
            for start in range(2000, len(lines), 2000):
                time.sleep(0.05)
                file.write(b"".join(lines[start : start + 2000]))
                file.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    assert fit(growing, tmp_path, *TEXT, "--follow", "1s") == 0
    writer.join()
    same(tmp_path / "run", runs["sequential"])


def test_a_stream_that_stops_half_way(recording: Path, tmp_path: Path, pipe: int, capsys: pytest.CaptureFixture[str]):
    """In the middle of a line: what came is a video, and what was cut off is said."""
    content = recording.read_bytes()
    sent(pipe, content[: content.index(b"\n", len(content) // 2) + 6])
    assert fit("-", tmp_path, *TEXT) == 0
    said = capsys.readouterr().out
    assert "left out" in said and (tmp_path / "run" / "video.mp4").exists()
    assert 2 <= len(windows(tmp_path / "run")) < WINDOWS


def test_a_fault_in_a_stream_is_told_after_a_video_of_what_came(
    recording: Path, runs: dict[str, Path], tmp_path: Path, pipe: int, capsys: pytest.CaptureFixture[str]
):
    lines = recording.read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    sent(pipe, b"".join([*lines[:half], b"0.7 3 oops 1\n", *lines[half:]]))
    said = refused(capsys, "fit", "-", "--out", tmp_path, "--name", "run", *TEXT)
    assert "oops" in said or f"line {half + 1}" in said
    found = windows(tmp_path / "run")
    assert 2 <= len(found) < WINDOWS and len(iio.imread(tmp_path / "run" / "video.mp4")) == 4
    np.testing.assert_array_equal(found[0].values, windows(runs["sequential"])[0].values)


def test_a_fault_at_the_start_of_a_stream_leaves_nothing(tmp_path: Path, pipe: int, capsys: pytest.CaptureFixture[str]):
    sent(pipe, b"0.2 3 oops 1\n")
    assert "oops" in refused(capsys, "fit", "-", "--out", tmp_path, "--name", "run", *TEXT)
    assert not (tmp_path / "run").exists()


def test_events_that_were_dropped_are_counted(
    recording: Path, tmp_path: Path, pipe: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The fit comes to a stand until all is written: what waits then is limited, the oldest are gone."""
    monkeypatch.setattr(passing, "open_live", partial(passing.open_live, limit=3000))
    arrived = threading.Event()
    content = recording.read_bytes()
    half = content.index(b"\n", len(content) // 2) + 1

    def more() -> None:
        time.sleep(0.3)  # another block
        os.write(pipe, content[half:])
        arrived.set()

    thread = sent(pipe, content[:half], more)
    fitted = fit_windows.fitted_windows

    def late(*given: object, **options: object) -> Iterator[looks.Look]:
        arrived.wait(10)
        time.sleep(0.3)
        return fitted(*given, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(fit_windows, "fitted_windows", late)
    assert fit("-", tmp_path, *TEXT, "--when-late", "drop") == 0
    thread.join()
    said = capsys.readouterr().out
    assert "events were dropped, the oldest that waited" in said
    assert any("dropped" in line for line in json.loads((tmp_path / "run" / "config.json").read_text())["assumptions"])


def test_ctrl_c_ends_a_stream_that_is_silent(
    recording: Path, tmp_path: Path, pipe: int, capsys: pytest.CaptureFixture[str]
):
    """It need not wait for more to come: the video is made of what came."""
    content = recording.read_bytes()
    ended = threading.Event()

    def interrupt() -> None:
        while heads.done(tmp_path / "run" / heads.FOLDER) < 2:
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)
        ended.wait(30)

    thread = sent(pipe, content[: content.index(b"\n", len(content) // 2) + 1], interrupt)
    assert fit("-", tmp_path, *TEXT) == 0
    ended.set()
    thread.join()
    assert "stopping" in capsys.readouterr().out and (tmp_path / "run" / "video.mp4").exists()
