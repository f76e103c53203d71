"""Folders of arrays (EVREAL, NER-Net, RPG's raw dumps) and HighREV, written here: what is in them comes out exactly."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters import array_folders, highrev
from converters.array_folders import is_array_folder, open_array_folder
from converters.highrev import is_highrev_folder, open_highrev
from converters.options import AS_STORED, ReadOptions
from converters.stream import WHOLE, FrameSet, SensorSize, Stream, Window
from evinr.events import InputError

COUNT = 40
RANDOM = np.random.default_rng(0)
NANOSECONDS = np.sort(RANDOM.integers(0, 10**9, COUNT)) + 5_000_000_000
X, Y, P = (RANDOM.integers(0, high, COUNT) for high in (6, 4, 2))
IMAGES = RANDOM.integers(0, 256, (3, 4, 6, 1)).astype(np.uint8)
FRAME_NS = np.array([5_100_000_000, 5_400_000_000, 5_900_000_000])
ABOUT = {"sensor_resolution": [4, 6]}


def write_evreal(folder: Path, **changes: np.ndarray) -> Path:
    """As EVREAL's bag_to_npy.py does: times minus the first, x and y in Fortran order, one dimension too many."""
    folder.mkdir(exist_ok=True)
    start = 5.0
    arrays = {
        "events_ts": NANOSECONDS / 1e9 - start,
        "events_xy": np.array([X, Y]).T,
        "events_p": P,
        "images": IMAGES,
        "images_ts": FRAME_NS[:, None] / 1e9 - start,
        "image_event_indices": np.full((3, 1), 99),
    }
    for name, array in (arrays | changes).items():
        np.save(folder / f"{name}.npy", array)
    (folder / "metadata.json").write_text(json.dumps(ABOUT))
    return folder


