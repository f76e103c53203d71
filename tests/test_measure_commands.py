"""`evinr evaluate`, `compare` and `report` end to end: what they write, what they refuse, and what they leave behind."""

import csv
import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

import evinr
from evinr.__main__ import main
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor

# imageio leaves the pipes to ffmpeg, through which videos are read back here, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HEIGHT, WIDTH = 24, 32
SMALL = ["--knots", "6", "--steps", "40", "--hidden", "8", "--basis", "6", "--frames", "5"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording that has frames (`slider`), its fit (`runs/slider`), and pictures made of that (`ours`)."""
    root = tmp_path_factory.mktemp("measure")
    events, scene = demo.recording(HEIGHT, WIDTH, 0.3, Sensor(), seed=1)
    folder = root / "slider"
    (folder / "images").mkdir(parents=True)
    np.savetxt(folder / "events.txt", events.to_array(), fmt="%.9f %d %d %d")
    lines = []
    for number, time in enumerate(np.arange(0.02, 0.3, 0.05)):
        iio.imwrite(folder / f"images/frame_{number:08d}.png", np.rint(255 * np.exp(scene(time))).astype(np.uint8))
        lines.append(f"{time:.9f} images/frame_{number:08d}.png\n")
    (folder / "images.txt").write_text("".join(lines))
    assert main(["fit", str(folder), "--out", str(root / "runs"), *SMALL]) == 0
    times = ["--times-file", str(folder / "images.txt")]
    assert main(["render", str(root / "runs/slider"), "--out", str(root / "ours"), *times]) == 0
    return root


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line with which a command refuses."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def test_a_run_is_scored_at_the_frames_own_times(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "scores"
    arguments = ["evaluate", place / "runs/slider", "--truth", place / "slider", "--out", out]
    assert main([str(argument) for argument in arguments]) == 0
    told = capsys.readouterr().out
    assert "protocol evreal-2024: EVREAL" in told and "6 of 6" in told and "exprobust" in told
    about = json.loads((out / "scores.json").read_text())
    assert about["protocol"]["name"] == "evreal-2024" and about["frames"] == {"in_cut": 6, "scored": 6}
    assert about["lpips"] is None and about["scores"]["lpips"]["value"] is None and about["truth"]["sha256"]
    times = np.arange(0.02, 0.3, 0.05).round(9)
    fitted = evinr.load(place / "runs/slider").log_intensity(times)
    truth = [np.log(iio.imread(place / f"slider/images/frame_{i:08d}.png") / 255 + 0.05) for i in range(6)]
    corr = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(fitted, truth, strict=True)])
    assert about["scores"]["corr"]["value"] == pytest.approx(corr, abs=1e-5)
    assert about["scores"]["mse"]["low"] <= about["scores"]["mse"]["value"] <= about["scores"]["mse"]["high"]
    with (out / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["time"]) for row in rows] == pytest.approx(times.tolist(), abs=1e-9)
    assert np.mean([float(row["mse"]) for row in rows]) == pytest.approx(about["scores"]["mse"]["value"], rel=1e-6)
    assert rows[0]["replay"] == "" and float(rows[1]["replay"]) > 0
    assert {file.name for file in out.iterdir()} == {"scores.json", "frames.csv"}


def test_a_folder_of_pictures_is_scored_like_the_run_it_came_from(place: Path, tmp_path: Path):
    """Log-toned pictures are log intensity but for one factor and constant, and 8 bits: `aligned` takes out those two."""
    values = []
    for prediction, extra in ((place / "runs/slider", []), (place / "ours", [])):
        out = tmp_path / prediction.name
        arguments = ["evaluate", prediction, "--truth", place / "slider", "--protocol", "aligned", "--out", out, *extra]
        assert main([str(argument) for argument in arguments]) == 0
        values.append(json.loads((out / "scores.json").read_text())["scores"])
    assert values[1]["corr"]["value"] == pytest.approx(values[0]["corr"]["value"], abs=0.1)
    assert values[1]["ssim"]["value"] == pytest.approx(values[0]["ssim"]["value"], abs=0.1)


def test_the_offset_moves_the_prediction(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["evaluate", place / "ours", "--truth", place / "slider"]
    said = refused(capsys, *arguments, "--offset", "0.02", "--out", tmp_path / "a")
    assert "all 6 have no prediction within 1 ms" in said and not (tmp_path / "a").exists()
    assert main([str(word) for word in [*arguments, "--offset", "0.05", "--out", tmp_path / "b"]]) == 0
    assert json.loads((tmp_path / "b/scores.json").read_text())["frames"] == {"in_cut": 6, "scored": 5}


def test_what_evaluate_refuses(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    truth = ["--truth", place / "slider"]
    np.save(tmp_path / "small.npy", np.zeros((6, 20, 32), np.uint8))
    np.save(tmp_path / "nan.npy", np.full((6, 24, 32), np.nan, np.float32))
    for arguments, message in [
        ([place / "nothing", *truth], "nothing: does not exist"),
        ([place / "slider/events.txt", *truth], "no prediction; give a run folder"),
        ([tmp_path / "small.npy", *truth], "does not tell its times; pass --timestamps"),
        ([place / "ours", "--truth", place / "nowhere"], "nowhere"),
        ([place / "ours", *truth, "--lpips", tmp_path / "none.safetensors"], "none.safetensors"),
        ([place / "ours", *truth, "--sequence", "slider_depth"], "--whole"),
    ]:
        assert message in refused(capsys, "evaluate", *arguments, "--out", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    times = tmp_path / "times.txt"
    times.write_text("".join(f"{time}\n" for time in np.arange(0.02, 0.3, 0.05)))
    said = refused(capsys, "evaluate", tmp_path / "small.npy", *truth, "--timestamps", times, "--out", tmp_path / "out")
    assert "predictions are 32 x 20, the frames 32 x 24" in said
    said = refused(capsys, "evaluate", tmp_path / "nan.npy", *truth, "--timestamps", times, "--out", tmp_path / "out")
    assert "not finite" in said and "6 of 6" in said
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    for extra in ([], ["--overwrite"]):
        assert "is no evaluation" in refused(
            capsys, "evaluate", place / "ours", *truth, "--out", tmp_path / "out", *extra
        )
    assert (tmp_path / "out/thesis.txt").read_text() == "mine"


def test_equalisation_is_said_beside_the_protocol(place: Path, tmp_path: Path):
    arguments = [
        "evaluate",
        place / "ours",
        "--truth",
        place / "slider",
        "--equalisation",
        "clahe",
        "--out",
        tmp_path / "a",
    ]
    assert main([str(word) for word in arguments]) == 0
    protocol = json.loads((tmp_path / "a/scores.json").read_text())["protocol"]
    assert protocol["name"] == "evreal-2024, but for equalisation" and protocol["equalisation"] == "clahe"


def test_a_recording_without_frames_gets_the_scores_that_need_none(place: Path, tmp_path: Path):
    events = np.loadtxt(place / "slider/events.txt")
    np.save(tmp_path / "events.npy", events)
    size = ["--height", str(HEIGHT), "--width", str(WIDTH)]
    arguments = [
        "evaluate",
        place / "runs/slider",
        "--truth",
        tmp_path / "events.npy",
        "--out",
        tmp_path / "out",
        *size,
    ]
    assert main([str(word) for word in arguments]) == 0
    scores = json.loads((tmp_path / "out/scores.json").read_text())["scores"]
    assert set(scores) == {"replay", "sharpness"} and 0 < scores["replay"]["value"] < 1


def test_compare_fits_once_and_reports(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "there" / "comparison"
    arguments = ["compare", place / "slider", "--methods", "evinr", "--predictions", place / "ours", "--out", out]
    arguments += ["--pictures", "3"]
    assert main([str(word) for word in arguments]) == 0
    assert "evinr" in capsys.readouterr().out
    about = json.loads((out / "scores.json").read_text())
    assert set(about["methods"]) == {"evinr", "ours"} and about["sha256"]
    page = (out / "report.html").read_text()
    assert "ours" in page and "evreal-2024" in page
    with (out / "frames.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12
    fitted = (out / "evinr/metrics.jsonl").stat().st_mtime_ns
    assert main([str(word) for word in [*arguments, "--protocol", "aligned"]]) == 0
    assert (out / "evinr/metrics.jsonl").stat().st_mtime_ns == fitted
    assert json.loads((out / "scores.json").read_text())["methods"]["ours"]["protocol"]["name"] == "aligned"


def test_what_compare_refuses(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/report.html").write_text("mine")
    said = refused(capsys, "compare", place / "slider", "--out", tmp_path / "mine", "--overwrite")
    assert "is no comparison of evinr" in said and (tmp_path / "mine/report.html").read_text() == "mine"
    said = refused(capsys, "compare", tmp_path / "none.bag", "--out", tmp_path / "new")
    assert "none.bag" in said and not (tmp_path / "new").exists()
    twice = ["--predictions", place / "ours", place / "ours"]
    assert "given twice" in refused(capsys, "compare", place / "slider", *twice, "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_report_finds_the_recording_of_its_runs(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "page.html"
    assert main(["report", str(place / "runs/slider"), str(place / "ours"), "--out", str(out)]) == 0
    assert out.stat().st_size > 10_000
    assert "exists already" in refused(capsys, "report", place / "runs/slider", "--out", out)
    alone = refused(capsys, "report", place / "ours", "--out", tmp_path / "other.html")
    assert "does not say of which recording" in alone and not (tmp_path / "other.html").exists()
    assert (
        main(["fit", "demo", "--out", str(tmp_path), "--height", "24", "--width", "32", "--t-end", "0.1", *SMALL]) == 0
    )
    mixed = refused(capsys, "report", place / "runs/slider", tmp_path / "demo", "--out", tmp_path / "other.html")
    assert "report them apart" in mixed
    assert main(["report", str(tmp_path / "demo"), "--out", str(tmp_path / "demo.html")]) == 0
