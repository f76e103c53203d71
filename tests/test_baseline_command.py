"""`evinr baseline` end to end, and its runs in `evaluate`, `compare` and `report`."""

import json
import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import refused
from published import publish
from rich.console import Console

from baselines import installed
from baselines.checkpoints import load
from baselines.firenet import PLUS, FireNet
from baselines.methods import DEBLURRING, METHODS
from baselines.runner import pictures
from baselines.weights import entries
from baselines.windows import between_frames
from converters import ReadOptions
from evinr.__main__ import main
from evinr.cli import prediction_files, source
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor

# imageio leaves the pipes to ffmpeg, through which videos are read back here, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HEIGHT, WIDTH = 24, 32
TIMES = np.arange(0.02, 0.3, 0.05)
RNG = np.random.default_rng(0)
FIRE = {name: 0.1 * RNG.standard_normal(shape, np.float32) for name, shape in entries(FireNet(5, 16, PLUS)).items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording that has frames (`slider`), and weights of FireNet+ (`fire.pth`)."""
    root = tmp_path_factory.mktemp("baseline")
    events, scene = demo.recording(HEIGHT, WIDTH, 0.3, Sensor(), seed=1)
    (root / "slider/images").mkdir(parents=True)
    np.savetxt(root / "slider/events.txt", events.to_array(), fmt="%.9f %d %d %d")
    lines = []
    for number, time in enumerate(TIMES):
        name = f"images/frame_{number:08d}.png"
        iio.imwrite(root / "slider" / name, np.rint(255 * np.exp(scene(time))).astype(np.uint8))
        lines.append(f"{time:.9f} {name}\n")
    (root / "slider/images.txt").write_text("".join(lines))
    publish(root / "fire.pth", FIRE)
    return root


def baseline(place: Path, out: Path, *more: str) -> Path:
    """A run of FireNet+ on the recording."""
    words = ["baseline", "firenet+", str(place / "slider"), "--weights", str(place / "fire.pth"), "--out", str(out)]
    assert main([*words, "--name", "fire", *more]) == 0
    return out / "fire"


def test_a_run_has_the_networks_pictures_at_the_frames_times(place: Path, tmp_path: Path):
    run = baseline(place, tmp_path)
    assert {file.name for file in run.iterdir()} == {
        *("config.json", "frames", "frames.npy", "frames.txt", "preview.png", "video.mp4")
    }
    frames, times = np.load(run / "frames.npy"), np.loadtxt(run / "frames.txt")
    np.testing.assert_allclose(times, TIMES)
    model = load("firenet+", place / "fire.pth")
    recording = source.read(str(place / "slider"), ReadOptions(), 0, Console(quiet=True))
    windows = between_frames(recording.events.t, TIMES)
    np.testing.assert_array_equal(frames, np.concatenate(list(pictures(model, recording.events, windows))))
    listed = [line.split() for line in (run / "frames/images.txt").read_text().splitlines()]
    np.testing.assert_allclose([float(time) for time, _ in listed], TIMES)
    last = iio.imread(run / "frames" / listed[-1][1])
    np.testing.assert_array_equal(last, np.rint(255 * np.clip(frames[-1], 0, 1)).astype(np.uint8))
    assert len(iio.imread(run / "video.mp4")) == len(TIMES)
    about = json.loads((run / "config.json").read_text())
    assert about["method"] == "firenet+" and about["windows"]["windows"] == "between-frames"
    assert (
        about["weights"] == model.sha256
        and about["numbers"] == model.numbers
        and about["precision"] == "float32"
        and about["sha256"]
        and about["version"]
    )


@pytest.mark.parametrize(
    ("options", "count", "said"),
    [
        (["--windows", "t-seconds", "--window-seconds", "0.1"], 2, "2 windows of 0.1 s"),
        (["--window-events", "500"], None, "windows of 500 events"),
        (["--skip-frames"], 7, "7 windows of 0.04 s, as it has no camera frames"),
    ],
)
def test_windows_of_other_kinds(
    options: list[str], count: int | None, said: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = baseline(place, tmp_path, *options)
    told = capsys.readouterr().out
    assert said in told and "fill no window and are left out" in told
    times = np.loadtxt(run / "frames.txt")
    assert (np.diff(times) > 0).all() and len(times) == (count or len(times))
    assert prediction_files.read(run, None, "auto").prediction.at(times).shape == (len(times), HEIGHT, WIDTH)


def test_a_finish_of_its_own(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain = np.load(baseline(place, tmp_path) / "frames.npy")
    monkeypatch.setitem(METHODS, "firenet+", METHODS["firenet+"]._replace(finish="robust"))
    stretched = np.load(baseline(place, tmp_path, "--overwrite") / "frames.npy")
    low, high = np.percentile(plain[-1], (1, 99))
    np.testing.assert_allclose(stretched[-1], (plain[-1] - low) / (high - low), rtol=1e-5, atol=1e-6)


def test_colour(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = baseline(place, tmp_path, "--bayer", "rggb")
    frames = np.load(run / "frames.npy")
    assert frames.shape == (len(TIMES), HEIGHT, WIDTH, 3) and frames.dtype == np.uint8
    assert iio.imread(run / "frames/frame_00000003.png").shape == (HEIGHT, WIDTH, 3)
    prediction = prediction_files.read(run, None, "auto").prediction
    gray = frames[3] / 255 @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(prediction.at(TIMES[3:4])[0], gray, atol=1e-6)
    words = [
        "baseline",
        "firenet+",
        place / "slider",
        "--weights",
        place / "fire.pth",
        "--out",
        tmp_path,
        "--name",
        "odd",
    ]
    assert "even sides" in refused(
        capsys, *words, "--bayer", "rggb", "--skip-frames", "--height", "25", "--width", "32"
    )
    assert not (tmp_path / "odd").exists()


def test_runs_are_scored_compared_and_reported(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, slider = baseline(place, tmp_path), str(place / "slider")
    assert main(["evaluate", str(run), "--truth", slider, "--out", str(tmp_path / "scores")]) == 0
    scores = json.loads((tmp_path / "scores/scores.json").read_text())
    assert scores["frames"] == {"in_cut": len(TIMES), "scored": len(TIMES)}
    small = ["--out", str(tmp_path / "both"), "--weights", "firenet+", str(place / "fire.pth")]
    assert main(["compare", slider, "--methods", "firenet+", *small]) == 0
    compared = json.loads((tmp_path / "both/scores.json").read_text())["methods"]
    assert compared["firenet+"]["scores"]["mse"] == scores["scores"]["mse"]
    capsys.readouterr()
    assert main(["compare", slider, "--methods", "firenet+", *small]) == 0
    assert "is finished: kept" in capsys.readouterr().out
    converted = tmp_path / "fire.safetensors"  # is the same weights
    assert main(["weights", "convert", str(place / "fire.pth"), str(converted)]) == 0
    assert main(["compare", slider, "--methods", "firenet+", *small[:3], "firenet+", str(converted)]) == 0
    assert "is finished: kept" in capsys.readouterr().out
    before = (tmp_path / "both/firenet+/frames.npy").stat()
    again = ["compare", slider, "--methods", "firenet+", *small]
    assert "at other times than the frames" in refused(capsys, *again, "--window-seconds", "0.05")
    assert "was made with another windows" in refused(capsys, *again, "--window-seconds", "0.05", "--skip-frames")
    assert "was made with another read" in refused(capsys, *again, "--t-end", "0.2")
    assert (tmp_path / "both/firenet+/frames.npy").stat() == before
    other = publish(tmp_path / "other.pth", {name: values * 2 for name, values in FIRE.items()})
    assert "was made with another weights" in refused(capsys, *again[:-1], other)
    shutil.copytree(run, tmp_path / "spare")
    for option, said in (("--bayer", "bayer"), ("--precision", "precision")):
        shutil.rmtree(tmp_path / "both/firenet+")
        value = {"--bayer": "rggb", "--precision": "bfloat16"}[option]
        shutil.move(baseline(place, tmp_path / said, option, value), tmp_path / "both/firenet+")
        assert f"was made with another {said}" in refused(capsys, *again)
    assert "is a run of firenet+" in refused(capsys, "render", run, "--times", "0.1")
    page = tmp_path / "page.html"
    assert main(["report", str(run), "--out", str(page)]) == 0
    assert "between-frames" in page.read_text()


def test_the_demo_needs_no_files(place: Path, tmp_path: Path):
    demo = ["demo", "--height", "24", "--width", "32", "--t-end", "0.2", "--out", str(tmp_path)]
    assert main(["baseline", "firenet+", *demo, "--weights", str(place / "fire.pth")]) == 0
    run = tmp_path / "demo-firenet+"
    assert len(np.loadtxt(run / "frames.txt")) == 5  # 25 a second
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0


def test_what_is_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    slider, fire, out = place / "slider", ["--weights", place / "fire.pth"], ["--out", tmp_path / "new"]
    run = baseline(place, tmp_path)
    mine = ["baseline", "firenet+", slider, *fire, "--out", tmp_path]
    assert "exists already" in refused(capsys, *mine, "--name", "fire")
    (tmp_path / "mine").mkdir()
    assert "is no run of a network" in refused(capsys, *mine, "--name", "mine", "--overwrite")
    assert "one folder" in refused(capsys, *mine, "--name", "a/b")
    shutil.copytree(slider, run / "recording")
    again = ["baseline", "firenet+", run / "recording", *fire, "--out", tmp_path, "--name", "fire", "--overwrite"]
    assert "holds recording, which is not of the run" in refused(capsys, *again)
    shutil.move(run / "recording", tmp_path / "moved")
    shutil.copy(place / "fire.pth", run)
    inside = ["baseline", "firenet+", slider, "--weights", run / "fire.pth", "--out", tmp_path, "--name", "fire"]
    assert "holds fire.pth" in refused(capsys, *inside, "--overwrite") and (run / "fire.pth").is_file()
    assert "holds FireNet+, not FireNet; run firenet+" in refused(capsys, "baseline", "firenet", slider, *fire, *out)
    assert "--weights FILE" in refused(capsys, "baseline", "e2vid", slider, *out)
    monkeypatch.setattr(installed, "pie_net_weights", lambda name: None)
    assert "pip install --no-deps event-pienet" in refused(capsys, "baseline", "pie-net", slider, *out)
    many = ["--windows", "k-events", "--window-events", "10000000"]
    assert "fill no window" in refused(capsys, "baseline", "firenet+", slider, *fire, *out, *many)
    no_frames = ["--skip-frames", "--windows", "between-frames"]
    assert "has no camera frames" in refused(capsys, "baseline", "firenet+", slider, *fire, *out, *no_frames)
    monkeypatch.setitem(METHODS, "firenet+", METHODS["firenet+"]._replace(smallest=30))
    assert "32 x 24 pixels; FireNet+ takes 30 x 30 or more" in refused(
        capsys, "baseline", "firenet+", slider, *fire, *out
    )
    monkeypatch.setitem(METHODS, "firenet+", METHODS["firenet+"]._replace(smallest=1))
    assert "more than 1,000,000 windows" in refused(
        capsys, "baseline", "firenet+", slider, *fire, *out, "--window-seconds", "1e-12"
    )
    small = refused(capsys, "baseline", "firenet+", slider, *fire, *out, "--height", "10", "--width", "10")
    assert "outside" in small or "sensor" in small
    unused = refused(capsys, "compare", slider, "--methods", "evinr", "--weights", "firenet", place / "fire.pth", *out)
    assert "--weights firenet" in unused
    assert not (tmp_path / "new").exists()


def test_usage(capsys: pytest.CaptureFixture[str]):
    wrong = [["--windows", "k-events", "--window-seconds", "1"], ["--window-events", "5", "--window-seconds", "1"]]
    wrong += [["--window-events", "0"], ["--window-seconds", "0"], ["--fps", "0"]]
    some = [["baseline"], ["baseline", "firenet+"], ["baseline", "nothing", "demo"]]
    for words in (*some, *(["baseline", "firenet+", "demo", *more] for more in wrong)):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["baseline", "firnet", "demo"])
    assert "did you mean firenet?" in " ".join(capsys.readouterr().err.split())
    assert main(["baseline", "--list"]) == 0
    told = capsys.readouterr().out
    assert "efnet: EFNet, 8,466,445 parameters, run by `evinr deblur`\n" in told
    for method in (METHODS | DEBLURRING).values():
        assert f"{method.name}: {method.title}, {method.parameters:,} parameters" in told
        assert method.paper in told and method.weights in told and method.licence in told


def test_damaged_runs_are_named(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = baseline(place, tmp_path)
    whole = (run / "frames.npy").read_bytes()
    (run / "frames.npy").write_bytes(whole[:-50])
    assert "run the baseline again" in refused(capsys, "evaluate", run, "--truth", place / "slider")
    (run / "frames.npy").write_bytes(whole)
    (run / "frames.txt").write_text("0.1\n")
    assert "1 times for 6 pictures" in refused(capsys, "evaluate", run, "--truth", place / "slider")
