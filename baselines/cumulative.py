"""What EFNet is given of the events of an exposure: the symmetric cumulative event representation (SCER; Sun et al., ECCV
2022, section 3.3), or a voxel grid, and a mask of where events were.

As its code makes them (scripts/data_preparation/base_dataset.py and make_voxels_real.py, basicsr/data/event_util.py), but
that times are taken since the window's first event: there single precision holds them whole, so that late in a recording
neighbouring events fall together.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, Integer

from evinr.events import Events


def cumulative_of(window: Events, channels: int) -> Float32[np.ndarray, "h w {channels}"]:
    """`cumulative` of a window's events."""
    return cumulative(window.x, window.y, since_first(window), window.p, channels, window.height, window.width)


def voxel_grid_of(window: Events, channels: int) -> Float32[np.ndarray, "h w {channels}"]:
    """`voxel_grid` of a window's events."""
    return voxel_grid(window.x, window.y, since_first(window), window.p, channels, window.height, window.width)


def since_first(window: Events) -> Float32[np.ndarray, " n"]:
    """Seconds since the window's first event."""
    return (window.t - window.t[:1]).astype(np.float32)


def cumulative(
    x: Integer[np.ndarray, " n"],
    y: Integer[np.ndarray, " n"],
    t: Float32[np.ndarray, " n"],
    p: Int[np.ndarray, " n"],
    channels: int,
    height: int,
    width: int,
) -> Float32[np.ndarray, "{height} {width} {channels}"]:
    """Sums of polarities from the middle of the window's time outwards: the first half of the channels minus the sums from
    each of as many equal steps to the middle, the widest first; the second half those from the middle to each step, the
    widest last. An odd number of channels has zeros in the middle, as the simulated data of the authors have them.

    Sums end before the event that is found for their end: the last event is in none but by rounding. No events give zeros.
    """
    grid = np.zeros((height, width, channels), np.float32)
    if not t.size:
        return grid
    half = channels // 2
    span, cell = t[-1] - t[0], y.astype(np.intp) * width + x
    steps = [_found(t, t[0] + span / (2 * half) * step) for step in range(2 * half + 1)]
    middle = _found(t, t[0] + span / 2)
    for step in range(half):
        after = channels - half + step
        grid[..., step] = -_summed(cell, p, steps[step], middle, grid.shape)
        grid[..., after] = _summed(cell, p, middle, steps[half + step + 1], grid.shape)
    return grid


def voxel_grid(
    x: Integer[np.ndarray, " n"],
    y: Integer[np.ndarray, " n"],
    t: Float[np.ndarray, " n"],
    p: Int[np.ndarray, " n"],
    bins: int,
    height: int,
    width: int,
) -> Float32[np.ndarray, "{height} {width} {bins}"]:
    """Polarities -1 and +1, shared between the two bins nearest in time. No events give zeros.

    To the bit the authors' grid, which of EVREAL's (baselines/voxel_grid.py) is another rounding; and where all times are
    the same, all events are in the first bin.
    """
    grid = np.zeros((height, width, bins), np.float32)
    if not t.size:
        return grid
    place = (bins - 1) * (t - t[0]) / ((t[-1] - t[0]) or 1)
    lower = place.astype(np.intp)
    cell, share = (y.astype(np.intp) * width + x) * bins + lower, place - lower
    np.add.at(grid.reshape(-1), cell, p * (1 - share))
    inside = lower + 1 < bins
    np.add.at(grid.reshape(-1), cell[inside] + 1, (p * share)[inside])
    return grid


def mask(grid: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w 1"]:
    """1 where any channel is not 0, and in gaps of up to two pixels between such; 0 elsewhere."""
    seen = (grid != 0).any(-1).astype(np.uint8)
    return cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)).astype(np.float32)[..., None]


def scaled(grid: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w c"]:
    """The grid with its number furthest from 0 brought to -1 or 1; zeros stay zeros."""
    return grid / (np.abs(grid).max() or np.float32(1))


def _summed(
    cell: Integer[np.ndarray, " n"], p: Int[np.ndarray, " n"], first: int, end: int, shape: tuple[int, int, int]
) -> Float32[np.ndarray, "h w"]:
    """The polarities of the events from `first` to before `end`, pixel by pixel."""
    sums = np.bincount(cell[first:end], p[first:end], minlength=shape[0] * shape[1])
    return sums.reshape(shape[:2]).astype(np.float32)


def _found(t: Float32[np.ndarray, " n"], time: np.float32) -> int:
    """Where halving the events first meets this time, of equal times not the first; if never, before the next later one."""
    low, high = 0, len(t) - 1
    while low <= high:
        middle = (low + high) // 2
        if t[middle] == time:
            return middle
        low, high = (middle + 1, high) if t[middle] < time else (low, middle - 1)
    return low
