"""Laws of the door: clocks and their origin, what users can say, which reader gets a file, what is streamed."""

import hashlib
import struct
import zipfile
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters import ReadOptions, fingerprint, open_stream, read
from converters.arrays import likely_order
from converters.checks import Passage, collect, events_from_blocks
from converters.clock import ABSOLUTE, nanoseconds, origin, possible, seconds
from converters.frames import checked_frames
from converters.options import AS_STORED
from converters.stream import BLOCK, TICKS, WHOLE, Columns, Frame, FrameSet, Stream, Unit, Window
from evinr.events import InputError

HEIGHT, WIDTH = 5, 9
SENSOR = ReadOptions(height=HEIGHT, width=WIDTH)
UNIX = 1_468_939_993_067_416_019
units = pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])


def columns(t, first: int = 0) -> Columns:
    t = np.asarray(t)
    pixel = np.arange(first, first + len(t))
    return Columns(t, pixel % WIDTH, pixel % HEIGHT, pixel % 2, first)


def stream(
    t, unit: Unit = "ns", cuts=(), frames: tuple[FrameSet, ...] = (), asked: list[Window] | None = None
) -> Stream:
    """A recording in memory, cut into blocks; `asked` collects the windows that it is asked for."""
    t = np.asarray(t)

    def blocks(window: Window):
        if asked is not None:
            asked.append(window)
        for start, end in pairwise([0, *sorted(cuts), len(t)]):
            yield columns(t[start:end], start)

    return Stream("test", (), unit, blocks, frames=frames, notes=[])


def events_of(given: Stream, options: ReadOptions = SENSOR):
    return collect(Passage(given, options, "test"))


# Clocks


@units
@given(st.data())
def test_integers_are_exact(unit, data):
    ticks = 10**9 // TICKS[unit]
    t = data.draw(st.lists(st.integers(-9 * 10**18 // ticks + 1, 9 * 10**18 // ticks - 1), min_size=1))
    assert nanoseconds(np.array(t, np.int64), unit).tolist() == [time * ticks for time in t]
    zero = data.draw(st.sampled_from([0, t[0] * ticks]))
    near = [time for time in t if abs(time * ticks - zero) < 2**53]
    assert seconds(np.array(near, np.int64), unit, zero).tolist() == [(time * ticks - zero) / 10**9 for time in near]


@units
@given(st.data())
def test_floats_are_rounded_to_the_nanosecond_and_kept_where_nothing_is_subtracted(unit, data):
    t = data.draw(st.floats(-1e4, 1e4))
    whole = nanoseconds(np.array([t]), unit)[0]
    assert abs(int(whole) - t * 1e9 / TICKS[unit]) <= 0.5001
    assert seconds(np.array([t]), unit, 0)[0] == t / TICKS[unit]


def test_unix_doubles_lose_no_more_than_they_have():
    assert abs(int(nanoseconds(np.array([UNIX / 1e9]), "s")[0]) - UNIX) < 240


@units
@pytest.mark.parametrize("time", [np.nan, np.inf, -np.inf, 1e300, 9.1e18])
def test_what_no_clock_shows_is_impossible(unit, time):
    assert not possible(np.array([time]), unit)[0] and possible(np.array([0, -1, 1]), unit).all()
    assert not possible(np.array([2**63 - 1]), unit)[0] and not possible(np.array([2**64 - 1], np.uint64), unit)[0]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1))
def test_the_origin_is_the_start_of_absolute_clocks_alone(starts):
    assert origin(*starts) == (min(starts) if abs(min(starts)) >= ABSOLUTE else 0)


def test_events_of_an_absolute_clock_count_from_the_first_event_or_frame():
    t = UNIX + np.array([7, 1_000_000_003])
    exact = events_of(stream(t))
    assert exact.origin == UNIX + 7 and exact.events.t.tolist() == [0, 0.999999996]
    early = FrameSet("frames", UNIX, lambda window: iter([Frame(UNIX, np.zeros((2, 2), np.uint8))]))
    before = events_of(stream(t, frames=(early,)))
    assert before.origin == UNIX and before.events.t.tolist() == [7e-9, 1.000000003]
    assert any(str(UNIX) in sentence for sentence in before.assumptions)
    mad = early._replace(start=2**62 * 2)
    assert events_of(stream(t, frames=(mad,))).origin == UNIX + 7


def test_a_relative_clock_is_kept():
    exact = events_of(stream([1_500_000_000, 2_000_000_000]))
    assert exact.origin == 0 and exact.events.t.tolist() == [1.5, 2.0]


# The wanted span


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40).map(sorted), st.data(), st.booleans())
def test_a_window_is_the_whole_filtered(times, data, unix):
    cuts = data.draw(st.lists(st.integers(0, len(times)), max_size=4))
    start, end = sorted(data.draw(st.tuples(st.integers(-5, 55), st.integers(-5, 55))))
    zero = UNIX if unix else 0
    asked: list[Window] = []
    given = stream(zero + np.array(times) * 10**9, cuts=cuts, asked=asked)
    first = times[0] if unix else 0
    options = replace(SENSOR, t_start=float(start), t_end=float(end))
    kept = [time - first for time in times if start <= time - first <= end]
    if not kept:
        with pytest.raises(InputError, match="change --t-start and --t-end"):
            events_of(given, options)
        return
    events, assumptions, _ = events_of(given, options)
    assert events.t.tolist() == kept
    assert asked[-1] == Window(zero + (first + start) * 10**9, zero + (first + end) * 10**9)
    assert any("--t-start" in sentence for sentence in assumptions) == (len(kept) < len(times))


