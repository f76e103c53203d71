"""Laws of event text: times exact to the nanosecond, one answer from the fast way and the slow one, lines named."""

import random
import tracemalloc
import zipfile
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import converters.event_text
import converters.text_columns
from converters.digits import PAD
from converters.event_text import open_text
from converters.options import ReadOptions
from converters.stream import TICKS, WHOLE, Columns, Stream, Unit
from converters.text_columns import Layout, any_columns, regular_columns
from evinr.events import InputError

IJRR = b"0.003811000 96 133 0\n0.003820001 127 171 0\n1.500000000 4 7 1\n"
T, X, Y, P = [3811000, 3820001, 1500000000], [96, 127, 4], [133, 171, 7], [0, 0, 1]


def opened(content: bytes, options: ReadOptions = ReadOptions()) -> Stream:  # noqa: B008
    return open_text(lambda: BufferedReader(BytesIO(content)), (Path("a.txt"),), "a.txt", "text", len(content), options)


def joined(blocks: list[Columns]) -> Columns:
    first = 0
    for block in blocks:
        assert block.first == first and len(block.t) == len(block.x) == len(block.y) == len(block.p) > 0
        first += len(block.t)
    t, x, y, p = (np.concatenate([getattr(block, column) for block in blocks]) for column in "txyp")
    return Columns(t, x, y, p)


def read(content: bytes, **options) -> Columns:
    return joined(list(opened(content, ReadOptions(**options)).blocks(WHOLE)))


def lists(columns: Columns) -> list[list]:
    return [getattr(columns, column).tolist() for column in "txyp"]


