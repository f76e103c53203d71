"""Training of recurrent networks by truncated backpropagation through time: consecutive windows in chunks, the state carried
from each chunk to the next, the gradient not.

The losses are those of E2VID (Rebecq et al., TPAMI 2019) with weights of the authors of E2VID+ (Stoffregen et
al., ECCV 2020; config/reconstruction.json of github.com/TimoStoff/event_cnn_minimal). Networks with batch normalisation are
not for this: layers.py has it by running statistics, which nothing here learns.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float

from baselines import weights
from baselines.method import Network, State, Variables
from evinr.metrics import lpips

VISIBLE = 50.0
"""Of the difference of true pictures, squared: where it is large, something came out from behind another (E2VID, alpha)."""
RADIUS, SIGMA = 5, 1.5
"""Pixels of the window of SSIM."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    rate: float = 1e-4
    """Of Adam (E2VID and E2VID+)."""
    clip: float = 1.0
    """The norm that a gradient has at most; the originals do not limit it."""
    temporal: float = 2.0
    """Weight of the temporal loss (E2VID+; E2VID has 5)."""


class Chunk(NamedTuple):
    """Consecutive windows of `n` sequences."""

    grids: Float[Array, "n t h w bins"]
    truth: Float[Array, "n t h w"]
    """Pictures in [0, 1] at the windows' ends."""
    moved: Float[Array, "n t h w 2"]
    """Rows and columns from each pixel to where what it shows was at the end of the window before."""


class Trainee(NamedTuple):
    """All that an update changes."""

    variables: Variables
    moments: optax.OptState
    state: State
    """What the network remembers of each sequence."""


class Terms(NamedTuple):
    """Losses of a chunk."""

    total: Float[Array, ""]
    reconstruction: Float[Array, ""]
    temporal: Float[Array, ""]


