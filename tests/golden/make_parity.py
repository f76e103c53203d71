"""Makes parity/*.npz from the parity fixtures: `python tests/golden/make_parity.py ../shared/parity/fixtures`.

The numbers come from the authors' PyTorch code, run in float64 with weights by a rule (../shared/parity/README.md). Inputs
and pictures are kept whole, of states every third row and column.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

NAMES = (
    "e2vid",
    "e2vid_plus",
    "ssl_e2vid",
    "firenet_legacy",
    "firenet",
    "hypere2vid",
    "spade_e2vid",
    "etnet",
)
EVERY = 3


def kept(folder: Path, name: str, every: int) -> dict[str, Any]:
    """What a golden file has of a fixture, with every so many-th row and column of states."""
    manifest = json.loads((folder / f"{name}.json").read_text())
    entries = [entry[:2] for entry in manifest["state_dict"] if entry[2] == "float32"]
    made = {
        "g": np.float64(manifest["g"]),
        "f32_error": np.float64(manifest["reference_f32_vs_f64"]["out/image"]["max_abs"]),
        "parameters": np.int64(manifest["parameters"]),
        "constructor": as_text(manifest["constructor"]),
        "entries": as_text(entries),
        "weights_sha256": np.array(manifest["state_dict_float32_sha256"]),
    }
    with np.load(folder / f"{name}.npz") as arrays:
        for key in arrays.files:
            if key.startswith("state/"):
                made[key] = arrays[key][..., ::every, ::every]
                made[f"f32_error/{key}"] = np.float64(manifest["reference_f32_vs_f64"][key]["max_abs"])
            elif not key.startswith("act/"):
                made[key] = arrays[key]
    return made


def as_text(value: Any) -> np.ndarray:
    """As JSON."""
    return np.array(json.dumps(value))


if __name__ == "__main__":
    for name in NAMES:
        target = Path(__file__).parent / "parity" / f"{name}.npz"
        target.parent.mkdir(exist_ok=True)
        np.savez_compressed(target, **kept(Path(sys.argv[1]), name, EVERY))
