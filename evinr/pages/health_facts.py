"""What was seen of a recording, in words: facts, and what looks wrong with what would mend it."""

from datetime import UTC, datetime
from typing import NamedTuple

from converters.examine import Examination, FrameReport
from converters.frame_offset import REACH
from converters.health import coarser, long_gaps
from evinr import memory

LATE = 0.015
"""Seconds of offset between frames and events that half an exposure and a pixel's latency no longer explain."""
JOINED = 1.0
"""Seconds that no packet comes late."""
TOLD_APART = ("the sensor is ", "time 0 is ")
"""Assumptions that have facts of their own."""
WORST = 5
"""Hot pixels that are listed."""


class Fact(NamedTuple):
    """Something to know about a recording: a word, and lines of text."""

    label: str
    lines: tuple[str, ...]


def facts(seen: Examination) -> list[Fact]:
    """All that is to be told, in order."""
    size = seen.size
    told = [
        Fact("format", (seen.format,)),
        Fact("sensor", (f"{size.width} x {size.height} pixels (width x height), from {size.source}",)),
        Fact("clock", (_clock(seen),)),
        Fact("assumed", tuple(said for said in seen.assumptions if not said.startswith(TOLD_APART))),
        Fact("events", (_events(seen), _rate(seen))),
        Fact("polarity", (f"{seen.health.rising:.1%} of the events rise",)),
        Fact("time", _time(seen)),
        Fact("silences", _silences(seen)),
        Fact("pixels", _pixels(seen)),
    ]
    if seen.frames:
        told += [Fact("frames", _frames(seen, seen.frames)), Fact("offset", (_offset(seen.frames),))]
    return [*told, Fact("to fit", (_to_fit(seen),)), Fact("to convert", (_to_convert(seen),))]


def findings(seen: Examination) -> list[str]:
    """What looks wrong, one sentence each, and what would mend it; nothing where all looks sound."""
    return [
        *_of_time(seen),
        *_of_pixels(seen),
        *(_of_frames(seen, seen.frames) if seen.frames else []),
        *_of_memory(seen),
    ]


def _of_time(seen: Examination) -> list[str]:
    health, found = seen.health, []
    course, rising = health.course, health.rising
    if course.falls:
        mend = "pass --sort"
        if course.largest_fall > JOINED:
            mend = "a counter overflowed, or recordings were joined; --sort would lay their parts over each other"
        found.append(f"time goes back {_count(course.falls, 'time')}, by up to {span(course.largest_fall)}: {mend}")
    found += [
        f"{said}: see whether the recording exists in finer times" for said in seen.assumptions if "no finer" in said
    ]
    if course.duplicates > 1e-3 * health.events:
        share = course.duplicates / health.events
        found.append(f"{share:.1%} of the events are the one before once more: see whether data were written twice")
    if not health.seconds:
        found.append("all events have one time, so that there is nothing to fit: check the time column")
    elif (rate := health.events / health.seconds) > 2e9:
        found.append(f"{metric(rate)} events a second are more than cameras send: is --time-unit right?")
    elif rate < 1 and health.events > 100:
        found.append(f"an event in {1 / rate:.3g} s is less than cameras send: is --time-unit right?")
    if not 0.2 <= rising <= 0.8:
        found.append(
            f"only {min(rising, 1 - rising):.1%} of the events {'rise' if rising < 0.5 else 'fall'}: is --polarity right?"
        )
    if gaps := long_gaps(health):
        longest = gaps[0]
        found.append(
            f"no events for {span(longest.seconds)} after {longest.start:.6f} s, the longest of "
            f"{len(gaps)}{' or more' if len(gaps) == len(course.gaps) else ''} such silences: nothing moved, or data are lost"
        )
    return found


def _of_pixels(seen: Examination) -> list[str]:
    size, found = seen.size, []
    if seen.pixels is None:
        return [f"{size.width} x {size.height} is no sensor: pass the true --width and --height, and --drop"]
    counts = seen.pixels.counts.sum(0)
    hot = int(counts.reshape(-1)[seen.pixels.hot].sum()) / seen.health.events
    if hot > 0.01:
        found.append(
            f"{_count(len(seen.pixels.hot), 'hot pixel')} sent {hot:.0%} of the events; a fit gives such little weight"
        )
    rows, columns = counts.any(1).nonzero()[0], counts.any(0).nonzero()[0]
    if seen.health.events > 1000 and (rows[-1] + 1 < 0.75 * size.height or columns[-1] + 1 < 0.75 * size.width):
        found.append(
            f"no event has x above {columns[-1]} or y above {rows[-1]} on a sensor of {size.width} x {size.height}: "
            "are --width and --height right?"
        )
    if "largest coordinates" in size.source:
        found.append(
            f"no sensor is known that fits, so {size.width} x {size.height} is a guess: pass the true --width and --height"
        )
    return found