def test_reading_stops_behind_the_span():
    def blocks(window: Window):
        yield columns([0, 1])
        yield columns([2, 3], 2)
        yield columns([7, 8], 4)
        raise AssertionError("read on")

    given = Stream("test", (), "s", blocks, notes=[])
    assert events_of(given, replace(SENSOR, t_end=2.0)).events.t.tolist() == [0, 1, 2]


@pytest.mark.parametrize("unit, ticks", [("ns", (-3, 1_000_001)), ("us", (-1, 1001)), ("ms", (-1, 2)), ("s", (-1, 1))])
def test_ticks_cover_a_window(unit, ticks):
    assert Window(-3, 1_000_001).ticks(unit) == ticks


# What users can say


@given(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1), st.permutations([0, 1, 2, 255]))
def test_the_numbers_of_polarity_are_the_users(values, numbers):
    falling, rising = numbers[:2]
    given = columns(np.arange(len(values)))._replace(p=np.array(values))
    options = replace(SENSOR, polarity=(falling, rising))
    strange = [value for value in values if value not in (falling, rising)]
    if strange:
        with pytest.raises(InputError, match=f"polarity is {strange[0]},"):
            events_from_blocks([given], options)
    else:
        events = events_from_blocks([given], options).events
        assert events.p.tolist() == [1 if value == rising else -1 for value in values]


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0, np.nan, np.inf, 1e30]), st.integers(-2, WIDTH + 1)), min_size=1),
    st.lists(st.integers(0, 20), max_size=3),
)
def test_unsound_events_are_left_out_on_request_and_counted(rows, cuts):
    t, x = (np.array(column, float) for column in zip(*rows, strict=True))
    sound = np.isfinite(t) & (t < 1e9) & (x >= 0) & (x < WIDTH)
    blocks = [
        columns(t[a:b], a)._replace(x=x[a:b]) for a, b in pairwise([0, *sorted(min(c, len(t)) for c in cuts), len(t)])
    ]
    options = replace(SENSOR, drop=True, sort=True)
    if not sound.any():
        with pytest.raises(InputError, match=f"no events are left of {len(t)}"):
            events_from_blocks(blocks, options)
        return
    events, assumptions, _ = events_from_blocks(blocks, options)
    assert sorted(events.x.tolist()) == sorted(x[sound].tolist())
    said = [sentence for sentence in assumptions if "left out" in sentence]
    wrong = int((~sound).sum())
    plural = "s were" if wrong > 1 else " was"
    expected = f"{wrong} event{plural} left out, outside the sensor or of impossible time (--drop)"
    assert said == [expected] * bool(wrong)


