"""The answer of a fit: log intensity, intensity and rate of change of every pixel at any time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from evinr import bayer, heads, siren
from evinr.config import FitConfig
from evinr.events import InputError
from evinr.heads import Head, Heads
from evinr.siren import Params, Siren

Times = Float[np.ndarray, "*n"] | Sequence[float] | float
"""Seconds in the recording's clock."""

BATCH = 16
"""Frames evaluated at once: memory stays that of 16 frames, and one shape is compiled once."""

BRIGHT = 80.0
"""Largest log intensity whose exponential, and sums of such, are float32: a pixel that never rests gets to thousands."""


class Span(NamedTuple):
    """Seconds from `start` to `end`, in the recording's clock."""

    start: float
    end: float

    def normalise(self, seconds: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """The span to [-1, 1]."""
        return (seconds - self.start) / (self.end - self.start) * 2 - 1


@dataclass(frozen=True)
class Reconstruction:
    """A fitted network, or a head for each of many windows, and what the numbers mean.

    Log intensity is defined up to one constant, which is arbitrary, and scales with the contrast threshold it was told.
    """

    params: Params
    config: FitConfig
    height: int
    width: int
    span: Span
    heads: Heads = ()
    """Of all windows, in order of time; empty where one network has the whole span, and `params` are its own."""

    def log_intensity(self, t: Times, *, extrapolate: bool = False) -> Float[np.ndarray, "..."]:
        """Natural log of intensity at `t` seconds, (..., H, W): of the mosaic for a colour sensor; (..., H, W, 3)
        where three colour planes were fitted.

        Raises:
            InputError: a time outside the fitted span, unless `extrapolate`; windows cannot be extrapolated.
        """
        return self._evaluate(t, extrapolate, rate=False)

    def rate(self, t: Times, *, extrapolate: bool = False) -> Float[np.ndarray, "..."]:
        """The time derivative of log intensity in 1/s, exact (forward mode); shapes and errors as `log_intensity`."""
        return self._evaluate(t, extrapolate, rate=True)

    def intensity(self, t: Times, *, extrapolate: bool = False) -> Float[np.ndarray, "..."]:
        """exp(log intensity), up to one positive factor; (..., H, W, 3) and demosaiced for a colour sensor.

        Log intensity beyond BRIGHT, which only a broken pixel has, counts as BRIGHT.
        """
        linear = np.exp(np.clip(self.log_intensity(t, extrapolate=extrapolate), -BRIGHT, BRIGHT))
        if self.config.bayer is None or self.config.colour == "planes":
            return linear
        frames = bayer.demosaic(linear.reshape(-1, self.height, self.width), self.config.bayer)
        return frames.reshape(*np.shape(t), self.height, self.width, 3)

    def _evaluate(self, t: Times, extrapolate: bool, rate: bool) -> np.ndarray:
        seconds = np.asarray(t, np.float64)
        self.check(seconds, extrapolate=extrapolate)
        evaluate = self._by_windows if len(self.heads) else self._by_network
        return self._assemble(evaluate(np.ravel(seconds), rate), np.shape(t))

    def _by_network(self, seconds: Float64[np.ndarray, " n"], rate: bool) -> Float[np.ndarray, "n planes h w"]:
        net, function = self._network(), _rates if rate else _frames
        times = self.span.normalise(seconds)
        planes = np.empty((len(times), net.planes, net.height, net.width), self._kind)
        with jax.enable_x64(self._kind == np.float64):
            params = jax.device_put(self.params)
            for start in range(0, len(times), BATCH):
                part = planes[start : start + BATCH]
                padded = np.resize(times[start : start + BATCH], BATCH).astype(self._kind)
                np.multiply(function(net, params, padded)[: len(part)], self._unit, out=part)
        if rate:
            planes *= 2 / (self.span.end - self.span.start)
        return planes

    def _by_windows(self, seconds: Float64[np.ndarray, " n"], rate: bool) -> Float[np.ndarray, "n planes h w"]:
        net = self._network()
        planes = np.zeros((len(seconds), net.planes, net.height, net.width), self._kind)
        frames = planes.reshape(len(seconds), net.planes * net.height * net.width)
        newest = np.searchsorted(self._layout[:, 1], seconds, "right") - 1
        for number in np.unique(newest).tolist():
            for head, rows, weights in self._shares(number, np.flatnonzero(newest == number), seconds, rate):
                weights = (self.config.contrast_threshold * weights).astype(self._kind)
                values = head.values.reshape(len(head.times), -1).astype(self._kind, copy=False)
                for start in range(0, len(rows), BATCH):
                    frames[rows[start : start + BATCH]] += weights[start : start + BATCH] @ values
        return planes

    def _shares(
        self, number: int, rows: Int[np.ndarray, " m"], seconds: Float64[np.ndarray, " n"], rate: bool
    ) -> Iterator[tuple[Head, Int[np.ndarray, " r"], Float64[np.ndarray, "r k"]]]:
        """What frames `rows` take of a window's values at its knots, and those of them in its seam of the window before.

        In the seam the window comes in as smoothstep of its knots, not of time, so that it does not come in while nothing
        happens.
        """
        head = self.heads[number]
        functions, slopes = _functions(head, seconds[rows], self.config)
        in_seam = seconds[rows] < self._layout[number, 2]
        if not in_seam.any():
            yield head, rows, slopes if rate else functions
            return
        first = head.shared - 1 - self.config.overlap
        knot, pace = heads.coordinate(head.times, seconds[rows])
        part = np.clip((knot - first) / self.config.overlap, 0, 1)[:, None]
        share, change = part**2 * (3 - 2 * part), 6 * part * (1 - part) * pace[:, None] / self.config.overlap
        yield head, rows, share * slopes + change * functions if rate else share * functions
        before, rows, share, change = self.heads[number - 1], rows[in_seam], 1 - share[in_seam], -change[in_seam]
        functions, slopes = _functions(before, seconds[rows], self.config)
        yield before, rows, share * slopes + change * functions if rate else share * functions

    def check(self, seconds: Float[np.ndarray, "..."], *, extrapolate: bool = False) -> None:
        """Raise InputError for a time that is no number, or outside the fitted span (unless `extrapolate`, which windows
        never do: their functions of time are wild outside their knots)."""
        allowed = np.isfinite(seconds)
        if len(self.heads) or not extrapolate:
            allowed &= (seconds >= self.span.start) & (seconds <= self.span.end)
        if not allowed.all():
            mend = "" if len(self.heads) else ", or pass --extrapolate"
            raise InputError(
                f"time {seconds[~allowed].flat[0]} s is outside the fitted span {self.span.start} to {self.span.end} s"
                f" ({int((~allowed).sum())} of {seconds.size} times are): ask inside it{mend}"
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

    @property
    def _kind(self) -> type[np.floating]:
        """Numbers of the answer."""
        return np.float64 if self.config.precision == "float64" else np.float32

    @cached_property
    def _layout(self) -> Float64[np.ndarray, "w 4"]:
        return heads.layout(self.heads, self.config.overlap)

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


def joined(windows: Heads, config: FitConfig, height: int, width: int) -> Reconstruction:
    """The windows of a fit as one answer, from the first knot of the first to the last knot of the last one."""
    places = heads.layout(windows, config.overlap)
    return Reconstruction({}, config, height, width, Span(float(places[0, 0]), float(places[-1, -1])), windows)


def _functions(
    head: Head, seconds: Float64[np.ndarray, " n"], config: FitConfig
) -> tuple[Float64[np.ndarray, "n k"], Float64[np.ndarray, "n k"]]:
    """What the values at the knots of a window weigh at `seconds`, and the time derivatives of that, 1/s."""
    cardinal = siren.cardinal(config, len(head.times))
    knot, pace = heads.coordinate(head.times, seconds)
    functions = siren.cardinal_functions(cardinal, knot)
    return functions, siren.cardinal_slopes(cardinal, knot) * pace[:, None]


@partial(jax.jit, static_argnums=0)
def _frames(net: Siren, params: Params, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
    return siren.log_intensity(net, params, times)


@partial(jax.jit, static_argnums=0)
def _rates(net: Siren, params: Params, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
    # Frames depend on their own time only, so one tangent of ones gives every frame's own derivative.
    return jax.jvp(lambda times: siren.log_intensity(net, params, times), (times,), (jax.numpy.ones_like(times),))[1]
