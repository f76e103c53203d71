"""The simulator beside the published ones, v2e and ESIM, on the same frames: counts, times, rates, responses."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from jaxtyping import Float, Int64

from evinr.events import Events
from evinr.simulator import scenes
from evinr.simulator.sensor import Sensor
from evinr.simulator.simulate import simulate
from experiments.benchmarks.machine import save
from experiments.simulator import originals

IDEAL = Sensor(mismatch=0.0, leak_rate=0.0, shot_noise_rate=0.0)
QUIET = {"sigma_thres": 0.0, "leak_rate_hz": 0.0, "shot_noise_rate_hz": 0.0}
"""The same of v2e."""


@dataclass(frozen=True)
class CompareV2e:
    """The simulator beside v2e and ESIM, on the same frames."""

    v2e: Path
    """Checkout of github.com/SensorsINI/v2e."""
    torch_python: Path
    """A Python that has PyTorch."""
    esim: Path
    """Checkout of github.com/uzh-rpg/rpg_vid2e; g++ compiles a file of it."""
    height: int = 90
    """Rows of the sensor."""
    width: int = 120
    """Columns of the sensor."""
    out: Path = Path("experiments/simulator/results/compare_v2e.json")
    """Where the results go."""


def main(cfg: CompareV2e) -> None:
    results: dict[str, Any] = {"ideal sensor": {}}
    for name in ("pan", "objects", "hdr"):
        results["ideal sensor"][name] = ideal(cfg, name)
    for what in (leak, shot_noise, step_response, refractory):
        results[what.__name__] = what(cfg)
    for name, found in results.items():
        print(name, found)
    save(cfg.out, cfg, results)


def ideal(cfg: CompareV2e, name: str) -> dict[str, Any]:
    """Events of a scene without noise: how many pixels and polarities have the same count, and how far times lie apart."""
    world = scenes.build(name, cfg.height, cfg.width, 0)
    times = world.times(0.0, 0.5)
    light = np.stack([world.light(t) for t in times.tolist()]).astype(np.float32)
    ours = simulate(_played(light, times), times, IDEAL)
    v2e = originals.v2e(
        cfg.v2e,
        cfg.torch_python,
        light + np.float32(np.log(255)),
        times,
        pos_thres=0.2,
        neg_thres=0.2,
        hdr=True,
        **QUIET,
    )
    esim = originals.esim(cfg.esim, light, times, (0.2, 0.2))
    found: dict[str, Any] = {"events": {"ours": ours.count, "v2e": v2e.count, "esim": esim.count}}
    for other, events in (("v2e", v2e), ("esim", esim)):
        difference = np.abs(_counts(ours) - _counts(events))
        # ESIM's first frame and its memory are one matrix, so that times before the second frame come out wrong.
        apart = _apart(ours, events, float(times[1]))
        found[other] = {
            "same count": float(np.mean(difference == 0)),
            "largest difference": int(difference.max()),
            "times apart, median s": float(np.median(apart)),
            "times apart, largest s": float(apart.max()),
            "sampling, median s": float(np.median(np.diff(times))),
        }
    return found


def leak(cfg: CompareV2e) -> dict[str, Any]:
    """Leak events of a still scene: rate a pixel, its spread over pixels in decades."""
    times = np.linspace(0, 20, 4001)
    still = np.full((len(times), 30, 40), 100.0, np.float32)
    sensor = replace(IDEAL, leak_rate=2.0)
    ours = simulate(lambda t: np.zeros((30, 40)), times, sensor)
    theirs = originals.v2e(cfg.v2e, cfg.torch_python, still, times, **QUIET | {"leak_rate_hz": 2.0})
    return {
        side: {
            "rate": events.count / 1200 / 20,
            "spread": float(np.log10(_counts(events)[1]).std()),
            "all ON": bool((events.p > 0).all()),
        }
        for side, events in (("ours", ours), ("v2e", theirs))
    }


def shot_noise(cfg: CompareV2e) -> dict[str, Any]:
    """Noise events a second and pixel against intensity (a column each), and by threshold."""
    levels = np.array([0.0, 16.0, 64.0, 128.0, 255.0])
    times = np.linspace(0, 20, 20001)
    picture = np.repeat(levels, 20)[None, :].repeat(40, 0)
    log = np.log(np.maximum(picture, 1e-6) / 255)
    ours = simulate(lambda t: log, times, replace(IDEAL, mismatch=0.03, shot_noise_rate=10.0))
    frames = np.broadcast_to(picture.astype(np.float32), (len(times), *picture.shape))
    options = QUIET | {"shot_noise_rate_hz": 10.0, "sigma_thres": 0.03}
    theirs = originals.v2e(cfg.v2e, cfg.torch_python, frames, times, **options)
    formula = 10 * (1 - 0.75 * (levels + 20) / 275) * (1 + 0.15**2)  # mean of nominal over actual threshold
    return {
        "intensity": levels.tolist(),
        "formula": formula.tolist(),
        **{
            side: (_counts(events).sum(0).reshape(40, 5, 20).sum((0, 2)) / 800 / 20).tolist()
            for side, events in (("ours", ours), ("v2e", theirs))
        },
    }


def step_response(cfg: CompareV2e) -> dict[str, Any]:
    """A photoreceptor of 20 Hz after steps up and down, as events of a fine threshold add up: largest distance of the
    two, and of each from the closed form, in log intensity."""
    times = np.concatenate([[0.0], np.linspace(0.0005, 0.25, 1000)])
    found = {}
    for before, after in ((40.0, 200.0), (200.0, 40.0), (220.0, 25.0)):
        frames = np.full((len(times), 1, 2), after, np.float32)
        frames[0] = before
        sensor = replace(IDEAL, contrast_threshold=0.01, bandwidth=20.0)
        # The step itself between two samples that are close, as v2e has it between two frames.
        ours = simulate(_played(np.log(frames / 255), times), np.insert(times, 1, 1e-9), sensor)
        options = QUIET | {"pos_thres": 0.01, "neg_thres": 0.01, "cutoff_hz": 20.0}
        theirs = originals.v2e(cfg.v2e, cfg.torch_python, frames, times, **options)
        cutoff = 20 * (after + 20) / 275
        exact = np.log(after / before) * (1 - np.exp(-2 * np.pi * cutoff * times))
        seen = {side: _level(events, times, 0.01) for side, events in (("ours", ours), ("v2e", theirs))}
        found[f"{before:g} to {after:g}"] = {
            "ours to v2e": float(np.abs(seen["ours"] - seen["v2e"]).max()),
            **{f"{side} to closed form": float(np.abs(level - exact).max()) for side, level in seen.items()},
        }
    return found


def refractory(cfg: CompareV2e) -> dict[str, Any]:
    """Events a second on ramps of log intensity, with a rest of 10 ms: three models of what happens in it.

    Ours holds the pixel in reset, so that a threshold must pass after the rest; ESIM drops events that fall into it;
    v2e puts them off.
    """
    found = {}
    for slope in (2.0, 8.0, 32.0, 128.0):
        times = np.linspace(0, 1, 5001)
        light = np.broadcast_to((slope * times)[:, None, None], (len(times), 1, 2)).astype(np.float32)
        ours = simulate(_played(light, times), times, replace(IDEAL, refractory=0.01))
        options = QUIET | {"hdr": True, "refractory_period_s": 0.01}
        theirs = originals.v2e(cfg.v2e, cfg.torch_python, light, times, **options)
        esim = originals.esim(cfg.esim, light, times, (0.2, 0.2), 0.01)
        found[f"{slope:g}"] = {
            "closed form of ours": 1 / (0.01 + 0.2 / slope),
            **{side: e.count / 2 for side, e in (("ours", ours), ("v2e", theirs), ("esim", esim))},
        }
    return found


def _played(light: Float[np.ndarray, "n h w"], times: Float[np.ndarray, " n"]):
    return lambda t: light[min(np.searchsorted(times, t), len(times) - 1)].astype(np.float64)


def _counts(events: Events) -> Int64[np.ndarray, "2 n"]:
    """Falling and rising events of each pixel."""
    pixel = events.y.astype(np.int64) * events.width + events.x
    size = events.height * events.width
    return np.stack([np.bincount(pixel[events.p == sign], minlength=size) for sign in (-1, 1)])


def _apart(one: Events, other: Events, start: float) -> Float[np.ndarray, " n"]:
    """Seconds between the events, each with its like: of pixels whose counts agree, from `start` on."""
    agree = (_counts(one) == _counts(other)).all(0)
    times = []
    for events in (one, other):
        pixel = events.y.astype(np.int64) * events.width + events.x
        order = np.lexsort((events.t, pixel))
        times.append(events.t[order][agree[pixel[order]]])
    return np.abs(times[0] - times[1])[(times[0] > start) & (times[1] > start)]


def _level(events: Events, times: Float[np.ndarray, " n"], threshold: float) -> Float[np.ndarray, " n"]:
    """What the events of pixel (0, 0) add up to at each time."""
    own = (events.x == 0) & (events.y == 0)
    total = np.concatenate([[0], np.cumsum(events.p[own], dtype=np.int64)])
    return threshold * total[np.searchsorted(events.t[own], times, "right")]


if __name__ == "__main__":
    main(tyro.cli(CompareV2e))
