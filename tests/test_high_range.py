"""Light of high range: kept by runs, read as truth and as prediction, scored with nothing but its factor unknown."""

import json
import os
import shutil
from functools import partial
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import OpenEXR
import pytest
from conftest import refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from published import publish
from rich.console import Console
from skimage.metrics import structural_similarity

from baselines.firenet import PLUS, FireNet
from baselines.methods import METHODS
from baselines.weights import entries
from converters import ReadOptions
from evinr import light
from evinr.__main__ import main
from evinr.cli import frame_files, prediction_files, source
from evinr.evaluation import evaluate
from evinr.events import InputError
from evinr.matching import choose
from evinr.metrics.high_range import PU21, mu_law, perceived, pu21
from evinr.prediction import Prediction, Truth
from evinr.protocols import ALIGNED, EVREAL_2024, HDR, Normalisation
from evinr.reconstruction import Span
from evinr.report import bytes_of
from evinr.shown import show
from evinr.simulator import camera, scenes

# imageio leaves the pipes to ffmpeg, through which videos are written here, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HEIGHT, WIDTH = 24, 32
TIMES = np.array([0.0, 0.1, 0.2, 0.3])
RNG = np.random.default_rng(0)
LIGHT = np.exp(RNG.normal(0, 2, (4, HEIGHT, WIDTH))).astype(np.float32)
GUESS = (LIGHT * np.exp(RNG.normal(0, 0.2, LIGHT.shape))).astype(np.float32)
TRUTH = Truth(TIMES, np.zeros(LIGHT.shape, np.uint8), 0.0, light=LIGHT)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
FIRE = {name: 0.1 * RNG.standard_normal(shape, np.float32) for name, shape in entries(FireNet(5, 16, PLUS)).items()}


def predicted(kind: str, frames: np.ndarray) -> Prediction:
    return Prediction(kind, Span(0.0, 0.3), TIMES, lambda asked: frames[np.searchsorted(TIMES, asked)])  # pyright: ignore[reportArgumentType]


@given(arrays(np.float32, st.integers(1, 60), elements=FLOATS | st.sampled_from([0.0, -0.0, 1.0])), st.integers(1, 9))
def test_percentiles_are_exact_whatever_the_batches(numbers: np.ndarray, step: int):
    def batches() -> list[np.ndarray]:
        return [numbers[start : start + step] for start in range(0, len(numbers), step)]

    wanted = (0.0, 1.0, 37.5, 50.0, 99.0, 100.0)
    np.testing.assert_allclose(
        light.percentiles(batches, wanted), np.percentile(numbers.astype(np.float64), wanted), rtol=1e-14, atol=1e-300
    )


def test_percentiles_of_many_numbers():
    numbers = np.array([-3, 1, 1e-30, 70], np.float32) * RNG.normal(size=(50_000, 4)).astype(np.float32)
    found = light.percentiles(lambda: iter(np.array_split(numbers, 7)), light.ENDS)
    np.testing.assert_allclose(found, np.percentile(numbers.astype(np.float64), light.ENDS), rtol=1e-14)


def test_every_16_bit_value_is_shown_as_eventhdrs_script_shows_it():
    values = np.arange(65536, dtype=np.uint16)
    units = ((values + np.where(values < 65535, 0.5, 0)) / 65535).astype(np.float32)
    np.testing.assert_array_equal(light.sixteen_bits(units), values)
    colour = values * (1.0 / 30000.0)
    np.testing.assert_array_equal(bytes_of(light.tone_mapped(units)), np.rint(colour / (1 + colour) * 255))
    np.testing.assert_array_equal(light.sixteen_bits(np.array([-1.0, 2.0])), [0, 65535])