def write_nernet(folder: Path, **changes: np.ndarray) -> Path:
    """As NER-Net's h5_to_memmap.py does: float64 microseconds."""
    folder.mkdir(exist_ok=True)
    arrays = {
        "t": (NANOSECONDS // 1000).astype(np.float64)[:, None],
        "xy": np.array([X, Y]).T.astype(np.int16),
        "p": P.astype(np.uint8)[:, None],
        "images": IMAGES,
        "timestamps": FRAME_NS // 1000,
        "image_event_indices": np.zeros((3, 2), np.int64),
    }
    for name, array in (arrays | changes).items():
        np.save(folder / f"{name}.npy", array)
    (folder / "metadata.json").write_text(json.dumps(ABOUT | {"num_events": COUNT, "num_imgs": 3}))
    return folder


def write_raw(folder: Path, images: np.ndarray = IMAGES, **about: object) -> Path:
    """As event_utils' h5_to_memmap.py does: dumps in a folder called memmap."""
    folder = folder / "memmap"
    folder.mkdir(parents=True, exist_ok=True)
    (NANOSECONDS / 1e9).tofile(folder / "t.npy")
    np.array([X, Y]).T.astype(np.int16).tofile(folder / "xy.npy")
    P.astype(np.uint8).tofile(folder / "p.npy")
    images.tofile(folder / "images.npy")
    (FRAME_NS / 1e9).tofile(folder / "timestamps.npy")
    (folder / "metadata.json").write_text(json.dumps(ABOUT | {"num_events": COUNT, "num_imgs": 3} | about))
    return folder.parent


WRITERS = {"EVREAL folder": write_evreal, "NER-Net folder": write_nernet, "RPG memmap folder": write_raw}


def opened(path: Path, **options) -> Stream:
    reader = open_highrev if is_highrev_folder(path) else open_array_folder
    return reader(path, path.name, ReadOptions(**options))


def events_of(stream: Stream, window: Window = WHOLE) -> list[np.ndarray]:
    blocks = list(stream.blocks(window))
    if not blocks:
        return [np.zeros(0)] * 4
    firsts = np.cumsum([blocks[0].first, *(len(block.t) for block in blocks)])
    assert [block.first for block in blocks] == firsts[:-1].tolist()
    done = [block.done for block in blocks]
    assert done == sorted(done) and done[-1] == 1
    return [np.concatenate([getattr(block, name) for block in blocks]) for name in ("t", "x", "y", "p")]


def expected_times(kind: str) -> np.ndarray:
    if kind == "EVREAL folder":
        return (NANOSECONDS - 5_000_000_000) / 1e9
    return NANOSECONDS // 1000 if kind == "NER-Net folder" else NANOSECONDS / 1e9


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("block", [7, 1000])
def test_events_and_frames_are_those_written(tmp_path, kind, block, monkeypatch):
    monkeypatch.setattr(array_folders, "BLOCK", block)
    path = WRITERS[kind](tmp_path / "folder")
    assert is_array_folder(path) and not is_highrev_folder(path)
    stream = opened(path)
    assert (stream.format, stream.count, len(stream.files)) == (kind, COUNT, 3)
    assert stream.unit == ("us" if kind == "NER-Net folder" else "s")
    assert stream.size == SensorSize(4, 6, "metadata.json")
    for _ in range(2):
        for column, values in zip(events_of(stream), (expected_times(kind), X, Y, P), strict=True):
            np.testing.assert_array_equal(column, values)
    [frames] = stream.frames
    offset = 5_000_000_000 if kind == "EVREAL folder" else 0
    assert (frames.name, frames.layout, frames.height, frames.width) == ("frames", "gray", 4, 6)
    assert frames.start == FRAME_NS[0] - offset
    assert [frame.time for frame in frames.read(WHOLE)] == (FRAME_NS - offset).tolist()
    for frame, image in zip(frames.read(WHOLE), IMAGES, strict=True):
        np.testing.assert_array_equal(frame.image, image[..., 0])
    ends = kind == "NER-Net folder"
    assert stream.notes == ["times of frames are the end of their exposure, as NER-Net has them"] * ends


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("span", [(10, 20), (0, 39), (-1, 5), (30, 99), (99, 100), (-3, -1), (7, 7)])
def test_a_window_holds_what_the_whole_holds(tmp_path, kind, span):
    stream = opened(WRITERS[kind](tmp_path / "folder"))
    offset = 5_000_000_000 if kind == "EVREAL folder" else 0
    exact = NANOSECONDS // 1000 * 1000 if kind == "NER-Net folder" else NANOSECONDS
    around = [-9, *exact.tolist(), 10**11]
    first, last = (around[min(max(index + 1, 0), COUNT + 1)] - offset for index in span)
    inside = (exact - offset >= first) & (exact - offset <= last)
    t, x, _, _ = events_of(stream)
    found = events_of(stream, Window(first, last))
    np.testing.assert_array_equal(found[0], t[inside])
    np.testing.assert_array_equal(found[1], x[inside])
    times = [frame.time for frame in stream.frames[0].read(WHOLE)]
    within = [frame.time for frame in stream.frames[0].read(Window(first, last))]
    assert within == [time for time in times if first <= time <= last]


def test_noise_of_a_subtraction_is_taken_back_and_nothing_else(tmp_path):
    ns = np.array([0, 9001, 79573154, 1703811121, 99 * 10**9 + 1])
    noisy = ns / 1e9 + np.array([0, 1e-17, -1e-17, 2e-16, 1e-14])
    unix = 1.6e9 + RANDOM.random(100)
    assert (np.rint(unix * 1e9) / 1e9 != unix).any()
    between = np.array([1e-10, 0.00381112098693848, 3.3333333333333e-9, *unix, np.inf])
    t = np.concatenate([noisy, between, [np.nan]])
    ones = np.ones(len(t), int)
    path = write_evreal(tmp_path / "a", events_ts=t, events_xy=np.stack([ones, ones], axis=1), events_p=ones)
    np.testing.assert_array_equal(events_of(opened(path))[0], np.concatenate([ns / 1e9, between, [np.nan]]))


def test_memory_orders_and_dtypes_and_absent_parts(tmp_path):
    path = write_evreal(
        tmp_path / "a", events_xy=np.ascontiguousarray(np.array([X, Y]).T, np.int16), events_p=P.astype(bool)
    )
    for name in ("images", "images_ts", "image_event_indices"):
        (path / f"{name}.npy").unlink()
    (path / "metadata.json").unlink()
    stream = opened(path)
    assert stream.size is None and stream.frames == () and stream.notes == []
    _, x, y, p = events_of(stream)
    assert (x == X).all() and (y == Y).all() and (p == P).all() and p.dtype == np.uint8


def test_the_size_is_that_of_the_pictures_where_no_one_says_it(tmp_path):
    path = write_evreal(tmp_path / "a")
    (path / "metadata.json").unlink()
    assert opened(path).size == SensorSize(4, 6, "a/images.npy")


def test_pictures_without_times_are_left_out_with_a_note(tmp_path):
    path = write_evreal(tmp_path / "a")
    (path / "images_ts.npy").unlink()
    stream = opened(path)
    assert stream.frames == () and stream.notes == ["frames were left out: images.npy has no images_ts.npy beside it"]


def test_colour_is_taken_for_rgb(tmp_path):
    images = RANDOM.integers(0, 256, (3, 4, 6, 3)).astype(np.uint8)
    for path in (write_evreal(tmp_path / "a", images=images), write_raw(tmp_path / "b", images)):
        stream = opened(path)
        assert stream.notes == ["the 3 channels of images.npy were taken for red, green, blue"]
        assert stream.frames[0].layout == "rgb"
        for frame, image in zip(stream.frames[0].read(WHOLE), images, strict=True):
            np.testing.assert_array_equal(frame.image, image)


def test_no_frames_at_all(tmp_path):
    path = write_evreal(tmp_path / "a", images=IMAGES[:0], images_ts=np.zeros((0, 1)))
    assert opened(path).frames == ()
    # event_utils writes a byte where there is nothing.
    assert opened(write_raw(tmp_path / "b", np.zeros(1, np.uint8), num_imgs=0)).frames == ()


def test_another_unit(tmp_path):
    path = write_nernet(tmp_path / "a", t=NANOSECONDS / 1e9, timestamps=FRAME_NS / 1e9)
    with pytest.raises(
        InputError, match=r"a/t.npy: 5\.\d+ is no whole microsecond, so the unit is another; pass --time"
    ):
        opened(path)
    stream = opened(path, time_unit="s")
    np.testing.assert_array_equal(events_of(stream)[0], NANOSECONDS / 1e9)
    assert stream.frames[0].start == FRAME_NS[0]


def test_the_folder_memmap_itself_is_a_recording(tmp_path):
    path = write_raw(tmp_path / "a") / "memmap"
    assert is_array_folder(path) and opened(path).count == COUNT


def test_other_folders_are_none(tmp_path):
    (tmp_path / "t.npy").write_bytes(b"")
    assert not is_array_folder(tmp_path) and not is_highrev_folder(tmp_path)
    with pytest.raises(InputError, match="no events_ts.npy, events_xy.npy, events_p.npy and no t.npy, xy.npy, p.npy"):
        open_array_folder(tmp_path, "a", AS_STORED)


def read_all(path: Path, **options):
    stream = opened(path, **options)
    list(stream.blocks(WHOLE))
    return [frame for frames in stream.frames for frame in frames.read(WHOLE)]


def change_json(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "metadata.json").write_text(text)


def cut(name: str, count: int = 1) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - count)


