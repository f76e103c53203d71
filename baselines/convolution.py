"""Convolutions as functions: the plain one, and two that double the size, the faster way that a CPU needs.

Where four pixels come of one, those of even and odd rows and columns are four phases, each an ordinary convolution of the
small picture: no products with the zeros that a transposed convolution puts between pixels, and 16 instead of 25 products
per pixel after bilinear upsampling, as the upsampling is part of the kernels. On other devices the plain forms are taken.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from baselines.winograd import winograd

LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolve(
    x: Float[Array, "h w c"], kernel: Float[Array, "k l c d"], padding: Sequence[tuple[int, int]], stride: int = 1
) -> Float[Array, "h2 w2 d"]:
    """Cross-correlation, with so many rows and columns of zeros before and after."""
    if _on_cpu() and stride == 1 and tuple(sum(pads) + 1 for pads in padding) == kernel.shape[:2]:
        return _convolved_on_cpu(x, kernel, padding)
    return jax.lax.conv_general_dilated(x[None], kernel, (stride, stride), padding, dimension_numbers=LAYOUT)[0]


def _convolved_on_cpu(
    x: Float[Array, "h w c"], kernel: Float[Array, "k l c d"], padding: Sequence[tuple[int, int]]
) -> Float[Array, "h w d"]:
    """As XLA is fast on a CPU; times below are for two cores, of pictures of 240 x 184 if not said otherwise."""
    (height, width, channels), outputs = x.shape, kernel.shape[-1]
    if kernel.shape[:2] == (3, 3) and list(padding) == [(1, 1)] * 2:
        # Nothing is gained with fewer channels, nor with more pixels: 64 to 64 of 240 x 184.
        if min(channels, outputs) >= 64 and height * width <= 25_000:
            return winograd(x, kernel)
    if channels % 2 and channels > 1:
        # Odd numbers of channels are slow: 5 to 16, kernel 3, take 1.07 ms, but 8 to 16 take 0.74.
        spare = (0, -channels % 4)
        x, kernel = jnp.pad(x, ((0, 0), (0, 0), spare)), jnp.pad(kernel, ((0, 0), (0, 0), spare, (0, 0)))
    pairs = width % 2 == 0 and 8 <= outputs <= 16
    if pairs:
        # As few outputs leave registers empty. For two pixels at a time 16 to 16, kernel 3, take 0.96 ms, not 1.10.
        kernel = jnp.concatenate([jnp.pad(kernel, ((0, 0), side, (0, 0), (0, 0))) for side in ((0, 1), (1, 0))], -1)
    # Where no more comes out than goes in, XLA takes YNNPACK if there are more than 16 channels (its ynn_support.cc), which
    # leaves a core idle if outputs are few: 32 to 64 of 120 x 92, kernel 3, take 1.65 ms, with one row to spare 1.05.
    more = int(kernel.shape[-1] <= 64 and max(channels, kernel.shape[-1]) > 16)
    rows, stride = (padding[0][0], padding[0][1] + more), (1, 1 + pairs)
    y = jax.lax.conv_general_dilated(x[None], kernel, stride, [rows, padding[1]], dimension_numbers=LAYOUT)[0]
    return y[:height].reshape(height, width, outputs)


def transposed(x: Float[Array, "h w c"], kernel: Float[Array, "k k d c"]) -> Float[Array, "2*h 2*w d"]:
    """PyTorch's `conv_transpose2d(.., stride=2, padding=k // 2, output_padding=1)`, for odd k from 3."""
    return transposed_by_phases(x, kernel) if _on_cpu() else transposed_plainly(x, kernel)