def test_pu21():
    """Of pu21_encoder.m; the codes are its formula's, worked out apart."""
    luminance = np.array([0.005, 0.1, 1, 10, 100, 1000, 10000])
    codes = [0, 5.71707384, 36.5439111, 123.647484, 256.383897, 420.096921, 595.393920]
    np.testing.assert_allclose(pu21(luminance), codes, rtol=1e-7, atol=1e-6)
    assert pu21(np.array([100.0]))[0] == pytest.approx(256, abs=0.5)
    many = np.geomspace(0.005, 10000, 10_000)
    assert (np.diff(pu21(many)) > 0).all()
    np.testing.assert_array_equal(pu21(np.array([-1.0, 0, 1e9])), pu21(np.array([0.005, 0.005, 10000])))
    a, b, c, power, outer, shift, factor = PU21
    raised = np.maximum(pu21(many) / factor + shift, 0) ** (1 / outer)
    np.testing.assert_allclose((np.maximum(raised - a, 0) / (b - c * raised)) ** (1 / power), many, rtol=1e-6)


def test_light_as_metrics_take_it():
    steps = np.linspace(0, 1, 1001, dtype=np.float32).reshape(1, 1, -1)
    by_mu = mu_law(steps)
    np.testing.assert_allclose(by_mu, np.log(1 + 5000 * steps.astype(float)) / np.log(5001), rtol=1e-6)
    assert (np.diff(by_mu) > 0).all() and by_mu[0, 0, 0] == 0 and by_mu[0, 0, -1] == 1
    np.testing.assert_allclose(perceived(steps)[0, 0, [0, 100, -1]] * 256, [0, 256.383897, 420.096921], atol=1e-4)


def by_hand(frames: np.ndarray) -> np.ndarray:
    """Light from its 1st to its 99th percentile, all pictures together."""
    low, high = np.percentile(frames.astype(np.float64), [1, 99])
    return np.clip((frames - low) / (high - low), 0, 1)


@pytest.mark.parametrize(
    ("kind", "frames", "linear"),
    [
        ("light", GUESS, GUESS),
        ("log", np.log(GUESS) * 0.9 - 20, np.exp(np.log(GUESS) * 0.9 - 20)),
        ("picture", np.clip(GUESS / 9, 0, 1), np.clip(GUESS / 9, 0, 1)),
    ],
)
def test_the_protocols_numbers_written_out(kind: str, frames: np.ndarray, linear: np.ndarray):
    ours, theirs = by_hand(linear.astype(np.float64)), by_hand(LIGHT)
    means = evaluate(predicted(kind, frames), TRUTH, None, HDR).means
    gauss = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for name, coded, peak in (
        ("mu", lambda x: np.log(1 + 5000 * x) / np.log(5001), 1.0),
        ("pu", lambda x: pu21(np.maximum(1000 * x, 0.005)), 256.0),
    ):
        a, b = coded(ours), coded(theirs)
        psnr = np.mean(
            [20 * np.log10(peak) - 10 * np.log10(np.square(p - t).mean()) for p, t in zip(a, b, strict=True)]
        )
        ssim = np.mean([structural_similarity(t, p, data_range=peak, **gauss) for p, t in zip(a, b, strict=True)])
        assert means[f"psnr_{name}"].value == pytest.approx(psnr, abs=1e-3)
        assert means[f"ssim_{name}"].value == pytest.approx(ssim, abs=1e-5)
    log_truth = np.log(LIGHT / np.percentile(LIGHT, 99) + 1 / 5000)
    related = frames if kind == "log" else np.log(frames / np.percentile(frames, 99) + 1 / 5000)
    corr = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(related, log_truth, strict=True)])
    assert means["corr"].value == pytest.approx(corr, abs=1e-4)
    assert set(means) == {"psnr_mu", "ssim_mu", "psnr_pu", "ssim_pu", "corr", "temporal"}  # no LPIPS


@pytest.mark.parametrize("factor", [1e-7, 1e7])
def test_a_factor_of_light_does_not_show(factor: float):
    scaled = TRUTH._replace(light=LIGHT * np.float32(factor))
    for one, other, truth in (
        (predicted("light", GUESS), predicted("light", GUESS * np.float32(factor)), TRUTH),
        (predicted("light", GUESS), predicted("light", GUESS), scaled),
        (predicted("log", np.log(GUESS)), predicted("log", np.log(GUESS) + np.float32(20 * np.log(factor))), scaled),
    ):
        expected = evaluate(one, TRUTH, None, HDR).means
        for metric, mean in evaluate(other, truth, None, HDR).means.items():
            assert mean.value == pytest.approx(expected[metric].value, abs=1e-4), metric


