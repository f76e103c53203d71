"""Pictures of results, made from their JSON: `python -m experiments.benchmarks.plots RESULTS.json` draws one again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"ours": "C0", "ours, sequential": "C2", "paper": "C1", "original": "C3"}


def draw(path: Path) -> None:
    """Draw a result beside its JSON."""
    results = json.loads(path.read_text())["results"]
    figure = next(draws for name, draws in KINDS.items() if name in results)(results)
    figure.savefig(path.with_suffix(".png"), dpi=100)
    print(f"drawn to {path.with_suffix('.png')}")


def time_to_quality(results: dict[str, Any]) -> Figure:
    """Score against seconds, a panel for each recording; a dot where 99 % of the final score is reached."""
    cases = results["cases"]
    columns = min(len(cases), 4)
    rows = -(-len(cases) // columns)
    figure = Figure((3.2 * columns, 2.7 * rows), layout="constrained")
    for case, axis in zip(cases, figure.subplots(rows, columns, squeeze=False).flat, strict=False):
        lines = {name: method for name, method in (case["ours"] | case["others"]).items() if "curve" in method}
        for name, method in lines.items():
            seconds, scores = ([point[key] for point in method["curve"]] for key in ("seconds", "score"))
            axis.semilogx(seconds, scores, color=COLOURS[name], label=name, linewidth=1.2)
            goal = method["final"] - 0.01 * abs(method["final"])
            at = next(index for index, score in enumerate(scores) if score >= goal)
            axis.plot(seconds[at], scores[at], "o", color=COLOURS[name], markersize=4)
        for name, method in case["others"].items():
            if "extrapolated" in method:
                axis.axvline(
                    method["seconds"], color=COLOURS[name], linestyle=":", label=f"{name}, in all (extrapolated)"
                )
        windows = f", {case['windows']} windows" if case["windows"] > 1 else ""
        axis.set_title(f"{case['case'].partition(':')[0]}{windows}", fontsize=9)
        axis.set_xlabel("seconds, ours compiled", fontsize=8)
        axis.set_ylabel("correlation", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=6)
    for axis in figure.axes[len(cases) :]:
        axis.remove()
    return figure


def growth(results: dict[str, Any]) -> Figure:
    """Seconds and memory against events, and against pixels."""
    figure = Figure((7.0, 5.2), layout="constrained")
    axes = figure.subplots(2, 2)
    recordings, sensors = results["recordings"], results["sensors"]
    events = np.array([point["events"] / 1e6 for point in recordings])
    pixels = [point["width"] * point["height"] / 1e6 for point in sensors]
    for line, points, x, label in (
        (axes[0], recordings, events, "million events"),
        (axes[1], sensors, pixels, "megapixels"),
    ):
        _dots(line[0], x, [point["seconds"] for point in points], label, "seconds")
        _dots(line[1], x, [point["above_baseline_mb"] / 1e3 for point in points], label, "GB above imports")
    if fit := results.get("seconds_of_events"):
        axes[0][0].plot(events, fit["at_zero"] + fit["slope"] * 1e6 * events, "k:", linewidth=1)
        axes[0][0].set_title(f"{fit['slope'] * 1e6:.3g} s per million events", fontsize=8)
    return figure


def real_time(results: dict[str, Any]) -> Figure:
    """Seconds of recording per second of work, and the part of the memory's ceiling that a step reaches."""
    cases = results["real_time"]
    names = [f"{case['width']} x {case['height']}\n{case['mode']}" for case in cases]
    figure = Figure((1.6 * len(cases) + 1.5, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.bar(names, [case["times_real_time"] for case in cases])
    left.axhline(1.0, color="k", linestyle=":", linewidth=1)
    left.set_title("times as fast as real time", fontsize=9)
    right.bar(names, [case["part_of_ceiling"] for case in cases])
    right.set_title("part of the memory's ceiling", fontsize=9)
    for axis in (left, right):
        axis.tick_params(labelsize=7)
    return figure


def _dots(axis: Axes, x: Any, y: list[float], horizontal: str, vertical: str) -> None:
    axis.plot(x, y, "o-", markersize=4, linewidth=1)
    axis.set_xlabel(horizontal, fontsize=8)
    axis.set_ylabel(vertical, fontsize=8)
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)


KINDS: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "cases": time_to_quality,
    "recordings": growth,
    "real_time": real_time,
}
"""What draws a result, by a key that it has."""


if __name__ == "__main__":
    tyro.cli(draw)
