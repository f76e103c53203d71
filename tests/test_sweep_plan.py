"""A sweep's file is understood as W&B understands it, and refused with file, line and name before anything runs."""

import subprocess
import sys
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from evinr.cli.commands import PRESETS, Fit
from evinr.config import OF_THE_WHOLE, FitConfig
from evinr.events import InputError
from evinr.sweeping import combinations, options, plan, schema
from evinr.tonemap import ToneMap

READY = Path(__file__).parents[1] / "experiments/sweeps"
WHOLE = "method: random\nparameters:\n  smooth: {min: 0.1, max: 2.0}\n"


def read(tmp_path: Path, text: str, defaults: Fit | None = None) -> plan.Plan:
    path = tmp_path / "tried.yaml"
    path.write_text(text)
    return plan.read(path, defaults or Fit())


def refused(tmp_path: Path, text: str) -> str:
    """What it is refused with, after the file's name."""
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    said = str(error.value)
    assert said.startswith(f"{tmp_path / 'tried.yaml'}:") and "\n" not in said
    return said.removeprefix(f"{tmp_path / 'tried.yaml'}:")


def told(parameters: str, method: str = "random", more: str = "") -> str:
    return f"method: {method}\n{more}parameters:\n{parameters}"


def test_a_plan_is_what_the_file_says(tmp_path: Path):
    text = """
program: train.py
command: [evinr, fit, "${args}"]
method: bayes
name: regularisers
metric: {name: corr}
early_terminate: {type: hyperband, min_iter: 2}
parameters:
  source: {value: [a.txt, b.txt]}
  smooth: {distribution: log_uniform_values, min: 1e-2, max: 1e1}
  warm-iterations: {min: 4, max: 20}
  fit:
    parameters:
      still: {values: [1, 2.5]}
  tone: {value: linear}
"""
    found = read(tmp_path, text)
    assert (found.method, found.metric, found.goal, found.name) == ("bayes", "corr", "maximize", "tried")
    assert found.sources == ("a.txt", "b.txt") and found.early == {"type": "hyperband", "min_iter": 2}
    assert found.config["metric"] == {"name": "corr", "goal": "maximize"}
    assert found.config["parameters"]["smooth"]["min"] == 0.01, "YAML 1.2"
    assert [note.split(":")[0] for note in found.notes] == ["program", "command"]
    assert list(plan.searched(found)) == ["smooth", "warm_iterations", "still"]


@pytest.mark.parametrize("source", ["", "  source: {value: demo}\n"])
def test_without_a_metric_and_with_one_source_or_none(source: str, tmp_path: Path):
    found = read(tmp_path, WHOLE + source)
    assert found.metric is None and found.early is None and found.sources == (("demo",) if source else ())


@pytest.mark.parametrize("path", sorted(READY.glob("*.yaml")), ids=attrgetter("name"))
def test_the_sweeps_that_are_there_are_plans(path: Path):
    found = plan.read(path, Fit())
    assert found.metric and plan.searched(found)


def test_a_command_is_what_the_values_say():
    defaults = Fit(source="x", frames=4, fit=FitConfig(iterations=9))
    values = {"fit": {"tie": "2e-1", "warm-iterations": 3.0}, "smooth": 2, "tone": {"gamma": 2}, "budget": "1.5m"}
    wanted = replace(
        defaults,
        budget=90.0,
        tone=ToneMap(gamma=2.0),
        fit=replace(defaults.fit, tie=0.2, warm_iterations=3, smooth=2.0),
    )
    found = plan.command(values, defaults)
    assert found == wanted and type(found.fit.warm_iterations) is int and type(found.fit.smooth) is float
    assert plan.command({"fit.tie": 0.3, "source": "y"}, defaults).source == "y"
    assert plan.command({"source": ["y", "z"]}, defaults).source == "x"
    assert plan.flat(values) == {"tie": "2e-1", "warm_iterations": 3.0, "smooth": 2, "gamma": 2, "budget": "1.5m"}


def test_a_preset_is_what_the_others_start_from():
    found = plan.command({"steps": 7, "preset": "paper"}, Fit(source="x", frames=4))
    paper = PRESETS["paper"]
    assert found == replace(paper, source="x", frames=4, fit=replace(paper.fit, steps=7))


