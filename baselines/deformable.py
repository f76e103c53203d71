"""Modulated deformable convolution (Zhu et al., "Deformable ConvNets v2: More Deformable, Better Results", CVPR 2019,
equation 1): each tap of each output pixel looks where its own offset says, between pixels, and is weighed by its own mask.

How fast this is beside a plain convolution, and what else was tried: experiments/benchmarks/results/deformable_speed.md.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float, Int, Int32

BLOCK = 1280
"""Pixels whose samples a CPU has at once, if a row has no more: 3 MB for 64 channels, about what its caches hold. Of all
pixels of 1280 x 720 they would be 2 GB."""

Made = TypeVar("Made")


class Steps(NamedTuple):
    """Numbers in memory from one to the next."""

    row: int
    column: int
    group: int


def deformable(
    x: Float[Array, "h w c"],
    offsets: Float[Array, "h2 w2 gkk2"],
    mask: Float[Array, "h2 w2 gkk"],
    kernel: Float[Array, "k k c d"],
    stride: int = 1,
) -> Float[Array, "h2 w2 d"]:
    """A convolution with k // 2 zeros around, for odd k, whose taps are displaced by `offsets`, pixels, and weighed by `mask`.

    The channels of x are g groups in a row, each with offsets and a mask of its own. Their channels are in the order of the
    authors' code: groups, then taps by rows, then for offsets down and right. Rows and columns of -1 or less, and from h or
    w on, count as zeros, and no gradient comes from there. At whole pixels the gradient is that towards larger rows and
    columns.

    Blocks of rows, one after another: samples, then one matrix product.
    """
    size, groups = len(kernel), mask.shape[-1] // len(kernel) ** 2
    height, width, outputs = *offsets.shape[:2], kernel.shape[-1]
    table = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    steps = Steps(table.shape[1] * x.shape[-1], x.shape[-1], x.shape[-1] // groups)
    by_sample = kernel.reshape(size, size, groups, -1, outputs).transpose(2, 0, 3, 1, 4).reshape(-1, outputs)
    rows = _rows(height, width) if jax.default_backend() == "cpu" else height

    def block(first: Int[Array, ""]) -> Float[Array, "r w2 d"]:
        def these(of: Float[Array, "h2 w2 n"]) -> Float[Array, "r w2 n"]:
            return jax.lax.dynamic_slice_in_dim(of, first, rows)

        at, part = _computed(first, lambda: _places(these(offsets), first * stride, x.shape[:2], steps, size, stride))
        samples = _computed(first, lambda: _samples(table.reshape(-1), at, part, these(mask), steps, size))
        return (samples.reshape(rows * width, -1) @ by_sample).reshape(rows, width, outputs)

    return jax.lax.map(block, jnp.arange(0, height, rows)).reshape(height, width, outputs)


def _rows(height: int, width: int) -> int:
    """Of a block: as many as divide the height and have no more pixels than `BLOCK`, at least one."""
    return max(rows for rows in range(1, height + 1) if height % rows == 0 and rows <= max(1, BLOCK // width))


def _computed(first: Int[Array, ""], of: Callable[[], Made]) -> Made:
    """What `of` gives, as an array of its own in memory.

    XLA would put it into the loop of what follows, to be computed again for each channel. It cannot look into a branch that
    it does not know is always taken.
    """
    shapes = jax.eval_shape(of)
    return jax.lax.cond(first >= 0, of, lambda: jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), shapes))


def _places(
    offsets: Float[Array, "r w2 gkk2"],
    row: Int[Array, ""],
    sides: tuple[int, ...],
    steps: Steps,
    size: int,
    stride: int,
) -> tuple[Int32[Array, "r w2 gkk2"], Float[Array, "r w2 gkk2"]]:
    """Where each sample's upper left pixel is in the flat table, as two terms of a sum, and how far from there it is, down
    and right, as a part of a pixel. `row` is that of x below the first of these.

    Both coordinates stay in one axis: with an axis of two the loops would be too short for vectors.
    """
    lane, kind = np.arange(offsets.shape[-1])[None, None], offsets.dtype
    down, tap = lane % 2 == 0, lane // 2 % size**2
    ahead = np.where(down, tap // size, tap % size) - size // 2
    rows = row + stride * jnp.arange(offsets.shape[0])[:, None, None]
    columns = stride * jnp.arange(offsets.shape[1])[None, :, None]
    place = offsets + (jnp.where(down, rows, columns).astype(kind) + jnp.asarray(ahead, kind))
    inside = (place > -1) & (place < jnp.asarray(np.where(down, *sides), kind))
    place = jnp.where(inside, place, -1)  # where the table has zeros
    low = jnp.floor(place)
    step, group = np.where(down, steps.row, steps.column), np.where(down, lane // (2 * size**2) * steps.group, 0)
    at = low.astype(jnp.int32) * jnp.asarray(step, jnp.int32) + jnp.asarray(step + group, jnp.int32)
    return at, place - low


def _samples(
    table: Float[Array, " all"],
    at: Int32[Array, "r w2 gkk2"],
    part: Float[Array, "r w2 gkk2"],
    mask: Float[Array, "r w2 gkk"],
    steps: Steps,
    size: int,
) -> Float[Array, "r w2 g k n k"]:
    """All channels of all taps, between four pixels each.

    The taps of a row of the kernel are last, after the channels. With few channels last XLA unrolls their loop and works on
    one number at a time; as it is, the loop over channels stays and becomes vectors: 2 ns a sample, not 6.
    """
    down, right = at.reshape(*mask.shape, 2), part.reshape(*mask.shape, 2)
    shape = (*mask.shape[:2], -1, size, size)
    corner = down.sum(-1).reshape(shape)
    below, beside = right[..., 0].reshape(shape), right[..., 1].reshape(shape)
    mask = mask.reshape(shape)
    numbers = jax.lax.GatherDimensionNumbers(offset_dims=(4,), collapsed_slice_dims=(), start_index_map=(0,))

    def pixel(ahead: int) -> Float[Array, "r w2 g k n k"]:
        start = (corner + ahead)[..., None]
        return jax.lax.gather(table, start, numbers, (steps.group,), mode="promise_in_bounds")

    def weighed(weight: Float[Array, "r w2 g k k"], ahead: int) -> Float[Array, "r w2 g k n k"]:
        return weight[..., None, :] * pixel(ahead)

    above, before = mask * (1 - below), 1 - beside
    below = mask * below
    samples = weighed(above * before, 0) + weighed(above * beside, steps.column)
    samples = samples + weighed(below * before, steps.row) + weighed(below * beside, steps.row + steps.column)
    return with_layout_constraint(samples, Layout(tuple(range(samples.ndim))))
