"""Laws of live input: a pipe gives what a file gives, at once; what waits is bounded; what is torn or wrong is said last."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from converters import ReadOptions, incoming, read
from converters.incoming import Source, open_incoming
from converters.live import Live, open_live
from converters.options import AS_STORED, Format
from converters.stream import WHOLE
from converters.waiting import Arrival, Waiting, WhenLate
from evinr import windows
from evinr.config import DEFAULT
from evinr.events import Events, InputError

HEIGHT, WIDTH, COUNT = 48, 64, 20_000
SENSOR = ReadOptions(height=HEIGHT, width=WIDTH)
FORMATS: tuple[Format, ...] = ("text", "npy", "evt2", "evt21", "evt3", "dat")


def known(count: int = COUNT) -> np.ndarray:
    """Rows of microseconds, x, y and 0/1."""
    rng = np.random.default_rng(1)
    t = np.sort(rng.integers(0, 2_000_000, count))
    return np.stack([t, rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count), rng.integers(0, 2, count)], 1)


def as_text(rows: np.ndarray) -> bytes:
    return b"".join(b"%d.%06d %d %d %d\n" % (t // 10**6, t % 10**6, x, y, p) for t, x, y, p in rows.tolist())


def as_words(key: str, rows: np.ndarray) -> bytes:
    t, x, y, p = rows.T
    if key == "dat":
        head = b"% Data file containing CD events \n% Version 2 \n% Height 48\n% Width 64 \n\x0c\x08"
        return head + np.stack([t, x | y << 14 | p << 28], 1).astype("<u4").tobytes()
    name = {"evt2": "EVT2", "evt21": "EVT21;endianness=little", "evt3": "EVT3"}[key]
    head = f"% date 2026-01-01\n% format {name};height=48;width=64\n% end\n".encode()
    if key == "evt3":
        words = np.stack([0x8000 | t >> 12, 0x6000 | t & 0xFFF, y, 0x2000 | p << 11 | x], 1)
        return head + words.astype("<u2").tobytes()
    high, low = 8 << 28 | t >> 6, p << 28 | (t & 63) << 22 | x << 11 | y
    if key == "evt21":
        none, one = np.zeros_like(t), np.ones_like(t)
        return head + np.stack([none, high, one, low], 1).astype("<u4").tobytes()
    return head + np.stack([high, low], 1).astype("<u4").tobytes()


def as_file(key: str, rows: np.ndarray, path: Path) -> bytes:
    """The bytes of a recording in this format, also written to the path."""
    if key == "npy":
        np.save(path, rows * [1e-6, 1, 1, 1])
    else:
        path.write_bytes(as_text(rows) if key == "text" else as_words(key, rows))
    return path.read_bytes()


def ending(key: str) -> str:
    return {"text": ".txt", "npy": ".npy", "dat": ".dat"}.get(key, ".raw")


def joined(blocks: list[Events]) -> Events:
    t, x, y, p = (np.concatenate(column) for column in zip(*(block[:4] for block in blocks), strict=True))
    return Events(t, x, y, p, blocks[0].height, blocks[0].width)


def same(live: list[Events], file: Events) -> None:
    found = joined(live)
    assert (found.height, found.width) == (file.height, file.width)
    for a, b in zip(found[:4], file[:4], strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Makes standard input a pipe, once; gives the end to write to."""
    ends: list[int] = []
    before = os.dup(0)

    def made() -> int:
        reading, writing = os.pipe()
        os.dup2(reading, 0)
        os.close(reading)
        ends.append(writing)
        return writing

    yield made
    os.dup2(before, 0)
    os.close(before)


def sent(writing: int, pieces: list[bytes], pause: float = 0.0) -> threading.Thread:
    """Write them to a pipe, and close it."""

    def write() -> None:
        try:
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[os.write(writing, left) :]
                time.sleep(pause)
        except BrokenPipeError:
            pass
        finally:
            os.close(writing)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def said(live: Live) -> str:
    return "; ".join(live.conclusion())


