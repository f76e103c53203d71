"""What came of a sweep: its page, its best runs, and how to fit as the best one did."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import imageio.v2 as iio
import numpy as np
from jaxtyping import UInt8
from rich.console import Console

from evinr.cli.sweep_run import Sweeping
from evinr.cli.sweep_table import Shown, table
from evinr.events import InputError
from evinr.pages import sweep as page
from evinr.sweeping import options, results
from evinr.sweeping.plan import searched
from evinr.sweeping.results import Row


def tell(sweeping: Sweeping, shown: Shown, console: Console) -> None:
    """Write `sweep.html`, print the best runs and where everything is. Raises InputError where there is no run."""
    rows, out, plan = results.read(sweeping.results), sweeping.out, sweeping.plan
    if not rows:
        raise InputError(f"{out}: no run was made, W&B had none to give; pass another --out for a new sweep")
    best = results.best_first(rows, shown.goal)
    sources = [recording.source for recording in sweeping.recordings]
    protocol = sweeping.recordings[0].rules.protocol.name
    facts = [("recordings", ", ".join(sources)), ("scored by", f"{shown.metric}, protocol {protocol}")]
    facts += [("search", plan.method), ("go on", sweeping.again)]
    if console.is_terminal:  # else there is a line for every run
        console.print(table(rows, shown))
    if best[0].metric is not None:
        again = shlex.join(["evinr", "fit", sources[0], *words(best[0].parameters)])
        facts.append(("fit as the best", again))
        console.print(f"best     run {best[0].number}, {shown.metric} {best[0].metric:.4f}: {out / best[0].folder}")
        console.print(f"fit so   {again}")
    previews = _previews(sweeping, best)
    page.write(
        out / "sweep.html", page.Page(plan.name, facts, shown.metric, shown.goal, rows, searched(plan), previews)
    )
    console.print(f"page     {out / 'sweep.html'}\nresults  {sweeping.results}")


def _previews(sweeping: Sweeping, best: Sequence[Row]) -> dict[int, UInt8[np.ndarray, "h w c"]]:
    """The pictures of the best runs that have one."""
    paths = {row.number: sweeping.out / row.folder / "preview.png" for row in best[: page.SHOWN]}
    return {number: iio.imread(path)[..., :3] for number, path in paths.items() if path.exists()}


def words(values: Mapping[str, Any]) -> list[str]:
    """A run's values as options of `evinr fit`."""
    said = []
    for name, value in options.flat(values).items():
        option = name.replace("_", "-")
        if value is not None and options.options()[name].whole:  # W&B's engine also says 16.0
            value = int(value)
        if isinstance(value, bool):
            said.append(f"--{option}" if value else f"--no-{option}")
        elif name != "source" and value is not None:
            said += [f"--{option}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return said
