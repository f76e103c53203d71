"""W&B's engine suggests and stops by what is known alone, whatever became of the process that asked before."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evinr.cli.commands import Fit
from evinr.sweeping import engine, plan
from evinr.sweeping.results import Row

SMOOTH = "smooth: {distribution: log_uniform_values, min: 1e-2, max: 1e2}"
NESTED = "fit: {parameters: {tie: {values: [0.1, 0.2]}, warm-iterations: {min: 3, max: 5}}}"
FILES = {
    "grid": f"method: grid\nparameters:\n  hidden: {{values: [64, 128]}}\n  {NESTED}\n",
    "random": f"method: random\nparameters:\n  {SMOOTH}\n  {NESTED}\n  bayer: {{values: [null, rggb]}}\n",
    "bayes": f"method: bayes\nmetric: {{name: mse}}\nparameters:\n  {SMOOTH}\n  {NESTED}\n  precision: {{value: float64}}\n",
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], plan.Plan]:
    def read(text: str) -> plan.Plan:
        (tmp_path / "sweep.yaml").write_text(text)
        return plan.read(tmp_path / "sweep.yaml", Fit())

    return read


def row(number: int, parameters: dict[str, Any], metric: float | None, **others: Any) -> Row:
    return Row(
        **{
            "number": number, "id": f"r{number}", "state": "finished", "parameters": parameters, "scores": {}, "metric": metric,
            "history": [], "seconds": 1.0, "folder": f"runs/{number}", "error": None, **others,
        }
    )  # fmt: skip


def loss(values: dict[str, Any]) -> float:
    """Best at smooth = 1, tie = 0.2, 4 steps."""
    told = plan.flat(values)
    return np.log10(told.get("smooth", 1.0)) ** 2 + abs(told["tie"] - 0.2) + 0.1 * abs(told["warm_iterations"] - 4)


def swept(of: plan.Plan, count: int, seed: int = 0, rows: list[Row] | None = None) -> list[Row]:
    rows = list(rows or [])
    while len(rows) < count and (values := engine.suggest(of, rows, seed)) is not None:
        state = "failed" if len(rows) == 3 else "finished"
        rows.append(row(len(rows), values, None if state == "failed" else float(loss(values)), state=state))
    return rows


@pytest.mark.parametrize("method", list(FILES))
def test_a_sweep_that_was_killed_goes_on_as_if_it_had_not_been(method: str, read: Callable[[str], plan.Plan]):
    of = read(FILES[method])
    whole = swept(of, 7)
    assert len({json.dumps(each.parameters) for each in whole}) == 7
    for after in (1, 5):
        random.seed(after)
        np.random.seed(after)
        known = json.loads(json.dumps([each._asdict() for each in whole[:after]]))
        assert swept(of, 7, rows=[Row(**each) for each in known]) == whole
    assert (swept(of, 7, seed=1) == whole) == (method == "grid")


@pytest.mark.parametrize("method", list(FILES))
def test_what_it_suggests_is_plain_and_is_a_fit(method: str, read: Callable[[str], plan.Plan]):
    of = read(FILES[method])
    for each in swept(of, 9):
        assert json.loads(json.dumps(each.parameters)) == each.parameters
        assert set(each.parameters) == set(of.config["parameters"]) and set(each.parameters["fit"]) == {
            "tie",
            "warm-iterations",
        }
        fit = plan.command(each.parameters, Fit()).fit
        assert fit.tie in (0.1, 0.2) and fit.warm_iterations in (3, 4, 5) and 0.01 <= fit.smooth <= 100


def test_the_generators_that_all_share_are_left_as_they_were(read: Callable[[str], plan.Plan]):
    before, before_numpy = random.getstate(), np.random.get_state(legacy=False)
    with engine._seeded(0, 3):  # by itself: beartype draws from Python's generator for its own checks
        drawn = random.random(), np.random.random()
    assert random.getstate() == before
    engine.suggest(read(FILES["bayes"]), [], 0)
    np.testing.assert_equal(np.random.get_state(legacy=False), before_numpy)
    with engine._seeded(0, 3):
        assert (random.random(), np.random.random()) == drawn
    with engine._seeded(0, 4):
        assert (random.random(), np.random.random()) != drawn


def test_a_nested_grid_is_complete_and_has_no_repeats(read: Callable[[str], plan.Plan]):
    rows = swept(read(FILES["grid"]), 100)
    tried = [tuple(sorted(plan.flat(each.parameters).items())) for each in rows]
    assert len(tried) == len(set(tried)) == 2 * 2 * 3


def test_a_random_search_draws_from_the_whole_range(read: Callable[[str], plan.Plan]):
    of = read(FILES["random"])
    drawn = [plan.flat(engine.suggest(of, [], seed) or {}) for seed in range(60)]
    logs = np.log10([each["smooth"] for each in drawn])
    assert logs.min() < -1.5 and logs.max() > 1.5 and abs(logs.mean()) < 0.5
    assert {each["bayer"] for each in drawn} == {None, "rggb"} and {each["warm_iterations"] for each in drawn} == {
        3,
        4,
        5,
    }


def quadratic(values: dict[str, Any]) -> float:
    return (values["smooth"] - 3) ** 2 + (values["still"] - 7) ** 2


QUADRATIC = "parameters:\n  smooth: {min: 0.0, max: 10.0}\n  still: {min: 0.0, max: 10.0}\n"


def test_bayes_finds_the_best_of_a_quadratic_better_than_chance(read: Callable[[str], plan.Plan]):
    """By the median of five seeds, with 14 runs each."""
    best = {}
    for method in ("bayes", "random"):
        of, found = read(f"method: {method}\nmetric: {{name: mse}}\n{QUADRATIC}"), []
        for seed in range(5):
            rows: list[Row] = []
            for number in range(14):
                values = engine.suggest(of, rows, seed) or {}
                rows.append(row(number, values, quadratic(values)))
            found.append(min(quadratic(each.parameters) for each in rows))
        best[method] = np.median(found)
    assert best["bayes"] < 0.2 * best["random"]


def test_to_maximise_is_to_minimise_the_negative(read: Callable[[str], plan.Plan]):
    falling, rising = (read(f"method: bayes\nmetric: {{name: {name}}}\n{QUADRATIC}") for name in ("mse", "corr"))
    values = [engine.suggest(falling, [], number) or {} for number in range(6)]
    rows = [row(number, of, quadratic(of)) for number, of in enumerate(values)]
    negative = [each._replace(metric=-quadratic(each.parameters)) for each in rows]
    assert engine.suggest(falling, rows, 0) == engine.suggest(rising, negative, 0) != engine.suggest(rising, rows, 0)


@pytest.mark.parametrize(
    "metrics", [[None], [float("nan")], [1.0], [1.0, 1.0, 1.0], [1.0, float("inf"), 2.0], [0, 1, 2]]
)
def test_bayes_goes_on_after_runs_without_use(metrics: list[float | None], read: Callable[[str], plan.Plan]):
    of = read(FILES["bayes"])
    rows: list[Row] = []
    for number, metric in enumerate(metrics):
        rows.append(row(number, engine.suggest(of, rows, 0) or {}, metric))
    assert engine.suggest(of, rows, 0)


@pytest.mark.filterwarnings("error")
def test_noise_of_the_engine_reaches_nobody(
    read: Callable[[str], plan.Plan], capfd: pytest.CaptureFixture[str], caplog
):
    """Of many runs at one place the process cannot be fitted well, of which scikit-learn warns."""
    of = read(FILES["bayes"])
    same = engine.suggest(of, [], 0) or {}
    rows = [row(number, same, float(number % 2)) for number in range(12)]
    assert engine.suggest(of, rows, 0)
    assert capfd.readouterr() == ("", "") and caplog.records == []


def test_the_score_of_a_run_is_its_last_and_not_the_best_of_its_course(read: Callable[[str], plan.Plan]):
    """The engine by itself takes the best of a course, which is that of the windows that a run had first."""
    of = read(FILES["bayes"])
    without = swept(of, 6)
    courses = [each._replace(history=[1e-6, 5.0]) for each in without]
    assert engine.suggest(of, courses, 0) == engine.suggest(of, without, 0)
    changed = [each._replace(metric=None if each.metric is None else -each.metric) for each in without]
    assert engine.suggest(of, changed, 0) != engine.suggest(of, without, 0)


def test_it_ends_at_the_target_and_at_the_cap(read: Callable[[str], plan.Plan]):
    of = read(FILES["bayes"].replace("name: mse", "name: mse, target: 0.1"))
    assert engine.suggest(of, [row(0, {}, 0.1)], 0) is None
    other = {"smooth": 1.0, "fit": {"tie": 0.1, "warm-iterations": 3}, "precision": "float64"}
    assert engine.suggest(of, [row(0, other, 0.11)], 0)
    assert engine.suggest(of, [row(0, other, 0.01, state="stopped")], 0), "its last metric is no result"
    rising = read(FILES["bayes"].replace("name: mse", "name: corr, target: 0.9"))
    assert engine.suggest(rising, [row(0, other, 0.95)], 0) is None and engine.suggest(rising, [row(0, other, 0.8)], 0)
    capped = read(f"run_cap: 2\n{FILES['random']}")
    assert len(swept(capped, 100)) == 2


@pytest.mark.parametrize(("metric", "sign"), [("mse", 1), ("corr", -1)])
@pytest.mark.parametrize("early", ["min_iter: 2", "max_iter: 9, s: 1, eta: 3"])
def test_hyperband_stops_the_worse_of_two_histories(
    metric: str, sign: int, early: str, read: Callable[[str], plan.Plan]
):
    text = f"method: random\nmetric: {{name: {metric}}}\nearly_terminate: {{type: hyperband, {early}}}\n"
    of = read(f"{text}parameters:\n  {SMOOTH}\n")
    good = [sign * value for value in (9.0, 5.0, 1.0, 0.5, 0.4)]
    poor = [sign * value for value in (9.0, 8.0, 7.0, 6.5, 6.0)]
    better, worse = row(0, {}, good[-1], history=good), row(1, {}, None, history=poor, state="failed")
    assert engine.stops(of, [better], poor) and not engine.stops(of, [worse], good)
    assert not engine.stops(of, [better], poor[:2]), "before the first band"
    assert not engine.stops(of, [], poor), "alone"
    assert not engine.stops(of, [better], [float("nan")] * 5), "of what has no score nothing is known"