@pytest.mark.parametrize("order", ["txyp", "tyxp", "xytp", "yxtp"])
@pytest.mark.parametrize("fortran", [False, True])
def test_the_order_of_columns_is_the_users(order, fortran, tmp_path):
    values = {"t": [0.5, 1, 2], "x": [1, 2, 3], "y": [4, 0, 1], "p": [1, 0, 1]}
    rows = np.array([values[column] for column in order], float).T
    np.save(tmp_path / "a.npy", np.asfortranarray(rows) if fortran else rows)
    events = read(tmp_path / "a.npy", replace(SENSOR, columns=order)).events
    assert (events.t.tolist(), events.x.tolist(), events.y.tolist()) == (values["t"], values["x"], values["y"])
    window = read(tmp_path / "a.npy", replace(SENSOR, columns=order, t_start=0.6, t_end=1.5)).events
    assert window.t.tolist() == [1.0]
    lines = "\n".join(" ".join(f"{value:g}" for value in row) for row in rows)
    (tmp_path / "a.txt").write_text(lines + "\n")
    assert read(tmp_path / "a.txt", replace(SENSOR, columns=order)).events.x.tolist() == values["x"]


@pytest.mark.parametrize(
    "x_max, y_max, size, expected",
    [
        (407, 305, None, "txyp"),
        (305, 407, None, "tyxp"),
        (300, 390, None, "tyxp"),
        (99, 200, None, "txyp"),
        (239, 179, None, "txyp"),
        (np.nan, 3, None, "txyp"),
        (-1, 407, None, "txyp"),
        (305, 407, (306, 408), "tyxp"),
        (305, 305, (306, 408), "txyp"),
        (407, 407, (306, 408), "txyp"),
        (8, 4, (5, 9), "txyp"),
        (4, 8, (5, 9), "tyxp"),
    ],
)
def test_columns_of_aed_files_are_told_by_the_sensor(x_max, y_max, size, expected):
    head = Columns(np.zeros(2), np.array([0.0, x_max]), np.array([0.0, y_max]), np.ones(2))
    options = ReadOptions(height=size[0], width=size[1]) if size else AS_STORED
    assert likely_order(head, options) == expected


def test_exchanged_columns_are_read_and_said(tmp_path):
    rows = np.array([[0, 305, 407, 1], [1, 0, 0, -1]], float)
    np.save(tmp_path / "a.npy", rows)
    recording = read(tmp_path / "a.npy")
    assert recording.events.x.tolist() == [407, 0] and recording.events[4:] == (306, 408)
    assert any("--columns txyp" in sentence for sentence in recording.assumptions)


def test_esim_is_in_nanoseconds(tmp_path):
    t = np.array([5, 2 * 10**9 + 7])
    np.savez(tmp_path / "a.npz", x=np.array([1, 2]), y=np.array([1, 2]), t=t, p=np.array([1, -1]))
    assert read(tmp_path / "a.npz").events.t.tolist() == [5e-9, 2.000000007]
    assert read(tmp_path / "a.npz", ReadOptions(time_unit="us")).events.t.tolist() == [5e-6, 2000.000007]
    np.savez(tmp_path / "b.npz", t=t, x=np.array([1, 2]), y=np.array([1, 2]), p=np.array([1, -1]))
    with pytest.raises(InputError, match="--time-unit us"):
        read(tmp_path / "b.npz")


# Which reader, and which files


def write_rows(path: Path, count: int = 3) -> Path:
    rows = np.stack([np.arange(count) / 10, *[np.arange(count) % HEIGHT] * 2, np.ones(count)], 1)
    np.save(path, rows)
    return path.with_suffix(".npy") if path.suffix != ".npy" else path