@pytest.mark.parametrize(
    "name", [field.name for field in fields(FitConfig) if field.name not in ("windows", "intervals", "overlap")]
)
def test_every_option_of_a_fit_can_be_swept(name: str):
    """Flat or nested, to a value that is not the default."""
    others = {
        "bayer": "rggb", "supervision": "midpoints", "colour": "planes", "variation": "anisotropic", "precision": "float64",
        "knots": 16, "decay": "constant", "warmup": 0.5, "outlier": 3.0,
    }  # fmt: skip
    default = getattr(FitConfig(), name)
    other = others[name] if name in others else not default if isinstance(default, bool) else default + 3
    windows = "whole" if name in OF_THE_WHOLE else "parallel"
    for values in ({name: other}, {"fit": {name: other}}):
        assert getattr(plan.command({"windows": windows, **values}, Fit()).fit, name) == other


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"smoth": 1}, "smoth: there is no such option; did you mean smooth?"),
        ({"fit": {"smoth": 1}}, "fit.smoth: there is no such option; did you mean smooth?"),
        ({"read": {"smooth": 1}}, "read.smooth: there is no such option; write smooth alone"),
        ({"zzzz": 1}, "zzzz: there is no such option; `evinr fit --help` lists them"),
        ({"iterations": 2.5}, "iterations: is 2.5, and must be a whole number"),
        ({"iterations": float("inf")}, "iterations: is inf, and must be a whole number"),
        ({"iterations": True}, "iterations: is true, and must not be true or false"),
        ({"scale_free": "perhaps"}, "scale_free: is 'perhaps', and must be true or false"),
        ({"smooth": "much"}, "smooth: is 'much', and must be a number"),
        ({"windows": "both"}, "windows: is 'both', and must be 'parallel', 'sequential' or 'whole'"),
        ({"percentiles": [1]}, "percentiles: is [1], and must be 2 numbers in brackets"),
        ({"topic": 3}, "topic: is 3, and must be text"),
        ({"budget": "-1s"}, "budget: is '-1s': -1s is no positive time"),
        ({"smooth": 1, "fit": {"smooth": 1}}, "fit.smooth: smooth is given twice; leave one out"),
        ({"steps": 3}, "steps has no effect with windows parallel: pass it with windows whole"),
        ({"smooth": float("nan")}, "smooth is nan, and must be 0 or more and finite"),
        ({"height": 3}, "--height and --width belong together: give both or none"),
    ],
)
def test_values_that_a_fit_cannot_take(values: dict, said: str):
    with pytest.raises(InputError) as error:
        plan.command(values, Fit())
    assert str(error.value) == said


