"""What is special to ET-Net: its transformers against plain formulas, and how they are put together."""

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array

from baselines import weights
from baselines.e2vid import E2VID_PLUS
from baselines.et_net import ET_NET, ETNet, aggregate
from baselines.spade_e2vid import SPADE_E2VID, SpadeE2VID
from baselines.transformer import Attention, DecoderLayer, EncoderLayer, attend, position_code
from baselines.unet import UNetRecurrent

LAST = ("out_proj", "linear2")
"""Layers at the end of each branch of a transformer."""


class Aggregate(nn.Module):
    """That part of the network alone."""

    @nn.compact
    def __call__(self, pyramid):
        return aggregate(pyramid)


@pytest.fixture(autouse=True)
def doubles():
    with jax.enable_x64(True):
        yield


def normal(*shape: int, seed: int = 0) -> Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def random_variables(layer: nn.Module, *inputs) -> dict:
    """Of every kind, biases too."""
    rng = np.random.default_rng(7)
    shapes = jax.eval_shape(layer.init, jax.random.key(0), *inputs)
    return cast(dict, jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape) * 0.5), shapes))


@partial(jax.jit, static_argnames="layer")
def compiled(layer: nn.Module, v: dict, *inputs) -> Array:
    return cast(Array, layer.apply(v, *inputs))


def applied(layer: nn.Module, v: dict, *inputs) -> np.ndarray:
    return np.asarray(compiled(layer, v, *inputs))


def silenced(tree: dict, kept: Callable[[tuple[str, ...]], bool]) -> dict:
    """The tree with zeros for what is not kept."""
    flat = cast(dict[tuple[str, ...], Array], flatten_dict(tree))
    return unflatten_dict({path: a if kept(path) else jnp.zeros_like(a) for path, a in flat.items()})


def plain_attention(p: dict, x: np.ndarray, memory: np.ndarray, heads: int) -> np.ndarray:
    """Equation 1 and section 3.2.2 of Vaswani et al., a token and a head at a time; PyTorch stacks queries, keys, values."""
    c, d = x.shape[1], x.shape[1] // heads
    kernel, bias = np.asarray(p["in_proj_weight"]), np.asarray(p["in_proj_bias"])
    query, key, value = (
        rows @ kernel[:, k * c : (k + 1) * c] + bias[k * c : (k + 1) * c] for k, rows in enumerate((x, memory, memory))
    )
    read = np.zeros_like(x)
    for head in range(heads):
        part = slice(head * d, (head + 1) * d)
        for token in range(len(x)):
            weight = np.exp(key[:, part] @ query[token, part] / math.sqrt(d))
            read[token, part] = weight / weight.sum() @ value[:, part]
    return read @ np.asarray(p["out_proj"]["kernel"]) + np.asarray(p["out_proj"]["bias"])


def plain_norm(p: dict, x: np.ndarray) -> np.ndarray:
    mean, var = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * np.asarray(p["scale"]) + np.asarray(p["bias"])


def plain_network(p: dict, x: np.ndarray) -> np.ndarray:
    hidden = np.maximum(x @ np.asarray(p["linear1"]["kernel"]) + np.asarray(p["linear1"]["bias"]), 0)
    return hidden @ np.asarray(p["linear2"]["kernel"]) + np.asarray(p["linear2"]["bias"])


def test_attention_is_the_formula() -> None:
    x, memory = normal(5, 12), normal(7, 12, seed=1)
    layer = Attention(3)
    v = random_variables(layer, x, memory)
    expected = plain_attention(v["params"], np.asarray(x), np.asarray(memory), 3)
    assert np.allclose(applied(layer, v, x, memory), expected, rtol=0, atol=1e-13)


def test_attention_of_a_batch() -> None:
    query, key, value = (normal(2, 5, 3, 4, seed=k) for k in range(3))
    alone = jnp.stack([attend(query[k], key[k], value[k]) for k in range(2)])
    assert np.allclose(jax.vmap(attend)(query, key, value), alone, rtol=0, atol=1e-14)


def test_heads_together_or_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU takes one by one."""
    query, key, value = (normal(5, 3, 4, seed=k) for k in range(3))
    one_by_one = attend(query, key, value)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert np.allclose(attend(query, key, value), one_by_one, rtol=0, atol=1e-14)


def test_encoder_layer_is_the_formula() -> None:
    """The norms come before each step and none after the last; of tokens nearly flat, for the norm's epsilon to show."""
    x = 3 + normal(5, 8) * 0.01
    layer = EncoderLayer(2)
    v = random_variables(layer, x)
    p, y = v["params"], np.asarray(x)
    normed = plain_norm(p["norm1"], y)
    y = y + plain_attention(p["self_attn"], normed, normed, 2)
    expected = y + plain_network(p, plain_norm(p["norm2"], y))
    assert np.allclose(applied(layer, v, x), expected, rtol=0, atol=1e-11)


