"""Makes parity/efnet.npz and parity/representations.npz, for developers only:
`python tests/golden/make_efnet.py ../shared/parity/fixtures EFNET`, the second a checkout of github.com/AHupuJR/EFNet.

The network's numbers are those of the parity fixture, from the authors' PyTorch code in float64 with weights by a rule;
of the first stage's two pictures one is kept, as they are the same. Representations are those of the fixture, and, of windows
of few events, what the authors' functions (they need PyTorch) make of them.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HERE = Path(__file__).parent / "parity"
NETWORK = ("in/image", "in/event", "in/mask", "out/out_2")
KEPT = {
    "in/x": "x",
    "in/y": "y",
    "in/p": "p",
    "in/t_float32_absolute": "t_absolute",
    "in/t_float32": "t",
    "out/scer_real_6ch": "scer6",
    "out/scer_esim_7ch_keep_middle": "scer7",
    "out/scer_real_6ch_norm_maxabs": "scaled",
    "out/scer_mask_closed_uint8": "mask",
    "out/efnet_events_to_voxel_grid_6bins": "voxel",
    "out/efnet_voxel_norm": "normalised",
}
HEIGHT, WIDTH = 5, 7
COUNTS = (0, 1, 2, 3, 3, 4, 9, 9, 40, 40)
"""Events of the windows; every other window has times of whole hundredths of a second, many of them the same."""


def network(folder: Path) -> dict[str, Any]:
    """What is kept of the network's fixture."""
    manifest = json.loads((folder / "efnet.json").read_text())
    errors = manifest["reference_f32_vs_f64"]
    made: dict[str, Any] = {
        "g": np.float64(manifest["g"]),
        "parameters": np.int64(manifest["parameters"]),
        "entries": np.array(json.dumps([entry[:2] for entry in manifest["state_dict"]])),
        "weights_sha256": np.array(manifest["state_dict_float32_sha256"]),
    }
    with np.load(folder / "efnet.npz") as arrays:
        made |= {key: arrays[key] for key in NETWORK}
        made["out/out_1"] = arrays["out/out_1"][0]
    return made | {f"f32_error/{key}": np.float64(errors[f"out/{key}"]["max_abs"]) for key in ("out_1", "out_2")}


def representations(folder: Path) -> dict[str, Any]:
    """What is kept of the fixture of representations."""
    with np.load(folder / "voxel_grids.npz") as arrays:
        return {name: arrays[key] for key, name in KEPT.items()}


def few(checkout: Path) -> dict[str, Any]:
    """Windows of few events, and what the authors' functions make of them, channels last."""
    import torch  # pyright: ignore[reportMissingImports]

    sys.modules["basicsr.data.h5_augment"] = ModuleType("h5_augment")  # which the functions do not need
    scripts = _module(checkout / "scripts/data_preparation/base_dataset.py")
    util = _module(checkout / "basicsr/data/event_util.py")
    rng, made = np.random.default_rng(6), dict[str, Any]()
    for place, count in enumerate(COUNTS):
        t = np.sort(rng.integers(0, 5, count) / 100 if place % 2 else rng.random(count) / 20).astype(np.float32)
        x, y = rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count)
        p = rng.choice([-1, 1], count).astype(np.int8)
        window = [torch.from_numpy(np.asarray(part, np.float32)) for part in (x, y, t, p)]
        made |= {f"few/{place}/{name}": part for name, part in (("x", x), ("y", y), ("t", t), ("p", p))}
        if count == 0:  # their loader puts one event of polarity 0 in place of none; their voxel grid fails
            window = [torch.zeros(1)] * 4
        for middle in (False, True):
            sums = scripts.events_to_accumulate_voxel_torch(*window, 6, sensor_size=(HEIGHT, WIDTH), keep_middle=middle)
            made[f"few/{place}/scer{6 + middle}"] = sums.numpy().transpose(1, 2, 0)
        if count:
            events = np.stack([t, x, y, p], 1).astype(np.float32)
            made[f"few/{place}/voxel"] = util.events_to_voxel_grid(events, 6, WIDTH, HEIGHT, "HWC")
    return made


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    fixtures, checkout = map(Path, sys.argv[1:3])
    np.savez_compressed(HERE / "efnet.npz", **network(fixtures))
    np.savez_compressed(HERE / "representations.npz", **representations(fixtures), **few(checkout))