def cut(content: bytes, count: int, seed: int = 0) -> list[bytes]:
    places = np.sort(np.random.default_rng(seed).integers(0, len(content), count)).tolist()
    return [content[a:b] for a, b in pairwise([0, *places, len(content)])]


# The same events


@pytest.mark.parametrize("key", FORMATS)
def test_a_pipe_gives_the_events_of_the_file(tmp_path: Path, pipe: Callable[[], int], key: Format):
    path = tmp_path / f"a{ending(key)}"
    options = replace(SENSOR, format=key)
    sent(pipe(), cut(as_file(key, known(), path), 9))
    live = open_live("-", options)
    same(list(live.blocks()), read(path, options).events)
    assert said(live).count("left out") == 0


@pytest.mark.parametrize("key", FORMATS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_wherever_the_pieces_end(tmp_path: Path, key: str, size: int):
    path = tmp_path / f"a{ending(key)}"
    content = as_file(key, known(60), path)
    named: Format | None = "dat" if key == "dat" else None  # a file is told by its name, a stream by being told
    pieces = (content[at : at + size] for at in range(0, len(content), size))
    stream = open_incoming(pieces, "standard input", ReadOptions(format=named))
    blocks = list(stream.blocks(WHOLE))
    rows = known(60)
    assert [block.first for block in blocks] == np.cumsum([0] + [len(block.t) for block in blocks[:-1]]).tolist()
    for column, expected in zip(("x", "y", "p"), rows.T[1:], strict=True):
        np.testing.assert_array_equal(np.concatenate([getattr(block, column) for block in blocks]), expected)


@pytest.mark.parametrize(
    "head", [b"64 48\n", b"# v2e\n\n64 48\n", b"\xef\xbb\xbf64 48\n# x\n"], ids=["size", "comments", "BOM"]
)
def test_text_dialects(tmp_path: Path, head: bytes):
    path = tmp_path / "a.txt"
    for text in (as_text(known(500)), as_text(known(500)).replace(b"\n", b"\r\n"), as_text(known(500))[:-1]):
        path.write_bytes(head + text)
        live = open_live(path)
        assert live.size[:2] == (HEIGHT, WIDTH)
        same(list(live.blocks()), read(path).events)


def test_a_process_writes(tmp_path: Path, pipe: Callable[[], int]):
    path = tmp_path / "a.raw"
    as_file("evt3", known(), path)
    writing = pipe()
    with subprocess.Popen(["cat", str(path)], stdout=writing):
        os.close(writing)
        same(list(open_live("-").blocks()), read(path).events)


def test_a_part_and_an_absolute_clock(tmp_path: Path):
    path = tmp_path / "a.txt"
    rows = known(3000) + [1_468_939_993_067_416, 0, 0, 0]
    path.write_bytes(as_text(rows))
    for options in (SENSOR, replace(SENSOR, t_start=0.5, t_end=1.25)):
        live = open_live(path, options)
        same(list(live.blocks()), read(path, options).events)
        assert "time 0 is" in said(live)


def test_structured_and_other_npy(tmp_path: Path):
    path, rows = tmp_path / "a.npy", known(300)
    fields = np.dtype([("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "u1")])
    table = np.empty(len(rows), fields)
    table["t"], table["x"], table["y"], table["p"] = rows.T
    np.save(path, table)
    live = open_live(path, SENSOR)
    same(list(live.blocks()), read(path, SENSOR).events)
    assert "microseconds, as tonic" in said(live)
    np.save(path, np.ascontiguousarray(rows[:, [0, 2, 1, 3]] * [1e-6, 1, 1, 1]))
    options = replace(SENSOR, columns="tyxp")
    same(list(open_live(path, options).blocks()), read(path, options).events)
    np.save(path, np.asfortranarray(rows * 1.0))
    with pytest.raises(InputError, match=r"columns lie one after another.*save it by rows"):
        open_live(path, SENSOR)


def test_a_piped_npy_whose_columns_are_turned(tmp_path: Path):
    """As AED's are: the sensor says which of two columns is x."""
    path, rows = tmp_path / "a.npy", known(300) * [1e-6, 1, 1, 1]
    rows[:, 1:3] = [305, 400]
    np.save(path, rows)
    for options in (ReadOptions(format="aed"), ReadOptions(height=306, width=408)):
        live = open_live(path, options)
        same(list(live.blocks()), read(path, options).events)
        assert "taken for t y x p" in said(live)


# As it comes


def test_the_end_of_a_growing_file_is_counted_from_its_last_bytes(monkeypatch: pytest.MonkeyPatch):
    """Three pieces, each 0.48 s after the one before was handed on, where 0.5 s of silence are an end."""
    clock, coming = [0.0], [(0.0, b"a"), (0.54, b"b"), (1.08, b"c")]

    def advance(seconds: float) -> None:
        clock[0] += seconds

    def read(*_: int) -> bytes:
        return coming.pop(0)[1] if coming and clock[0] >= coming[0][0] else b""

    monkeypatch.setattr(incoming, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=advance))
    monkeypatch.setattr(incoming, "select", SimpleNamespace(select=lambda *_: ([0], [], [])))
    monkeypatch.setattr(incoming, "os", SimpleNamespace(read=read))
    assert b"".join(incoming.Source(0, "a", follow=0.5).pieces()) == b"abc"
    assert 1.58 <= clock[0] < 1.7


def test_lines_are_handed_on_while_the_writer_waits(pipe: Callable[[], int]):
    writing = pipe()
    os.write(writing, b"64 48\n0.1 1 2 1\n0.2 3 4 0\n0.3 5 6")
    live = open_live("-")
    blocks = live.blocks()
    assert next(blocks).t.tolist() == [0.1, 0.2]
    os.write(writing, b" 1\n")
    assert next(blocks).x.tolist() == [5]
    os.close(writing)
    assert list(blocks) == []


@pytest.mark.parametrize("key", ["evt2", "evt21", "evt3", "dat"])
def test_a_header_is_enough_to_begin(pipe: Callable[[], int], key: str):
    content = as_words(key, known(50))
    start = content.index(b"\x0c\x08") + 2 if key == "dat" else content.index(b"% end\n") + 6
    writing = pipe()
    os.write(writing, content[: start + 2])
    live = open_live("-", ReadOptions(format="dat" if key == "dat" else None))
    assert live.size[:2] == (HEIGHT, WIDTH)
    sent(writing, [content[start + 2 :]])
    assert joined(list(live.blocks())).count == 50


def test_small_pieces_are_gathered_but_not_for_long(pipe: Callable[[], int]):
    sent(pipe(), [b"x"] * 100, pause=0.002)
    source = Source(0, "standard input")
    pieces = list(source.pieces())
    assert b"".join(pieces) == b"x" * 100
    assert len(pieces) < 50


def test_when_each_event_was_read(pipe: Callable[[], int]):
    writing = pipe()
    os.write(writing, b"64 48\n0.1 1 2 1\n0.2 3 4 0\n")
    live, before = open_live("-"), time.monotonic()
    blocks = live.blocks()
    next(blocks)
    os.write(writing, b"0.3 5 6 1\n")
    next(blocks)
    os.close(writing)
    assert list(blocks) == []
    early, late = live.read_at(0.15), live.read_at(0.25)
    assert early < late <= time.monotonic() and before <= late
    assert live.read_at(9.0) == late


@pytest.mark.parametrize("key", ["text", "evt3"])
def test_a_growing_file_is_followed(tmp_path: Path, key: str):
    path = tmp_path / f"a{ending(key)}"
    content = as_file(key, known(2000), path)
    expected = read(path, SENSOR).events
    path.write_bytes(content[:400])
    live = open_live(path, SENSOR, follow=1.0)

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            for piece in cut(content[400:], 5):
                time.sleep(0.06)
                file.write(piece)

    thread = threading.Thread(target=grow)
    thread.start()
    same(list(live.blocks()), expected)
    thread.join()


def test_an_npy_that_tells_its_length_at_the_end(tmp_path: Path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((0, 4)))
    with path.open("ab") as file:
        file.write((known(100) * [1e-6, 1, 1, 1]).tobytes())
    live = open_live(path, SENSOR)
    assert joined(list(live.blocks())).count == 100
    assert "its header tells of 0 events; 100 came" in said(live)


# Torn, wrong, late


@pytest.mark.parametrize(
    ("key", "less", "note"),
    [
        ("text", 5, r"ended within line 500 \('[0-9. ]*'\), which was left out"),
        ("npy", 5, r"within an event or word, whose 27 bytes.*header tells of 500 events; 499 came"),
        ("evt2", 1, r"within an event or word, whose 3 bytes"),
        ("evt21", 3, r"within an event or word, whose 5 bytes"),
        ("evt3", 1, r"within an event or word, whose 1 bytes"),
        ("dat", 7, r"within an event or word, whose 1 bytes"),
    ],
)
def test_a_torn_end_is_left_out_and_said(tmp_path: Path, key: str, less: int, note: str):
    path = tmp_path / f"a{ending(key)}"
    content = as_file(key, known(500), path)
    whole = read(path, SENSOR).events
    path.write_bytes(content[:-less])
    live = open_live(path, SENSOR)
    same(list(live.blocks()), whole.part(0, 499))
    assert re.search(note, said(live))


WRONG = [
    (b"9.9 1 2 3 4\n", r"line 3001 has 5 columns"),
    (b"9.9 64 2 1\n", r"line 3001 \(event 3000\): x = 64 is outside the sensor"),
    (b"0.1 1 2 1\n", r"line 3001 \(event 3000\): time goes back"),
    (b"9.9 1.5 2 1\n", r"line 3001 \(event 3000\): x = 1.5 is not a whole number"),
    (b"9.9 1 2 7\n", r"line 3001 \(event 3000\): polarity is 7"),
    (b"nan 1 2 1\n", r"line 3001 \(event 3000\): time is nan"),
]


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_a_fault_comes_after_what_is_sound(pipe: Callable[[], int], line: bytes, message: str):
    writing, found = pipe(), list[windows.Window]()
    sound, wrong = as_text(known(3000)), line + as_text(known(10) + [10**7, 0, 0, 0])
    os.write(writing, sound)  # 52 kB, which a pipe holds
    live = open_live("-", SENSOR)

    def blocks() -> Iterator[Events]:
        come = 0
        for block in live.blocks():
            yield block
            come += block.count
            if come == 3000:
                os.write(writing, wrong)
                os.close(writing)

    with pytest.raises(InputError, match=f"^standard input: {message}"):
        for window in windows.windows(blocks(), DEFAULT):
            found.append(window)
    assert [window.events for window in found] == [3000]
    assert not any(thread.name == "reader of standard input" for thread in threading.enumerate())


def test_lines_before_a_bad_one_are_not_lost():
    text = as_text(known(50)) + b"what?\n" + as_text(known(50))
    blocks = open_incoming(iter([text]), "a", SENSOR).blocks(WHOLE)
    assert len(next(blocks).t) == 50
    with pytest.raises(InputError, match="line 51 has 1 column"):
        next(blocks)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"0.1 1 2 1\n0.2 1 2 1\n", AS_STORED, "size is not told at its start: pass --height and --width"),
        (b"", SENSOR, "empty file"),
        (b"64 48\n", AS_STORED, "no events"),
        (b"\x89HDF\r\n\x1a\n", SENSOR, "not event text"),
        (b"#ROSBAG", replace(SENSOR, format="rosbag"), "rosbag needs all of the file; a stream is read as text, npy"),
        (b"0.1 1 2 1\n", replace(SENSOR, sort=True), "--sort needs all of a recording"),
        (b"% date 1\n% end\n\x00\x80\x00\x80", SENSOR, "the header names no encoding"),
        (b"\x93NUMPY\x01\x00", SENSOR, "damaged npy header"),
        (b"x" * 100_000, SENSOR, "not event text"),
        (b"0.1 1 2 1\n0.2 1 2 1\n" + b"1" * 70_000, SENSOR, "line 3 is longer than 65536 bytes"),
    ],
)
def test_refusals(tmp_path: Path, content: bytes, options: ReadOptions, message: str):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refusal:
        list(open_live(path, options).blocks())
    assert str(refusal.value).startswith("a: ")


