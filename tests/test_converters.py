"""Laws that hold for every reader: what was written is read, what is broken is named, nothing is touched."""

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import converters.arrays
import converters.event_text
from converters import ReadOptions, read
from converters.checks import events_from_columns
from converters.files import unsafe_member
from evinr.events import Events, InputError

ROOT = Path(__file__).parents[1]
HEIGHT, WIDTH = 180, 240
SIZE = ReadOptions(height=HEIGHT, width=WIDTH)


def some_events(count: int = 20) -> Events:
    rng = np.random.default_rng(count)
    t = np.sort(rng.choice(10**9, count, replace=False)) / 10**9
    p = np.where(np.arange(count) % 3 == 0, -1, 1)
    x, y = rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count)
    return events_from_columns(t, x, y, p, height=HEIGHT, width=WIDTH)


def lines(events: Events, blank: str = " ", end: str = "\n") -> str:
    columns = (events.t.tolist(), events.x.tolist(), events.y.tolist(), (events.p > 0).astype(int).tolist())
    return "".join(f"{t:.9f}{blank}{x}{blank}{y}{blank}{p}{end}" for t, x, y, p in zip(*columns, strict=True))


def text(blank: str = " ", end: str = "\n", head: str = "", tail: str = ""):
    def write(events: Events, folder: Path) -> Path:
        path = folder / "events of (mine) é.txt"
        path.write_text(head + lines(events, blank, end) + tail, encoding="utf-8", newline="")
        return path

    return write


def write_folder(events: Events, folder: Path) -> Path:
    root = folder / "slider"
    root.mkdir(exist_ok=True)
    (root / "events.txt").write_text(lines(events))
    return root


def zipped(*members: str, method: int = zipfile.ZIP_DEFLATED):
    def write(events: Events, folder: Path) -> Path:
        with zipfile.ZipFile(folder / "slider.zip", "w", method) as archive:
            for member in members:
                archive.writestr(member, lines(events))
        return folder / "slider.zip"

    return write


def structured(events: Events) -> np.ndarray:
    array = np.empty(events.count, [("x", "<u2"), ("y", "<u2"), ("t", "<f8"), ("p", "?")])
    array["t"], array["x"], array["y"], array["p"] = events.t, events.x, events.y, events.p > 0
    return array


def npy(make):
    def write(events: Events, folder: Path) -> Path:
        np.save(folder / "a.npy", make(events))
        return folder / "a.npy"

    return write


def npz(save, make):
    def write(events: Events, folder: Path) -> Path:
        save(folder / "a.npz", **make(events))
        return folder / "a.npz"

    return write


WRITERS = {
    "text": text(),
    "blank lines": text(head="\n", tail="\n  \n# end"),
    "windows": text(end="\r\n", head="\ufeff"),
    "commas": text(","),
    "commas and blanks, named": text(", ", head="t, x, y, p\n"),
    "tabs, named": text("\t", head="# made by v2e\n\nTimestamp\tx\ty\tpolarity\n"),
    "size line": text(head=f"#!\n{WIDTH} {HEIGHT}\n"),
    "folder": write_folder,
    "zip": zipped("events.txt"),
    "zip with a top folder": zipped("slider/events.txt"),
    "zip of one text": zipped("slider.txt"),
    "zip by lzma": zipped("events.txt", method=zipfile.ZIP_LZMA),
    "npy": npy(Events.to_array),
    "npy by columns": npy(lambda events: np.asfortranarray(events.to_array())),
    "npy big-endian": npy(lambda events: events.to_array().astype(">f8")),
    "structured npy": npy(structured),
    "npz": npz(np.savez_compressed, lambda e: {"events": e.to_array()}),
    "npz by columns": npz(np.savez, lambda e: {"events": np.asfortranarray(e.to_array())}),
    "structured npz": npz(np.savez, lambda e: {"events": structured(e)}),
    "npz t x y p": npz(np.savez, lambda e: {"p": e.p, "y": e.y, "x": e.x, "t": e.t, "note": np.zeros(3)}),
    "npz ts xs ys ps": npz(np.savez_compressed, lambda e: {"ts": e.t, "xs": e.x, "ys": e.y, "ps": e.p > 0}),
}
every_format = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


def same(one: Events, other: Events) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def refusal(path: Path, options: ReadOptions = SIZE) -> str:
    with pytest.raises(InputError) as caught:
        read(path, options)
    message = str(caught.value)
    assert message.startswith(path.name) and "\n" not in message
    return message


