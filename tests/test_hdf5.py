"""HDF5 of every layout gives back what was written into it; what is broken or hostile is refused by name."""

import os
import threading
import zlib
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import clock
from converters import read as read_recording
from converters.convert import write_folder
from converters.hdf5 import open_hdf5
from converters.options import ReadOptions
from converters.stream import WHOLE, Columns, FrameSet, SensorSize, Stream, Window
from evinr.events import InputError

COUNT = 20_000
STORAGE: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (700,), "maxshape": (None,)},
    "gzip": {"chunks": (700,), "compression": "gzip"},
    "shuffled": {"chunks": (700,), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"chunks": (700,), "compression": "lzf"},
    "blosc": {"chunks": (700,), **hdf5plugin.Blosc(cname="zstd")},
}


class Told(NamedTuple):
    """Events as they are written: times in microseconds."""

    us: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray


def make_events(count: int = COUNT, size: tuple[int, int] = (18, 24)) -> Told:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, size[1], count).astype(np.int16), rng.integers(0, size[0], count).astype(np.int16)
    return Told(1_000_000 + np.cumsum(rng.integers(0, 50, count)), x, y, rng.random(count) < 0.5)


EVENTS = make_events()
PICTURES = np.random.default_rng(1).integers(0, 255, (3, 18, 24)).astype(np.uint8)
SECONDS = 1.0, 1.1, 1.2
"""Times of the pictures."""


def write_timostoff(
    path: Path,
    *,
    times: np.ndarray | None = None,
    names: str = "ts xs ys ps",
    resolution: Any = (18, 24),
    pictures: dict[str, Any] | None = None,
    stamps: Any = SECONDS,
    events: Told = EVENTS,
    **storage: Any,
) -> Path:
    """A file of the TimoStoff family; `pictures` are groups of arrays."""
    with h5py.File(path, "w") as file:
        times = events.us / 1e6 if times is None else times
        for name, column in zip(names.split(), (times, *events[1:]), strict=True):
            file.create_dataset(f"events/{name}", data=column, **storage)
        for group, arrays in (pictures or {}).items():
            for index, (array, stamp) in enumerate(zip(arrays, stamps, strict=True)):
                picture = file.create_dataset(f"{group}/image{index:09d}", data=array)
                picture.attrs["timestamp"] = stamp
        if resolution is not None:
            file.attrs["sensor_resolution"] = resolution
        file.attrs["t0"], file.attrs["tk"], file.attrs["num_imgs"] = times[0], times[-1], 77
    return path


def opened(path: Path, **options: Any) -> Stream:
    return open_hdf5(path, path.name, ReadOptions(**options))


def read(stream: Stream, window: Window = WHOLE) -> Columns:
    """All columns joined; the blocks must follow each other."""
    blocks = list(stream.blocks(window))
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert after.first == before.first + len(before.t) and after.done > before.done
    assert not blocks or blocks[-1].done == 1
    joined = [np.concatenate([block[column] for block in blocks]) if blocks else np.empty(0) for column in range(4)]
    return Columns(joined[0], joined[1], joined[2], joined[3], blocks[0].first if blocks else 0)


def assert_events(stream: Stream, times: np.ndarray, events: Told = EVENTS) -> None:
    columns = read(stream)
    assert stream.count == len(times)
    assert columns.t.dtype == times.dtype
    np.testing.assert_array_equal(columns.t, times)
    for got, told in zip(columns[1:4], events[1:], strict=True):
        np.testing.assert_array_equal(got, told)


def frames_of(
    stream: Stream, window: Window = WHOLE, name: str = "frames"
) -> tuple[FrameSet, list[int], list[np.ndarray]]:
    [kind] = [frames for frames in stream.frames if frames.name == name]
    frames = list(kind.read(window))
    return kind, [frame.time for frame in frames], [frame.image for frame in frames]


@pytest.mark.parametrize("storage", STORAGE)
def test_timostoff(tmp_path, storage):
    stream = opened(write_timostoff(tmp_path / "a.h5", pictures={"images": PICTURES}, **STORAGE[storage]))
    assert_events(stream, EVENTS.us / 1e6)
    assert (stream.format, stream.unit, stream.notes) == ("TimoStoff h5", "s", [])
    assert stream.size == SensorSize(18, 24, "the camera frames") and stream.files == (tmp_path / "a.h5",)
    kind, times, images = frames_of(stream)
    assert (kind.start, kind.layout, kind.height, kind.width) == (10**9, "gray", 18, 24)
    assert times == [1_000_000_000, 1_100_000_000, 1_200_000_000]
    np.testing.assert_array_equal(images, PICTURES)
    assert frames_of(stream, Window(1_050_000_000, 1_100_000_000))[1] == [1_100_000_000]
    assert read(stream).p.dtype == np.uint8


