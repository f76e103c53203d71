"""The benchmarks of time, growth and real time: their laws, and tiny runs of each."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import read
from evinr.config import PAPER, FitConfig
from evinr.windows import windows
from experiments.benchmarks import convergence, growth, known_recordings, long_recordings, original, real_time
from experiments.benchmarks import time_to_quality as quality
from experiments.benchmarks.convergence import Point, Seconds
from experiments.benchmarks.points import kept

SMALL = 24, 16
"""Width and height."""
FEW = FitConfig(intervals=8, overlap=2, iterations=4, warm_iterations=2)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch):
    """What would run in new processes runs in this one, and leaves JAX as it is."""

    def here(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    for module in (quality, growth, real_time):
        monkeypatch.setattr(module, "fresh", here)
    for module in (convergence, real_time):
        monkeypatch.setattr(module, "start_backend", lambda: None)
    monkeypatch.setattr(convergence.devices, "compilation_cache", lambda: None)


def counts(events: Any) -> np.ndarray:
    """Rising less falling events of every pixel."""
    pixel = events.y.astype(int) * events.width + events.x
    return np.bincount(pixel, weights=events.p, minlength=events.height * events.width)


def test_a_lap_ends_as_it_began_and_moves_all_the_way():
    lap = long_recordings.lap(48, 64)
    assert lap.count > 2000 and 0 <= lap.t[0] and lap.t[-1] <= 1 and (np.diff(lap.t) >= 0).all()
    np.testing.assert_array_equal(counts(lap), 0)
    # Forth and back, slowly where it turns; and pixels do not fire all at once when they see a look again.
    tenths = np.histogram(lap.t, 10, (0, 1))[0] / lap.count
    assert (tenths[[0, 4, 5, 9]] < 0.1).all() and (tenths[[1, 2, 3, 6, 7, 8]] > 0.03).all() and tenths.max() < 0.25


def test_laps_follow_each_other_at_the_rate_that_is_asked(tmp_path: Path):
    lap = long_recordings.lap(24, 32)
    count, rate = 2 * lap.count + 100, 50_000.0
    blocks = list(long_recordings.laps(lap, count, rate))
    t, x, y, p = (np.concatenate(column) for column in zip(*blocks, strict=True))
    assert len(t) == count and (t % 1000 == 0).all() and (np.diff(t) >= 0).all()
    period = t[lap.count] - t[0]
    assert period == pytest.approx(lap.count / rate * 1e9, abs=1000)
    np.testing.assert_array_equal(t[lap.count : 2 * lap.count] - t[: lap.count], period)
    np.testing.assert_array_equal(x[lap.count : 2 * lap.count], lap.x)
    path = long_recordings.evt2_of(tmp_path / "laps.raw", blocks, 24, 32)
    events = read(path).events
    assert (events.height, events.width) == (24, 32)
    np.testing.assert_allclose(events.t, t / 1e9, atol=1e-9)
    np.testing.assert_array_equal(events.y, y)
    np.testing.assert_array_equal(events.p, 2 * p - 1)


@pytest.mark.parametrize("count", [1, 3])
def test_a_simulated_recording_is_so_many_windows_and_no_more(count: int, tmp_path: Path):
    known = known_recordings.simulated(*SMALL, count, 5, FEW)
    cut = list(windows([known.events], FEW))
    assert [window.shared for window in cut] == [0, *[FEW.overlap + 1] * (count - 1)]
    assert known.truth.shape == (5, 16, 24) and known.truth.std() > 0.05
    assert known.events.t[0] < known.times[0] and known.times[-1] < known.events.t[-1]
    known_recordings.save(tmp_path / "known.npz", known)
    again = known_recordings.load(tmp_path / "known.npz")
    for kept_one, one in zip((*again.events, *again[1:]), (*known.events, *known[1:]), strict=True):
        np.testing.assert_array_equal(kept_one, one)


def test_a_curve_tells_where_its_final_and_its_highest_score_are_near():
    scores = {2: 0.5, 4: 0.8, 8: 0.797, 16: 0.81, 40: 0.804, 80: 0.9, 160: 0.895}
    points = [Point(count, count / 100, score) for count, score in scores.items()]
    assert quality.stops(points, 40) == {
        "default": 40,
        "to_99_of_final": 4,
        "to_99_of_converged": 80,
        "to_99_of_highest": 80,
    }
    timings = {count: [quality.Timing(3.0 + k, 2.0 + k, float(count + k)) for k in range(3)] for count in (4, 40, 80)}
    ours = quality.of_fits(points, 40, timings)
    assert (ours["final"], ours["converged"], ours["highest"]) == (0.804, 0.895, 0.9)
    assert ours["seconds"]["to_99_of_final"] == {"cold": 4.0, "cached": 3.0, "compiled": 5.0}
    assert ours["seconds"]["default"]["compiled"] == 41.0


def test_a_negative_score_is_neared_from_below():
    points = [Point(10, 1.0, -0.3), Point(20, 2.0, -0.1005), Point(30, 3.0, -0.1)]
    assert quality.of_steps(points)["steps_to_99_of_final"] == 20
    assert quality.of_steps(points) | {"curve": []} == {
        "final": -0.1, "seconds": 3.0, "seconds_to_99_of_final": 2.0, "steps_to_99_of_final": 20, "curve": []
    }  # fmt: skip


def test_half_of_extrapolated_steps_take_the_first_pace_and_half_the_second():
    assert quality.extrapolated(1000, 0.1, 0.3, 2.0)["seconds"] == pytest.approx(2 + 500 * 0.1 + 500 * 0.3)


def test_parts_of_a_fit_are_parts_of_all_its_iterations():
    half = convergence.part(FitConfig(iterations=40, warm_iterations=12, revisions=8), 0.5)
    assert (half.iterations, half.warm_iterations, half.revisions) == (20, 6, 4)
    least = convergence.part(FitConfig(revisions=0), 0.001)
    assert (least.iterations, least.warm_iterations, least.revisions) == (1, 1, 0)
    assert convergence.part(PAPER, 0.5).steps == 500
    assert convergence.iterations(PAPER) == 1000 and convergence.iterations(half) == 20


def test_what_is_measured_is_not_measured_again_unless_asked_otherwise(tmp_path: Path):
    cfg, asked = growth.Growth(scratch=tmp_path), list[float]()

    def measure() -> dict[str, Any]:
        asked.append(1)
        return {"seconds": 4.5}

    def point(cfg: growth.Growth, name: str = "a") -> dict[str, Any]:
        return kept(tmp_path, name, cfg, measure, "events", "sensors")

    first = point(cfg)
    assert first["seconds"] == 4.5 and "commit" in first["from"] and len(asked) == 1
    assert point(cfg) == first
    assert point(replace(cfg, events=(1, 2), out=tmp_path / "other.json")) == first and len(asked) == 1
    point(cfg, "b")
    point(replace(cfg, rate=5.0))
    assert len(asked) == 3


def test_the_line_has_the_slope_and_its_residual_is_relative():
    x = np.array([10.0, 50.0, 500.0])
    exact = growth.line(x, 2 + 0.03 * x)
    assert exact["at_zero"] == pytest.approx(2) and exact["slope"] == pytest.approx(0.03)
    assert exact["largest_relative_residual"] < 1e-12
    y = (2 + 0.03 * x) * np.array([1.3, 1.0, 1.1])
    bent = growth.line(x, y)

    def residuals(at_zero: float, slope: float) -> np.ndarray:
        return (bent["at_zero"] + at_zero + (bent["slope"] + slope) * x) / y - 1

    assert bent["largest_relative_residual"] == pytest.approx(np.abs(residuals(0, 0)).max())
    for other in ((0.01, 0), (-0.01, 0), (0, 1e-4), (0, -1e-4)):
        assert np.square(residuals(*other)).sum() > np.square(residuals(0, 0)).sum()


def test_growth_measures_each_point_once_and_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commands = list[list[str]]()

    def run(scratch: Path, words: list[str]) -> dict[str, Any]:
        commands.append(words)
        if words:
            events = read(words[1]).events
            folder = scratch / "runs" / "laps" / "windows"
            folder.mkdir(parents=True)
            for name in ("000000.npz", "000001.npz", "index.txt"):
                (folder / name).write_bytes(bytes(1000))
            return {"seconds": 1.0 + events.count / 1e5, "peak_mb": 400.0}
        return {"seconds": 1.0, "peak_mb": 300.0}

    monkeypatch.setattr(growth, "run", run)
    sizes = {"size": (32, 24), "sensors": ((32, 24), (48, 36)), "rate": 20_000.0}
    cfg = growth.Growth((5_000,), **sizes, fit="--windows parallel", scratch=tmp_path, out=tmp_path / "growth.json")
    growth.main(cfg)
    assert len(commands) == 4 and commands[1][2] == "--out" and commands[1][4:] == ["--windows", "parallel"]
    growth.main(replace(cfg, events=(5_000, 20_000)))
    assert len(commands) == 5
    results = json.loads(cfg.out.read_text())["results"]
    assert [point["events"] for point in results["recordings"]] == [5_000, 20_000]
    assert results["recordings"][1]["seconds_of_recording"] == 1.0
    assert {point["above_baseline_mb"] for point in results["recordings"] + results["sensors"]} == {100.0}
    assert results["recordings"][0]["run_gb"] == 3e-6 and results["recordings"][0]["windows"] == 2
    assert results["seconds_of_events"]["slope"] == pytest.approx(1e-5)
    assert cfg.out.with_suffix(".png").stat().st_size > 1000
    assert not list(tmp_path.rglob("*.raw"))


def test_a_command_is_timed_and_its_memory_read(tmp_path: Path):
    path = long_recordings.evt2_of(
        tmp_path / "few.raw", long_recordings.laps(long_recordings.lap(24, 32), 500, 1e4), 24, 32
    )
    point = growth.run(tmp_path, ["info", str(path)])
    assert point["seconds"] > 0 and 20 < point["peak_mb"] < 2000


TORCH = """
import contextlib
import numpy as np
from types import SimpleNamespace as Any

