"""Pictures in files: PNG and what else Pillow reads, as arrays; and arrays as people see them."""

import warnings
from io import BufferedReader, BytesIO

import numpy as np
from jaxtyping import Shaped, UInt8

from evinr.events import InputError

LARGEST_FILE = 2**27
"""Bytes of a picture file."""
LARGEST_PICTURE = 2**26
"""Pixels of a picture: 67 million, far beyond any event camera's; a file of 1 MB may claim many more."""


def read_picture(stream: BufferedReader | BytesIO, where: str) -> Shaped[np.ndarray, "h w *c"]:
    """Gray (h, w) or RGB (h, w, 3), uint8 or uint16; transparency is left out. Raises InputError at `where`."""
    import imageio.v3 as iio
    from PIL.Image import DecompressionBombError, DecompressionBombWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DecompressionBombWarning)  # the limit here is lower
            stored = stream.read(LARGEST_FILE)
            height, width = iio.improps(stored, index=0, plugin="pillow").shape[:2]
            if height * width > LARGEST_PICTURE:
                raise InputError(f"{where}: a picture of {width} x {height}, more than any camera's; make it smaller")
            picture = iio.imread(stored, index=0, plugin="pillow")
    except (OSError, SyntaxError, ValueError, DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: not a readable picture ({error}); restore or remove it") from error
    if picture.dtype == np.int32:
        # Pillow's mode I, in which it opens some 16-bit PNGs.
        picture = picture.astype(np.uint16)
    if picture.dtype not in (np.uint8, np.uint16) or picture.ndim not in (2, 3):
        raise InputError(
            f"{where}: {picture.dtype} of shape {picture.shape}, expected 8 or 16 bits, gray or colour; convert it"
        )
    if picture.ndim == 2:
        return picture
    return picture[..., :3] if picture.shape[2] > 2 else picture[..., 0]


def to_gray(picture: Shaped[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "h w"]:
    """8-bit gray to look at: luma of ITU-R Rec. 601; linear HDR (16 bits, floats) by Reinhard's operator, gamma 2.2."""
    if picture.ndim == 3:
        luma = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    else:
        luma = picture
    if picture.dtype == np.uint8:
        return luma if picture.ndim == 2 else np.rint(luma).astype(np.uint8)
    # Key 0.18 of Reinhard et al. 2002, on the arithmetic mean: HDR scenes are mostly dark.
    bright = luma.astype(np.float64) * (0.18 / max(float(luma.mean()), 1e-12))
    return np.rint(255 * (bright / (1 + bright)) ** (1 / 2.2)).astype(np.uint8)
