"""Runs of a sweep on the disk, in order, and what they tell of its parameters."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evinr.events import InputError
from evinr.sweeping.importance import columns, importance
from evinr.sweeping.results import Row, append, best_first, read


def row(number: int, metric: float | None = None, **others: Any) -> Row:
    return Row(
        **{
            "number": number, "id": f"r{number}", "state": "finished", "parameters": {"smooth": 0.1 * number}, "scores": {},
            "metric": metric, "history": [0.5], "seconds": 1.5, "folder": f"runs/{number}", "error": None, **others,
        }
    )  # fmt: skip


ROWS = [
    row(
        0,
        0.5,
        parameters={"fit": {"tie": 1e-5, "bayer": None}, "percentiles": [1, 99]},
        scores={"mse": 0.5, "ssim": 0.7},
    ),
    row(1, state="failed", error="demo: \u2028 broken\nline", metric=None),
    row(2, 0.25, state="stopped", history=[3.0, 0.25]),
]


def test_what_is_appended_is_read(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    assert read(path) == []
    for count, each in enumerate(ROWS, 1):
        append(path, each)
        assert read(path) == ROWS[:count]
        assert path.read_bytes().count(b"\n") == count


def test_wherever_a_kill_cuts_it_nothing_else_is_lost(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    append(path, ROWS[0])
    first = path.stat().st_size
    append(path, ROWS[1])
    whole = path.read_bytes()
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        assert read(path) == ROWS[:1]
        append(path, ROWS[2])
        assert read(path) == [ROWS[0], ROWS[2]]


@pytest.mark.parametrize("line", ["{}", "[]", "no", '{"number": 1}', "null"])
def test_a_damaged_line_is_named(line: str, tmp_path: Path):
    path = tmp_path / "results.jsonl"
    append(path, ROWS[0])
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=f"^{path}:2: is no run of a sweep .* damaged"):
        read(path)


@pytest.mark.parametrize(
    ("goal", "order"), [("minimize", [3, 5, 0, 4, 2, 1, 6, 7]), ("maximize", [0, 3, 5, 4, 1, 2, 6, 7])]
)
def test_the_best_come_first(goal: Any, order: list[int]):
    nan = float("nan")
    rows = [row(0, 0.9), row(1, 0.8, state="stopped"), row(2, 0.1, state="stopped"), row(3, 0.2), row(4, nan)]
    rows += [row(5, 0.2), row(6, None, state="failed"), row(7, None, state="failed")]
    assert [each.number for each in best_first(rows, goal)] == order
    assert [each.number for each in best_first(rows[::-1], goal)] == order


def varied(count: int, metric: Any, **others: Any) -> list[Row]:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        values = {
            "smooth": float(rng.uniform()),
            "fit": {"tie": float(rng.uniform()), "scale_free": bool(rng.integers(2)), "hidden": 64},
            "precision": str(rng.choice(["float32", "float64", "bfloat16"])),
            "bayer": [None, "rggb"][number % 2],
        }
        rows.append(row(number, float(metric(values)), parameters=values, **others))
    return rows


def test_importance_finds_what_matters():
    found = importance(varied(80, lambda values: 3 - 2 * values["smooth"] + 0.1 * values["fit"]["tie"])) or []
    assert [each.name for each in found][0] == "smooth" and len(found) == 5, "what does not vary is left out"
    assert found[0].importance > 0.9 and sum(each.importance for each in found) == pytest.approx(1)
    assert found[0].correlation is not None and found[0].correlation < -0.95
    told = {each.name: each.correlation is None for each in found}
    assert told == {"smooth": False, "tie": False, "scale_free": False, "precision": True, "bayer": True}


def test_words_count_as_one_parameter():
    found = (
        importance(varied(80, lambda values: {"float32": 0, "float64": 1, "bfloat16": 5}[values["precision"]])) or []
    )
    assert found[0].name == "precision" and found[0].importance > 0.95
    found = importance(varied(80, lambda values: values["fit"]["scale_free"])) or []
    assert found[0].name == "scale_free" and found[0].correlation == pytest.approx(1)


def test_importance_of_few_or_equal_runs():
    rows = varied(5, lambda values: values["smooth"])
    assert importance(rows) and importance(rows[:4]) is None and importance([]) is None
    assert importance([*rows[:4], rows[4]._replace(state="stopped")]) is None
    assert importance([*rows[:4], rows[4]._replace(metric=float("nan"))]) is None
    equal = importance(varied(9, lambda values: 1.0)) or []
    assert {(each.importance, each.correlation) for each in equal} == {(0.0, None)} and len(equal) == 5
    assert importance([row(number, 1.0, parameters={"smooth": 1}) for number in range(9)]) == []
    assert importance(rows) == importance(rows), "the forest has a seed"


def test_columns_have_the_values_in_order():
    rows = [row(0, parameters={"smooth": 1, "fit": {"warm-iterations": 3}, "tie": 2}), row(1, parameters={"smooth": 2})]
    assert columns(rows) == {"smooth": [1, 2], "warm_iterations": [3, None], "tie": [2, None]}
