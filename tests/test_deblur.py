"""`evinr deblur`: which events belong to a blurred frame, and the command end to end."""

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import refused
from published import publish
from rich.console import Console

from baselines.checkpoints import load
from baselines.deblurring import RECIPES, deblurred
from baselines.efnet import EFNet
from baselines.weights import entries
from converters import ReadOptions, open_stream
from converters.stream import WHOLE
from evinr import report
from evinr.__main__ import main
from evinr.cli import prediction_files
from evinr.cli.blurred import pictures, read
from evinr.cli.exposures import Looked, choose
from evinr.events import Events, InputError
from evinr.metrics.deblurring import psnr, ssim

# imageio leaves the pipes to ffmpeg, through which videos are read back here, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HEIGHT, WIDTH = 21, 30
"""No multiples of 4."""
TIMES = np.arange(7) * 0.05
RNG = np.random.default_rng(0)
EVENTS = 4000


def some_events(start: float, end: float, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    t = np.rint(np.sort(rng.uniform(start, end, EVENTS)) * 1e6) / 1e6
    x, y = rng.integers(0, WIDTH, EVENTS).astype(np.uint16), rng.integers(0, HEIGHT, EVENTS).astype(np.uint16)
    return Events(t, x, y, rng.choice(np.array([-1, 1], np.int8), EVENTS), HEIGHT, WIDTH)


def some(events: Events, which: Any) -> Events:
    return Events(events.t[which], events.x[which], events.y[which], events.p[which], events.height, events.width)


WEIGHTS = {name: 0.2 * RNG.standard_normal(shape, np.float32) for name, shape in entries(EFNet(10, 4, (1, 2))).items()}
"""Of a small EFNet."""
BLURRED = RNG.integers(0, 256, (len(TIMES), HEIGHT, WIDTH, 3), np.uint8)
SHARP = RNG.integers(0, 256, (len(TIMES), HEIGHT, WIDTH, 3), np.uint8)


def write_h5(path: Path, exposure: float | None = None, sharp: bool = True, **other: Any) -> Path:
    """As EFNet's raw files are: GoPro's, or with an exposure about each frame REBlur's."""
    events = other.get("events", some_events(-0.01, 0.31))
    frames, times = other.get("frames", BLURRED), other.get("times", TIMES)
    with h5py.File(path, "w") as file:
        for name, column in zip(("ts", "xs", "ys", "ps"), events[:4], strict=True):
            file[f"events/{name}"] = column if name != "ps" else other.get("p", column > 0)
        file.attrs["sensor_resolution"] = [events.height, events.width]
        for group, stack in ({"images": frames} | ({"sharp_images": SHARP} if sharp else {})).items():
            for number, (time, picture) in enumerate(zip(times, stack, strict=True)):
                stored = file.create_dataset(f"{group}/image{number:09d}", data=picture[..., ::-1])
                stored.attrs["timestamp"] = time
                if exposure and group == "images":
                    stored.attrs["exposure_start"], stored.attrs["exposure_end"] = (
                        time - exposure / 2,
                        time + exposure / 2,
                    )
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording like GoPro's (`gopro.h5`), one like REBlur's (`reblur.h5`), and weights (`small.pth`)."""
    root = tmp_path_factory.mktemp("deblur")
    write_h5(root / "gopro.h5")
    write_h5(root / "reblur.h5", exposure=0.01)
    publish(root / "small.pth", {"params": WEIGHTS})
    return root


def deblur(place: Path, source: Path, out: Path, *more: str) -> Path:
    """A run."""
    words = ["deblur", str(source), "--weights", str(place / "small.pth"), "--out", str(out), "--name", "run", *more]
    assert main(words) == 0
    return out / "run"


def looked(exposures: np.ndarray | None = None) -> Looked:
    return Looked(TIMES, np.full((len(TIMES), 2), np.nan) if exposures is None else exposures, HEIGHT, WIDTH, "uint8")


HOW: dict[str, Any] = {"exposure": None, "simulated": False, "closed": False}


def test_a_frame_has_the_events_of_its_exposure():
    events, spans = some_events(-0.01, 0.31), TIMES[:, None] + [[-0.004, 0.003]]
    chosen = choose(looked(spans), events, "x", **HOW)
    np.testing.assert_array_equal(chosen.places, range(len(TIMES)))
    np.testing.assert_array_equal(chosen.windows.times, TIMES)
    for (begin, end), first, last in zip(spans, *chosen.windows[:2], strict=True):
        assert last > first
        np.testing.assert_array_equal(np.arange(first, last), np.flatnonzero((begin <= events.t) & (events.t < end)))


def test_an_exposure_that_was_told_by_its_events_has_the_last_of_them():
    events = some_events(-0.01, 0.31)
    spans = events.t[np.searchsorted(events.t, TIMES[1:4])[:, None] + [[-9, 30]]]
    frames = Looked(TIMES[1:4], spans, HEIGHT, WIDTH, "uint8")
    open_, closed = (choose(frames, events, "x", **HOW | {"closed": at_end}).windows for at_end in (False, True))
    np.testing.assert_array_equal(events.t[closed.end - 1], spans[:, 1])
    assert (events.t[open_.end - 1] < spans[:, 1]).all()
    np.testing.assert_array_equal(open_.first, closed.first)


def test_simulated_frames_have_the_events_from_halfway_to_halfway():
    events = some_events(-0.01, 0.31)
    chosen = choose(looked(), events, "x", **HOW | {"simulated": True})
    np.testing.assert_array_equal(chosen.places, range(1, len(TIMES) - 1))
    halfway = np.searchsorted(events.t, (TIMES[1:] + TIMES[:-1]) / 2)
    np.testing.assert_array_equal(chosen.windows.first, halfway[:-1])
    np.testing.assert_array_equal(chosen.windows.end, halfway[1:])
    assert chosen.how == "midpoints" and "the first and the last were left out" in chosen.said[0]


def test_an_exposure_ends_where_times_are_the_ends():
    events = some_events(-0.05, 0.31)
    told: dict[str, Any] = HOW | {"exposure": 0.02}
    before = choose(looked()._replace(ends=True), events, "x", **told)
    np.testing.assert_allclose(before.spans, TIMES[:, None] + [[-0.02, 0]])
    assert before.said == ("frames were taken for exposed 0.02 s before their times, as told",)


def test_an_exposure_that_is_given_counts():
    spans = TIMES[:, None] + [[-0.004, 0.003]]
    events = some_events(-0.01, 0.31)
    for frames, said in ((looked(), "as told"), (looked(spans), "as told, not as the recording says")):
        chosen = choose(frames, events, "x", **HOW | {"exposure": 0.02, "simulated": True})
        np.testing.assert_allclose(chosen.spans, TIMES[:, None] + [[-0.01, 0.01]])
        assert chosen.said[0].endswith(said) and chosen.how == "exposures"


def test_frames_that_the_events_do_not_cover_are_left_out_and_counted():
    events, spans = some_events(0.0005, 0.3), TIMES[:, None] + [[-0.01, 0.01]]
    chosen = choose(looked(spans), events, "x", **HOW)
    np.testing.assert_array_equal(chosen.places, range(1, 6))
    assert "2 of 7 frames were left out, as the events do not cover" in chosen.said[0]
    spans[0] = 0, 0.02  # of which the first 0.5 ms are not covered
    np.testing.assert_array_equal(choose(looked(spans), events, "x", **HOW).places, range(6))
    spans[0] = 0, 0.005
    np.testing.assert_array_equal(choose(looked(spans), events, "x", **HOW).places, range(1, 6))
    spans[0] = 0, 0.02
    spans[2] = np.nan
    chosen = choose(looked(spans), events, "x", **HOW)
    np.testing.assert_array_equal(chosen.places, [0, 1, 3, 4, 5])
    assert "1 of 7 frames were left out, as no exposure of theirs is told" in chosen.said[0]


def test_frames_without_events_are_kept_and_counted():
    events = some_events(-0.02, 0.32)
    quiet = (events.t < 0.09) | (events.t > 0.16)
    events = some(events, quiet)
    chosen = choose(looked(TIMES[:, None] + [[-0.01, 0.01]]), events, "x", **HOW)
    assert (chosen.windows.end - chosen.windows.first == 0).tolist() == [False, False, True, True, False, False, False]
    assert chosen.said == ("2 of 7 frames have no events in their exposure",)


@pytest.mark.parametrize(
    ("frames", "span", "more", "message"),
    [
        (looked(), (0, 1), {}, "--exposure SECONDS"),
        (
            looked(),
            (7, 8),
            {"exposure": 0.01},
            "do not overlap: frames run from -0.005000 to 0.305000 s, events from 7.0",
        ),
        (looked(), (-8, -7), {"simulated": True}, "do not overlap"),
        (looked(), (0.1, 0.13), {"exposure": 0.04}, "no frame has events for all of its exposure"),
        (
            Looked(TIMES[:2], np.full((2, 2), np.nan), 9, 9, "uint8"),
            (0, 1),
            {"simulated": True},
            "2 frames without exposures",
        ),
    ],
)
def test_windows_that_cannot_be(frames: Looked, span: tuple[float, float], more: dict[str, Any], message: str):
    with pytest.raises(InputError, match="^x: ") as refusal:
        choose(frames, some_events(*span), "x", **HOW | more)
    assert message in str(refusal.value)


def test_a_run_has_what_the_network_makes_of_each_frame(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    before = (place / "gopro.h5").read_bytes()
    run = deblur(place, place / "gopro.h5", tmp_path)
    told = capsys.readouterr().out
    assert {file.name for file in run.iterdir()} == {
        *("config.json", "frames", "frames.npy", "frames.txt", "preview.png", "video.mp4", "scores.json", "frames.csv")
    }
    model, events = load("efnet", place / "small.pth"), some_events(-0.01, 0.31)
    frames = np.load(run / "frames.npy")
    assert frames.dtype == np.uint8 and frames.shape == (5, HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(np.loadtxt(run / "frames.txt"), TIMES[1:-1])
    for made, time, image in zip(frames, TIMES[1:], BLURRED[1:], strict=False):
        window = events.between(time - 0.025, np.nextafter(time + 0.025, 0))
        np.testing.assert_array_equal(made, deblurred(model, image, window, RECIPES["gopro"]))
    listed = [line.split() for line in (run / "frames/images.txt").read_text().splitlines()]
    np.testing.assert_array_equal([iio.imread(run / "frames" / name) for _, name in listed], frames)
    video = iio.imread(run / "video.mp4")
    assert video.shape == (5, HEIGHT + 1, 2 * WIDTH, 3)
    left = video[:, :HEIGHT, :WIDTH].astype(float)
    assert np.abs(left - BLURRED[1:-1]).mean() < np.abs(left - frames).mean()
    about = json.loads((run / "config.json").read_text())
    assert about["method"] == "efnet" and about["recipe"] == "gopro" and about["windows"] == {"windows": "midpoints"}
    assert about["weights"] == model.sha256 and about["bayer"] is None and about["format"] == "EFNet h5"
    assert "the first and the last were left out" in told and "the recipe is gopro, as no --recipe is given" in told
    assert (place / "gopro.h5").read_bytes() == before


def test_a_conversion_is_as_good_as_the_recording(place: Path, tmp_path: Path):
    frames = [np.load(deblur(place, place / "gopro.h5", tmp_path) / "frames.npy")]
    assert main(["convert", str(place / "gopro.h5"), str(tmp_path / "converted")]) == 0
    frames += [np.load(deblur(place, tmp_path / "converted", tmp_path / "other") / "frames.npy")]
    np.testing.assert_array_equal(*frames)


def test_scores_are_of_blurred_and_sharpened_frames(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = deblur(place, place / "gopro.h5", tmp_path)
    frames, told = np.load(run / "frames.npy"), capsys.readouterr().out
    scores = json.loads((run / "scores.json").read_text())
    assert scores["frames"] == {"sharpened": 5, "scored": 5}
    with (run / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["blurred"] * 5 + ["efnet"] * 5
    for name, shown in (("blurred", BLURRED[1:-1]), ("efnet", frames)):
        for metric, measure, digits in (("psnr", psnr, 2), ("ssim", ssim, 4)):
            values = [measure(picture, sharp) for picture, sharp in zip(shown, SHARP[1:-1], strict=True)]
            np.testing.assert_allclose([float(row[metric]) for row in rows if row["method"] == name], values, rtol=1e-8)
            np.testing.assert_allclose(scores["methods"][name][metric]["value"], np.mean(values))
            assert f"{np.mean(values):.{digits}f}" in told
    np.testing.assert_allclose([float(row["time"]) for row in rows], [*TIMES[1:-1], *TIMES[1:-1]])


def test_equal_pictures_are_no_damage(place: Path, tmp_path: Path):
    """Their PSNR is infinite, which JSON does not know."""
    run = deblur(place, write_h5(tmp_path / "same.h5", frames=SHARP), tmp_path)
    scores = json.loads((run / "scores.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert scores["methods"]["blurred"]["psnr"]["value"] is None and scores["methods"]["blurred"]["ssim"]["value"] == 1


def test_sharp_pictures_belong_to_the_frame_in_whose_window_they_are(place: Path, tmp_path: Path):
    path = write_h5(tmp_path / "a.h5", exposure=0.02)
    with h5py.File(path, "r+") as file:
        for number, later in enumerate([0, 0.009, -0.009, 0.011, 0.02, 0, 0]):
            file[f"sharp_images/image{number:09d}"].attrs["timestamp"] = TIMES[number] + later
        del file["sharp_images/image000000005"]
    given = read(str(path), ReadOptions(), None, Console(quiet=True))
    np.testing.assert_array_equal(given.scored, [0, 1, 2, 6])
    assert given.sharp is not None
    np.testing.assert_array_equal([*pictures(given.sharp)], SHARP[[0, 1, 2, 6]])
    np.testing.assert_array_equal([*pictures(given.frames)], BLURRED)
    run = deblur(place, path, tmp_path)
    assert json.loads((run / "scores.json").read_text())["frames"] == {"sharpened": 7, "scored": 4}


def test_runs_are_scored_compared_and_reported(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, source = deblur(place, place / "reblur.h5", tmp_path), str(place / "reblur.h5")
    assert main(["evaluate", str(run), "--truth", source, "--out", str(tmp_path / "scores")]) == 0
    scores = json.loads((tmp_path / "scores/scores.json").read_text())
    assert scores["frames"]["scored"] == len(TIMES)
    gray = (np.load(run / "frames.npy") / 255 @ [0.299, 0.587, 0.114]).astype(np.float32)
    prediction = prediction_files.read(run, None, "auto").prediction
    assert prediction.times is not None
    np.testing.assert_allclose(prediction.times, TIMES)
    np.testing.assert_allclose(prediction.at(prediction.times), gray, atol=1e-6)
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert "exposures" in (tmp_path / "page.html").read_text()
    again = deblur(place, place / "reblur.h5", tmp_path / "again", "--exposure", "0.02")
    both = ["compare", source, "--methods", "evinr", "--predictions", str(run), str(again)]
    few = ["--t-start", "0.04", "--t-end", "0.12"]
    assert main([*both, *few, "--out", str(tmp_path / "both")]) == 0
    compared = json.loads((tmp_path / "both/scores.json").read_text())["methods"]
    assert len(compared) == 3
    assert "is a run of efnet" in refused(capsys, "render", run, "--times", "0.1")


def test_a_run_is_replaced_only_when_asked(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = deblur(place, place / "gopro.h5", tmp_path)
    same = ["deblur", place / "reblur.h5", "--weights", place / "small.pth", "--out", tmp_path, "--name", "run"]
    assert "exists already" in refused(capsys, *same)
    deblur(place, place / "reblur.h5", tmp_path, "--overwrite")
    assert len(np.load(run / "frames.npy")) == len(TIMES)
    (run / "notes.txt").write_text("mine")
    assert "holds notes.txt" in refused(capsys, *same, "--overwrite")


def test_rows_that_efnet_drops(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of REBlur's pictures, not of its events."""
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (2, 262, 320, 3), np.uint8)
    events = some_events(-0.01, 0.1)._replace(height=262, width=320)
    events = events._replace(y=rng.integers(0, 262, EVENTS).astype(np.uint16))
    more: dict[str, Any] = {"frames": frames, "times": TIMES[:2], "events": events, "sharp": False}
    given = read(str(write_h5(tmp_path / "a.h5", 0.01, **more)), ReadOptions(), None, Console(quiet=True))
    assert any("only the upper 260 rows" in said for said in given.about["assumptions"])
    np.testing.assert_array_equal([*pictures(given.frames)], frames[:, :260])
    assert given.events.height == given.events.y.max() + 1 == 262
    for first, end, time in zip(*given.windows, strict=True):
        np.testing.assert_array_equal(given.events.y[first:end], events.y[abs(events.t - time) < 0.005])
    shown = list[Any]()
    monkeypatch.setattr(report, "contact_sheet", lambda path, times, rows: shown.extend(rows) or path.touch())
    run = deblur(place, tmp_path / "a.h5", tmp_path)
    assert {(row.title, *picture.shape) for row in shown for picture in row.pictures} == {
        (title, 260, 320, 3) for title in ("events", "blurred", "EFNet")
    }
    made, model = np.load(run / "frames.npy"), load("efnet", place / "small.pth")
    window = events.between(TIMES[1] - 0.005, np.nextafter(TIMES[1] + 0.005, 0))
    np.testing.assert_array_equal(made[1], deblurred(model, frames[1, :260], window, RECIPES["gopro"]))
    given = read(str(write_h5(tmp_path / "b.h5", **more)), ReadOptions(), 0.01, Console(quiet=True))
    assert given.frames.rows == 262  # no exposures: not REBlur


