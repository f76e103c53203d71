"""The commands end to end, in temporary folders: what they write, what they refuse, and what they leave behind."""

import errno
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import imageio.v3 as iio
import numpy as np
import pytest

import evinr
from evinr import report
from evinr.__main__ import _not_ignored, main, parse
from evinr.cli import fit_whole, fit_windows
from evinr.cli.commands import Fit
from evinr.config import DEFAULT, PAPER
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor

# imageio leaves the pipes to ffmpeg, through which videos are read back here, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SMALL = ["--intervals", "8", "--overlap", "2", "--iterations", "20", "--frames", "5"]
"""Two windows of `recording`."""
WHOLE = ["--windows", "whole", "--knots", "6", "--steps", "40", "--hidden", "8", "--basis", "6", "--frames", "5"]
HEIGHT, WIDTH = 24, 32


class Made(NamedTuple):
    """A finished run, and the options that it was made with."""

    folder: Path
    options: list[str]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An N x 4 file of a small simulated scene."""
    events, _ = demo.recording(HEIGHT, WIDTH, 0.2, Sensor(), seed=1)
    path = tmp_path_factory.mktemp("recording") / "scene.npy"
    np.save(path, events.to_array())
    return path


@pytest.fixture(scope="module")
def run(recording: Path) -> Path:
    """A finished run of it."""
    assert main(["fit", str(recording), "--out", str(recording.parent / "runs"), *SIZE, *SMALL]) == 0
    return recording.parent / "runs" / "scene"


@pytest.fixture(scope="module", params=["windows", "whole"])
def made(run: Path, recording: Path, request: pytest.FixtureRequest) -> Made:
    """A finished run of either kind."""
    if request.param == "windows":
        return Made(run, SMALL)
    assert main(["fit", str(recording), "--out", str(recording.parent / "wholes"), *SIZE, *WHOLE]) == 0
    return Made(recording.parent / "wholes" / "scene", WHOLE)


SIZE = ["--height", str(HEIGHT), "--width", str(WIDTH)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line with which a command refuses."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("evinr: ") and captured.err.count("\n") == 1
    assert "Traceback" not in captured.err + captured.out
    return captured.err


def numbers(folder: Path) -> list[np.ndarray]:
    """Whatever was fitted."""
    rec = evinr.load(folder)
    return [*(head.values for head in rec.heads), *(value for _, value in sorted(rec.params.items()))]


def steps_of(folder: Path) -> list[dict[str, float]]:
    """The terms of every step, without what the clock and the machine say."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in ("seconds", "memory_mb")} for row in rows]


# Fit.