def test_the_truth_itself_scores_best_and_nothing_else_does():
    means = evaluate(predicted("light", LIGHT), TRUTH, None, HDR).means
    assert means["psnr_pu"].value is None and means["ssim_pu"].value == pytest.approx(1)  # an infinite one has no mean
    assert means["corr"].value == pytest.approx(1, abs=1e-6)
    black = evaluate(predicted("light", 0 * LIGHT), TRUTH, None, HDR)
    assert black.means["psnr_mu"].value is not None and black.means["corr"].value is None
    with pytest.raises(InputError, match="give Truth its `light`"):
        evaluate(predicted("light", LIGHT), TRUTH._replace(light=None), None, HDR)


def test_outliers_of_log_intensity_do_not_overflow():
    wild = np.log(GUESS)
    wild[0, 0, 0] = 3000
    spoilt = evaluate(predicted("log", wild), TRUTH, None, HDR).means["ssim_pu"].value
    sound = evaluate(predicted("log", np.log(GUESS)), TRUTH, None, HDR).means["ssim_pu"].value
    assert spoilt is not None and sound == pytest.approx(spoilt, abs=0.01)


def test_pictures_of_light_are_tone_mapped():
    truth = Truth(TIMES, bytes_of(light.tone_mapped(by_hand(LIGHT))), 0.0)
    prediction = predicted("light", LIGHT * 40)
    shown = show(prediction, truth, choose(prediction, truth, EVREAL_2024, None), EVREAL_2024, None)
    colour = (by_hand(LIGHT) * 65535).astype(np.uint16) / 30000
    np.testing.assert_allclose(shown.prediction.pictures, colour / (1 + colour), atol=3e-5)  # of a 16-bit step
    assert "tone-mapped" in " ".join(shown.notes)
    means = evaluate(prediction, truth, None, EVREAL_2024).means
    assert means["psnr"].value is not None and means["psnr"].value > 50
    assert evaluate(prediction, truth, None, ALIGNED).means["corr"].value is not None


@pytest.mark.parametrize("how", ["none", "standard", "robust"])
def test_a_normalisation_is_of_the_light_itself(how: Normalisation):
    frames = GUESS / 40
    prediction, truth = predicted("light", frames), TRUTH._replace(images=bytes_of(light.tone_mapped(by_hand(LIGHT))))
    shown = show(prediction, truth, choose(prediction, truth, EVREAL_2024, None), EVREAL_2024, how)
    ends = {"none": (0, 1), "standard": (0, 100), "robust": (1, 99)}[how]
    for frame, seen in zip(frames, shown.prediction.pictures, strict=True):
        low, high = ends if how == "none" else np.percentile(frame, ends)
        np.testing.assert_allclose(seen, np.clip((frame - low) / (high - low), 0, 1), atol=1e-6)
    assert shown.notes == (f"normalisation of the prediction: {how}",)
    unset = show(prediction, truth, choose(prediction, truth, EVREAL_2024, None), EVREAL_2024, None)
    assert np.abs(unset.prediction.pictures - shown.prediction.pictures).max() > 0.1


