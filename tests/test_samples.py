"""Files written by other people's tools, and broken ones, each with the answer wanted: `../shared/formats`."""

import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.checks import Passage, collect
from converters.door import open_stream, read
from converters.frames import checked_frames
from converters.options import ReadOptions
from converters.stream import Frame
from evinr.events import Events, InputError

FORMATS = Path(__file__).parents[2] / "shared" / "formats"
pytestmark = pytest.mark.skipif(not FORMATS.exists(), reason="no folder `shared` with samples beside the checkout")
TOLERANT = {"evreal_npy/slider_bag", "mvsec_data.hdf5"}
"""Files whose times went through double Unix seconds, and so are off by up to 0.24 us."""
AS_STORED = ReadOptions()


def entries() -> list[dict[str, Any]]:
    if not FORMATS.exists():
        return []
    return json.loads((FORMATS / "samples" / "manifest.json").read_text())["samples"]


@cache
def entry(path: str) -> dict[str, Any]:
    [found] = [sample for sample in entries() if sample["path"] == path]
    return found


GOOD = [sample["path"] for sample in entries() if sample.get("expected_events")]
every_sample = pytest.mark.parametrize("sample", GOOD)


def passed(path: Path, options: ReadOptions = AS_STORED) -> tuple[Events, int, list[list[Frame]]]:
    """The events, their origin, and the frames of each kind."""
    stream = open_stream(path, options)
    events, _, origin = collect(Passage(stream, options, path.name))
    return events, origin, [list(checked_frames(kind, options, origin, path.name)) for kind in stream.frames]


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def shifted(events: Events, zero: int) -> np.ndarray:
    """N x 4 with times from `zero` (ns), as the manifest makes it: from integers."""
    array = events.to_array()
    array[:, 0] = (np.rint(array[:, 0] * 1e9).astype(np.int64) - zero) / 1e9
    return array


@every_sample
def test_every_sample_gives_the_events_that_were_put_into_it(sample):
    expected = entry(sample)["expected_events"]
    events, origin, _ = passed(FORMATS / "samples" / sample)
    assert (events.count, int(events.p.sum(dtype=int))) == (expected["count"], expected["sum_p"])
    for rows, wanted in ((slice(0, 3), expected["first3"]), (slice(-3, None), expected["last3"])):
        got = np.stack([events.x, events.y, events.p], 1, dtype=int)[rows]
        assert got.tolist() == [row[1:] for row in wanted]
    if sample in TOLERANT:
        first = expected["first_event_abs_ns"] / 1e9 - expected["origin_abs_ns"] / 1e9
        times = [float(row[0]) for row in expected["first3"] + expected["last3"]]
        assert np.abs(events.t[[0, 1, 2, -3, -2, -1]] - events.t[0] - (np.array(times) - times[0])).max() < 1e-6
        assert origin == 0 or abs(events.t[0] - first) < 1e-6
        return
    as_stored = expected.get("sha256_t_as_stored")
    first = round(events.t[0] * 1e9)
    assert first + origin == expected["first_event_abs_ns"] or sample == "aed/aed_float32.npy"
    if as_stored and digest(events.to_array()) == as_stored:
        return
    assert digest(shifted(events, first)) == expected["sha256_t_minus_first_event"]
    assert origin in (0, expected["origin_abs_ns"])


@every_sample
def test_every_sample_gives_its_sensor_or_takes_the_users(sample):
    width, height = entry(sample)["sensor_size_wh"]
    events, _, _ = passed(FORMATS / "samples" / sample)
    assert (events.width, events.height) == (width, height)
    told, _, _ = passed(FORMATS / "samples" / sample, ReadOptions(height=height, width=width))
    assert all(np.array_equal(a, b) for a, b in zip(events[:4], told[:4], strict=True))