@pytest.mark.parametrize("codes", [(1, 3), (3, 1), (1, 1), (2, 1), (2, 1, 3)])
def test_filters_are_undone_in_their_order(tmp_path, codes):
    assert_events(opened(edited(filtered(*codes))(tmp_path / "a.h5")), EVENTS.us / 1e6)


def test_long_recordings_come_in_blocks_of_whole_chunks(tmp_path):
    events = make_events(700_001)
    path = write_timostoff(tmp_path / "a.h5", events=events, chunks=(100_000,), compression="gzip")
    assert [len(block.t) for block in opened(path).blocks(WHOLE)] == [200_000, 200_000, 200_000, 100_001]
    assert_events(opened(path), events.us / 1e6, events)


def test_legacy_names(tmp_path):
    for names in ("ts x y p", "t x y p"):
        assert_events(opened(write_timostoff(tmp_path / "a.h5", names=names)), EVENTS.us / 1e6)


def test_files_are_closed(tmp_path):
    path = write_timostoff(tmp_path / "a.h5", pictures={"images": PICTURES})
    stream = opened(path)
    for generator in (stream.blocks(WHOLE), stream.frames[0].read(WHOLE)):
        next(generator)
        cast(Generator, generator).close()
    h5py.File(path, "w").close()  # fails where it is open


RLED: dict[str, Any] = {
    "pictures": {"images": PICTURES},
    "stamps": (1_000_000, 1_100_000, 1_200_000),
    "resolution": (24, 18),
}
END_OF_EXPOSURE = ["frame times are the ends of the exposures, whose lengths RLED does not tell"]


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.float64])
def test_rled_is_in_microseconds(tmp_path, dtype):
    times = EVENTS.us.astype(dtype)
    stream = opened(write_timostoff(tmp_path / "a.h5", times=times, **RLED))
    assert_events(stream, times)
    assert (stream.format, stream.unit, stream.notes) == ("RLED h5", "us", END_OF_EXPOSURE)
    assert stream.size == SensorSize(18, 24, "the camera frames")
    assert frames_of(stream)[1] == [1_000_000_000, 1_100_000_000, 1_200_000_000]


def write_rled(path: Path, indices: Any) -> Path:
    write_timostoff(path, times=EVENTS.us, **RLED)
    with h5py.File(path, "a") as file:
        file["event_indices"] = np.array(indices)
    return path


def test_rled_may_say_which_events_belong_to_a_picture(tmp_path):
    last = len(EVENTS.us)
    stream = opened(write_rled(tmp_path / "a.h5", [[0, 3], [5, 5], [last - 2, last]]))
    found = [frame.window for frame in stream.frames[0].read(WHOLE)]
    assert found == [(0, 3), (5, 5), (last - 2, last)]
    recording = read_recording(tmp_path / "a.h5")
    gathered = recording.frames and recording.frames.windows
    assert gathered is not None
    np.testing.assert_array_equal(gathered, [[0, 3], [5, 5], [last - 2, last]])
    # Of a part of the recording, and of one whose events had to be sorted.
    start = float(recording.events.t[2])
    part = read_recording(tmp_path / "a.h5", ReadOptions(t_start=start)).frames
    assert part is not None and part.windows is not None
    first = int(np.searchsorted(recording.events.t, start))
    np.testing.assert_array_equal(part.windows, np.array([[5, 5], [last - 2, last]]) - first)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        times = EVENTS.us.copy()
        times[[10, 11]] = times[[11, 10]] + [1, 0]
        del file["events/ts"]
        file["events/ts"] = times
    moved = read_recording(tmp_path / "a.h5", ReadOptions(sort=True))
    assert moved.frames is not None and moved.frames.windows is None
    assert "which events belong to each frame is lost, as some were moved" in moved.assumptions


def test_a_conversion_says_that_it_does_not_keep_which_events_are_whose(tmp_path):
    path = write_rled(tmp_path / "a.h5", [[0, 3], [5, 5], [7, 9]])
    about = write_folder(path, tmp_path, ReadOptions(), "0", {}, lambda done: None)
    assert about["assumptions"][-1] == "which events the file gives to each of its frames is not kept"