@pytest.mark.parametrize("name", ["a.npy", "a.bag", "a.txt", "a"])
def test_content_comes_before_the_name(name, tmp_path):
    source = write_rows(tmp_path / "rows.npy").rename(tmp_path / name)
    assert read(source).events.count == 3 and read(source).format == "N x 4 npy"


@pytest.mark.parametrize("format", ["rosbag", "mcap", "timostoff", "evt3", "dat", "aedat4", "npz", "text", "evinr"])
def test_a_wrong_format_is_one_line(format, tmp_path):
    source = write_rows(tmp_path / "rows.npy")
    with pytest.raises(InputError, match="^rows.npy") as caught:
        read(source, ReadOptions(format=format))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", ["rosbag", "timostoff", "evt3", "aedat4", "npy", "npz", "evreal", "highrev", "dsec"])
def test_a_wrong_format_of_a_folder_is_one_line(format, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/events.txt").write_text("0 1 1 1\n")
    with pytest.raises(InputError, match="^here"):
        read(tmp_path / "here", ReadOptions(format=format))


def test_blocks_are_small_and_can_be_read_again(tmp_path):
    source = write_rows(tmp_path / "rows.npy", BLOCK + 10)
    given = open_stream(source)
    for _ in range(2):
        blocks = list(given.blocks(WHOLE))
        assert [len(block.t) for block in blocks] == [BLOCK, 10] and [block.first for block in blocks] == [0, BLOCK]
        assert blocks[-1].done == 1


def test_only_the_rows_of_a_window_are_read(tmp_path):
    given = open_stream(write_rows(tmp_path / "rows.npy", 1000))
    [block] = given.blocks(Window(10 * 10**9, 11 * 10**9))
    assert (block.first, len(block.t)) == (100, 11)


def test_the_fingerprint_is_the_sha256_of_the_events(tmp_path):
    source = write_rows(tmp_path / "rows.npy")
    assert fingerprint(open_stream(source)) == hashlib.sha256(source.read_bytes()).hexdigest()


def test_frames_can_be_left_out(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/events.txt").write_text("0 1 1 1\n1 1 1 1\n")
    (tmp_path / "here/images.txt").write_text("0 images/lost.png\n")
    with pytest.raises(InputError, match="lost.png"):
        read(tmp_path / "here")
    assert read(tmp_path / "here", ReadOptions(skip_frames=True)).frames is None


# Frames on their way


def frame_set(times: list[int], shapes: list[tuple[int, ...]] | None = None) -> FrameSet:
    shapes = shapes or [(2, 3)] * len(times)
    frames = [Frame(time, np.zeros(shape, np.uint8)) for time, shape in zip(times, shapes, strict=True)]
    return FrameSet("frames", times[0], lambda window: iter(frames))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 9), st.integers(0, 9))
def test_frames_pass_in_order_or_are_refused(times, one, other):
    start, end = min(one, other), max(one, other)
    options = ReadOptions(t_start=start / 1e9, t_end=end / 1e9)
    inside = [time for time in times if start <= time <= end]
    passed = checked_frames(frame_set(times), options, 0, "test")
    if inside == sorted(inside):
        assert [frame.time for frame in passed] == inside
    else:
        with pytest.raises(InputError, match=r"test: frame \d+: time goes back by .*: pass --sort"):
            list(passed)
    sorting = checked_frames(frame_set(times), replace(options, sort=True), 0, "test")
    assert [frame.time for frame in sorting] == inside


@pytest.mark.parametrize("shapes", [[(2, 3), (3, 2)], [(2, 3), (2, 3, 3)]])
def test_frames_of_two_kinds_are_refused(shapes):
    with pytest.raises(InputError, match="delete the frames of one kind"):
        list(checked_frames(frame_set([0, 1], shapes), AS_STORED, 0, "test"))


def test_a_frame_of_an_impossible_time_is_refused():
    with pytest.raises(InputError, match="out of range"):
        list(checked_frames(frame_set([2**70]), AS_STORED, 0, "test"))


