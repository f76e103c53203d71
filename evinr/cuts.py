"""The part of each known sequence that is scored, as EVREAL (Ercan et al., CVPRW 2023) lists it in config/dataset/.

Times are seconds after the first event or the first image, whichever comes first; both ends count, on the image's time.
EVREAL took those of ECD from the authors of E2VID (rpg_e2vid, issue 17).
"""

import re
from math import inf
from typing import NamedTuple


class Cut(NamedTuple):
    """Seconds from `start` to `end` of a sequence; 0 to infinity is all of it."""

    dataset: str
    start: float
    end: float

    @property
    def said(self) -> str:
        """The cut, for people."""
        if self.end < inf:
            return f"{self.start:g} to {self.end:g} s"
        return f"{self.start:g} s to the end" if self.start else "all of it"


WHOLE = (0.0, inf)
TABLES: dict[str, dict[str, tuple[float, float]]] = {
    "ECD": {name: (5.0, 20.0) for name in ("boxes_6dof", "calibration", "dynamic_6dof", "poster_6dof", "shapes_6dof")}
    | {"office_zigzag": (5.0, 12.0), "slider_depth": (1.0, 2.5)},
    "ECD_fast": {
        name: (20.0, inf) for name in ("boxes_6dof", "calibration", "dynamic_6dof", "poster_6dof", "shapes_6dof")
    },
    "ECD_calib": {"calibration": WHOLE},
    "HQF": dict.fromkeys(
        (
            "bike_bay_hdr", "boxes", "desk", "desk_fast", "desk_hand_only", "desk_slow", "engineering_posters",
            "high_texture_plants", "poster_pillar_1", "poster_pillar_2", "reflective_materials", "slow_and_fast_desk",
            "slow_hand", "still_life",
        ),
        WHOLE,
    ),
    "MVSEC": {
        "indoor_flying1_data": (10.0, 70.0),
        "indoor_flying2_data": (10.0, 70.0),
        "indoor_flying3_data": (10.0, 70.0),
        "indoor_flying4_data": (10.0, 19.8),
        "outdoor_day1_data": (0.0, 60.0),
        "outdoor_day2_data": (100.0, 160.0),
    },
    "MVSEC_night": dict.fromkeys(("outdoor_night1_data", "outdoor_night2_data", "outdoor_night3_data"), WHOLE),
    "CED": dict.fromkeys(
        (
            "simple_fruit", "simple_carpet", "simple_objects", "simple_jenga_1", "simple_jenga_2", "simple_rabbits",
            "simple_wires_1",
        ),
        WHOLE,
    ),
    "BS_ERGB": dict.fromkeys(
        (
            "may29_handheld_01", "may29_handheld_02", "may29_handheld_03", "may29_handheld_04",
            "may29_rooftop_handheld_01", "may29_rooftop_handheld_02", "may29_rooftop_handheld_03",
            "may29_rooftop_handheld_05", "street_crossing_07", "street_crossing_08",
        ),
        WHOLE,
    ),
    "TPAMI20_HDR": dict.fromkeys(("hdr_selfie", "hdr_sun", "hdr_tunnel"), WHOLE),
    "FPVDR": {
        "indoor_forward_3_davis_with_gt": (10.0, 54.0),
        "indoor_forward_5_davis_with_gt": (10.0, 50.0),
        "indoor_forward_6_davis_with_gt": (10.0, 32.0),
        "indoor_forward_7_davis_with_gt": (10.0, 73.0),
        "indoor_forward_8_davis": (10.0, 132.0),
        "indoor_forward_9_davis_with_gt": (10.0, 34.0),
        "indoor_forward_10_davis_with_gt": (10.0, 33.0),
        "indoor_forward_11_davis": (10.0, 24.0),
        "indoor_forward_12_davis": (10.0, 31.0),
        "indoor_45_1_davis": (10.0, 73.0),
        "indoor_45_2_davis_with_gt": (10.0, 55.0),
        "indoor_45_3_davis": (10.0, 57.0),
        "indoor_45_4_davis_with_gt": (10.0, 47.0),
        "indoor_45_9_davis_with_gt": (10.0, 40.0),
        "indoor_45_11_davis": (10.0, 22.0),
        "indoor_45_12_davis_with_gt": (10.0, 51.0),
        "indoor_45_13_davis_with_gt": (10.0, 42.0),
        "indoor_45_14_davis_with_gt": (10.0, 43.0),
        "indoor_45_16_davis": (10.0, 15.0),
        "outdoor_forward_1_davis_with_gt": (10.0, 49.0),
        "outdoor_forward_2_davis": (10.0, 36.0),
        "outdoor_forward_3_davis_with_gt": (10.0, 92.0),
        "outdoor_forward_5_davis_with_gt": (10.0, 22.0),
        "outdoor_forward_6_davis": (10.0, 34.0),
        "outdoor_forward_9_davis": (10.0, 43.0),
        "outdoor_forward_10_davis": (10.0, 59.0),
    },
}  # fmt: skip
"""Of every dataset its sequences. EVREAL scores all of HQF and of CED that lies in its folder, whole; those of HQF are
listed here, and the seven of CED that EvINR's converter names."""
ALIASES = {"ECD": "ijrr|ecd", "HQF": "hqf", "MVSEC": "mvsec", "CED": "ced", "BS_ERGB": "bs_?ergb"}
"""What people put before a sequence's name, as patterns."""
ENDINGS = "bag|bag.active|zip|hdf5|h5|npz|npy|txt|mcap|db3|aedat4|raw|evinr"
"""Of files."""


def sequence(name: str, dataset: str | None = None) -> str | None:
    """The known sequence that the name of a file or folder stands for: its ending, case, and a `_data` or the dataset's
    name around it do not count. None where it is no sequence of `dataset`, or of any."""
    tables = TABLES if dataset is None else {dataset: TABLES[dataset]}
    plain = re.sub(rf"\.({ENDINGS})$", "", name.lower()).replace("-", "_")
    for family, sequences in tables.items():
        # A name with a dataset before it is of that dataset: ced_boxes is no sequence of HQF.
        pattern = ALIASES.get(family.removesuffix("_fast").removesuffix("_calib").removesuffix("_night"), "(?!)")
        bare = re.sub(rf"^({pattern})_", "", plain)
        known = {key.removesuffix("_data"): key for key in sequences}
        if (found := known.get(bare.removesuffix("_data"))) is not None:
            return found
    return None


def cut(name: str, dataset: str | None = None) -> Cut | None:
    """The cut of the sequence that a file's or folder's name stands for (see `sequence`); None where there is none.

    A sequence of several datasets is taken for the first that has it in `TABLES` (ECD before ECD_fast), unless `dataset`
    names another.
    """
    for family in TABLES if dataset is None else (dataset,):
        if (found := sequence(name, family)) is not None:
            return Cut(family, *TABLES[family][found])
    return None