@pytest.mark.parametrize("name", list(options.REFUSED))
def test_options_that_say_nothing_in_a_sweep(name: str, tmp_path: Path):
    said = refused(tmp_path, told(f"  smooth: {{values: [1, 2]}}\n  {name}: {{value: 1}}\n"))
    assert said.startswith(f"4: parameters.{name}: no option of a sweep: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", " is no sweep"),
        ("[1, 2]", " is no sweep"),
        ("learning_rate: 3\n", " is no sweep"),
        ("a: [", "1: is no YAML: "),
        ("method: grid\nmethod: random\n", "2: is no YAML: found duplicate key"),
        ("method: !!python/object:os.system x\n", "1: is no YAML: "),
        ("a: \x01\n", " is no YAML: "),
        ("--- 1\n--- 2\n", "2: is no YAML: "),
        ("[" * 1500, " is nested too deeply"),
        ("method: random\n", " has no `parameters`"),
        ("parameters: {smooth: {value: 1}}\n", " has no `method`"),
        ("method: random\nparameter: {}\n", "2: parameter: is no key of a sweep; did you mean parameters?"),
        ("? [a, b]\n: 1\nmethod: random\n", "1: ('a', 'b'): is no key of a sweep"),
        (told("  smooth: {value: 1}\n", "hyperband"), "1: method: is 'hyperband', and must be grid, random or bayes"),
        (told("  1: {value: 1}\n"), "2: parameters: 1 is no name of an option"),
        (told("  a b: {value: 1}\n"), "2: parameters: 'a b' is no name of an option"),
        ("method: random\nparameters: []\n", "2: parameters: must name options"),
        (told("  smooth: 3\n"), "3: parameters.smooth: must be told with a key: `{value: 3}`"),
        (told("  smooth: [1, 2]\n"), "3: parameters.smooth: must be told with a key: `{values: [1, 2]}`"),
        (told("  smooth: {mim: 1, max: 2}\n"), "3: parameters.smooth.mim: is no key of a parameter; did you mean min?"),
        (told("  smooth: {mu: 1}\n"), "3: parameters.smooth: needs `value`, `values`, or `min` and `max`"),
        (told("  smooth: {min: 1}\n"), "3: parameters.smooth: int_uniform needs max"),
        (told("  smooth: {min: a, max: 2}\n"), "3: parameters.smooth.min: is 'a', and must be a number"),
        (told("  smooth: {min: 2, max: 2}\n"), "3: parameters.smooth: min 2 is not below max 2"),
        (told("  smooth: {min: .nan, max: 2}\n"), "3: parameters.smooth: min nan is not below max 2"),
        (told("  smooth: {values: []}\n"), "3: parameters.smooth.values: is [], and must be longer"),
        (told("  smooth: {values: 3}\n"), "3: parameters.smooth.values: is 3, and must be a list in brackets"),
        (told("  smooth: {values: [1], mu: 2}\n"), "3: parameters.smooth.mu: has no meaning with categorical"),
        (told("  smooth: {distribution: log_unifom, min: 1, max: 2}\n"), "3: parameters.smooth.distribution: is "),
        (told("  smooth: {distribution: [x], min: 1, max: 2}\n"), "3: parameters.smooth.distribution: is "),
        (told("  smooth: {distribution: uniform, min: 1}\n"), "3: parameters.smooth: uniform needs max"),
        (told("  smooth: {distribution: normal, sigma: -1}\n"), "3: parameters.smooth.sigma: is -1, and must be 0.0 or"),
        (told("  smooth: {distribution: log_uniform_values, min: 0, max: 1}\n"), "3: parameters.smooth.min: is 0, and"),
        (told("  smooth: {distribution: log_uniform, min: 1e-5, max: 1e-2}\n"), "3: parameters.smooth: log_uniform takes"),
        (told("  smooth: {values: [1, 2], probabilities: [0.5, 0.6]}\n"), "3: parameters.smooth.probabilities: must be 2"),
        (told("  fit: {parameters: {tie: {value: 1}}, value: 1}\n"), "3: parameters.fit: `parameters` stands alone"),
        (told("  fit:\n    parameters:\n      smoth: {value: 1}\n"), "5: parameters.fit.parameters.smoth: there is no such"),
        (told("  fit: {value: {smooth: 1}}\n"), "3: parameters.fit: there is no such option"),
        (told("  smoth: {values: [1, 2]}\n"), "3: parameters.smoth: there is no such option; did you mean smooth?"),
        (told("  smooth: {value: 1}\n"), "2: parameters: nothing varies"),
        (told("  smooth: {values: [1]}\n"), "2: parameters: nothing varies"),
        (told("  source: {values: [a, b]}\n"), "3: parameters.source: every run fits all the recordings"),
        (told("  preset: {values: [paper, default]}\n"), "3: parameters.preset: the preset is what"),
        (told("  t_end: {min: 1.0, max: 2.0}\n"), "3: parameters.t_end: runs of different events cannot"),
        (f"run_cap: 0\n{WHOLE}", "1: run_cap: is 0, and must be a whole number above 0"),
        (f"name: 3\n{WHOLE}", "1: name: is 3, and must be text"),
    ],
)  # fmt: skip
def test_files_that_are_no_sweep(text: str, said: str, tmp_path: Path):
    assert refused(tmp_path, text).startswith(said)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("smooth: {values: [1, -1]}", "smooth is -1.0, and must be 0 or more"),
        ("smooth: {min: -1.0, max: 1.0}", "smooth is -1.0, and must be 0 or more"),
        ("smooth: {distribution: normal, mu: 1, sigma: 1}", "smooth is -2.09, and must be 0 or more"),
        ("smooth: {distribution: log_uniform, min: 1, max: 2000}", "smooth is inf, and must be 0 or more"),
        ("smooth: {min: 1.0, max: .inf}", "smooth is nan, and must be 0 or more"),
        ("hidden: {distribution: q_uniform, min: 1, max: 100, q: 4}", "hidden is 0, and must be above 0"),
        ("iterations: {min: 8.0, max: 32.0}", "gives broken numbers, and iterations takes whole ones"),
        (
            "iterations: {distribution: log_uniform_values, min: 8, max: 32}",
            "gives broken numbers, and iterations takes",
        ),
        (
            "iterations: {distribution: q_uniform, min: 8, max: 32, q: 0.5}",
            "gives broken numbers, and iterations takes",
        ),
        ("iterations: {values: [8, 9.5]}", "is 9.5, and must be a whole number"),
        ("scale_free: {values: [3, 4]}", "is 3, and must be true or false"),
        ("steps: {values: [60, 100]}", "steps has no effect with windows parallel"),
        ("gamma: {values: [1, 0]}", "gamma is 0.0, and must be above 0"),
    ],
)
def test_values_that_can_come_up_are_tried(parameter: str, said: str, tmp_path: Path):
    name = parameter.split(":")[0]
    assert refused(tmp_path, told(f"  {parameter}\n")).startswith(f"3: parameters.{name}: {said}")