def read_or_refused(path: Path) -> None:
    try:
        read(path)
    except InputError as error:
        assert str(error).startswith(path.name)


@every_format
def test_what_was_written_is_read_and_not_touched(write, tmp_path):
    def state() -> dict[Path, tuple[int, bytes | bool]]:
        return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*")}

    events = some_events()
    path = write(events, tmp_path)
    before = state()
    recording = read(str(path), SIZE)
    assert same(recording.events, events) and recording.frames is None and recording.format
    assert state() == before


@every_format
@pytest.mark.parametrize("rows", [1, 7, 20])
def test_blocks_do_not_show(write, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(converters.arrays, "BLOCK", rows)
    monkeypatch.setattr(converters.event_text, "CHUNK", 60 + 20 * rows)
    assert same(read(write(some_events(), tmp_path), SIZE).events, some_events())


@every_format
def test_a_span_is_read_as_between(write, tmp_path):
    events = some_events()
    start, end = float(events.t[3]), float(events.t[11])
    recording = read(write(events, tmp_path), replace(SIZE, t_start=start, t_end=end))
    assert same(recording.events, events.between(start, end)) and recording.events.count == 9


@every_format
def test_time_going_back_is_refused_at_its_place_or_sorted(write, tmp_path):
    events = some_events()
    order = [*range(5), *range(12, 20), *range(5, 12)]
    path = write(events._replace(**{c: getattr(events, c)[order] for c in "txyp"}), tmp_path)
    message = refusal(path)
    assert "event 13" in message and "1 time," in message and "--sort" in message
    assert same(read(path, replace(SIZE, sort=True)).events, events)


@every_format
def test_an_event_outside_is_refused_at_its_place(write, tmp_path):
    events = some_events()
    events.x[5] = WIDTH
    message = refusal(write(events, tmp_path))
    assert "event 5" in message and "x = 240 is outside" in message


@every_format
def test_no_events_are_refused(write, tmp_path):
    events = some_events()
    message = refusal(write(events.between(2.0, 3.0), tmp_path))
    assert "no events" in message or "empty" in message


@every_format
def test_cut_and_altered_files_are_read_or_refused(write, tmp_path):
    path = write(some_events(7), tmp_path)
    target = path / "events.txt" if path.is_dir() else path
    whole = target.read_bytes()
    place = st.integers(0, len(whole) - 1)

    @settings(max_examples=40, deadline=None)
    @given(place, st.lists(st.tuples(place, st.integers(0, 255)), max_size=3))
    def law(removed, changes):
        content = bytearray(whole)
        for where, value in changes:
            content[where] = value
        target.write_bytes(content[: len(whole) - removed] if len(changes) < 2 else content)
        read_or_refused(path)

    law()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=99), st.text("0123456789 .,-#\netxyp", max_size=80).map(str.encode)))
def test_any_bytes_are_read_or_refused(content, tmp_path):
    (tmp_path / "a.txt").write_bytes(content)
    read_or_refused(tmp_path / "a.txt")


@pytest.mark.parametrize("head", ["", f"{WIDTH} {HEIGHT}\n", "# a comment\n\n", "t x y p\n"])
@pytest.mark.parametrize(
    "broken, answer",
    [
        ("0.5 1 2", " has 3 columns"),
        ("0.5 1 2 1 1", " has 5 columns"),
        ("0.5 one 2 1", ": 'one' is not a number"),
        ("nan 1 2 1", " (event 9): time is nan, not a finite number"),
        ("1e999 1 2 1", " (event 9): time is inf, not a finite number"),
        ("1 -1 2 1", " (event 9): x = -1 is outside"),
        ("1 1 2 3", " (event 9): polarity is 3"),
    ],
)
def test_lines_are_counted_as_an_editor_counts_them(head, broken, answer, tmp_path):
    good = lines(some_events()).splitlines()
    (tmp_path / "e.txt").write_text(head + "\n".join([*good[:4], "", *good[4:9], broken, *good[9:]]) + "\n")
    assert f"line {head.count(chr(10)) + 11}{answer}" in refusal(tmp_path / "e.txt")


@pytest.mark.parametrize("end, answer", [("", "last line, 5, is cut"), ("\n", "line 5 has 2 columns")])
def test_a_cut_last_line_is_told_from_a_short_one(end, answer, tmp_path):
    (tmp_path / "e.txt").write_text(lines(some_events(4)) + "1.5 3" + end)
    assert answer in refusal(tmp_path / "e.txt")


