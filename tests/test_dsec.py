"""DSEC: events and frames of a sequence meet on one clock; what does not fit together is refused."""

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import imageio.v3 as iio
import numpy as np
import pytest

from converters.dsec import is_dsec_folder, open_dsec_folder
from converters.hdf5 import open_hdf5
from converters.options import ReadOptions
from converters.stream import WHOLE, SensorSize, Stream, Window
from evinr.events import InputError

OFFSET = 52_345_675_120
"""Microseconds, as of a real sequence."""
COUNT = 30_000
ALIGNMENT = "frames are of another camera than the events: their pixels are not aligned"


def columns(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "t": np.cumsum(rng.integers(0, 20, COUNT)).astype(np.uint32),
        "x": rng.integers(0, 640, COUNT).astype(np.uint16),
        "y": rng.integers(0, 480, COUNT).astype(np.uint16),
        "p": rng.integers(0, 2, COUNT).astype(np.uint8),
    }


EVENTS = columns()
PICTURES = np.random.default_rng(1).integers(0, 255, (3, 12, 16, 3)).astype(np.uint8)


def write_events(path: Path, offset: Any = OFFSET, **replaced: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, column in (EVENTS | replaced).items():
            file.create_dataset(f"events/{name}", data=column, chunks=(1000,), **hdf5plugin.Blosc(cname="zstd"))
        t = EVENTS["t"]
        file["ms_to_idx"] = np.searchsorted(t, 1000 * np.arange(t[-1] // 1000 + 1)).astype(np.uint64)
        if offset is not None:
            file["t_offset"] = offset
    return path


def write_folder(
    path: Path, pictures: Any = PICTURES, sides: tuple[str, ...] = ("left",), times: str | None = None
) -> Path:
    for side in sides:
        write_events(path / "events" / side / "events.h5")
    folder = path / "images" / "left" / "rectified"
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures):
        iio.imwrite(folder / f"{index:06d}.png", picture)
    lines = "".join(f"{OFFSET + 50_000 * index}\n" for index in range(3)) if times is None else times
    (path / "images" / "timestamps.txt").write_text(lines)
    return path


def opened(path: Path, **options: Any) -> Stream:
    return open_dsec_folder(path, path.name, ReadOptions(**options))


def times(stream: Stream, window: Window = WHOLE) -> np.ndarray:
    return np.concatenate([block.t for block in stream.blocks(window)] or [np.empty(0, np.int64)])


def test_a_sequence(tmp_path):
    path = write_folder(tmp_path / "seq")
    assert is_dsec_folder(path) and not is_dsec_folder(tmp_path)
    stream = opened(path)
    [block] = stream.blocks(WHOLE)
    np.testing.assert_array_equal(block.t, EVENTS["t"].astype(np.int64) + OFFSET)
    assert block.t.dtype == np.int64
    for name in "xyp":
        np.testing.assert_array_equal(getattr(block, name), EVENTS[name])
    assert (stream.format, stream.unit, stream.count) == ("DSEC folder", "us", COUNT)
    assert stream.size == SensorSize(480, 640, "DSEC's sensor")
    assert stream.files == (path / "events" / "left" / "events.h5",) and stream.notes == [ALIGNMENT]
    [kind] = stream.frames
    assert (kind.start, kind.layout, kind.height, kind.width) == (OFFSET * 1000, "rgb", 12, 16)
    frames = list(kind.read(WHOLE))
    assert [frame.time for frame in frames] == [1000 * (OFFSET + 50_000 * index) for index in range(3)]
    np.testing.assert_array_equal([frame.image for frame in frames], PICTURES)
    middle = frames[1].time
    assert [frame.time for frame in kind.read(Window(middle, middle))] == [middle]


def test_events_alone(tmp_path):
    path = write_events(tmp_path / "events.h5")
    stream = open_hdf5(path, "events.h5", ReadOptions())
    assert (stream.format, stream.notes, stream.frames) == ("DSEC h5", [], ())
    np.testing.assert_array_equal(times(stream), EVENTS["t"].astype(np.int64) + OFFSET)


def test_windows_are_on_the_clock_of_the_frames(tmp_path):
    stream = open_hdf5(write_events(tmp_path / "events.h5"), "events.h5", ReadOptions())
    whole = EVENTS["t"].astype(np.int64) + OFFSET
    for first, last in ((0, 10**6), (50_000, 50_000), (100_000, 150_000), (-5, 3)):
        window = Window(1000 * (OFFSET + first), 1000 * (OFFSET + last))
        part = times(stream, window)
        inside = whole[(whole >= OFFSET + first) & (whole <= OFFSET + last)]
        np.testing.assert_array_equal(part[(part >= OFFSET + first) & (part <= OFFSET + last)], inside)
        assert len(part) <= len(inside) + 2000


def test_a_missing_offset_is_said(tmp_path):
    stream = open_hdf5(write_events(tmp_path / "events.h5", None), "events.h5", ReadOptions())
    assert stream.notes == ["t_offset is missing and was taken as 0"]
    np.testing.assert_array_equal(times(stream), EVENTS["t"])


def test_the_camera_can_be_chosen(tmp_path):
    path = write_folder(tmp_path / "seq", sides=("left", "right"))
    assert "the left camera was taken of two: --topic right takes the other" in opened(path).notes
    right = opened(path, topic="right")
    assert right.files == (path / "events" / "right" / "events.h5",) and (right.frames, right.notes) == ((), [])
    with pytest.raises(InputError, match="seq: has no events/top/events.h5; give --topic left or right"):
        opened(path, topic="top")


@pytest.mark.parametrize("place", ["left/exposure_timestamps.txt", "x_exposure_timestamps_left.txt"])
def test_exposures(tmp_path, place):
    path = write_folder(tmp_path / "seq")
    lines = [f"{OFFSET + 50_000 * index - 9}, {OFFSET + 50_000 * index + 9}" for index in range(3)]
    (path / "images" / place).write_text("# begin, end\n" + "\n".join(lines).replace(",", "", 1))
    exposures = [frame.exposure for frame in opened(path).frames[0].read(WHOLE)]
    starts = [1000 * (OFFSET + 50_000 * index) for index in range(3)]
    assert exposures == [(start - 9000, start + 9000) for start in starts]
    (path / "images" / place).write_text(lines[0])
    stream = opened(path)
    assert [frame.exposure for frame in stream.frames[0].read(WHOLE)] == [None] * 3
    assert any("holds 1 exposures for 3 frames" in note for note in stream.notes)


@pytest.mark.parametrize(
    "pictures, expected",
    [
        (PICTURES[..., 0], PICTURES[..., 0]),
        (PICTURES[..., 0].astype(np.uint16) * 257, PICTURES[..., 0].astype(np.uint16) * 257),
        (PICTURES[..., :2], PICTURES[..., 0]),
        (np.concatenate([PICTURES, PICTURES[..., :1]], -1), PICTURES),
    ],
    ids=["gray", "16 bits", "gray and alpha", "alpha"],
)
def test_kinds_of_pictures(tmp_path, pictures, expected):
    [kind] = opened(write_folder(tmp_path / "seq", pictures)).frames
    assert kind.layout == ("gray" if expected.ndim == 3 else "rgb")
    images = [frame.image for frame in kind.read(WHOLE)]
    assert images[0].dtype == expected.dtype
    np.testing.assert_array_equal(images, expected)


def test_frames_without_times_are_left_out(tmp_path):
    path = write_folder(tmp_path / "seq")
    (path / "images" / "timestamps.txt").unlink()
    stream = opened(path)
    assert (stream.frames, stream.notes) == ((), ["the 3 frames were left out: images/timestamps.txt is missing"])


@pytest.mark.parametrize(
    "lines, message",
    [
        ("1\n2\n", "images/left/rectified holds 3 pictures, images/timestamps.txt 2 times"),
        ("1\n2.5\n3\n", r"seq/images/timestamps.txt: line 2 is '2.5', expected 1 whole number \(us\)"),
        ("1\n2 3\n4\n", "line 2 is '2 3', expected 1 whole number"),
        ("1\n2\n" + "9" * 17, "line 3 is '99999999999999999', no time in us"),
    ],
)
def test_times_that_do_not_fit_are_refused(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        opened(write_folder(tmp_path / "seq", times=lines))


def test_pictures_that_cannot_be_read_are_refused(tmp_path):
    path = write_folder(tmp_path / "seq")
    second = path / "images" / "left" / "rectified" / "000001.png"
    data = second.read_bytes()
    huge = data[:16] + (60_000).to_bytes(4) * 2 + data[24:]
    for damaged in (data[:200], b"<html>", b"", huge, data[:60] + bytes(20) + data[80:]):
        second.write_bytes(damaged)
        stream = opened(path)
        with pytest.raises(InputError, match=r"seq/images/left/rectified/000001\.png: "):
            list(stream.frames[0].read(WHOLE))


@pytest.mark.parametrize(
    "offset, replaced, message",
    [
        (2**62, {}, "events/t: times out of range"),
        (5, {"t": np.r_[EVENTS["t"][1:], np.uint64(2**63)]}, "events/t: times out of range"),
        (0.5, {}, "t_offset is float64 of shape"),
        ([1, 2], {}, r"t_offset is int64 of shape \(2,\)"),
        ("now", {}, "t_offset: holds strings"),
        (5, {"t": EVENTS["t"] / 1e6}, "events/t holds float64, expected integers"),
    ],
)
def test_times_that_are_none_are_refused(tmp_path, offset, replaced, message):
    path = write_events(tmp_path / "x.h5", offset, **replaced)
    with pytest.raises(InputError, match=f"^x.h5: {message}"):
        times(open_hdf5(path, "x.h5", ReadOptions()))