def test_pictures_may_name_the_event_of_their_end(tmp_path):
    path = write_timostoff(tmp_path / "a.h5", pictures={"images": PICTURES})
    for ends, windows in (([4, 4, 9], [(0, 4), (4, 4), (4, 9)]), ([4, 3, 9], [None] * 3), ([4, 5, 10**9], [None] * 3)):
        with h5py.File(path, "a") as file:
            for number, end in enumerate(ends):
                file[f"images/image{number:09d}"].attrs["event_idx"] = end
        stream = opened(path)
        assert [frame.window for frame in stream.frames[0].read(WHOLE)] == windows
        assert any("event_idx" in note for note in stream.notes) == (windows[0] is None)


@pytest.mark.parametrize("wrong", [[[0, 3], [5, 4], [6, 7]], [[-1, 3]] * 3, [[0, 10**9]] * 3])
def test_event_indices_that_name_no_events_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=r"a.h5: event_indices\[[01]\] is .* events; mend it, or pass --skip-frames"):
        opened(write_rled(tmp_path / "a.h5", wrong))


def test_event_indices_of_other_pictures_are_left_alone(tmp_path):
    stream = opened(write_rled(tmp_path / "a.h5", [[0, 3]]))
    assert "a.h5: event_indices has 1 rows for 3 pictures, and was not used" in stream.notes
    assert [frame.window for frame in stream.frames[0].read(WHOLE)] == [None] * 3


def test_what_may_be_rled_is_said(tmp_path):
    whole = opened(write_timostoff(tmp_path / "a.h5", times=EVENTS.us, **{**RLED, "resolution": (18, 24)}))
    assert (whole.format, whole.unit) == ("TimoStoff h5", "us")
    assert whole.notes == [
        "times are whole numbers and were taken as microseconds: --time-unit or --format changes that"
    ]
    path = write_timostoff(tmp_path / "c.h5", times=EVENTS.us, **RLED)
    with h5py.File(path, "r+") as file:
        del file.attrs["tk"]
    assert (opened(path).format, opened(path).notes) == ("TimoStoff h5", whole.notes)
    fraction = opened(write_timostoff(tmp_path / "b.h5", **{**RLED, "stamps": SECONDS}))
    assert (fraction.format, fraction.unit) == ("TimoStoff h5", "s")
    assert any("--time-unit or --format" in note for note in fraction.notes)


def test_one_time_for_all_events_tells_no_unit(tmp_path):
    stream = opened(write_timostoff(tmp_path / "a.h5", times=np.full(COUNT, 3.0)))
    assert (stream.unit, stream.notes) == ("s", [])


def test_options_overrule_what_the_file_looks_like(tmp_path):
    path = write_timostoff(tmp_path / "a.h5", times=EVENTS.us, **RLED)
    assert opened(path, format="timostoff", time_unit="ms").unit == "ms"
    assert opened(path, format="timostoff").unit == "s"
    stream = opened(path, time_unit="ns")
    assert (stream.unit, frames_of(stream)[1][0]) == ("ns", 1_000_000)
    seconds = write_timostoff(tmp_path / "b.h5")
    assert opened(seconds, format="rled").unit == "us"


def test_eventhdr(tmp_path):
    pictures = PICTURES.astype(np.uint16) * 257
    stream = opened(write_timostoff(tmp_path / "1.h5", pictures={"images": pictures}))
    kind, _, images = frames_of(stream)
    assert (stream.format, stream.unit, stream.notes, kind.layout) == ("EventHDR h5", "s", [], "gray")
    assert images[0].dtype == np.uint16
    np.testing.assert_array_equal(images, pictures)
    short = write_timostoff(tmp_path / "2.h5", pictures={"images": pictures}, times=EVENTS.us / 1e9)
    assert opened(short).notes == ["the events last 0.00049 s if times are in s: --time-unit changes that"]


def test_efnet_has_blurred_and_sharp_frames_in_rgb(tmp_path):
    blurred = np.random.default_rng(2).integers(0, 255, (3, 18, 24, 3)).astype(np.uint8)
    path = write_timostoff(tmp_path / "a.h5", pictures={"images": blurred, "sharp_images": 255 - blurred})
    with h5py.File(path, "r+") as file:
        file["images/image000000001"].attrs["exposure_start"] = 1.05
        file["images/image000000001"].attrs["exposure_end"] = 1.15
    stream = opened(path)
    assert stream.format == "EFNet h5" and [kind.name for kind in stream.frames] == ["frames", "sharp"]
    kind, _, images = frames_of(stream)
    assert kind.layout == "rgb"
    np.testing.assert_array_equal(images, blurred[..., ::-1])
    np.testing.assert_array_equal(frames_of(stream, name="sharp")[2], 255 - blurred[..., ::-1])
    exposures = [frame.exposure for frame in kind.read(WHOLE)]
    assert exposures == [None, (1_050_000_000, 1_150_000_000), None]


