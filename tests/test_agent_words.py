"""What W&B's agent sends is understood, and nothing else is touched."""

from dataclasses import fields, replace

import pytest

from converters import ReadOptions
from evinr.__main__ import parse
from evinr.cli.agent_words import words
from evinr.cli.commands import Fit
from evinr.config import FitConfig
from evinr.tonemap import ToneMap


def test_flags_are_said_as_the_command_line_has_them():
    sent = ["fit", "demo", "--scale_free=False", "--zero-head=True", "--wandb=True", "--windows=whole"]
    said = words(sent)
    assert said == ["fit", "demo", "--no-scale-free", "--zero-head", "--wandb", "--windows=whole"]
    command = parse(said)
    assert isinstance(command, Fit) and command.wandb and command.fit.zero_head and not command.fit.scale_free


@pytest.mark.parametrize(
    "name", [field.name for record in (Fit, FitConfig, ReadOptions) for field in fields(record) if field.type is bool]
)
def test_every_flag_is_known(name: str):
    assert words(["fit", f"--{name}=True", f"--{name}=False"]) == [
        "fit",
        f"--{name.replace('_', '-')}",
        f"--no-{name.replace('_', '-')}",
    ]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("--fit={'smooth': 0.1, 'zero_head': False}", ["--smooth=0.1", "--no-zero-head"]),
        ("--fit.smooth=0.1", ["--smooth=0.1"]),
        ("--fit.warm_iterations=3", ["--warm-iterations=3"]),
        ("--fit.scale_free=True", ["--scale-free"]),
        ("--tone={'tone': 'linear', 'percentiles': [2, 98]}", ["--tone=linear", "--percentiles", "2", "98"]),
        ("--percentiles=[1, 99.5]", ["--percentiles", "1", "99.5"]),
        ("--polarity=(1, 2)", ["--polarity", "1", "2"]),
        ("--source=/a b/c=d", ["/a b/c=d"]),
        ("--iterations=16.0", ["--iterations=16"]),
        ("--knots=16.0", ["--knots=16"]),
        ("--smooth=16.0", ["--smooth=16.0"]),
    ],
)
def test_groups_pairs_and_the_source(sent: str, said: list[str]):
    assert words(["fit", sent]) == ["fit", *said]


@pytest.mark.parametrize(
    "word",
    [
        "--smooth=0.1", "--warm_iterations=3", "--tone=log", "--knots=None", "--name=True", "--wandb", "--no-scale-free",
        "--budget=10s", "demo", "-", "True", "--read.smooth=1", "--a.b.c=True", "--=1", "--scale-free=maybe", "--fit=[1",
        "--topic=[1, 2]", "a=b", "--out={x}",
    ],
)  # fmt: skip
def test_everything_else_is_untouched(word: str):
    assert words(["fit", word]) == ["fit", word]


@pytest.mark.parametrize("argv", [[], ["render", "--extrapolate=True"], ["--scale-free=True"]])
def test_other_commands_are_untouched(argv: list[str]):
    assert words(argv) == argv


def test_what_an_agent_sends_of_a_whole_sweep_is_parsed():
    """With all kinds of values, as `wandb agent` prints them."""
    values = {"source": "demo", "windows": "whole", "steps": 20, "smooth": 1e-05, "scale_free": False, "knots": None}
    nested = {"fit": {"tie": 0.1}, "tone": {"gamma": 2.0, "percentiles": [2, 98]}}
    said = words(["fit", *(f"--{name}={value}" for name, value in {**values, **nested}.items())])
    fit = replace(FitConfig(windows="whole"), steps=20, smooth=1e-5, scale_free=False)
    assert parse(said) == replace(Fit(source="demo"), fit=fit, tone=ToneMap(gamma=2.0, percentiles=(2.0, 98.0)))