@pytest.mark.parametrize("head", ["x,y,t,p\n", "t,y,x,p\n", "t,x,y\n", "hello\n"])
def test_a_first_line_that_is_not_understood_is_refused(head, tmp_path):
    (tmp_path / "e.txt").write_text(head + lines(some_events(), ","))
    assert "line 1" in refusal(tmp_path / "e.txt") and "expected t x y p" in refusal(tmp_path / "e.txt")


def test_the_sensor_is_the_users_else_the_files_else_a_guess(tmp_path):
    events = some_events(500)
    path = text(head="300 200\n")(events, tmp_path)
    assert read(path).events[4:] == (200, 300)
    assert read(path, ReadOptions(height=260, width=346)).events[4:] == (260, 346)
    recording = read(text()(events, tmp_path))
    assert recording.events[4:] == (180, 240) and any("DAVIS240" in sentence for sentence in recording.assumptions)


# Frames


def with_frames(folder: Path, pictures: list[np.ndarray], listed: list[str]) -> Path:
    root = write_folder(some_events(), folder)
    (root / "images").mkdir()
    (root / "images.txt").write_text("\n".join(listed) + "\n")
    for number, picture in enumerate(pictures):
        iio.imwrite(root / f"images/{number}.png", picture)
    return root


def gray(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, HEIGHT, WIDTH), np.uint8))


THREE = ["0.0 images/0.png", "0.25 images/1.png", "1.5 images/2.png"]


def test_frames_come_with_their_times_and_say_the_sensor(tmp_path):
    root = with_frames(tmp_path, gray(3), THREE)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in root.rglob("*"):
            archive.write(path, f"top/{path.relative_to(root)}")
    for path in (root, tmp_path / "a.zip"):
        recording = read(path)
        assert recording.frames is not None and recording.frames.times.tolist() == [0, 0.25, 1.5]
        assert np.array_equal(recording.frames.images, gray(3))
        assert same(recording.events, some_events())


def test_frames_outside_the_span_are_left_out(tmp_path):
    root = with_frames(tmp_path, gray(3), THREE)
    recording = read(root, ReadOptions(t_start=0.25, t_end=1.0))
    assert recording.frames is not None and recording.frames.times.tolist() == [0.25]
    assert np.array_equal(recording.frames.images[0], gray(3)[1])
    none = read(root, ReadOptions(t_start=0.3, t_end=1.0))
    assert none.frames is None and none.events[4:] == (HEIGHT, WIDTH)


def test_frames_share_the_clock_of_the_events(tmp_path):
    root = with_frames(tmp_path, gray(1), ["250000 images/0.png"])
    (root / "events.txt").write_text("1 0 0 1\n900000 1 1 0\n")
    recording = read(root, ReadOptions(time_unit="us"))
    assert recording.frames is not None and recording.frames.times.tolist() == [0.25]


def test_frames_out_of_order_are_refused_or_sorted(tmp_path):
    root = with_frames(tmp_path, gray(3), [THREE[0], THREE[2], THREE[1]])
    assert "images.txt: line 3: time goes back by 1.25 s" in refusal(root)
    frames = read(root, ReadOptions(sort=True)).frames
    assert frames is not None and frames.times.tolist() == [0, 0.25, 1.5] and np.array_equal(frames.images, gray(3))


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_becomes_luma_and_is_said(channels, tmp_path):
    colour = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
    recording = read(with_frames(tmp_path, [colour], THREE[:1]))
    luma = 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]
    assert recording.frames is not None and np.abs(recording.frames.images[0] - luma).max() <= 0.5 + 1e-9
    assert any("Rec. 601" in sentence for sentence in recording.assumptions)


@pytest.mark.parametrize(
    "listed, answer",
    [
        ("1 images/9.png", "line 2: .*9.png: .*No such file"),
        ("1 ../secret.png", "line 2: ../secret.png leads outside"),
        ("1 /etc/hostname", "line 2: /etc/hostname leads outside"),
        ("1 images.txt", "line 2: .*not a readable picture"),
        ("1", "line 2: expected 't path'"),
        ("nan images/0.png", "line 2: expected 't path'"),
        ("1 images/1.png", "line 2: .*10 x 20.*240 x 180"),
        ("1 images/2.png", "line 2: .*uint16"),
    ],
)
def test_a_bad_list_of_images_is_refused_at_its_line(listed, answer, tmp_path):
    pictures = [*gray(1), np.zeros((20, 10), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint16)]
    with pytest.raises(InputError, match=f"slider/images.txt: {answer}"):
        read(with_frames(tmp_path, pictures, [THREE[0], listed]))


