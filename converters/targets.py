"""A converted folder as other toolkits read it: an EVREAL folder, or one compressed HDF5 file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from converters.convert import PACKED, h5_file
from converters.converted import open_converted
from converters.npy import growing_array
from converters.options import AS_STORED
from converters.pictures import to_gray
from converters.stream import WHOLE, FrameSet
from evinr.files import write_json

ROWS = 2**18
"""Events written at once."""


def write_evreal(folder: Path, out: Path) -> dict[str, Any]:
    """The folder that EVREAL reads (Ercan et al. 2023), from one that `write_folder` made; gives its metadata.

    Its times count from the first event or picture; pictures become 8-bit gray, and are the sharp ones where there are
    such: EVREAL takes them for the truth.
    """
    about, frames = _about(folder), _frames(folder)
    truth = [kind for kind in frames if kind.name == "sharp"] or list(frames[:1])
    first = round(about["events"]["start_s"] * 1e9)
    origin = min([first, *(kind.start for kind in truth)])
    with (
        growing_array(out / "events_ts.npy", (), np.dtype("<f8")) as add_times,
        growing_array(out / "events_xy.npy", (2,), _pixel(about)) as add_pixels,
        growing_array(out / "events_p.npy", (), np.dtype("?")) as add_polarities,
    ):
        for rows in _rows(folder):
            add_times((np.rint(rows[:, 0] * 1e9) - origin) / 1e9)
            add_pixels(rows[:, 1:3])
            add_polarities(rows[:, 3] > 0)
    said = [f"EVREAL has no place for the pictures `{kind.name}`, left out" for kind in frames if kind not in truth]
    for kind in truth:
        stamps, types = [], set()
        with growing_array(out / "images.npy", (kind.height or 0, kind.width or 0, 1), np.dtype("u1")) as add_images:
            for frame in kind.read(WHOLE):
                stamps.append((frame.time - origin) / 1e9)
                types.add(frame.image.dtype)
                add_images(to_gray(frame.image)[None, :, :, None])
        np.save(out / "images_ts.npy", np.array(stamps)[:, None])
        # As EVREAL's own converter: the last event that is not after the picture, and the first where there is none.
        events = np.load(out / "events_ts.npy", mmap_mode="r")
        indices = np.maximum(np.searchsorted(events, stamps, "right") - 1, 0)
        np.save(out / "image_event_indices.npy", indices.astype(np.int64)[:, None])
        if kind.layout == "rgb":
            said.append("colour was left out, as EVREAL compares gray pictures")
        if types != {np.dtype(np.uint8)}:
            said.append("HDR pictures were tone-mapped to 8 bits")
    if list(folder.glob("exposures*.txt")):
        said.append("EVREAL has no place for exposures, left out")
    about["assumptions"] += said
    about["frames"] = {kind.name: about["frames"][kind.name] for kind in truth}
    size = [about["sensor"]["height"], about["sensor"]["width"]]
    zero = about["origin_ns"] + origin
    write_json(out / "metadata.json", {"sensor_resolution": size, "origin_ns": zero, "evinr": about})
    return about


def write_h5(folder: Path, out: Path) -> None:
    """One gzip-compressed HDF5 file in the layout of event_utils (Stoffregen), from a folder that `write_folder` made.

    What else that folder knew is JSON in the dataset `evinr` of bytes; in a string of variable length HDF5 would loop
    for ever where the file was damaged.
    """
    about, frames = _about(folder), _frames(folder)
    count, rising = about["events"]["count"], about["events"]["rising"]
    types = {"ts": np.dtype("<f8"), "xs": _pixel(about), "ys": _pixel(about), "ps": np.dtype("?")}
    with h5_file(out, "w") as file:
        columns = [
            file.create_dataset(f"events/{name}", (count,), dtype, chunks=(min(count, 2**16),), **PACKED)
            for name, dtype in types.items()
        ]
        start = 0
        for rows in _rows(folder):
            for column, values in zip(columns, (*rows[:, :3].T, rows[:, 3] > 0), strict=True):
                column[start : start + len(rows)] = values
            start += len(rows)
        for kind in frames:
            group = file.create_group("images" if kind.name == "frames" else f"{kind.name}_images")
            for number, frame in enumerate(kind.read(WHOLE)):
                # The layout has colour as OpenCV has it, BGR.
                image = frame.image if frame.image.ndim == 2 else frame.image[..., ::-1]
                picture = group.create_dataset(f"image{number:09d}", data=image, **PACKED)
                picture.attrs["size"], picture.attrs["timestamp"] = image.shape, frame.time / 1e9
                picture.attrs["type"] = "greyscale" if image.ndim == 2 else "color_bgr"
                if frame.exposure:
                    picture.attrs["exposure_start"], picture.attrs["exposure_end"] = np.array(frame.exposure) / 1e9
            group.attrs["num_images"] = len(group)
        file["evinr"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        file.attrs.update(
            {
                "num_events": count,
                "num_pos": rising,
                "num_neg": count - rising,
                "t0": about["events"]["start_s"],
                "tk": about["events"]["end_s"],
                "duration": about["events"]["end_s"] - about["events"]["start_s"],
                "num_imgs": len(file["images"]) if "images" in file else 0,  # pyright: ignore[reportArgumentType]
                "sensor_resolution": [about["sensor"]["height"], about["sensor"]["width"]],
            }
        )


def _about(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metadata.json").read_text())


def _frames(folder: Path) -> tuple[FrameSet, ...]:
    return open_converted(folder, folder.name, AS_STORED).frames


def _rows(folder: Path) -> Iterator[Float64[np.ndarray, "n 4"]]:
    """The events, block by block."""
    count = len(np.load(folder / "events.npy", mmap_mode="r"))
    for start in range(0, count, ROWS):
        # Mapped anew for each block, so that pages that are done with do not count as memory.
        yield np.array(np.load(folder / "events.npy", mmap_mode="r")[start : start + ROWS])


def _pixel(about: dict[str, Any]) -> np.dtype:
    """The integers of these layouts, where they are wide enough."""
    return np.dtype("<i2" if max(about["sensor"]["width"], about["sensor"]["height"]) <= 2**15 else "<i4")
