"""Train FireNet+ or E2VID+ from random weights on simulated scenes.

    python -m experiments.train_baseline
    python -m experiments.train_baseline --network e2vid+ --recipe.rate 2e-4 --out runs/train-e2vid

What comes out, all in one folder: weights for `evinr baseline NAME --weights`, losses as numbers and as a curve, and held-out
scenes as the network saw them before and after. A run that was stopped goes on with `--resume`, to the same weights to the bit.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float, Float32
from rich.console import Console

from baselines.firenet import PLUS, FireNet
from baselines.method import Network, Variables
from baselines.training import Chunk, Recipe, Trainee, initial, reconstruction_loss, run, states, update
from baselines.unet import UNetRecurrent
from baselines.weights import to_entries
from evinr import report
from evinr.events import InputError
from evinr.files import whole, write_json
from evinr.metrics import fidelity
from evinr.metrics.lpips import Lpips, load
from evinr.metrics.normalisation import normalise
from evinr.weights import safetensors_file
from experiments.benchmarks.machine import save
from experiments.training_scenes import BINS, Sequence, draw, plan, sequences

NETWORKS: dict[str, Network] = {
    "firenet+": FireNet(BINS, 16, PLUS),
    "e2vid+": UNetRecurrent(BINS, 32, 3, 2, 5, norm=False, upsample=True, dynamic=False, final="none"),
}
"""With the options of their published weights."""


@dataclass(frozen=True)
class TrainBaseline:
    """Train a network on simulated scenes."""

    network: Literal["firenet+", "e2vid+"] = "firenet+"
    recipe: Recipe = field(default_factory=lambda: Recipe(rate=1e-3))
    """The rate is ten times the published one, for runs of minutes."""
    steps: int = 400
    """Updates, one a chunk; with `--resume` it may be more than before."""
    sequences: int = 64
    """To train on."""
    held_out: int = 6
    """Sequences of other kinds of scenes, to see what was learned."""
    side: int = 96
    """Pixels of the simulated sensor's sides."""
    crop: int = 64
    """Pixels of the sides of what is trained on; a multiple of 8."""
    windows: int = 40
    """Of a sequence (E2VID: 40), after which another one begins."""
    fps: float = 20.0
    """Windows a second."""
    chunk: int = 8
    """Windows through which a gradient goes; the sequence is a multiple of it."""
    batch: int = 4
    """Sequences at once."""
    thresholds: tuple[float, float] = (0.2, 1.5)
    """Range of the sensors' contrast thresholds (Stoffregen et al., ECCV 2020)."""
    seed: int = 0
    """Of weights, scenes and batches."""
    look: int = 25
    """Updates from one look at the held-out scenes, and one checkpoint, to the next."""
    lpips: Path | None = None
    """LPIPS weights (.safetensors, see `evinr weights convert`) for the published loss; unset, it is L1 + 1 - SSIM."""
    resume: bool = False
    """Go on from the checkpoint in `out`."""
    out: Path = Path("runs/train-baseline")
    """Folder of the run."""
    results: Path | None = None
    """Where the scores go, with the machine and the command; unset, experiments/results/train_NETWORK.json."""


MAY_DIFFER = ("steps", "resume", "out", "results", "look")
"""What a resumed run may be told anew: nothing that weights of a step depend on."""


class Seen(NamedTuple):
    """Held-out scenes through a network."""

    pictures: Float32[np.ndarray, "n t h w"]
    loss: float


def main(cfg: TrainBaseline) -> None:
    """Train, look at the held-out scenes, write all down."""
    require_sound(cfg)
    console = Console(highlight=False, soft_wrap=True)
    perceptual = load(cfg.lpips) if cfg.lpips else None
    trained_on, held_out = (
        simulated(console, cfg, name, count, held)
        for name, count, held in (("training", cfg.sequences, False), ("held out", cfg.held_out, True))
    )
    before = watch(cfg, fresh(cfg).variables, held_out, perceptual)
    trainee = train(console, cfg, trained_on, held_out, perceptual)
    after = watch(cfg, trainee.variables, held_out, perceptual)
    sources = {"configuration": hashlib.sha256((cfg.out / "config.json").read_bytes()).hexdigest()}
    entries = to_entries(jax.tree.map(np.asarray, trainee.variables))
    safetensors_file.write(cfg.out / "weights.safetensors", cfg.network, entries, sources)
    draw_charts(cfg, held_out, before, after)
    results: dict[str, Any] = {
        "held_out_loss_by_step": {0: before.loss} | {row["step"]: row["held_out"] for row in looks(cfg)}
    }
    results |= scores(trained_on, held_out, before, after)
    for name, row in results["held_out"].items():
        console.print(f"{name:>22}  " + "  ".join(f"{k} {v:.4f}" for k, v in row.items() if v is not None))
    name = cfg.network.removesuffix("+")
    save(cfg.results or Path(f"experiments/results/train_{name}.json"), cfg, results)


