"""`evinr filter` writes the recording with its events moved, and all else as it was."""

import json
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import refused

import converters
from evinr.__main__ import main
from evinr.trails import suppress


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulation with trails, frames and exposures."""
    out = tmp_path_factory.mktemp("filter") / "night"
    assert main(["simulate", "night", str(out), "--seconds", "0.2", "--height", "40", "--width", "60"]) == 0
    return out


@pytest.mark.parametrize("to, name", [("npy", "out"), ("h5", "out.h5")])
def test_the_events_are_the_filters_and_the_rest_is_the_recordings(night: Path, tmp_path: Path, to: str, name: str):
    before = {file: file.read_bytes() for file in night.rglob("*") if file.is_file()}
    words = ["filter", "trails", str(night), str(tmp_path / name), "--to", to, "--off", "0.5"]
    assert main([*words, "--preview", str(tmp_path / "p.png")]) == 0
    source, made = converters.read(night), converters.read(tmp_path / name)
    expected, moved = suppress(source.events, 1.0, 0.5)
    assert 0 < moved < source.events.count
    for ours, theirs in zip(made.events[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert source.frames is not None and made.frames is not None
    np.testing.assert_array_equal(made.frames.images, source.frames.images)
    np.testing.assert_allclose(made.frames.times, source.frames.times, atol=1e-9)
    assert any(f"{moved:,} of {source.events.count:,} events" in note for note in made.assumptions)
    assert iio.imread(tmp_path / "p.png").ndim == 3
    assert before == {file: file.read_bytes() for file in night.rglob("*") if file.is_file()}
    if to == "npy":
        exposures = [np.loadtxt(folder / "exposures.txt") for folder in (night, tmp_path / name)]
        np.testing.assert_allclose(exposures[1], exposures[0], atol=1e-9)
        about = json.loads((tmp_path / name / "metadata.json").read_text())
        assert about["made"]["filter"] == "trails" and about["made"]["off"] == 0.5
        assert len(set(about["assumptions"])) == len(about["assumptions"])


def test_an_absolute_clock_keeps_its_zero_and_a_span_its_times(tmp_path: Path):
    rng = np.random.default_rng(0)
    t = 1.6e9 + np.sort(rng.integers(0, 10**6, 2000)) / 1e6
    p = rng.choice([-1, 1], 2000)
    np.save(tmp_path / "a.npy", np.stack([t, rng.integers(0, 20, 2000), rng.integers(0, 16, 2000), p], 1))
    span = ["--t-start", "0.2", "--t-end", "0.7"]
    assert main(["filter", "trails", str(tmp_path / "a.npy"), str(tmp_path / "out"), *span]) == 0
    whole = converters.read(tmp_path / "a.npy")
    made = converters.read(tmp_path / "out")
    expected, _ = suppress(whole.events.between(0.2, 0.7))
    np.testing.assert_array_equal(made.events.t, expected.t)
    assert made.origin == whole.origin and 0.2 <= made.events.t[0] < 0.21


def write_h5(path: Path, microseconds: int) -> Path:
    """Events and two pictures from a clock's time on; of RLED, whose times are whole, or with exposures in seconds."""
    rng, rled = np.random.default_rng(1), path.stem == "rled"
    t = microseconds + np.sort(rng.integers(0, 10**6, 2000))
    with h5py.File(path, "w") as file:
        for name, column in {"ts": t, "xs": rng.integers(0, 24, 2000), "ys": rng.integers(0, 18, 2000)}.items():
            file[f"events/{name}"] = column if rled or name != "ts" else column / 1e6
        file["events/ps"] = rng.random(2000) < 0.5
        file.attrs["sensor_resolution"], file.attrs["num_imgs"] = (24, 18) if rled else (18, 24), 77
        file.attrs["t0"], file.attrs["tk"] = (at if rled else at / 1e6 for at in (t[0], t[-1]))
        for number, time in enumerate((t[500], t[1000])):
            shape = (18, 24) if rled else (18, 24, 3)
            picture = file.create_dataset(f"images/image{number:09d}", data=rng.integers(0, 255, shape, np.uint8))
            picture.attrs["timestamp"] = time if rled else time / 1e6
            if not rled:
                for end, later in (("start", -2000), ("end", 3000)):
                    picture.attrs[f"exposure_{end}"] = (time + later) / 1e6
        if rled:
            file["event_indices"] = [[0, 500], [500, 1000]]
    return path