def test_pictures_with_one_channel_are_gray(tmp_path):
    stream = opened(write_timostoff(tmp_path / "a.h5", pictures={"images": PICTURES[..., None]}))
    np.testing.assert_array_equal(frames_of(stream)[2], PICTURES)


def test_pictures_follow_their_numbers(tmp_path):
    path = write_timostoff(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        for number in (10, 9, 100):
            file.create_dataset(f"images/image{number}", data=PICTURES[0]).attrs["timestamp"] = float(number)
    assert frames_of(opened(path))[1] == [9 * 10**9, 10 * 10**9, 100 * 10**9]


CROPPED = {"pictures": {"images": PICTURES[:, :6, :8]}}


@pytest.mark.parametrize(
    "resolution, more, size, note",
    [
        ((18, 24), {}, (18, 24, "sensor_resolution"), None),
        ((18, 24, 3), {}, (18, 24, "sensor_resolution"), None),
        ((24, 18), {}, (18, 24, "sensor_resolution"), "taken as width and height"),
        ((23, 17), {}, None, "largest coordinates"),
        ((17, 23), {}, None, "largest coordinates"),
        ((6, 8), {}, (6, 8, "sensor_resolution"), None),  # holds too few: the door refuses the events outside
        ((180, 240), CROPPED, (180, 240, "sensor_resolution"), "frames are 8 x 6"),
        ((6, 8), {"pictures": {"images": PICTURES}}, (18, 24, "the camera frames"), "frames are 24 x 18"),
        ((19, 25), {}, None, "largest coordinates"),  # where a later event may lie
        ((16, 22), {"events": make_events(size=(17, 23))}, None, "largest coordinates"),
        ((22, 16), {"events": make_events(size=(17, 23))}, None, "largest coordinates"),
        (None, CROPPED, None, "frames are 8 x 6"),
        (None, {}, None, None),
        (("a", "b"), {}, None, None),
        ((-18, 24), {}, None, None),
    ],
)
def test_size(tmp_path, resolution, more, size, note):
    stream = opened(write_timostoff(tmp_path / "a.h5", resolution=resolution, **more))
    assert stream.size == (size and SensorSize(*size))
    assert len(stream.notes) == (note is not None) and (note or "") in " ".join(stream.notes)


def write_mvsec(path: Path, *, sides: tuple[str, ...] = ("left", "right"), stamps: int = 3, **storage: Any) -> Path:
    with h5py.File(path, "w") as file:
        for shift, side in enumerate(sides):
            t = EVENTS.us / 1e6 + 1.5e9
            table = np.stack([EVENTS.x + shift, EVENTS.y, t, np.where(EVENTS.p, 1, -1)], 1)
            file.create_dataset(f"davis/{side}/events", data=table, **storage)
            file.create_dataset(f"davis/{side}/image_raw", data=PICTURES + shift, **storage and {"chunks": (2, 5, 24)})
            file[f"davis/{side}/image_raw_ts"] = (np.array(SECONDS) + 1.5e9)[:stamps]
    return path


@pytest.mark.parametrize("storage", [{}, {"chunks": (900, 3), "compression": "gzip"}])
def test_mvsec(tmp_path, storage):
    path = write_mvsec(tmp_path / "a.hdf5", **storage)
    stream = opened(path)
    assert_events(stream, EVENTS.us / 1e6 + 1.5e9, EVENTS._replace(p=np.where(EVENTS.p, 1, -1)))
    assert (stream.format, stream.unit, stream.size) == ("MVSEC hdf5", "s", SensorSize(18, 24, "the camera frames"))
    assert stream.notes == ["the left camera was taken of two: --topic right takes the other"]
    kind, times, images = frames_of(stream)
    assert kind.start == times[0] == int(clock.nanoseconds(np.array([1.5e9 + 1.0]), "s")[0])
    np.testing.assert_array_equal(images, PICTURES)
    for topic in ("right", "davis/right"):
        right = opened(path, topic=topic)
        np.testing.assert_array_equal(read(right).x, EVENTS.x + 1)
        np.testing.assert_array_equal(frames_of(right, Window(times[1], times[1]))[2], PICTURES[1:2] + 1)
        assert right.notes == []


def test_e2calib(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, column in zip("txyp", EVENTS, strict=True):
            file[name] = column
    stream = opened(tmp_path / "a.h5")
    assert_events(stream, EVENTS.us)
    assert (stream.format, stream.unit, stream.size, stream.notes) == ("e2calib h5", "us", None, [])


def test_v2e(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = np.stack(EVENTS, 1).astype(np.uint32)
        file["frame"], file["frame_ts"] = PICTURES, np.array([10, 20, 30], np.uint32)
    stream = opened(tmp_path / "a.h5")
    assert_events(stream, EVENTS.us.astype(np.uint32))
    assert (stream.format, stream.unit, stream.size) == ("v2e h5", "us", SensorSize(18, 24, "the camera frames"))
    assert frames_of(stream)[1] == [10_000, 20_000, 30_000]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["events"] = np.stack([EVENTS.us / 1e6, *EVENTS[1:]], 1)
    stream = opened(tmp_path / "b.h5")
    assert (stream.unit, stream.notes) == ("s", ["times are float64 and were taken as s: --time-unit changes that"])


def test_m3ed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, column in zip("txyp", EVENTS, strict=True):
            file[f"prophesee/right/{name}"] = column
    stream = opened(tmp_path / "a.h5")
    assert_events(stream, EVENTS.us)
    assert (stream.format, stream.unit, stream.size) == ("M3ED h5", "us", SensorSize(720, 1280, "M3ED's sensor"))


def test_events_in_the_group_that_was_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, column in zip("txyp", EVENTS, strict=True):
            file[f"cam0/dvs/{name}"] = column
    assert_events(opened(tmp_path / "a.h5", topic="cam0/dvs"), EVENTS.us)
    assert_events(opened(tmp_path / "a.h5", topic="cam0/dvs", format="e2calib"), EVENTS.us)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory) -> dict[str, tuple[Stream, Columns]]:
    """Recordings, and all their events."""
    folder = tmp_path_factory.mktemp("windows")
    streams = {storage: opened(write_timostoff(folder / f"{storage}.h5", **STORAGE[storage])) for storage in STORAGE}
    streams["us"] = opened(write_timostoff(folder / "us.h5", times=EVENTS.us, **RLED))
    streams["mvsec"] = opened(write_mvsec(folder / "mvsec.h5", chunks=(900, 3)))
    return {layout: (stream, read(stream)) for layout, stream in streams.items()}


@pytest.mark.parametrize("layout", [*STORAGE, "us", "mvsec"])
@settings(max_examples=20)
@given(bounds=st.tuples(st.integers(-10, 500_000), st.integers(-10, 500_000)))
def test_a_window_holds_all_its_events(windowed, layout, bounds):
    stream, whole = windowed[layout]
    times = clock.nanoseconds(whole.t, stream.unit)
    first, last = (int(times[0]) + 1000 * bound for bound in sorted(bounds))
    for window in (Window(first, last), Window(WHOLE.first, last), Window(first, WHOLE.last)):
        part = read(stream, window)
        np.testing.assert_array_equal(part.t, whole.t[part.first : part.first + len(part.t)])
        np.testing.assert_array_equal(part.x, whole.x[part.first : part.first + len(part.t)])
        inside = (window.first <= times) & (times <= window.last)
        assert inside[part.first : part.first + len(part.t)].sum() == inside.sum()
        assert len(part.t) <= inside.sum() + 2 * 4096


def edited(edit: Callable[[h5py.File], Any], **kwargs: Any) -> Callable[[Path], Path]:
    """Makes a good file, then does something to it."""

    def make(path: Path) -> Path:
        with h5py.File(write_timostoff(path, **kwargs), "r+") as file:
            edit(file)
        return path

    return make


def replaced(name: str, **dataset: Any) -> Callable[[Path], Path]:
    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **dataset)

    return edited(edit)


def linked(name: str, link: h5py.SoftLink | h5py.ExternalLink) -> Callable[[Path], Path]:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return edited(edit)


def truncated(path: Path) -> Path:
    data = write_timostoff(path).read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    return path


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(COUNT,), dtype=np.float64)
    layout[:] = h5py.VirtualSource("other.h5", "t", shape=(COUNT,))
    del file["events/ts"]
    file.create_virtual_dataset("events/ts", layout)


