"""The table of RLED's test set, Real Low-light Event Dataset of NER-Net (Liu et al., CVPR 2024)."""

import sys

import tyro

from experiments.tables.table import Dataset, Options, main

RLED = Dataset(
    "RLED",
    "gray frames, as RLED has lost its colours, each at the end of its exposure, as that is the only time it tells: what "
    "moves is blurred towards the past. All recordings in the folder, whole",
    every=True,
)

if __name__ == "__main__":
    sys.exit(main(RLED, tyro.cli(Options)))
