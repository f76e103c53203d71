"""Light of high range as metrics of pictures take it: by the mu-law, or perceptually uniform (PU21)."""

import numpy as np
from jaxtyping import Float, Float32, Float64

from evinr.light import MU

PU21 = (0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627, 0.09150303166, 0.9099517204, 596.3148142)
"""The encoding `banding_glare` (Mantiuk and Azimi, PU21, PCS 2021), its authors' default."""
DARKEST, BRIGHTEST = 0.005, 10000.0
"""Luminances it is made for, in cd/m2; what lies outside is brought in."""
WHITE = 1000.0
"""Luminance of light 1, in cd/m2: nobody knows what a camera saw, and this is a display of high range."""
PEAK = 256.0
"""What metrics of 8 bits take for the range: the code of 100 cd/m2, the white of plain displays."""

Light = Float32[np.ndarray, "n h w"]


def mu_law(light: Light) -> Light:
    """Light in [0, 1] to [0, 1], log(1 + mu x) / log(1 + mu), mu = 5000 (Kalantari and Ramamoorthi, SIGGRAPH 2017)."""
    return np.log1p(np.float32(MU) * light) / np.float32(np.log1p(MU))


def pu21(luminance: Float[np.ndarray, "*s"]) -> Float64[np.ndarray, "*s"]:
    """Luminance in cd/m2 to codes from 0 to 595, equal steps of which look alike; 100 cd/m2 is 256."""
    a, b, c, power, outer, shift, factor = PU21
    raised = np.clip(luminance.astype(np.float64), DARKEST, BRIGHTEST) ** power
    return np.maximum(factor * (((a + b * raised) / (1 + c * raised)) ** outer - shift), 0)


def perceived(light: Light) -> Light:
    """Light in [0, 1], 1 being 1000 cd/m2 and black 0.005, in parts of the peak 256: PSNR of range 1 is then that
    of the authors' pu21_metric.m, whose range is 256, and SSIM but for the border: scikit-image leaves 5 pixels out of the
    mean, MATLAB repeats the edge and takes all."""
    return (pu21(np.float32(WHITE) * light) / PEAK).astype(np.float32)
