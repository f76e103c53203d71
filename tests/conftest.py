"""What all tests share: JAX on the CPU without silent broadcasts, and a small recording whose answer is known."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # both before JAX is imported
os.environ["EVINR_CACHE"] = ""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from hypothesis import settings

from evinr.__main__ import main
from evinr.events import Events
from evinr.simulator.simulate import Scene, Sensor, simulate

jax.config.update("jax_numpy_rank_promotion", "raise")
settings.register_profile("evinr", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("evinr")

SHARED = Path(__file__).parents[2] / "shared"
"""What contributors have beside the checkout; nobody else has it."""


class Known(NamedTuple):
    """A recording, the scene it was made from, and the threshold it was made with."""

    events: Events
    scene: Scene
    contrast_threshold: float


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: it holds reference material that is not part of the repository")
    return SHARED


@pytest.fixture(scope="session")
def moving_bar() -> Known:
    """A bright vertical bar that crosses a gray wall of 16 x 12 pixels in 0.1 s, seen by a perfect sensor."""
    columns = np.arange(16.0)

    def scene(t: float) -> np.ndarray:
        bar = 2 * np.exp(-(((columns - (4 + 80 * (t - 5))) / 2) ** 2))
        return np.tile(bar, (12, 1))

    sensor = Sensor(contrast_threshold=0.2, mismatch=0.0, leak_rate=0.0, shot_noise_rate=0.0)
    return Known(simulate(scene, np.linspace(5, 5.1, 101), sensor, seed=1), scene, 0.2)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line with which a command refuses."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said