# What reviewers found


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.data())
def test_sorting_a_window_is_the_window_of_the_sorted(times, data):
    cuts = data.draw(st.lists(st.integers(0, len(times)), max_size=4))
    start, end = sorted(data.draw(st.tuples(st.integers(-5, 45), st.integers(-5, 45))))
    kept = [time for time in sorted(times) if start <= time <= end]
    options = replace(SENSOR, t_start=float(start), t_end=float(end), sort=True)
    if kept:
        assert events_of(stream(np.array(times) * 10**9, cuts=cuts), options).events.t.tolist() == kept


@pytest.mark.parametrize("disorder", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_of_files_are_the_whole_filtered(disorder, dtype, tmp_path):
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(999, 1001, 3000)).astype(dtype)
    if disorder:
        t[1000:2000] -= dtype(0.4)
    rows = np.stack([t, *[np.arange(3000) % HEIGHT] * 2, np.ones(3000)], 1).astype(dtype)
    np.save(tmp_path / "a.npy", rows)
    options = replace(SENSOR, sort=bool(disorder))
    whole = read(tmp_path / "a.npy", options).events
    for start, end in np.sort(rng.choice(t.astype(float), (30, 2)), axis=1):
        part = read(tmp_path / "a.npy", replace(options, t_start=start, t_end=end)).events
        assert np.array_equal(part.t, whole.between(start, end).t)


def test_events_that_were_dropped_keep_their_numbers():
    given = columns(np.array([0.0, np.nan, 1, np.inf, 2, 1.5, 3, 4]))
    with pytest.raises(InputError, match="event 5: time goes back"):
        events_from_blocks([given], replace(SENSOR, drop=True))
    p = np.array([0, 0, 1, 1, 1, 1, 7, 1])
    t = np.array([0.0, np.nan, 1, np.inf, 2, 2.5, 3, 4])
    with pytest.raises(InputError, match="event 6: polarity is 7"):
        events_from_blocks([given._replace(t=t, p=p)], replace(SENSOR, drop=True))


@pytest.mark.parametrize("option, value", [("topic", "x"), ("frame_topic", "x")])
def test_an_option_that_says_nothing_about_a_format_is_said_to(option, value, tmp_path):
    source = write_rows(tmp_path / "rows.npy")
    said = read(source, ReadOptions(**{option: value})).assumptions
    assert any(f"--{option.replace('_', '-')} was not used" in sentence for sentence in said)


def test_text_in_a_zip_may_be_called_text(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("events.txt", "0 1 1 1\n1 2 2 0\n")
    for format in ("ijrr", "text"):
        assert read(tmp_path / "a.zip", ReadOptions(format=format)).events.count == 2


def test_aed_says_the_sensor(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 3, 400, 1], [1, 2, 5, -1]], float))
    events = read(tmp_path / "a.npy", ReadOptions(format="aed")).events
    assert events[4:] == (306, 408) and events.x.tolist() == [400, 5]


def test_a_picture_that_claims_too_much_is_refused_before_it_is_unpacked(tmp_path):
    (tmp_path / "here/images").mkdir(parents=True)
    (tmp_path / "here/events.txt").write_text("0 1 1 1\n1 1 1 1\n")
    (tmp_path / "here/images.txt").write_text("0 images/bomb.png\n")
    head = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    png = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    (tmp_path / "here/images/bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + png)
    with pytest.raises(InputError, match="13000 x 13000, more than any camera"):
        read(tmp_path / "here")


def test_a_null_character_in_the_name_of_a_picture_is_refused(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/events.txt").write_text("0 1 1 1\n1 1 1 1\n")
    (tmp_path / "here/images.txt").write_text("0 images/a\0b.png\n")
    with pytest.raises(InputError, match="^here/images.txt: line 1: .*null character"):
        read(tmp_path / "here")


def test_a_type_that_numpy_is_about_to_drop_is_no_warning(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), "S8"))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"|S8", b"|a8"))
    with pytest.raises(InputError, match="expected real numbers"):
        read(tmp_path / "a.npy")
