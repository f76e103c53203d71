"""Histogram equalisation of pictures before they are compared: EVREAL's `histeq` (utils/eval_metrics.py)."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from jaxtyping import Float32

from evinr.protocols import Equalisation


def equalise(images: Float32[np.ndarray, "n h w"], how: Equalisation) -> Float32[np.ndarray, "n h w"]:
    """Each picture in [0, 1] with its histogram made even.

    "global" over the picture (256 bins), "local" over a disk of radius 55 around each pixel, "clahe" over 8 x 8 tiles with
    contrast limited to 2 (Zuiderveld, Graphics Gems IV, 1994). The last two round to 8 bits.
    """
    if how == "none":
        return images
    with ThreadPoolExecutor() as threads:
        return np.stack(list(threads.map(partial(_equalised, how=how), images)))


def _equalised(image: Float32[np.ndarray, "h w"], how: Equalisation) -> Float32[np.ndarray, "h w"]:
    from skimage.util import img_as_float32, img_as_ubyte

    if how == "global":
        from skimage.exposure import equalize_hist

        return img_as_float32(equalize_hist(image))
    if how == "local":
        from skimage.filters.rank import equalize
        from skimage.morphology import disk

        return img_as_float32(equalize(img_as_ubyte(image), footprint=disk(55)))
    import cv2

    return img_as_float32(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(img_as_ubyte(image)))
