"""The table of CED, the Color Event Camera Dataset (Scheerlinck et al., CVPRW 2019)."""

import sys
from dataclasses import replace

import tyro

from evinr.config import DEFAULT
from experiments.tables.table import Dataset, Options, main

CED = Dataset(
    "CED",
    "gray only: the fit is of the mosaic (RGGB) in colour, and its luma (Rec. 601) is compared with that of the colour "
    "DAVIS346's frames, 346 x 260, as nobody has published a comparison in colour (EVREAL skips every metric there). All "
    "recordings in the folder, whole",
    every=True,
    config=replace(DEFAULT, bayer="rggb"),
)

if __name__ == "__main__":
    sys.exit(main(CED, tyro.cli(Options)))