def filtered(*codes: int) -> Callable[[h5py.File], None]:
    """`events/ps` compressed by these filters in this order."""

    def edit(file: h5py.File) -> None:
        del file["events/ps"]
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((999,))
        for code in codes:
            layout.set_filter(code, 0, (4,) if code == h5py.h5z.FILTER_DEFLATE else ())
        space = h5py.h5s.create_simple((COUNT,))
        created = h5py.h5d.create(file["events"].id, b"ps", h5py.h5t.NATIVE_UINT8, space, layout)
        h5py.Dataset(created)[:] = EVENTS.p

    return edit


def foreign_chunk(code: int, data: bytes) -> Callable[[h5py.File], None]:
    """An `events/ps` of one chunk that carries these bytes under a filter."""

    def edit(file: h5py.File) -> None:
        del file["events/ps"]
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((COUNT,))
        layout.set_filter(code, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((COUNT,))
        dataset = h5py.h5d.create(file["events"].id, b"ps", h5py.h5t.NATIVE_UINT8, space, layout)
        dataset.write_direct_chunk((0,), data)

    return edit


def bomb(file: h5py.File) -> None:
    del file["events/ps"]
    dataset = file.create_dataset("events/ps", (COUNT,), np.uint8, chunks=(COUNT,), compression="gzip")
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(10**7)))


