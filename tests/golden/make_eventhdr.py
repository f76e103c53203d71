"""Makes parity/eventhdr.npz and parity/dcnv2_op.npz: `python tests/golden/make_eventhdr.py ../shared/parity/fixtures`.

The numbers come from the authors' code, run in float64 (../shared/parity/README.md): the network in PyTorch, with the grid of
positive and negative events that it is given, and the deformable convolution as the text of their CUDA kernel, compiled for
a CPU.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.make_parity import EVERY, as_text, kept


def network(folder: Path) -> dict[str, Any]:
    """The fixture as make_parity.py keeps one, and 2000 events with their grid."""
    with np.load(folder / "voxel_grids.npz") as arrays:
        events = {f"grid/{name}": arrays[f"in/{name}"] for name in "txyp"}
        grid = arrays["out/ecm_pos_neg_voxel_10ch"]
    about = json.loads((folder / "voxel_grids.json").read_text())["reference_f32_vs_f64"]
    error = np.float64(about["out/ecm_pos_neg_voxel_10ch"]["max_abs"])
    return {**kept(folder, "eventhdr", EVERY), **events, "grid/counts": grid, "f32_error/grid": error}


def operator(folder: Path) -> dict[str, Any]:
    """The two cases of the convolution, whole, and their strides, groups and errors in single precision."""
    with np.load(folder / "dcnv2_op.npz") as arrays:
        return {**arrays, "cases": as_text(json.loads((folder / "dcnv2_op.json").read_text())["cases"])}


if __name__ == "__main__":
    folder, target = Path(sys.argv[1]), Path(__file__).parent / "parity"
    np.savez_compressed(target / "eventhdr.npz", **network(folder))
    np.savez_compressed(target / "dcnv2_op.npz", **operator(folder))