def test_decoder_layer_is_the_formula() -> None:
    x, memory = 3 + normal(5, 8) * 0.01, normal(6, 8, seed=1)
    layer = DecoderLayer(2)
    v = random_variables(layer, x, memory)
    p, y = v["params"], np.asarray(x)
    normed = plain_norm(p["norm1"], y)
    y = y + plain_attention(p["self_attn"], normed, normed, 2)
    y = y + plain_attention(p["cross_attn"], plain_norm(p["norm21"], y), plain_norm(p["norm22"], np.asarray(memory)), 2)
    expected = y + plain_network(p, plain_norm(p["norm3"], y))
    assert np.allclose(applied(layer, v, x, memory), expected, rtol=0, atol=1e-11)


def test_code_of_places() -> None:
    code = position_code(6, 8)
    for place in range(6):
        for channel in range(8):
            angle = place / 10_000 ** (2 * (channel // 2) / 8)
            assert code[place, channel] == np.float32(math.cos(angle) if channel % 2 else math.sin(angle))


def pyramid() -> list[Array]:
    return [normal(2 << scale, 3 << scale, 16 >> scale, seed=scale) for scale in range(3)]


def test_tokens_that_tell_nothing_are_averaged() -> None:
    """With the last layer of each branch at zero every transformer hands on what it gets: the mean of six is then the
    mean over scales of tokens, to which the rounded code of places is added once."""
    given = pyramid()
    v = silenced(random_variables(Aggregate(), given), lambda path: path[-2] not in LAST)
    p, tokens = v["params"], [np.asarray(given[0]).reshape(6, 16)]
    for scale in (1, 2):
        step, made = 1 << scale, np.zeros((2, 3, 16))
        for row in range(2):
            for column in range(3):
                block = given[scale][step * row : step * (row + 1), step * column : step * (column + 1)]
                made[row, column] = np.tensordot(block, np.asarray(p[f"split{scale}"]["kernel"]), 3)
        tokens.append((made + np.asarray(p[f"split{scale}"]["bias"])).reshape(6, 16))
    expected = sum(tokens) / 3 + position_code(6, 16).astype(np.float64)
    assert np.allclose(applied(Aggregate(), v, given), expected.reshape(2, 3, 16), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("reader", "read"), [(0, 0), (1, 0), (2, 1)])
def test_each_scale_reads_the_coarser_one(reader: int, read: int) -> None:
    """With the outputs of all other decoders and encoders at zero, only that scale's picture reaches what is read."""
    given = pyramid()
    v = random_variables(Aggregate(), given)
    own = f"trans_decoder{reader}."
    v = silenced(v, lambda path: path[-2] not in LAST or (path[1].startswith(own) and path[2] == "cross_attn"))
    deaf = silenced(v, lambda path: path[-2] not in LAST)

    def told(given: list[Array]) -> np.ndarray:
        return applied(Aggregate(), v, given) - applied(Aggregate(), deaf, given)

    before = told(given)
    for scale in range(3):
        other = [x + normal(*x.shape, seed=9) * (k == scale) for k, x in enumerate(given)]
        changed = np.abs(told(other) - before).max() > 1e-6
        assert changed == (scale in (reader, read))


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(("height", "width", "norm"), [(184, 240, False), (264, 352, True)])
def test_state_keeps_its_form(kind: str, height: int, width: int, norm: bool) -> None:
    """As `lax.scan` needs it, at the sizes of sensors; the type is that of what goes in."""
    net = ETNet(5, 32, norm)
    state = net.initial(height, width, jnp.dtype(kind))
    x = jax.ShapeDtypeStruct((height, width, 5), kind)
    shapes = jax.eval_shape(net.init, jax.random.key(0), x, state)
    v = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, kind), shapes)
    new, picture = jax.eval_shape(net.apply, v, x, state)
    assert picture.shape == (height, width) and picture.dtype == kind
    assert jax.tree.map(lambda a: (a.shape, a.dtype), new) == jax.tree.map(lambda a: (a.shape, a.dtype), state)


@pytest.mark.parametrize("norm", [False, True])
def test_options_are_read_off_the_entries(norm: bool) -> None:
    net = ETNet(bins=3, channels=8, norm=norm)
    entries = weights.entries(net)
    assert ET_NET.network(entries, {}) == net
    # The original puts the norm after every convolution but those of its LSTMs and of its tokens, the last one included.
    assert len([name for name in entries if name.endswith("norm_layer.running_mean")]) == norm * 8
    others = [SpadeE2VID(5, 8), UNetRecurrent(5, 8, 3, 2, 5, False, True, False, "none")]
    assert [ET_NET.network(weights.entries(other), {}) for other in others] == [None, None]
    assert [method.network(entries, {}) for method in (SPADE_E2VID, E2VID_PLUS)] == [None, None]


def test_parameters_of_the_published_network() -> None:
    entries = weights.entries(ETNet(5, 32, norm=False))
    assert sum(int(np.prod(shape)) for shape in entries.values()) == ET_NET.parameters