@pytest.mark.parametrize(
    "parameter",
    [
        "smooth: {min: 0.1, max: 2}",
        "smooth: {min: 1, max: 2}",
        "smooth: {distribution: log_uniform, min: -5, max: 0}",
        "smooth: {distribution: inv_log_uniform_values, min: 0.1, max: 1}",
        "smooth: {distribution: log_normal, mu: 0, sigma: 1}",
        "smooth: {distribution: q_log_normal, mu: 0, sigma: 1, q: 0.1}",
        "smooth: {distribution: normal, mu: 4, sigma: 1}",
        "smooth: {distribution: beta, a: 2, b: 3}",
        "smooth: {distribution: q_beta, a: 2, b: 3, q: 0.1}",
        "smooth: {values: [1, 2], probabilities: [0.3, 0.7]}",
        "iterations: {distribution: q_log_uniform_values, min: 8, max: 64, q: 8}",
        "iterations: {distribution: q_uniform, min: 8, max: 64}",
        "iterations: {min: 8, max: 64}",
        "scale_free: {values: [true, true]}",
        "bayer: {values: [null, rggb]}",
        "percentiles: {values: [[1, 99], [2, 98]]}",
    ],
)
def test_all_of_the_schema_is_known(parameter: str, tmp_path: Path):
    assert len(plan.searched(read(tmp_path, told(f"  {parameter}\n")))) == 1


def test_a_whole_fit_cannot_end_early(tmp_path: Path):
    early = "metric: {name: corr}\nearly_terminate: {type: hyperband, min_iter: 2}\n"
    said = refused(tmp_path, told("  windows: {value: whole}\n  smooth: {values: [1, 2]}\n", more=early))
    assert "a fit with windows whole has no pictures before its end" in said


def test_values_that_exclude_each_other_are_named(tmp_path: Path):
    grid = "  intervals: {values: [8, 16, 32]}\n  smooth: {values: [1, 2]}\n  overlap: {min: 2, max: 5}\n"
    said = refused(tmp_path, told(grid, "grid"))
    wrong = (
        "5: parameters.overlap: with intervals 8 and overlap 5: overlap is 5, and must be 1 to half of the 8 intervals"
    )
    assert said == wrong
    assert refused(tmp_path, told(grid)) == wrong, "not only in grids"
    assert read(tmp_path, told(grid.replace("5}", "4}"), "grid")).method == "grid"


def test_of_too_many_combinations_some_are_drawn(tmp_path: Path):
    """22 x 22 x 22 = 10,648, of which one in twenty is wrong."""
    many = "".join(f"  {name}: {{min: 1, max: 22}}\n" for name in ("iterations", "warm_iterations", "overlap"))
    said = refused(tmp_path, told(many, "grid"))
    assert said.startswith("5: parameters.overlap: overlap is ") and said.endswith("1 to half of the 32 intervals")
    assert read(tmp_path, told(many.replace("overlap: {min: 1, max: 22}", "revisions: {min: 0, max: 30}"), "grid"))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("  smooth: {min: 1.0, max: 2.0}\n", "3: parameters.smooth: uniform has no end of values, and a grid needs"),
        (
            "  smooth: {values: [1, 2], probabilities: [0.5, 0.5]}\n",
            "3: parameters.smooth.probabilities: do not go with",
        ),
        (
            "  smooth: {distribution: q_uniform, min: 1, max: 1e12}\n",
            "3: parameters.smooth: a grid of more than 100,000",
        ),
        ("  smooth: {min: 0, max: 1000000000000000000000000}\n", "3: parameters.smooth: a grid of more than 100,000"),
        (
            "  smooth: {min: 1, max: 999}\n  still: {min: 1, max: 999}\n",
            "2: parameters: a grid of 998,001 combinations",
        ),
    ],
)
def test_grids_that_never_end(parameters: str, said: str, tmp_path: Path):
    assert refused(tmp_path, told(parameters, "grid")).startswith(said)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("metric: {name: los}\n", "2: metric.name: there is no metric 'los' to optimise; there are mse, psnr, "),
        ("metric: {name: sharpness}\n", "2: metric.name: there is no metric 'sharpness' to optimise"),
        ("metric: {goal: minimize}\n", "2: metric: 'name' is a required property"),
        ("metric: {name: [a]}\n", "2: metric.name: is ['a'], and must be text"),
        (
            "metric: {name: corr, goal: minimize}\n",
            "2: metric.goal: is minimize, and corr is better higher: maximize it",
        ),
        ("metric: {name: replay, goal: up}\n", "2: metric.goal: is 'up', and must be minimize or maximize"),
        ("metric: {name: replay, target: low}\n", "2: metric.target: is 'low', and must be a number"),
        ("metric: corr\n", "2: metric: must be told as in `{name: replay}`"),
        ("", " has no `metric`, which method bayes needs"),
    ],
)
def test_metrics(metric: str, said: str, tmp_path: Path):
    assert refused(tmp_path, told("  smooth: {values: [1, 2]}\n", "bayes", metric)).startswith(said)


