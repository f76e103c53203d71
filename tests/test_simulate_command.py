"""Laws of `evinr simulate`: what it writes is a recording like any other, whole or not at all, the same for a seed."""

import json
from dataclasses import asdict
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from converters import ReadOptions, open_stream, read
from converters.frames import checked_frames
from converters.job import Job, convert, is_done
from evinr.__main__ import main, parse
from evinr.cli.commands import Simulate
from evinr.simulator import camera, scenes
from evinr.simulator.pixels import draw_pixels
from evinr.simulator.sensor import SENSORS, Sensor
from evinr.simulator.simulate import simulate

# imageio leaves the pipes to ffmpeg, through which videos are read, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

SMALL = ["--height", "24", "--width", "32", "--seconds", "0.2"]


def everything(root: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in sorted(root.rglob("*"))}


def frames_of(path: Path, kind: str) -> list:
    (chosen,) = [frames for frames in open_stream(path).frames if frames.name == kind]
    return list(checked_frames(chosen, ReadOptions(), 0, path.name))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "out"
    assert main(["simulate", "pan", str(out), *SMALL, "--seed", "3", "--mismatch", "0.05", "--fps", "20"]) == 0
    return out


def test_events_and_pictures_are_those_of_the_simulation(simulated):
    recording = read(simulated)
    world, sensor = scenes.build("pan", 24, 32, 3), Sensor(mismatch=0.05)
    expected = simulate(world.light, world.times(0.0, 0.2), sensor, 3)
    for found, made in zip(recording.events, expected, strict=True):
        np.testing.assert_array_equal(found, made)
    times = [0.01, 0.06, 0.11, 0.16]
    for kind, take in (
        ("frames", lambda t: camera.exposed(world, t, 0.02)),
        ("sharp", lambda t: camera.sharp(world, t)),
        ("hdr", lambda t: camera.radiance(world, t)),
    ):
        found = frames_of(simulated, kind)
        assert [frame.time for frame in found] == [round(t * 1e9) for t in times]
        for frame, t in zip(found, times, strict=True):
            assert frame.image.dtype == (np.float32 if kind == "hdr" else np.uint8)
            np.testing.assert_array_equal(frame.image, take(t))
    assert frames_of(simulated, "frames")[1].exposure == (50_000_000, 70_000_000)
    assert frames_of(simulated, "sharp")[1].exposure is None
    assert recording.frames is not None and recording.frames.images.shape == (4, 24, 32)


def test_the_metadata_say_what_it_was_made_from(simulated):
    about = json.loads((simulated / "metadata.json").read_text())
    made, pixels = about["made"], draw_pixels(Sensor(mismatch=0.05), 24 * 32, np.random.default_rng(3))
    assert made["simulation"] == "pan" and made["seed"] == 3 and made["seconds"] == 0.2
    assert made["sensor"] == asdict(Sensor(mismatch=0.05)) and made["footage"] is None
    assert made["thresholds"]["off"] == {
        "nominal": 0.2, "mean": float(pixels.off.mean()), "deviation": float(pixels.off.std()),
    }  # fmt: skip
    assert made["camera"] == {"fps": 20.0, "exposure": 0.02, "white": 1.0}
    assert about["source_sha256"] is None and about["sensor"]["width"] == 32


