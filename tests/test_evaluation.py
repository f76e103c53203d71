"""Which frames are scored, as which pictures, and what their scores come to, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from evinr.cuts import Cut
from evinr.evaluation import evaluate, pool
from evinr.events import Events, InputError
from evinr.matching import alone, choose
from evinr.prediction import Prediction, Truth, shifted
from evinr.protocols import ALIGNED, EVREAL_2023, EVREAL_2024, LEGACY_ETNET, PROTOCOLS, Protocol
from evinr.reconstruction import Span
from evinr.scores import METRICS, Evaluation, Mean

OF_PICTURES = {name: protocol for name, protocol in PROTOCOLS.items() if not protocol.light}
"""That of light is in test_high_range.py."""
ROWS, COLUMNS = np.mgrid[:24.0, :32.0]
TIMES = np.array([0.0, 0.1, 0.2, 0.3])


def scene(time: float) -> np.ndarray:
    """A picture in (0, 1) that moves."""
    return 0.5 + 0.4 * np.sin(0.5 * COLUMNS + 9 * time) * np.cos(0.3 * ROWS)


TRUTH = Truth(TIMES, np.stack([np.rint(255 * scene(t)) for t in TIMES]).astype(np.uint8), 0.0)
IMAGES = TRUTH.images.astype(np.float32) / 255  # pyright: ignore[reportOptionalMemberAccess]


def guess(time: float) -> np.ndarray:
    """Log intensity that is near the scene's, in a scale of its own."""
    return 3 * np.log(scene(time)) - 7 + 0.3 * np.sin(COLUMNS * ROWS)


def continuous(start: float = 0.0, end: float = 0.3) -> Prediction:
    return Prediction("log", Span(start, end), None, lambda times: np.stack([guess(t) for t in times]))


def pictures(frames: np.ndarray, times: np.ndarray = TIMES) -> Prediction:
    at = lambda asked: frames[np.searchsorted(times, asked)]  # noqa: E731
    return Prediction("picture", Span(float(times[0]), float(times[-1])), times, at)


def events() -> Events:
    t = np.linspace(0, 0.3, 3000)
    x, y = (np.arange(3000) * 7 % 32).astype(np.uint16), (np.arange(3000) * 5 % 24).astype(np.uint16)
    return Events(t, x, y, np.where(np.arange(3000) % 3, 1, -1).astype(np.int8), 24, 32)


def stretched(log_intensity: np.ndarray) -> np.ndarray:
    """exprobust, by hand: exp, and the 1st to 99th percentile of each picture to 0 to 1."""
    result = []
    for frame in np.exp(log_intensity.astype(np.float32)):
        black, white = np.percentile(frame, [1, 99])
        result.append(np.clip((frame - black) / (white - black), 0, 1))
    return np.stack(result).astype(np.float32)


def expected(protocol: Protocol) -> dict[str, float]:
    """MSE and SSIM under a protocol, written out for it."""
    log_intensity = np.stack([guess(t) for t in TIMES]).astype(np.float32)
    shown = stretched(log_intensity)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    match protocol.name:
        case "evreal-2023":
            settings["data_range"] = 2.0
        case "legacy-etnet":
            settings = {"data_range": 2.0}
        case "aligned":
            settings = settings | {}
            ones = np.stack([log_intensity.ravel().astype(float), np.ones(log_intensity.size)], axis=1)
            (factor, constant), *_ = np.linalg.lstsq(ones, np.log(IMAGES.ravel().astype(float) + 0.05), rcond=None)
            shown = np.clip(np.exp(factor * log_intensity + constant) - 0.05, 0, 1).astype(np.float32)
    ssim = [structural_similarity(a, b, **settings) for a, b in zip(IMAGES, shown, strict=True)]  # pyright: ignore[reportArgumentType]
    return {"mse": float(np.square(shown - IMAGES).mean()), protocol.ssim: float(np.mean(ssim))}


@pytest.mark.parametrize("name", OF_PICTURES)
def test_each_protocol_gives_the_numbers_written_out_for_it(name: str):
    protocol = PROTOCOLS[name]
    means = evaluate(continuous(), TRUTH, None, protocol).means
    for metric, number in expected(protocol).items():
        assert means[metric].value == pytest.approx(number, abs=1e-6)


def value(mean: Mean) -> float:
    assert mean.value is not None
    return mean.value


