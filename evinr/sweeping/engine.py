"""W&B's search engine, the package `sweeps` 0.2.0, as two pure functions of a plan and of what is known."""

import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from evinr.sweeping import schema
from evinr.sweeping.plan import Plan
from evinr.sweeping.results import Row


def suggest(plan: Plan, rows: Sequence[Row], seed: int) -> dict[str, Any] | None:
    """The parameter values of the next run, nested as in the file.

    None when there is no next run: all of a grid was tried, a run came to the metric's `target`, or there are as many
    as `run_cap`. Depends on nothing but its arguments, so that a sweep that was killed goes on as if it had not been.
    """
    if len(rows) >= plan.config.get(schema.CAP, math.inf) or any(_reached(plan, row) for row in rows):
        return None
    known = [_run(plan, row, _searched_by(plan, row)) for row in rows]
    with _seeded(seed, len(rows)):
        found = schema.engine().next_run(plan.config, known)
    return None if found is None else {name: _plain(of["value"]) for name, of in found.config.items()}


def stops(plan: Plan, rows: Sequence[Row], history: Sequence[float]) -> bool:
    """Whether a run with this course of the metric is to end early, by Hyperband as W&B does it.

    It is, where at a band (the number of values that the plan names, and so on times `eta`) the best of it is worse
    than the best `1 / eta` of all runs were there.
    """
    engine = schema.engine()
    runs = [_run(plan, row, row.history) for row in rows]
    now = engine.SweepRun(name="now", state="running", sampledHistory=[{plan.metric: value} for value in history])
    return bool(engine.stop_runs(plan.config, [*runs, now]))  # of those that run, and none other does


def _reached(plan: Plan, row: Row) -> bool:
    target = plan.config.get("metric", {}).get("target")
    if target is None or row.state != "finished" or row.metric is None:
        return False
    return row.metric <= target if plan.goal == "minimize" else row.metric >= target


def _searched_by(plan: Plan, row: Row) -> Sequence[float]:
    """The course that the search is told of. It takes the best of a course for the metric, and what a run scored on the
    windows it had first is not its score; only of a run that failed it may be asked for, by the metric's `impute`."""
    asked = plan.config.get("metric", {}).get("impute", "worst") != "worst"
    return row.history if row.state == "failed" and asked else ()


def _run(plan: Plan, row: Row, history: Sequence[float]) -> Any:
    """A row as the engine knows runs. One that was stopped counts with the metric that it came to."""
    scored = plan.metric is not None and row.state != "failed" and row.metric is not None and math.isfinite(row.metric)
    return schema.engine().SweepRun(
        name=row.id,
        state="failed" if row.state == "failed" else "finished",
        config={name: {"value": value} for name, value in _unnested(row.parameters)},
        summaryMetrics={plan.metric: row.metric} if scored else {},
        sampledHistory=[{plan.metric: value} for value in history],
    )


def _unnested(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Values by the engine's own names. It looks for them in runs, too, but does not unnest those itself, so that a
    nested grid would begin anew for ever, and a nested search learn nothing."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _unnested(value, f"{above}{name}{schema.engine().params.HyperParameterSet.NESTING_DELIMITER}")
        else:
            yield f"{above}{name}", value


@contextmanager
def _seeded(seed: int, count: int) -> Iterator[None]:
    """The engine draws from the generators that all share: they are as before afterwards. Its warnings, of a process
    that was fitted badly to few runs, tell nobody anything. One thread: sums depend on how many there are, and on a busy
    machine two took three times as long."""
    from threadpoolctl import threadpool_limits

    before, before_numpy = random.getstate(), np.random.get_state()
    python, numpy = np.random.SeedSequence([seed, count]).generate_state(2).tolist()
    random.seed(python)
    np.random.seed(numpy)
    try:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


def _plain(value: Any) -> Any:
    """The value without NumPy's types, for JSON and YAML."""
    if isinstance(value, dict):
        return {name: _plain(of) for name, of in value.items()}
    return value.item() if isinstance(value, np.generic | np.ndarray) else value