def require_sound(cfg: TrainBaseline) -> None:
    """Raise InputError for a run that cannot be."""
    if cfg.windows % cfg.chunk:
        raise InputError(f"--windows {cfg.windows}: not a multiple of --chunk {cfg.chunk}; make it one")
    if cfg.crop % 8 or not 16 <= cfg.crop <= cfg.side:
        raise InputError(f"--crop {cfg.crop}: give a multiple of 8 from 16 to --side {cfg.side}")
    if cfg.side % 8:
        raise InputError(f"--side {cfg.side}: give a multiple of 8, which networks can halve")
    about = cfg.out / "config.json"
    if not cfg.resume:
        if cfg.out.exists():
            raise InputError(f"{cfg.out}: exists already; pass --resume to go on from it, or another --out")
        cfg.out.mkdir(parents=True)
        write_json(about, settings(cfg))
    elif not (cfg.out / "checkpoint.npz").exists():
        raise InputError(f"{cfg.out}: holds no checkpoint to go on from; leave out --resume, or give the run's --out")
    else:
        then, now = json.loads(about.read_text()), settings(cfg)
        if other := [name for name in now if then.get(name) != now[name]]:
            raise InputError(f"{about}: made with {other[0]} = {then.get(other[0])}; pass the same to go on")
        if (step := restored(cfg)[0]) > cfg.steps:
            raise InputError(f"{cfg.out}: is at step {step} already; pass --steps {step} or more")


def settings(cfg: TrainBaseline) -> dict[str, Any]:
    """All that the weights of a step depend on."""
    chosen = {name: value for name, value in asdict(cfg).items() if name not in MAY_DIFFER}
    return json.loads(json.dumps(chosen, default=str))


def simulated(console: Console, cfg: TrainBaseline, name: str, count: int, held_out: bool) -> list[Sequence]:
    """The sequences that all runs with these settings have."""
    planned, found = plan(count, held_out, cfg.thresholds, cfg.seed), list[Sequence]()
    with report.bar(console, "{task.completed} of {task.total} sequences, left") as bar:
        task = bar.add_task(name, total=count)
        for one in sequences(planned, cfg.side, cfg.windows, cfg.fps):
            found.append(one)
            bar.advance(task)
    return found


def fresh(cfg: TrainBaseline) -> Trainee:
    """The trainee before the first step."""
    return initial(NETWORKS[cfg.network], cfg.recipe, cfg.batch, cfg.crop, cfg.crop, cfg.seed)


