"""The answer of a fit: log intensity, intensity and rate of change of every pixel at any time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from evinr import bayer, siren
from evinr.config import FitConfig
from evinr.events import InputError
from evinr.siren import Params, Siren

Times = Float[np.ndarray, "*n"] | Sequence[float] | float
"""Seconds in the recording's clock."""

BATCH = 16
"""Frames evaluated at once: memory stays that of 16 frames, and one shape is compiled once."""


class Span(NamedTuple):
    """Seconds from `start` to `end`, in the recording's clock."""

    start: float
    end: float

    def normalise(self, seconds: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """The span to [-1, 1]."""
        return (seconds - self.start) / (self.end - self.start) * 2 - 1


@dataclass(frozen=True)
class Reconstruction:
    """A fitted network and what its numbers mean.

    Log intensity is defined up to one constant, which is arbitrary, and scales with the contrast threshold it was told.
    """

    params: Params
    config: FitConfig
    height: int
    width: int
    span: Span

    def log_intensity(self, t: Times, *, extrapolate: bool = False) -> Float[np.ndarray, "..."]:
        """Natural log of intensity at `t` seconds, (..., H, W): of the mosaic for a colour sensor; (..., H, W, 3)
        where three colour planes were fitted.

        Raises:
            InputError: a time outside the fitted span, unless `extrapolate`.
        """
        return self._evaluate(_frames, t, extrapolate)

    def rate(self, t: Times, *, extrapolate: bool = False) -> Float[np.ndarray, "..."]:
        """The time derivative of log intensity in 1/s, exact (forward mode); shapes and errors as `log_intensity`."""
        return self._evaluate(_rates, t, extrapolate) * (2 / (self.span.end - self.span.start))

    def intensity(self, t: Times, *, extrapolate: bool = False) -> Float[np.ndarray, "..."]:
        """exp(log intensity), up to one positive factor; (..., H, W, 3) and demosaiced for a colour sensor."""
        linear = np.exp(self.log_intensity(t, extrapolate=extrapolate))
        if self.config.bayer is None or self.config.colour == "planes":
            return linear
        frames = bayer.demosaic(linear.reshape(-1, self.height, self.width), self.config.bayer)
        return frames.reshape(*np.shape(t), self.height, self.width, 3)

    def _evaluate(self, function: Callable[..., Array], t: Times, extrapolate: bool) -> np.ndarray:
        seconds = np.asarray(t, np.float64)
        self.check(seconds, extrapolate=extrapolate)
        net = self._network()
        times = self.span.normalise(np.ravel(seconds))
        double = self.config.precision == "float64"
        kind = np.float64 if double else np.float32
        planes = np.empty((len(times), net.planes, net.height, net.width), kind)
        with jax.enable_x64(double):
            params = jax.device_put(self.params)
            for start in range(0, len(times), BATCH):
                part = planes[start : start + BATCH]
                padded = np.resize(times[start : start + BATCH], BATCH).astype(kind)
                np.multiply(function(net, params, padded)[: len(part)], self._unit, out=part)
        return self._assemble(planes, np.shape(t))

    def check(self, seconds: Float[np.ndarray, "..."], *, extrapolate: bool = False) -> None:
        """Raise InputError for a time that is no number, or outside the fitted span (unless `extrapolate`)."""
        allowed = np.isfinite(seconds)
        if not extrapolate:
            allowed &= (seconds >= self.span.start) & (seconds <= self.span.end)
        if not allowed.all():
            raise InputError(
                f"time {seconds[~allowed].flat[0]} s is outside the fitted span {self.span.start} to {self.span.end} s"
                f" ({int((~allowed).sum())} of {seconds.size} times are): ask inside it, or pass --extrapolate"
            )

    def save(self, folder: Path | str) -> None:
        """Write the reconstruction to a new folder, for `evinr.load`.

        Raises:
            InputError: the folder exists.
        """
        from evinr import checkpoint  # not at the top: it imports this module

        checkpoint.save_reconstruction(Path(folder), self)

    @property
    def _unit(self) -> float:
        """Log intensity behind one unit of the network's output."""
        return self.config.contrast_threshold if self.config.scale_free else 1.0

    def _network(self) -> Siren:
        if self.config.bayer is None:
            return siren.network(self.config, 1, self.height, self.width)
        if self.config.colour == "planes":
            return siren.network(self.config, 3, self.height, self.width)
        return siren.network(self.config, 4, (self.height + 1) // 2, (self.width + 1) // 2)

    def _assemble(self, planes: Float[np.ndarray, "n planes h w"], batch: tuple[int, ...]) -> np.ndarray:
        """Planes as frames, (*batch, H, W) or (*batch, H, W, 3)."""
        if self.config.bayer is None:
            frames = planes[:, 0]
        elif self.config.colour == "planes":
            frames = np.moveaxis(planes, 1, -1)
        else:
            frames = bayer.mosaic(planes)[:, : self.height, : self.width]
        return frames.reshape(*batch, *frames.shape[1:])


@partial(jax.jit, static_argnums=0)
def _frames(net: Siren, params: Params, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
    return siren.log_intensity(net, params, times)


@partial(jax.jit, static_argnums=0)
def _rates(net: Siren, params: Params, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
    # Frames depend on their own time only, so one tangent of ones gives every frame's own derivative.
    return jax.jvp(lambda times: siren.log_intensity(net, params, times), (times,), (jax.numpy.ones_like(times),))[1]
