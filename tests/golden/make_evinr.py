"""Makes evinr_gray.npz and evinr_colour.npz from the fixtures in ../shared: `python tests/golden/make_evinr.py`.

The numbers come from the authors' PyTorch code, run in float64 (../shared/parity/README.md). Only what test_paper.py
uses is kept: of predictions, frames 0, 4 and 9; of the output layer, every 7th unit (7 divides neither 24 columns nor
3 colours, so that every row, column and colour is met); the norms over all of it are kept whole.
"""

import json
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parents[3] / "shared/parity/fixtures"
FRAMES = [0, 4, 9]
EVERY = 7


def main() -> None:
    """Write both files beside this script."""
    for name in ("evinr_gray", "evinr_colour"):
        manifest = json.loads((FIXTURES / f"{name}.json").read_text())
        data = manifest["event_data"]
        kept = {
            "threshold": np.float64(data["event_thresh"]),
            "duration": np.float64(data["t_end"] - data["t_start"]),
            "gain": np.float64(manifest["g"]),
            "weight_sums": np.array([total for *_, total in manifest["state_dict"]]),
        }
        with np.load(FIXTURES / f"{name}.npz") as arrays:
            for key in ("in/events", "in/timestamps", "out/loss_trajectory", "out/param_norms_after_each_step"):
                kept[key] = arrays[key]
            kept["in/event_frames"] = exactly(arrays["in/event_frames"], np.float16)
            for key in ("out/log_intensity", "out/final_log_intensity", "out/tonemapped"):
                kept[key] = arrays[key][FRAMES]
            for key in arrays.files:
                if key.startswith(("out/grad/", "out/final/")):
                    kept[key] = arrays[key][::EVERY] if ".5." in key else arrays[key]
                elif arrays[key].ndim == 0:
                    kept[key] = arrays[key]
        np.savez_compressed(Path(__file__).with_name(f"{name}.npz"), **kept)


def exactly(values: np.ndarray, kind: type) -> np.ndarray:
    """The same numbers in a smaller type."""
    assert (values.astype(kind) == values).all()
    return values.astype(kind)


if __name__ == "__main__":
    main()
