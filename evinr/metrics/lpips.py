"""LPIPS, version 0.1: the distance of pictures in the features of a network that names things (Zhang et al., CVPR 2018).

    d(a, b) = sum over layers l of the mean over pixels of w_l . (f_l(a) - f_l(b))^2

f_l: activations of AlexNet or VGG16, divided at each pixel by their length; w_l: fitted to what people judge alike. As the
PyTorch package `lpips` 0.1.4 computes it, whose numbers the published tables have. The weights come from the user
(`evinr weights convert`): nothing is fetched, and there is no substitute where they are absent.

The only module of the metrics that knows flax.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Float64

from evinr.events import InputError
from evinr.weights import safetensors_file

Params = Any
"""Parameters: `trunk` has those of `features_i`, and `lin_l` the weights of the features that count."""
Pictures = Float[Array | np.ndarray, "n h w"] | Float[Array | np.ndarray, "n h w 3"]


class Conv(NamedTuple):
    """A convolution and a rectifier."""

    channels: int
    size: int
    stride: int = 1


class Pool(NamedTuple):
    """The largest of `size` x `size` pixels, at every second one."""

    size: int


PLANS: dict[str, dict[int, Conv | Pool]] = {
    "alex": {
        **{0: Conv(64, 11, 4), 2: Pool(3), 3: Conv(192, 5), 5: Pool(3), 6: Conv(384, 3), 8: Conv(256, 3)},
        **{10: Conv(256, 3)},
    },
    "vgg": {
        **{0: Conv(64, 3), 2: Conv(64, 3), 4: Pool(2), 5: Conv(128, 3), 7: Conv(128, 3), 9: Pool(2)},
        **{10: Conv(256, 3), 12: Conv(256, 3), 14: Conv(256, 3), 16: Pool(2)},
        **{17: Conv(512, 3), 19: Conv(512, 3), 21: Conv(512, 3), 23: Pool(2)},
        **{24: Conv(512, 3), 26: Conv(512, 3), 28: Conv(512, 3)},
    },
}
"""The trunks: AlexNet in one column (Krizhevsky, 2014) and VGG16 (Simonyan and Zisserman, 2015, configuration D). The numbers
are torchvision's, by which the published weights are named."""
FEATURES = {"alex": (0, 3, 6, 8, 10), "vgg": (2, 7, 14, 21, 28)}
"""The convolutions whose activations count."""
SMALLEST = {"alex": 31, "vgg": 16}
"""Pixels of a side below which nothing is left for the last of them."""
SHIFT, SCALE = np.array([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]], np.float32)
"""Mean and deviation of ImageNet's colours in [-1, 1], as the package rounds them, in float32 whatever the weights are."""
EPSILON = 1e-10
AT_ONCE, PIXELS = 8, 720_000
"""Pictures a batch, fewer where they have more pixels than this together: VGG16 takes 0.5 kB a pixel."""


class Lpips(NamedTuple):
    """A network with its weights."""

    trunk: Literal["alex", "vgg"]
    params: Params
    sha256: str
    """Of the file the weights came from."""


class Trunk(nn.Module):
    """Pictures (n, h, w, 3), scaled, to the activations that count."""

    trunk: str

    @nn.compact
    def __call__(self, pictures: Float[Array, "n h w 3"]) -> list[Float[Array, "n _ _ _"]]:
        features, x = list[Array](), pictures
        for place, step in PLANS[self.trunk].items():
            match step:
                case Pool(size):
                    x = nn.max_pool(x, (size, size), (2, 2))
                case Conv(channels, size, stride):
                    padding = 2 if size > 3 else 1  # torchvision's; AlexNet's first has 2 as well
                    conv = nn.Conv(
                        channels,
                        (size, size),
                        (stride, stride),
                        padding,
                        precision="highest",  # or GPUs round to 10 bits
                        dtype=x.dtype,
                        param_dtype=x.dtype,
                        name=f"features_{place}",
                    )
                    x = nn.relu(conv(x))
                    if place in FEATURES[self.trunk]:
                        features.append(x)
        return features


class Head(nn.Module):
    """Squared differences (n, h, w, c) to one number a picture: the mean over its pixels of their weighted sum."""

    @nn.compact
    def __call__(self, squares: Float[Array, "n h w c"]) -> Float[Array, " n"]:
        weights = self.param("kernel", nn.initializers.zeros, (squares.shape[-1],), squares.dtype)
        return jnp.einsum("nhwc,c->n", squares, weights, precision="highest") / (squares.shape[1] * squares.shape[2])


