"""Predictions as people have them: every way to say the times of pictures, and what is refused."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from evinr.cli.prediction_files import read
from evinr.evaluation import evaluate
from evinr.events import InputError
from evinr.prediction import Truth
from evinr.protocols import ALIGNED, EVREAL_2024, Protocol

PICTURES = (np.arange(4 * 8 * 10).reshape(4, 8, 10) % 251).astype(np.uint8)
TIMES = [0.1, 0.2, 0.35, 0.5]


def folder(path: Path, names: list[str] | None = None, pictures: np.ndarray = PICTURES) -> Path:
    path.mkdir()
    for number, picture in enumerate(pictures):
        iio.imwrite(path / (names[number] if names else f"frame_{number:010d}.png"), picture)
    return path


@pytest.mark.parametrize(
    "lines",
    [
        [f"{t}" for t in TIMES],
        [f"# one a line, 1/{t}\n{t}\n" for t in TIMES],
        [f"{number} {t:.15f}" for number, t in enumerate(TIMES)],
        [f"{t} frame_{number:010d}.png" for number, t in enumerate(TIMES)],
        [f"{t},pictures/frame_{number:010d}.png" for number, t in enumerate(TIMES)],
    ],
    ids=["times", "comments", "evreal", "ijrr", "commas and folders"],
)
def test_all_ways_to_list_times(tmp_path: Path, lines: list[str]):
    path = folder(tmp_path / "pictures")
    (path / "timestamps.txt").write_text("\n".join(lines))
    prediction = read(path, None, "auto").prediction
    assert prediction.kind == "picture" and prediction.times is not None
    np.testing.assert_array_equal(prediction.times, TIMES)
    np.testing.assert_allclose(prediction.at(prediction.times[[0, 2]]), PICTURES[[0, 2]] / 255, atol=1e-6)


def test_pictures_are_counted_as_people_number_them(tmp_path: Path):
    path = folder(tmp_path / "p", ["frame_9.png", "frame_10.png", "frame_11.png", "frame_100.png"])
    (path / "timestamps.txt").write_text("\n".join(map(str, TIMES)))
    prediction = read(path, None, "auto").prediction
    np.testing.assert_allclose(prediction.at(np.array(TIMES)), PICTURES / 255, atol=1e-6)


def test_evreal_may_begin_with_any_number(tmp_path: Path):
    path = folder(tmp_path / "p", [f"frame_{number:010d}.png" for number in (71, 72, 73, 74)])
    (path / "timestamps.txt").write_text("".join(f"{number} {t}\n" for number, t in zip((72, 73, 74), TIMES[1:])))  # noqa: B905
    np.testing.assert_array_equal(read(path, None, "auto").prediction.times, TIMES[1:])


def test_a_converted_recordings_frames(tmp_path: Path):
    path = folder(tmp_path / "frames")
    (tmp_path / "images.txt").write_text("".join(f"{t} frames/frame_{i:010d}.png\n" for i, t in enumerate(TIMES)))
    np.testing.assert_array_equal(read(path, None, "auto").prediction.times, TIMES)


def test_only_pictures_of_the_folder_are_read(tmp_path: Path):
    """A reconstruction beside the camera's frames, by their list: the frames are not to be scored against themselves."""
    camera, ours = folder(tmp_path / "images"), folder(tmp_path / "recon", pictures=PICTURES // 2)
    lines = "".join(f"{t} images/frame_{i:010d}.png\n" for i, t in enumerate(TIMES))
    (tmp_path / "images.txt").write_text(lines)
    with pytest.raises(InputError, match="recon: no timestamps.txt"):
        read(ours, None, "auto")
    halves = read(ours, tmp_path / "images.txt", "auto").prediction.at(np.array(TIMES))
    np.testing.assert_allclose(halves, (PICTURES // 2) / 255, atol=1e-6)
    np.testing.assert_allclose(read(camera, None, "auto").prediction.at(np.array(TIMES)), PICTURES / 255, atol=1e-6)
    (ours / "frame_0000000001.png").unlink()
    with pytest.raises(InputError, match="line 2: picture 'images/frame_0000000001.png' is not in"):
        read(ours, tmp_path / "images.txt", "auto")
    sharp = folder(tmp_path / "sharp", pictures=PICTURES // 3)
    (tmp_path / "images_sharp.txt").write_text(lines.replace("images/", "sharp/"))
    thirds = read(sharp, None, "auto").prediction.at(np.array(TIMES))
    np.testing.assert_allclose(thirds, (PICTURES // 3) / 255, atol=1e-6)


def test_colour_and_16_bits(tmp_path: Path):
    path = folder(tmp_path / "p", pictures=np.repeat(PICTURES[..., None], 3, -1))
    (path / "timestamps.txt").write_text("\n".join(map(str, TIMES)))
    np.testing.assert_allclose(read(path, None, "auto").prediction.at(np.array(TIMES)), PICTURES / 255, atol=1e-6)
    red = folder(tmp_path / "red", pictures=np.stack([PICTURES, 0 * PICTURES, 0 * PICTURES], -1))
    (red / "timestamps.txt").write_text("\n".join(map(str, TIMES)))
    seen = read(red, None, "auto").prediction.at(np.array(TIMES))
    np.testing.assert_array_equal(seen, np.rint(0.299 * PICTURES).astype(np.float32) / 255)  # as frames are made gray
    deep = folder(tmp_path / "deep", pictures=PICTURES.astype(np.uint16) * 257)
    (deep / "timestamps.txt").write_text("\n".join(map(str, TIMES)))
    np.testing.assert_allclose(read(deep, None, "auto").prediction.at(np.array(TIMES)), PICTURES / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (None, "no timestamps.txt or images.txt in it; pass --timestamps"),
        ("", "no times"),
        ("0.1\n0.2\n0.3\n", "3 times for the 4 pictures"),
        ("0.1\n0.3\n0.2\n0.4\n", r"times do not rise: 0\.3 s is followed by 0\.2 s \(entry 3\)"),
        ("0.1\n0.2\nlater\n0.4\n", "line 3: 'later' is no time"),
        ("0.1\nnan\n0.3\n0.4\n", "line 2: 'nan' is no time"),
        ("0 0.1\n1 0.2\n7 0.3\n", "line 3: picture '7' is not in"),
        ("0.1 a.png\n", "line 1: picture 'a.png' is not in"),
    ],
)
def test_listings_that_are_refused(tmp_path: Path, lines: str | None, message: str):
    path = folder(tmp_path / "p")
    if lines is not None:
        (path / "timestamps.txt").write_text(lines)
    with pytest.raises(InputError, match=message):
        read(path, None, "auto")


def test_mixed_sizes_are_refused_by_name(tmp_path: Path):
    path = folder(tmp_path / "p")
    iio.imwrite(path / "frame_0000000002.png", PICTURES[2][:, :9])
    (path / "timestamps.txt").write_text("\n".join(map(str, TIMES)))
    with pytest.raises(InputError, match=r"frame_0000000002\.png: 9 x 8, those before it 10 x 8"):
        read(path, None, "auto").prediction.at(np.array(TIMES))


@pytest.mark.parametrize(
    ("frames", "values", "kind", "expected"),
    [
        (PICTURES, "auto", "picture", PICTURES / 255),
        (PICTURES / np.float32(255), "auto", "picture", PICTURES / 255),
        (PICTURES / 100 - 1, "log", "log", PICTURES / 100 - 1),
        (PICTURES / 255, "log", "log", PICTURES / 255),
        (PICTURES + 1.0, "intensity", "log", np.log(PICTURES + 1.0)),
        (np.repeat(PICTURES[..., None], 3, -1) + 1.0, "intensity", "log", np.log(PICTURES + 1.0)),
        (PICTURES - 1.0, "light", "light", PICTURES - 1.0),
        (np.repeat(PICTURES[..., None], 3, -1) - 1.0, "light", "light", PICTURES - 1.0),
        (PICTURES[..., None] / 255, "auto", "picture", PICTURES / 255),
        (np.repeat(PICTURES[..., None], 3, -1) / 100, "log", "log", PICTURES / 100),
    ],
)
def test_arrays(tmp_path: Path, frames: np.ndarray, values: str, kind: str, expected: np.ndarray):
    np.save(tmp_path / "a.npy", frames)
    np.save(tmp_path / "t.npy", TIMES)
    given = read(tmp_path / "a.npy", tmp_path / "t.npy", values)  # pyright: ignore[reportArgumentType]
    assert given.prediction.kind == kind and len(given.assumptions) == 1
    np.testing.assert_allclose(given.prediction.at(np.array(TIMES)), expected, atol=1e-6)


@pytest.mark.parametrize("protocol", [EVREAL_2024, ALIGNED], ids=lambda protocol: protocol.name)
def test_intensity_scores_as_its_logarithm(tmp_path: Path, protocol: Protocol):
    rng = np.random.default_rng(0)
    truth = Truth(np.array(TIMES), rng.integers(0, 256, (4, 24, 32), np.uint8), 0.0)
    assert truth.images is not None
    frames = np.exp(truth.images / 60 + rng.normal(0, 0.3, (4, 24, 32)))
    means = {}
    for values, saved in {"intensity": frames, "log": np.log(frames), "light": frames}.items():
        np.save(tmp_path / f"{values}.npy", saved)
        np.savetxt(tmp_path / f"{values}.txt", TIMES)
        given = read(tmp_path / f"{values}.npy", None, values)  # pyright: ignore[reportArgumentType]
        means[values] = evaluate(given.prediction, truth, None, protocol).means
    assert means["intensity"] == means["log"]
    assert means["light"]["mse"] != means["log"]["mse"]


def test_intensity_is_above_0(tmp_path: Path):
    np.save(tmp_path / "a.npy", PICTURES - 1.0)
    np.savetxt(tmp_path / "a.txt", TIMES)
    at = read(tmp_path / "a.npy", None, "intensity").prediction.at
    few = int((PICTURES[:2] <= 1).sum())
    with pytest.raises(
        InputError, match=rf"a\.npy: has numbers of 0 or less, {few} in .*; pass --values light"
    ) as error:
        at(np.array(TIMES[:2]))
    assert "\n" not in str(error.value)
    colour = np.repeat(PICTURES[..., None] + 1.0, 3, -1)
    colour[0, 0, 0] = np.nan  # is no number, and refused as such where it is scored
    np.save(tmp_path / "a.npy", colour)
    assert np.isnan(read(tmp_path / "a.npy", None, "intensity").prediction.at(np.array(TIMES))).sum() == 1


def test_an_array_takes_the_listings_of_pictures(tmp_path: Path):
    np.save(tmp_path / "a.npy", PICTURES)
    for lines in ("{t} frames/f_{i}.png", "{i} {t}", "{t}"):
        (tmp_path / "t.txt").write_text("\n".join(lines.format(t=t, i=i) for i, t in enumerate(TIMES)))
        np.testing.assert_array_equal(read(tmp_path / "a.npy", tmp_path / "t.txt", "auto").prediction.times, TIMES)


def test_arrays_that_are_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", PICTURES)
    (tmp_path / "t.txt").write_text("0.1\n0.2\n")
    (tmp_path / "four.txt").write_text("\n".join(map(str, TIMES)))
    for path, timestamps, message in [
        ("a.npy", None, "does not tell its times; put them beside it, in a.txt"),
        ("a.npy", "t.txt", "2 times for the 4 frames of a.npy"),
        ("a.npy", "none.txt", "none.txt: there is no such file"),
        ("a.npy", ".", "there is no such file"),
        ("t.txt", "t.txt", "no prediction; give a run folder"),
        ("b.npy", "t.txt", "does not exist"),
    ]:
        with pytest.raises(InputError, match=message):
            read(tmp_path / path, tmp_path / timestamps if timestamps else None, "auto")
    for name, frames, message in [
        ("log", PICTURES / 100 - 1, r"its numbers, -1 to 1\.5, may be log intensity, .*--values"),
        ("bytes", PICTURES * 1.0, "may be log intensity"),
        ("nan", np.where(PICTURES == 3, np.nan, PICTURES / 255), "may be log intensity"),
        ("int64", PICTURES.astype(np.int64), "int64 of shape .*; expected uint8, uint16 or floats"),
        ("complex", PICTURES * 1j, "complex128 of shape"),
    ]:
        np.save(tmp_path / f"{name}.npy", frames)
        with pytest.raises(InputError, match=message):
            read(tmp_path / f"{name}.npy", tmp_path / "four.txt", "auto")
    np.savez(tmp_path / "zip.npz", PICTURES)
    (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
    with pytest.raises(InputError, match="is an .npz by its content"):
        read(tmp_path / "zip.npy", tmp_path / "four.txt", "auto")
    np.save(tmp_path / "dates.npy", np.array(["2020-01-01"] * 4, "datetime64[s]"))
    with pytest.raises(InputError, match="holds no plain numbers"):
        read(tmp_path / "a.npy", tmp_path / "dates.npy", "auto")
    np.save(tmp_path / "flat.npy", PICTURES[0])
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY nothing")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    for name, message in [
        ("flat", r"of shape \(8, 10\)"),
        ("broken", "not a readable .npy"),
        ("objects", "not a readable"),
    ]:
        with pytest.raises(InputError, match=message):
            read(tmp_path / f"{name}.npy", tmp_path / "t.txt", "auto")
