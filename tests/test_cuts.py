"""The cuts of known sequences, and the names under which files and folders of them go."""

from math import inf

import pytest

from evinr.cuts import TABLES, Cut, cut, sequence


@pytest.mark.parametrize(
    ("name", "dataset", "start", "end"),
    [
        ("boxes_6dof", "ECD", 5, 20),
        ("office_zigzag", "ECD", 5, 12),
        ("slider_depth", "ECD", 1, 2.5),
        ("still_life", "HQF", 0, inf),
        ("indoor_flying4_data", "MVSEC", 10, 19.8),
        ("outdoor_day1_data", "MVSEC", 0, 60),
        ("outdoor_day2_data", "MVSEC", 100, 160),
        ("outdoor_night3_data", "MVSEC_night", 0, inf),
        ("simple_jenga_2", "CED", 0, inf),
        ("may29_rooftop_handheld_05", "BS_ERGB", 0, inf),
        ("hdr_tunnel", "TPAMI20_HDR", 0, inf),
        ("indoor_forward_8_davis", "FPVDR", 10, 132),
        ("indoor_45_16_davis", "FPVDR", 10, 15),
        ("outdoor_forward_10_davis", "FPVDR", 10, 59),
    ],
)
def test_cuts_of_evreal(name: str, dataset: str, start: float, end: float) -> None:
    assert cut(name) == Cut(dataset, start, end)


def test_datasets_are_whole() -> None:
    counts = {name: len(sequences) for name, sequences in TABLES.items()}
    assert counts == {
        "ECD": 7, "ECD_fast": 5, "ECD_calib": 1, "HQF": 14, "MVSEC": 6, "MVSEC_night": 3, "CED": 7, "BS_ERGB": 10,
        "TPAMI20_HDR": 3, "FPVDR": 26,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("boxes_6dof.bag", "boxes_6dof"),
        ("Boxes_6dof.ZIP", "boxes_6dof"),
        ("boxes-6dof", "boxes_6dof"),
        ("ijrr_slider_depth", "slider_depth"),
        ("ecd_slider_depth.h5", "slider_depth"),
        ("indoor_flying1_data.bag", "indoor_flying1_data"),
        ("indoor_flying1_data.hdf5", "indoor_flying1_data"),
        ("indoor_flying1", "indoor_flying1_data"),
        ("mvsec_indoor_flying1.h5", "indoor_flying1_data"),
        ("mvsec_outdoor_night1_data.hdf5", "outdoor_night1_data"),
        ("desk.bag", "desk"),
        ("HQF_desk.h5", "desk"),
    ],
)
def test_names_that_are_sequences(name: str, found: str) -> None:
    assert sequence(name) == found


@pytest.mark.parametrize(
    "name",
    [
        "demo",
        "boxes_translation",
        "slider_depth2",
        "my_slider_depth",
        "indoor_flying1_gt.bag",
        "ced_boxes",
        "hqf_",
        ".bag",
        "",
    ],
)
def test_names_that_are_not(name: str) -> None:
    assert sequence(name) is None and cut(name) is None


def test_a_name_of_two_datasets() -> None:
    assert cut("boxes_6dof") == Cut("ECD", 5, 20)
    assert cut("boxes_6dof", "ECD_fast") == Cut("ECD_fast", 20, inf)
    assert cut("calibration", "ECD_calib") == Cut("ECD_calib", 0, inf)
    assert cut("slider_depth", "ECD_fast") is None


def test_a_cut_for_people() -> None:
    assert [cut.said for cut in (Cut("a", 1, 2.5), Cut("a", 20, inf), Cut("a", 0, inf))] == [
        "1 to 2.5 s",
        "20 s to the end",
        "all of it",
    ]
