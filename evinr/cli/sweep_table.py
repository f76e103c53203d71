"""What a sweep shows while it goes on: its runs, best first, and the time left."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from evinr.sweeping.options import flat
from evinr.sweeping.plan import Goal
from evinr.sweeping.results import Row, best_first

LINES = 15
"""Runs shown at most: the best."""


class Shown(NamedTuple):
    """What of a sweep is shown."""

    metric: str
    goal: Goal
    parameters: Sequence[str]
    """Those that vary, by their options' names."""
    wanted: int
    """Runs in all."""


class Board(NamedTuple):
    """Is told how the sweep goes on."""

    begun: Callable[[int, Mapping[str, Any]], None]
    """A run's number and values."""
    ended: Callable[[Row], None]


@contextmanager
def board(console: Console, shown: Shown, rows: Sequence[Row]) -> Iterator[Board]:
    """A live table on a terminal, below it the time left; elsewhere a line for every run."""
    if not console.is_terminal:
        yield Board(lambda number, values: None, lambda row: console.print(line(row, shown)))
        return
    there, current, since = list(rows), None, time.monotonic()

    def begun(number: int, values: Mapping[str, Any]) -> None:
        nonlocal current, since
        current, since = (number, values), time.monotonic()

    def ended(row: Row) -> None:
        nonlocal current
        there.append(row)
        current = None

    def drawn() -> RenderableType:
        seconds = time.monotonic() - since if current else 0.0
        left = time_left([row.seconds for row in there], seconds, shown.wanted)
        hint = "Ctrl-C stops when what is fitted is saved" if current else "waiting for the next"
        return Group(table(there, shown, current, seconds), f"{len(there)} of {shown.wanted} runs{left}; {hint}")

    with Live(console=console, get_renderable=drawn, refresh_per_second=2, transient=True):
        yield Board(begun, ended)


def table(
    rows: Sequence[Row], shown: Shown, current: tuple[int, Mapping[str, Any]] | None = None, seconds: float = 0.0
) -> Table:
    """The best runs, best first, and above them the one in hand, which has taken `seconds` so far."""
    drawn = Table(box=None, pad_edge=False)
    for title in ("run", shown.metric, *shown.parameters, "seconds", "state"):
        right = title != "state"
        drawn.add_column(title, overflow="fold", justify="right" if right else "left", min_width=0 if right else 8)
    if current is not None:
        number, values = current
        drawn.add_row(str(number), "", *_cells(values, shown), f"{seconds:.0f}", "running", style="bold")
    best = best_first(rows, shown.goal)
    for row in best[:LINES]:
        drawn.add_row(str(row.number), _score(row), *_cells(row.parameters, shown), f"{row.seconds:.0f}", row.state)
    if len(best) > LINES:
        drawn.add_row("", f"and {len(best) - LINES} more", *[""] * len(shown.parameters), "", "")
    return drawn


def line(row: Row, shown: Shown) -> str:
    """A run in one line."""
    cells = zip(shown.parameters, _cells(row.parameters, shown), strict=True)
    values = ", ".join(f"{name} {value}" for name, value in cells)
    said = row.error if row.state == "failed" else f"{shown.metric} {_score(row)}"
    return f"run {row.number} {row.state}, {row.number + 1} of {shown.wanted}: {said} ({values}) {row.seconds:.1f} s"


def time_left(seconds: Sequence[float], running: float, count: int) -> str:
    """What the runs that are missing will take, by the mean of those that are there."""
    if not seconds:
        return ""
    mean = sum(seconds) / len(seconds)
    left = max(mean - running, 0) + mean * (count - len(seconds) - 1)
    minutes, rest = divmod(round(max(left, 0)), 60)
    return f", {minutes // 60:d}:{minutes % 60:02d}:{rest:02d} left"


def _score(row: Row) -> str:
    return "-" if row.metric is None else f"{row.metric:.4f}"


def _cells(values: Mapping[str, Any], shown: Shown) -> list[str]:
    told = flat(values)
    return [f"{value:.4g}" if isinstance(value := told.get(name), float) else str(value) for name in shown.parameters]
