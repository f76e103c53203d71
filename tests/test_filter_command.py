"""`evinr filter` writes the recording with its events moved, and all else as it was."""

import json
from pathlib import Path

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
    for wrong in (["--on", "0"], ["--tolerance", "-1"], ["--preview", "p.txt"]):
        with pytest.raises(SystemExit, match="2"):
            main([*map(str, words), str(tmp_path / "a"), *wrong])