@every_sample
def test_every_sample_gives_its_frames_at_their_times(sample):
    expected = entry(sample)["expected_frames"]
    _, _, kinds = passed(FORMATS / "samples" / sample)
    frames = kinds[0] if kinds else []
    assert len(frames) == expected["count"]
    if not frames or sample == "highrev":
        return
    tolerance = 500 if sample in TOLERANT or sample == "evreal_npy/slider_bag" else 0
    for frame, time in zip(frames, expected["times_abs_ns"], strict=True):
        assert abs(frame.time - time) <= tolerance
    in_bgr = expected["channel_order"].startswith("BGR")
    images = [frame.image[..., ::-1] if in_bgr else frame.image for frame in frames]
    assert [digest(image) for image in images] == expected["sha256_of_array_bytes"]


def test_blurred_and_sharp_frames_and_the_mosaic_come_apart():
    _, _, kinds = passed(FORMATS / "samples" / "efnet" / "gopro_raw.h5")
    sharp = [digest(frame.image[..., ::-1]) for frame in kinds[1]]
    assert sharp == entry("efnet/gopro_raw.h5")["expected_sharp_frames_sha256"]
    for bag in ("ced_lz4.bag", "ced_bz2.bag"):
        _, _, kinds = passed(FORMATS / "samples" / bag)
        assert [digest(f.image) for f in kinds[1]] == entry(bag)["expected_raw_mosaic_frames"]["sha256_of_array_bytes"]


