"""The table of MVSEC (Zhu et al., RA-L 2018): the six sequences by day, of the left camera."""

import sys

import tyro

from experiments.tables.table import Dataset, Options, main

MVSEC = Dataset(
    "MVSEC",
    "the left DAVIS346's gray frames, 346 x 260; the three at night, of which EVREAL gives no-reference scores only, are "
    "not in this table",
)

if __name__ == "__main__":
    sys.exit(main(MVSEC, tyro.cli(Options)))
