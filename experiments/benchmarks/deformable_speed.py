"""The deformable convolution beside a plain one of the same size, in turns in one process, and beside simpler ways to do it.

Offsets are white noise around each pixel, which is worse for caches than the smooth ones of a trained network.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float

from baselines.convolution import LAYOUT, convolve
from baselines.deformable import deformable
from experiments.benchmarks.machine import RESULTS, save

TRIED = """\
What was tried on the way, in milliseconds of one core (AMD EPYC with AVX-512, jax 0.10.2), where the plain convolution
takes 6.2, and a matrix product of the size of the last step alone 7.0:

| way | ms |
|---|--:|
| four gathers of 8 channels for the whole picture, their weighted sum, one matrix product | 72 |
| in blocks of 8 rows, which XLA makes one loop over the 576 numbers of a pixel | 44 |
| in blocks; a loop of its own for samples, which XLA must not join with what reads them | 25 |
| that, and places computed once for all channels | 22 |
| samples with the three taps of a row of the kernel last, so that channels become vectors | 20 |
| both coordinates of offsets in one axis, so that places become vectors, too (as it is now) | 14 |

By the clock of two cores the first way took 38 ms, with pairs of pixels gathered as slices of 16 numbers 66, and with all
four as slices of 32 and summed by `einsum` 113.
"""


@dataclass(frozen=True)
class DeformableSpeed:
    """Milliseconds of the deformable convolution beside a plain one."""

    height: int = 120
    width: int = 160
    channels: int = 64
    """Before and after."""
    groups: int = 8
    """Of channels, with offsets of their own."""
    spreads: tuple[float, ...] = (0.5, 1.0, 4.0)
    """Standard deviations of the offsets, in pixels."""
    rounds: int = 31
    calls: int = 5
    """Of each in a round."""
    out: Path = RESULTS / "deformable_speed.json"
    """Where the results go; a table goes beside it."""


def main(cfg: DeformableSpeed) -> None:
    results = [compare(cfg, spread) for spread in cfg.spreads]
    save(cfg.out, cfg, results)
    lines = [HEAD, *(row(result, name) for result in results for name in result["wall_ms"])]
    cfg.out.with_suffix(".md").write_text("\n".join([*lines, "", TRIED]))
    print("\n".join(lines))


def compare(cfg: DeformableSpeed, spread: float) -> dict[str, Any]:
    """Medians over rounds, of milliseconds and of the ratio to the faster plain convolution of the same round."""
    rng = np.random.default_rng(0)
    size, taps = (cfg.height, cfg.width), 9 * cfg.groups
    x, offsets, mask, kernel = (
        jnp.asarray(array, jnp.float32)
        for array in (
            rng.standard_normal((*size, cfg.channels)),
            spread * rng.standard_normal((*size, 2 * taps)),
            rng.uniform(0, 1, (*size, taps)),
            rng.standard_normal((3, 3, cfg.channels, cfg.channels)) / 24,
        )
    )
    ways = {name: jax.jit(way) for name, way in WAYS.items()}
    expected = np.asarray(ways["deformable"](x, offsets, mask, kernel))
    assert np.abs(np.asarray(ways["deformable, simple"](x, offsets, mask, kernel)) - expected).max() < 1e-3
    times = np.array(
        [[timed(way, (x, offsets, mask, kernel), cfg.calls) for way in ways.values()] for _ in range(1 + cfg.rounds)]
    )[1:]
    plain = times[:, :2].min(1, keepdims=True)
    return {
        "spread_px": spread,
        "wall_ms": dict(zip(ways, np.median(times[..., 0], 0).tolist(), strict=True)),
        "processor_ms": dict(zip(ways, np.median(times[..., 1], 0).tolist(), strict=True)),
        "times_plain": dict(zip(ways, np.median((times / plain)[..., 0], 0).tolist(), strict=True)),
        "times_plain_processor": dict(zip(ways, np.median((times / plain)[..., 1], 0).tolist(), strict=True)),
    }


def timed(way: Callable[..., Any], arrays: tuple[Array, ...], calls: int) -> tuple[float, float]:
    """Milliseconds of a call, by the clock and of all cores."""
    clock, cores = time.perf_counter(), time.process_time()
    for _ in range(calls):
        jax.block_until_ready(way(*arrays))
    return 1e3 * (time.perf_counter() - clock) / calls, 1e3 * (time.process_time() - cores) / calls


def plain(
    x: Float[Array, "h w c"],
    offsets: Float[Array, "h w o"],
    mask: Float[Array, "h w m"],
    kernel: Float[Array, "3 3 c d"],
) -> Float[Array, "h w d"]:
    """XLA's convolution."""
    return jax.lax.conv_general_dilated(x[None], kernel, (1, 1), [(1, 1)] * 2, dimension_numbers=LAYOUT)[0]


def ours_plain(
    x: Float[Array, "h w c"],
    offsets: Float[Array, "h w o"],
    mask: Float[Array, "h w m"],
    kernel: Float[Array, "3 3 c d"],
) -> Float[Array, "h w d"]:
    """As the networks here have it."""
    return convolve(x, kernel, [(1, 1)] * 2)


def simple(
    x: Float[Array, "h w c"],
    offsets: Float[Array, "h w o"],
    mask: Float[Array, "h w m"],
    kernel: Float[Array, "3 3 c d"],
) -> Float[Array, "h w d"]:
    """Four gathers for the whole picture, and a matrix product."""
    height, width, channels = x.shape
    groups = mask.shape[-1] // 9
    taps = offsets.reshape(height, width, groups, 9, 2)
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)[:, :, None, None]
    ahead = np.stack(np.divmod(np.arange(9), 3), -1)[None, None, None] - 1
    place = jnp.clip(taps + jnp.asarray(grid + ahead, x.dtype), -1, jnp.asarray([[[[[height, width]]]]], x.dtype))
    low = jnp.floor(place)
    part, low = place - low, low.astype(jnp.int32) + 1
    table = jnp.pad(x, ((1, 2), (1, 2), (0, 0))).reshape(height + 3, width + 3, groups, -1)
    group = jnp.arange(groups)[None, None, :, None]

    def weighed(down: int, right: int) -> Float[Array, "h w g 9 n"]:
        row, column = low[..., 0] + down, low[..., 1] + right
        weight = jnp.abs(1 - down - part[..., 0]) * jnp.abs(1 - right - part[..., 1])
        return (weight * mask.reshape(weight.shape))[..., None] * table[row, column, group]

    samples = weighed(0, 0) + weighed(0, 1) + weighed(1, 0) + weighed(1, 1)
    by_sample = kernel.reshape(9, groups, -1, kernel.shape[-1]).swapaxes(0, 1).reshape(9 * channels, -1)
    return (samples.reshape(height * width, -1) @ by_sample).reshape(height, width, -1)


WAYS = {"plain, XLA's": plain, "plain, ours": ours_plain, "deformable": deformable, "deformable, simple": simple}
HEAD = """\
| offsets, px | convolution | ms | times the faster plain one | ms of all cores | times |
|--:|---|--:|--:|--:|--:|"""


def row(result: dict[str, Any], name: str) -> str:
    """One line of the table."""
    figures = [result[key][name] for key in ("wall_ms", "times_plain", "processor_ms", "times_plain_processor")]
    return f"| {result['spread_px']} | {name} | {' | '.join(f'{figure:.2f}' for figure in figures)} |"


if __name__ == "__main__":
    main(tyro.cli(DeformableSpeed))