def test_light_has_no_exponential():
    with pytest.raises(InputError, match="is linear light; pass none, standard or robust, or leave it out") as error:
        evaluate(predicted("light", GUESS), TRUTH, None, EVREAL_2024, normalisation="exprobust")
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated room of high range with frames of 8 bits and, of the kind `hdr`, floats; and weights of FireNet+."""
    root = tmp_path_factory.mktemp("light")
    size = ["--height", str(HEIGHT), "--width", str(WIDTH), "--seconds", "0.3", "--fps", "20"]
    assert main(["simulate", "hdr", str(root / "room"), *size]) == 0
    times, frames = stored(root / "room/frames.h5", "hdr/times") / 1e9, stored(root / "room/frames.h5", "hdr/images")
    np.save(root / "own.npy", frames * 3)
    np.savetxt(root / "own.txt", times, fmt="%.9f")
    # The same frames in 16 bits alone, as EventHDR's files have them.
    assert main(["convert", str(root / "room"), str(root / "deep.h5"), "--to", "h5"]) == 0
    with h5py.File(root / "deep.h5", "r+") as file:
        for kind in ("evinr", "sharp_images", "hdr_images"):
            del file[kind]
        for number, frame in enumerate(frames):
            stamp = dict(file[f"images/image{number:09d}"].attrs)
            del file[f"images/image{number:09d}"]
            deep = np.rint(65535 * np.clip(frame / frames.max(), 0, 1)).astype(np.uint16)
            file.create_dataset(f"images/image{number:09d}", data=deep).attrs.update(stamp)
    publish(root / "fire.pth", FIRE)
    return root


def stored(path: Path, name: str) -> np.ndarray:
    """A dataset of an HDF5 file."""
    with h5py.File(path) as file:
        return np.asarray(file[name])


def given_source(path: Path, **options: float) -> source.Source:
    return source.read(str(path), ReadOptions(**options), 0, Console(quiet=True))  # pyright: ignore[reportArgumentType]


def test_the_truth_of_a_simulation_is_its_intensity(room: Path):
    recording = given_source(room / "room")
    truth, world = source.truth(recording, light=True), scenes.build("hdr", HEIGHT, WIDTH, 0)
    assert truth is not None and truth.light is not None and truth.light.max() > 1
    for time, frame in zip(truth.times, truth.light, strict=True):
        np.testing.assert_array_equal(frame, camera.radiance(world, time))
    pictures = source.truth(recording)
    assert pictures is not None and pictures.light is None
    part = source.truth(given_source(room / "room", t_start=0.1, t_end=0.2), light=True)
    assert part is not None and part.light is not None
    np.testing.assert_array_equal(part.light, truth.light[(truth.times >= 0.1) & (truth.times <= 0.2)])
    demo = source.truth(given_source(Path("demo"), height=24, width=32, t_end=0.2), light=True)
    assert demo is not None and demo.light is not None and demo.images is not None
    np.testing.assert_array_equal(bytes_of(demo.light), demo.images)


def test_the_truth_of_16_bits_is_its_parts(room: Path):
    recording = given_source(room / "deep.h5")
    truth = source.truth(recording, light=True)
    images = [stored(room / "deep.h5", f"images/image{number:09d}") for number in range(6)]
    assert truth is not None and truth.light is not None and truth.images is not None
    np.testing.assert_array_equal(truth.light, np.stack(images).astype(np.float32) / 65535)
    with pytest.raises(InputError, match="--protocol hdr"):
        source.truth(recording)


def test_frames_of_either_kind_say_which_protocol_takes_them(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    deep = [
        "evaluate",
        room / "own.npy",
        "--truth",
        room / "deep.h5",
        "--values",
        "light",
        "--out",
        tmp_path / "out",
    ]
    assert "pass --protocol hdr" in refused(capsys, *deep)
    shutil.copytree(room / "room", tmp_path / "plain")
    for name in ("frames.h5", "images_sharp.txt"):
        (tmp_path / "plain" / name).unlink()
    plain = [*deep[:3], tmp_path / "plain", *deep[4:], "--protocol", "hdr"]
    assert "its frames have 8 bits" in refused(capsys, *plain)
    assert main([str(word) for word in [*plain, "--skip-frames"]]) == 0
    assert set(json.loads((tmp_path / "out/scores.json").read_text())["scores"]) == {"replay", "sharpness"}
    hdr = [*deep[:-1], tmp_path / "other", "--protocol", "hdr"]
    assert "--equalisation" in refused(capsys, *hdr, "--equalisation", "global")
    assert "--lpips" in refused(capsys, *hdr, "--lpips", "any.safetensors")
    assert "hdr has its own" in refused(capsys, *hdr, "--normalisation", "none")
    shutil.copytree(room / "room", tmp_path / "broken")
    with h5py.File(tmp_path / "broken/frames.h5", "r+") as file:
        file["hdr/images"][2, 3, 4] = np.nan  # pyright: ignore[reportIndexIssue]
    said = refused(capsys, *hdr[:3], tmp_path / "broken", *hdr[4:])
    assert "hdr/images[2]" in said and "not finite" in said


def test_the_truth_scores_as_such_by_command(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = [
        "evaluate",
        str(room / "own.npy"),
        "--truth",
        str(room / "room"),
        "--values",
        "light",
        "--protocol",
        "hdr",
    ]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["protocol"]["name"] == "hdr" and scores["frames"]["scored"] == 6
    assert scores["scores"]["ssim_mu"]["value"] == pytest.approx(1, abs=1e-6)
    assert scores["scores"]["replay"]["value"] == pytest.approx(scores["frames_themselves"]["replay"], abs=1e-3)
    assert "PSNR-PU21" in capsys.readouterr().out and scores["lpips"] is None


def light_run(room: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Path:
    """A run of FireNet+ as if it gave linear light."""
    monkeypatch.setitem(METHODS, "firenet+", METHODS["firenet+"]._replace(finish="light"))
    words = ["baseline", "firenet+", str(room / "room"), "--weights", str(room / "fire.pth"), "--out", str(out)]
    assert main([*words, "--name", "fire", *more]) == 0
    return out / "fire"


def test_a_run_keeps_the_range(room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All of a run of light, from what the network gives by EventHDR's inference.py written out."""
    plain = ["baseline", "firenet+", str(room / "room"), "--weights", str(room / "fire.pth"), "--out", str(tmp_path)]
    assert main([*plain, "--name", "plain"]) == 0
    given = np.load(tmp_path / "plain/frames.npy")
    run = light_run(room, tmp_path, monkeypatch)
    assert {file.name for file in run.iterdir()} == {
        *("config.json", "exr", "frames", "frames.npy", "frames.txt", "png16", "preview.png", "video.mp4")
    }
    low, high = np.percentile(given.astype(np.float64), [1, 99])
    assert json.loads((run / "config.json").read_text())["light"] == {"low": low, "high": high}
    frames = np.load(run / "frames.npy")
    np.testing.assert_allclose(frames, (given - low) / (high - low + 1e-5), rtol=1e-5, atol=1e-6)
    assert frames.dtype == np.float32 and frames.min() < 0 and frames.max() > 1  # nothing is cut off
    deep = (np.clip(frames, 0, 1) * 65535).astype(np.uint16)
    colour = deep * (1.0 / 30000.0)
    shown = np.rint(colour / (1 + colour) * 255).astype(np.uint8)
    times = np.loadtxt(run / "frames.txt")
    for folder, ending, expected in (("exr", "exr", frames), ("png16", "png", deep), ("frames", "png", shown)):
        listed = [line.split() for line in (run / folder / "images.txt").read_text().splitlines()]
        np.testing.assert_allclose([float(time) for time, _ in listed], times, atol=1e-9)
        for number, (_, name) in enumerate(listed):
            assert name == f"frame_{number:08d}.{ending}"
            if ending == "exr":
                with OpenEXR.File(str(run / folder / name)) as file:
                    np.testing.assert_array_equal(file.channels()["Y"].pixels.view("u4"), frames[number].view("u4"))
            else:
                np.testing.assert_array_equal(iio.imread(run / folder / name), expected[number])
    assert len(iio.imread(run / "video.mp4")) == len(frames)