def bad_chunk(file: h5py.File) -> None:
    dataset = file["events/ys"]
    assert isinstance(dataset, h5py.Dataset)
    dataset.id.write_direct_chunk((12 * 700,), b"no gzip at all")


def missing_chunk(file: h5py.File) -> None:
    for name in ("ts", "xs", "ys", "ps"):
        dataset = file[f"events/{name}"]
        assert isinstance(dataset, h5py.Dataset)
        dataset.resize((COUNT + 10**6,))


def attributes(name: str, key: str, value: Any) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        file[name].attrs[key] = value

    return edit


def only(*names: str, data: Any = 0) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        with h5py.File(path, "w") as file:
            for name in names:
                file[name] = data
        return path

    return make


HUGE: dict[str, Any] = {"shape": (2**40,), "chunks": (65536,), "dtype": np.float64}
PICTURED: dict[str, Any] = {"pictures": {"images": PICTURES}}
OUTSIDE = h5py.ExternalLink("other.h5", "/")
BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated": (truncated, r"^x\.h5: truncated or damaged HDF5 \(truncated file: .*\); copy"),
    "missing": (edited(lambda file: file.pop("events/ps")), r"events/ps is missing \(events holds ts, xs, ys\)"),
    "lengths": (replaced("events/xs", data=EVENTS.x[:-1]), r"events/ts holds 20000, events/xs holds 19999,"),
    "strings": (replaced("events/xs", data=["a"] * COUNT), r"events/xs: holds strings \(dtype object\)"),
    "compound": (replaced("events/xs", data=np.zeros(COUNT, [("a", "u1")])), r"events/xs: holds dtype \[\('a', 'u1'\)\]"),
    "two axes": (replaced("events/xs", data=EVENTS.x[:, None]), r"events/xs has the shape \(20000, 1\), expected \(N,\)"),
    "huge": (replaced("events/ts", **HUGE), r"1,099,511,627,776 values declared, which need 8.8 TB, but 0 bytes"),
    "unwritten": (replaced("events/ts", shape=(COUNT,), dtype=np.float64), r"events/ts: 20,000 values .* not written to"),
    "chunks unwritten": (edited(missing_chunk, **STORAGE["chunked"]), r"events/ts: 1,020,000 values declared"),
    "chunk too large": (
        replaced("events/ts", shape=(2**23,), chunks=(2**23,), dtype=np.float64, compression="gzip"),
        r"events/ts: compressed chunks of 67.1 MB, expected at most 33.6 MB",
    ),
    "external link": (linked("events/ts", OUTSIDE), r"events/ts is a link out of the file \(to other.h5\)"),
    "external group": (linked("events", OUTSIDE), r"events is a link out of the file \(to other.h5\)"),
    "external picture": (
        edited(lambda file: file.__setitem__("images/image000000000", OUTSIDE)),
        r"images/image000000000 is a link out of the file",
    ),
    "loop": (linked("events/ts", h5py.SoftLink("/events/ts")), r"events/ts is a link that loops"),
    "dangling": (linked("events/ts", h5py.SoftLink("/nothing")), r"events/ts is missing"),
    "external data": (
        replaced("events/ts", shape=(COUNT,), dtype=np.float64, external=[("other.raw", 0, 160_000)]),
        r"events/ts: its data lie in other files",
    ),
    "virtual": (edited(virtual), r"events/ts: its data lie in other files"),
    "ECF": (edited(foreign_chunk(0x8ECF, bytes(99))), r"events/ps: .* filter 36559 \(0x8ECF\).*metavision_file_to_dat"),
    "unknown filter": (edited(foreign_chunk(40_000, bytes(99))), r"events/ps: compressed with filter 40000 .*h5repack -f"),
    "gzip bomb": (edited(bomb), r"events/ps: rows 0 to 20000 cannot be read \(a compressed chunk is cut, or larger"),
    "blosc bomb": (
        edited(foreign_chunk(32001, b"\2\1\1\1" + b"\xff" * 12 + bytes(99))),
        r"events/ps: rows 0 to 20000 cannot be read \(the header of a compressed chunk does not fit it",
    ),
    "blosc damaged": (edited(foreign_chunk(32001, bytes(99))), r"events/ps: rows 0 to 20000 cannot be read"),
    "unusual filters": (edited(filtered(1, 2)), r"events/ps: .*gzip .* unusual filters: save it with h5repack"),
    "chunk too long": (edited(foreign_chunk(32001, bytes(99_999))), r"a compressed chunk is larger than declared"),
    "chunk damaged": (edited(bad_chunk, **STORAGE["gzip"]), r"events/ys: rows 0 to 20000 cannot be read \(.*\): damaged"),
    "metavision": (only("CD/events"), r"Metavision HDF5.*0x8ECF.*metavision_file_to_dat.*RAW"),
    "voxels": (only("voxels/voxel0", "images/image0"), r"holds images/, voxels/, no events/: voxel grids"),
    "nothing known": (only("a/b", "c"), r"holds a/, c, no events; expected events/ with ts, xs, ys, ps"),
    "empty": (lambda path: [h5py.File(path, "w").close(), path][1], r"holds nothing, no events"),
    "table of 5": (only("events", data=np.zeros((9, 5), np.uint32)), r"events has the shape \(9, 5\), expected \(N, 4\)"),
    "frame times": (partial(write_mvsec, stamps=2), r"image_raw holds 3 pictures, davis/left/image_raw_ts the shape \(2,\)"),
    "no times": (
        edited(attributes("images/image000000000", "timestamp", "now"), **PICTURED),
        r"images/image000000000: its attribute timestamp is no time in s",
    ),
    "nan time": (
        edited(attributes("images/image000000002", "timestamp", np.nan), **PICTURED),
        r"images/image000000002: its attribute timestamp",
    ),
    "picture type": (partial(write_timostoff, pictures={"images": PICTURES.astype(int)}), r"image0+: pictures of dtype int64"),
    "picture shape": (partial(write_timostoff, pictures={"images": PICTURES[:, None]}), r"pictures of the shape \(1, 18, 24\)"),
    "picture unwritten": (
        edited(lambda file: file.create_dataset("images/image3", (9**5, 9**5), np.uint8, chunks=(99, 99))),
        r"images/image3: .* values declared, which need 3.49 GB, but 0 bytes are stored",
    ),
}  # fmt: skip


