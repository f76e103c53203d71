"""`evinr info`: statistics against plain numpy, clocks against simulations, and the command end to end."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from converters.checks import Block
from converters.door import open_stream
from converters.examine import Examination, examine
from converters.frame_health import look_at_frames
from converters.frame_offset import busiest, peak
from converters.health import (
    BINS,
    LONGEST,
    MOST_PIXELS,
    OCTAVES,
    Health,
    coarser,
    events_until,
    hot_pixels,
    long_gaps,
    look,
    on_sensor,
)
from converters.options import ReadOptions
from converters.stream import WHOLE, Columns, Frame, FrameSet, SensorSize, Stream, Window
from evinr import memory, parallel, windows
from evinr.cli import info
from evinr.cli.commands import Info
from evinr.events import Events, InputError
from evinr.pages import health
from evinr.pages.health_facts import data, facts, findings, metric, span
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor

ORIGIN = 1_600_000_000 * 10**9
HEIGHT, WIDTH = 60, 80


def blocks(table: np.ndarray, cuts: list[int]) -> Iterator[Block]:
    """Rows t, x, y, p as blocks that end at the cuts."""
    edges = [0, *sorted({min(cut, len(table)) for cut in cuts} - {0, len(table)}), len(table)]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        t, x, y, p = table[start:stop].T
        yield Block(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8), stop / len(table))


def seen_of(*rows: tuple[float, int, int, int]) -> Health:
    return look(blocks(np.array(rows, np.float64), []))


def recording(events: Events, frames: FrameSet | None = None, origin: int = 0) -> Stream:
    """A recording in memory, of nanoseconds from `origin`."""
    t = np.rint(events.t * 1e9).astype(np.int64) + origin

    def read(window: Window) -> Iterator[Columns]:
        chosen = slice(*np.searchsorted(t, [window.first, window.last]))
        yield Columns(t[chosen], events.x[chosen], events.y[chosen], events.p[chosen], done=1.0)

    size = SensorSize(events.height, events.width, "a test")
    return Stream("arrays", (), "ns", read, size, (frames,) if frames else (), notes=[])


def table_of(draw: st.DrawFn, count: int) -> np.ndarray:
    # Few times, of which many are equal or fall, and some lie far apart.
    times = draw(st.lists(st.sampled_from([-7, 0, 1, 2, 3, 500, 2**21, 2**34 + 5]), min_size=count, max_size=count))
    rest = [draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)) for _ in range(3)]
    columns = [np.cumsum(times) * 1e-6, rest[0], rest[1], np.where(np.array(rest[2]) > 0, 1, -1)]
    return np.stack(columns, axis=1).astype(np.float64)


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    return table_of(draw, draw(st.integers(1, 40)))


@given(tables(), st.lists(st.integers(0, 40), max_size=6))
def test_statistics_are_those_of_the_whole_however_it_is_cut(table: np.ndarray, cuts: list[int]):
    health = look(blocks(table, cuts))
    t, (x, y, p) = table[:, 0], table[:, 1:].T.astype(int)
    assert health.events == len(t) and health.start == t.min() and health.end == t.max()
    assert health.rising == (p > 0).mean()
    steps = np.diff(t)
    course = health.course
    assert course.falls == (steps < 0).sum() and course.largest_fall == max(-steps.min(initial=0), 0)
    assert course.first_fall == (t[1:][steps < 0][0] if (steps < 0).any() else None)
    assert course.same_time == (steps == 0).sum()
    assert course.duplicates == (np.diff(table, axis=0) == 0).all(1).sum()
    assert course.finest == steps[steps > 0].min(initial=np.inf)
    octaves = np.floor(np.log2(steps[steps > 0])).astype(int) + OCTAVES
    assert (course.intervals == np.bincount(octaves, minlength=2 * OCTAVES)).all()
    if not course.falls:
        silences = sorted(zip(-steps, t[:-1], strict=True))
        assert [tuple(gap) for gap in course.gaps] == [(start, -minus) for minus, start in silences if minus][:LONGEST]
    for gap in course.gaps:
        assert not ((t > gap.start) & (t < gap.start + gap.seconds)).any()
    assert health.pixels is not None
    counts = on_sensor(health.pixels, 3, 3)
    for sign, of_sign in zip((-1, 1), counts, strict=True):
        assert of_sign.tolist() == [[((x == i) & (y == j) & (p == sign)).sum() for i in range(3)] for j in range(3)]


@given(tables(), st.lists(st.integers(0, 40), max_size=6))
def test_the_rate_is_an_exact_histogram_with_the_finest_bins_that_suffice(table: np.ndarray, cuts: list[int]):
    rate = look(blocks(table, cuts)).rate
    t, p = table[:, 0], table[:, 3]
    level = next(
        level for level in range(-20, 60) if np.floor(t.max() / 2.0**level) - np.floor(t.min() / 2.0**level) < BINS
    )
    index = np.floor(t / 2.0**level).astype(int)
    assert (rate.level, rate.first, rate.counts.shape[1]) == (level, index.min(), np.ptp(index) + 1)
    for sign, counts in zip((-1, 1), rate.counts, strict=True):
        assert (counts == np.bincount(index[p == sign] - index.min(), minlength=len(counts))).all()


def test_coarser_rates_and_sums_keep_every_event():
    t = np.sort(np.random.default_rng(0).uniform(-1, 3, 5000))
    health = look(blocks(np.stack([t, t * 0, t * 0, np.where(t > 1, 1, -1)], axis=1), [1000]))
    few = coarser(health.rate, 10)
    assert few.counts.shape[1] <= 10 < 2 * few.counts.shape[1]
    assert few.counts.sum(1).tolist() == health.rate.counts.sum(1).tolist() == [(t <= 1).sum(), (t > 1).sum()]
    until = events_until(health, np.array([-5.0, t[0], 1.0, t[-1], 9.0])).sum(0)
    assert until[[0, 1, 3, 4]].tolist() == [0, 0, 5000, 5000]
    assert abs(until[2] - (t <= 1).sum()) < 10


def test_all_events_at_one_time_are_no_trouble():
    health = seen_of((5.0, 0, 0, 1), (5.0, 1, 0, 1))
    assert health.seconds == 0 and health.rate.counts.sum() == 2 and health.course.gaps == ()
    assert events_until(health, np.array([4.0, 6.0])).sum(0).tolist() == [0, 2]


def test_silences_are_long_in_relation_to_the_rate():
    steady = np.arange(5000) * 1e-4
    paused = steady + np.where(np.arange(5000) >= 3000, 0.5, 0)

    def of(t: np.ndarray) -> Health:
        return look(blocks(np.stack([t, t * 0, t * 0, t * 0 + 1], axis=1), [777]))

    assert long_gaps(of(steady)) == ()
    [gap] = long_gaps(of(paused))
    assert gap.start == pytest.approx(0.2999) and gap.seconds == pytest.approx(0.5001)


@pytest.mark.parametrize("cuts", [[], [3], [2, 5, 6]])
def test_late_events_break_the_silence_that_they_fall_into(cuts: list[int]):
    t = [0.0, 0.1, 1.1, 1.2, 0.7, 0.8, 1.3]
    gaps = look(blocks(np.array([[time, 0, 0, 1] for time in t]), cuts)).course.gaps
    assert gaps[0] == pytest.approx((0.1, 0.6)) and sum(gap.seconds > 0.11 for gap in gaps) == 1


def test_counts_grow_with_coordinates_up_to_what_a_sensor_has():
    grown = look(blocks(np.array([[0.0, 5, 3, 1], [1, 300, 2, 1], [2, 4, 700, -1]]), [1, 2])).pixels
    assert grown is not None
    assert np.argwhere(grown).tolist() == [[0, 700, 4], [1, 2, 300], [1, 3, 5]]
    huge = look(blocks(np.array([[0.0, 65535, 65535, 1], [1, 3, 3, 1]]), [1]))
    assert huge.pixels is None and huge.events == 2 and 65536**2 > MOST_PIXELS
    ample = look(blocks(np.array([[0.0, 3, 3, 1]]), []), SensorSize(65536, 65536, "a header"))
    assert ample.pixels is not None and ample.pixels.shape[1:] == (64, 64)


@pytest.fixture(scope="module")
def simulated() -> tuple[Events, Stream]:
    """A moving scene, and the same with what a camera at 25 Hz sees of it."""
    events, view = demo.recording(HEIGHT, WIDTH, 0.5, Sensor(), seed=3)
    return events, recording(events, camera(view, np.arange(0.02, 0.48, 0.04)), ORIGIN)


def camera(view, times: np.ndarray, shift: float = 0.0, convert=lambda picture: picture) -> FrameSet:
    """8-bit pictures of a scene at some times, said to be of others."""
    stamps = [ORIGIN + round((time + shift) * 1e9) for time in times]
    pictures = [convert(np.round(np.exp(view(time)) * 255).astype(np.uint8)) for time in times]

    def read(window: Window) -> Iterator[Frame]:
        for stamp, picture in zip(stamps, pictures, strict=True):
            if window.first <= stamp <= window.last:
                yield Frame(stamp, picture)

    return FrameSet("frames", stamps[0], read, "gray", HEIGHT, WIDTH)


def seen(stream: Stream, **options) -> Examination:
    return examine(stream, ReadOptions(**options), "test", lambda what, done: None)


@pytest.mark.parametrize("hot", [0, 3])
def test_hot_pixels_are_those_that_fire_alone(simulated, hot: int):
    events, _ = simulated
    rng, number = np.random.default_rng(0), 200
    t = np.concatenate([events.t, *rng.uniform(0, 0.5, (hot, number))])
    x = np.concatenate([events.x, *([column] * number for column in (0, 41, 42)[:hot])]).astype(np.uint16)
    y = np.concatenate([events.y, *([row] * number for row in (0, 20, 20)[:hot])]).astype(np.uint16)
    p = np.concatenate([events.p, rng.choice([-1, 1], hot * number)]).astype(np.int8)
    order = np.argsort(t)
    examined = seen(recording(Events(t[order], x[order], y[order], p[order], HEIGHT, WIDTH)))
    assert examined.pixels is not None
    assert sorted(examined.pixels.hot.tolist()) == sorted([0, 20 * WIDTH + 41, 20 * WIDTH + 42][:hot])
    assert any("3 hot pixels" in sentence for sentence in findings(examined)) == bool(hot)


def test_edges_are_not_hot():
    counts = np.ones((20, 30), np.int64)
    counts[:, 12] = 1000
    counts[7] = 500
    assert not hot_pixels(counts).size
    counts[3, 3], counts[19, 29] = 90, 100
    assert hot_pixels(counts).tolist() == [19 * 30 + 29, 3 * 30 + 3]
    assert not hot_pixels(np.zeros((4, 4), np.int64)).size


def test_pixels_of_real_recordings_are_not_hot(shared: Path):
    for folder in (shared / "data" / "ijrr_slider_depth", *(shared / "data" / "ijrr_rotation").iterdir()):
        examined = seen(open_stream(folder / "events.txt"))
        assert examined.pixels is not None and not examined.pixels.hot.size, folder


@pytest.mark.parametrize("shift", [0.0, 0.010, -0.020])
def test_the_offset_of_frames_is_found(simulated, shift: float):
    events, _ = simulated
    view = demo.scene(HEIGHT, WIDTH, seed=3)
    offset = of_frames(seen(recording(events, camera(view, np.arange(0.03, 0.46, 0.04), shift), ORIGIN))).offset
    assert offset.seconds is not None and not offset.inverted
    # Events lag by part of a threshold: 2 ms, as without any shift.
    assert offset.seconds == pytest.approx(0.002 - shift, abs=0.0011)
    assert offset.error < 0.002 and offset.correlation is not None and offset.correlation.max() > 0.8


@pytest.mark.parametrize("kind", ["rgb", "uint16", "float32"])
def test_the_offset_is_found_with_frames_of_any_kind(simulated, kind: str):
    events, _ = simulated
    view = demo.scene(HEIGHT, WIDTH, seed=3)

    def convert(picture: np.ndarray) -> np.ndarray:
        if kind == "rgb":
            return np.stack([picture] * 3, -1)
        return (picture * 200.0).astype(kind)

    frames = camera(view, np.arange(0.03, 0.46, 0.04), 0.01, convert)
    offset = of_frames(seen(recording(events, frames, ORIGIN))).offset
    assert offset.seconds == pytest.approx(-0.008, abs=0.0011)


def of_frames(examined: Examination):
    assert examined.frames is not None
    return examined.frames


def test_inverted_polarity_is_told_by_the_frames(simulated):
    events, stream = simulated
    examined = seen(recording(events._replace(p=-events.p), stream.frames[0], ORIGIN))
    assert of_frames(examined).offset.inverted
    assert any("exchange the numbers of --polarity" in sentence for sentence in findings(examined))
    assert findings(seen(stream)) == []


def test_no_offset_is_told_where_there_is_none_to_see(simulated):
    events, stream = simulated
    view = demo.scene(HEIGHT, WIDTH, seed=3)
    times = np.arange(0.02, 0.48, 0.04)
    still = camera(lambda time: view(0.1), times)
    other = camera(lambda time: view(time + 2), times)
    few = camera(view, times[:3])
    away = camera(view, times, shift=7)
    late = camera(view, times, shift=-0.06)
    smaller = camera(view, times, convert=lambda picture: picture[::2, ::2])
    reasons = {
        "same changes": [still, other],
        "fewer than 4": [few, away],
        "50 ms or more": [late],
        "different sensors": [smaller],
    }
    for reason, cases in reasons.items():
        for frames in cases:
            offset = of_frames(seen(recording(events, frames, ORIGIN))).offset
            assert offset.seconds is None and reason in offset.reason
    assert any("after the last event" in sentence for sentence in findings(seen(recording(events, away, ORIGIN))))


def test_the_offset_of_slider_depth_is_that_of_its_exposure(shared: Path):
    examined = seen(open_stream(shared / "data" / "ijrr_slider_depth"))
    offset = of_frames(examined).offset
    assert offset.seconds == pytest.approx(0.007, abs=0.0021) and findings(examined) == []


def test_pairs_that_disagree_give_no_offset():
    at = np.arange(101)
    hills = np.stack([np.exp(-(((at - centre) / 8) ** 2)) for centre in (30, 40, 55, 72)])
    assert "disagree" in peak(hills).reason
    agreed = peak(np.stack([hills[1]] * 4))
    assert agreed.seconds == pytest.approx(-0.010) and agreed.error == 5e-4


def test_frames_to_compare_are_where_events_are_many_and_not_too_close():
    times = np.arange(200) * 10**7
    until = np.where(times < 10**9, times / 1e7, 100 + (times - 10**9) / 1e5)
    chosen = busiest(times, until)
    assert chosen is not None
    assert set(np.diff(chosen)) == {3 * 10**7} and len(chosen) == 21
    assert chosen[0] >= 10**9 and chosen[-1] - chosen[0] <= 10**9
    assert busiest(times[:3], until[:3]) is None
    assert busiest(np.arange(10) * 10**9, np.arange(10.0)) is None


def test_missing_frames_and_falling_times_are_counted():
    order = [0, 10, 20, 60, 50, 70, 80]
    frames = [Frame(time * 10**6, np.full((2, 3), time, np.uint8), (0, 4 * 10**6)) for time in order]
    health = look_at_frames("frames", "gray", frames, 19 * 10**6)
    assert health is not None
    assert (health.falls, health.missing, health.interval) == (1, 2, 0.01)
    assert health.exposure == 0.004 and health.shape == (2, 3) and health.dtype == "uint8"
    assert [frame.time // 10**6 for frame in health.shown] == [0, 20, 80]
    assert look_at_frames("frames", "gray", [], 0) is None
    lone = look_at_frames("frames", "gray", frames[:1], 0)
    assert lone is not None and (lone.interval, lone.missing, len(lone.shown)) == (0, 0, 1)


def test_frames_that_cannot_be_read_are_reported(simulated):
    events, stream = simulated

    def torn(window: Window) -> Iterator[Frame]:
        yield from list(stream.frames[0].read(WHOLE))[:2]
        raise InputError("picture 2: torn")

    examined = seen(recording(events, stream.frames[0]._replace(read=torn), ORIGIN))
    assert findings(examined) == ["the frames cannot be read: picture 2: torn"]
    assert examined.health.events == events.count


def test_memory_to_fit_is_as_measured():
    results = Path(__file__).parents[1] / "experiments" / "benchmarks" / "results" / "memory.json"
    for case in json.loads(results.read_text())["results"]:
        needed = memory.to_fit(case["events"], 1.0, case["height"], case["width"])
        assert needed / 1e6 == pytest.approx(case["fit_mb"], rel=0.12)
        assert pytest.approx(case["baseline_mb"], rel=0.02) == memory.PROGRAM / 1e6


@pytest.mark.parametrize("count, seconds", [(5000, 0.1), (5000, 1.0), (400, 1.0), (400, 10.0), (40_000, 0.3)])
def test_memory_counts_the_intervals_of_the_fit(count: int, seconds: float):
    pixel, t = np.arange(count, dtype=np.uint16) % 16, np.linspace(0, seconds, count)
    events = Events(t, pixel, pixel, np.ones(count, np.int8), 16, 16)
    made = len(list(windows.intervals([events])))
    assert memory.intervals_of(count / 256, seconds) == pytest.approx(made, abs=1, rel=0.05)


def test_memory_counts_the_windows_that_are_fitted_at_once():
    assert memory.PIXELS == parallel.PIXELS


def test_memory_does_not_grow_with_the_length_of_a_recording():
    assert memory.to_fit(10**9, 1800.0, 480, 640) == memory.to_fit(10**8, 180.0, 480, 640) < 3e9


def table(count: int = 4000, seconds: float = 1.0) -> np.ndarray:
    """Sound events at random pixels of a DAVIS240."""
    rng = np.random.default_rng(5)
    t = np.sort(np.round(rng.uniform(0, seconds, count), 6))
    t[0], t[-1] = 0, seconds
    x, y = rng.permutation(np.arange(count)) % 240, rng.permutation(np.arange(count)) % 180
    return np.stack([t, x, y, np.where(np.arange(count) % 2, 1, -1)], axis=1)


def saved(folder: Path, rows: np.ndarray, name: str = "events.npy") -> Path:
    np.save(folder / name, rows)
    return folder / name


def fallen(rows: np.ndarray) -> np.ndarray:
    rows[2000:2002, 0] = rows[1999, 0] - 0.0012, rows[2002, 0]
    return rows


def joined(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows + [4, 0, 0, 0], rows])


def paused(rows: np.ndarray) -> np.ndarray:
    rows[2000:, 0] += 0.5
    return rows


def one_sided(rows: np.ndarray) -> np.ndarray:
    rows[:, 3] = np.where(np.arange(len(rows)) % 10, -1, 1)
    return rows


def cornered(rows: np.ndarray) -> np.ndarray:
    rows[:, 1] %= 100
    return rows


SICK = [
    (lambda rows: rows, {}, None),
    (fallen, {}, r"time goes back 1 time, by up to 1\.2 ms: pass --sort"),
    (joined, {}, "time goes back 1 time, by up to 5 s: a counter overflowed, or recordings were joined"),
    (lambda rows: np.repeat(rows, 2, axis=0), {}, "50.0% of the events are the one before once more"),
    (paused, {}, r"no events for 50\d ms after 0\.\d+ s, the longest of 1 such"),
    (one_sided, {}, "only 10.0% of the events rise: is --polarity right"),
    (lambda rows: rows * [0, 1, 1, 1], {}, "all events have one time"),
    (lambda rows: rows * [1e-7, 1, 1, 1], {}, "4e.10|40 G a second are more than|is --time-unit right"),
    (lambda rows: rows * [1e5, 1, 1, 1], {}, "less than cameras send: is --time-unit right"),
    (cornered, {"height": 180, "width": 240}, "no event has x above 99 or y above 179 on a sensor of 240 x 180"),
    (cornered, {}, "no sensor is known that fits, so 100 x 180 is a guess"),
    (lambda rows: rows, {"height": 65536, "width": 65536}, "65536 x 65536 is no sensor"),
]


@pytest.mark.parametrize("make, options, sentence", SICK)
def test_what_is_wrong_is_said(make, options: dict, sentence: str | None, tmp_path: Path, capsys):
    path = saved(tmp_path, make(table()))
    assert info.run(Info(str(path), read=ReadOptions(**options))) == 0
    told = capsys.readouterr().out
    complaints = [line[2:] for line in told.splitlines() if line.startswith("! ")]
    if sentence is None:
        assert complaints == [] and "looks sound" in told
    else:
        assert len(complaints) == 1 and re.search(sentence, complaints[0]), complaints


def test_a_window_is_what_is_looked_at(tmp_path: Path, capsys):
    path = saved(tmp_path, fallen(table()))
    info.run(Info(str(path), read=ReadOptions(t_start=0.6, t_end=0.9)))
    told = capsys.readouterr().out
    assert "looks sound" in told and "from 0.6" in told and "never goes back" in told


def test_an_absolute_clock_is_shown_as_a_date(simulated):
    _, stream = simulated
    clock = dict(facts(seen(stream._replace(zero=5))))["clock"]
    date = datetime.fromtimestamp(1_600_000_000, UTC)
    assert f"{date:%Y-%m-%d %H:%M:%S} UTC" in clock[0] and "5 ns of which" in clock[0]
    assert "UTC" not in dict(facts(seen(recording(simulated[0]))))["clock"][0]


def test_a_recording_that_cannot_be_used_is_refused(tmp_path: Path):
    rows = table()
    rows[7, 3] = 5
    page = tmp_path / "page.html"
    with pytest.raises(InputError, match="polarity is 5"):
        info.run(Info(str(saved(tmp_path, rows)), html=page))
    assert not page.exists()


def test_the_plot_shows_any_event_and_leaves_silence_empty():
    assert info.bars(np.array([0, 0.001, 0.25, 0.5, 0.75, 1])) == ["    ▄█", " ▁▄███"]
    health = look(blocks(np.array([[0.0, 0, 0, 1], [0.01, 0, 0, 1], [1.0, 0, 0, -1]]), []))
    lines = [line.plain for line in info.plot(health, 10)]
    assert lines[2] == "█" + " " * 9 and lines[5] == " " * 9 + "█" and lines[6] == "0 s" + "1 s".rjust(7)


def test_a_terminal_gets_lines_that_fit(simulated):
    console = Console(width=60, force_terminal=True, record=True, file=StringIO())
    info.tell(console, seen(simulated[1]))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 60 and any("█" in line for line in lines)


def test_names_cannot_steer_the_terminal_or_the_page(simulated, tmp_path: Path):
    name = "<script>alert('1')</script>\x1b[31m\udcff"
    examined = seen(simulated[1])._replace(name=name, assumptions=(f"topic {name}",))
    console = Console(width=200, record=True, file=StringIO())
    info.tell(console, examined)
    told = console.export_text(clear=False)
    assert "\x1b" not in told and "topic <script>" in told
    health.write(tmp_path / "page.html", examined)
    assert "<script" not in (tmp_path / "page.html").read_text("utf-8")


def test_the_page_is_whole_and_asks_no_network(simulated, tmp_path: Path):
    page = health.page(seen(simulated[1]))
    assert not re.search(r"https?:|@import|url\(|<script|<link", page)
    assert all(link.startswith("data:image/") for link in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert page.count("data:image/jpeg") == 3 and page.count("data:image/png") == 2
    for title in ("Rate", "Events of each pixel", "Polarity of each pixel", "Intervals", "Camera frames", "Facts"):
        assert f"<h2>{title}</h2>" in page
    assert "Looks sound." in page


@pytest.mark.parametrize(
    "rows", [[[1.0, 2, 3, 1]], [[1.0, 2, 3, 1], [1.0, 2, 3, 1]], [[0.0, 0, 0, 1], [9, 2000, 3, -1]]]
)
def test_the_smallest_recordings_have_a_page_too(rows: list, tmp_path: Path, capsys):
    path, page = saved(tmp_path, np.array(rows)), tmp_path / "page.html"
    assert info.run(Info(str(path), html=page)) == 0
    assert f"{len(rows)} in" in capsys.readouterr().out and "</html>" in page.read_text()


def test_a_page_is_not_overwritten_unless_asked(tmp_path: Path, capsys):
    path, page = saved(tmp_path, table()), tmp_path / "page.html"
    page.write_text("precious")
    with pytest.raises(InputError, match="page.html: exists already; pass --overwrite"):
        info.run(Info(str(path), html=page))
    with pytest.raises(InputError, match="is no page of evinr"):
        info.run(Info(str(path), html=page, overwrite=True))
    assert page.read_text() == "precious"
    page.unlink()
    for overwrite in (False, True):
        info.run(Info(str(path), html=page, overwrite=overwrite))
    assert "</html>" in page.read_text() and sorted(entry.name for entry in tmp_path.iterdir()) == [
        "events.npy",
        "page.html",
    ]
    with pytest.raises(InputError, match="is a folder"):
        info.run(Info(str(path), html=tmp_path, overwrite=True))
    with pytest.raises(InputError, match="there is no folder"):
        info.run(Info(str(path), html=tmp_path / "none" / "page.html"))


def test_neither_jax_nor_matplotlib_is_waited_for(tmp_path: Path):
    path = saved(tmp_path, table())
    code = (
        "import sys; from evinr.cli import info; from evinr.cli.commands import Info; from pathlib import Path; "
        f"info.run(Info({str(path)!r}, html=Path({str(tmp_path / 'page.html')!r}))); "
        "print([name for name in ('jax', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "told, expected",
    [
        (span(0.0012), "1.2 ms"),
        (span(170.345), "170 s"),
        (span(99999.0), "99,999 s"),
        (span(9.99e-7), "999 ns"),
        (span(0.99999), "1 s"),
        (metric(999.7), "1 k"),
        (metric(12_345_678.0), "12.3 M"),
        (metric(3.0), "3"),
        (data(1.6e6), "1.6 MB"),
        (data(999e6), "1 GB"),
        (data(640e3), "640 kB"),
        (data(32.0), "32 bytes"),
    ],
)
def test_numbers_are_told_with_few_digits(told: str, expected: str):
    assert told == expected
