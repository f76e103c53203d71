"""Training: losses that are what they say, state carried and gradient cut, and a run that goes on where it stopped."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from baselines import checkpoints, weights
from baselines.firenet import PLUS, FireNet
from baselines.training import (
    Chunk,
    Recipe,
    random_variables,
    run,
    ssim,
    states,
    temporal_loss,
    update,
    warped,
)
from evinr.events import InputError
from evinr.metrics import fidelity
from evinr.simulator import scenes
from evinr.simulator.scenes.layers import camera
from experiments import train_baseline
from experiments.train_baseline import NETWORKS, TrainBaseline
from experiments.training_scenes import HELD_OUT, TRAINED, Sequence, displacement, draw, plan, sequence

NET = FireNet(5, 4, PLUS)
TINY = TrainBaseline(
    sequences=3, held_out=1, side=16, crop=16, windows=4, chunk=2, batch=2, steps=5, look=2, thresholds=(0.2, 0.3)
)


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """The networks of the command, in small."""
    before = dict(NETWORKS)
    NETWORKS["firenet+"] = NET
    yield
    NETWORKS.update(before)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    train_baseline.main(replace(TINY, out=folder / "run", results=folder / "results.json"))
    return folder


@pytest.fixture(scope="module")
def windows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "grids": rng.standard_normal((4, 16, 16, 5)).astype(np.float32),
        "truth": rng.random((4, 16, 16)).astype(np.float32),
    }


def test_the_loss_falls():
    """On one batch, over and over."""
    known = [sequence(scene, 16, 2, 20.0) for scene in plan(2, False, (0.2, 0.3), 0)]
    chunk = draw(known, np.random.default_rng(0), 2, 16)
    trainee = train_baseline.fresh(TINY)
    totals = []
    for _ in range(150):
        trainee = trainee._replace(state=states(NET, 2, 16, 16))
        trainee, terms = update(trainee, chunk, network=NET, recipe=TINY.recipe)
        totals.append(float(terms.total))
    assert totals[-1] < 0.65 * totals[0]


def test_a_resumed_run_ends_at_the_same_weights_to_the_bit(whole_run: Path, tmp_path: Path):
    """Stopped in the midst of a sequence, at step 3 of chunks of two."""
    half = replace(TINY, out=tmp_path / "run", results=tmp_path / "results.json", steps=3)
    train_baseline.main(half)
    train_baseline.main(replace(half, steps=5, resume=True))
    for name in ("weights.safetensors", "checkpoint.npz"):
        once, twice = (folder / "run" / name for folder in (whole_run, tmp_path))
        if name.endswith("npz"):
            with np.load(once) as a, np.load(twice) as b:
                assert a.files == b.files and all(np.array_equal(a[part], b[part]) for part in a.files)
        else:
            assert once.read_bytes() == twice.read_bytes()
    assert [row["step"] for row in lines(tmp_path / "run")] == [1, 2, 3, 4, 5]
    shared = [{key: row[key] for key in ("step", "total", "temporal")} for row in lines(tmp_path / "run")]
    assert shared == [{key: row[key] for key in ("step", "total", "temporal")} for row in lines(whole_run / "run")]


def test_what_a_run_leaves(whole_run: Path):
    model = checkpoints.load("firenet+", whole_run / "run" / "weights.safetensors")  # as `evinr baseline` does
    assert model.network == NET
    fresh = train_baseline.fresh(TINY).variables
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: not np.array_equal(a, b), fresh, model.variables)))
    assert {"losses.png", *(f"held_out_{kind}.png" for kind in HELD_OUT[:1])} <= {
        file.name for file in (whole_run / "run").iterdir()
    }
    assert [row["step"] for row in lines(whole_run / "run") if "held_out" in row] == [2, 4, 5]
    results = json.loads((whole_run / "results.json").read_text())["results"]
    assert results["held_out_loss_by_step"].keys() == {"0", "2", "4", "5"}
    assert results["held_out"].keys() == {"gray", "untrained", "untrained, stretched", "trained"}


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resume": False}, "exists already; pass --resume"),
        ({"recipe": Recipe(rate=1e-2)}, "made with recipe = .*pass the same"),
        ({"windows": 5}, "--windows 5: not a multiple of --chunk 2"),
        ({"crop": 20}, "--crop 20: give a multiple of 8 from 16 to --side 16"),
        ({"out": Path("nowhere")}, "holds no checkpoint"),
        ({"steps": 3}, "is at step 5 already; pass --steps 5"),
    ],
)
def test_runs_that_cannot_be(whole_run: Path, change: dict, message: str):
    with pytest.raises(InputError, match=message):
        train_baseline.main(replace(replace(TINY, out=whole_run / "run", resume=True), **change))


def test_state_is_carried_over_chunks_and_the_gradient_is_not(windows: dict[str, np.ndarray]):
    variables, start = random_variables(NET, 1), NET.initial(16, 16, jnp.dtype(jnp.float32))
    through = jax.jit(partial(run, NET, variables))
    one, two = jnp.split(jnp.asarray(windows["grids"]), 2)
    _, together = through(jnp.concatenate([one, two]), start)
    _, after = through(two, through(one, start)[0])
    np.testing.assert_allclose(after, together[2:], atol=1e-6)
    assert np.abs(after - through(two, start)[1]).max() > 1e-3  # it does matter

    def later(first: jax.Array, second: jax.Array) -> jax.Array:
        return through(second, through(first, start)[0])[1][-1].sum()

    to_first, to_second = jax.jit(jax.grad(later, (0, 1)))(one, two)
    assert not to_first.any()
    assert to_second[0].any()  # through both windows of its own chunk


def test_the_update_goes_on_from_the_state_it_is_given(windows: dict[str, np.ndarray]):
    grids, truth = (jnp.asarray(np.stack([windows[name][:2], windows[name][2:]])) for name in ("grids", "truth"))
    chunk = Chunk(grids, truth, jnp.zeros((*truth.shape, 2)))
    trainee = train_baseline.fresh(TINY)
    for _ in range(2):
        through = jax.jit(jax.vmap(partial(run, NET, trainee.variables)))
        expected, _ = through(grids, trainee.state)
        trainee, _ = update(trainee, chunk, network=NET, recipe=TINY.recipe)
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), trainee.state, expected)


def test_ssim_is_that_of_the_scores(windows: dict[str, np.ndarray]):
    a = windows["truth"]
    b = np.clip(a + 0.2 * np.roll(a, 1, 0), 0, 1)
    ours = ssim(jnp.asarray(a[:, :, :13]), jnp.asarray(b[:, :, :13]))
    np.testing.assert_allclose(ours, fidelity.ssim(b[:, :, :13], a[:, :, :13]), atol=2e-6)


@pytest.mark.parametrize("kind", TRAINED)
def test_what_moved_is_found_where_it_was(kind: str):
    """Pictures brought to where things are now are those of now, also where patches are turned over: of a smooth world, so
    that interpolation costs little."""
    scene = plan(4, False, (0.5, 0.5), 3)[TRAINED.index(kind)]
    motion = scenes.MOVING[kind].motion(np.random.default_rng(scene.seed), 40, 40)
    world = gaussian_filter(np.random.default_rng(0).random((160, 160)), 16).astype(np.float32)
    picture, frames = camera(1 + 10 * (world - world.mean()), motion, 40, 40), scene.start + np.arange(7) / 20
    truth = np.stack([picture(t) for t in frames[1:]]).astype(np.float32)
    known = Sequence(scene, np.zeros((6, 40, 40, 5), np.float32), truth, displacement(motion, frames, 40))
    for seed in range(4):
        chunk = draw([known], np.random.default_rng(seed), 1, 32)
        made, moved = np.asarray(chunk.truth[0]), chunk.moved[0]
        brought = np.asarray(jax.vmap(warped)(chunk.truth[0][:-1], moved[1:]))
        inside = np.s_[:, 6:-6, 6:-6]
        assert np.abs(brought - made[1:])[inside].max() < 0.15 * np.abs(made[1:] - made[:-1])[inside].max()


def test_the_motion_of_a_sequence_is_that_of_its_scene():
    """With the texture it has, most of what changes is explained by where things were."""
    known = sequence(plan(4, False, (0.5, 0.5), 3)[1]._replace(texture="clouds"), 96, 3, 20.0)
    places = np.stack([*np.mgrid[:96, :96], np.ones((96, 96))], -1)
    moved = jnp.asarray(np.einsum("tij,hwj->thwi", known.moved, places), jnp.float32)
    brought = np.asarray(jax.vmap(warped)(jnp.asarray(known.truth[:-1]), moved[1:]))
    inside = np.s_[:, 8:-8, 8:-8]
    still = np.abs(known.truth[1:] - known.truth[:-1])[inside].mean()
    assert np.abs(brought - known.truth[1:])[inside].mean() < 0.5 * still


def test_the_temporal_loss_is_that_of_a_plain_loop(windows: dict[str, np.ndarray]):
    """Of moves by whole pixels: one row down and two columns to the right."""
    made, truth = windows["grids"][..., 0], windows["truth"]
    moved = np.broadcast_to(np.array([-1, -2], np.float32), (*truth.shape, 2))
    total = 0.0
    for k in range(1, 4):
        for row in range(16):
            for column in range(16):
                before = k - 1, max(row - 1, 0), max(column - 2, 0)
                seen = np.exp(-50 * (truth[k, row, column] - truth[before]) ** 2)
                total += seen * abs(made[k, row, column] - made[before])
    assert float(temporal_loss(*map(jnp.asarray, (made, truth, moved)))) == pytest.approx(
        total / (3 * 16 * 16), rel=1e-5
    )


def test_held_out_scenes_are_not_trained_on():
    trained, held_out = plan(40, False, (0.2, 1.5), 0), plan(12, True, (0.2, 1.5), 0)
    assert not {scene.kind for scene in trained} & {scene.kind for scene in held_out}
    assert not {scene.seed for scene in trained} & {scene.seed for scene in held_out}
    assert len({scene.seed for scene in trained}) == 40
    assert trained[:5] == plan(5, False, (0.2, 1.5), 0)  # more of them are the same and others


def test_random_weights_are_those_of_pytorch_in_distribution():
    entries = weights.to_entries(random_variables(FireNet(5, 16, PLUS), 0))
    gate = entries["G1.reset_gate.weight"].reshape(16, -1)
    np.testing.assert_allclose(gate @ gate.T, np.eye(16), atol=1e-6)
    assert not entries["G1.reset_gate.bias"].any()
    for name in ("head.conv2d.weight", "head.conv2d.bias"):
        assert 0.9 / np.sqrt(45) < np.abs(entries[name]).max() <= 1 / np.sqrt(45)
