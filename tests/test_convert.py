"""Laws of `evinr convert`: what it writes is what was read, whole or not at all, and can be read back."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters import ReadOptions, read
from converters.checks import events_from_columns
from converters.dataset import find_recordings
from converters.door import open_stream
from converters.frames import checked_frames
from converters.job import Job, Target, convert, is_done, written
from converters.npy import growing_array
from converters.sorting import sorted_rows
from converters.stream import WHOLE, Columns, Frame, FrameSet, SensorSize, Stream
from evinr.__main__ import main
from evinr.cli.convert import Outcome, _outcome
from evinr.events import Events, InputError

HEIGHT, WIDTH = 20, 30
UNIX = 1_468_939_993_000_000_000
ANY = ReadOptions()
targets = pytest.mark.parametrize("to", ["npy", "evreal", "h5"])


def some_events(count: int = 50, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.choice(10**9, count, replace=False)) / 10**9
    p = rng.choice([-1, 1], count)
    x, y = rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count)
    return events_from_columns(t, x, y, p, height=HEIGHT, width=WIDTH)


def write_text(path: Path, events: Events, zero: int = 0, order: list[int] | None = None) -> Path:
    """Event text with a line of its size, its times counted from `zero` (ns)."""
    rows = [f"{WIDTH} {HEIGHT}"]
    for event in order or range(events.count):
        time = zero + round(events.t[event] * 1e9)
        rows.append(
            f"{time // 10**9}.{time % 10**9:09d} {events.x[event]} {events.y[event]} {int(events.p[event] > 0)}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")
    return path


def write_folder(root: Path, images: list[np.ndarray], times: list[int], zero: int = 0) -> Path:
    """An IJRR folder with the events and pictures at such nanoseconds."""
    write_text(root / "events.txt", some_events(), zero)
    (root / "images").mkdir()
    listed = []
    for number, (image, time) in enumerate(zip(images, times, strict=True)):
        iio.imwrite(root / f"images/{number}.png", image)
        time += zero
        listed.append(f"{time // 10**9}.{time % 10**9:09d} images/{number}.png")
    (root / "images.txt").write_text("\n".join(listed) + "\n")
    return root


def pictures(dtype: type[np.integer] = np.uint8, channels: tuple[int, ...] = (), count: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return list(rng.integers(0, np.iinfo(dtype).max, (count, HEIGHT, WIDTH, *channels), dtype))


def frames_of(path: Path, kind: int = 0) -> list[Frame]:
    return list(checked_frames(open_stream(path).frames[kind], ANY, 0, path.name))


def ignore(done: float) -> None:
    assert 0 <= done <= 1


def go(source: Path, out: Path, to: Target = "npy", options: ReadOptions = ANY, overwrite: bool = False) -> dict:
    return convert(Job(source, out, to, options, overwrite), ignore)


def same(one: Events, other: Events) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def everything(root: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in sorted(root.rglob("*"))}


def test_the_folder_holds_what_was_read(tmp_path):
    source = write_folder(tmp_path / "a", pictures(), [0, 10**8, 5 * 10**8], zero=UNIX)
    before = everything(source)
    about = go(source, tmp_path / "out")
    assert everything(source) == before
    rows = np.load(tmp_path / "out/events.npy", mmap_mode="r")
    assert rows.dtype == np.float64 and rows.flags.c_contiguous
    assert np.array_equal(rows, some_events().to_array())
    assert about == json.loads((tmp_path / "out/metadata.json").read_text())
    assert about["origin_ns"] == UNIX and about["events"]["count"] == 50
    assert about["events"]["rising"] == int((some_events().p > 0).sum())
    assert (about["sensor"]["width"], about["sensor"]["height"]) == (WIDTH, HEIGHT)
    assert len(about["source_sha256"]) == 64 and about["assumptions"] == list(read(source).assumptions)
    listed = [line.split() for line in (tmp_path / "out/images.txt").read_text().splitlines()]
    assert [time for time, _ in listed] == ["0.000000000", "0.100000000", "0.500000000"]
    read_back = [iio.imread(tmp_path / "out" / path) for _, path in listed]
    assert np.array_equal(read_back, pictures())
    assert sorted(os.listdir(tmp_path / "out")) == ["events.npy", "frames", "images.txt", "metadata.json"]


@targets
@pytest.mark.parametrize("zero", [0, UNIX])
def test_every_target_is_read_back(to, zero, tmp_path):
    source = write_folder(tmp_path / "a", pictures(), [0, 10**8, 5 * 10**8], zero)
    go(source, tmp_path / "out", to)
    recording = read(tmp_path / "out")
    assert same(recording.events, some_events())
    assert [frame.time for frame in frames_of(tmp_path / "out")] == [0, 10**8, 5 * 10**8]
    assert all(np.array_equal(f.image, image) for f, image in zip(frames_of(tmp_path / "out"), pictures(), strict=True))
    assert go(tmp_path / "out", tmp_path / "again")["origin_ns"] == zero == recording.origin


@pytest.mark.parametrize("to", ["npy", "h5"])
@pytest.mark.parametrize("dtype, channels", [(np.uint8, (3,)), (np.uint16, ())])
def test_colour_and_hdr_are_kept(to, dtype, channels, tmp_path):
    source = write_folder(tmp_path / "a", pictures(dtype, channels), [0, 10**8, 5 * 10**8])
    go(source, tmp_path / "out", to)
    for frame, image in zip(frames_of(tmp_path / "out"), pictures(dtype, channels), strict=True):
        assert frame.image.dtype == dtype and np.array_equal(frame.image, image)


@pytest.mark.parametrize("to", ["npy", "h5"])
def test_sharp_pictures_and_exposures_are_kept(to, tmp_path):
    blurred, sharp = pictures(channels=(3,), count=6)[:3], pictures(channels=(3,), count=6)[3:]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        events = some_events()
        for name, values in (("ts", events.t), ("xs", events.x), ("ys", events.y), ("ps", events.p > 0)):
            file[f"events/{name}"] = values
        for group, images in (("images", blurred), ("sharp_images", sharp)):
            for number, image in enumerate(images):
                file[f"{group}/image{number:09d}"] = image[..., ::-1]
                attrs = file[f"{group}/image{number:09d}"].attrs
                attrs["timestamp"] = number / 10
                if group == "images":
                    attrs["exposure_start"], attrs["exposure_end"] = number / 10 - 0.01, number / 10 + 0.01
    go(tmp_path / "a.h5", tmp_path / "out", to)
    stream = open_stream(tmp_path / "out")
    assert [kind.name for kind in stream.frames] == ["frames", "sharp"]
    for kind, images in enumerate((blurred, sharp)):
        assert all(np.array_equal(f.image, i) for f, i in zip(frames_of(tmp_path / "out", kind), images, strict=True))
    exposures = [frame.exposure for frame in frames_of(tmp_path / "out")]
    assert exposures == [(n * 10**8 - 10**7, n * 10**8 + 10**7) for n in range(3)]


@targets
def test_a_span_is_what_lies_in_it(to, tmp_path):
    source = write_folder(tmp_path / "a", pictures(), [0, 10**8, 5 * 10**8], UNIX)
    options = ReadOptions(t_start=0.09, t_end=0.5)
    go(source, tmp_path / "out", to, options)
    recording = read(tmp_path / "out")
    expected = some_events().between(0.09, 0.5)
    # EVREAL's times count from the first event or picture.
    first = min(round(expected.t[0] * 1e9), 10**8) if to == "evreal" else 0
    assert np.array_equal(np.rint(recording.events.t * 1e9), np.rint(expected.t * 1e9) - first)
    assert [frame.time + first for frame in frames_of(tmp_path / "out")] == [10**8, 5 * 10**8]


def test_evreal_has_its_shapes_and_indices(tmp_path):
    go(write_folder(tmp_path / "a", pictures(), [0, 10**8, 10**9]), tmp_path / "out", "evreal")
    arrays = {path.stem: np.load(path) for path in (tmp_path / "out").glob("*.npy")}
    events = some_events()
    assert arrays["events_ts"].shape == (50,) and arrays["events_xy"].shape == (50, 2)
    assert arrays["images"].shape == (3, HEIGHT, WIDTH, 1) and arrays["images_ts"].shape == (3, 1)
    indices = [max(int((events.t <= time).sum()) - 1, 0) for time in (0, 0.1, 1)]
    assert arrays["image_event_indices"].tolist() == [[index] for index in indices]
    assert json.loads((tmp_path / "out/metadata.json").read_text())["sensor_resolution"] == [HEIGHT, WIDTH]


@targets
def test_time_going_back_is_refused_and_leaves_nothing_or_is_sorted(to, tmp_path):
    order = [*range(20), *range(30, 50), *range(20, 30)]
    source = write_text(tmp_path / "a.txt", some_events(), order=order)
    with pytest.raises(InputError, match="time goes back"):
        go(source, tmp_path / "deep/er/out", to)
    assert os.listdir(tmp_path) == ["a.txt"]
    go(source, tmp_path / "out", to, ReadOptions(sort=True))
    events = read(tmp_path / "out").events
    first = round(events.t[0] * 1e9)
    expected = np.rint(some_events().t * 1e9)
    assert np.array_equal(np.rint(events.t * 1e9) - first, expected - expected[0])
    assert np.array_equal(events.x, some_events().x)
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "out"]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 9), st.integers(1, 5))
def test_sorting_on_disk_is_a_stable_sort(tmp_path_factory, times, chunk, step):
    path = tmp_path_factory.mktemp("sort") / "a.npy"
    rows = np.stack([np.array(times, float), *[np.arange(len(times), dtype=float)] * 3], 1)
    np.save(path, rows)
    merged = np.concatenate(list(sorted_rows(path, len(rows), chunk, step)))
    assert np.array_equal(merged, rows[np.argsort(rows[:, 0], kind="stable")])


@given(st.lists(st.integers(0, 7), max_size=5))
def test_a_growing_array_is_an_npy(tmp_path_factory, lengths):
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    blocks = [np.random.default_rng(n).integers(0, 9, (n, 2, 3)).astype(np.uint8) for n in lengths]
    with growing_array(path, (2, 3), np.dtype("u1")) as append:
        for block in blocks:
            append(block)
    assert np.array_equal(np.load(path), np.concatenate([np.empty((0, 2, 3), np.uint8), *blocks]))


@targets
def test_what_stands_is_neither_replaced_unasked_nor_lost(to, tmp_path):
    source, out = write_text(tmp_path / "a.txt", some_events()), tmp_path / "out"
    go(source, out, to)
    before = everything(tmp_path)
    with pytest.raises(InputError, match="--overwrite"):
        go(source, out, to)
    broken = write_text(tmp_path / "b.txt", some_events())
    broken.write_text(broken.read_text() + "x")
    with pytest.raises(InputError, match="cut"):
        go(broken, out, to, overwrite=True)
    broken.unlink()
    assert everything(tmp_path) == before
    go(write_text(tmp_path / "c.txt", some_events(60)), out, to, overwrite=True)
    assert read(out).events.count == 60 and sorted(os.listdir(tmp_path)) == ["a.txt", "c.txt", "out"]


@pytest.mark.parametrize("to", ["npy", "evreal"])
def test_what_others_put_into_a_conversion_is_not_thrown_away(to: Target, tmp_path: Path):
    source, out = write_text(tmp_path / "a.txt", some_events(50)), tmp_path / "out"
    go(source, out, to)
    go(source, out, to, overwrite=True)
    (out / "runs").mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="out: holds notes.txt, runs, no part of the conversion; move it"):
        go(source, out, to, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_evinr_did_not_write_is_never_replaced(overwrite, tmp_path):
    source = write_text(tmp_path / "a.txt", some_events())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    for out in (tmp_path / "mine", tmp_path / "mine/thesis.txt"):
        with pytest.raises(InputError, match="no conversion of evinr"):
            go(source, out, overwrite=overwrite)
    for out in (source, tmp_path):
        with pytest.raises(InputError, match="inside each other"):
            go(source, out, overwrite=overwrite)
    folder = write_folder(tmp_path / "f", pictures(), [0, 1, 2])
    with pytest.raises(InputError, match="inside each other"):
        go(folder, folder / "out", overwrite=overwrite)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


@targets
def test_it_is_known_whether_a_conversion_is_done(to, tmp_path):
    source = write_text(tmp_path / "a.txt", some_events())
    job = Job(source, tmp_path / "out", to, ANY)
    assert not is_done(job) and written(job.out) is None
    convert(job, ignore)
    assert is_done(job) and not is_done(job._replace(options=ReadOptions(sort=True)))
    assert all(not is_done(job._replace(to=other)) for other in {"npy", "evreal", "h5"} - {to})
    write_text(source, some_events(51))
    assert not is_done(job)


@targets
def test_a_conversion_with_another_state_or_something_missing_is_not_done(to, tmp_path, monkeypatch):
    source = write_folder(tmp_path / "a", pictures(), [0, 10**8, 5 * 10**8])
    job = Job(source, tmp_path / "out", to, ANY)
    convert(job, ignore)
    assert is_done(job)
    with monkeypatch.context() as newer:
        newer.setattr("converters.job.version", lambda package: "99")
        assert not is_done(job)
    if to != "h5":
        lost = tmp_path / "out" / ("frames" if to == "npy" else "images.npy")
        kept = lost.rename(tmp_path / "kept")
        assert not is_done(job)
        kept.rename(lost)
    assert is_done(job)
    lines = (source / "images.txt").read_text().splitlines(keepends=True)
    (source / "images.txt").write_text("".join(lines[:2]))
    assert not is_done(job)


@targets
def test_converting_what_was_converted_changes_nothing(to, tmp_path):
    """Upright sensor of AED's numbers, Unix times of which a late part is taken, a mosaic beside colour, exposures."""
    events = events_from_columns(
        np.array([0.1, 12_000.25, 12_001.5]), np.array([0, 305, 7]), np.array([0, 407, 9]), np.array([1, 0, 1]),
        height=408, width=306,
    )  # fmt: skip
    frames = [
        Frame(UNIX + n * 12 * 10**12, p, (UNIX, UNIX + 5)) for n, p in enumerate(pictures(channels=(3,), count=2))
    ]
    hdr = [Frame(UNIX + n * 12 * 10**12, p, (UNIX, UNIX + 5)) for n, p in enumerate(pictures(np.uint16, count=2))]
    sets = (
        FrameSet("frames", UNIX, lambda window: iter(frames), "rgb"),
        FrameSet("raw", UNIX, lambda w: iter(hdr), "rggb"),
    )
    t = UNIX + np.rint(events.t * 1e9).astype(np.int64)
    given = Stream(
        "test", (), "ns", lambda window: iter([Columns(t, events.x, events.y, events.p)]),
        SensorSize(408, 306, "the test"), sets, notes=[],
    )  # fmt: skip
    source = tmp_path / "a.txt"
    source.touch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("converters.convert.open_stream", lambda path, options: given)
        late = ReadOptions(t_start=11_000.0)
        first = go(source, tmp_path / "first", "npy", late)
    assert first["origin_ns"] == UNIX and first["events"]["start_s"] == 12_000.25
    second = go(tmp_path / "first", tmp_path / "second", to)
    third = go(tmp_path / "second", tmp_path / "third")
    shift = 12_000 * 10**9 if to == "evreal" else 0  # it counts from the first event or picture
    assert third["origin_ns"] == UNIX + shift
    assert third["sensor"] | {"source": ""} == second["sensor"] | {"source": ""}
    rows = np.load(tmp_path / "first/events.npy")
    rows[:, 0] = (np.rint(rows[:, 0] * 1e9) - shift) / 1e9
    assert np.array_equal(np.load(tmp_path / "third/events.npy"), rows)
    if to == "evreal":
        assert any("no place for exposures" in sentence for sentence in second["assumptions"])
        assert any("`raw`" in sentence for sentence in second["assumptions"])
        return
    assert third["frames"] == first["frames"] and third["frames"]["raw"]["layout"] == "rggb"
    for one, other in zip(open_stream(tmp_path / "first").frames, open_stream(tmp_path / "third").frames, strict=True):
        for a, b in zip(one.read(WHOLE), other.read(WHOLE), strict=True):
            assert a.time == b.time and a.exposure == b.exposure and np.array_equal(a.image, b.image)