def test_a_run_folder_holds_all_that_was_promised(made: Made, recording: Path):
    run, windows = made.folder, made.options == SMALL
    names = {path.name for path in run.iterdir()}
    kept = "windows" if windows else "checkpoint"
    assert names == {"config.json", kept, "metrics.jsonl", "video.mp4", "preview.png", "loss.png"}
    about = json.loads((run / "config.json").read_text())
    assert about["source"] == str(recording) and len(about["sha256"]) == 64
    assert about["config"]["iterations" if windows else "steps"] == (20 if windows else 40)
    assert about["assumptions"] and about["version"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    if windows:
        assert {path.name for path in (run / "windows").iterdir()} == {"000000r.npz", "000001.npz", "index.txt"}
        assert sorted({row["window"] for row in rows}) == [0, 1]
    else:
        assert len(rows) == 40
    assert {"events", "variation", "still", "constancy", "total"} < set(rows[0])
    assert rows[-1]["seconds"] > 0 and rows[-1]["memory_mb"] > 0
    assert iio.imread(run / "video.mp4").shape == (5, HEIGHT, WIDTH, 3)
    assert iio.imread(run / "preview.png").ndim == 3


def test_the_run_is_the_api(made: Made, recording: Path):
    """`evinr fit` and the three verbs from Python give the same numbers."""
    events = evinr.read(recording, evinr.ReadOptions(height=HEIGHT, width=WIDTH)).events
    if made.options == SMALL:
        config = evinr.FitConfig(intervals=8, overlap=2, iterations=20)
    else:
        config = evinr.FitConfig(windows="whole", knots=6, steps=40, hidden=8, basis=6)
    ours = evinr.fit(events, config)
    theirs = evinr.load(made.folder)
    assert theirs.config == ours.config and theirs.span == ours.span
    np.testing.assert_array_equal(theirs.log_intensity(0.1), ours.log_intensity(0.1))


def test_a_saved_reconstruction_is_loaded_as_it_was(made: Made, tmp_path: Path):
    before = evinr.load(made.folder)
    before.save(tmp_path / "copy")
    after = evinr.load(tmp_path / "copy")
    assert (after.config, after.height, after.width, after.span) == (
        before.config,
        before.height,
        before.width,
        before.span,
    )
    np.testing.assert_array_equal(after.rate([0.05, 0.1]), before.rate([0.05, 0.1]))
    with pytest.raises(evinr.InputError, match="exists already"):
        before.save(tmp_path / "copy")


def test_stopped_and_resumed_equals_uninterrupted(
    made: Made, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Ctrl-C in the first window or chunk saves it, says how to go on, and nothing of the result changes."""
    command = ["fit", str(recording), "--out", str(tmp_path), *SIZE, *made.options]
    module, name, taken = (
        (fit_windows, "_row", len([row for row in steps_of(made.folder) if row["window"] == 0]))
        if made.options == SMALL
        else (fit_whole, "_rows", 20)
    )
    rows, calls = getattr(module, name), []

    def interrupted(*arguments: object) -> object:
        if not calls:
            signal.raise_signal(signal.SIGINT)
        calls.append(arguments)
        return rows(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, interrupted)
        assert main(command) == 130
    told = capsys.readouterr().out
    command_told = shlex.split(told.split("to go on: ")[1].strip())
    assert command_told == ["evinr", *command, "--resume"]
    assert len(steps_of(tmp_path / "scene")) == taken and not (tmp_path / "scene" / "video.mp4").exists()
    with (tmp_path / "scene" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "eve')  # as a machine that dies leaves it
    assert main([*command, "--resume"]) == 0
    assert steps_of(tmp_path / "scene") == steps_of(made.folder)
    for ours, theirs in zip(numbers(tmp_path / "scene"), numbers(made.folder), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert main([*command, "--resume"]) == 0
    assert "nothing to resume" in capsys.readouterr().out


def test_resume_refuses_other_settings_and_other_sources(
    made: Made, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = str(made.folder.parent)
    again = ["fit", str(recording), "--out", out, *SIZE, *made.options, "--resume"]
    name, before = ("iterations", 20) if made.options == SMALL else ("steps", 40)
    assert f"{name} was {before} and is now 80" in refused(capsys, *again, f"--{name}", "80")
    other = tmp_path / "scene.npy"
    np.save(other, np.load(recording)[:-1])
    assert "another --name" in refused(capsys, "fit", other, "--out", out, *SIZE, *made.options, "--resume")
    assert "no such run" in refused(capsys, "fit", other, "--out", tmp_path, "--resume")


def test_a_run_is_not_overwritten_unasked(run: Path, recording: Path, capsys: pytest.CaptureFixture[str]):
    before = (run / "config.json").stat()
    assert "--overwrite" in refused(capsys, "fit", recording, "--out", run.parent)
    assert (run / "config.json").stat() == before


@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_leaves_nothing_behind(
    existing: bool,
    made: Made,
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """And a run that was to be overwritten is still there."""
    if existing:
        shutil.copytree(made.folder, tmp_path / "scene")
    before = sorted(tmp_path.rglob("*"))

    def fills_up(path: Path, **_: object) -> None:
        path.write_bytes(b"PK")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", fills_up)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # pyright: ignore[reportAttributeAccessIssue]
    message = refused(capsys, "fit", recording, "--out", tmp_path, "--overwrite", *SIZE, *made.options)
    assert f"{'000000.npz' if made.options == SMALL else 'checkpoint'}: No space left" in message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_video_that_was_cut_short_is_noticed(tmp_path: Path):
    """By how ffmpeg ended: a file may be there, with all of its frames in the index, and lack what they are made of."""
    frames = np.random.default_rng(0).random((8, 64, 64))
    report.video(tmp_path / "v.mp4", iter([frames]), 30.0, lambda _: None)
    size, limits = (tmp_path / "v.mp4").stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    for part in (0, size // 2, size - 1):
        (tmp_path / "v.mp4").unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (part, limits[1]))
        try:
            with pytest.raises(OSError, match="v.mp4: the video could not be written whole"):
                report.video(tmp_path / "v.mp4", iter([frames]), 30.0, lambda _: None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert not list(tmp_path.iterdir())


def test_whatever_a_library_says_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def failing(_: object) -> None:
        raise OSError("Unable to create file (file write failed: time = today\n, errno = 28)")

    monkeypatch.setattr("evinr.cli.info.run", failing)
    assert "time = today , errno = 28" in refused(capsys, "info", "demo")


def test_overwrite_takes_runs_only(recording: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Never a folder that somebody else made, and never the one that holds the recording."""
    mine = tmp_path / "scene"
    mine.mkdir()
    (mine / "events.txt").write_text("0.0 1 1 1\n")
    assert "not a run folder" in refused(capsys, "fit", recording, "--out", tmp_path, "--overwrite")
    assert "not a run folder" in refused(capsys, "fit", mine, "--out", tmp_path, "--overwrite")
    inside = tmp_path / "inside"
    shutil.copytree(run, inside)
    shutil.copy(recording, inside / "scene.npy")
    again = ["fit", inside / "scene.npy", "--out", tmp_path, "--name", "inside", "--overwrite"]
    assert "holds the recording" in refused(capsys, *again)
    for name in ("..", ".", "a/b"):
        assert "one folder" in refused(capsys, "fit", recording, "--out", tmp_path, "--name", name, "--overwrite")
    for out in (run, tmp_path, mine):
        assert "did not make" in refused(capsys, "render", run, "--times", "0.1", "--out", out, "--overwrite")
    assert (mine / "events.txt").exists() and (run / "windows").exists()


def test_names_with_blanks_work_and_those_that_orbax_cannot_read_are_refused(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert "Orbax" in refused(capsys, "fit", recording, "--out", tmp_path, "--name", "a [red] c")
    brackets = tmp_path / "x[1].npy"
    shutil.copy(recording, brackets)
    assert main(["fit", str(brackets), "--out", str(tmp_path), *SIZE, *SMALL]) == 0
    assert "x_1_/video.mp4" in capsys.readouterr().out
    assert main(["fit", str(recording), "--out", str(tmp_path), "--name", "a b", *SIZE, *SMALL]) == 0
    told = capsys.readouterr().out
    command = shlex.split(next(line for line in told.splitlines() if line.startswith("ask it")))[3:]
    assert main(command[: command.index("--times") + 2]) == 0


def test_pictures_that_a_finished_run_lacks_are_made_on_resume(made: Made, recording: Path, tmp_path: Path):
    shutil.copytree(made.folder, tmp_path / "scene")
    preview = iio.imread(tmp_path / "scene" / "preview.png")
    for name in ("video.mp4", "preview.png"):
        (tmp_path / "scene" / name).unlink()
    assert main(["fit", str(recording), "--out", str(tmp_path), *SIZE, *made.options, "--resume"]) == 0
    assert (tmp_path / "scene" / "video.mp4").exists()
    np.testing.assert_array_equal(iio.imread(tmp_path / "scene" / "preview.png"), preview)
    assert steps_of(tmp_path / "scene") == steps_of(made.folder)


@pytest.mark.parametrize("options", [[*SMALL, "--still", "1e30"], [*WHOLE, "--head-rate", "1e38"]])
def test_a_fit_that_diverges_says_so(
    options: list[str], recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    said = refused(capsys, "fit", recording, "--out", tmp_path, *SIZE, *options)
    assert str(recording) in said and "diverged" in said
    assert not list(tmp_path.iterdir())


def test_bad_input_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "bad.npy", np.array([[0.0, 1, 1, 2]]))
    missing, bad, out = tmp_path / "none.npy", tmp_path / "bad.npy", tmp_path / "runs"
    assert "none.npy" in refused(capsys, "fit", missing, "--out", out)
    assert "polarity is 2" in refused(capsys, "fit", bad, "--out", out)
    np.save(bad, np.array([[0.0, 1, 1, 1], [1, 1, 1, -1]]))
    whole = ["fit", bad, "--out", out, "--windows", "whole"]
    assert "--knots 2 or less" in refused(capsys, *whole, "--knots", "5")
    np.save(bad, np.array([[0.5, 1, 1, 1], [0.5, 1, 1, -1], [0.5, 1, 1, -1]]))
    assert "same time" in refused(capsys, *whole)
    bad.write_bytes(bad.read_bytes()[:-1])
    assert "bad.npy" in refused(capsys, "fit", bad, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("rows", [[[0.5, 1, 1, 1]], [[0.5, 1, 1, 1], [0.5, 1, 1, -1], [0.5, 1, 1, -1]]])
def test_a_handful_of_events_gives_a_video(rows: list[list[float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "few.npy", np.array(rows))
    assert main(["fit", str(tmp_path / "few.npy"), "--out", str(tmp_path), "--frames", "5"]) == 0
    assert f"{len(rows)} events at 0.500000 s" in capsys.readouterr().out
    assert iio.imread(tmp_path / "few" / "video.mp4").shape[0] == 5


@pytest.mark.parametrize("options", [[*SMALL, "--iterations", "100000"], [*WHOLE, "--steps", "100000"]])
def test_a_budget_ends_the_fit(options: list[str], recording: Path, tmp_path: Path):
    assert main(["fit", str(recording), "--out", str(tmp_path), *SIZE, *options, "--budget", "3s"]) == 0
    assert 1 <= len(steps_of(tmp_path / "scene")) < 100000
    assert (tmp_path / "scene" / "video.mp4").exists()


def test_the_demo_scores_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["fit", "demo", "--out", str(tmp_path), "--height", "40", "--width", "56", "--t-end", "0.2"]) == 0
    told = capsys.readouterr().out
    assert float(told.split("corr ")[1].split(",")[0]) > 0.7
    assert (tmp_path / "demo" / "preview.png").exists()


def test_colour_end_to_end(recording: Path, tmp_path: Path):
    """All ways of fitting a mosaic give colour pictures."""
    ways = {"windows": SMALL, "mosaic": [*WHOLE, "--colour", "mosaic"], "planes": [*WHOLE, "--colour", "planes"]}
    for way, options in ways.items():
        command = ["fit", str(recording), "--out", str(tmp_path), "--name", way, "--bayer", "rggb", *SIZE, *options]
        assert main(command) == 0
        assert main(["render", str(tmp_path / way), "--times", "0.1"]) == 0
        assert iio.imread(tmp_path / way / "frames" / "frame_00000000.png").shape == (HEIGHT, WIDTH, 3)


def test_wandb_offline(recording: Path, tmp_path: Path):
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}
    command = [sys.executable, "-m", "evinr", "fit", str(recording), "--out", str(tmp_path), "--wandb", *SIZE, *SMALL]
    subprocess.run(command, check=True, env=environment, capture_output=True, cwd=tmp_path)
    assert list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))


# Render.


def test_times_are_rendered_where_they_are_asked_for(run: Path, tmp_path: Path):
    listed = tmp_path / "times.txt"
    listed.write_text("# t file\n0.05 images/a.png\n0.1 images/b.png\n")
    span = evinr.load(run).span
    asked = {
        "times": (["--times", "0.05", "0.1"], [0.05, 0.1]),
        "file": (["--times-file", str(listed)], [0.05, 0.1]),
        "fps": (["--fps", "100"], np.arange(span.start, span.end, 0.01)),
        "count": (["--count", "3"], np.linspace(*span, 3)),
    }
    for name, (options, times) in asked.items():
        out = tmp_path / name
        assert main(["render", str(run), *options, "--out", str(out)]) == 0
        written = [float(line.split()[0]) for line in (out / "images.txt").read_text().splitlines()]
        np.testing.assert_allclose(written, times, atol=1e-9)
        assert len(list(out.glob("*.png"))) == len(times)
        assert json.loads((out / "render.json").read_text())["tone"]["tone"] == "log"


@pytest.mark.parametrize("what", ["intensity", "rate"])
def test_raw_numbers_are_those_of_the_api(what: str, made: Made, tmp_path: Path):
    """Also over several batches; and the picture formats of both are written."""
    run, rec = made.folder, evinr.load(made.folder)
    times = np.linspace(*rec.span, 37)
    assert main(["render", str(run), "--count", "37", "--what", what, "--out", str(tmp_path / "raw.npy")]) == 0
    expected = rec.log_intensity(times) if what == "intensity" else rec.rate(times)
    raw = np.load(tmp_path / "raw.npy")
    if made.options == SMALL:  # products of other sizes round otherwise
        np.testing.assert_allclose(raw, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    else:
        np.testing.assert_array_equal(raw, expected)
    assert main(["render", str(run), "--count", "3", "--what", what, "--out", str(tmp_path / "v.mp4")]) == 0
    assert iio.imread(tmp_path / "v.mp4").shape[0] == 3
    assert main(["render", str(run), "--times", "0.1", "--what", what, "--out", str(tmp_path / "png")]) == 0
    assert iio.imread(tmp_path / "png" / "frame_00000000.png").shape[:2] == (HEIGHT, WIDTH)


def test_render_refuses(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, out = made.folder, tmp_path / "out"
    assert "fitted span" in refused(capsys, "render", run, "--times", "5.0", "--out", out)
    assert "one of --times" in refused(capsys, "render", run, "--out", out)
    assert "one of --times" in refused(capsys, "render", run, "--times", "0.1", "--fps", "10", "--out", out)
    words = tmp_path / "words.txt"
    words.write_text("0.1\nsoon\n")
    assert "line 2: 'soon'" in refused(capsys, "render", run, "--times-file", words, "--out", out)
    assert "no config.json" in refused(capsys, "render", tmp_path, "--times", "0.1", "--out", out)
    assert "no such folder" in refused(capsys, "render", tmp_path / "none", "--times", "0.1", "--out", out)
    assert not out.exists()
    beyond = ["render", str(run), "--times", "5.0", "--extrapolate", "--out", str(out)]
    if made.options == SMALL:
        assert "5.0" in refused(capsys, *beyond) and not out.exists()
        beyond[3] = "0.1"
    assert main(beyond) == 0
    assert "exists already" in refused(capsys, "render", run, "--times", "0.1", "--out", out)
    assert main(["render", str(run), "--times", "0.1", "--overwrite", "--out", str(out)]) == 0


def test_every_truncation_of_what_was_fitted_is_noticed(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = made.folder
    files = [path for path in (run / "checkpoint").rglob("*") if path.is_file() and path.stat().st_size]
    files += (run / "windows").glob("*.npz")
    assert len(files) == 2 if made.options == SMALL else len(files) > 3
    for file in files:
        whole = file.read_bytes()
        try:
            file.write_bytes(whole[: len(whole) // 2])
            assert "cut short" in refused(capsys, "render", run, "--times", "0.1", "--out", tmp_path / "x")
        finally:
            file.write_bytes(whole)


def test_the_tone_map_acts(run: Path, tmp_path: Path):
    pictures = []
    for number, options in enumerate(
        ([], ["--tone", "linear"], ["--tone", "reinhard"], ["--gamma", "2.2"], ["--percentiles", "10", "90"])
    ):
        out = tmp_path / str(number)
        assert main(["render", str(run), "--times", "0.1", "--out", str(out), *options]) == 0
        pictures.append(iio.imread(out / "frame_00000000.png").tobytes())
    assert len(set(pictures)) == len(pictures)


# The command line itself.


def test_presets_are_defaults_that_options_override():
    plain, paper = parse(["fit", "x"]), parse(["fit", "x", "--preset", "paper", "--steps", "7"])
    assert isinstance(plain, Fit) and isinstance(paper, Fit)
    assert plain.fit == DEFAULT
    assert asdict(paper.fit) == asdict(PAPER) | {"steps": 7}
    assert paper.tone.tone == "reinhard" and paper.tone.gamma == 0.6


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fit"],
        ["fit", "x", "--no-such-option"],
        ["fit", "x", "--steps", "7"],
        ["fit", "x", "--windows", "whole", "--steps", "0"],
        ["fit", "x", "--windows", "whole", "--iterations", "7"],
        ["fit", "x", "--iterations", "0"],
        ["fit", "x", "--intervals", "9"],
        ["fit", "x", "--overlap", "17"],
        ["fit", "x", "--basis", "31"],
        ["fit", "x", "--budget", "-3s"],
        ["fit", "x", "--seed", "-1"],
        ["fit", "x", "--smooth", "inf"],
        ["fit", "x", "--frames", "0"],
        ["fit", "x", "--percentiles", "50", "120"],
        ["render", "x", "--times", "0", "--gamma", "0"],
        ["render", "x", "--times", "0", "--play", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out


def test_neither_import_nor_help_starts_jax():
    code = "import sys, evinr, evinr.__main__, converters; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    for name in dir(evinr):
        assert getattr(evinr, name) is not None
    assert callable(evinr.fit) and callable(evinr.load)


@pytest.mark.parametrize("command", ["fit", "render", "convert", "info"])
def test_every_command_has_its_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0 and f"evinr {command}" in capsys.readouterr().out


def test_ctrl_c_that_falls_where_nothing_can_be_raised_comes_again():
    fallen = types.SimpleNamespace(exc_value=KeyboardInterrupt())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in what they start with &
    try:
        with pytest.raises(KeyboardInterrupt):
            _not_ignored(print, fallen)  # pyright: ignore[reportArgumentType]
            for _ in range(600):
                time.sleep(0.1)
    finally:
        signal.signal(signal.SIGINT, before)