@pytest.mark.parametrize(
    ("early", "said"),
    [
        ("{type: hyperband, mini_iter: 3}", ".mini_iter: is no key of early_terminate; did you mean min_iter?"),
        ("{type: hyperband}", ": needs min_iter, or max_iter and s"),
        ("{type: hyperband, max_iter: 9}", ": needs min_iter, or max_iter and s"),
        ("{type: hyperband, max_iter: 9, s: 1.5}", ".s: is 1.5, and must be a whole number above 0"),
        ("{type: hyperband, max_iter: 2, s: 1}", ".max_iter: is 2, and must not be below eta, 3"),
        ("{type: hyperband, min_iter: 2, eta: 1}", ".eta: is 1, and must be a number above 1"),
        ("{type: envelope}", ": must be told as in `{type: hyperband, min_iter: 3}`"),
        ("3", ": must be told as in `{type: hyperband, min_iter: 3}`"),
    ],
)
def test_early_termination(early: str, said: str, tmp_path: Path):
    text = f"{WHOLE}metric: {{name: replay}}\nearly_terminate: {early}\n"
    assert refused(tmp_path, text).startswith(f"5: early_terminate{said}")
    assert refused(tmp_path, f"{WHOLE}early_terminate: {{type: hyperband, min_iter: 2}}\n").startswith(
        " has no `metric`"
    )


def test_files_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for path, said in (
        (tmp_path, "Is a directory"),
        (tmp_path / "a.yaml", "No such file"),
        (tmp_path / "binary.yaml", "is"),
    ):
        with pytest.raises(InputError, match=f"^{path}: {said}.*give the YAML file of a sweep"):
            plan.read(path, Fit())


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
WORDS = st.sampled_from(["grid", "bayes", "log_uniform", "smooth", "corr", "hyperband"])
NAMES = st.sampled_from([*schema.KEYS, *schema.STOPPING, "smooth", "iterations", "fit", "name", "goal", "percentiles"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | WORDS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(NAMES | TEXTS, inside, max_size=4),
    max_leaves=8,
)
PLACES = st.sampled_from(["method", "parameters", "smooth", "metric", "early_terminate"])


@given(place=PLACES, put=ANYTHING)
def test_whatever_is_in_a_file_it_is_a_plan_or_refused(tmp_path_factory, place, put):
    path = tmp_path_factory.getbasetemp() / "anything.yaml"
    whole = {"method": "random", "parameters": {"smooth": {"values": [1, 2]}}, "metric": {"name": "replay"}}
    changed = {"parameters": {"smooth": put}} if place == "smooth" else {place: put}
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({**whole, **changed}, file)
    try:
        plan.read(path, Fit())
    except InputError as error:
        assert str(error).startswith(str(path))


def test_values_and_the_way_to_them():
    parameters = {
        "a": {"value": 1},
        "fit": {"parameters": {"b": {"values": [1]}, "c": {"parameters": {"d": {"min": 1}}}}},
    }
    found = dict(combinations.definitions(parameters))
    assert {combinations.path(keys): of for keys, of in found.items()} == {
        "a": {"value": 1},
        "fit.b": {"values": [1]},
        "fit.c.d": {"min": 1},
    }


def test_reading_a_file_brings_neither_jax_nor_sklearn(tmp_path: Path):
    """So that a misspelt name is told at once."""
    (tmp_path / "sweep.yaml").write_text(WHOLE)
    code = (
        "import sys, pathlib; from evinr.cli.commands import Fit; from evinr.sweeping import plan;"
        f"plan.read(pathlib.Path({str(tmp_path / 'sweep.yaml')!r}), Fit());"
        "print(*({'jax', 'sklearn', 'wandb'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
