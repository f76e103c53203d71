"""Makes colour.npz: what rpg_e2vid merges of random planes (development only; needs a checkout of github.com/uzh-rpg/rpg_e2vid,
given as the argument, PyTorch and OpenCV)."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, sys.argv[1])
from utils.inference_utils import merge_channels_into_color_image  # pyright: ignore  # noqa: E402

rng = np.random.default_rng(0)
planes = rng.integers(0, 256, (4, 9, 12), np.uint8)
gray = rng.integers(0, 256, (18, 24), np.uint8)
# R, G, W and B are the planes at (0, 0), (0, 1), (1, 0) and (1, 1) of the DAVIS346 Red Color's RGGB cell.
channels = dict(zip("RGWB", (plane.copy() for plane in planes), strict=True)) | {"grayscale": gray.copy()}
merged = merge_channels_into_color_image(channels)[..., ::-1]  # BGR
np.savez_compressed(Path(__file__).with_name("colour.npz"), planes=planes, gray=gray, merged=merged)