def test_evreal_gets_the_sharp_pictures_for_truth(tmp_path):
    sets = []
    for kind, images in (("frames", pictures(count=4)[:2]), ("sharp", pictures(count=4)[2:])):
        frames = [Frame(number * 10**8, image) for number, image in enumerate(images)]
        sets.append(FrameSet(kind, 0, lambda window, frames=frames: iter(frames)))
    t, x, y, p = some_events()[:4]
    size = SensorSize(HEIGHT, WIDTH, "the test")
    given = Stream("test", (), "s", lambda window: iter([Columns(t, x, y, p)]), size, tuple(sets), notes=[])
    (tmp_path / "a.txt").touch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("converters.convert.open_stream", lambda path, options: given)
        about = go(tmp_path / "a.txt", tmp_path / "out", "evreal")
    assert np.array_equal(np.load(tmp_path / "out/images.npy")[..., 0], pictures(count=4)[2:])
    assert list(about["frames"]) == ["sharp"] and any("`frames`, left out" in said for said in about["assumptions"])


def test_pictures_are_numbered_in_the_order_of_time(tmp_path):
    source = write_folder(tmp_path / "a", pictures(), [5 * 10**8, 0, 10**8])
    go(source, tmp_path / "out", options=ReadOptions(sort=True))
    read_back = [iio.imread(path) for path in sorted((tmp_path / "out/frames").iterdir())]
    assert np.array_equal(read_back, [pictures()[1], pictures()[2], pictures()[0]])
    assert [frame.time for frame in frames_of(tmp_path / "out")] == [0, 10**8, 5 * 10**8]