def refusal(content: bytes, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(content, **options)
    message = str(caught.value)
    assert message.startswith("a.txt: ") and "\n" not in message and len(message) < 300
    return message


# Dialects

HEADS = {
    "": b"",
    "size": b"240 180\n",
    "comments": b"#!events.txt\n# made by v2e\n\n",
    "names": b"t x y p\n",
    "comment, size": b"# by me\n240 180\n\n# more\n",
    "comma names": b"timestamp, x, y, polarity\n",
    "BOM": b"\xef\xbb\xbf",
    "BOM, names": b"\xef\xbb\xbft x y p\n",
}
LINES = {
    "ijrr": lambda text: text,
    "windows": lambda text: text.replace(b"\n", b"\r\n"),
    "old mac": lambda text: text.replace(b"\n", b"\r"),
    "commas": lambda text: text.replace(b" ", b","),
    "commas and blanks": lambda text: text.replace(b" ", b" ,  "),
    "tabs": lambda text: text.replace(b" ", b"\t"),
    "indented": lambda text: b"  " + text.replace(b"\n", b"\n  ")[:-2],
    "aligned": lambda text: text.replace(b" 4 7 ", b"   4   7 "),
    "pandas": lambda text: text.replace(b"00000000 ", b" ").replace(b"3811000", b"3811"),
    "shortest": lambda text: text.replace(b"1.500000000", b"1.5").replace(b"0.003811000", b".003811"),
    "long": lambda text: text.replace(b"811000", b"8110000000001").replace(b"3820001", b"3820000999999999"),
    "exponents": lambda text: text.replace(b"0.003811000", b"3.811e-03").replace(b"1.500000000", b"+15E-1"),
    "float coordinates": lambda text: text.replace(b" 1\n", b" 1.000e+00\n").replace(b"96", b"96.0"),
    "comments": lambda text: text.replace(b"0\n", b"0# a\n \n#b\n"),
    "no end": lambda text: text[:-1],
    "no end, windows": lambda text: text.replace(b"\n", b"\r\n")[:-2],
}


@pytest.mark.parametrize("chunk", [2**21, 40])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("write", LINES.values(), ids=LINES.keys())
def test_dialects_are_one_recording(write: Callable[[bytes], bytes], head, chunk, monkeypatch):
    content = write(head.replace(b"timestamp, x, y, polarity", b"timestamp x y polarity") + IJRR)
    if write is LINES["indented"]:
        content = head + write(IJRR)
    monkeypatch.setattr(converters.event_text, "CHUNK", max(chunk, content.find(b"0.00") + 40))
    stream = opened(content)
    blocks = list(stream.blocks(WHOLE))
    assert lists(joined(blocks)) == [T, X, Y, P] and blocks[-1].t.dtype == np.int64
    assert stream.unit == "ns" and stream.written == "s"
    assert (stream.size and stream.size[:2]) == ((180, 240) if b"240" in head else None)
    assert [block.done for block in blocks] == sorted(block.done for block in blocks) and blocks[-1].done == 1.0
    assert stream.count is None and stream.format == "text" and stream.files == (Path("a.txt"),)
    assert lists(joined(list(stream.blocks(WHOLE)))) == [T, X, Y, P]


@pytest.mark.parametrize("order", ["txyp", "tyxp", "xytp", "yxtp"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("regular", [True, False])
def test_columns_come_in_the_order_that_the_user_says(order, named, regular):
    rows = [dict(zip("txyp", line.split(), strict=True)) for line in IJRR.decode().splitlines()]
    text = "".join(" ".join(row[column] for column in order) + "\n" for row in rows)
    content = (" ".join(order) + "\n") * named + text.replace(" ", " " if regular else "  ", 1)
    assert lists(read(content.encode(), columns=order)) == [T, X, Y, P]


def test_unix_times_are_exact():
    text = b"1468939993.067416019 1 2 -1\n1468939993.067416020 1 2 1\n"
    for content in (text, b"#\n" + text, text + b"1468939993.067416021  1  2  1\n"):
        assert read(content).t.tolist()[:2] == [1468939993067416019, 1468939993067416020]


# Times

digits = st.text("0123456789", min_size=1, max_size=10)
UNITS: list[Unit] = ["s", "ms", "us", "ns"]


@st.composite
def regular_lines(draw):
    """Regular text, and its times as the digits say them."""
    blank = draw(st.sampled_from([" ", "\t", ",", ", ", " , "]))
    end, minus, point = draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans()), draw(st.booleans())
    order = draw(st.sampled_from(["txyp", "tyxp", "xytp", "yxtp"]))
    coordinate = st.integers(0, draw(st.sampled_from([9, 240, 9999, 99999999])))
    rows = []
    for _ in range(draw(st.integers(1, 20))):
        t = draw(digits) + ("." + draw(st.text("0123456789", min_size=1, max_size=20)) if point else "")
        p = draw(st.sampled_from(["-1", "0", "1"] if minus else ["0", "1", "2"]))
        rows.append({"t": t, "x": str(draw(coordinate)), "y": str(draw(coordinate)), "p": p})
    text = "".join(blank.join(row[column] for column in order) + end for row in rows)
    layout = Layout(
        order, "," if "," in blank else None, draw(st.sampled_from(UNITS)), not point and draw(st.booleans())
    )
    return text.encode(), rows, layout


def rounded(time: str, layout: Layout) -> int:
    tick = Decimal(1 if layout.whole else 10**9 // TICKS[layout.unit])
    return int((Decimal(time) * tick).quantize(Decimal(1), ROUND_HALF_UP))


@given(regular_lines())
def test_the_fast_way_the_slow_way_and_decimals_agree(lines):
    text, rows, layout = lines
    times = [rounded(row["t"], layout) for row in rows]
    padded = np.frombuffer(bytes([57]) * PAD + text + bytes([57]) * PAD, np.uint8)
    fast, slow = regular_columns(padded, layout), joined(any_columns(padded, layout))
    expected = [times, *([int(row[column]) for row in rows] for column in "xyp")]
    if max(times) * 10**9 // TICKS[layout.unit if layout.whole else "ns"] < 9 * 10**18:
        assert fast is not None and lists(fast) == expected and lists(slow) == expected
        assert fast.t.dtype == slow.t.dtype == np.int64


signs, decimals = st.sampled_from(["", "-", "+", "0"]), st.text("0123456789", max_size=30)
words = st.tuples(signs, st.integers(0, 8 * 10**9).map(str), st.sampled_from(["", "."]), decimals)


@given(st.lists(words, min_size=1), st.sampled_from(UNITS))
def test_irregular_times_are_exact_too(times, unit):
    written = [sign + whole + (point + fraction if point else "") for sign, whole, point, fraction in times]
    text = "".join(f"{word}  1 2 1\n" for word in written)
    t = read(f"0.5 1 2 1\n{text}".encode(), time_unit=unit).t
    assert t[1:].tolist() == [rounded(word, Layout("txyp", None, unit, False)) for word in written]


@given(st.lists(st.floats(-9e8, 9e8), min_size=1))
def test_exponents_go_through_float64(times):
    text = "".join(f"{t:.18e} 1 2 1\n" for t in times)
    assert np.abs(read(text.encode()).t - np.array(times) * 1e9).max() <= np.abs(times).max() * 2.0**-51 * 1e9 + 0.5


@pytest.mark.parametrize(
    "times, unit, expected, said",
    [
        ("3811 3820", None, [3811, 3820], "s"),
        ("3811 3820", "us", [3811, 3820], "us"),
        ("1468939993067416019 1468939993067416020", "ns", [1468939993067416019, 1468939993067416020], "ns"),
        ("-1468939993067416019 +1468939993067416020", "ns", [-1468939993067416019, 1468939993067416020], "ns"),
        ("3811.5 3820.0004 3820.0005", "us", [3811500, 3820000, 3820001], "ns"),
        ("3811 3820.5", "us", [3811000, 3820500], "ns"),
        ("0 1.5 2", None, [0, 1500000000, 2000000000], "ns"),
        ("1 2e0", "ms", [1000000, 2000000], "ns"),
        ("0.5 0.4999999 7", "ns", [1, 0, 7], "ns"),
        ("0.0038110000000001 0.9999999999", None, [3811000, 1000000000], "ns"),
        ("9999999.9999999999", None, [10000000000000000], "ns"),
        ("-0.5 -0.0000000015 0.5", None, [-500000000, -2, 500000000], "ns"),
    ],
)
def test_times_are_integers_of_the_unit_that_the_text_has_or_nanoseconds(times, unit, expected, said):
    content = "".join(f"{t} 1 2 1\n" for t in times.split()).encode()
    assert opened(content, ReadOptions(time_unit=unit)).unit == said
    t = read(content, time_unit=unit).t
    assert t.dtype == np.int64 and t.tolist() == expected
    assert opened(content, ReadOptions(time_unit=unit)).written == (unit or "s")


def test_fractions_after_many_whole_times_are_floats_or_refused(monkeypatch):
    monkeypatch.setattr(converters.event_text, "SAMPLE", 3)
    whole = b"".join(b"%d 1 2 1\n" % t for t in range(5))
    t = read(whole + b"5.25 1 2 1\n6.000000001 1 2 1\n").t
    assert t.tolist() == [0, 1, 2, 3, 4, 5.25, 6.000000001] and opened(whole).unit == "s"
    assert read(whole + b"5.0 1 2 1\n6 1 2 1\n").t.dtype == np.int64
    monkeypatch.setattr(converters.text_columns, "ROWS", 2)
    assert "line 8: time has a fraction" in refusal(whole + b"\n5.5 1 2 1\n1468939993.067416019 1 2 1\n")


def test_times_that_are_none_reach_the_door_as_floats_in_their_place():
    good = [f"1468939993.{n:09d} 1 2 1\n" for n in range(9)]
    stream = opened(
        "".join([*good[:4], "\n", "nan 1 2 1\n", "1e999 3 2 1\n", *good[4:], "99999999999 1 2 1\n"]).encode()
    )
    blocks = list(stream.blocks(WHOLE))
    assert [(block.first, len(block.t), block.t.dtype.kind) for block in blocks] == [
        (0, 4, "i"), (4, 2, "f"), (6, 5, "i"), (11, 1, "f"),
    ]  # fmt: skip
    assert np.array_equal(blocks[1].t, [np.nan, np.inf], equal_nan=True) and blocks[3].t.tolist() == [99999999999e9]
    assert [*blocks[0].t.tolist(), *blocks[2].t.tolist()] == [1468939993 * 10**9 + n for n in range(9)]
    assert stream.place(4) == "line 6 (event 4)" and stream.place(11) == "line 13 (event 11)"


def test_events_are_counted_over_pieces_and_blocks(monkeypatch):
    monkeypatch.setattr(converters.event_text, "CHUNK", 60)
    stream = opened((IJRR + b"nan 1 2 1\n") * 9)
    blocks = list(stream.blocks(WHOLE))
    assert len(joined(blocks).t) == 36 and len(blocks) > 9
    assert [block.first for block in blocks if block.t.dtype.kind == "f"] == list(range(3, 36, 4))
    assert stream.place(35) == "line 36 (event 35)"


def test_a_text_broken_all_over_falls_into_few_pieces():
    blocks = list(opened(b"0.5 1 2 1\nnan 1 2 1\n" * 3000).blocks(WHOLE))
    assert len(blocks) < 10
    assert np.array_equal(joined(blocks).t, [5e8, np.nan] * 3000, equal_nan=True)


# Coordinates and polarity


@pytest.mark.parametrize("word", ["12.5", "-1", "123456789012", "1e3", "nan", "+7", "0012"])
def test_coordinates_are_never_truncated(word):
    x = read(IJRR + f"2.0 {word} 3 1\n".encode()).x
    assert np.array_equal(x[:3], X) and np.array_equal(x[3], float(word), equal_nan=True)


@pytest.mark.parametrize(
    "rising, falling", [("1", "0"), ("1", "-1"), ("+1", "-1"), ("2", "1"), ("1.0", "-1.0"), ("12", "-3")]
)
def test_polarity_is_as_the_file_has_it(rising, falling):
    text = f"0.5 1 2 {rising}\n0.6 1 2 {falling}\n"
    assert read(text.encode()).p.tolist() == [float(rising), float(falling)]
    assert read(text[:-1].encode()).p.tolist() == [float(rising), float(falling)]


@pytest.mark.parametrize(
    "line", ["0.5 1 2 --", "0.5 1 2 1-", "0.5 1-1 2 1", "0.5 1 2 --1", "-.- 1 2 1", "0.-5 1 2 1", "0.5 1 2 -"]
)
def test_a_minus_that_is_no_sign_is_refused(line):
    assert "line 3: " in refusal(b"0.5 1 2 -1\n0.6 1 2 1\n" + line.encode() + b"\n")


@pytest.mark.parametrize("words", ["0.5,7 1, 2, 1", "0 5, 1, 2, 1", "0.5, 1, 2 1,", "0.5, 1, 2,", "05, 1., 2, 1.5 7"])
def test_lines_of_as_many_signs_in_another_place_are_refused(words):
    assert "line 2" in refusal(b"0.5, 1, 2, 1\n" + words.encode() + b"\n0.5, 1, 2, 1\n")
    assert read(b"0.5, 1, 2, 1\n1.25 ,7 ,9 ,0\n").x.tolist() == [1, 7]


# Refusals


@pytest.mark.parametrize("head", [b"", b"240 180\n", b"# a comment\n\n", b"t x y p\n"])
@pytest.mark.parametrize("chunk", [2**21, 60])
@pytest.mark.parametrize(
    "broken, answer",
    [
        (b"0.5 1 2", " has 3 columns, expected 4 (t x y p); repair or delete the line"),
        (b"0.5", " has 1 column, "),
        (b"0.5 1 2 1 1", " has 5 columns"),
        (b"0.5,1,2,1", " has 1 column"),
        (b"0.5 one 2 1", ": 'one' is not a number; repair or delete the line"),
        (b"0.5 1_0 2 1", ": '1_0' is not a number"),
        (b"0_1.5 1 2 1", ": '0_1.5' is not a number"),
        (b"0.5.5 1 2 1", ": '0.5.5' is not a number"),
        (b"0.5 1. 2 1-", ": '1-' is not a number"),
        (b". 1 2 1", ": '.' is not a number"),
        (b"- 1 2 1", ": '-' is not a number"),
        (b"1e 1 2 1", ": '1e' is not a number"),
        (b"0.5\0 1 2 1", ": '0.5\\x00' is not a number"),
        (b"0.5 \xff 2 1", ": '\ufffd' is not a number"),
        (b"\xc2\xb2 1 2 1", ": '²' is not a number"),
        (b"0.%050d 1 2 1" % 1, ": '0.000000000000000000'... has 52 characters"),
        (b"0.5 1 2" + b" " * 2000 + b"1", " is 2008 characters long"),
    ],
)
def test_the_first_bad_line_is_named_with_its_number(head, chunk, broken, answer, monkeypatch):
    monkeypatch.setattr(converters.event_text, "CHUNK", len(head) + chunk)
    good = IJRR.splitlines()
    content = head + b"\n".join([*good, b"", *good, broken, *good, b"bad too"]) + b"\n"
    assert f"line {head.count(10) + 8}{answer}" in refusal(content)


@pytest.mark.parametrize("chunk", [2**21, 60])
def test_events_are_placed_in_lines_as_an_editor_counts_them(chunk, monkeypatch):
    monkeypatch.setattr(converters.event_text, "CHUNK", chunk)
    stream = opened(b"240 180\n" + IJRR + b"\n# note\n" + IJRR * 9)
    assert [stream.place(event) for event in (0, 2, 3, 29)] == [
        "line 2 (event 0)", "line 4 (event 2)", "line 7 (event 3)", "line 33 (event 29)",
    ]  # fmt: skip


@pytest.mark.parametrize("tail", [b"1.5 3", b"1.5", b"1.5 3 4 ", b"1"])
def test_a_cut_last_line_is_told_from_a_short_one(tail):
    assert f"the last line, 4, is cut ({tail.decode().strip()!r}); copy the file again" in refusal(IJRR + tail)
    assert f"line 4 has {len(tail.split())} column" in refusal(IJRR + tail + b"\n")


@pytest.mark.parametrize("head", [b"x,y,t,p\n", b"t,y,x,p\n", b"t,x,y\n", b"hello\n", b"<html>\n", b"a b c d\n"])
def test_a_first_line_that_is_not_understood_is_refused(head):
    message = refusal(head + IJRR.replace(b" ", b","))
    assert "line 1 is" in message and "expected t x y p: not event text" in message
    assert ("pass --columns xytp" in message) == (head == b"x,y,t,p\n")


@pytest.mark.parametrize(
    "content", [b"", b"240 180\n", b"t x y p\n", b"\n \n", b"# only\n# comments", b"240 180\n#\n", b"\xef\xbb\xbf"]
)
def test_no_events_are_refused(content):
    assert ("no events" if content else "empty file") in refusal(content)


@pytest.mark.parametrize("content", [bytes(range(256)) * 9, "0.5 1 2 1\n".encode("utf-16"), b"\0" * 99, b"\x1b[0m\n"])
def test_binary_is_not_event_text(content):
    assert "not event text, as it has control characters" in refusal(content)


LONG = converters.event_text.LONGEST_LINE + 9


@pytest.mark.parametrize("before", [b"", IJRR])
@pytest.mark.parametrize("byte", [b"1", b"\0", b" ", b"#", b"-", b"1 ", b",", b"\xff", b"."])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_endless_lines_are_refused_soon(before, byte, end):
    tracemalloc.start()
    try:
        message = refusal(before + byte * 3_000_000 + end) if byte != b"#" or not end else ""
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 60_000_000 and (not message or f"line {1 + before.count(10)}" in message or b"\0" == byte)


@pytest.mark.parametrize("word", [b"1" * 900_000, b"1" * 900_000 + b"x", b"0." + b"1" * 900_000, b" " * 900_000 + b"x"])
def test_numbers_without_end_are_refused_soon(word):
    for content in (word + b" 1 2 1\n", IJRR + b"0.5 1 " + word + b" 1\n", b"0,1,2,1\n0,1," + word + b",1\n"):
        assert "line " in refusal(content)


@given(st.integers(0, 2**32), st.sampled_from(sorted(LINES)))
def test_cut_and_altered_texts_are_read_or_refused(seed, write):
    rng = random.Random(seed)
    content = bytearray(b"240 180\n" * rng.randint(0, 1) + LINES[write](IJRR * 3))
    for _ in range(rng.randint(0, 3)):
        content[rng.randrange(len(content))] = rng.randint(0, 255)
    try:
        read(bytes(content[: rng.choice([len(content), rng.randrange(len(content))])]))
    except InputError as error:
        assert str(error).startswith("a.txt: ")


@given(st.one_of(st.binary(max_size=99), st.text("0123456789 .,-#\neEtxyp+n", max_size=80).map(str.encode)))
def test_any_bytes_are_read_or_refused(content):
    try:
        read(content)
    except InputError as error:
        assert str(error).startswith("a.txt: ")


# Streams


def member(path: Path, name: str) -> Callable[[], BufferedReader]:
    return lambda: BufferedReader(zipfile.ZipFile(path).open(name))  # type: ignore[arg-type]


def test_a_bomb_is_read_in_bounded_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events.txt", b"0.500000000 1 2 1\n" * 1_000_000)
    tracemalloc.start()
    try:
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            stream = open_text(
                lambda: BufferedReader(archive.open("events.txt")),  # type: ignore[arg-type]
                (), "a.zip", "zip", 18_000_000, ReadOptions(),
            )  # fmt: skip
            count = sum(len(block.t) for block in stream.blocks(WHOLE))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1_000_000 and peak < 40_000_000


def test_a_damaged_member_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("events.txt", IJRR)
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"0.003811000", b"0.003811001"))
    with (
        zipfile.ZipFile(tmp_path / "a.zip") as archive,
        pytest.raises(InputError, match=r"^a.zip: damaged after byte \d+ "),
    ):
        open_text(
            lambda: BufferedReader(archive.open("events.txt")),  # type: ignore[arg-type]
            (), "a.zip", "zip", len(IJRR), ReadOptions(),
        )  # fmt: skip


def test_nothing_stays_open():
    files: list[BufferedReader] = []

    def open_file() -> BufferedReader:
        files.append(BufferedReader(BytesIO(IJRR * 300_000)))
        return files[-1]

    stream = open_text(open_file, (), "a.txt", "text", len(IJRR) * 300_000, ReadOptions())
    blocks = stream.blocks(WHOLE)
    assert len(files) == 1 and files[0].closed and next(blocks).done < 1
    blocks.close()  # type: ignore[attr-defined]
    assert len(files) == 2 and all(file.closed for file in files)
    stream.place(5)
    assert all(file.closed for file in files)