@every_sample
def test_a_span_of_every_sample_is_what_lies_in_it(sample):
    path = FORMATS / "samples" / sample
    whole, _, _ = passed(path)
    start, end = float(whole.t[whole.count // 3]), float(whole.t[whole.count // 2])
    part, _, _ = passed(path, ReadOptions(t_start=start, t_end=end))
    expected = whole.between(start, end)
    assert all(np.array_equal(a, b) for a, b in zip(part[:4], expected[:4], strict=True)) and part.count > 10


def tree(path: Path) -> dict[str, tuple[int, int]]:
    paths = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in paths}


BAD = {
    "h5_truncated.h5": "truncated|damaged",
    "h5_missing_dataset.h5": "events/ps.*xs",
    "h5_length_mismatch.h5": "1999.*2000|2000.*1999",
    "h5_zero_events.h5": "no events",
    "h5_huge_shape.h5": "[TGE]i?B",
    "h5_u32_wrap.h5": "event 106.*goes back.*counter of 32 bits",
    "h5_int64_overflow.h5": "out of range",
    "h5_string_dtype.h5": "events/xs.*",
    "h5_float_coords.h5": "not a whole number",
    "h5_negative_coords.h5": "event 777: x = -3",
    "h5_outside_sensor.h5": "4 such events, x from 240 to 240",
    "h5_external_link.h5": "external|outside|another file",
    "h5_unknown_filter.h5": "36559|0x8ECF|ECF",
    "h5_is_text.h5": "web page",
    "efnet_voxels_only.h5": "voxels",
    "bag_cut.bag": "truncated|cut",
    "bag_unindexed.bag": "index",
    "bag_bad_count.bag": "900000000|count",
    "bag_frames_backwards.bag": "time goes back",
    "bag_packets_out_of_order.bag": "time goes back.*--sort",
    "evt3_no_time_high.raw": "time goes back.*(18|19) times",
    "raw_no_format.raw": "--format",
    "aedat4_cut.aedat4": "truncated",
    "txt_missing_column.txt": "line 1235 has 3 columns",
    "txt_nan_time.txt": r"line 51 \(event 50\): .*not a finite",
    "txt_inf_time.txt": r"line 51 \(event 50\): .*not a finite",
    "txt_backwards.txt": r"event 1000\): time goes back by .* s \(1 time.*--sort",
    "txt_polarity2.txt": "line 701 .*polarity is 2",
    "txt_polarity_mixed.txt": "ambiguous",
    "txt_negative.txt": "line 6 .*x = -1",
    "txt_float_coord.txt": "line 6 .*x = 12.5 is not a whole number",
    "txt_outside.txt": "line 11 .*x = 240 ",
    "txt_header_only.txt": "no events",
    "txt_empty.txt": "empty file",
    "txt_cut.txt": "last line, 2000, is cut",
    "txt_binary.txt": "not event text, and no other format",
    "txt_us_int.txt": "--time-unit us",
    "txt_sae_order.txt": "first column is not a rising time.*t x y p",
    "npy_pickle.npy": "never loaded",
    "npy_3cols.npy": r"\(2000, 3\), expected \(N, 4\)",
    "npy_transposed.npy": r"\(4, 2000\).*transpose",
    "npy_xytp.npy": "first column is not a rising time.*t x y p",
    "npy_nan.npy": "event 40: .*not a finite",
    "npy_complex.npy": "complex128",
    "npy_huge_shape.npy": "320 are there",
    "npy_cut.npy": "truncated",
    "zip_traversal.zip": "outside the archive",
    "zip_absolute.zip": "outside the archive",
    "zip_symlink.zip": "symbolic link",
    "zip_no_events.zip": "found readme.md",
    "zip_cut.zip": "damaged zip",
    "ijrr_bad_images": "images.txt: line 3: .*outside",
}


@pytest.mark.parametrize("name", BAD)
def test_broken_inputs_are_refused_as_wanted(name, capfd):
    before = tree(FORMATS / "bad")
    with pytest.raises(InputError) as caught:
        read(FORMATS / "bad" / name)
    message = str(caught.value)
    assert re.search(BAD[name], message) and message.startswith(name) and "\n" not in message
    assert capfd.readouterr() == ("", "") and tree(FORMATS / "bad") == before


READABLE = {
    "h5_ok_control.h5": (2000, "", {}),
    "bag_ok_control.bag": (2000, "", {}),
    "spaces and (brackets) 1.txt": (2000, "", {}),
    "txt_crlf.txt": (2000, "", {}),
    "txt_comma.txt": (2000, "", {}),
    "evt3_odd.raw": (None, "1 spare byte", {}),
    "dat_cut.dat": (None, "truncated|spare|cut", {}),
    "zip_bomb.zip": (6_000_000, "", {}),
    "h5_no_image_timestamp.h5": (2000, "timestamp", {}),
    "bag_no_such_topic.bag": (None, "/cam/events", {}),
    "bag_old_dvs_msgs.bag": (None, "dvs_msgs", {}),
    "txt_us_int.txt": (2000, "", {"time_unit": "us"}),
    "npy_structured.npy": (2000, "microseconds, as tonic", {}),
    "npy_xytp.npy": (2000, "", {"columns": "xytp"}),
    "txt_sae_order.txt": (2000, "", {"columns": "xytp"}),
    "h5_outside_sensor.h5": (1996, "4 events were", {"drop": True}),
    "h5_negative_coords.h5": (1999, "1 event was", {"drop": True}),
    "npy_nan.npy": (1999, "1 event was", {"drop": True}),
    "txt_polarity2.txt": (None, "", {"polarity": (0, 2)}),
    "bag_packets_out_of_order.bag": (None, "sorted", {"sort": True}),
    "txt_backwards.txt": (2000, "sorted", {"sort": True}),
}


@pytest.mark.parametrize("name", READABLE)
def test_awkward_inputs_are_read_and_it_is_said_how(name):
    count, said, options = READABLE[name]
    if name == "txt_polarity2.txt":
        with pytest.raises(InputError, match="polarity is 1, expected 0 or 2, as --polarity says"):
            read(FORMATS / "bad" / name, ReadOptions(**options))
        return
    recording = read(FORMATS / "bad" / name, ReadOptions(**options))
    assert count in (None, recording.events.count) and recording.events.count > 100
    assert not said or any(re.search(said, sentence) for sentence in recording.assumptions)


def test_every_entry_of_the_manifest_of_broken_files_is_here():
    listed = json.loads((FORMATS / "bad" / "manifest.json").read_text())["inputs"]
    names = {entry["path"] for entry in listed if not entry.get("make_in_test")}
    assert names <= {*BAD, *READABLE}
    assert names == set(os.listdir(FORMATS / "bad")) - {"manifest.json"}
