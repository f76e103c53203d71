"""Scores that others published, as data: who printed them, and the protocol they were computed under as far as that is known.

SSIM under different protocols cannot be compared: the data range alone moves it by 0.1 (EVREAL, issue 3).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple


class Scores(NamedTuple):
    """Means over a dataset, or of one sequence."""

    mse: float
    ssim: float
    lpips: float


class Row(NamedTuple):
    """One method on one dataset."""

    method: str
    scores: Scores
    source: str
    protocol: str | None
    """One of `evinr.protocols.PROTOCOLS`; None: unknown."""
    known_by: Literal["stated", "inferred", "unknown"]
    """Whether the source names the protocol, or numbers and code point to it."""
    averaging: Literal["frames", "sequences", "unknown"]
    """How its mean over sequences was taken."""
    sequences: Mapping[str, Scores] = MappingProxyType({})
    """Scores of single sequences, by their names in `evinr.cuts`."""


E2HQV = (
    'README of VincentQQu/E2HQV (commit 228a55d), "following the initial evaluation protocol of EVREAL", when SSIM '
    "had range 2"
)
E2HQV_OWN = "the same README. Its own means are over sequences, as its table of them shows, not over frames as EVREAL's"
E2HQV_HQF = f"{E2HQV_OWN}; its LPIPS would be 0.251 by that table"
E2HQV_MVSEC = f"{E2HQV_OWN}; without indoor_flying4"
EVINR = (
    "EvINR (Wang et al., ECCV 2024), images/results_table.png of its page. No evaluation code: cuts and normalisation are "
    "unknown. The supervised rows are those of E2HQV's README, so its SSIM has range 2 as well, most likely"
)
EVINR_AED = "EvINR, as above. What was taken for truth is not known: the published arrays have no frames"
PIENET = "README of VincentQQu/pie-net (2026), EVREAL of then; not run by us"


def _supervised(*scores: Scores) -> tuple[Row, ...]:
    methods = "E2VID", "FireNet", "E2VID+", "FireNet+", "SPADE-E2VID", "SSL-E2VID", "ET-Net"
    return tuple(
        Row(method, row, E2HQV, "evreal-2023", "stated", "unknown") for method, row in zip(methods, scores, strict=True)
    )


def _evinr(ssl: Scores, hf: Scores, elrp: Scores, evinr: Scores) -> tuple[Row, ...]:
    methods = "SSL-E2VID (in EvINR)", "HF (in EvINR)", "ELRP (in EvINR)", "EvINR"
    return tuple(
        Row(method, row, EVINR, "evreal-2023", "inferred", "unknown")
        for method, row in zip(methods, (ssl, hf, elrp, evinr), strict=True)
    )


def _e2hqv(scores: Scores, sequences: Mapping[str, Scores], source: str = E2HQV_OWN) -> Row:
    return Row("E2HQV", scores, source, "evreal-2023", "stated", "sequences", sequences)


def _pienet(full: Scores, lite: Scores) -> tuple[Row, ...]:
    return tuple(
        Row(method, row, PIENET, "evreal-2024", "stated", "frames")
        for method, row in (("PIE-Net", full), ("PIE-Net-Lite", lite))
    )


ROWS: dict[str, tuple[Row, ...]] = {
    "ECD": (
        *_supervised(
            Scores(0.212, 0.424, 0.350),
            Scores(0.131, 0.502, 0.320),
            Scores(0.070, 0.560, 0.236),
            Scores(0.063, 0.555, 0.290),
            Scores(0.091, 0.517, 0.337),
            Scores(0.046, 0.364, 0.425),
            Scores(0.047, 0.617, 0.224),
        ),
        _e2hqv(
            Scores(0.028, 0.682, 0.196),
            {
                "boxes_6dof": Scores(0.0354, 0.5638, 0.2574),
                "calibration": Scores(0.0206, 0.6471, 0.1639),
                "dynamic_6dof": Scores(0.0278, 0.7185, 0.1965),
                "office_zigzag": Scores(0.0214, 0.6802, 0.2239),
                "poster_6dof": Scores(0.0345, 0.5552, 0.1978),
                "shapes_6dof": Scores(0.0407, 0.8194, 0.1712),
                "slider_depth": Scores(0.0129, 0.7879, 0.1623),
            },
        ),
        *_evinr(
            Scores(0.097, 0.473, 0.409),
            Scores(0.164, 0.334, 0.658),
            Scores(0.080, 0.437, 0.485),
            Scores(0.047, 0.628, 0.251),
        ),
        *_pienet(Scores(0.0257, 0.6122, 0.1957), Scores(0.0221, 0.6197, 0.2079)),
    ),
    "HQF": (
        *_supervised(
            Scores(0.127, 0.540, 0.382),
            Scores(0.094, 0.533, 0.441),
            Scores(0.036, 0.643, 0.252),
            Scores(0.040, 0.614, 0.314),
            Scores(0.077, 0.521, 0.502),
            Scores(0.126, 0.295, 0.498),
            Scores(0.032, 0.658, 0.260),
        ),
        _e2hqv(
            Scores(0.019, 0.671, 0.261),
            {
                "bike_bay_hdr": Scores(0.0306, 0.5689, 0.3532),
                "boxes": Scores(0.0139, 0.7571, 0.1850),
                "desk": Scores(0.0146, 0.7358, 0.1808),
                "desk_fast": Scores(0.0087, 0.7781, 0.1771),
                "desk_hand_only": Scores(0.0135, 0.7485, 0.2842),
                "desk_slow": Scores(0.0223, 0.6867, 0.2711),
                "engineering_posters": Scores(0.0207, 0.6537, 0.2444),
                "high_texture_plants": Scores(0.0280, 0.5559, 0.2166),
                "poster_pillar_1": Scores(0.0108, 0.6195, 0.2746),
                "poster_pillar_2": Scores(0.0084, 0.6543, 0.2651),
                "reflective_materials": Scores(0.0147, 0.6924, 0.2403),
                "slow_and_fast_desk": Scores(0.0246, 0.6737, 0.2531),
                "slow_hand": Scores(0.0304, 0.5779, 0.3629),
                "still_life": Scores(0.0225, 0.6878, 0.2087),
            },
            E2HQV_HQF,
        ),
        *_evinr(
            Scores(0.070, 0.480, 0.464),
            Scores(0.133, 0.232, 0.670),
            Scores(0.074, 0.450, 0.474),
            Scores(0.048, 0.531, 0.333),
        ),
        *_pienet(Scores(0.0204, 0.6302, 0.2248), Scores(0.0267, 0.5993, 0.2494)),
    ),
    "MVSEC": (
        *_supervised(
            Scores(0.337, 0.206, 0.705),
            Scores(0.292, 0.261, 0.700),
            Scores(0.132, 0.345, 0.514),
            Scores(0.218, 0.297, 0.570),
            Scores(0.138, 0.342, 0.589),
            Scores(0.062, 0.345, 0.593),
            Scores(0.107, 0.380, 0.489),
        ),
        _e2hqv(
            Scores(0.032, 0.421, 0.460),
            {
                "indoor_flying1_data": Scores(0.0235, 0.4495, 0.4381),
                "indoor_flying2_data": Scores(0.0194, 0.4249, 0.4444),
                "indoor_flying3_data": Scores(0.0224, 0.4484, 0.4262),
                "outdoor_day1_data": Scores(0.0518, 0.3343, 0.5802),
                "outdoor_day2_data": Scores(0.0403, 0.4462, 0.4086),
            },
            E2HQV_MVSEC,
        ),
        *_pienet(Scores(0.0484, 0.3798, 0.4356), Scores(0.0428, 0.3889, 0.4418)),
    ),
    "AED": tuple(
        Row(method, scores, EVINR_AED, None, "unknown", "unknown")
        for method, scores in (
            ("FireNet", Scores(0.074, 0.298, 0.579)),
            ("E2VID", Scores(0.056, 0.424, 0.500)),
            ("FireNet+", Scores(0.094, 0.232, 0.566)),
            ("E2VID+", Scores(0.074, 0.345, 0.462)),
            ("ET-Net", Scores(0.084, 0.312, 0.482)),
            ("SSL-E2VID", Scores(0.094, 0.316, 0.453)),
            ("HF", Scores(0.080, 0.240, 0.943)),
            ("ELRP", Scores(0.084, 0.305, 0.473)),
            ("EvINR", Scores(0.067, 0.458, 0.366)),
        )
    ),
    "CED": (),
    "RLED": (),
}
"""By dataset, in the order of their sources."""