def save(name: str, array: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: np.save(folder / name, array, allow_pickle=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "events_p.npy").unlink(), "a: events_p.npy missing beside the others"),
        (cut("events_ts.npy"), r"a/events_ts.npy: truncated or damaged: \(40,\) of float64 takes 320 bytes, 319"),
        (
            save("events_p.npy", P[:39]),
            r"a/events_p.npy: shape \(39,\), expected \(40,\) as events_ts.npy has 40 times",
        ),
        (save("events_xy.npy", X), r"a/events_xy.npy: shape \(40,\), expected \(40, 2\)"),
        (save("events_xy.npy", np.array([X, Y])), r"a/events_xy.npy: shape \(2, 40\), expected \(40, 2\)"),
        (save("events_ts.npy", np.array(1.0)), r"a/events_ts.npy: shape \(\), expected"),
        (save("events_p.npy", np.array([{}] * 40)), "a/events_p.npy: holds Python objects"),
        (save("events_xy.npy", np.full((40, 2), "a")), "a/events_xy.npy: dtype <U1, expected real numbers"),
        (save("images_ts.npy", FRAME_NS[:2] / 1e9), r"a/images_ts.npy: shape \(2,\), images.npy has 3 pictures"),
        (save("images_ts.npy", np.array([0.1, np.nan, 1])), "a/images_ts.npy: time 1 is nan, no possible time"),
        (save("images.npy", IMAGES / 255), r"a/images.npy: float64 of shape \(3, 4, 6, 1\), expected uint8"),
        (save("images.npy", IMAGES.repeat(2, axis=3)), r"images.npy: uint8 of shape \(3, 4, 6, 2\)"),
        (save("images.npy", np.asfortranarray(IMAGES.repeat(3, axis=3))), "in Fortran order, expected"),
        (save("images.npy", IMAGES[:, :0]), "pictures of 0 x 6 are none"),
        (change_json("{"), "a/metadata.json: damaged JSON"),
        (change_json("[" * 100_000), "a/metadata.json: damaged JSON"),
        (change_json("[]"), "a/metadata.json: no JSON object"),
        (change_json('{"sensor_resolution": [4]}'), r"a/metadata.json: sensor_resolution is \[4\], expected"),
        (change_json('{"sensor_resolution": [4, "6"]}'), "a/metadata.json: sensor_resolution is"),
        (change_json('{"sensor_resolution": [0, 6]}'), "a/metadata.json: sensor_resolution is"),
        (lambda folder: (folder / "events_ts.npy").write_bytes(b"1 2 3"), "a/events_ts.npy: damaged npy header"),
    ],
)
def test_damaged_evreal_folders(tmp_path, change, message):
    path = write_evreal(tmp_path / "a")
    change(path)
    with pytest.raises(InputError, match=message):
        read_all(path)


