"""What is scored: pictures at given times, wherever they come from."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from evinr.reconstruction import Reconstruction, Span

LUMA = np.array([0.299, 0.587, 0.114])
"""Gray of colour, Rec. 601, as for camera frames (converters/pictures.py)."""


class Truth(NamedTuple):
    """Pictures that the camera took, or a simulator knows; or only the times to look at, where there are none."""

    times: Float64[np.ndarray, " n"]
    """Seconds of the recording's clock, rising."""
    images: UInt8[np.ndarray, "n h w"] | None
    """What protocols of pictures score against."""
    start: float
    """First event or frame of the recording, whichever comes first: cuts of known sequences count from here."""
    whole: bool = True
    """Whether the last of these frames is the recording's last."""
    light: Float32[np.ndarray, "n h w"] | None = None
    """Linear, up to a factor: what protocols of light score against, beside 8-bit `images` of it."""


class Prediction(NamedTuple):
    """What a method made of a recording."""

    kind: Literal["log", "picture", "light"]
    """What its numbers are: log intensity up to a constant and a factor; a picture in [0, 1]; or linear light up to a factor,
    black 0."""
    span: Span
    """First and last time that can be asked for."""
    times: Float64[np.ndarray, " m"] | None
    """The only times that can be asked for, rising; None: all in the span."""
    at: Callable[[Float64[np.ndarray, " k"]], Float[np.ndarray, "k h w"]]
    """The frames at these times, which must be such."""


def of_reconstruction(reconstruction: Reconstruction) -> Prediction:
    """A fit, which can be asked for any time of its span. Colour becomes gray in intensity, where light adds up."""

    def at(times: Float64[np.ndarray, " k"]) -> Float[np.ndarray, "k h w"]:
        if reconstruction.config.bayer is None:
            return reconstruction.log_intensity(times)
        return np.log(reconstruction.intensity(times) @ LUMA)

    return Prediction("log", reconstruction.span, None, at)


def shifted(prediction: Prediction, seconds: float) -> Prediction:
    """The same on a clock that is `seconds` ahead."""
    if not seconds:
        return prediction
    times = prediction.times
    span = Span(prediction.span.start + seconds, prediction.span.end + seconds)
    if times is None:
        # The ends of the span come back exactly: what lies a rounding outside is at the end.
        return Prediction(
            prediction.kind, span, None, lambda asked: prediction.at(np.clip(asked - seconds, *prediction.span))
        )
    moved = times + seconds
    return Prediction(prediction.kind, span, moved, lambda asked: prediction.at(times[np.searchsorted(moved, asked)]))