def slowly(live: Live, seconds: float) -> list[Events]:
    found = []
    for block in live.blocks():
        found.append(block)
        time.sleep(seconds)
    return found


def test_wait_loses_nothing_and_holds_the_writer_back(tmp_path: Path, pipe: Callable[[], int], monkeypatch):
    monkeypatch.setattr(incoming, "PIECE", 4096)
    path = tmp_path / "a.txt"
    content = as_file("text", known(), path)
    writer = sent(pipe(), [content])
    live = open_live("-", SENSOR, limit=1000)
    time.sleep(0.3)
    assert writer.is_alive()
    assert live.waiting.events <= 1000
    same(slowly(live, 0.001), read(path, SENSOR).events)
    assert "dropped" not in said(live)


def test_drop_keeps_the_newest_and_counts_the_others(tmp_path: Path, pipe: Callable[[], int], monkeypatch):
    monkeypatch.setattr(incoming, "PIECE", 4096)
    path = tmp_path / "a.txt"
    content = as_file("text", known(), path)
    writer = sent(pipe(), [content])
    live = open_live("-", SENSOR, when_late="drop", limit=1000)
    writer.join(timeout=20)
    assert not writer.is_alive()
    found = joined(list(live.blocks()))
    whole = read(path, SENSOR).events
    assert found.t[-1] == whole.t[-1]
    assert found.count + live.waiting.dropped == whole.count and live.waiting.dropped > 0
    assert f"{live.waiting.dropped} events were dropped, the oldest that waited" in said(live)
    assert (np.diff(found.t) >= 0).all()