def test_the_same_seed_gives_the_same_bytes(simulated, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    assert main(["simulate", "pan", str(again), *SMALL, "--seed", "3", "--mismatch", "0.05", "--fps", "20"]) == 0
    assert everything(again) == everything(simulated)
    assert main(["simulate", "pan", str(other), *SMALL, "--seed", "4", "--mismatch", "0.05", "--fps", "20"]) == 0
    assert everything(other)["events.npy"] != everything(simulated)["events.npy"]


@pytest.mark.parametrize("to", ["evreal", "h5"])
def test_other_targets_hold_the_same(simulated, tmp_path, to: str):
    out = tmp_path / "out"
    assert (
        main(["simulate", "pan", str(out), *SMALL, "--seed", "3", "--mismatch", "0.05", "--fps", "20", "--to", to]) == 0
    )
    one, other = read(simulated).events, read(out).events
    np.testing.assert_allclose(one.t, other.t + (one.t[0] - other.t[0]), atol=1.1e-9)
    np.testing.assert_array_equal(one.x, other.x)
    kinds = {frames.name for frames in open_stream(out).frames}
    assert kinds == ({"frames", "sharp", "hdr"} if to == "h5" else {"frames"})
    if to == "h5":
        for kind in kinds:
            for a, b in zip(frames_of(simulated, kind), frames_of(out, kind), strict=True):
                assert a.time == b.time and a.exposure == b.exposure and np.array_equal(a.image, b.image)
    else:  # EVREAL takes pictures for the truth: they are the sharp ones
        np.testing.assert_array_equal(frames_of(out, "frames")[0].image, frames_of(simulated, "sharp")[0].image)


def test_other_commands_take_it(simulated, tmp_path, capsys):
    assert main(["info", str(simulated)]) == 0
    assert "besides: sharp, hdr" in capsys.readouterr().out
    assert main(["convert", str(simulated), str(tmp_path / "evreal"), "--to", "evreal"]) == 0
    job = Job(simulated, tmp_path / "npy", "npy", ReadOptions())
    convert(job, lambda done: None)
    assert is_done(job)
    assert {k: v for k, v in everything(tmp_path / "npy").items() if k != "metadata.json"} == {
        k: v for k, v in everything(simulated).items() if k != "metadata.json"
    }
    (tmp_path / "npy/sharp/frame_00000001.png").unlink()
    assert not is_done(job)


def test_the_preset_sets_what_other_options_change():
    night = parse(["simulate", "night", "out", "--preset", "night"])
    assert isinstance(night, Simulate) and night.sensor == SENSORS["night"]
    changed = parse(["simulate", "night", "out", "--contrast-threshold", "0.4", "--preset", "night"])
    assert isinstance(changed, Simulate) and changed.sensor.contrast_threshold == 0.4
    assert changed.sensor.bandwidth == SENSORS["night"].bandwidth
    day = parse(["simulate", "night", "out"])
    assert isinstance(day, Simulate) and day.sensor == Sensor()


def test_the_help_names_every_scene_texture_and_preset(capsys):
    with pytest.raises(SystemExit):
        parse(["simulate", "--help"])
    said = capsys.readouterr().out.replace("\n", " ")
    assert all(name in said for name in (*scenes.SCENES, *scenes.TEXTURES, *SENSORS))


@pytest.mark.parametrize("to", ["npy", "h5"])
def test_footage_is_simulated(tmp_path, to: str):
    rng = np.random.default_rng(0)
    (tmp_path / "film").mkdir()
    for number in range(6):
        iio.imwrite(tmp_path / f"film/{number}.png", rng.integers(0, 255, (20, 24), np.uint8))
    before = everything(tmp_path / "film")
    out = tmp_path / "out"
    options = ["--source-fps", "100", "--fps", "50", "--exposure", "0.01", "--to", to]
    assert main(["simulate", str(tmp_path / "film"), str(out), *options]) == 0
    assert everything(tmp_path / "film") == before
    recording = read(out)
    assert (recording.events.height, recording.events.width) == (20, 24) and recording.events.t[-1] <= 0.05
    assert any("fades instead of moving" in said for said in recording.assumptions)


def test_a_video_is_simulated(tmp_path):
    rng = np.random.default_rng(0)
    iio.imwrite(tmp_path / "a.mp4", rng.integers(0, 255, (8, 32, 48, 3), np.uint8), fps=50)
    assert main(["simulate", str(tmp_path / "a.mp4"), str(tmp_path / "out"), "--height", "16", "--width", "24"]) == 0
    about = json.loads((tmp_path / "out/metadata.json").read_text())
    assert about["format"] == "simulation of a video" and len(about["source_sha256"]) == 64
    assert about["sensor"]["height"] == 16 and "50 a second as the video says" in " ".join(about["assumptions"])


@pytest.mark.parametrize("words, said", [
    (["nosuch"], "no built-in scene (demo, pan"),
    (["pan", "--seconds", "0"], "--seconds 0"),
    (["pan", "--seconds", "nan"], "--seconds nan"),
    (["pan", "--height", "15", "--width", "32"], "16 or more"),
    (["pan", "--height", "32"], "belong together"),
    (["pan", "--fps", "-1"], "--fps -1"),
    (["pan", "--exposure", "0.05"], "--exposure 0.05"),
    (["pan", "--exposure", "0"], "--exposure 0"),
    (["pan", "--fps", "1", "--exposure", "0.9", "--seconds", "0.5"], "hold no exposure"),
    (["pan", "--seed", "-1"], "--seed -1"),
    (["pan", "--gamma", "2"], "--gamma"),
    (["pan", "--source-fps", "20"], "--source-fps"),
    (["hdr", "--texture", "cards"], "no --texture"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(tmp_path, capsys, words, said):
    assert main(["simulate", words[0], str(tmp_path / "out"), *words[1:]]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_footage_that_is_too_small_or_too_short_is_refused(tmp_path, capsys):
    film = tmp_path / "film"
    film.mkdir()
    for number in range(3):
        iio.imwrite(film / f"{number}.png", np.full((8, 30), 80 * number, np.uint8))
    for words, said in (([], "30 x 8"), (["--seconds", "9"], "lasts 0.02 s"), (["--texture", "cards"], "--texture")):
        size = ["--height", "16", "--width", "16"] if words else []
        assert main(["simulate", str(film), str(tmp_path / "out"), "--source-fps", "100", *words, *size]) == 1
        assert said in capsys.readouterr().err
    assert main(["simulate", str(film), str(film / "out"), "--source-fps", "100"]) == 1
    assert "inside each other" in capsys.readouterr().err and sorted(p.name for p in film.iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
    ]


def test_what_is_there_is_kept_unless_told(simulated, capsys):
    before = everything(simulated)
    assert main(["simulate", "pan", str(simulated), *SMALL]) == 1
    assert "--overwrite" in capsys.readouterr().err and everything(simulated) == before


def test_it_is_simulated_anew_over_itself_and_nothing_else(tmp_path, capsys):
    arguments = ["simulate", "pan", str(tmp_path / "out"), *SMALL]
    assert main(arguments) == 0
    (tmp_path / "out/.DS_Store").write_text("")
    assert main([*arguments, "--overwrite"]) == 0
    (tmp_path / "out/frames/notes.txt").write_text("mine")
    assert main([*arguments, "--overwrite"]) == 1
    assert "holds frames/notes.txt" in capsys.readouterr().err
    assert (tmp_path / "out/frames/notes.txt").read_text() == "mine"


def test_nothing_else_is_ever_replaced(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    assert main(["simulate", "pan", str(tmp_path / "out"), *SMALL, "--overwrite"]) == 1
    assert (tmp_path / "out/thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("when", [5, 60])
def test_an_interrupted_simulation_leaves_nothing(tmp_path, monkeypatch, when: int):
    build, left = scenes.build, iter(range(when))

    def stopping(*words):
        world = build(*words)

        def light(t: float) -> np.ndarray:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return world.light(t)

        return world._replace(light=light)

    monkeypatch.setattr(scenes, "build", stopping)
    assert main(["simulate", "pan", str(tmp_path / "below/out"), *SMALL]) == 130
    assert not list(tmp_path.iterdir())


def test_a_scene_without_events_is_said(tmp_path, capsys, monkeypatch):
    build = scenes.build
    monkeypatch.setattr(scenes, "build", lambda *words: build(*words)._replace(light=lambda t: np.zeros((24, 32))))
    assert main(["simulate", "pan", str(tmp_path / "out"), *SMALL, "--preset", "clean"]) == 1
    error = capsys.readouterr().err
    assert "no events" in error and error.count("\n") == 1 and not list(tmp_path.iterdir())