def _of_frames(seen: Examination, frames: FrameReport) -> list[str]:
    if frames.failure:
        return [f"the frames cannot be read: {frames.failure}"]
    if frames.health is None:
        return ["there are no frames in the span"]
    found, health, offset = [], frames.health, frames.offset
    if health.falls:
        found.append(f"the time of frames goes back {_count(health.falls, 'time')}: pass --sort")
    first, last = _seconds(seen, int(health.times.min())), _seconds(seen, int(health.times.max()))
    apart = max(0.1, 2 * health.interval)
    if last < seen.health.start - apart or first > seen.health.end + apart:
        side = "before the first event" if last < seen.health.start else "after the last event"
        found.append(f"all frames lie {side}: the clocks of frames and events are not one")
    if health.missing:
        found.append(f"{_count(health.missing, 'frame')} of {len(health.times) + health.missing} are missing")
    if offset.inverted and offset.correlation is not None and -offset.correlation.min() > 0.3:
        found.append("events rise where the frames get darker: exchange the numbers of --polarity")
    if offset.seconds is not None and abs(offset.seconds) > LATE:
        found.append(
            f"frames and events are {span(abs(offset.seconds))} apart: shift the frames' times by {_signed(offset.seconds)}"
        )
    return found


def _of_memory(seen: Examination) -> list[str]:
    needed, there = memory.PROGRAM + _needed(seen), memory.there()
    if seen.pixels is None or there is None or needed < 0.9 * there:
        return []
    return [
        f"a fit needs {data(needed)} of memory, and this machine has {data(float(there))}: pass --batch 1 or --intervals 16"
    ]


def _needed(seen: Examination) -> float:
    return memory.to_fit(seen.health.events, seen.health.seconds, *seen.size[:2])


