"""`evinr evaluate`, `compare` and `report` end to end: what they write, what they refuse, and what they leave behind."""

import csv
import json
import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import refused
from rich.console import Console

import evinr
from converters import ReadOptions
from evinr.__main__ import main
from evinr.cli import prediction_files, scoring, side_by_side, source
from evinr.cli.commands import Scoring
from evinr.cli.prediction_files import Given
from evinr.prediction import Prediction
from evinr.reconstruction import Span
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor

# imageio leaves the pipes to ffmpeg, through which videos are read back here, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HEIGHT, WIDTH = 24, 32
SMALL = ["--intervals", "8", "--overlap", "2", "--iterations", "20", "--frames", "5"]


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
        ([tmp_path / "small.npy", *truth], "does not tell its times; put them beside it, in small.txt"),
        ([place / "ours", "--truth", place / "nowhere"], "nowhere"),
        ([place / "ours", *truth, "--lpips", tmp_path / "none.safetensors"], "none.safetensors"),
        ([place / "ours", *truth, "--sequence", "slider_depth"], "--whole"),
        ([place / "ours", *truth, "--sequence", "slider_deep"], "has no known cut; there are boxes_6dof"),
        (
            [place / "runs/slider", *truth, "--timestamps", place / "slider/images.txt"],
            "is a run, which knows its times",
        ),
        ([place / "ours", *truth, "--protocol", "aligned", "--normalisation", "robust"], "aligned has its own"),
    ]:
        assert message in refused(capsys, "evaluate", *arguments, "--out", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    times = tmp_path / "times.txt"
    times.write_text("".join(f"{time}\n" for time in np.arange(0.02, 0.3, 0.05)))
    said = refused(capsys, "evaluate", tmp_path / "small.npy", *truth, "--timestamps", times, "--out", tmp_path / "out")
    assert "predictions are 32 x 20, the frames 32 x 24" in said
    numbers = ["--timestamps", times, "--values", "picture"]
    said = refused(capsys, "evaluate", tmp_path / "nan.npy", *truth, *numbers, "--out", tmp_path / "out")
    assert "not finite" in said and "6 of 6" in said
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    for extra in ([], ["--overwrite"]):
        assert "is no evaluation" in refused(
            capsys, "evaluate", place / "ours", *truth, "--out", tmp_path / "out", *extra
        )
    assert (tmp_path / "out/thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("extra", [[], ["--equalisation", "global"]])
def test_the_frames_own_scores_are_those_of_the_frames(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
):
    """The camera's frames as a prediction score what is said of them."""
    shutil.copytree(place / "slider/images", tmp_path / "images")
    shutil.copy(place / "slider/images.txt", tmp_path / "images.txt")
    arguments = ["evaluate", tmp_path / "images", "--truth", place / "slider", "--out", tmp_path / "out", *extra]
    assert main([str(word) for word in arguments]) == 0
    about = json.loads((tmp_path / "out/scores.json").read_text())
    for name, value in about["frames_themselves"].items():
        assert about["scores"][name]["value"] == pytest.approx(value, rel=1e-6)
    said = capsys.readouterr().out
    assert f"the frames themselves: replay {about['frames_themselves']['replay']:.4f}" in said
    assert about["scores"]["mse"]["value"] == 0
    line = next(line for line in said.splitlines() if line.startswith("sharpness"))
    assert "\N{UPWARDS ARROW}" not in line and "\N{DOWNWARDS ARROW}" not in line


def test_demos_of_two_seeds_are_two_recordings(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    size = ["--height", "24", "--width", "32", "--t-end", "0.1"]
    for seed in ("0", "1"):
        run = ["fit", "demo", "--seed", seed, "--name", f"d{seed}", "--out", str(tmp_path), *size, *SMALL]
        assert main(run) == 0
    said = refused(capsys, "report", tmp_path / "d0", tmp_path / "d1", "--out", tmp_path / "page.html")
    assert "report them apart" in said
    arguments = ["evaluate", tmp_path / "d1", "--truth", "demo", "--out", tmp_path / "out", *size]
    assert main([str(word) for word in arguments]) == 0
    about = json.loads((tmp_path / "out/scores.json").read_text())
    assert not any("other files" in said for said in about["assumptions"])


def test_a_comparison_of_another_recording_is_replaced_whole(place: Path, tmp_path: Path):
    (tmp_path / "out/paper").mkdir(parents=True)
    (tmp_path / "out/paper/config.json").write_text("{}")
    (tmp_path / "out/notes.txt").write_text("mine")
    (tmp_path / "out/comparison.json").write_text('{"sha256": "another", "source": "another"}')
    arguments = ["compare", place / "slider", "--methods", "evinr", "--out", tmp_path / "out", "--pictures", "2"]
    assert main([str(word) for word in arguments]) == 1
    assert main([str(word) for word in [*arguments, "--overwrite"]]) == 0
    assert not (tmp_path / "out/paper").exists() and (tmp_path / "out/notes.txt").read_text() == "mine"
    window = tmp_path / "out/evinr/windows/000000.npz"
    numbers = window.read_bytes()
    window.unlink()
    assert main([str(word) for word in arguments]) == 1  # it holds pictures, so it is not what a killed fit left
    for name in ("loss.png", "video.mp4", "preview.png"):
        (tmp_path / "out/evinr" / name).unlink()
    assert main([str(word) for word in arguments]) == 0
    assert window.read_bytes() == numbers and (tmp_path / "out/evinr/video.mp4").exists()


def test_a_comparison_goes_on_with_the_fit_that_was_stopped(place: Path, tmp_path: Path):
    arguments = ["compare", place / "slider", "--methods", "evinr", "--out", tmp_path / "out", "--pictures", "2"]
    assert main([str(word) for word in arguments]) == 0
    run = tmp_path / "out/evinr"
    fitted, numbers = (run / "metrics.jsonl").read_text(), (run / "windows/000000.npz").stat().st_mtime_ns
    (run / "video.mp4").unlink()  # as where it was killed while it made the pictures
    assert main([str(word) for word in arguments]) == 0
    assert (run / "video.mp4").exists() and (run / "metrics.jsonl").read_text() == fitted
    assert (run / "windows/000000.npz").stat().st_mtime_ns == numbers


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


def test_only_evaluations_are_replaced(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["evaluate", place / "ours", "--truth", place / "slider", "--out", tmp_path / "link"]
    (tmp_path / "real").mkdir()
    (tmp_path / "real/scores.json").write_text('{"mine": 1}')
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert "is no evaluation" in refused(capsys, *arguments, "--overwrite")
    assert json.loads((tmp_path / "real/scores.json").read_text()) == {"mine": 1}
    (tmp_path / "real/scores.json").unlink()
    (tmp_path / "real").rmdir()
    assert main([str(word) for word in arguments]) == 0
    assert "exists already" in refused(capsys, *arguments)
    assert main([str(word) for word in [*arguments, "--overwrite"]]) == 0
    assert (tmp_path / "real/frames.csv").is_file() and (tmp_path / "link").is_symlink()


def test_a_part_of_a_recording_is_cut_as_the_whole(place: Path, tmp_path: Path):
    """Cuts count from the first event or frame of the recording, wherever reading starts: here its first event, at 0 s."""
    shutil.copytree(place / "slider", tmp_path / "outdoor_day1_data")
    scored = []
    for extra in ([], ["--t-start", "0.1", "--t-end", "0.25"]):
        out = tmp_path / f"scores{len(extra)}"
        arguments = ["evaluate", place / "ours", "--truth", tmp_path / "outdoor_day1_data", "--out", out, *extra]
        assert main([str(word) for word in arguments]) == 0
        with (out / "frames.csv").open() as file:
            scored.append([float(row["time"]) for row in csv.DictReader(file)])
    # All but the recording's last frame, which EVREAL's loader leaves out; the part has none that is the last.
    np.testing.assert_allclose(scored[0], [0.02, 0.07, 0.12, 0.17, 0.22])
    np.testing.assert_allclose(scored[1], [0.12, 0.17, 0.22])


def test_a_recording_that_begins_with_a_frame_counts_from_it(place: Path):
    given = source.read(str(place / "slider"), ReadOptions(), 0, Console(quiet=True))
    late = given._replace(start=min(float(given.events.t[0]), 0.02))
    truth = source.truth(late)
    assert truth is not None and truth.start == late.start and truth.whole
    events = place.parent / "late"
    shutil.copytree(place / "slider", events, dirs_exist_ok=True)
    lines = (events / "events.txt").read_text().splitlines()
    (events / "events.txt").write_text("\n".join(line for line in lines if float(line.split()[0]) > 0.05))
    for part in (ReadOptions(height=24, width=32), ReadOptions(height=24, width=32, t_start=0.1)):
        assert source.read(str(events), part, 0, Console(quiet=True)).start == pytest.approx(0.02)


def test_clocks_are_brought_together_by_their_origins(place: Path):
    """The same recording with Unix times: a run of one, whose zero is its first event, on the other, whose is a frame."""
    given = source.read(str(place / "slider"), ReadOptions(), 0, Console(quiet=True))
    times = np.array([1e9 + 1.0, 1e9 + 1.1])
    run = Prediction("picture", Span(0.0, 0.1), times - 1e9 - 1.0, lambda asked: np.zeros((len(asked), 24, 32)))
    unix = given._replace(about=given.about | {"origin_ns": (10**9 + 1) * 10**9 - 20_000_000})
    moved, said = scoring.on_the_clock(Given(run, (10**9 + 1) * 10**9, ()), unix, 0.0)
    np.testing.assert_allclose(np.asarray(moved.times), [0.02, 0.12], atol=1e-6)  # doubles of 1e9 s
    assert said == ()
    theirs = run._replace(span=Span(times[0], times[1]), times=times)
    moved, said = scoring.on_the_clock(Given(theirs, 0, ()), unix, 0.0)
    np.testing.assert_allclose(np.asarray(moved.times), [0.02, 0.12], atol=1e-6)
    assert "on the recording's own clock" in said[0]
    moved, said = scoring.on_the_clock(Given(run, 0, ()), unix, 0.5)
    np.testing.assert_allclose(np.asarray(moved.times), [0.5, 0.6], atol=1e-6)
    assert said == ()


def test_methods_are_compared_on_the_frames_that_all_have(place: Path, tmp_path: Path):
    """`part` lacks the second picture: the page shows the pictures of the times it says, and means are over five."""
    shutil.copytree(place / "ours", tmp_path / "part")
    lines = (tmp_path / "part/images.txt").read_text().splitlines(keepends=True)
    (tmp_path / "part/images.txt").write_text("".join([lines[0], *lines[2:]]))
    given = source.read(str(place / "slider"), ReadOptions(), 0, Console(quiet=True))
    rules = scoring.rules(Scoring(), "slider")
    read = {path.name: scoring.placed(path, prediction_files.read(path, None, "auto"), given)
            for path in (place / "ours", tmp_path / "part")}  # fmt: skip
    compared = side_by_side.scored(Console(quiet=True), given, read, rules)
    for seen in compared.methods.values():
        np.testing.assert_array_equal(seen.evaluation.scored, [True, False, True, True, True, True])
    assert compared.methods["ours"].evaluation.means == compared.methods["part"].evaluation.means
    assert any(note == "ours: 1 frames that not every prediction has are left out" for note in
               scoring.notes(compared.evaluations))  # fmt: skip
    drawn = side_by_side.drawn(compared, given, 50)
    np.testing.assert_allclose(drawn.times, [0.02, 0.12, 0.17, 0.22, 0.27])
    for number, index in enumerate((0, 2, 3, 4, 5)):
        picture = iio.imread(place / f"ours/frame_{index:08d}.png")
        np.testing.assert_array_equal(drawn.methods[0].clip.pictures[number], picture)
        assert drawn.truth is not None
        frame = iio.imread(place / f"slider/images/frame_{index:08d}.png")
        np.testing.assert_array_equal(drawn.truth.pictures[number], frame)


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


def test_a_recording_that_is_not_the_one_that_was_fitted(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(place / "slider", tmp_path / "slider")
    text = (tmp_path / "slider/events.txt").read_text()
    assert main(["fit", str(tmp_path / "slider"), "--out", str(tmp_path / "runs"), *SMALL]) == 0
    (tmp_path / "slider/events.txt").write_text(text[: len(text) // 2].rpartition("\n")[0] + "\n")
    changed = refused(capsys, "report", tmp_path / "runs/slider", "--out", tmp_path / "page.html")
    assert "has changed since it was fitted" in changed
    arguments = ["evaluate", tmp_path / "runs/slider", "--truth", tmp_path / "slider", "--out", tmp_path / "scores"]
    assert main([str(word) for word in arguments]) == 0
    assert "was fitted to other files" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", '{"config', "config.json: cannot be understood"),
        ("config.json", "null", "config.json: cannot be understood"),
        ("metrics.jsonl", '{"step": 1}\n', "metrics.jsonl: cannot be understood"),
        ("metrics.jsonl", "{]\n", "metrics.jsonl: cannot be understood"),
    ],
)
def test_damaged_runs_are_named(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: str, message: str
):
    shutil.copytree(place / "runs/slider", tmp_path / "run")
    (tmp_path / "run" / file).write_text(content)
    assert message in refused(capsys, "report", tmp_path / "run", "--out", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_run_whose_last_line_was_cut_is_reported(place: Path, tmp_path: Path):
    shutil.copytree(place / "runs/slider", tmp_path / "run")
    with (tmp_path / "run/metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    assert main(["report", str(tmp_path / "run"), "--out", str(tmp_path / "page.html")]) == 0


def test_16_bit_frames_are_no_truth_of_pictures(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(place / "slider", tmp_path / "deep")
    for path in (tmp_path / "deep/images").iterdir():
        iio.imwrite(path, iio.imread(path).astype(np.uint16) * 257)
    arguments = ["evaluate", place / "ours", "--truth", tmp_path / "deep", "--out", tmp_path / "out"]
    said = refused(capsys, *arguments)
    assert "its frames are 16-bit or HDR" in said and "--protocol hdr" in said
    assert main([str(word) for word in [*arguments, "--skip-frames"]]) == 0


def test_report_finds_the_recording_of_its_runs(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "page.html"
    assert main(["report", str(place / "runs/slider"), str(place / "ours"), "--out", str(out)]) == 0
    assert out.stat().st_size > 10_000
    assert "exists already" in refused(capsys, "report", place / "runs/slider", "--out", out)
    page = out.read_text()
    assert "iterations 20" in page and "sine_rate" not in page  # settings that have an effect
    (tmp_path / "mine.txt").write_text("mine")
    mine = ["report", place / "runs/slider", "--out", tmp_path / "mine.txt", "--overwrite"]
    assert "is no page of evinr" in refused(capsys, *mine) and (tmp_path / "mine.txt").read_text() == "mine"
    assert (
        main(["report", str(place / "runs/slider"), "--out", str(out), "--overwrite"]) == 0 and out.read_text() != page
    )
    alone = refused(capsys, "report", place / "ours", "--out", tmp_path / "other.html")
    assert "does not say of which recording" in alone and not (tmp_path / "other.html").exists()
    assert (
        main(["fit", "demo", "--out", str(tmp_path), "--height", "24", "--width", "32", "--t-end", "0.1", *SMALL]) == 0
    )
    mixed = refused(capsys, "report", place / "runs/slider", tmp_path / "demo", "--out", tmp_path / "other.html")
    assert "report them apart" in mixed
    assert main(["report", str(tmp_path / "demo"), "--out", str(tmp_path / "demo.html")]) == 0