def folder(path: Path, layout: str, exposures: bool = True, images: np.ndarray = BLURRED) -> Path:
    """A recording as `evinr convert` writes it, with gray frames or mosaics."""
    path.mkdir()
    np.save(path / "events.npy", some_events(-0.01, 0.31).to_array())
    about = {"sensor": {"height": HEIGHT, "width": WIDTH}, "assumptions": [], "origin_ns": 0, "source": "a.bag"}
    (path / "metadata.json").write_text(json.dumps(about | {"frames": {"frames": {"layout": layout}}}))
    (path / "images").mkdir()
    for number, image in enumerate(images):
        iio.imwrite(path / f"images/{number}.png", image)
    (path / "images.txt").write_text("".join(f"{time:.3f} images/{n}.png\n" for n, time in enumerate(TIMES)))
    if exposures:
        (path / "exposures.txt").write_text("".join(f"{t:.3f} {t - 0.01:.3f} {t + 0.01:.3f}\n" for t in TIMES))
    return path


def test_gray_frames_stay_gray(place: Path, tmp_path: Path):
    images = BLURRED[..., 0]
    run = deblur(place, folder(tmp_path / "gray", "gray", images=images), tmp_path)
    frames = np.load(run / "frames.npy")
    assert len(frames) == len(TIMES) and not (run / "scores.json").exists()
    window = some_events(-0.01, 0.31).between(0.04, np.nextafter(0.06, 0))
    model, three = load("efnet", place / "small.pth"), images[1][..., None].repeat(3, 2)
    made = deblurred(model, three, window, RECIPES["gopro"])
    assert (frames == frames[..., :1]).all()
    np.testing.assert_array_equal(frames[1, ..., 0], np.rint(made.mean(2)))