def upsampled(x: Float[Array, "h w c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "2*h 2*w d"]:
    """`upsample`, then `convolve` with k // 2 zeros around, for odd k from 3."""
    return upsampled_by_phases(x, kernel) if _on_cpu() else upsampled_plainly(x, kernel)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def upsample(x: Float[Array, "h w c"]) -> Float[Array, "2*h 2*w c"]:
    """Twice the size, bilinear with half-pixel centres and clamped edges (`align_corners=False`)."""
    return _double(_double(x, 0), 1)


def transposed_plainly(x: Float[Array, "h w c"], kernel: Float[Array, "k k d c"]) -> Float[Array, "2*h 2*w d"]:
    """As a convolution of the input with zeros between its pixels."""
    low = len(kernel) - 1 - len(kernel) // 2
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    padding = [(low, low + 1)] * 2
    return jax.lax.conv_general_dilated(x[None], turned, (1, 1), padding, (2, 2), dimension_numbers=LAYOUT)[0]


def transposed_by_phases(x: Float[Array, "h w c"], kernel: Float[Array, "k k d c"]) -> Float[Array, "2*h 2*w d"]:
    """For 64 to 32 channels of 120 x 92 this takes 6 ms of a core, the plain form 24."""
    phases = [_transposed_phase(len(kernel), odd) for odd in (0, 1)]
    return _interleaved(x, kernel.swapaxes(2, 3), phases, 0)


def upsampled_plainly(x: Float[Array, "h w c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "2*h 2*w d"]:
    """One after the other."""
    return convolve(upsample(x), kernel, [(len(kernel) // 2, len(kernel) // 2)] * 2)


def upsampled_by_phases(x: Float[Array, "h w c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "2*h 2*w d"]:
    """Of the picture with its edges repeated around, less what comes from around, where there are to be zeros."""
    size = len(kernel) // 2
    phases = [_upsampled_phase(len(kernel), odd) for odd in (0, 1)]
    most = max(max(phase.before, phase.after) for phase in phases)
    y = _interleaved(jnp.pad(x, ((most, most), (most, most), (0, 0)), mode="edge"), kernel, phases, most)
    first, last = (jnp.pad(_double(x[row], 0), ((size, size), (0, 0)), mode="edge") for row in (0, -1))
    y = y.at[:size].add(-_from_outside(first, kernel))
    y = y.at[-size:].add(-_from_outside(last, kernel[::-1])[::-1])
    # The corners are counted: what is outside of the rows has no more to give beside the columns.
    kernel = kernel.swapaxes(0, 1)
    first, last = (jnp.pad(_double(x[:, column], 0), ((size, size), (0, 0))) for column in (0, -1))
    y = y.at[:, :size].add(-_from_outside(first, kernel).swapaxes(0, 1))
    return y.at[:, -size:].add(-_from_outside(last, kernel[::-1])[::-1].swapaxes(0, 1))


class Phase(NamedTuple):
    """How the rows 2 q + odd of a picture of twice the size come from the rows q - before to q + after."""

    taps: Float[np.ndarray, "t k"]
    """What each of these has to do with each row of the kernel."""
    before: int
    after: int


def _transposed_phase(size: int, odd: int) -> Phase:
    """Row q + d goes to row 2 (q + d) - size // 2 + r through row r of the kernel."""
    reach = odd + size // 2 - np.arange(size)
    rows = np.unique(reach[reach % 2 == 0] // 2)
    return Phase((2 * rows[:, None] == reach).astype(float), -int(rows[0]), int(rows[-1]))


def _upsampled_phase(size: int, odd: int) -> Phase:
    """Row m of an upsampled picture has 3/4 of row m // 2 and 1/4 of the one above if m is even, below if odd."""
    m = odd + np.arange(size) - size // 2
    near, far = m // 2, m // 2 + 2 * (m % 2) - 1
    rows = np.arange(min(near[0], far[0]), max(near[-1], far[-1]) + 1)
    return Phase(0.75 * (rows[:, None] == near) + 0.25 * (rows[:, None] == far), -int(rows[0]), int(rows[-1]))


def _interleaved(
    x: Float[Array, "h w c"], kernel: Float[Array, "k k c d"], phases: Sequence[Phase], spare: int
) -> Float[Array, "h2 w2 d"]:
    """The four phases put together, where x has so many spare rows and columns around."""
    height, width = x.shape[0] - 2 * spare, x.shape[1] - 2 * spare
    pads = [(phase.before - spare, phase.after - spare) for phase in phases]

    def part(row: int, column: int) -> Float[Array, "h w d"]:
        small = _mixed(phases[column].taps, _mixed(phases[row].taps, kernel).swapaxes(0, 1)).swapaxes(0, 1)
        return convolve(x, small, [pads[row], pads[column]])

    rows = [jnp.stack([part(row, 0), part(row, 1)], 2) for row in (0, 1)]
    return jnp.stack(rows, 1).reshape(2 * height, 2 * width, -1)


def _mixed(taps: Float[np.ndarray, "t k"], rows: Float[Array, "k ..."]) -> Float[Array, "t ..."]:
    """The product, as sums of few rows: as a matrix product it takes XLA six times as long."""
    return jnp.stack([sum(tap * row for tap, row in zip(each, rows, strict=True) if tap) for each in taps.tolist()])


def _from_outside(line: Float[Array, "n c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "k//2 m d"]:
    """What rows outside that are all like this one add to the k // 2 rows inside, from the edge on."""
    size = len(kernel) // 2
    sums = jnp.cumsum(kernel[:size], 0)[::-1]
    columns = sums.transpose(1, 2, 0, 3).reshape(1, *kernel.shape[1:3], -1)
    y = convolve(line[None], columns, [(0, 0), (0, 0)])[0]
    return y.reshape(len(y), size, -1).swapaxes(0, 1)


def _double(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """`upsample` of one axis."""
    size = x.shape[axis]
    before = jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)
    after = jax.lax.slice_in_dim(x, 1, size, axis=axis)
    first, last = jax.lax.slice_in_dim(x, 0, 1, axis=axis), jax.lax.slice_in_dim(x, size - 1, size, axis=axis)
    lower = 0.75 * x + 0.25 * jnp.concatenate([first, before], axis)
    upper = 0.75 * x + 0.25 * jnp.concatenate([after, last], axis)
    return jnp.stack([lower, upper], axis + 1).reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