def _clock(seen: Examination) -> str:
    absolute = seen.origin + seen.zero
    said = f"0 s is {absolute} ns of the file's clock" if seen.origin else "seconds of the file's clock"
    said += f", {seen.zero} ns of which its writer subtracted" if seen.zero else ""
    # 2000 to 2100
    if 946_684_800 * 10**9 <= absolute < 4_102_444_800 * 10**9:
        date = datetime.fromtimestamp(absolute // 10**9, UTC)
        said += f"; as Unix time, {date:%Y-%m-%d %H:%M:%S} UTC"
    return said


def _events(seen: Examination) -> str:
    health = seen.health
    return f"{health.events:,} in {span(health.seconds)}, from {health.start:.6f} to {health.end:.6f} s"


def _rate(seen: Examination) -> str:
    health = seen.health
    if not health.seconds:
        return "all at one time"
    rate = coarser(health.rate, 256)
    mean, peak = health.events / health.seconds, float(rate.counts.sum(0).max()) / min(rate.width, health.seconds)
    return f"{metric(mean)} a second on average, {metric(max(peak, mean))} at most (over {span(rate.width)})"


def _time(seen: Examination) -> tuple[str, ...]:
    course, events = seen.health.course, seen.health.events
    back = "never goes back"
    if course.falls:
        times = _count(course.falls, "time")
        back = f"goes back {times}, by up to {span(course.largest_fall)}, first to {course.first_fall:.6f} s"
    same = f"{course.same_time:,} events ({course.same_time / events:.1%}) have the time of the one before"
    equal = f"{course.duplicates:,} are equal to it" if course.duplicates else "none is equal to it"
    finest = f"steps are no finer than {span(course.finest)}" if course.finest < float("inf") else "there is no step"
    return back, f"{same}; {equal}", finest


def _silences(seen: Examination) -> tuple[str, ...]:
    gaps = long_gaps(seen.health)
    if gaps:
        return tuple(f"{span(gap.seconds)} from {gap.start:.6f} s" for gap in gaps)
    longest = seen.health.course.gaps[:1]
    return tuple(f"none is long; the longest takes {span(gap.seconds)}, from {gap.start:.6f} s" for gap in longest) or (
        "none",
    )


def _pixels(seen: Examination) -> tuple[str, ...]:
    if seen.pixels is None:
        return ("too many to be counted",)
    counts = seen.pixels.counts.sum(0)
    never = float((counts == 0).mean())
    lines = [f"{never:.1%} never fired, the busiest {int(counts.max()):,} times"]
    hot, width = seen.pixels.hot, seen.size.width
    if not len(hot):
        return (*lines, "none is hot")
    flat = counts.reshape(-1)
    lines.append(
        f"{len(hot):,} {'is' if len(hot) == 1 else 'are'} hot, with {flat[hot].sum() / seen.health.events:.1%} of the events"
    )
    seconds = seen.health.seconds or 1.0
    lines += [
        f"x {index % width}, y {index // width}: {int(flat[index]):,} events, {metric(flat[index] / seconds)} a second"
        for index in hot[:WORST].tolist()
    ]
    return (*lines, f"and {len(hot) - WORST:,} more") if len(hot) > WORST else tuple(lines)


def _frames(seen: Examination, frames: FrameReport) -> tuple[str, ...]:
    also = (f"besides: {', '.join(frames.others)}",) if frames.others else ()
    if frames.health is None:
        return (frames.failure or "none in the span", *also)
    health, events = frames.health, seen.health
    first, last = _seconds(seen, int(health.times.min())), _seconds(seen, int(health.times.max()))
    height, width = health.shape[:2]
    lines = [f"{_count(len(health.times), 'frame')} of {width} x {height}, {health.layout}, {health.dtype}"]
    pace = f", one in {span(health.interval)} ({1 / health.interval:.3g} a second)" if health.interval else ""
    lines.append(f"from {first:.6f} to {last:.6f} s{pace}")
    lines.append(
        f"they {_relative('begin', first - events.start, 'first')} and {_relative('end', last - events.end, 'last')}"
    )
    if health.missing:
        lines.append(f"{health.missing} missing, by longer intervals")
    if health.exposure is not None:
        lines.append(f"exposed for {span(health.exposure)} on average")
    return (*lines, *also)


def _relative(verb: str, seconds: float, event: str) -> str:
    return f"{verb} {span(abs(seconds))} {'before' if seconds < 0 else 'after'} the {event} event"


def _offset(frames: FrameReport) -> str:
    offset = frames.offset
    if offset.seconds is None:
        return f"of frames to events not measurable: {offset.reason}"
    within = "as exposure and latency may explain" if abs(offset.seconds) <= LATE else f"looked for within {REACH} ms"
    best = 0.0 if offset.correlation is None else float(abs(offset.correlation).max())
    return (
        f"frames match the events best with {_signed(offset.seconds)} added to their times, +- {1e3 * offset.error:.1f} ms "
        f"(correlation {best:.2f}, {offset.pairs} pairs of frames): {within}"
    )


def _to_fit(seen: Examination) -> str:
    return (
        f"about {data(_needed(seen))} of memory with default settings, beside {data(memory.PROGRAM)} of Python and JAX"
    )


def _to_convert(seen: Examination) -> str:
    return f"{data(32.0 * seen.health.events)} of disk for the events (--to npy), and less than 0.5 GB of memory"


def _seconds(seen: Examination, time: int) -> float:
    return (time - seen.origin) / 1e9


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _signed(seconds: float) -> str:
    return f"{1e3 * seconds:+.0f} ms"


def span(seconds: float) -> str:
    """A duration with three digits: `1.23 ms`."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if abs(seconds) * factor >= 0.9995:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 999.5 else f"{seconds * factor:,.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def metric(number: float) -> str:
    """A number with three digits: `1.23 M`."""
    for factor, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * factor:
            return f"{number / factor:.3g}{prefix}"
    return f"{number:.3g}"


def data(size: float) -> str:
    """An amount of data with two digits: `1.2 GB`."""
    for factor, prefix in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= 0.995 * factor:
            return f"{size / factor:.2g} {prefix}" if size < 99.5 * factor else f"{size / factor:.0f} {prefix}"
    return f"{size:.0f} bytes"
