"""What is special to SPADE-E2VID: its first window, and how the picture before steers the one to come."""

from itertools import product
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from baselines import weights
from baselines.e2vid import E2VID_PLUS
from baselines.et_net import ET_NET, ETNet
from baselines.method import Variables
from baselines.spade_e2vid import SPADE_E2VID, Spade, SpadeE2VID, SpadeState, guide, pixel_shuffle
from baselines.unet import UNetRecurrent

SMALL = SpadeE2VID(bins=5, channels=2)


def variables(network: SpadeE2VID, kind: str) -> Variables:
    """Random weights, running variances positive."""
    rng = np.random.default_rng(3)
    arrays = {}
    for name, shape in weights.entries(network).items():
        values = rng.standard_normal(shape) * 0.3
        arrays[name] = (np.abs(values) + 0.5 if name.endswith("running_var") else values).astype(kind)
    return weights.variables(network, arrays)


def grid(height: int, width: int, kind: str = "float64", seed: int = 0) -> np.ndarray:
    """Events of either sign, two in three pixels with none."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(height, width, 5)) * 3
    return np.where(rng.random(values.shape) < 1 / 3, values, 0).astype(kind)


def denormalised(v: Variables, x, picture) -> np.ndarray:
    return np.asarray(cast(Array, Spade(2).apply(v, jnp.asarray(x), jnp.asarray(picture))))


@pytest.fixture
def doubles():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("scale", [1.0, 0.0, -1.0])
def test_first_window_is_changed_where_it_stands(doubles, scale: float) -> None:
    """The law is the original's own few lines, on an array that two names share; empty windows stay as they are."""
    given = grid(8, 12) * scale if scale else np.zeros((8, 12, 5))
    expected = given.copy()
    view = expected[..., :3]
    view -= view.min()
    if view.max() > 0:
        view /= view.max()
    seen, picture = guide(jnp.asarray(given), SMALL.initial(8, 12, jnp.dtype("float64")))
    assert np.allclose(seen, expected, rtol=0, atol=1e-15)
    assert np.array_equal(seen[..., :3], picture)
    assert not scale or (picture.min() == 0 and picture.max() == 1 and np.abs(expected - given)[..., :3].max() > 0.1)


def test_later_windows_are_left_alone(doubles) -> None:
    given, before = grid(8, 12), SMALL.initial(8, 12, jnp.dtype("float64"))
    made = jnp.asarray(np.random.default_rng(1).random((8, 12, 3)))
    seen, picture = guide(jnp.asarray(given), before._replace(picture=made, first=jnp.array(False)))
    assert np.array_equal(seen, given)
    assert np.array_equal(picture, made)


def test_the_network_is_guided_by_that(doubles) -> None:
    """The first window is as a later one that was changed beforehand; the picture remembered has three planes, whose mean
    is the result; and the next window depends on it."""
    net, given = SMALL, jnp.asarray(grid(8, 12))
    apply = jax.jit(net.apply)
    v, start = variables(net, "float64"), net.initial(8, 12, jnp.dtype("float64"))
    state, picture = apply(v, given, start)
    seen, guiding = guide(given, start)
    same = apply(v, seen, SpadeState(start.cells, guiding, jnp.array(False)))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), (state, picture), same))
    assert not state.first and state.picture.shape == (8, 12, 3)
    assert np.allclose(picture, np.asarray(state.picture).mean(-1), rtol=0, atol=1e-15)
    _, unsteered = apply(v, given, state._replace(picture=jnp.zeros_like(state.picture)))
    assert np.abs(apply(v, given, state)[1] - unsteered).max() > 1e-3


def test_steering_picture_is_shrunk_to_the_first_pixel_of_each_block(doubles) -> None:
    rng = np.random.default_rng(5)
    x, picture, others = jnp.asarray(rng.normal(size=(4, 6, 2))), rng.random((8, 12, 3)), rng.random((8, 12, 3))
    v = Spade(2).init(jax.random.key(0), x, jnp.asarray(picture))
    assert not np.array_equal(denormalised(v, x, others), denormalised(v, x, picture))
    others[::2, ::2] = picture[::2, ::2]
    assert np.array_equal(denormalised(v, x, others), denormalised(v, x, picture))


def test_denormalisation_is_scale_and_shift_by_the_picture(doubles) -> None:
    """With kernels of zeros their biases are left: (x - mean) / sqrt(var + eps) (1 + gamma) + beta."""
    x, picture = np.random.default_rng(6).normal(size=(4, 6, 2)), np.zeros((4, 6, 3))
    v = jax.tree.map(jnp.zeros_like, Spade(2).init(jax.random.key(0), jnp.asarray(x), jnp.asarray(picture)))
    v["params"]["mlp_gamma"]["bias"] += jnp.asarray([0.5, -3])
    v["params"]["mlp_beta"]["bias"] += jnp.asarray([0.25, 7])
    v["batch_stats"]["param_free_norm"] = {"mean": jnp.asarray([0.1, -0.2]), "var": jnp.asarray([0.3, 1e-6])}
    expected = (x - [0.1, -0.2]) / np.sqrt(np.array([0.3, 1e-6]) + 1e-5) * [1.5, -2] + [0.25, 7]
    assert np.allclose(denormalised(v, x, picture), expected, rtol=1e-12, atol=0)


def test_pixel_shuffle_by_hand() -> None:
    x = np.arange(2 * 3 * 8.0).reshape(2, 3, 8)
    big = pixel_shuffle(jnp.asarray(x))
    assert big.shape == (4, 6, 2)
    for row, column, channel in product(range(4), range(6), range(2)):
        assert big[row, column, channel] == x[row // 2, column // 2, 4 * channel + 2 * (row % 2) + column % 2]


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(("height", "width"), [(184, 240), (264, 352), (36, 52)])
def test_state_keeps_its_form(doubles, kind: str, height: int, width: int) -> None:
    """As `lax.scan` needs it, at the sizes of sensors; the type is that of what goes in."""
    net = SpadeE2VID(5, 32)
    state = net.initial(height, width, jnp.dtype(kind))
    x = jax.ShapeDtypeStruct((height, width, 5), kind)
    shapes = jax.eval_shape(net.init, jax.random.key(0), x, state)
    v = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, kind), shapes)
    new, picture = jax.eval_shape(net.apply, v, x, state)
    assert picture.shape == (height, width) and picture.dtype == kind
    assert jax.tree.map(lambda a: (a.shape, a.dtype), new) == jax.tree.map(lambda a: (a.shape, a.dtype), state)


def test_options_are_read_off_the_entries() -> None:
    net = SpadeE2VID(bins=3, channels=8)
    assert SPADE_E2VID.network(weights.entries(net), {}) == net
    others = [ETNet(5, 8, norm=False), UNetRecurrent(5, 8, 3, 2, 5, False, True, False, "none")]
    assert [SPADE_E2VID.network(weights.entries(other), {}) for other in others] == [None, None]
    assert [method.network(weights.entries(net), {}) for method in (ET_NET, E2VID_PLUS)] == [None, None]


def test_parameters_of_the_published_network() -> None:
    entries = weights.entries(SpadeE2VID(5, 32))
    trained = {name: shape for name, shape in entries.items() if "running_" not in name}
    assert sum(int(np.prod(shape)) for shape in trained.values()) == SPADE_E2VID.parameters