def consume(stream: Stream) -> None:
    for window in (WHOLE, Window(1_100_000_000, 1_200_000_000)):
        read(stream, window)
        for kind in stream.frames:
            list(kind.read(window))


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_refused(tmp_path, broken):
    make, message = BROKEN[broken]
    path = make(tmp_path / "x.h5")
    with pytest.raises(InputError, match=message) as caught:
        consume(opened(path))
    assert str(caught.value).startswith("x.h5") and "\n" not in str(caught.value)


def test_events_that_are_almost_all_made_up_are_refused(tmp_path):
    """128 MB of zeros in a few kB: every chunk is there, yet no recording is like that."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in ("ts", "xs", "ys", "ps"):
            column = file.create_dataset(f"events/{name}", (2**22,), "f8", chunks=(2**22,), **hdf5plugin.Blosc("zstd"))
            column[:] = 0
    with pytest.raises(
        InputError, match="4,194,304 events declared, which need 134 MB of memory, but .* kB are stored"
    ):
        opened(tmp_path / "x.h5")


def test_options_that_do_not_fit_are_refused(tmp_path):
    path = write_timostoff(tmp_path / "x.h5")
    for options, message in (
        ({"format": "rosbag"}, "is HDF5, which --format rosbag is not"),
        ({"format": "mvsec"}, "davis/left/events is missing .there is no group davis/"),
        ({"format": "e2calib"}, r"t is missing \(its root holds events/\)"),
        ({"topic": "cam1"}, r"no cam1 \(holds events/\)"),
    ):
        with pytest.raises(InputError, match=message):
            opened(path, **options)
    with pytest.raises(InputError, match="no events of camera 'top'; give --topic left or right"):
        opened(write_mvsec(tmp_path / "y.h5"), topic="top")


def test_links_inside_the_file_are_followed(tmp_path):
    def edit(file: h5py.File) -> None:
        file.move("events/ts", "clock/t")
        file["events/ts"] = h5py.SoftLink("../clock/t")
        file["events/ts2"] = h5py.SoftLink("/clock/./t")
        del file["events/ts"]
        file["events/ts"] = h5py.SoftLink("ts2")

    assert_events(opened(edited(edit)(tmp_path / "a.h5")), EVENTS.us / 1e6)


def test_pictures_without_times_are_left_out(tmp_path):
    def strip(*numbers: int) -> Callable[[h5py.File], None]:
        def edit(file: h5py.File) -> None:
            for number in numbers:
                del file[f"images/image{number:09d}"].attrs["timestamp"]

        return edit

    none = opened(edited(strip(0, 1, 2), pictures={"images": PICTURES})(tmp_path / "a.h5"))
    assert none.frames == ()
    assert none.notes == ["the 3 pictures in images/ were left out: they have no attribute timestamp"]
    some = opened(edited(strip(0, 2), pictures={"images": PICTURES})(tmp_path / "b.h5"))
    for _ in range(2):
        assert frames_of(some)[1] == [1_100_000_000]
        assert some.notes == ["pictures in images/ without the attribute timestamp were left out"]


def test_no_events_is_no_error_here(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("ts", "xs", "ys", "ps"):
            file.create_dataset(f"events/{name}", (0,), "f8", chunks=(10,), maxshape=(None,))
    stream = opened(tmp_path / "a.h5")
    assert stream.count == 0 and len(read(stream).t) == 0 and len(read(stream, Window(0, 10)).t) == 0


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(InputError, match="pipe.h5: not a regular file"):
        opened(tmp_path / "pipe.h5")


def test_two_threads_read_one_stream(windowed):
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(read(windowed["gzip"][0]).t)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2 and (results[0] == results[1]).all()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("small")
    events = make_events(300)
    kinds = {name: STORAGE[name] for name in ("contiguous", "shuffled", "lzf")}
    return {
        name: write_timostoff(
            folder / "a.h5", events=events, pictures={"images": PICTURES}, **storage and storage | {"chunks": (64,)}
        ).read_bytes()
        for name, storage in kinds.items()
    }


@settings(max_examples=200)
@given(data=st.data())
def test_damage_gives_a_stream_or_an_input_error(small, tmp_path_factory, data):
    kind = data.draw(st.sampled_from(sorted(small)))
    changed = bytearray(small[kind])
    where = st.integers(8, min(len(changed), 6000) - 1)
    for place, value in data.draw(st.lists(st.tuples(where, st.integers(0, 255)), min_size=1, max_size=8)):
        changed[place] = value
    if data.draw(st.integers(0, 4)) == 0:
        changed = changed[: data.draw(where)]
    path = tmp_path_factory.getbasetemp() / "damaged.h5"
    path.write_bytes(changed)
    try:
        consume(opened(path))
    except InputError as error:
        assert str(error).startswith("damaged.h5")


@pytest.mark.parametrize("place", [4, 8, 12])
@pytest.mark.parametrize("number", [0, 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_blosc_chunk_whose_header_lies_is_refused(place, number, tmp_path):
    """Fuzzing found that c-blosc reads beyond the chunk, and crashes, where the header claims a larger one."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name, dtype in (("ts", "f8"), ("xs", "i2"), ("ys", "i2"), ("ps", "?")):
            packing = hdf5plugin.Blosc(cname="zstd")
            column = file.create_dataset(f"events/{name}", (5000,), dtype, chunks=(5000,), **packing)
            column[:] = np.arange(5000) % 2
        column = file["events/xs"]
        chunk = bytearray(column.id.read_direct_chunk((0,))[1])
        chunk[place : place + 4] = number.to_bytes(4, "little")
        column.id.write_direct_chunk((0,), bytes(chunk))
    with pytest.raises(InputError, match="cannot be read"):
        list(open_hdf5(path, "a.h5", ReadOptions()).blocks(WHOLE))