def thirty() -> Events:
    pixel = np.zeros(30, np.uint16)
    return Events(np.zeros(30), pixel, pixel, pixel.astype(np.int8), 2, 2)


@pytest.mark.parametrize("when_late", ["wait", "drop"])
def test_what_waits_is_bounded(when_late: WhenLate):
    waiting = Waiting(when_late, limit=100)
    block = thirty()
    most, taken = [0], 0

    def put() -> None:
        for _ in range(200):
            waiting.put(Arrival(block, 0.0))
            most[0] = max(most[0], waiting.events)
        waiting.end(None)

    thread = threading.Thread(target=put)
    thread.start()
    while arrival := waiting.take():
        taken += arrival.events.count
    thread.join()
    assert most[0] <= 100
    assert taken + waiting.dropped == 6000
    assert when_late == "drop" or not waiting.dropped


def test_a_block_above_the_limit_still_passes():
    waiting = Waiting("wait", limit=10)
    block = thirty()
    waiting.put(Arrival(block, 0.0))
    assert waiting.take() == Arrival(block, 0.0)


@pytest.mark.parametrize("when_late", ["wait", "drop"])
def test_a_consumer_that_stops_ends_the_reader(pipe: Callable[[], int], when_late: WhenLate, monkeypatch):
    monkeypatch.setattr(incoming, "PIECE", 4096)
    writing = pipe()
    os.write(writing, b"64 48\n" + as_text(known(2000)))
    live = open_live("-", when_late=when_late, limit=100)
    blocks = live.blocks()
    next(blocks)
    blocks.close()  # as Ctrl-C and errors do; the writer still has the pipe open
    assert not any(thread.name == "reader of standard input" for thread in threading.enumerate())
    assert "left out" not in said(live)
    os.close(writing)
    with pytest.raises(OSError):
        os.fstat(live.source.descriptor)
