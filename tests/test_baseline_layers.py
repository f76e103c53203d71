"""The faster forms of convolutions equal the plain ones, at even and odd sizes down to the smallest."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines import convolution
from baselines.convolution import (
    convolve,
    transposed_by_phases,
    transposed_plainly,
    upsample,
    upsampled_by_phases,
    upsampled_plainly,
)
from baselines.layers import ConvGRU, Weights, conv
from baselines.winograd import winograd

SIZES = [(1, 1), (2, 3), (8, 6), (7, 12), (13, 9)]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def random(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape))


def plainly(x: jax.Array, weights: jax.Array, padding: Sequence[tuple[int, int]], stride: int = 1) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x[None], weights, (stride, stride), padding, dimension_numbers=layout)[0]


def close(ours: jax.Array, expected: np.ndarray | jax.Array) -> None:
    assert ours.dtype == jnp.float64
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", SIZES)
def test_upsampling_in_phases_is_upsampling_and_convolution(size: tuple[int, int], kernel: int) -> None:
    x, weights = random(*size, 3), random(kernel, kernel, 3, 2)
    close(jax.jit(upsampled_by_phases)(x, weights), jax.jit(upsampled_plainly)(x, weights))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", SIZES)
def test_transposed_convolution_is_the_sum_of_what_each_pixel_spreads(size: tuple[int, int], kernel: int) -> None:
    x, weights = random(*size, 3), random(kernel, kernel, 2, 3)
    height, width = size
    spread = np.zeros((2 * height + kernel, 2 * width + kernel, 2))
    for row in range(height):
        for column in range(width):
            spread[2 * row : 2 * row + kernel, 2 * column : 2 * column + kernel] += weights @ x[row, column]
    first = kernel // 2
    expected = spread[first : first + 2 * height, first : first + 2 * width]
    close(jax.jit(transposed_by_phases)(x, weights), expected)
    close(jax.jit(transposed_plainly)(x, weights), expected)


@pytest.mark.parametrize(("backend", "plain"), [("cpu", False), ("gpu", True), ("tpu", True)])
def test_other_devices_have_the_plain_forms(monkeypatch: pytest.MonkeyPatch, backend: str, plain: bool) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x, weights = random(6, 6, 64), random(3, 3, 64, 64)
    forms = [convolution.upsampled, convolution.transposed, lambda x, kernel: convolve(x, kernel, [(1, 1), (1, 1)])]
    for form in forms:
        convolutions = str(jax.make_jaxpr(partial(form))(x, weights)).count("conv_general_dilated[")
        assert (convolutions == 1) == plain


@pytest.mark.parametrize("size", SIZES)
def test_upsampling_interpolates_between_half_pixel_centres(size: tuple[int, int]) -> None:
    x = random(*size, 2)
    expected = np.asarray(x)
    for axis in (0, 1):
        last = x.shape[axis] - 1
        places = np.clip((np.arange(2 * x.shape[axis]) + 0.5) / 2 - 0.5, 0, last)
        low = np.floor(places).astype(int)
        part = np.expand_dims(places - low, [a for a in range(3) if a != axis])
        near, far = np.take(expected, low, axis), np.take(expected, np.minimum(low + 1, last), axis)
        expected = near * (1 - part) + far * part
    close(jax.jit(upsample)(x), expected)


SHAPES = [(1, 8, 3), (5, 4, 5), (7, 16, 3), (20, 9, 1), (6, 17, 5), (32, 64, 3), (64, 64, 3), (3, 65, 3)]
"""Channels in and out, and the kernel's size."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("size", "stride"), [((7, 10), 1), ((8, 5), 1), ((7, 10), 2)])
def test_convolution_is_that_of_xla(shape: tuple[int, int, int], size: tuple[int, int], stride: int) -> None:
    channels, outputs, kernel = shape
    x, weights = random(*size, channels), random(kernel, kernel, channels, outputs)
    around = (kernel // 2, kernel // 2)
    close(convolve(x, weights, [around, around], stride), plainly(x, weights, [around, around], stride))


@pytest.mark.parametrize(
    "padding", [[(0, 2), (1, 0)], [(1, 1), (0, 1)], [(2, 0), (1, 1)], [(0, 0), (-1, -2)], [(3, 1), (1, 0)]]
)
@pytest.mark.parametrize("width", [8, 9])
def test_convolution_pads_each_side_as_it_is_told(padding: list[tuple[int, int]], width: int) -> None:
    x, weights = random(7, width, 20), random(3, 2, 20, 16)
    close(convolve(x, weights, padding), plainly(x, weights, padding))


def test_winograd_is_for_one_row_and_column_around() -> None:
    x, weights = random(5, 6, 64), random(3, 3, 64, 64)
    close(convolve(x, weights, [(1, 1), (0, 2)]), plainly(x, weights, [(1, 1), (0, 2)]))


@pytest.mark.parametrize("size", SIZES)
def test_winograd_is_convolution(size: tuple[int, int]) -> None:
    x, weights = random(*size, 4), random(3, 3, 4, 5)
    close(jax.jit(winograd)(x, weights), plainly(x, weights, [(1, 1), (1, 1)]))


def test_winograd_keeps_the_precision_of_float32() -> None:
    x, weights = random(30, 40, 128), random(3, 3, 128, 64)
    exact = plainly(x, weights, [(1, 1), (1, 1)])
    plain, ours = (
        abs(form(x.astype(jnp.float32), weights.astype(jnp.float32)) - exact).max()
        for form in (lambda x, weights: plainly(x, weights, [(1, 1), (1, 1)]), winograd)
    )
    assert ours < 4 * plain


def test_only_what_gains_by_it_goes_through_winograd() -> None:
    def products(height: int, channels: int, outputs: int, kernel: int) -> int:
        shapes = (height, 100, channels), (kernel, kernel, channels, outputs)
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        padding = [(kernel // 2, kernel // 2)] * 2
        return str(jax.make_jaxpr(lambda x, weights: convolve(x, weights, padding))(*arrays)).count("dot_general[")

    assert products(250, 64, 64, 3) == 1
    assert (
        products(251, 64, 64, 3)
        == products(250, 63, 64, 3)
        == products(250, 64, 63, 3)
        == products(250, 64, 64, 5)
        == 0
    )


class Twice(nn.Module):
    """A convolution with a bias, and one without, of names such as checkpoints have."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return conv(4, 3, 2, bias=False, name="blocks.1")(conv(3, 5, name="blocks.0")(x))


def test_parameters_have_the_names_and_shapes_of_linen() -> None:
    found = jax.tree.map(jnp.shape, Twice().init(jax.random.key(0), random(8, 8, 5)))
    assert found == {
        "params": {"blocks.0": {"kernel": (5, 5, 5, 3), "bias": (3,)}, "blocks.1": {"kernel": (3, 3, 3, 4)}}
    }
    turned = jax.tree.map(jnp.shape, Weights(3, 5, transposed=True).init(jax.random.key(0), random(8, 8, 5)))
    assert turned == {"params": {"kernel": (5, 5, 3, 5), "bias": (3,)}}


def test_gates_of_a_gru_are_convolutions_of_their_own() -> None:
    x, state = random(7, 9, 3), random(7, 9, 4)
    gates = {name: {"kernel": random(3, 3, 7, 4) * place, "bias": random(4) * place} for place, name in enumerate(
        ("update_gate", "reset_gate", "out_gate"), 1)}  # fmt: skip

    def gate(name: str, state: jax.Array) -> jax.Array:
        y = nn.Conv(4, (3, 3), padding=1).apply({"params": gates[name]}, jnp.concatenate([x, state], -1))
        assert isinstance(y, jax.Array)
        return y

    update, reset = (nn.sigmoid(gate(name, state)) for name in ("update_gate", "reset_gate"))
    expected = state * (1 - update) + jnp.tanh(gate("out_gate", state * reset)) * update
    ours = ConvGRU(4).apply({"params": gates}, x, state)
    assert isinstance(ours, jax.Array)
    close(ours, expected)
