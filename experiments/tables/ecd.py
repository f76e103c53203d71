"""The table of ECD, the seven IJRR sequences (Mueggler et al., 2017) that are scored since E2VID (Rebecq et al., 2019)."""

import sys

import tyro

from experiments.tables.table import Dataset, Options, main

ECD = Dataset("ECD", "the DAVIS240's gray frames, 240 x 180")

if __name__ == "__main__":
    sys.exit(main(ECD, tyro.cli(Options)))
