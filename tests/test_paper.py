"""The `paper` preset gives the numbers of the authors' own code, in double precision.

`golden/make_evinr.py` says where the numbers come from. One event recording of 500 events on 24 x 18 pixels, ten event
frames, a small network with weights by a rule, 20 steps of AdamW; gray, and in colour.
"""

import zlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import jax
import numpy as np
import pytest

from evinr import siren, tonemap
from evinr.config import PAPER, FitConfig
from evinr.events import Events
from evinr.fitting import FitState, Snapshot, initial, snapshots, steps, target, window
from evinr.goal import goal
from evinr.losses import Terms, objective
from evinr.reconstruction import Reconstruction, Span
from evinr.siren import Params

HEIGHT, WIDTH, HIDDEN, BASIS, LAYERS = 18, 24, 32, 16, 6
FRAMES, EVERY = [0, 4, 9], 7
"""What the golden files keep of predictions and of the output layer."""

EXACT = 1e-9


def rule(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The weights of the PyTorch entry `name` (the rule of the parity fixtures, ../shared/parity/README.md)."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    values = rng.standard_normal(shape)
    scaled = values * np.sqrt(2.0 / np.prod(shape[1:])) * gain if len(shape) >= 2 else 0.1 * values
    return scaled.astype(np.float32)


class Golden:
    """A golden file, our counterpart of what it was made from, and our answers."""

    def __init__(self, path: Path, colours: int):
        with np.load(path) as arrays:
            self.arrays = dict(arrays)
        self.colours = colours
        t, x, y, p = self["in/events"].T
        self.recording = Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8), HEIGHT, WIDTH)
        self.config: FitConfig = replace(
            PAPER,
            hidden=HIDDEN,
            depth=3,
            basis=BASIS,
            knots=10,
            steps=20,
            coarse_to_fine=False,
            precision="float64",
            contrast_threshold=float(self["threshold"]),
            bayer="rggb" if colours == 3 else None,
        )
        self.events, self.span = window(self.recording, self.config, Span(float(t[0]), float(t[0] + self["duration"])))
        self.target = target(self.events, self.span, self.config)
        self.net = siren.network(self.config, colours, HEIGHT, WIDTH)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Units and inputs of each layer."""
        widths = [1, HIDDEN, HIDDEN, HIDDEN, HIDDEN, BASIS, self.colours * HEIGHT * WIDTH]
        return list(zip(widths[1:], widths[:-1], strict=True))

    @cached_property
    def start(self) -> Params:
        """The weights by the rule, as ours."""
        gain = float(self["gain"])
        return self.ours(
            {
                name: rule(name, shape, gain).astype(np.float64)
                for layer, shape in enumerate(self.shapes)
                for name, shape in [(weight(layer), shape), (bias(layer), shape[:1])]
            }
        )

    def ours(self, torch: dict[str, np.ndarray]) -> Params:
        """PyTorch's layers (units, inputs) and biases as matrices of inputs + 1 rows; the pixels, which they order by
        row, column and colour, by plane, row and column."""
        matrices = [np.vstack([torch[weight(layer)].T, torch[bias(layer)]]) for layer in range(LAYERS)]
        pixels = matrices[-1].reshape(-1, HEIGHT, WIDTH, self.colours)
        matrices[-1] = np.moveaxis(pixels, -1, 1).reshape(BASIS + 1, -1)
        return dict(zip([*[f"sine_{layer}" for layer in range(LAYERS - 1)], "head_0"], matrices, strict=True))

    def theirs(self, params: Params) -> dict[str, np.ndarray]:
        """The inverse of `ours`."""
        named = {}
        for layer in range(LAYERS):
            matrix = np.asarray(params[f"sine_{layer}" if layer < LAYERS - 1 else "head_0"])
            if layer == LAYERS - 1:
                matrix = np.moveaxis(matrix.reshape(-1, self.colours, HEIGHT, WIDTH), 1, -1).reshape(len(matrix), -1)
            named[weight(layer)], named[bias(layer)] = matrix[:-1].T, matrix[-1]
        return named

    def assert_parameters(self, kind: str, params: Params) -> None:
        """Compare with the golden `out/<kind>/*`, of whose output layer every seventh unit is kept."""
        for name, values in self.theirs(params).items():
            kept = values[::EVERY] if name.startswith(f"net.siren_net.{LAYERS - 1}.") else values
            assert_close(kept, self[f"out/{kind}/{name}"], name)

    def objective(self, params: Params) -> Terms:
        """The terms at the start; to be called in double precision."""
        images, times = (jax.numpy.asarray(part, np.float64) for part in (self.target.images, self.target.times))
        return objective(siren.log_intensity(self.net, params, times), images, self.target.weights, goal(self.config))

    def state(self) -> FitState:
        """The state before the first step, ours to be donated."""
        adam = initial(self.net, self.config).adam
        return FitState(jax.tree.map(np.array, self.start), adam)

    @cached_property
    def last(self) -> Snapshot:
        """The fit after 20 steps."""
        with jax.enable_x64(True):
            nothing = Terms(*[jax.numpy.zeros(0)] * 5)
            before = Snapshot(self.state(), 0, 0.0, nothing)
        (last,) = snapshots(self.events, self.span, self.config, start=before)
        return last._replace(state=jax.tree.map(np.array, last.state))


def weight(layer: int) -> str:
    return f"net.siren_net.{layer}.linear.weight"


def bias(layer: int) -> str:
    return f"net.siren_net.{layer}.linear.bias"


def assert_close(ours, theirs, name: str, tolerance: float = EXACT) -> None:
    """The largest difference, relative to the largest number."""
    assert np.shape(ours) == np.shape(theirs), name
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"{name}: {error:.1e}")
    assert error < tolerance, name


@pytest.fixture(scope="module", params=["gray", "colour"])
def golden(request: pytest.FixtureRequest) -> Golden:
    path = Path(__file__).with_name("golden") / f"evinr_{request.param}.npz"
    return Golden(path, 3 if request.param == "colour" else 1)


def test_the_weights_are_those_of_the_rule(golden: Golden):
    sums = [float(values.sum()) for values in golden.theirs(golden.start).values()]
    np.testing.assert_allclose(sums, golden["weight_sums"], rtol=1e-12)


def test_event_frames_and_timestamps_are_equal(golden: Golden):
    assert golden.events.count == golden.recording.count - 1, "the original loses the first event"
    frames = np.moveaxis(golden.target.images, 1, -1)
    assert frames.dtype == np.float32 and golden.target.times.dtype == np.float32
    np.testing.assert_array_equal(frames, golden["in/event_frames"][:-1])  # it never uses its last frame
    np.testing.assert_array_equal(golden.target.times, golden["in/timestamps"][:, 0])


def answer_at_frames(golden: Golden, params: Params) -> np.ndarray:
    with jax.enable_x64(True):
        times = jax.numpy.asarray(golden.target.times[FRAMES], np.float64)
        return np.moveaxis(np.asarray(siren.log_intensity(golden.net, params, times)), 1, -1)


def test_log_intensity(golden: Golden):
    assert_close(answer_at_frames(golden, golden.start), golden["out/log_intensity"], "log intensity")


def test_the_reconstruction_shows_the_same(golden: Golden):
    """Through the public answer, in seconds; those of the timestamps, which are single precision."""
    reconstruction = Reconstruction(golden.start, golden.config, HEIGHT, WIDTH, golden.span)
    start, end = golden.span
    seconds = start + (golden.target.times[FRAMES].astype(np.float64) + 1) / 2 * (end - start)
    frames = reconstruction.log_intensity(seconds)
    expected = golden["out/log_intensity"] if golden.colours == 3 else golden["out/log_intensity"][..., 0]
    assert_close(frames, expected, "reconstruction")


def test_every_loss_term(golden: Golden):
    with jax.enable_x64(True):
        events, variation, still, constancy, total = jax.tree.map(float, golden.objective(golden.start))
    assert_close(events, golden["out/temporal_loss"], "temporal")
    assert_close(variation, golden["out/row_gradient_abs_mean"] + golden["out/column_gradient_abs_mean"], "variation")
    assert_close(still, golden["out/temporal_abs_mean"], "still")
    config = golden.config
    assert_close(golden.target.weights.smooth * variation + config.still * still, golden["out/spatial_loss"], "spatial")
    assert_close(config.constancy * constancy, golden["out/const_loss"], "constancy")
    assert_close(total, golden["out/total_loss"], "total")


def test_the_gradient_of_the_total(golden: Golden):
    with jax.enable_x64(True):
        gradient = jax.jit(jax.grad(lambda params: golden.objective(params).total))(golden.start)
    golden.assert_parameters("grad", gradient)


def test_twenty_steps_of_adamw(golden: Golden):
    assert golden.last.step == 20
    assert_close(golden.last.terms.total, golden["out/loss_trajectory"], "trajectory")
    golden.assert_parameters("final", golden.last.state.params)
    # Kept in single precision.
    final = answer_at_frames(golden, golden.last.state.params)
    assert_close(final, golden["out/final_log_intensity"], "final log intensity", 1e-7)
    with jax.enable_x64(True):
        assert_close(
            float(golden.objective(golden.last.state.params).total), golden["out/final_total_loss"], "final total"
        )


def test_the_norms_of_all_parameters_after_each_step(golden: Golden):
    norms = []
    with jax.enable_x64(True):
        state = golden.state()
        for _ in range(20):
            state, _ = steps(state, golden.target, np.ones(1), goal(golden.config), net=golden.net)
            norms.append([np.linalg.norm(values) for values in golden.theirs(state.params).values()])
    assert_close(np.array(norms), golden["out/param_norms_after_each_step"], "norms")


def test_tone_mapping(golden: Golden):
    intensity = np.exp(golden["out/log_intensity"])
    pictures = tonemap.picture(intensity, tonemap.expose(intensity, False, tonemap.PAPER), tonemap.PAPER)
    assert_close(pictures, golden["out/tonemapped"], "tone mapping", 1e-7)  # kept in single precision