def random_variables(network: Network, seed: int) -> Variables:
    """Weights as PyTorch draws them: uniform within 1 / sqrt(inputs) (its default for convolutions), but gates of GRUs
    orthogonal with zero bias, as in the code of FireNet+."""
    rng, shapes = np.random.default_rng(seed), weights.entries(network)

    def draw(name: str) -> Float[np.ndarray, "..."]:
        layer, kind = name.rsplit(".", 1)
        of = shapes[f"{layer}.weight"]
        if layer.endswith("_gate"):
            return orthogonal(rng, of) if kind == "weight" else np.zeros(shapes[name])
        return rng.uniform(-1, 1, shapes[name]) / np.sqrt(np.prod(of[1:]))

    return weights.variables(network, {name: draw(name).astype(np.float32) for name in shapes})


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Random rows, one for each output, of length 1 and at right angles; there are fewer outputs than inputs here."""
    columns, triangle = np.linalg.qr(rng.standard_normal((int(np.prod(shape[1:])), shape[0])))
    return (columns * np.sign(np.diag(triangle))).T.reshape(shape)


def initial(network: Network, recipe: Recipe, count: int, height: int, width: int, seed: int) -> Trainee:
    """The trainee before the first chunk of its first `count` sequences."""
    variables = jax.tree.map(jnp.asarray, random_variables(network, seed))
    return Trainee(variables, optimiser(recipe).init(variables), states(network, count, height, width))


def states(network: Network, count: int, height: int, width: int) -> State:
    """States before the first window of so many sequences."""
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)),
        network.initial(height, width, jnp.dtype(jnp.float32)),
    )


def optimiser(recipe: Recipe) -> optax.GradientTransformation:
    """Adam after a limit on the gradient."""
    return optax.chain(optax.clip_by_global_norm(recipe.clip), optax.adam(recipe.rate))


@partial(jax.jit, static_argnames=("network", "recipe", "trunk"))
def update(
    trainee: Trainee,
    chunk: Chunk,
    perceptual: Any = None,
    *,
    network: Network,
    recipe: Recipe,
    trunk: str | None = None,
) -> tuple[Trainee, Terms]:
    """One step down the losses of a chunk; the state goes on from it. `perceptual` are the parameters of LPIPS with such a
    trunk, where it is the loss."""

    def loss(variables: Variables) -> tuple[Float[Array, ""], tuple[State, Terms]]:
        state, terms = losses(variables, trainee.state, chunk, perceptual, network, recipe, trunk)
        return terms.total, (state, terms)

    gradient, (state, terms) = jax.grad(loss, has_aux=True)(trainee.variables)
    change, moments = optimiser(recipe).update(gradient, trainee.moments)
    return Trainee(optax.apply_updates(trainee.variables, change), moments, state), terms


def losses(
    variables: Variables,
    state: State,
    chunk: Chunk,
    perceptual: Any,
    network: Network,
    recipe: Recipe,
    trunk: str | None,
) -> tuple[State, Terms]:
    """The states after a chunk, and its losses."""
    state, made = jax.vmap(partial(run, network, variables, unroll=True))(chunk.grids, state)
    near = reconstruction_loss(made, chunk.truth, perceptual, trunk)
    steady = jax.vmap(temporal_loss)(made, chunk.truth, chunk.moved).mean()
    return state, Terms(near + recipe.temporal * steady, near, steady)


def run(
    network: Network, variables: Variables, grids: Float[Array, "t h w b"], state: State, *, unroll: bool = False
) -> tuple[State, Float[Array, "t h w"]]:
    """The state after the last window, and every picture. No gradient reaches what was before; what the windows compute is
    not kept for it but computed twice (on CPUs XLA undoes that).

    Differentiated, the loop is to be unrolled: XLA 0.10.2 has no fast convolutions for gradients in loops on CPUs (FireNet,
    64 x 64, 20 windows: 5.1 s of CPU time in a loop, 0.5 unrolled).
    """

    def step(state: State, grid: Float[Array, "h w b"]) -> tuple[State, Float[Array, "h w"]]:
        return network.apply(variables, grid, state)

    return jax.lax.scan(jax.checkpoint(step), jax.lax.stop_gradient(state), grids, unroll=unroll)


def reconstruction_loss(
    made: Float[Array, "n t h w"], truth: Float[Array, "n t h w"], perceptual: Any, trunk: str | None
) -> Float[Array, ""]:
    """LPIPS of that trunk, as published; without one, mean absolute difference + 1 - SSIM."""
    if trunk is None:
        return jnp.abs(made - truth).mean() + 1 - ssim(made, truth).mean()
    flat = [pictures.reshape(-1, *pictures.shape[-2:]) for pictures in (made, truth)]
    return lpips.layers(trunk, perceptual, *flat).sum(1).mean()


def ssim(a: Float[Array, "*n h w"], b: Float[Array, "*n h w"]) -> Float[Array, "*n"]:
    """Structural similarity of pictures in [0, 1], 11 pixels a side at least (Wang et al., TIP 2004), to be differentiated:
    the numbers are `evinr.metrics.fidelity.ssim`'s."""
    down, across = (_windows(side, a.dtype) for side in a.shape[-2:])

    def mean(x: Float[Array, "*n h w"]) -> Float[Array, "*n i j"]:
        return jnp.einsum("ih,...hw,jw->...ij", down, x, across, precision="highest")

    mean_a, mean_b = mean(a), mean(b)
    both, power = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance, variances = mean(a * b) - both, mean(a * a + b * b) - power
    first, second = 0.01**2, 0.03**2
    return ((2 * both + first) * (2 * covariance + second) / ((power + first) * (variances + second))).mean((-2, -1))


def _windows(side: int, dtype: Any) -> Float[np.ndarray, "places {side}"]:
    """A matrix that takes a line of pixels to its weighted means in every window inside it."""
    one = np.exp(-np.square(np.arange(-RADIUS, RADIUS + 1) / SIGMA) / 2)
    places = side - 2 * RADIUS
    matrix = np.zeros((places, side))
    for place in range(places):
        matrix[place, place : place + one.size] = one / one.sum()
    return matrix.astype(dtype)


def temporal_loss(
    made: Float[Array, "t h w"], truth: Float[Array, "t h w"], moved: Float[Array, "t h w 2"]
) -> Float[Array, ""]:
    """How far each picture is from the one before, brought to where things are now, where they were to be seen before
    (E2VID, after Lai et al., ECCV 2018)."""
    made_before, truth_before = (jax.vmap(warped)(x[:-1], moved[1:]) for x in (made, truth))
    seen = jnp.exp(-VISIBLE * (truth[1:] - truth_before) ** 2)
    return (seen * jnp.abs(made[1:] - made_before)).mean()


def warped(picture: Float[Array, "h w"], moved: Float[Array, "h w 2"]) -> Float[Array, "h w"]:
    """At each pixel what the picture has so many rows and columns from there, between pixels bilinear, beyond its edge that."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(picture.dtype)
    return map_coordinates(picture, [rows + moved[..., 0], columns + moved[..., 1]], 1, "nearest")