def train(
    console: Console, cfg: TrainBaseline, trained_on: list[Sequence], held_out: list[Sequence], perceptual: Lpips | None
) -> Trainee:
    """The trainee after `cfg.steps` updates; losses and checkpoints are written on the way."""
    step, trainee = restored(cfg) if cfg.resume else (0, fresh(cfg))
    log = cfg.out / "losses.jsonl"
    rows = [row for row in map(json.loads, log.read_text().splitlines()) if row["step"] <= step] if cfg.resume else []
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    trunk, params = (perceptual.trunk, perceptual.params) if perceptual else (None, None)
    network = NETWORKS[cfg.network]
    with log.open("a") as lines, report.bar(console, "{task.fields[losses]}, left") as bar:
        task = bar.add_task("compiling", total=cfg.steps, completed=step, losses="")
        for chunk in chunks(cfg, trained_on, step):
            if step % (cfg.windows // cfg.chunk) == 0:
                trainee = trainee._replace(state=states(network, cfg.batch, cfg.crop, cfg.crop))
            trainee, terms = update(trainee, chunk, params, network=network, recipe=cfg.recipe, trunk=trunk)
            step += 1
            row = {"step": step} | {name: float(value) for name, value in terms._asdict().items()}
            if not np.isfinite(row["total"]):
                raise InputError(f"the training diverged by step {step}; pass a lower --recipe.rate")
            shown = f"loss {row['total']:.4f}"
            if step % cfg.look == 0 or step == cfg.steps:
                row["held_out"] = watch(cfg, trainee.variables, held_out, perceptual).loss
                keep(cfg, step, trainee)
                shown += f", held out {row['held_out']:.4f}"
                console.print(f"  step {step}: {shown}")
            lines.write(json.dumps(row) + "\n")
            lines.flush()
            bar.update(task, completed=step, description=f"step {step}", losses=shown)
    return trainee


def chunks(cfg: TrainBaseline, known: list[Sequence], step: int) -> Iterator[Chunk]:
    """What the updates after `step` are made with: by rule, so that a resumed run goes on with the same."""
    each, drawn = cfg.windows // cfg.chunk, None
    for number in range(step, cfg.steps):
        if drawn is None or number % each == 0:
            drawn = draw(known, np.random.default_rng([cfg.seed, number // each]), cfg.batch, cfg.crop)
        at = number % each * cfg.chunk
        yield Chunk(*(part[:, at : at + cfg.chunk] for part in drawn))


def keep(cfg: TrainBaseline, step: int, trainee: Trainee) -> None:
    """Write a checkpoint in place of the last one."""
    leaves = map(np.asarray, jax.tree.leaves(trainee))
    with whole(cfg.out / "checkpoint.npz") as unfinished:
        np.savez(unfinished, step, *leaves)


def restored(cfg: TrainBaseline) -> tuple[int, Trainee]:
    """The step of the checkpoint, and the trainee after it."""
    like = fresh(cfg)
    with np.load(cfg.out / "checkpoint.npz") as file:
        step, *leaves = (file[f"arr_{place}"] for place in range(1 + len(jax.tree.leaves(like))))
        return int(step), jax.tree.unflatten(jax.tree.structure(like), map(jnp.asarray, leaves))


def watch(cfg: TrainBaseline, variables: Variables, held_out: list[Sequence], perceptual: Lpips | None) -> Seen:
    """What a network makes of the held-out scenes, whole, and the reconstruction loss of that."""
    grids, truth = (np.stack(part) for part in zip(*((one.grids, one.truth) for one in held_out), strict=True))
    trunk, params = (perceptual.trunk, perceptual.params) if perceptual else (None, None)
    pictures, loss = seen(variables, grids, truth, params, network=NETWORKS[cfg.network], trunk=trunk)
    return Seen(np.asarray(pictures), float(loss))


@partial(jax.jit, static_argnames=("network", "trunk"))
def seen(
    variables: Variables,
    grids: Float[Array, "n t h w b"],
    truth: Float[Array, "n t h w"],
    perceptual: Any,
    *,
    network: Network,
    trunk: str | None,
) -> tuple[Float[Array, "n t h w"], Float[Array, ""]]:
    """Pictures and loss of whole sequences."""
    count, _, height, width = truth.shape
    _, made = jax.vmap(partial(run, network, variables))(grids, states(network, count, height, width))
    return made, reconstruction_loss(made, truth, perceptual, trunk)


def looks(cfg: TrainBaseline) -> list[dict[str, float]]:
    """The rows of the log in which held-out scenes were looked at; `recent` is the mean training loss since the last."""
    rows, found, since = map(json.loads, (cfg.out / "losses.jsonl").read_text().splitlines()), [], []
    for row in rows:
        since.append(row["reconstruction"])
        if "held_out" in row:
            found.append(row | {"recent": float(np.mean(since))})
            since.clear()
    return found


def scores(trained_on: list[Sequence], held_out: list[Sequence], before: Seen, after: Seen) -> dict[str, Any]:
    """Means over the held-out sequences, each over its pictures; beside them those of a gray that the training data has on
    average, and of the untrained network's pictures with their 1st and 99th percentile made black and white."""
    gray = np.full_like(before.pictures, np.mean([one.truth.mean() for one in trained_on]))
    stretched = np.stack([normalise(pictures, "robust") for pictures in before.pictures])
    rows = {"gray": gray, "untrained": before.pictures, "untrained, stretched": stretched, "trained": after.pictures}
    table = {name: mean_scores(pictures, held_out) for name, pictures in rows.items()}
    each = {
        f"{number} {one.scene.kind}": {"threshold": one.scene.sensor.contrast_threshold}
        | mean_scores(after.pictures[number : number + 1], [one])
        for number, one in enumerate(held_out)
    }
    return {"held_out": table, "trained, by sequence": each}


def mean_scores(pictures: Float32[np.ndarray, "n t h w"], held_out: list[Sequence]) -> dict[str, float | None]:
    """MSE, SSIM and correlation of pictures cut to [0, 1] with the truth; no correlation where a picture is of one gray."""
    found = dict[str, list[float]]()
    for made, one in zip(np.clip(pictures, 0, 1), held_out, strict=True):
        found.setdefault("mse", []).append(float(fidelity.mse(made, one.truth).mean()))
        found.setdefault("ssim", []).append(float(fidelity.ssim(made, one.truth).mean()))
        found.setdefault("corr", []).append(float(fidelity.corr(np.log(made + fidelity.DARK), one.truth).mean()))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return {name: value if np.isfinite(value) else None for name, value in means.items()}


def draw_charts(cfg: TrainBaseline, held_out: list[Sequence], before: Seen, after: Seen) -> None:
    """The curve of reconstruction losses, and a contact sheet for each kind of held-out scene."""
    rows = looks(cfg)
    curves = {"training": [row["recent"] for row in rows], "held out": [row["held_out"] for row in rows]}
    report.loss_curve(cfg.out / "losses.png", [int(row["step"]) for row in rows], curves)
    columns = np.linspace(0, cfg.windows - 1, 6).astype(int)
    kinds = {one.scene.kind: number for number, one in reversed(list(enumerate(held_out)))}
    for kind, number in kinds.items():
        one = held_out[number]
        sheet = [
            report.Row("events", report.diverging(np.clip(one.grids[columns].sum(-1) / 2, -1, 1))),
            report.Row("untrained", np.clip(before.pictures[number][columns], 0, 1)),
            report.Row("trained", np.clip(after.pictures[number][columns], 0, 1)),
            report.Row("truth", one.truth[columns]),
        ]
        report.contact_sheet(cfg.out / f"held_out_{kind}.png", list((columns + 1) / cfg.fps), sheet)


if __name__ == "__main__":
    try:
        main(tyro.cli(TrainBaseline))
    except InputError as error:
        raise SystemExit(str(error)) from None