def test_exposures_are_on_the_clock_of_the_events(tmp_path: Path):
    source = write_h5(tmp_path / "reblur.h5", 1_600_000_000_000_000)
    assert main(["filter", "trails", str(source), str(tmp_path / "out")]) == 0
    whole, made = converters.read(source), converters.read(tmp_path / "out")
    assert made.origin == whole.origin > 10**18 and whole.frames is not None and made.frames is not None
    np.testing.assert_allclose(made.frames.times, whole.frames.times, atol=1e-9)
    times, begins, ends = np.loadtxt(tmp_path / "out/exposures.txt").T
    np.testing.assert_allclose(times, whole.frames.times, atol=1e-9)
    np.testing.assert_allclose([begins - times, ends - times], [[-0.002] * 2, [0.003] * 2], atol=1e-6)


def test_windows_that_the_recording_gave_its_pictures_are_said_to_be_lost(night: Path, tmp_path: Path):
    """They are numbers of events, which come in another order."""
    source, lost = (
        write_h5(tmp_path / "rled.h5", 1_000_000),
        "which events the file gives to each of its frames is not kept",
    )
    whole = converters.read(source)
    assert whole.frames is not None and whole.frames.windows is not None
    for to, of, count in (("npy", source, 1), ("h5", source, 1), ("npy", night, 0)):
        out = tmp_path / f"{of.stem}-out.{to}"
        assert main(["filter", "trails", str(of), str(out), "--to", to]) == 0
        made = converters.read(out)
        assert made.frames is not None and made.frames.windows is None
        assert sum(lost in note for note in made.assumptions) == count


def test_what_is_refused(night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["filter", "trails", str(night)]
    assert "lie inside each other" in refused(capsys, *words, night / "inside")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    assert "is no conversion of evinr" in refused(capsys, *words, tmp_path / "mine", "--overwrite")
    (tmp_path / "p.png").write_text("mine")
    assert "p.png: exists already; pass --overwrite" in refused(
        capsys, *words, tmp_path / "a", "--preview", tmp_path / "p.png"
    )
    assert not (tmp_path / "a").exists() and (tmp_path / "p.png").read_text() == "mine"
    before = {file: file.read_bytes() for file in night.rglob("*") if file.is_file()}
    (tmp_path / "link").symlink_to(night)
    (tmp_path / "folder.png").mkdir()
    a = tmp_path / "a"
    for preview, said in {
        next((night / "frames").glob("*.png")): "lies in the source",
        tmp_path / "link/new.png": "lies in the source",
        a / "p.png": "the preview and the output lie inside each other",
        tmp_path / "none/p.png": "p.png: its folder does not exist",
        tmp_path / "folder.png": "folder.png: is a folder",
    }.items():
        assert said in refused(capsys, *words, a, "--overwrite", "--preview", preview)
    inside = "the preview and the output lie inside each other"
    assert inside in refused(capsys, *words, tmp_path / "p.png", "--preview", tmp_path / "p.png", "--overwrite")
    assert inside in refused(capsys, *words, tmp_path / "o.png/out", "--preview", tmp_path / "o.png")
    assert not a.exists() and before == {file: file.read_bytes() for file in night.rglob("*") if file.is_file()}
    # Before anything is read: what is no recording is not yet noticed.
    assert "its folder does not exist" in refused(
        capsys, *words[:2], tmp_path / "mine", a, "--preview", tmp_path / "none/p.png"
    )
    for wrong in (["--on", "0"], ["--tolerance", "-1"], ["--preview", "p.txt"]):
        with pytest.raises(SystemExit, match="2"):
            main([*map(str, words), str(tmp_path / "a"), *wrong])
