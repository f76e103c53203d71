"""RAW and DAT: against decoders that are plain loops over the words, on sound, cut and random files."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from converters import evt2, evt3, prophesee
from converters.options import AS_STORED, ReadOptions
from converters.prophesee import open_prophesee
from converters.stream import WHOLE, Columns, Stream, Window
from evinr.events import InputError

Event = tuple[int, int, int, int]
DTYPES = {"evt2": "<u4", "evt21": "<u8", "evt3": "<u2", "dat": "<u8"}
FORMATS = {"evt2": "EVT2", "evt21": "EVT21;endianness=little", "evt3": "EVT3"}
TMP = [HealthCheck.function_scoped_fixture]


def scalar_evt3(words: list[int]) -> list[Event]:
    events: list[Event] = []
    rounds, high, low, row, column, polarity = 0, None, 0, None, None, 0
    for word in words:
        kind, content = word >> 12, word & 0xFFF
        if high is None and kind != 8:
            continue
        bits: list[int] = []
        if kind == 0:
            row = content & 0x7FF
        elif kind == 2:
            bits = [0]
        elif kind == 3:
            column, polarity = content & 0x7FF, content >> 11
        elif kind == 4:
            bits = [bit for bit in range(12) if content >> bit & 1]
        elif kind == 5:
            bits = [bit for bit in range(8) if content >> bit & 1]
        elif kind == 6:
            low = content
        elif kind == 8:
            if high is not None and high - content >= 2048:
                rounds += 1
            if content != high:
                low = 0
            high = content
        t = (rounds << 24) + ((high or 0) << 12) + low
        if row is not None and kind == 2:
            events.append((t, content & 0x7FF, row, content >> 11))
        if row is not None and column is not None and kind in (4, 5):
            events += [(t, (column + bit) % 65536, row, polarity) for bit in bits]
        if column is not None and kind in (4, 5):
            column += 12 if kind == 4 else 8
    return events


def scalar_evt2(words: list[int]) -> list[Event]:
    """Also of EVT2.1, whose words have a mask below."""
    return scalar_evt21([word << 32 | 1 for word in words])


def scalar_evt21(words: list[int]) -> list[Event]:
    events: list[Event] = []
    rounds, high = 0, None
    for word in words:
        kind, upper = word >> 60, word >> 32
        if kind == 8:
            if high is not None and high - (upper & 0xFFFFFFF) >= 2**27:
                rounds += 1
            high = upper & 0xFFFFFFF
        if kind in (0, 1) and high is not None:
            t = (rounds << 34) + (high << 6) + (upper >> 22 & 0x3F)
            x, y = upper >> 11 & 0x7FF, upper & 0x7FF
            events += [(t, x + bit, y, kind) for bit in range(32) if word >> bit & 1]
    return events


def scalar_dat(records: list[int]) -> list[Event]:
    events: list[Event] = []
    rounds, last = 0, 0
    for record in records:
        t, fields = record & 0xFFFFFFFF, record >> 32
        if last - t >= 2**31:
            rounds += 1
        last = t
        events.append(((rounds << 32) + t, fields & 0x3FFF, fields >> 14 & 0x3FFF, fields >> 28 & 1))
    return events


SCALAR = {"evt2": scalar_evt2, "evt21": scalar_evt21, "evt3": scalar_evt3, "dat": scalar_dat}


def dat(*events: Event) -> list[int]:
    return [t | (x | y << 14 | p << 28) << 32 for t, x, y, p in events]


def pack(key: str, words: list[int]) -> bytes:
    return np.array(words, DTYPES[key]).tobytes()


def header(key: str) -> bytes:
    if key == "dat":
        return b"% Data file containing CD events \n% Version 2 \n% Height 180\n% Width 240 \n\x0c\x08"
    return f"% date 2026-01-01\n% format {FORMATS[key]};height=180;width=240\n% end\n".encode()


def write(folder: Path, key: str, words: list[int]) -> Path:
    path = folder / f"recording.{'dat' if key == 'dat' else 'raw'}"
    path.write_bytes(header(key) + pack(key, words))
    return path


def opened(path: Path, options: ReadOptions = AS_STORED) -> Stream:
    return open_prophesee(path, path.name, options)


def gather(blocks: list[Columns]) -> list[Event]:
    return [event for block in blocks for event in zip(*(column.tolist() for column in block[:4]), strict=True)]


def events_of(path: Path, options: ReadOptions = AS_STORED, window: Window = WHOLE) -> list[Event]:
    return gather(list(opened(path, options).blocks(window)))


@pytest.fixture(params=[3, 64])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {key: encoding._replace(block=request.param) for key, encoding in prophesee.ENCODINGS.items()}
    monkeypatch.setattr(prophesee, "ENCODINGS", small)


# Words of all types, most often those that matter, with few different times and places so that they meet.
few = st.sampled_from([0, 1, 2, 3, 0x7FE, 0x7FF, 0x800, 0xFFE, 0xFFF])
evt3_words = st.builds(
    lambda kind, content: kind << 12 | content,
    st.sampled_from([0, 2, 2, 3, 4, 4, 5, 5, 6, 6, 8, 8]) | st.integers(0, 15),
    few | st.integers(0, 0xFFF),
)
highs = st.sampled_from([0, 1, 2**27, 2**28 - 2, 2**28 - 1]).map(lambda high: 8 << 28 | high)
evt2_words = highs | st.builds(lambda kind, rest: kind << 28 | rest, st.integers(0, 15), st.integers(0, 2**28 - 1))
evt2_words |= st.integers(0, 2**29 - 1)
evt21_words = st.builds(
    lambda upper, mask: upper << 32 | mask,
    evt2_words,
    st.sampled_from([0, 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1),
)
dat_words = st.builds(
    lambda t, rest: t | rest << 32,
    st.sampled_from([0, 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
streams = {
    key: st.lists(words, max_size=60)
    for key, words in {"evt2": evt2_words, "evt21": evt21_words, "evt3": evt3_words, "dat": dat_words}.items()
}
recordings = st.one_of(*(st.tuples(st.just(key), words) for key, words in streams.items()))


@settings(max_examples=200, suppress_health_check=TMP)
@given(recordings)
def test_random_words(tmp_path: Path, recording: tuple[str, list[int]]) -> None:
    key, words = recording
    assert events_of(write(tmp_path, key, words)) == SCALAR[key](words)


@pytest.mark.parametrize("block", [50, 2**16])
@pytest.mark.parametrize("key", FORMATS)
def test_long_random_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, block: int) -> None:
    monkeypatch.setitem(prophesee.ENCODINGS, key, prophesee.ENCODINGS[key]._replace(block=block))
    rng = np.random.default_rng(5)
    words: list[int] = rng.integers(0, np.iinfo(DTYPES[key]).max, 20_000, DTYPES[key], endpoint=True).tolist()
    events = SCALAR[key](words)
    assert len(events) > 1000
    assert events_of(write(tmp_path, key, words)) == events


DECODERS: dict[str, tuple[Any, Any]] = {
    "evt2": (evt2.decode_evt2, evt2.State()),
    "evt21": (evt2.decode_evt21, evt2.State()),
    "evt3": (evt3.decode, evt3.State()),
    "dat": (evt2.decode_dat, evt2.State()),
}


@settings(max_examples=300)
@given(recordings, st.lists(st.integers(0, 60), max_size=6))
@example(("evt3", [0x8001, 0x0005, 0x3803, 0x4FFF, 0x5001, 0x6002, 0x5080, 0x8000, 0x2001]), [1, 2, 3, 4, 5, 6, 7, 8])
def test_any_cut_gives_the_same(recording: tuple[str, list[int]], cuts: list[int]) -> None:
    key, listed = recording
    words = np.array(listed, DTYPES[key])
    if DTYPES[key] == "<u8":
        words = words.view("<u4").reshape(-1, 2)
    decode, start = DECODERS[key]
    whole, final = decode(words, start)
    blocks, state = [], start
    for part in np.split(words, sorted(cuts)):
        block, state = decode(part, state)
        blocks.append(block)
    assert state == final
    assert gather(blocks) == gather([whole])
    assert [column.dtype for column in whole[:4]] == [np.int64, np.uint16, np.uint16, np.uint8]


def test_evt3_by_hand(tmp_path: Path) -> None:
    words = [0x0007, 0x2001]  # before any TIME_HIGH
    words += [0x8002, 0x6003, 0x2002]  # without a row yet
    words += [0x0805, 0x2809, 0x2003]  # row 5 of a second camera: x 9 rising, x 3 falling
    words += [0x3810, 0x4801, 0x4000, 0x5F81, 0x5001]  # rising from x 16: 16, 27; none; 40, 47; 48
    words += [0xA123, 0xE014, 0xF001, 0x7002, 0x1FFF, 0x9000]  # others
    words += [0x8002, 0x2004, 0x8003, 0x2004]  # the same TIME_HIGH keeps the lower bits, a new one clears them
    words += [0x6FFF, 0x8FFF, 0x6001, 0x8000, 0x6000, 0x2004]  # a round of 24 bits
    words += [0x8800, 0x8001, 0x2004]  # a fall by less than half is no round
    words += [0x8801, 0x8001, 0x2004]  # but one by half is
    path = write(tmp_path, "evt3", words)
    first = 2 << 12 | 3
    assert events_of(path) == [
        *[(first, x, 5, p) for x, p in [(9, 1), (3, 0), (16, 1), (27, 1), (40, 1), (47, 1), (48, 1), (4, 0)]],
        (3 << 12, 4, 5, 0),
        (1 << 24, 4, 5, 0),
        ((1 << 24) + (1 << 12), 4, 5, 0),
        ((2 << 24) + (1 << 12), 4, 5, 0),
    ]
    stream = opened(path)
    for _ in range(2):
        list(stream.blocks(WHOLE))
        assert stream.notes == [
            "time counts from the start of the camera",
            "TIME_HIGH went back 1 time, which is an error of the transmission",
            "events left out at the start, as no word tells their pixel yet: 1",
            "some rows are marked as those of a second camera; events of both are mixed",
        ]
    assert stream.size is not None and stream.size[:2] == (180, 240)
    assert (stream.unit, stream.format, stream.count) == ("us", "Prophesee RAW, EVT3", None)
    assert opened(path).notes == ["time counts from the start of the camera"]


def test_evt2_by_hand(tmp_path: Path) -> None:
    words = [
        0x00000000,
        0x8FFFFFFF,
        1 << 28 | 63 << 22 | 300 << 11 | 200,
        0xA0000001,
        0x80000000,
        1 << 22 | 4 << 11 | 3,
    ]
    words += [0x80000005, 0x80000004, 0]
    path = write(tmp_path, "evt2", words)
    assert events_of(path) == [(2**34 - 1, 300, 200, 1), (2**34 + 1, 4, 3, 0), (2**34 + 256, 0, 0, 0)]
    stream = opened(path)
    list(stream.blocks(WHOLE))
    assert stream.notes[1:] == [
        "the counter of time ran over and began again 1 time; this was undone",
        "TIME_HIGH went back 1 time, which is an error of the transmission",
    ]


@pytest.mark.parametrize(
    ("said", "legacy"),
    [
        (";endianness=little", False),
        (";endianness=legacy", True),
        ("", True),
        ("\n% endianness little", False),
        ("\n% system_ID 49", True),
        ("\n% system_ID 64 ", False),
        ("\n% system_ID " + "9" * 5000, True),
    ],
)
def test_evt21_by_hand(tmp_path: Path, said: str, legacy: bool) -> None:
    words = [0x80000002_00000000, (1 << 28 | 9 << 22 | 7 << 11 | 5) << 32 | 0x80000005, 0xE0000000_FFFFFFFF]
    if legacy:
        words = [(word & 0xFFFFFFFF) << 32 | word >> 32 for word in words]
    path = tmp_path / "a.raw"
    path.write_bytes(f"% evt 2.1\n% format EVT21;height=180;width=240{said}\n% end\n".encode() + pack("evt21", words))
    assert events_of(path) == [(137, 7, 5, 1), (137, 9, 5, 1), (137, 38, 5, 1)]
    assert any("legacy" in note for note in opened(path).notes) == legacy


def test_dat_by_hand(tmp_path: Path) -> None:
    events = [(2**32 - 5, 16383, 0, 1), (2**32 - 7, 1, 16383, 0), (3, 2, 3, 1)]
    path = write(tmp_path, "dat", dat(*events))
    stream = opened(path)
    assert gather(list(stream.blocks(WHOLE))) == [*events[:2], (2**32 + 3, 2, 3, 1)]
    assert stream.notes == ["the counter of time ran over and began again 1 time; this was undone"]
    assert (stream.count, stream.format) == (3, "Prophesee DAT")
    path.write_bytes(path.read_bytes().replace(b"\x0c\x08", b"\x00\x08"))
    assert len(events_of(path)) == 3


def timed(key: str, times: np.ndarray) -> list[int]:
    """Words of an event at (1, 2) at each time."""
    if key == "dat":
        return dat(*((t % 2**32, 1, 2, 1) for t in times.tolist()))
    words = []
    for t in times.tolist():
        if key == "evt3":
            words += [0x8000 | t >> 12 & 0xFFF, 0x6000 | t & 0xFFF, 2, 0x2801]
        else:
            high, low = 8 << 28 | t >> 6 & 0xFFFFFFF, 1 << 28 | (t & 63) << 22 | 1 << 11 | 2
            words += [high, low] if key == "evt2" else [high << 32, low << 32 | 1]
    return words


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("key", DTYPES)
def test_windows(tmp_path: Path, key: str) -> None:
    # Around the end of a round: of the 24 bits of EVT3, the 28 of EVT2 and the 32 of DAT.
    end = {"evt3": 2**24, "dat": 2**32}.get(key, 2**34)
    times = np.sort(np.random.default_rng(1).integers(end - 1_000_000, end + 1_000_000, 300))
    path = write(tmp_path, key, timed(key, times))
    whole = events_of(path)
    assert [event[0] for event in whole] == times.tolist()
    stream = opened(path)
    never = 2**52
    for first, last in [
        (0, never),
        (0, times[20]),
        (times[99], times[120]),
        (times[250] + 1, never),
        (1, 2),
        (never, never),
    ]:
        window = Window(int(first) * 1000, int(last) * 1000)
        blocks = list(stream.blocks(window))
        inside = [event for event in gather(blocks) if window.first <= event[0] * 1000 <= window.last]
        assert inside == [event for event in whole if window.first <= event[0] * 1000 <= window.last]
        assert sum(len(block.t) for block in blocks) <= len(inside) + 2 * 64
        for block in blocks:
            assert gather([block]) == whole[block.first : block.first + len(block.t)]
            assert 0 < block.done <= 1
    assert list(stream.blocks(WHOLE))[-1].done == 1


def test_a_window_of_dat_skips_what_is_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.concatenate((np.arange(2**32 - 5000, 2**32), np.arange(5000)))
    path = write(tmp_path, "dat", timed("dat", times))
    monkeypatch.setitem(prophesee.ENCODINGS, "dat", prophesee.ENCODINGS["dat"]._replace(block=100))
    decoded = []
    decode = evt2.decode_dat
    monkeypatch.setattr(evt2, "decode_dat", lambda words, state: (decoded.append(len(words)), decode(words, state))[1])
    monkeypatch.setitem(prophesee.ENCODINGS, "dat", prophesee.ENCODINGS["dat"]._replace(decode=evt2.decode_dat))
    events = events_of(path, window=Window((2**32 + 2050) * 1000, (2**32 + 2060) * 1000))
    assert (events[0][0], events[-1][0]) == (2**32 + 2000, 2**32 + 2099)
    assert sum(decoded) < 72 + 300


def test_reading_again_and_stopping_early(tmp_path: Path) -> None:
    stream = opened(write(tmp_path, "evt3", timed("evt3", np.arange(100))))
    next(stream.blocks(WHOLE))  # a file left open would be a ResourceWarning, thus an error
    assert gather(list(stream.blocks(WHOLE))) == gather(list(stream.blocks(WHOLE)))


BODY = pack("evt3", [0x8000, 0x6001, 0x0002, 0x2803])
ONE = [(1, 3, 2, 1)]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ("% evt 3.0 \n% geometry 1280x720 \n", (720, 1280)),
        ("% evt 3.0\r\n% geometry 640x480\r\n% end\r\n", (480, 640)),
        ("% format EVT3;width=320;height=240\n% geometry 640x480\n% end\n", (240, 320)),
        ("% format EVT3 ; height=240 ; width=320\n%  end\n", (240, 320)),
        ("% format EVT3\n% end\n", None),
        ("% format EVT3;height=0;width=320\n% end\n", None),
        ("% format EVT3;height=99999;width=320\n% end\n", None),
        ("% format EVT3;height=" + "9" * 5000 + ";width=320\n% end\n", None),
        ("% evt 3.0\n% geometry 1280\n% system_ID 48\n", None),
        ("% evt 3.0\n% geometry axb\n% integrator_name Pröphesee\n", None),
    ],
)
def test_headers(tmp_path: Path, head: str, size: tuple[int, int] | None) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(head.encode() + BODY)
    assert events_of(path) == ONE
    found = opened(path).size
    assert (found and found[:2]) == size


@pytest.mark.parametrize(
    ("end", "words"),
    [
        *[
            (end, words)
            for end in (b"", b"% end\n")
            for words in ([0x2025, 0x600A], [0x0025, 0x2025], [0x2025, 0x000A])
        ],
        (b"% end\n", [0x2025, 0x4141, 0x0A41]),  # `% AAA\n`
    ],
)
def test_events_that_begin_like_a_header_are_not_eaten(tmp_path: Path, end: bytes, words: list[int]) -> None:
    path, words = tmp_path / "a.raw", [*words, 0x8001, 0x0002, 0x2803]
    path.write_bytes(b"% evt 3.0\n" + end + pack("evt3", words))
    assert events_of(path) == scalar_evt3(words)
    with path.open("rb") as file:
        assert prophesee.read_header(file, "a.raw")[1] == 10 + len(end)


def test_the_user_knows_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    for head in (b"", b"% date 2026-01-01\n% end\n", b"% evt 2.0\n% end\n"):
        path.write_bytes(head + BODY)
        assert events_of(path, ReadOptions(format="evt3")) == ONE
    path.write_bytes(pack("dat", dat((5, 6, 7, 1))))
    assert events_of(path, ReadOptions(format="dat")) == [(5, 6, 7, 1)]
    path.write_bytes(header("dat") + pack("dat", dat((5, 6, 7, 1))))
    assert events_of(path, ReadOptions(format="dat")) == events_of(path) == [(5, 6, 7, 1)]
    assert opened(path, ReadOptions(time_unit="ns")).unit == "ns"
    assert list(opened(path, ReadOptions(time_unit="ns")).blocks(Window(6, 10))) == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.raw", b"% date 2026-01-01\n% end\n" + BODY, r"names no encoding.*--format evt3, evt2, evt21 or dat"),
        ("a.raw", BODY, r"names no encoding"),
        ("a.raw", b"", r"names no encoding"),
        ("a.raw", b"% evt 4.0\n% end\n" + BODY, r"'4\.0' is not read; convert"),
        ("a.raw", b"% format HISTO3D;height=320;width=320\n% end\n", r"'HISTO3D' is not read; convert"),
        ("a.raw", b"% " + b"a" * 70000, r"header does not end within 65536 bytes"),
        ("a.raw", b"% a\n" * 20000, r"header does not end within 65536 bytes"),
        ("a.dat", b"% Version 2\n\x0e\x18", r"type 0x0E \(external triggers\) of 24 bytes.*_td\.dat"),
        ("a.dat", b"% Version 2\n\x07\x08", r"type 0x07 \(unknown\) of 8 bytes"),
        ("a.dat", b"% Version 2\n\x00\x10", r"type 0x00 \(CD\) of 16 bytes"),
        ("a.dat", b"% Version 1\n\x00\x08", r"version '1' is not read, only 2"),
        ("a.dat", b"% Version 2\n\x00", r"truncated after its header"),
    ],
)
def test_refusals(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{file}: .*{message}") as refusal:
        opened(path)
    assert "\n" not in str(refusal.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^gone\.raw: cannot be opened: No such file"):
        opened(tmp_path / "gone.raw")
    with pytest.raises(InputError, match="not a regular file"):
        opened(tmp_path)
    path = write(tmp_path, "evt3", [])
    stream = opened(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be opened"):
        list(stream.blocks(WHOLE))


@pytest.mark.parametrize(("key", "spare"), [("evt3", 1), ("evt2", 3), ("evt21", 7), ("dat", 5)])
def test_files_that_end_within_a_word(tmp_path: Path, key: str, spare: int) -> None:
    times = np.arange(10)
    path = write(tmp_path, key, timed(key, times))
    path.write_bytes(path.read_bytes()[: spare - np.dtype(DTYPES[key]).itemsize])
    assert [event[0] for event in events_of(path)] == times[:-1].tolist()
    note = f"{spare} spare byte{'s were' if spare > 1 else ' was'} ignored at the end: the file may be cut"
    stream = opened(path)
    for _ in range(2):
        list(stream.blocks(WHOLE))
        assert stream.notes.count(note) == 1


@pytest.mark.parametrize("key", DTYPES)
def test_no_events(tmp_path: Path, key: str) -> None:
    stream = opened(write(tmp_path, key, []))
    assert list(stream.blocks(WHOLE)) == []
    assert any("TIME_HIGH" in note for note in stream.notes) == (key != "dat")


@settings(max_examples=200, suppress_health_check=TMP)
@given(st.sampled_from(sorted(DTYPES)), st.data())
def test_damage(tmp_path: Path, key: str, data: st.DataObject) -> None:
    content = bytearray(header(key) + pack(key, timed(key, np.arange(0, 40_000, 5000))))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / ("a.dat" if key == "dat" else "a.raw")
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        stream = opened(path)
    except InputError:
        return
    for window in (WHOLE, Window(10_000_000, 20_000_000)):
        blocks = list(stream.blocks(window))
        assert sum(len(block.t) for block in blocks) <= 32 * len(content)


@pytest.mark.parametrize("key", FORMATS)
def test_memory_is_bounded(tmp_path: Path, key: str) -> None:
    dense = {"evt2": [1 << 28], "evt21": [2**60 | 2**32 - 1], "evt3": [0x4FFF]}[key]
    start = {"evt2": [8 << 28], "evt21": [8 << 60], "evt3": [0x8000, 0, 0x3000]}[key]
    path = write(tmp_path, key, start + dense * 600_000)
    stream = opened(path)
    tracemalloc.start()
    try:
        # By pieces of 10**6 and no more: a block and what its decoding takes.
        assert max(len(block.t) for block in stream.blocks(WHOLE)) <= 2**21
        assert tracemalloc.get_traced_memory()[1] < 150e6
    finally:
        tracemalloc.stop()
