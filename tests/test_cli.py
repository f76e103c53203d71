"""The commands end to end, in temporary folders: what they write, what they refuse, and what they leave behind."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import asdict
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

import evinr
from evinr import report
from evinr.__main__ import _not_ignored, main, parse
from evinr.cli import fit as fit_command
from evinr.cli.commands import Fit
from evinr.config import DEFAULT, PAPER
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor

# imageio leaves the pipes to ffmpeg, through which videos are read back here, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SMALL = ["--knots", "6", "--steps", "40", "--hidden", "8", "--basis", "6", "--frames", "5"]
HEIGHT, WIDTH = 24, 32


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


SIZE = ["--height", str(HEIGHT), "--width", str(WIDTH)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line with which a command refuses."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("evinr: ") and captured.err.count("\n") == 1
    assert "Traceback" not in captured.err + captured.out
    return captured.err


def parameters(folder: Path) -> dict[str, np.ndarray]:
    return evinr.load(folder).params


def steps_of(folder: Path) -> list[dict[str, float]]:
    """The terms of every step, without what the clock and the machine say."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in ("seconds", "memory_mb")} for row in rows]


# Fit.


def test_a_run_folder_holds_all_that_was_promised(run: Path, recording: Path):
    names = {path.name for path in run.iterdir()}
    assert names == {"config.json", "checkpoint", "metrics.jsonl", "video.mp4", "preview.png", "loss.png"}
    about = json.loads((run / "config.json").read_text())
    assert about["source"] == str(recording) and len(about["sha256"]) == 64
    assert about["config"]["steps"] == 40 and about["assumptions"] and about["version"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert {"events", "variation", "still", "constancy", "total"} < set(rows[0])
    assert rows[-1]["seconds"] > 0 and rows[-1]["memory_mb"] > 0
    assert iio.imread(run / "video.mp4").shape == (5, HEIGHT, WIDTH, 3)
    assert iio.imread(run / "preview.png").ndim == 3


def test_the_run_is_the_api(run: Path, recording: Path):
    """`evinr fit` and the three verbs from Python give the same numbers."""
    events = evinr.read(recording, evinr.ReadOptions(height=HEIGHT, width=WIDTH)).events
    ours = evinr.fit(events, evinr.FitConfig(knots=6, steps=40, hidden=8, basis=6))
    theirs = evinr.load(run)
    assert theirs.config == ours.config and theirs.span == ours.span
    np.testing.assert_array_equal(theirs.log_intensity(0.1), ours.log_intensity(0.1))


def test_a_saved_reconstruction_is_loaded_as_it_was(run: Path, tmp_path: Path):
    before = evinr.load(run)
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
    run: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Ctrl-C in the first chunk saves it, says how to go on, and nothing of the result changes."""
    command = ["fit", str(recording), "--out", str(tmp_path), *SIZE, *SMALL]
    rows = fit_command._rows

    def interrupted(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return rows(*arguments)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(fit_command, "_rows", interrupted)
        assert main(command) == 130
    told = capsys.readouterr().out
    command_told = shlex.split(told.split("to go on: ")[1].strip())
    assert command_told == ["evinr", *command, "--resume"]
    assert len(steps_of(tmp_path / "scene")) == 20 and not (tmp_path / "scene" / "video.mp4").exists()
    with (tmp_path / "scene" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "eve')  # as a machine that dies leaves it
    assert main([*command, "--resume"]) == 0
    assert steps_of(tmp_path / "scene") == steps_of(run)
    for name, value in parameters(run).items():
        np.testing.assert_array_equal(parameters(tmp_path / "scene")[name], value)
    assert main([*command, "--resume"]) == 0
    assert "nothing to resume" in capsys.readouterr().out


def test_resume_refuses_other_settings_and_other_sources(
    run: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    again = ["fit", str(recording), "--out", str(run.parent), *SIZE, *SMALL, "--resume"]
    assert "steps was 40 and is now 80" in refused(capsys, *again, "--steps", "80")
    other = tmp_path / "scene.npy"
    np.save(other, np.load(recording)[:-1])
    assert "another --name" in refused(capsys, "fit", other, "--out", str(run.parent), *SIZE, *SMALL, "--resume")
    assert "no such run" in refused(capsys, "fit", other, "--out", tmp_path, "--resume")


def test_a_run_is_not_overwritten_unasked(run: Path, recording: Path, capsys: pytest.CaptureFixture[str]):
    before = (run / "config.json").stat()
    assert "--overwrite" in refused(capsys, "fit", recording, "--out", run.parent)
    assert (run / "config.json").stat() == before


@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_leaves_nothing_behind(
    existing: bool,
    run: Path,
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """And a run that was to be overwritten is still there."""
    if existing:
        shutil.copytree(run, tmp_path / "scene")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # pyright: ignore[reportAttributeAccessIssue]
    message = refused(capsys, "fit", recording, "--out", tmp_path, "--overwrite", *SIZE, *SMALL)
    assert "checkpoint: No space left" in message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_video_that_was_cut_short_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """ffmpeg that meets a full disk leaves a file, and imageio says nothing."""
    frames = np.zeros((2, 16, 16))

    class Cut:
        def __enter__(self) -> "Cut":
            return self

        def __exit__(self, *_: object) -> None:
            (tmp_path / ".partial-v.mp4").write_bytes(b"no index")

        def append_data(self, _: object) -> None: ...

    monkeypatch.setattr(report.iio, "get_writer", lambda *_, **__: Cut())
    with pytest.raises(OSError, match="v.mp4: the video could not be written whole"):
        report.video(tmp_path / "v.mp4", iter([frames]), 30.0, lambda _: None)
    assert not list(tmp_path.iterdir())


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
    assert (mine / "events.txt").exists() and (run / "checkpoint").exists()


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


def test_pictures_that_a_finished_run_lacks_are_made_on_resume(run: Path, recording: Path, tmp_path: Path):
    shutil.copytree(run, tmp_path / "scene")
    (tmp_path / "scene" / "video.mp4").unlink()
    assert main(["fit", str(recording), "--out", str(tmp_path), *SIZE, *SMALL, "--resume"]) == 0
    assert (tmp_path / "scene" / "video.mp4").exists()


def test_a_fit_that_diverges_says_so(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["fit", recording, "--out", tmp_path, *SIZE, *SMALL, "--head-rate", "1e38"]
    assert "diverged" in refused(capsys, *command)
    assert not list(tmp_path.iterdir())


def test_bad_input_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "bad.npy", np.array([[0.0, 1, 1, 2]]))
    missing, bad, out = tmp_path / "none.npy", tmp_path / "bad.npy", tmp_path / "runs"
    assert "none.npy" in refused(capsys, "fit", missing, "--out", out)
    assert "polarity is 2" in refused(capsys, "fit", bad, "--out", out)
    np.save(bad, np.array([[0.0, 1, 1, 1], [1, 1, 1, -1]]))
    assert "--knots 2 or less" in refused(capsys, "fit", bad, "--out", out, "--knots", "5")
    np.save(bad, np.array([[0.5, 1, 1, 1], [0.5, 1, 1, -1], [0.5, 1, 1, -1]]))
    assert "same time" in refused(capsys, "fit", bad, "--out", out)
    assert not out.exists()


def test_a_budget_ends_the_fit(recording: Path, tmp_path: Path):
    command = ["fit", str(recording), "--out", str(tmp_path), *SIZE, *SMALL, "--steps", "100000", "--budget", "3s"]
    assert main(command) == 0
    assert 20 <= len(steps_of(tmp_path / "scene")) < 100000


def test_the_demo_scores_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["fit", "demo", "--out", str(tmp_path), "--height", "40", "--width", "56", "--t-end", "0.2"]) == 0
    told = capsys.readouterr().out
    assert float(told.split("corr ")[1].split(",")[0]) > 0.7
    assert (tmp_path / "demo" / "preview.png").exists()


def test_colour_end_to_end(recording: Path, tmp_path: Path):
    """Both ways of fitting a mosaic give colour pictures."""
    for colour in ("mosaic", "planes"):
        options = ["--name", colour, "--bayer", "rggb", "--colour", colour, *SIZE, *SMALL]
        assert main(["fit", str(recording), "--out", str(tmp_path), *options]) == 0
        assert main(["render", str(tmp_path / colour), "--times", "0.1"]) == 0
        assert iio.imread(tmp_path / colour / "frames" / "frame_00000000.png").shape == (HEIGHT, WIDTH, 3)


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
def test_raw_numbers_are_those_of_the_api(what: str, run: Path, tmp_path: Path):
    """Also over several batches; and the picture formats of both are written."""
    rec = evinr.load(run)
    times = np.linspace(*rec.span, 37)
    assert main(["render", str(run), "--count", "37", "--what", what, "--out", str(tmp_path / "raw.npy")]) == 0
    expected = rec.log_intensity(times) if what == "intensity" else rec.rate(times)
    np.testing.assert_array_equal(np.load(tmp_path / "raw.npy"), expected)
    assert main(["render", str(run), "--count", "3", "--what", what, "--out", str(tmp_path / "v.mp4")]) == 0
    assert iio.imread(tmp_path / "v.mp4").shape[0] == 3
    assert main(["render", str(run), "--times", "0.1", "--what", what, "--out", str(tmp_path / "png")]) == 0
    assert iio.imread(tmp_path / "png" / "frame_00000000.png").shape[:2] == (HEIGHT, WIDTH)


def test_render_refuses(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert "fitted span" in refused(capsys, "render", run, "--times", "5.0", "--out", out)
    assert "one of --times" in refused(capsys, "render", run, "--out", out)
    assert "one of --times" in refused(capsys, "render", run, "--times", "0.1", "--fps", "10", "--out", out)
    words = tmp_path / "words.txt"
    words.write_text("0.1\nsoon\n")
    assert "line 2: 'soon'" in refused(capsys, "render", run, "--times-file", words, "--out", out)
    assert "no config.json" in refused(capsys, "render", tmp_path, "--times", "0.1", "--out", out)
    assert "no such folder" in refused(capsys, "render", tmp_path / "none", "--times", "0.1", "--out", out)
    assert not out.exists()
    assert main(["render", str(run), "--times", "5.0", "--extrapolate", "--out", str(out)]) == 0
    assert "exists already" in refused(capsys, "render", run, "--times", "0.1", "--out", out)
    assert main(["render", str(run), "--times", "0.1", "--overwrite", "--out", str(out)]) == 0


def test_every_truncation_of_a_checkpoint_is_noticed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = [path for path in (run / "checkpoint").rglob("*") if path.is_file() and path.stat().st_size]
    assert len(files) > 3
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
        ["fit", "x", "--steps", "0"],
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
    with pytest.raises(KeyboardInterrupt):
        _not_ignored(print, fallen)  # pyright: ignore[reportArgumentType]
        time.sleep(60)
