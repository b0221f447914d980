"""Signals at the limits of numbers, through features, quality and model: a row is right,
or it is marked invalid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fixtures import untrained_model
from numpy.typing import NDArray
from tests.reliability.signals import OTHER_RATES, SPEC, SPEC_RATES, features, simulated

from emodict.engine import Engine, open_engine
from emodict.features import extract_features
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows, concatenate, ready_made_rows
from emodict.live.pipeline import LivePipeline
from emodict.live.source import Chunk, Connected, LiveStream
from emodict.predict.scoring import score
from emodict.recording.recording import FaceVideo, Recording, Signal
from emodict_desk.tables.table import FeatureTable, read_table, write_table

Array = NDArray[np.float64]
SECONDS = 8
LARGEST = float(np.finfo(np.float64).max)


def alternating(high: float, low: float) -> Callable[[Array], Array]:
    return lambda x: np.where(np.arange(len(x))[:, None] % 2, low, high) * np.ones_like(x)


def one_in_each_second(x: Array) -> NDArray[np.bool_]:
    return np.broadcast_to(np.arange(len(x))[:, None] % max(1, len(x) // SECONDS) == 0, x.shape)


# What becomes of each modality: in which it is still a signal. The others have not one valid row.
SPOILED: dict[str, tuple[Callable[[Array], Array], set[str]]] = {
    "all zero": (np.zeros_like, {"video"}),
    "constant": (lambda x: np.full_like(x, 3.0), {"video"}),
    "least subnormal": (lambda x: np.sign(x) * 5e-324, {"video"}),
    # The squares of EEG this small are 0; the statistics of the pulse have none but its deviation.
    "float64 subnormal": (lambda x: x * 1e-310, {"ppg", "video"}),
    # Within every range but that of skin conductance, and EEG's logarithm takes any size.
    "float32 subnormal": (lambda x: x * 1e-40, {"eeg", "ppg", "video"}),
    "squares subnormal": (lambda x: x * 1e-160, {"eeg", "ppg", "video"}),
    "1e30 throughout": (lambda x: np.full_like(x, 1e30), set()),
    "1e30 times as large": (lambda x: x * 1e30, set()),
    "float32's largest": (lambda x: np.full_like(x, 3.4e38), set()),
    "float64's largest": (lambda x: np.where(x < 0, -LARGEST, LARGEST), set()),
    "alternating at float64's largest": (alternating(LARGEST, -LARGEST), set()),
    "infinite": (lambda x: np.full_like(x, np.inf), set()),
    "minus infinite": (lambda x: np.full_like(x, -np.inf), set()),
    "alternating infinities": (alternating(np.inf, -np.inf), set()),
    "NaN": (lambda x: np.full_like(x, np.nan), set()),
    "clipped": (lambda x: np.clip(x, -0.1, 0.1), {"video"}),
    "one sample missing in each second": (
        lambda x: np.where(one_in_each_second(x), np.nan, x),
        set(),
    ),
    "all but one missing in each second": (
        lambda x: np.where(one_in_each_second(x), x, np.nan),
        {"video"},
    ),
}

# Resampling rounds the corners of noise that is clipped,
# which then is not at its rails for most of the time.
USABLE_AT_OTHER_RATES = {"clipped": {"eeg", "ppg", "video"}}
# What resampling makes of the least number there is, is a few times that number: whether a pulse of
# these is at its rails, rounding decides, and with it the processor.
EITHER_AT_OTHER_RATES = {"least subnormal": {"ppg"}}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("limits") / "model.onnx"
    with open_engine(untrained_model(path, SPEC.modality_names)) as opened:
        yield opened


def assert_honest(rows: FeatureWindows, engine: Engine) -> None:
    """Numbers where valid, NaN and quality 0 where not,
    and a distribution wherever there is an answer.
    """
    for column, name in enumerate(SPEC.modality_names):
        valid, part = rows.valid[:, column], rows.tokens[:, SPEC.token_slices[name]]
        assert (np.abs(part[valid]) <= 1e12).all()
        assert np.isnan(part[~valid]).all()
        assert (rows.quality[~valid, column] == 0).all()
        assert ((rows.quality >= 0) & (rows.quality <= 1)).all()
    prediction = score(engine, rows, session="limits")
    np.testing.assert_array_equal(prediction.answered, rows.valid.any(axis=1))
    answers = prediction.distribution[prediction.answered]
    assert (answers >= 0).all()
    # Ten shares of 24 bits each.
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-6)
    assert np.isfinite(prediction.weights[prediction.answered]).all()


@pytest.mark.parametrize(
    "rates", [SPEC_RATES, OTHER_RATES], ids=["the spec's rates", "other rates"]
)
@pytest.mark.parametrize("what", SPOILED)
def test_a_signal_at_the_limits_is_a_number_or_invalid(
    what: str, rates: dict[str, float], engine: Engine
) -> None:
    spoil, usable = SPOILED[what]
    either: set[str] = set()
    if rates is OTHER_RATES:
        usable = USABLE_AT_OTHER_RATES.get(what, usable)
        either = EITHER_AT_OTHER_RATES.get(what, either)
    rows = features({name: spoil(x) for name, x in simulated(SECONDS, rates).items()}, rates)
    assert_honest(rows, engine)
    valid = {
        name
        for name, any_valid in zip(SPEC.modality_names, rows.valid.any(axis=0), strict=True)
        if any_valid
    }
    assert valid - either == usable - either


@pytest.mark.parametrize("spec_id", ["dmer-2024", "dmer-sample"])
@pytest.mark.parametrize(
    "what",
    ["float32 subnormal", "alternating at float64's largest", "all but one missing in each second"],
)
def test_it_holds_for_specs_that_filter_whole_recordings(what: str, spec_id: str) -> None:
    spec, spoil = load_spec(spec_id), SPOILED[what][0]
    spoiled = {name: spoil(x) for name, x in simulated(SECONDS).items()}
    signals = {
        m.name: Signal(m.name, SPEC_RATES[m.name], m.unit, m.channel_names, spoiled[m.name])
        for m in spec.modalities
        if m.name != "video"
    }
    face = FaceVideo(np.arange(float(SECONDS)), embedding=spoiled["video"])
    rows = extract_features(Recording("s", "p", signals, face=face), spec)
    assert len(rows)
    for column, name in enumerate(spec.modality_names):
        part, valid = rows.tokens[:, spec.token_slices[name]], rows.valid[:, column]
        assert (np.abs(part[valid]) <= 1e12).all()
        assert np.isnan(part[~valid]).all()
        # Skin conductance of 1e-40 uS is out of range; else as for emodict-1.
        assert bool(valid.any()) == (name in SPOILED[what][1])


@pytest.mark.parametrize("name", SPEC.modality_names)
def test_the_others_never_notice(name: str, engine: Engine) -> None:
    whole = simulated(SECONDS)
    rows = features({**whole, name: SPOILED["1e30 times as large"][0](whole[name])})
    assert_honest(rows, engine)
    others = [other for other in SPEC.modality_names if other != name]
    expected = features(whole).with_modalities(others)
    # Each modality is computed by itself, from the same samples in the same blocks.
    np.testing.assert_array_equal(rows.with_modalities(others).tokens, expected.tokens)


@pytest.mark.parametrize("kind", ["int16", "uint8", "int32", "float16", "float32"])
def test_samples_at_the_limits_of_their_type_give_the_rows_of_the_same_float64(kind: str) -> None:
    limits = np.iinfo(kind) if "int" in kind else np.finfo(kind)
    rng = np.random.default_rng(0)
    for name, rate_hz in {"eeg": 300.0, "ppg": 100.0, "gsr": 4.0}.items():
        channels = 18 if name == "eeg" else 1
        samples = rng.choice(
            [limits.min, limits.max, 1], size=(round(8 * rate_hz), channels)
        ).astype(kind)
        got = features({name: samples})
        expected = features({name: samples.astype(np.float64)})
        # All are float64 before anything is computed: the very same calls.
        np.testing.assert_array_equal(got.valid, expected.valid)
        np.testing.assert_array_equal(got.tokens, expected.tokens)


def test_ready_made_features_beyond_what_a_model_can_take_are_invalid(
    tmp_path: Path, engine: Engine
) -> None:
    values = np.ones((5, 32))
    values[[1, 2, 3], 7] = 1e12, 1.0001e12, -LARGEST
    assert ready_made_rows(values).valid.tolist() == [True, True, False, False, True]
    rows = features(simulated(9))
    rows.tokens[:3, SPEC.token_slices["video"].start, 0] = 1e30, -LARGEST, -1e12
    names = np.full(len(rows), "p")
    write_table(FeatureTable(rows, (), None, names, names, "edited"), tmp_path / "edited.npz")
    back = read_table(tmp_path / "edited.npz").windows
    assert back.valid[:, SPEC.modality_names.index("video")].tolist() == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert_honest(back, engine)


ALONE = {"eeg": 300.0, "ppg": 100.0}


def off_the_grid(name: str, samples: Array) -> tuple[Array, Array]:
    """(valid, tokens) live and offline, must agree: the samples lie half-way between the ticks."""
    spec, rate_hz = SPEC.with_modalities([name]), ALONE[name]
    modality = spec.modality(name)
    times_s = (np.arange(len(samples)) + 0.5) / rate_hz
    pipeline = LivePipeline(spec)
    pipeline.push(Connected(LiveStream(name, rate_hz, modality.channel_names, modality.unit), 0.0))
    parts = []
    for start in range(0, len(samples), 70):
        pipeline.push(Chunk(name, samples[start : start + 70], times_s[start : start + 70]))
        if (rows := pipeline.take()) is not None:
            parts.append(rows)
    live = concatenate(spec, parts)
    # In mV, to see the limits converted.
    unit, factor = ("mV", 1e-3) if name == "eeg" else (modality.unit, 1.0)
    signal = Signal(
        name, rate_hz, unit, modality.channel_names, samples * factor, timestamps_s=times_s
    )
    offline = extract_features(Recording("s", "p", {name: signal}), spec)
    np.testing.assert_array_equal(offline.valid[: len(live)], live.valid)
    # Cubics of samples in mV and in uV are rounded apart.
    np.testing.assert_allclose(offline.tokens[: len(live)], live.tokens, rtol=1e-9, atol=1e-9)
    return live.valid[:, 0], live.tokens


@pytest.mark.parametrize(("value", "at_s"), [(1.5e5, 6.0), (1.5e5, 6.5), (-LARGEST, 6.0)])
def test_an_absurd_sample_between_two_ticks_is_a_gap_and_not_spread_over_its_neighbours(
    value: float, at_s: float
) -> None:
    for name, rate_hz in ALONE.items():
        if name == "ppg" and value == 1.5e5:
            value = 1.5e9
        missing, absurd = simulated(10)[name], simulated(10)[name]
        missing[round(at_s * rate_hz), 0], absurd[round(at_s * rate_hz), 0] = np.nan, value
        with_gap, with_absurd = off_the_grid(name, missing), off_the_grid(name, absurd)
        # Both are NaN before anything is computed: the very same calls.
        np.testing.assert_array_equal(with_absurd[0], with_gap[0])
        np.testing.assert_array_equal(with_absurd[1], with_gap[1])