__version__, float32 = "none", np.float32
cuda, optim = Any(is_available=lambda: False), Any(AdamW=lambda params, lr: Any(zero_grad=int, step=int))
device, manual_seed, get_num_threads, no_grad = (lambda name: Any(type=name)), int, (lambda: 1), contextlib.nullcontext
set_num_threads = int


class Tensor(np.ndarray):
    cpu = lambda self: self
    numpy = lambda self: np.asarray(self)


tensor = lambda values, dtype, device: np.array(values, dtype).view(Tensor)
"""
CHECKOUT = {
    "torch.py": TORCH,
    "event_data.py": """
import numpy as np

class EventData:
    def __init__(self, path, start, end, H, W, colour, threshold, device):
        print("prints as the original does")
        events = np.load(path)
        assert abs(end - (events[-1, 0] - events[0, 0])) < 1e-9 and (start, colour, threshold) == (0, False, 1)
        self.H, self.W = H, W

    def stack_event_frames(self, count):
        self.timestamps = self.event_frames = count
""",
    "model.py": """
from types import SimpleNamespace as Any

class EvINRModel:
    def __init__(self, layers, width, H, W, recon_colors):
        self.net, self.size, self.frames = Any(parameters=list), (H, W), []

    def to(self, device):
        return self

    def __call__(self, times):
        if isinstance(times, int):
            self.frames.append(times)
            return times
        import numpy as np
        value = times[:, :, None, None] + 10 * len(self.frames) + 1000 * self.frames.count(100)
        return np.broadcast_to(value, (len(times), *self.size, 1)).view(type(times))

    def get_losses(self, prediction, frames):
        assert prediction == frames
        return Any(backward=int)