def test_negative_shapes(tmp_path):
    path = write_evreal(tmp_path / "a")
    data = (path / "images.npy").read_bytes()
    (path / "images.npy").write_bytes(data.replace(b"(3, 4, 6, 1), ", b"(3,-4,-6, 1), "))
    with pytest.raises(InputError, match="pictures of -4 x -6 are none"):
        read_all(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut("xy.npy"), "a/memmap/xy.npy: 159 bytes, metadata.json says 40 x 2 of <i2: 160 bytes"),
        (cut("p.npy", -1), "a/memmap/p.npy: 41 bytes, metadata.json says 40 of u1: 40 bytes"),
        (cut("t.npy", 8), "a/memmap/t.npy: 312 bytes, metadata.json says 40 of <f8: 320 bytes"),
        (cut("p.npy", 40), "a/memmap/p.npy: 0 bytes, metadata.json says 40 of u1: 40 bytes"),
        (cut("images.npy", 24), "a/memmap/images.npy: 48 bytes, metadata.json says 3 x 4 x 6 of u1: 72 bytes"),
        (cut("timestamps.npy", 8), "a/memmap/timestamps.npy: 16 bytes, metadata.json says 3 of <f8: 24 bytes"),
        (lambda folder: (folder / "images.npy").unlink(), "a/memmap/images.npy: cannot be opened"),
        (
            lambda folder: (folder / "metadata.json").unlink(),
            "a/memmap: raw arrays, and no num_events in metadata.json",
        ),
        (change_json('{"num_events": 40}'), "a/memmap: raw arrays, and no sensor_resolution in metadata.json"),
        (change_json('{"num_events": -1}'), "a/memmap/metadata.json: num_events is -1"),
        (change_json('{"num_events": 1e3, "sensor_resolution": [4, 6]}'), "num_events is 1000.0, expected a number"),
        (
            change_json('{"num_events": 40, "sensor_resolution": [65536, 65536], "num_imgs": 900}'),
            "72 bytes, metadata.json says 900 x 65536 x 65536 of u1: 3865470566400 bytes",
        ),
    ],
)
def test_damaged_raw_folders(tmp_path, change, message):
    path = write_raw(tmp_path / "a")
    change(path / "memmap")
    with pytest.raises(InputError, match=message):
        read_all(path)


# HighREV


