"""The faster forms of convolutions equal the plain ones, at even and odd sizes down to the smallest."""

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

SIZES = [(1, 1), (2, 3), (8, 6), (7, 12), (13, 9)]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def random(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape))


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
@pytest.mark.parametrize("name", ["upsampled", "transposed"])
def test_phases_are_for_a_cpu_alone(monkeypatch: pytest.MonkeyPatch, name: str, backend: str, plain: bool) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    traced = jax.make_jaxpr(lambda *arrays: getattr(convolution, name)(*arrays))(random(6, 6, 2), random(5, 5, 2, 2))
    convolutions = str(traced).count("conv_general_dilated[")
    assert convolutions == 1 if plain else convolutions > 1


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


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7, 9])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_of_any_number_of_channels_is_that_of_linen(channels: int, stride: int) -> None:
    x = random(7, 10, channels)
    variables = {"params": {"kernel": random(5, 5, channels, 4), "bias": random(4)}}
    plain = nn.Conv(4, (5, 5), (stride, stride), padding=2).apply(variables, x)
    ours = (
        convolve(x, variables["params"]["kernel"], [(2, 2), (2, 2)], stride) + variables["params"]["bias"][None, None]
    )
    assert isinstance(plain, jax.Array)
    close(ours, plain)


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
