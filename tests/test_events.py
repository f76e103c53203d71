"""Laws of the events record and of the checks at its door."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.checks import events_from_blocks, events_from_columns
from converters.options import AS_STORED, ReadOptions
from converters.sensors import KNOWN_SENSORS, infer_size
from converters.stream import Columns
from evinr.events import InputError

HEIGHT, WIDTH = 5, 9
SENSOR = ReadOptions(height=HEIGHT, width=WIDTH)
NONE = np.empty(0)
SECONDS = st.floats(-1e3, 1e3).map(lambda t: round(t, 6) + 0.0)


def columns_of(rows: list[tuple[float, ...]]) -> Columns:
    t, x, y, p = (np.array(column) for column in zip(*rows, strict=True))
    return Columns(t, x, y, p)


def rows(times=SECONDS):
    event = st.tuples(times, st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.sampled_from([-1, 1]))
    return st.lists(event, min_size=1, max_size=30)


any_order = rows().map(columns_of)
sound = rows().map(sorted).map(columns_of)
whatever = st.lists(
    st.tuples(
        st.one_of(SECONDS, st.sampled_from([math.nan, math.inf, 1e300])),
        *[st.sampled_from([0.0, 1.0, 2.0, 8.0, -1.0, 0.5, 9.0, 7e4, math.nan])] * 2,
        st.sampled_from([-1.0, 0.0, 1.0, 2.0, math.nan]),
    ),
    min_size=1,
    max_size=8,
).map(columns_of)


def answer(blocks: list[Columns], options: ReadOptions):
    try:
        events, assumptions, _ = events_from_blocks(blocks, options)
    except InputError as error:
        return str(error)
    return [column.tolist() for column in events[:4]], events[4:], assumptions


def refusal(columns: Columns, options: ReadOptions = SENSOR) -> str:
    with pytest.raises(InputError) as caught:
        events_from_blocks([columns], options)
    return str(caught.value)


@given(sound)
def test_sound_columns_come_through_unchanged(columns):
    events = events_from_columns(*columns[:4], height=HEIGHT, width=WIDTH)
    assert events.to_array().tolist() == np.stack(columns[:4], axis=1).tolist()
    assert [column.dtype for column in events[:4]] == [np.float64, np.uint16, np.uint16, np.int8]
    assert (events.height, events.width, events.count) == (HEIGHT, WIDTH, len(columns.t))


@given(st.one_of(whatever, any_order), st.data(), st.booleans())
def test_blocks_are_the_same_as_the_whole(columns, data, sort):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(columns.t)), max_size=3)))
    blocks = [
        Columns(*(column[a:b] for column in columns[:4]), first=a) for a, b in pairwise([0, *cuts, len(columns.t)])
    ]
    options = replace(SENSOR, sort=sort)
    assert answer(blocks, options) == answer([columns], options)


@given(whatever, st.booleans())
def test_what_passes_is_sound_and_what_does_not_is_one_line(columns, sort):
    result = answer([columns], replace(SENSOR, sort=sort))
    if isinstance(result, str):
        assert result.startswith("events: ") and "\n" not in result
        return
    (t, x, y, p), _, _ = result
    assert len(t) == len(columns.t) and np.isfinite(t).all() and (np.diff(t) >= 0).all()
    assert set(x) <= set(range(WIDTH)) and set(y) <= set(range(HEIGHT)) and set(p) <= {-1, 1}


@given(any_order)
def test_falling_time_is_refused_or_sorted_stably(columns):
    steps = np.diff(columns.t)
    falls = np.flatnonzero(steps < 0)
    expected = sorted(zip(*(column.tolist() for column in columns[:4]), strict=True), key=lambda event: event[0])
    events, assumptions, _ = events_from_blocks([columns], replace(SENSOR, sort=True))
    assert events.to_array().tolist() == [list(event) for event in expected]
    assert any("sorted" in sentence for sentence in assumptions) == bool(len(falls))
    if len(falls):
        message = refusal(columns)
        assert f"event {falls[0] + 1}" in message and f"{len(falls)} time" in message and "--sort" in message
        assert f"up to {-steps.min():g} s" in message


@given(sound, st.sampled_from([np.bool_, np.uint8, np.int64, np.float32]))
def test_polarity_zero_is_negative(columns, dtype):
    expected = events_from_columns(*columns[:4], height=HEIGHT, width=WIDTH)
    events, assumptions, _ = events_from_blocks([columns._replace(p=(columns.p > 0).astype(dtype))], SENSOR)
    assert events.to_array().tolist() == expected.to_array().tolist()
    assert any("0/1" in sentence for sentence in assumptions) == bool((columns.p < 0).any())


@given(sound, st.data(), st.sampled_from([2, -2, 0.5, 256, 257, math.nan]))
def test_other_polarity_is_refused_at_its_place(columns, data, value):
    event = data.draw(st.integers(0, len(columns.t) - 1))
    p = columns.p.astype(float)
    p[event] = value
    assert f"event {event}: polarity is {value:g}," in refusal(columns._replace(p=p))


def test_polarities_of_both_codings_are_ambiguous():
    message = refusal(Columns(np.arange(3.0), np.zeros(3), np.zeros(3), np.array([1, -1, 0])))
    assert "event 2" in message and "event 1" in message and "ambiguous" in message


@given(sound, st.data(), st.sampled_from("xy"), st.sampled_from([-1, 0.5, 65536, 70000, math.nan, math.inf, -math.inf]))
def test_a_coordinate_outside_is_refused_at_its_place(columns, data, axis, value):
    event = data.draw(st.integers(0, len(columns.t) - 1))
    moved = getattr(columns, axis).astype(float)
    moved[event] = value
    for options in (SENSOR, AS_STORED):
        assert f"event {event}: {axis} = {value:g} is " in refusal(columns._replace(**{axis: moved}), options)


@pytest.mark.parametrize("axis, side", [("x", WIDTH), ("y", HEIGHT)])
def test_the_sensor_ends_where_its_size_says(axis, side):
    columns = Columns(np.zeros(2), np.zeros(2, int), np.zeros(2, int), np.ones(2))
    events_from_blocks([columns._replace(**{axis: np.array([0, side - 1])})], SENSOR)
    message = refusal(columns._replace(**{axis: np.array([0, side])}))
    assert f"{axis} from 0 to {side - 1}" in message and "1 such event," in message


def test_exchanged_height_and_width_are_recognised():
    columns = Columns(np.zeros(1), np.array([WIDTH - 1]), np.array([0]), np.ones(1))
    assert "swapped" in refusal(columns, ReadOptions(height=WIDTH, width=HEIGHT))
    assert "swapped" not in refusal(columns._replace(x=np.array([WIDTH])), ReadOptions(height=WIDTH, width=HEIGHT))


def test_the_first_wrong_event_is_the_one_named():
    late = Columns(np.array([0.0, 1, 2, 1, 4, 5]), np.array([0, 0, 0, 0, 99, 0]), np.zeros(6), np.ones(6))
    early = late._replace(x=np.array([0, 99, 0, 0, 0, 0]))
    assert "event 3: time goes back" in refusal(late) and "event 1: x = 99" in refusal(early)


def test_columns_out_of_order_are_recognised_before_their_values():
    x = np.array([96, 127, 4, 149, 63, 17])
    assert "t x y p" in refusal(Columns(x, x, np.linspace(0, 0.1, 6), np.ones(6)))


@given(rows(st.integers(-(10**9), 10**9)).map(sorted).map(columns_of), st.sampled_from(["ms", "us", "ns"]))
def test_whole_times_are_divided_once(columns, unit):
    ticks = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    events, _, _ = events_from_blocks([columns], replace(SENSOR, time_unit=unit))
    assert events.t.tolist() == [t / ticks for t in columns.t.tolist()]


@pytest.mark.parametrize("times, refused", [([0, 10_001], True), ([0, 10_000], False), ([0, 10_000.5], False)])
def test_whole_times_over_a_long_span_are_no_seconds(times, refused):
    columns = Columns(np.array(times), np.zeros(2), np.zeros(2), np.ones(2))
    if refused:
        assert "--time-unit us" in refusal(columns)
    else:
        assert events_from_blocks([columns], SENSOR).events.count == 2


@given(sound, SECONDS, SECONDS)
def test_a_span_keeps_what_between_keeps(columns, one, other):
    start, end = min(one, other), max(one, other)
    whole = events_from_columns(*columns[:4], height=HEIGHT, width=WIDTH)
    inside = (columns.t >= start) & (columns.t <= end)
    expected = whole.to_array()[inside].tolist()
    assert whole.between(start, end).to_array().tolist() == expected
    options = replace(SENSOR, t_start=start, t_end=end)
    if expected:
        assert events_from_blocks([columns], options).events.to_array().tolist() == expected
    else:
        assert f"from {columns.t[0]:.9g} to {columns.t[-1]:.9g} s" in refusal(columns, options)


@pytest.mark.parametrize("blocks", [[], [Columns(NONE, NONE, NONE, NONE)]])
def test_no_events_are_refused(blocks):
    with pytest.raises(InputError, match="no events"):
        events_from_blocks(blocks)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_an_inferred_sensor_holds_its_coordinates(x_max, y_max):
    height, width, source = infer_size(x_max, y_max)
    assert x_max < width and y_max < height and "guess" in source
    known = (width, height) in [sensor[:2] for sensor in KNOWN_SENSORS]
    reached = 10 * x_max >= 9 * width and 10 * y_max >= 9 * height
    assert reached if known else (width, height) == (x_max + 1, y_max + 1)


@pytest.mark.parametrize("width, height, model", KNOWN_SENSORS)
def test_known_sensors_are_recognised(width, height, model):
    for x_max, y_max in ((width - 1, height - 1), (math.ceil(0.9 * width), math.ceil(0.9 * height))):
        assert infer_size(x_max, y_max)[:2] == (height, width)
    if width != height:
        turned = infer_size(height - 1, width - 1)
        assert turned[:2] == (width, height) and model in turned.source and "exchanged" in turned.source


def test_the_columns_given_are_neither_written_to_nor_kept():
    columns = Columns(np.array([1.0, 0.0]), np.array([1, 2]), np.array([1, 2]), np.array([0, 1]))
    for column in columns[:4]:
        column.setflags(write=False)
    events = events_from_blocks([columns], replace(SENSOR, sort=True)).events
    assert not any(np.shares_memory(kept, given) for kept, given in zip(events[:4], columns[:4], strict=True))


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"height": 5}, "--width"),
        ({"width": 5}, "--height"),
        ({"height": 0, "width": 5}, "65536"),
        ({"height": 5, "width": 65537}, "65536"),
        ({"t_start": 2.0, "t_end": 1.0}, "--t-end"),
        ({"t_start": math.nan}, "--t-start"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong, named):
    with pytest.raises(InputError, match=named):
        ReadOptions(**wrong)


def test_messages_are_one_line():
    assert str(InputError("a\nb\r\nc")) == "a b c"
