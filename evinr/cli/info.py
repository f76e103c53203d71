"""`evinr info`: how sound a recording is and what it needs, told on the console and, if asked, on a page."""

from pathlib import Path
from textwrap import wrap

import numpy as np
from jaxtyping import Float64
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from converters.door import open_stream, recording_name
from converters.examine import Examination, examine
from converters.health import Health, events_until
from evinr.cli.commands import Info
from evinr.pages import require_place
from evinr.pages.health_facts import facts, findings, metric, span

BLOCKS = " ▁▂▃▄▅▆▇█"
ROWS = 2
"""Lines of a plot."""
MARGIN, WIDEST = 12, 100
"""Columns of the labels beside it, and its own at most."""


def run(command: Info) -> int:
    """Look at a recording and tell; 0 even where much is wrong with it."""
    if command.html is not None:
        require_place(command.html, command.overwrite)
    name = recording_name(command.source)
    stream = open_stream(Path(command.source), command.read)
    console = Console(highlight=False, markup=False)
    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("events", total=1.0)
        seen = examine(
            stream, command.read, name, lambda what, done: bar.update(task, description=what, completed=done)
        )
    tell(console, seen)
    if command.html is not None:
        from evinr.pages import health  # colour maps and encoders, for the page only

        health.write(command.html, seen)
        console.print(f"written: {command.html}", soft_wrap=True)
    return 0


def tell(console: Console, seen: Examination) -> None:
    """Print what was seen, the rate as a plot, and what looks wrong."""
    width = max(console.width - MARGIN, 20)

    def line(label: str, text: Text) -> None:
        console.print(Text.assemble((f"{label:{MARGIN}}", "dim"), text), soft_wrap=True)

    console.print(Text(printable(seen.name), "bold"), soft_wrap=True)
    for fact in facts(seen):
        label = fact.label
        for said in fact.lines:
            # Wrapped beside the label on a terminal; whole in a pipe, to be searched.
            for part in wrap(printable(said), width) if console.is_terminal else [printable(said)]:
                line(label, Text(part))
                label = ""
        if fact.label == "events" and console.encoding.startswith("utf") and seen.health.seconds:
            for row in plot(seen.health, min(width, WIDEST)):
                line("", row)
    found = findings(seen)
    for sentence in found:
        console.print(Text(f"! {printable(sentence)}", "yellow"), soft_wrap=not console.is_terminal)
    if not found:
        console.print(Text("looks sound", "green"))


def printable(text: str) -> str:
    """The text without control codes and what is no character, as names from files may have."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def plot(health: Health, columns: int) -> list[Text]:
    """Lines with rising and falling events a second over time, both to the same scale."""
    edges = np.linspace(health.start, health.end, columns + 1)
    falling, rising = np.diff(events_until(health, edges)) * columns / health.seconds
    top = float(max(falling.max(), rising.max()))
    lines = list[Text]()
    column = span(health.seconds / columns)
    for values, what, style in ((rising, "rising", "red"), (falling, "falling", "bright_blue")):
        lines.append(Text(f"{what}, up to {metric(float(values.max()))} a second ({column} each)", "dim"))
        lines += [Text(line, style) for line in bars(values / top)]
    first, last = f"{health.start:.6g} s", f"{health.end:.6g} s"
    return [*lines, Text(f"{first}{last:>{columns - len(first)}}", "dim")]


def bars(heights: Float64[np.ndarray, " n"]) -> list[str]:
    """Lines of characters as bars of heights from 0 to 1, the upper line first; only 0 is empty."""
    eighths = np.ceil(np.clip(heights, 0, 1) * 8 * ROWS).astype(int)
    lines = [np.clip(eighths - 8 * row, 0, 8) for row in reversed(range(ROWS))]
    return ["".join(BLOCKS[height] for height in line) for line in lines]