""",
}
"""A checkout that only counts: its pictures are times in [-1, 1], plus 10 a step, plus 1000 a step on 100 frames."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name, content in CHECKOUT.items():
        (folder / name).write_text(content)
    return folder


def test_the_original_is_stepped_with_twice_the_frames_from_half_way(checkout: Path, tmp_path: Path):
    events = known_recordings.simulated(*SMALL, 1, 1, FEW).events
    start, end = float(events.t[0]), float(events.t[-1])
    with original.at_work(checkout, Path(sys.executable), events, 10, 0, tmp_path) as work:
        assert work.about["torch"] == "none" and work.stacking >= 0
        assert work.steps(4) >= 0
        times = np.array([start, (start + end) / 2, end])
        np.testing.assert_allclose(work.log_intensity(times)[:, 3, 5], [39, 40, 41], atol=1e-5)
        work.steps(6)
        pictures = work.log_intensity(times[1:2])
        assert pictures.shape == (1, 16, 24)
        np.testing.assert_allclose(pictures, 10 * 10 + 5 * 1000, atol=1e-3)
    assert work.process.poll() is not None


def test_time_to_quality_compares_all_methods(checkout: Path, tmp_path: Path):
    paper = replace(PAPER, steps=40, hidden=16, basis=8, depth=1, knots=6)
    cfg = quality.TimeToQuality(
        ("24x16:2",), checkout, Path(sys.executable), ours=FEW, paper=paper, parts=(0.5, 1.0, 2.0), repeats=2,
        every=15, pictures=3, scratch=tmp_path, out=tmp_path / "quality.json",
    )  # fmt: skip
    quality.main(cfg)
    (case,) = json.loads(cfg.out.read_text())["results"]["cases"]
    assert case["windows"] == 2 and set(case["ours"]) == {"ours", "ours, sequential"}
    for method in case["ours"].values():
        assert [point["iterations"] for point in method["curve"]] == [2, 4, 8]
        assert method["final"] == method["curve"][1]["score"] and method["highest"] >= method["final"] > 0
        assert len(method["all_seconds"]["4"]) == 2
    assert [point["iterations"] for point in case["others"]["original"]["curve"]] == [15, 20, 35, 40]
    assert [point["iterations"] for point in case["others"]["paper"]["curve"]] == [20, 40]
    table = cfg.out.with_suffix(".md").read_text().splitlines()
    assert len(table) == 2 + 4 and len({line.count("|") for line in table}) == 1
    assert cfg.out.with_suffix(".png").stat().st_size > 1000