def test_runs_of_light_are_scored_compared_and_reported(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run = light_run(room, tmp_path, monkeypatch)
    prediction = prediction_files.read(run, None, "auto").prediction
    floats = prediction_files.read(run / "exr", None, "auto").prediction
    assert prediction.kind == floats.kind == "light" and prediction.times is not None
    np.testing.assert_array_equal(floats.at(prediction.times), prediction.at(prediction.times))
    values = {}
    for path in (run, run / "exr"):
        words = ["evaluate", str(path), "--truth", str(room / "room"), "--protocol", "hdr", "--overwrite", "--out"]
        assert main([*words, str(tmp_path / "scores")]) == 0
        values[path] = json.loads((tmp_path / "scores/scores.json").read_text())["scores"]
    assert values[run] == values[run / "exr"] and values[run]["ssim_mu"]["value"] < 0.9
    array = prediction_files.read(run / "frames.npy", None, "light").prediction  # some of its numbers are below black
    assert array.kind == "light"
    np.testing.assert_array_equal(array.at(prediction.times), prediction.at(prediction.times))
    method = ["--methods", "firenet+", "--weights", "firenet+", str(room / "fire.pth"), "--protocol", "hdr"]
    assert main(["compare", str(room / "deep.h5"), *method, "--out", str(tmp_path / "both")]) == 0
    page = tmp_path / "page.html"
    assert main(["report", str(run), "--protocol", "hdr", "--out", str(page)]) == 0
    assert "SSIM-PU21" in page.read_text() and "SSIM-PU21" in (tmp_path / "both/report.html").read_text()
    assert light_run(room, tmp_path, monkeypatch, "--overwrite").is_dir()
    (run / "exr/mine.txt").write_text("mine")  # of a folder of the run, which is the run's
    capsys.readouterr()
    words = ["baseline", "firenet+", room / "room", "--weights", room / "fire.pth", "--out", tmp_path, "--name", "new"]
    huge = publish(tmp_path / "huge.pth", {name: values * np.float32(1e38) for name, values in FIRE.items()})
    assert "gives numbers that are not finite" in refused(capsys, *words[:4], huge, *words[5:])
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".partial*"))