def write_highrev(folder: Path, pictures: int = 2, parts: int = 3, sequence: str = "SEQ") -> Path:
    """As EFNet's loader wants it: rows in x, columns of shape (n, 1), microseconds."""
    for part in ("event", "blur", "sharp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, (t, x, y, p) in enumerate(zip(*(np.split(c, 5) for c in (NANOSECONDS // 1000, X, Y, P)), strict=True)):
        picture, part = divmod(number, parts)
        if picture < pictures:
            np.savez_compressed(
                folder / "event" / f"{sequence}_{picture:05d}_{part:02d}.npz",
                x=y[:, None].astype(np.uint16),
                y=x[:, None].astype(np.uint16),
                timestamp=t[:, None],
                polarity=p[:, None].astype(np.uint8),
            )
    for picture in range(pictures):
        for kind, offset in (("blur", 0), ("sharp", 100)):
            image = np.full((4, 6, 3), (picture, offset, 200), np.uint8)
            iio.imwrite(folder / kind / f"{sequence}_{picture:05d}.png", image, plugin="pillow")
    return folder


def times(frames: FrameSet, window: Window = WHOLE) -> list[int]:
    return [frame.time for frame in frames.read(window)]


@pytest.mark.parametrize("block", [5, 1000])
def test_highrev(tmp_path, monkeypatch, block):
    monkeypatch.setattr(highrev, "BLOCK", block)
    path = write_highrev(tmp_path / "a")
    assert is_highrev_folder(path) and not is_array_folder(path)
    stream = opened(path)
    assert (stream.format, stream.unit, stream.size) == ("HighREV folder", "us", SensorSize(4, 6, "the pictures"))
    assert [file.name for file in stream.files] == [f"SEQ_{n // 3:05d}_{n % 3:02d}.npz" for n in range(5)]
    microseconds = NANOSECONDS // 1000
    for _ in range(2):
        for column, values in zip(events_of(stream), (microseconds, X, Y, P), strict=True):
            np.testing.assert_array_equal(column, values)
    assert stream.notes == [highrev.EXCHANGED, highrev.UNSTATED, highrev.ASSUMED]
    assert [frames.name for frames in stream.frames] == ["frames", "sharp"]
    exposures = [
        (int(microseconds[first]) * 1000, int(microseconds[last]) * 1000) for first, last in ((0, 15), (24, 31))
    ]
    for frames, green in zip(stream.frames, (0, 100), strict=True):
        assert (frames.layout, frames.height, frames.width, frames.start) == ("rgb", 4, 6, sum(exposures[0]) // 2)
        for number, frame in enumerate(frames.read(WHOLE)):
            assert frame.exposure == exposures[number] and frame.time == sum(exposures[number]) // 2
            np.testing.assert_array_equal(frame.image, np.full((4, 6, 3), (number, green, 200)))
        assert times(frames, Window(frames.start + 1, 10**18)) == [sum(exposures[1]) // 2]
    assert opened(path, time_unit="ms").notes == [highrev.EXCHANGED, highrev.ASSUMED]
    window = Window(int(microseconds[10]) * 1000, int(microseconds[12]) * 1000)
    np.testing.assert_array_equal(np.concatenate([b.t for b in stream.blocks(window)])[10:13], microseconds[10:13])
    assert sum(len(b.t) for b in stream.blocks(window)) <= 16


def test_highrev_sequences_are_chosen(tmp_path):
    path = write_highrev(write_highrev(tmp_path / "a", 1), sequence="SEQ_B")
    with pytest.raises(InputError, match="a: holds the sequences SEQ, SEQ_B; pass one of them as --topic"):
        opened(path)
    assert len(opened(path, topic="SEQ").files) == 3 and len(opened(path, topic="SEQ_B").files) == 5
    with pytest.raises(InputError, match="pass one of them"):
        opened(path, topic="SEQ_")


def test_highrev_pictures_without_exposure_are_left_out(tmp_path):
    stream = opened(write_highrev(tmp_path / "a", 3, parts=2))
    assert len(times(stream.frames[0])) == 2
    assert "1 pictures of blur/ were left out, as one npz alone tells no exposure" in stream.notes
    path = write_highrev(tmp_path / "b")
    for file in (path / "blur").iterdir():
        file.unlink()
    stream = opened(path)
    assert [frames.name for frames in stream.frames] == ["frames"]
    assert "there are no blurred pictures; any sharp ones are the frames" in stream.notes
    for file in (path / "sharp").iterdir():
        file.unlink()
    stream = opened(path)
    assert stream.frames == () and stream.size is None and highrev.ASSUMED not in stream.notes


def resave(folder: Path, **changes: np.ndarray | None):
    file = folder / "event" / "SEQ_00000_01.npz"
    with np.load(file) as arrays:
        columns = {**arrays} | changes
    np.savez(file, allow_pickle=True, **{name: column for name, column in columns.items() if column is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"polarity": None}, "a/event/SEQ_00000_01.npz: no polarity.npy in it .found x.npy, y.npy, timestamp.npy"),
        (
            {"x": np.zeros((7, 1), int)},
            "SEQ_00000_01.npz: columns of different lengths: timestamp 8, y 8, x 7, polarity 8",
        ),
        ({"y": np.zeros((8, 2), int)}, r"SEQ_00000_01.npz/y: shape \(8, 2\), expected \(N, 1\)"),
        ({"y": np.array([None] * 8)}, "SEQ_00000_01.npz/y: holds Python objects"),
        ({"y": np.full(8, 1j)}, "SEQ_00000_01.npz/y: dtype complex128"),
        ({"timestamp": np.full(8, np.nan)}, "SEQ_00000_01.npz/timestamp: nan to nan are no possible times"),
    ],
)
def test_damaged_highrev_columns(tmp_path, changes, message):
    path = write_highrev(tmp_path / "a")
    resave(path, **changes)
    with pytest.raises(InputError, match=message):
        read_all(path)


def test_damaged_highrev_files(tmp_path):
    path = write_highrev(tmp_path / "a")
    for file, message in (
        (path / "blur" / "SEQ_00001.png", "a/blur/SEQ_00001.png: not a readable picture"),
        (path / "event" / "SEQ_00001_00.npz", "a/event/SEQ_00001_00.npz: damaged zip"),
    ):
        os.truncate(file, 45)
        with pytest.raises(InputError, match=message):
            read_all(path)


def test_empty_highrev_parts(tmp_path):
    path, empty = write_highrev(tmp_path / "a", 1), np.zeros((0, 1), int)
    resave(path, x=empty, y=empty, timestamp=empty, polarity=empty)
    stream = opened(path)
    assert sum(len(block.t) for block in stream.blocks(WHOLE)) == 16
    [frame] = stream.frames[0].read(WHOLE)
    assert frame.exposure == (NANOSECONDS[0] // 1000 * 1000, NANOSECONDS[7] // 1000 * 1000)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([write_evreal, write_nernet, write_raw, write_highrev]),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=4),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_any_damage_is_an_input_error(tmp_path, write, which, flips, kept):
    path = write(tmp_path / write.__name__)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    file = files[int(which * (len(files) - 1))]
    data = bytearray(file.read_bytes())
    for place, bits in flips:
        data[int(place * (len(data) - 1))] ^= bits
    file.write_bytes(data if kept is None else data[: int(kept * len(data))])
    try:
        stream = opened(path)
        for window in (WHOLE, Window(5_300_000_000, 5_600_000_000)):
            for block in stream.blocks(window):
                assert len({len(block.t), len(block.x), len(block.y), len(block.p)}) == 1
            for frames in stream.frames:
                assert all(window.first <= frame.time <= window.last for frame in frames.read(window))
    except InputError as error:
        assert "\n" not in str(error) and re.match(f"{path.name}[:/]", str(error))


def test_nernets_folders_say_which_events_belong_to_a_picture(tmp_path: Path):
    rows = np.array([[0, 3], [5, 5], [38, COUNT]])
    stream = open_array_folder(write_nernet(tmp_path / "a", image_event_indices=rows), "a", AS_STORED)
    found = [frame.window for frame in stream.frames[0].read(WHOLE)]
    assert found == [(0, 3), (5, 5), (38, COUNT)] and stream.frames[0].ends
    with pytest.raises(InputError, match=r"b/image_event_indices.npy\[1\] is \[5, 4\], of 40 events; mend it"):
        open_array_folder(
            write_nernet(tmp_path / "b", image_event_indices=rows[[0, 1, 2]] - [[0, 0], [0, 1], [0, 0]]), "b", AS_STORED
        )
    stream = open_array_folder(write_nernet(tmp_path / "c", image_event_indices=rows[:2]), "c", AS_STORED)
    assert "c/image_event_indices.npy has 2 rows for 3 pictures, and was not used" in stream.notes
    assert [frame.window for frame in stream.frames[0].read(WHOLE)] == [None] * 3