def test_large_sensors_are_extrapolated(checkout: Path, tmp_path: Path):
    paper = replace(PAPER, hidden=16, basis=8, depth=1, knots=6)
    cfg = quality.TimeToQuality(
        ("24x16",), checkout, Path(sys.executable), ours=FEW, paper=paper, parts=(0.5, 1.0), repeats=1, pictures=2,
        in_full=100, sampled=3, scratch=tmp_path, out=tmp_path / "quality.json",
    )  # fmt: skip
    quality.main(cfg)
    (case,) = json.loads(cfg.out.read_text())["results"]["cases"]
    for other in case["others"].values():
        assert other["extrapolated"] and "final" not in other and set(case["ours"]) == {"ours"}
        assert other["seconds"] >= 500 * sum(other["seconds_per_step"])
    assert "(extrapolated)" in cfg.out.with_suffix(".md").read_text()


def test_real_time_and_bandwidth_of_both_modes(tmp_path: Path):
    cfg = real_time.RealTime(
        (SMALL,), seconds=1.0, rate=60.0, config=FEW, repeats=2, steps=3, large=1000, out=tmp_path / "real_time.json"
    )
    real_time.main(cfg)
    results = json.loads(cfg.out.read_text())["results"]
    one, many = results["real_time"]
    assert (one["windows_at_once"], many["windows_at_once"]) == (1, FEW.batch) and one["windows"] == many["windows"] > 1
    for case in (one, many):
        assert case["times_real_time"] == pytest.approx(case["seconds_of_recording"] / case["seconds"])
        assert 0 < case["least_gb_per_step"] < case["gb_per_step"]
    # 9 values and velocities read and written, 8 images, 3 knots of either neighbour.
    assert one["least_gb_per_step"] * 1e9 == 4 * 24 * 16 * (9 * 2 * 2 + 8 + 3 * 2)
    assert cfg.out.with_suffix(".png").stat().st_size > 1000
    assert results["ceiling_gb_per_second"].keys() == {"scale", "triad"}


def test_seconds_are_of_a_first_and_of_a_second_fit(tmp_path: Path):
    known_recordings.save(tmp_path / "known.npz", known_recordings.simulated(*SMALL, 1, 2, FEW))
    took = convergence.seconds(tmp_path / "known.npz", FEW, None)
    assert isinstance(took, Seconds) and min(took) > 0
    points = convergence.curve(tmp_path / "known.npz", [replace(FEW, iterations=n) for n in (1, 20)], 2)
    assert all(early.score < late.score for early, late in pairwise(points))