# What is no recording


def test_what_is_no_regular_file_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "dangling.txt").symlink_to("nowhere.txt")
    (tmp_path / "empty.txt").touch()
    folder = tmp_path / "folder.bag"
    folder.mkdir()
    os.mkfifo(folder / "images.txt")
    assert "not a regular file" in refusal(tmp_path / "pipe.txt")
    assert "symbolic links" in refusal(tmp_path / "loop.txt")
    assert "No such file" in refusal(tmp_path / "dangling.txt")
    assert "No such file" in refusal(tmp_path / "nowhere.txt")
    assert "empty" in refusal(tmp_path / "empty.txt")
    assert "a folder without events.txt (found images.txt)" in refusal(folder)
    (folder / "events.txt").write_text(lines(some_events()))
    assert "images.txt: not a regular file" in refusal(folder)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "array, answer",
    [
        (np.array([{"a": 1}]), "objects"),
        (np.zeros((9, 3)), r"shape \(9, 3\)"),
        (np.zeros((4, 9)), "transpose"),
        (np.zeros(()), "shape"),
        (np.zeros((9, 4), complex), "complex128"),
        (np.zeros((9, 4), "U3"), "<U3"),
        (np.zeros(9, [("t", "f8"), ("x", "f8")]), "fields t, x"),
        (np.zeros(9, [("t", "f8"), ("x", "f8", 2), ("y", "f8"), ("p", "f8")]), "field x"),
    ],
)
def test_arrays_of_another_kind_are_refused(array, answer, packed, tmp_path):
    path = tmp_path / ("a.npz" if packed else "a.npy")
    np.savez(path, events=array) if packed else np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=answer):
        read(path)


@pytest.mark.parametrize(
    "arrays, answer",
    [
        ({"a": np.zeros((2, 4)), "b": np.zeros(3)}, "holds a, b"),
        ({"t": np.zeros(3), "x": np.zeros(2), "y": np.zeros(3), "p": np.ones(3)}, r"x \(2,\)"),
        ({column: np.zeros((3, 1)) for column in "txyp"}, r"t \(3, 1\)"),
    ],
)
def test_an_npz_of_other_columns_is_refused(arrays, answer, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=answer):
        read(tmp_path / "a.npz")


def test_a_declared_size_is_compared_before_anything_is_allocated(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 4)})
    (tmp_path / "a.npy").write_bytes(head.getvalue() + bytes(320))
    assert "32000000000000 bytes, 320 are there" in refusal(tmp_path / "a.npy")


def test_coarse_times_are_said(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1000, 1, 1, 1], [1000.5, 1, 1, -1]], np.float32))
    assert any("6.1e-05" in sentence for sentence in read(tmp_path / "a.npy", SIZE).assumptions)


@pytest.mark.parametrize("member", ["../evil.txt", "/tmp/evil.txt", "images/../../evil.png", "C:\\evil.txt"])
def test_a_zip_that_climbs_out_is_refused(member, tmp_path):
    assert "outside the archive" in refusal(zipped("events.txt", member)(some_events(), tmp_path))


def test_a_zip_with_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("events.txt")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/hostname")
    assert "symbolic link" in refusal(tmp_path / "a.zip")


@pytest.mark.parametrize(
    "members, answer",
    [
        (["readme.md"], "found readme.md"),
        (["a/events.txt", "b/events.txt"], "2 recordings"),
        (["a/b/events.txt", "c.txt"], "no events.txt"),
    ],
)
def test_a_zip_without_one_recording_says_what_it_holds(members, answer, tmp_path):
    assert answer in refusal(zipped(*members)(some_events(), tmp_path))


@given(st.binary(max_size=40))
def test_control_characters_are_no_text(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dat"
        path.write_bytes(b"0 1 2\x00" + content)
        assert "not event text, and no other format" in refusal(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.zip", "a.h5"])
def test_a_web_page_under_another_name_is_refused(name, tmp_path):
    (tmp_path / name).write_text("<!DOCTYPE html><html>404</html>")
    assert "download it again" in refusal(tmp_path / name)


def test_the_door_opens_fast():
    code = "import sys, converters; print([m for m in ('jax', 'imageio', 'flax') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "[]"


def test_a_member_without_a_name_is_unsafe():
    """Fuzzing found that zipfile fails over one, wherever it asks whether it is a folder."""
    assert unsafe_member(zipfile.ZipInfo("")) == "has no name" and unsafe_member(zipfile.ZipInfo("events.txt")) is None