def test_protocols_differ_as_they_say():
    values = {name: evaluate(continuous(), TRUTH, None, protocol).means for name, protocol in OF_PICTURES.items()}
    assert value(values["evreal-2023"]["ssim_legacy"]) > value(values["evreal-2024"]["ssim"])
    assert value(values["aligned"]["mse"]) < value(values["evreal-2024"]["mse"])
    assert {EVREAL_2024.averaging, LEGACY_ETNET.averaging} == {"frames", "sequences"}
    assert EVREAL_2023 == replace(EVREAL_2024, name="evreal-2023", source=EVREAL_2023.source, ssim="ssim_legacy")


def test_a_continuous_prediction_is_asked_at_the_frames_own_times():
    asked = []
    prediction = continuous()._replace(at=lambda times: (asked.extend(times), np.stack([guess(t) for t in times]))[1])
    evaluate(prediction, TRUTH, None, ALIGNED)
    assert asked == TIMES.tolist()


def test_a_perfect_picture_has_perfect_scores_but_no_mean_of_what_is_infinite():
    result = evaluate(pictures(IMAGES), TRUTH, None, EVREAL_2024)
    assert result.means["mse"].value == 0 and result.means["ssim"].value == pytest.approx(1)
    assert result.means["corr"].value == pytest.approx(1)
    assert result.means["psnr"].value is None
    assert any("PSNR" in note and "4 of 4" in note for note in result.notes)


def test_cuts_count_both_ends_from_the_start():
    late = TRUTH._replace(times=TIMES + 5, start=4.9)
    prediction = continuous(4, 6)
    cut = Cut("a set", 0.2, 0.3)
    result = evaluate(prediction, late, None, EVREAL_2024, cut=cut)
    np.testing.assert_allclose(result.times, [5.1, 5.2])
    assert any("a set" in note and "2 of 4" in note for note in result.notes)
    # The last frame of the recording, at 0.4 s, has no window of events at EVREAL; it counts under our own protocol.
    to_the_end = Cut("a set", 0.3, np.inf)
    np.testing.assert_allclose(evaluate(prediction, late, None, EVREAL_2024, cut=to_the_end).times, [5.2])
    np.testing.assert_allclose(evaluate(prediction, late, None, ALIGNED, cut=to_the_end).times, [5.2, 5.3])
    with pytest.raises(InputError, match="none of the 4 frames .* lies in the cut of a set, 2 to 3 s.*--whole"):
        evaluate(prediction, late, None, EVREAL_2024, cut=Cut("a set", 2, 3))


def test_the_nearest_prediction_counts_if_it_is_near_enough():
    """0.1 s has one 1 ms away, which still counts; 0.2 s has one 1.1 ms away, which does not."""
    times = np.array([0.0, 0.05, 0.101, 0.2011, 0.2995, 0.3004])
    chosen = choose(pictures(np.zeros((6, 24, 32)), times), TRUTH, EVREAL_2024, None)
    np.testing.assert_array_equal(chosen.scored, [0, 1, 3])
    np.testing.assert_array_equal(chosen.times, [0.0, 0.101, 0.3004])
    assert "1 of 4 frames have no prediction within 1 ms, the first at 0.200000 s" in chosen.notes[0]