def write_exr(path: Path, **channels: np.ndarray) -> None:
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(path))


def test_openexr_of_others(tmp_path: Path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/timestamps.txt").write_text("0.1\n0.2\n0.3\n0.4\n")
    half, colour = LIGHT[1].astype(np.float16), np.stack([LIGHT[2], LIGHT[1], LIGHT[0]], -1)
    for name, channels in {
        "0": {"Y": LIGHT[0]},
        "1": {"depth": half},
        "2": {"RGB": colour},
        "3": {"RGBA": np.concatenate([colour, colour[..., :1]], -1)},
    }.items():
        write_exr(tmp_path / f"p/frame_{name}.exr", **channels)
    read = prediction_files.read(tmp_path / "p", None, "auto")
    assert read.prediction.kind == "light" and "linear light" in read.assumptions[0]
    seen, gray = read.prediction.at(np.array([0.1, 0.2, 0.3, 0.4])), colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(seen, [LIGHT[0], half, gray, gray], rtol=1e-6)


def test_openexr_that_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/timestamps.txt").write_text("0.1\n")
    path = tmp_path / "p/frame_0.exr"
    ask = partial(np.array, [0.1])
    for content, message in (
        (b"", "is damaged or cut short, or no OpenEXR picture; write it again"),
        (b"v/1\x01" + bytes(99), "is damaged or cut short"),
        ({"X": LIGHT[0], "Z": LIGHT[1]}, "has the channels X, Z; expected floats, gray or RGB"),
        ({"id": LIGHT[0].astype(np.uint32)}, "has the channels id"),
    ):
        path.write_bytes(content) if isinstance(content, bytes) else write_exr(path, **content)
        with pytest.raises(InputError, match=message):
            prediction_files.read(tmp_path / "p", None, "auto").prediction.at(ask())
    iio.imwrite(tmp_path / "p/frame_1.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    (tmp_path / "p/timestamps.txt").write_text("0.1\n0.2\n")
    with pytest.raises(InputError, match="beside other pictures"):
        prediction_files.read(tmp_path / "p", None, "auto")


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.5, 0.9])
def test_of_a_damaged_openexr_only_our_line_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str], kept: float):
    """The library has up to 13 lines of its own, which it prints past Python's stderr, and one for its stdout."""
    path = tmp_path / "frame.exr"
    write_exr(path, Y=LIGHT[0])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError) as error:
        frame_files.read_exr(path)
    assert str(error.value).startswith(f"{path}: is damaged or cut short") and "\n" not in str(error.value)
    assert "part index" not in str(error.value)
    assert capfd.readouterr() == ("", "")
    os.write(2, b"said")  # as before
    path.write_bytes(whole)
    np.testing.assert_array_equal(frame_files.read_exr(path), LIGHT[0])
    os.write(2, b" and said")
    assert capfd.readouterr() == ("", "said and said")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, which is always full, is Linux's")
def test_a_full_disk_is_no_success(tmp_path: Path):
    (tmp_path / "frame_00000000.exr").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        next(frame_files.exrs(tmp_path, TIMES, [0 * LIGHT[:1]]))