def test_links_are_followed_or_refused(tmp_path):
    source = write_text(tmp_path / "a.txt", some_events())
    (tmp_path / "loop").symlink_to("loop")
    for one, other in ((tmp_path / "loop", tmp_path / "out"), (source, tmp_path / "loop")):
        with pytest.raises(InputError, match="symbolic link"):
            go(one, other)
    (tmp_path / "link").symlink_to("out")
    go(source, tmp_path / "link")
    go(source, tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink() and read(tmp_path / "out").events.count == 50


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no conversion of evinr"):
        go(write_text(tmp_path / "a.txt", some_events()), tmp_path / "pipe")


def run(*words: str | Path) -> int:
    return main(["convert", *map(str, words)])


@targets
def test_the_command_says_what_it_assumed_and_is_idempotent(to, tmp_path, capsys):
    source = write_text(tmp_path / "a.txt", some_events())
    assert run(source, tmp_path / "out", "--to", to) == 0
    said = capsys.readouterr().out
    assert "polarity 0/1" in said and "50 events" in said and f"{WIDTH} x {HEIGHT}" in said
    before = everything(tmp_path)
    assert run(source, tmp_path / "out", "--to", to) == 0 and "nothing to do" in capsys.readouterr().out
    assert run(source, tmp_path / "out", "--to", to, "--sort") == 1
    assert capsys.readouterr().err.count("\n") == 1 and everything(tmp_path) == before


def dataset(root: Path) -> Path:
    write_text(root / "one.txt", some_events(11))
    write_text(root / "deep/two.txt", some_events(12))
    np.save(root / "deep/two.npy", some_events(13).to_array())
    write_folder(root / "three", pictures(), [0, 1, 2])
    (root / "calib.txt").write_text("1 2 3 4 5 6 7 8 9")
    (root / "notes.txt").write_text("filmed on a rainy day")
    (root / ".hidden").mkdir()
    write_text(root / ".hidden/four.txt", some_events(14))
    (root / "broken.npz").write_bytes(b"PK no zip")
    np.save(root / "weights.npy", np.zeros((3, 3)))
    return root


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_of_recordings_goes_on_after_failures_and_skips_what_is_done(jobs, tmp_path, capsys):
    root, out = dataset(tmp_path / "set"), tmp_path / "out"
    before = everything(root)
    assert run(root, out, "--jobs", str(jobs)) == 1
    said = capsys.readouterr().out
    assert "failed: " in said and "broken.npz: damaged zip" in said and "4 of 5 recordings" in said
    counts = {str(p.parent.relative_to(out)): len(np.load(p)) for p in out.rglob("events.npy")}
    assert counts == {"one": 11, "deep/two.txt": 12, "deep/two.npy": 13, "three": 50}
    assert everything(root) == before and not [p for p in out.rglob(".partial*")]
    (root / "broken.npz").unlink()
    shutil.rmtree(out / "one")
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert run(root, out, "--jobs", str(jobs)) == 0
    assert capsys.readouterr().out.count("done before") == 3 and (out / "one/events.npy").exists()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_the_recordings_of_a_folder(tmp_path):
    names = [str(path.relative_to(tmp_path)) for path in find_recordings(dataset(tmp_path), [])]
    assert names == ["broken.npz", "deep/two.npy", "deep/two.txt", "one.txt", "three"]


@pytest.mark.parametrize("to", ["npy", "h5"])
def test_recordings_of_like_names_do_not_meet(to, tmp_path, capsys):
    names = ["a.txt", "a.npy", "a.txt.csv", "b.txt", "b/c.txt", "D.NPY"]
    for number, name in enumerate(names):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        if name.lower().endswith("npy"):
            with (tmp_path / "set" / name).open("wb") as file:
                np.save(file, some_events(11 + number).to_array())
        else:
            write_text(tmp_path / "set" / name, some_events(11 + number))
    assert run(tmp_path / "set", tmp_path / "out", "--to", to) == 0
    found = find_recordings(tmp_path / "out", [])
    assert sorted(read(path).events.count for path in found) == [11 + number for number in range(len(names))]


def test_one_recording_that_cannot_be_read_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    for name in ("a", "b", "c"):
        write_text(tmp_path / f"set/{name}.txt", some_events())
    (tmp_path / "set/empty.npy").touch()
    (tmp_path / "set/packed.npy").write_bytes(b"PK" + bytes(100))

    def fail(job, advance):
        if job.source.name == "b.txt":
            raise ZeroDivisionError("a fault of ours")
        return convert(job, advance)

    monkeypatch.setattr("evinr.cli.convert.convert", fail)
    assert run(tmp_path / "set", tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "2 of 5 recordings" in said and "b.txt: ZeroDivisionError" in said and "empty.npy: " in said


def test_what_is_passed_over_or_loops_is_told(tmp_path, capsys):
    write_text(tmp_path / "set/a.txt", some_events())
    (tmp_path / "set/empty.txt").touch()
    (tmp_path / "set/loop.h5").symlink_to("loop.h5")
    assert run(tmp_path / "set", tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "not taken for recordings: empty.txt" in said and "1 of 2 recordings" in said and "loop.h5: " in said


@pytest.mark.parametrize("command", ["convert", "info", "fit"])
def test_a_missing_source_is_told_as_such(command, tmp_path, capsys):
    words = [str(tmp_path / "none.h5"), *[str(tmp_path / "out")] * (command == "convert")]
    assert main([command, *words, *["--out", str(tmp_path / "runs")] * (command == "fit")]) == 1
    assert "No such file or directory; check the path" in capsys.readouterr().err and not os.listdir(tmp_path)


def die_in_b(job: Job) -> Outcome:
    if job.source.name == "b.txt":
        os.kill(os.getpid(), signal.SIGKILL)
    return _outcome(job)


def test_a_worker_that_dies_takes_only_its_own_recording(tmp_path, monkeypatch, capsys):
    for name in ("a", "b", "c", "d"):
        write_text(tmp_path / f"set/{name}.txt", some_events())
    monkeypatch.setattr("evinr.cli.convert._worked", die_in_b)
    assert run(tmp_path / "set", tmp_path / "out", "--jobs", "2") == 1
    said = capsys.readouterr().out
    assert "3 of 4 recordings" in said and "b.txt: its process died" in said


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch, capsys):
    source = write_text(tmp_path / "a.txt", some_events())

    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("h5py.Group.create_dataset", full)
    assert run(source, tmp_path / "out", "--to", "h5") == 1
    said = capsys.readouterr().err
    assert "No space left" in said and "out" in said and said.count("\n") == 1 and os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_without_recordings_is_refused(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/readme.md").touch()
    assert run(tmp_path / "in", tmp_path / "out") == 1
    assert "found readme.md" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert run(tmp_path / "in", tmp_path / "in/out") == 1


@targets
def test_what_a_killed_conversion_left_is_swept_away(to, tmp_path):
    source = write_text(tmp_path / "a.txt", some_events())
    (tmp_path / ".partial-out.d").mkdir()
    (tmp_path / ".partial-out.d/events.npy").write_bytes(b"half")
    go(source, tmp_path / "out", to)
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "out"] and read(tmp_path / "out").events.count == 50


def test_options_are_those_of_the_reader(tmp_path):
    source = write_text(tmp_path / "a.txt", some_events())
    about = go(source, tmp_path / "out", options=replace(ANY, polarity=(1, 0), height=HEIGHT, width=WIDTH + 1))
    assert about["sensor"]["width"] == WIDTH + 1
    assert np.array_equal(np.load(tmp_path / "out/events.npy")[:, 3], -some_events().p)


@targets
def test_frames_that_are_left_out_may_be_broken(to, tmp_path):
    source, out = write_folder(tmp_path / "a", pictures(), [0, 10**8, 5 * 10**8]), tmp_path / "out"
    go(source, out, to)
    if to == "npy":
        (out / "frames/frame_00000000.png").unlink()
    elif to == "evreal":
        np.save(out / "images.npy", np.zeros((3, 4)))
    else:
        with h5py.File(out, "a") as file:
            del file["images/image000000000"]
            file["images/image000000000"] = np.zeros((3, 4), complex)
    with pytest.raises(InputError):
        read(out)
    assert read(out, ReadOptions(skip_frames=True)).events.count == 50


@targets
def test_a_conversion_whose_events_were_cut_is_not_done(to, tmp_path):
    source = write_text(tmp_path / "a.txt", some_events())
    job = Job(source, tmp_path / "out", to, ANY)
    convert(job, ignore)
    events = tmp_path / "out" / {"npy": "events.npy", "evreal": "events_ts.npy", "h5": ""}[to]
    events.write_bytes(events.read_bytes()[: 200 if to == "h5" else 300])
    assert not is_done(job)


def test_links_to_nothing_are_told_in_a_dataset_and_ignored_beside_a_recording(tmp_path, capsys):
    source = write_folder(tmp_path / "set/a", pictures(), [0, 1, 2])
    (source / "README").symlink_to("/nowhere")
    assert go(source, tmp_path / "one")["events"]["count"] == 50
    (tmp_path / "set/lost.bag").symlink_to("annex/lost.bag")
    assert run(tmp_path / "set", tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "1 of 2 recordings" in said and "lost.bag: cannot be opened: No such file" in said


def test_frames_that_are_left_out_still_tell_the_sensor(tmp_path):
    source = write_folder(tmp_path / "a", pictures(), [0, 10**8, 5 * 10**8])
    lines = (source / "events.txt").read_text().splitlines(keepends=True)
    (source / "events.txt").write_text("".join(lines[1:]))
    recording = read(source, ReadOptions(skip_frames=True))
    assert recording.frames is None and recording.events[4:] == (HEIGHT, WIDTH)


@pytest.mark.parametrize("ending, count", [("gif", 1), ("gif", 3), ("png", 2)])
def test_of_a_moving_picture_the_first_is_taken(ending, count, tmp_path):
    source = write_folder(tmp_path / "a", pictures()[:1], [0])
    images = np.stack(pictures(count=count))
    iio.imwrite(source / f"images/0.{ending}", list(images), plugin="pillow")
    (source / "images.txt").write_text(f"0 images/0.{ending}\n")
    [frame] = frames_of(source)
    assert frame.image.shape[:2] == (HEIGHT, WIDTH)