def test_frames_without_a_prediction_have_no_score_and_are_counted():
    result = evaluate(continuous(0.05, 0.3), TRUTH, None, EVREAL_2024)
    np.testing.assert_array_equal(result.scored, [False, True, True, True])
    assert np.isnan(result.frames["mse"][0]) and np.isfinite(result.frames["mse"][1:]).all()
    assert result.means["mse"].value == pytest.approx(result.frames["mse"][1:].mean())
    assert any("1 of 4 frames lie outside the fitted span" in note for note in result.notes)


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (
            continuous(10, 11),
            r"no frame can be scored: the frames go from 0\.0+ to 0\.3.* predictions from 10\.0.*--offset",
        ),
        (pictures(IMAGES, TIMES + 0.02), "all 4 have no prediction within 1 ms"),
        (pictures(IMAGES[:, :20]), "predictions are 32 x 20, the frames 32 x 24"),
        (
            pictures(np.where(np.arange(4)[:, None, None] == 2, np.nan, IMAGES)),
            "at 0.200000 s has .* not finite .1 of 4",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused(prediction: Prediction, message: str):
    with pytest.raises(InputError, match=message):
        evaluate(prediction, TRUTH, None, EVREAL_2024)


def test_one_frame_is_scored_without_an_interval_and_without_what_needs_two():
    one = Truth(TIMES[:1], TRUTH.images[:1], 0.0)  # pyright: ignore[reportOptionalSubscript]
    result = evaluate(continuous(), one, events(), EVREAL_2024)
    assert result.means["mse"].value is not None and result.means["mse"].low is None
    assert not {"temporal", "replay"} & set(result.means)


def test_a_score_that_is_undefined_takes_its_mean_with_it():
    """A black prediction has no correlation; the mean of the other frames would hide it."""
    frames = IMAGES.copy()
    frames[1] = 0
    result = evaluate(pictures(frames), TRUTH, None, EVREAL_2024)
    assert result.means["corr"].value is None and result.means["mse"].value is not None
    assert any("corr" in note and "1 of 4" in note for note in result.notes)


def test_without_pictures_what_needs_none_is_scored():
    look = alone([continuous(0.0, 0.3), continuous(0.1, 0.4)])
    assert (look.times[0], look.times[-1], len(look.times)) == (0.1, 0.3, 51)
    result = evaluate(continuous(), look, events(), EVREAL_2024)
    assert set(result.means) == {"replay", "sharpness"}
    assert any("no frames to compare with" in note for note in result.notes)
    with pytest.raises(InputError, match="neither frames nor events"):
        evaluate(continuous(), look, None, EVREAL_2024)
    with pytest.raises(InputError, match="no time in common"):
        alone([continuous(0, 0.1), continuous(0.2, 0.3)])
    fixed = alone([continuous(0.05, 0.25), pictures(IMAGES)])
    np.testing.assert_array_equal(fixed.times, [0.1, 0.2])


@pytest.mark.parametrize(
    ("useless", "why"),
    [
        (events()._replace(height=48), "the sensor is 32 x 48, the predictions 32 x 24"),
        (events()._replace(t=np.linspace(7, 8, 3000)), "there are no events from 0.000000 to 0.300000 s"),
    ],
)
def test_events_that_cannot_be_compared_with_are_said_to_be_so(useless: Events, why: str):
    result = evaluate(continuous(), TRUTH, useless, EVREAL_2024)
    assert "mse" in result.means and not {"replay", "sharpness"} & set(result.means)
    assert any(why in note for note in result.notes)


def test_equalisation_is_done_to_both():
    equal = replace(EVREAL_2024, equalisation="global")
    darker = evaluate(pictures(IMAGES**3), TRUTH, None, equal)
    assert darker.means["mse"].value == pytest.approx(0, abs=1e-4)
    assert value(evaluate(pictures(IMAGES**3), TRUTH, None, EVREAL_2024).means["mse"]) > 0.01


def test_the_normalisation_can_be_replaced():
    said = evaluate(pictures(0.5 * IMAGES), TRUTH, None, EVREAL_2024, normalisation="standard")
    assert value(said.means["mse"]) < 0.02
    assert value(evaluate(pictures(0.5 * IMAGES), TRUTH, None, EVREAL_2024).means["mse"]) > 0.05
    assert any("standard" in note for note in said.notes)


def scored(count: int, value: float | None) -> Evaluation:
    frames = np.full(count, np.nan if value is None else value)
    return Evaluation(EVREAL_2024, np.arange(count, dtype=float), np.ones(count, bool), {"mse": frames},
                      {"mse": Mean(value, None, None)}, ())  # fmt: skip


def test_datasets_are_averaged_as_the_protocol_says():
    parts = [scored(10, 0.1), scored(30, 0.3)]
    assert pool(parts, EVREAL_2024)["mse"].value == pytest.approx(0.25)
    assert pool(parts, LEGACY_ETNET)["mse"].value == pytest.approx(0.2)
    assert pool([*parts, scored(5, None)], EVREAL_2024)["mse"].value is None
    assert set(pool(parts, EVREAL_2024)) <= set(METRICS)


def test_shifting_moves_every_time():
    moved = shifted(pictures(IMAGES), 2.0)
    assert moved.times is not None and moved.span == Span(2.0, 2.3)
    np.testing.assert_array_equal(moved.at(moved.times[1:3]), IMAGES[1:3])
    there = shifted(continuous(), 0.1)
    np.testing.assert_allclose(there.at(np.array([0.1, 0.4])), np.stack([guess(0.0), guess(0.3)]), atol=1e-9)
