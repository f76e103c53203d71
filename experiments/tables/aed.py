"""The table of AED, the ALPIX event dataset of EvINR (Wang et al., ECCV 2024)."""

import sys

import tyro

from converters import ReadOptions
from experiments.tables.table import Dataset, Options, main

AED = Dataset(
    "AED",
    "the arrays, 408 x 306, come without frames: MSE, SSIM and LPIPS cannot be had, and what they were computed against in "
    "the published rows is not known. Ours is scored by what needs no truth, event replay with thresholds of each span. "
    "All arrays in the folder, whole",
    every=True,
    camera=False,
    read=ReadOptions(format="aed"),
)

if __name__ == "__main__":
    sys.exit(main(AED, tyro.cli(Options)))
