"""Makes parity/nernet.npz and parity/letc.npz: `python tests/golden/make_ner_net.py FIXTURES ORIGINAL`, where PyTorch is.

FIXTURES is ../shared/parity/fixtures, ORIGINAL a checkout of github.com/Liu-haoyue/NER-Net. `nernet` is the fixture as
make_parity.py keeps one. `letc` is what the original's representation makes, in both precisions and with weights by the rule,
of windows at the borders of its rules, and the gradients of its weights. Nothing of a recording or of published weights.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.make_parity import as_text, kept
from golden.parity_rule import rule

HEIGHT, WIDTH, BINS, GAIN = 13, 18, 5, 0.7
HIDDEN, FEATURES = (50, 50, 50), 64
PARITY = Path(__file__).parent / "parity"


def windows() -> dict[str, np.ndarray]:
    """Columns x, y, t, p and batch, in single precision, as the original is given them."""
    rng = np.random.default_rng(3)

    def events(t: Any) -> np.ndarray:
        x, y, p = rng.integers(WIDTH, size=len(t)), rng.integers(HEIGHT, size=len(t)), rng.choice([-1, 1], len(t))
        return np.stack([x, y, t, p, np.zeros(len(t))], axis=1).astype(np.float32)

    many = events(np.sort(rng.uniform(60, 60.04, 700)))
    many[:2, :2], many[2:4, :2] = (0, 0), (WIDTH - 1, HEIGHT - 1)
    many[:4, 3] = -1, 1, -1, 1
    crowded = events(np.sort(rng.uniform(0, 1, 300)))
    crowded[:, :2] = 5, 7
    return {
        "many": many,
        "crowded": crowded,
        "two": events([0.25, 0.75]),
        "one": events([0.3]),
        "of_one_time": events(np.full(40, 1.5)),
    }


def representation(original: Path) -> dict[str, Any]:
    """What is kept of LETC."""
    import torch  # pyright: ignore[reportMissingImports]

    sys.path.insert(0, str(original))
    from model.representation_modules import Voxelization  # pyright: ignore[reportMissingImports]

    options = {"RepCNN_kernel_size": 3, "RepCNN_padding": 1, "RepCNN_channel": FEATURES, "RepCNN_num_layers": 1}
    network = Voxelization(
        options, True, (BINS, HEIGHT, WIDTH), [1, *HIDDEN, 1], torch.nn.LeakyReLU(negative_slope=0.1)
    )
    entries = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    network.load_state_dict({name: torch.from_numpy(rule(name, shape, GAIN)) for name, shape in entries.items()})
    table = np.linspace(-4.5, 4.5, 121)
    made: dict[str, Any] = {"g": np.float64(GAIN), "entries": as_text(list(entries.items())), "in/table": table}
    rough, exact = ({}, {})
    for kind, found in ((torch.float32, rough), (torch.float64, exact)):
        network.to(kind)
        found["table"] = network.quantization_layer.value_layer(torch.from_numpy(table).to(kind))
        for name, events in windows().items():
            events = torch.from_numpy(events).to(kind)
            found[f"{name}/voxels"] = network.quantization_layer(events.clone())
            found[f"{name}/representation"] = network(events.clone())
        network.zero_grad()
        towards = torch.from_numpy(direction()).to(kind)
        (network(torch.from_numpy(windows()["many"]).to(kind)) * towards).sum().backward()
        found |= {f"gradient/{name}": value.grad.clone() for name, value in network.named_parameters()}
    for name, values in exact.items():
        made[f"out/{name}"] = values.detach().numpy()
        made[f"f32_error/{name}"] = np.float64((values - rough[name]).abs().max().item())
    return made | {f"in/{name}": events for name, events in windows().items()}


def direction() -> np.ndarray:
    """What the representation is multiplied by before its sum, of which the gradients are."""
    return np.random.default_rng(4).standard_normal((2 * BINS, HEIGHT, WIDTH))


if __name__ == "__main__":
    network = kept(Path(sys.argv[1]), "nernet", 3)
    manifest = json.loads((Path(sys.argv[1]) / "nernet.json").read_text())
    network["f32_error/voxel_padded"] = np.float64(manifest["reference_f32_vs_f64"]["out/voxel_padded"]["max_abs"])
    np.savez_compressed(PARITY / "nernet.npz", **network)
    np.savez_compressed(PARITY / "letc.npz", **representation(Path(sys.argv[2])))
