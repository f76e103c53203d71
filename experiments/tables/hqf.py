"""The table of HQF, High Quality Frames (Stoffregen et al., ECCV 2020): fourteen sequences, whole."""

import sys

import tyro

from experiments.tables.table import Dataset, Options, main

HQF = Dataset(
    "HQF", "the DAVIS240's gray frames, 240 x 180, all of them; EVREAL leaves out the last one of each sequence"
)

if __name__ == "__main__":
    sys.exit(main(HQF, tyro.cli(Options)))
