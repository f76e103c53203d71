"""Makes parity/pie_net*.npz with PyTorch: `python tests/golden/make_pie_net.py PACKAGE_FOLDER`, for developers only.

The folder is `pie_net` of the package event-pienet 1.1.3. Its networks see three small voxel grids, with weights by the
rule (parity_rule.py) and with the published ones, in float64, and in float32 for the package's own rounding error. Pictures
are kept whole, of all else every third row and column. The last bias is 1, 0.5, 0.5: with one by the rule nearly all of a
picture would be clipped to 0.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

sys.path.insert(0, str(Path(__file__).parent))
from parity_rule import rule  # noqa: E402

HEIGHT, WIDTH, GAIN, EVERY = 31, 45, 0.5, 3
LAST = "model.outc.bias"


def main(folder: Path) -> None:
    """Write the two files."""
    spec = importlib.util.spec_from_file_location("pie_model", folder / "model.py")
    assert spec is not None and spec.loader is not None
    package = sys.modules["pie_model"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    rng = np.random.default_rng(5)
    voxel = rng.standard_normal((3, 1, 5, HEIGHT, WIDTH)) * (rng.random((3, 1, 5, HEIGHT, WIDTH)) < 0.3)
    voxel = np.round(voxel, 2).astype(np.float32)
    for variant, file in (("pie-net", "model.pth"), ("pie-net-lite", "model_lite.pth")):
        network = package.PIENet(variant)
        entries = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        ruled = {name: torch.from_numpy(rule(name, shape, GAIN)) for name, shape in entries.items()}
        ruled[LAST] = torch.tensor([1, 0.5, 0.5])
        published = torch.load(folder / "pretrained" / file, map_location="cpu", weights_only=True)
        kept: dict[str, Any] = {"in/voxel": voxel, "g": np.float64(GAIN), "last_bias": ruled[LAST].numpy()}
        kept["entries"] = np.array(json.dumps([[name, shape] for name, shape in entries.items()]))
        kept["file_entries"] = np.array(json.dumps([[name, tuple(v.shape)] for name, v in published.items()]))
        for prefix, weights in (("", ruled), ("real/", published)):
            exact, rough = (
                answer(network, weights, voxel, torch.float64),
                answer(network, weights, voxel, torch.float32),
            )
            for key, values in exact.items():
                error = np.float64(np.abs(values - rough[key]).max())
                kept[f"{prefix}f32_error" if key == "out/image" else f"{prefix}f32_error/{key}"] = error
                if key == "out/image":
                    kept[prefix + key] = values
                elif not prefix:
                    kept[key] = values[..., ::EVERY, ::EVERY]
            print(variant, prefix, "0:", np.mean(exact["out/image"] == 0), "1:", np.mean(exact["out/image"] == 1))
        np.savez_compressed(Path(__file__).parent / "parity" / f"{variant.replace('-', '_')}.npz", **kept)


def answer(network: Any, weights: dict[str, Any], voxel: np.ndarray, kind: Any) -> dict[str, np.ndarray]:
    """Pictures and variances of all windows, and the state after the last, all in double precision."""
    network.load_state_dict(weights, strict=False)  # as the package does, which leaves entries of its own file out
    network.to(kind).eval().reset_states()
    with torch.no_grad():
        outs = [network(torch.from_numpy(window).to(kind)) for window in voxel]
    found = {f"out/{key}": torch.stack([out[key] for out in outs]) for key in ("image", "var")}
    for scale, (hidden, cell) in enumerate(network.p_states):
        found |= {f"state/down{scale}_h": hidden, f"state/down{scale}_c": cell}
    return {key: value.double().numpy() for key, value in found.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