def test_mosaics_get_their_colours(tmp_path: Path):
    """A red surface, which shows on the red pixels alone."""
    mosaic = np.zeros((len(TIMES), HEIGHT, WIDTH), np.uint8)
    mosaic[:, 1::2, 1::2] = 200
    given = read(str(folder(tmp_path / "mosaic", "bggr", images=mosaic)), ReadOptions(), None, Console(quiet=True))
    for picture in pictures(given.frames):
        np.testing.assert_array_equal(picture, np.broadcast_to(np.array([200, 0, 0], np.uint8), (HEIGHT, WIDTH, 3)))
    assert any("bggr mosaics" in said for said in given.about["assumptions"])


def test_highrev_folders_have_their_recipe(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, events = tmp_path / "highrev", some_events(0, 0.1)
    for kind in ("event", "blur", "sharp"):
        (path / kind).mkdir(parents=True)
    parts = np.array_split(np.arange(EVENTS), 3)
    for number, part in enumerate(parts):
        t, x, y, p = (column[part, None] for column in (np.rint(events.t * 1e6), events.x, events.y, events.p))
        np.savez(path / f"event/S_00000_{number:02d}.npz", x=y, y=x, timestamp=t, polarity=p)
    iio.imwrite(path / "blur/S_00000.png", BLURRED[0])
    iio.imwrite(path / "sharp/S_00000.png", SHARP[0])
    run = deblur(place, path, tmp_path)
    assert json.loads((run / "config.json").read_text())["recipe"] == "highrev"
    count = parts[0].size + parts[1].size
    window = some(events, slice(count))
    made = deblurred(load("efnet", place / "small.pth"), BLURRED[0], window, RECIPES["highrev"])
    np.testing.assert_array_equal(np.load(run / "frames.npy"), made[None])
    told = capsys.readouterr().out
    assert "the recipe is highrev" in told and "against the sharp pictures of 1 of 1 frames" in told
    deblur(place, path, tmp_path, "--overwrite", "--recipe", "gopro")
    assert "the recipe is gopro\n" in capsys.readouterr().out


def test_what_is_refused(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def said(source: str | Path, *more: str | Path) -> str:
        weights = [] if "--weights" in more else ["--weights", place / "small.pth"]
        return refused(capsys, "deblur", source, *weights, "--out", tmp_path / "new", *more)

    untold = folder(tmp_path / "untold", "gray", exposures=False, images=BLURRED[..., 0])
    assert "untold: its frames do not tell how long they were exposed; pass --exposure SECONDS" in said(untold)
    assert "evinr simulate pan" in said("demo")
    np.savetxt(tmp_path / "events.txt", some_events(0, 1).to_array(), fmt="%.9f %d %d %d")
    assert "events.txt: has no camera frames to make sharp" in said(tmp_path / "events.txt")
    late = write_h5(tmp_path / "late.h5", 0.01, events=some_events(5, 6))
    assert "late.h5: frames and events do not overlap" in said(late)
    bad = write_h5(tmp_path / "bad.h5", p=np.full(EVENTS, 3))
    assert "polarity" in said(bad) and "--polarity" in said(bad)
    bright = write_h5(tmp_path / "bright.h5", 0.01, frames=BLURRED.astype(np.uint16))
    assert "bright.h5: its frames are uint16, not of 8 bits" in said(bright)
    large = write_h5(tmp_path / "large.h5", 0.01)
    assert "30 x 21, its sensor 32 x 24; both must be of the same pixels" in said(
        large, "--height", "24", "--width", "32"
    )
    twice = write_h5(tmp_path / "twice.h5", 0.01, times=TIMES // 0.1 * 0.1)
    assert "image000000001: not later than the one before it" in said(twice)
    assert "no frames lie in the span" in said(place / "gopro.h5", "--t-start", "0.301")
    with h5py.File(tmp_path / "scer.h5", "w") as file:
        file["voxels/voxel000000000"], file["images/image000000000"] = np.zeros((6, 8, 8)), np.zeros((3, 8, 8))
    assert "do not give back their events; give the raw recording" in said(tmp_path / "scer.h5")
    wrong = publish(tmp_path / "wrong.pth", {"params": {"conv.weight": np.zeros((3, 3, 3, 3), np.float32)}})
    assert "wrong.pth: no weights of EFNet" in said(place / "gopro.h5", "--weights", wrong)
    other = refused(capsys, "baseline", "ner-net", place / "gopro.h5", "--weights", place / "small.pth")
    assert "small.pth: holds EFNet, not NER-Net; run `evinr deblur`, or give the file of NER-Net" in other
    cut_short = publish(tmp_path / "cut_short.pth", {"params": dict(list(WEIGHTS.items())[:-1])})
    assert "cut_short.pth" in said(place / "gopro.h5", "--weights", cut_short)
    assert "--weights FILE" in refused(capsys, "deblur", place / "gopro.h5") and not (tmp_path / "new").exists()


def test_usage(place: Path, capsys: pytest.CaptureFixture[str]):
    wrong = [["--exposure", "0"], ["--fps", "nan"], ["--skip-frames"], ["--method", "e2vid"], ["--recipe", "reblur"]]
    for words in ([], *([str(place / "gopro.h5"), *more] for more in wrong)):
        with pytest.raises(SystemExit) as stopped:
            main(["deblur", *words])
        assert stopped.value.code == 2


@pytest.mark.parametrize("sample", ["gopro_raw.h5", "reblur_raw.h5", "gopro_scer_voxel.h5"])
def test_the_samples_of_others(
    sample: str, shared: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = shared / "formats/samples/efnet" / sample
    if "scer" in sample:
        assert "give the raw recording" in refused(capsys, "deblur", path, "--weights", place / "small.pth")
        return
    given = read(str(path), ReadOptions(), None, Console(quiet=True))
    frame = [*open_stream(path).frames[0].read(WHOLE)][1]  # the only one whose window the events cover
    np.testing.assert_array_equal([*pictures(given.frames)], [frame.image])
    assert len(given.windows.times) == 1 and given.sharp is not None