class Network(nn.Module):
    """Two batches of pictures to what each layer adds to their distance."""

    trunk: str

    @nn.compact
    def __call__(self, a: Float[Array, "n h w 3"], b: Float[Array, "n h w 3"]) -> Float[Array, "n layers"]:
        both = (2 * jnp.concatenate([a, b]) - 1 - SHIFT[None, None, None]) / SCALE[None, None, None]
        parts = list[Array]()
        for layer, found in enumerate(Trunk(self.trunk, name="trunk")(both)):
            first, second = jnp.split(_unit(found), 2)
            parts.append(Head(name=f"lin_{layer}")((first - second) ** 2))
        return jnp.stack(parts, 1)


def _unit(features: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Features at each pixel divided by their length."""
    return features / (jnp.sqrt((features**2).sum(-1, keepdims=True)) + EPSILON)


def distance(net: Lpips, a: Pictures, b: Pictures) -> Float64[np.ndarray, " n"]:
    """The distance of each picture of `a` from that of `b`, in [0, 1], gray or RGB of one shape: 0 is alike.

    Raises InputError where they are too small for the network.
    """
    at_once = max(1, min(AT_ONCE, PIXELS // (a.shape[1] * a.shape[2])))
    scores = list[np.ndarray]()
    for start in range(0, len(a), at_once):
        part = slice(start, start + at_once)
        # The last batch is filled up, so that it needs no program of its own.
        missing = max(0, min(at_once, len(a)) - len(a[part]))
        batch = [np.pad(np.asarray(x[part]), [(0, missing)] + [(0, 0)] * (x.ndim - 1)) for x in (a, b)]
        found = np.asarray(layers(net.trunk, net.params, *batch), np.float64)
        scores.append(found.sum(1)[: len(found) - missing])
    return np.concatenate([np.zeros(0), *scores])


@partial(jax.jit, static_argnames="trunk")
def layers(trunk: str, params: Params, a: Pictures, b: Pictures) -> Float[Array, "{a.shape[0]} layers"]:
    """What each layer adds to the distance, for pictures as `distance`; in the parameters' precision, and differentiable.

    Raises InputError as `distance`.
    """
    if min(a.shape[1:3]) < SMALLEST[trunk]:
        raise InputError(
            f"pictures of {a.shape[2]} x {a.shape[1]} pixels are too small for LPIPS with the trunk {trunk}: "
            f"it needs {SMALLEST[trunk]} x {SMALLEST[trunk]}; leave LPIPS out, or take another trunk"
        )
    kind = jax.tree.leaves(params)[0].dtype
    return cast(Array, Network(trunk).apply({"params": params}, _colour(a, kind), _colour(b, kind)))


def _colour(pictures: Pictures, kind: Any) -> Float[Array, "n h w 3"]:
    pictures = jnp.asarray(pictures, kind)
    return pictures if pictures.ndim == 4 else jnp.repeat(pictures[..., None], 3, -1)


def shapes(trunk: str) -> dict[str, tuple[int, ...]]:
    """Every entry of the published files that is needed, and its shape, as PyTorch has it."""
    found, before = dict[str, tuple[int, ...]](), 3
    for place, step in PLANS[trunk].items():
        if isinstance(step, Conv):
            found[f"features.{place}.weight"] = (step.channels, before, step.size, step.size)
            found[f"features.{place}.bias"] = (step.channels,)
            before = step.channels
    for layer, place in enumerate(FEATURES[trunk]):
        found[f"lin{layer}.model.1.weight"] = (1, found[f"features.{place}.bias"][0], 1, 1)
    return found


def of_entries(entries: Mapping[str, Float[np.ndarray, "..."]]) -> Params:
    """Parameters of the network from entries of `shapes`."""
    trunk, heads = dict[str, dict[str, np.ndarray]](), dict[str, dict[str, np.ndarray]]()
    for name, value in entries.items():
        layer, place, *_, what = name.split(".")
        if layer.startswith("lin"):
            heads[f"lin_{layer.removeprefix('lin')}"] = {"kernel": value.reshape(-1)}
        else:
            kernel = {"kernel": value.transpose(2, 3, 1, 0)} if what == "weight" else {"bias": value}
            trunk.setdefault(f"features_{place}", {}).update(kernel)
    return {"trunk": trunk, **heads}


def load(path: Path) -> Lpips:
    """The network in a file of `evinr weights convert`.

    Raises InputError where it is none, or of another network.
    """
    stored = safetensors_file.read(path)
    safetensors_file.require(path, stored, {f"lpips-{trunk}": shapes(trunk) for trunk in PLANS})
    trunk = cast(Literal["alex", "vgg"], stored.architecture.removeprefix("lpips-"))
    return Lpips(trunk, jax.tree.map(jnp.asarray, of_entries(stored.entries)), stored.sha256)
