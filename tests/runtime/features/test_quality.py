"""Which windows are fit to be used, and how clean they are."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emodict.features import FeatureStream, extract_features
from emodict.features.quality import assess, without_unusable
from emodict.features.spec import load_spec
from emodict_desk.importers import IMPORTERS

SPEC = load_spec("emodict-1")
EEG, GSR, PPG, VIDEO = (SPEC.modality(name) for name in ("eeg", "gsr", "ppg", "video"))
SHAPES = {"eeg": (300, 18), "gsr": (20, 1), "ppg": (500, 1), "video": (1, 32)}


def good_window(name: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    samples, channels = SHAPES[name]
    if name == "eeg":
        return rng.normal(scale=15, size=(samples, channels))
    if name == "gsr":
        return 2 + 0.001 * rng.integers(0, 40, size=(samples, channels))
    if name == "ppg":
        t = np.arange(samples)[:, None] / 100
        return (
            np.sin(2 * np.pi * 1.2 * t)
            + 0.3 * np.sin(2 * np.pi * 2.4 * t + 1)
            + 0.01 * rng.normal(size=t.shape)
        )
    return rng.normal(size=(samples, channels))


def judge(name: str, window: np.ndarray) -> tuple[bool, float]:
    valid, quality = assess(SPEC.modality(name), window[None])
    return bool(valid[0]), float(quality[0])


@pytest.mark.parametrize("name", SHAPES)
def test_a_clean_window_is_valid_and_scores_high(name: str) -> None:
    valid, quality = judge(name, good_window(name))
    assert valid
    assert 0.9 < quality <= 1


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_missing_sample_makes_a_window_invalid(name: str, value: float) -> None:
    window = good_window(name)
    window[len(window) // 2, -1] = value
    assert judge(name, window) == (False, 0.0)


@pytest.mark.parametrize("name", ["eeg", "gsr", "ppg"])
@pytest.mark.parametrize("value", [0.0, 1.0, 5e-324, 1e30, -1e30])
def test_a_channel_that_stands_still_makes_a_window_invalid(name: str, value: float) -> None:
    window = good_window(name)
    window[:, -1] = value
    assert judge(name, window) == (False, 0.0)


@pytest.mark.parametrize(
    ("name", "value"), [("eeg", 2e5), ("eeg", -2e5), ("gsr", 0.0), ("gsr", 101.0), ("ppg", 2e9)]
)
def test_one_sample_out_of_range_makes_a_window_invalid(name: str, value: float) -> None:
    window = good_window(name)
    window[3, 0] = value
    assert judge(name, window) == (False, 0.0)


@pytest.mark.parametrize("name", ["eeg", "ppg"])
def test_a_signal_clipped_most_of_the_time_is_invalid_and_a_little_clipping_is_not(
    name: str,
) -> None:
    t = np.arange(SHAPES[name][0])[:, None] * np.ones(SHAPES[name][1])
    wave = 100 * np.sin(2 * np.pi * 6 * t / len(t) + 0.1)
    assert judge(name, np.clip(wave, -20, 20))[0] is False
    assert judge(name, np.clip(wave, -90, 90))[0] is True


def test_subnormal_signals_raise_no_warning() -> None:
    for name in ("eeg", "ppg"):
        judge(name, good_window(name) * 5e-324)
        judge(name, good_window(name) * 1e-310)


@pytest.mark.parametrize("name", SHAPES)
def test_no_windows_get_no_judgement(name: str) -> None:
    valid, quality = assess(SPEC.modality(name), np.empty((0, *SHAPES[name])))
    assert valid.shape == quality.shape == (0,)


def saturated_by_counting(window: np.ndarray) -> bool:
    """More than half of a channel's samples within 1 % of its range from an extreme."""
    for channel in window.T:
        low, high = min(channel), max(channel)
        margin = 0.01 * (high - low)
        count = sum(v <= low + margin or v >= high - margin for v in channel)
        if 2 * count > len(channel):
            return True
    return False


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    share=st.floats(0.3, 0.7),
    offset=st.sampled_from([0.0, 1e3, -9e4]),
    name=st.sampled_from(["eeg", "ppg"]),
)
def test_saturation_is_what_counting_says(
    seed: int, share: float, offset: float, name: str
) -> None:
    rng = np.random.default_rng(seed)
    samples, channels = SHAPES[name]
    window = rng.uniform(-1, 1, size=(samples, channels))
    # One channel at its rails for about half of the time, on both sides of the limit.
    at_rail = rng.random(samples) < share
    window[at_rail, 0] = np.where(rng.random(at_rail.sum()) < 0.5, -1, 1)
    window += offset
    assert judge(name, window)[0] == (not saturated_by_counting(window))


@pytest.mark.parametrize(
    ("name", "count", "level", "valid"),
    [
        # Half of 500, or of 300, samples at the extremes, and one more;
        # an extreme reaches over 1 % of the range of 2.
        ("ppg", 250, 1.0, True),
        ("ppg", 251, 1.0, False),
        ("ppg", 251, 0.9801, False),
        ("ppg", 251, 0.9799, True),
        ("eeg", 150, 1.0, True),
        ("eeg", 151, 1.0, False),
        ("eeg", 151, 0.9801, False),
        ("eeg", 151, 0.9799, True),
    ],
)
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("sides", [(1,), (-1,), (1, -1)])
def test_one_sample_more_than_half_at_the_extremes_is_saturated(
    name: str, count: int, level: float, valid: bool, offset: float, sides: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(2)
    samples, channels = SHAPES[name]
    window = rng.uniform(-0.9, 0.9, size=(samples, channels))
    at_rail = rng.permutation(samples)[:count]
    # Not quite the same from sample to sample: that would be stuck.
    window[at_rail, 0] = np.resize(sides, count) * (level - 1e-6 * rng.random(count))
    window[at_rail[:2], 0] = -1.0, 1.0
    window += offset
    assert judge(name, window)[0] is valid
    # Among many windows as alone.
    others = [good_window(name, seed=s) for s in range(9)]
    assert assess(SPEC.modality(name), np.stack([*others, window]))[0].tolist() == [True] * 9 + [
        valid
    ]


@pytest.mark.parametrize(("count", "valid"), [(256, True), (257, False), (511, False)])
def test_many_samples_at_the_extremes_are_all_counted(count: int, valid: bool) -> None:
    # 512 can be halved nine times; a byte counts to 255.
    window = np.random.default_rng(7).uniform(-0.9, 0.9, size=(512, 2))
    window[:count, 0] = np.where(np.arange(count) % 2, 1.0, -1.0)
    assert judge("eeg", window)[0] is valid


@pytest.mark.parametrize("channels", [1, 2, 3, 18])
def test_one_bad_channel_of_any_number_makes_a_window_invalid(channels: Any) -> None:
    for bad in range(channels):
        window = good_window("eeg")[:, :channels].copy()
        assert judge("eeg", window)[0] is True
        window[:, bad] = 3.0
        assert judge("eeg", window) == (False, 0.0)


@pytest.mark.parametrize(("step", "valid"), [(1.9e-12, False), (2.1e-12, True)])
def test_what_moves_by_more_than_a_millionth_of_a_millionth_is_no_constant(
    step: float, valid: bool
) -> None:
    window = np.full((20, 1), 2.0)
    window[9] += step
    assert judge("gsr", window)[0] is valid


@pytest.mark.parametrize(
    ("name", "lower", "upper"), [("eeg", -1e5, 1e5), ("gsr", 0.001, 100.0), ("ppg", -1e9, 1e9)]
)
def test_the_limits_of_a_range_are_in_it(name: str, lower: float, upper: float) -> None:
    for value, beyond in ((lower, -np.inf), (upper, np.inf)):
        window = np.random.default_rng(3).uniform(lower, upper, size=SHAPES[name])
        window[7, 0] = value
        assert judge(name, window)[0] is True
        assert without_unusable(SPEC.modality(name), window) is window
        window[7, 0] = np.nextafter(value, beyond)
        assert judge(name, window)[0] is False
        assert np.argwhere(np.isnan(without_unusable(SPEC.modality(name), window))).tolist() == [
            [7, 0]
        ]


def test_an_embedding_may_hold_any_number() -> None:
    largest = np.full((1, 32), np.finfo(np.float64).max)
    largest[0, 1::2] *= -1
    assert judge("video", largest) == (True, 1.0)
    assert without_unusable(VIDEO, largest) is largest


def test_a_range_holds_for_samples_in_a_unit_of_their_own() -> None:
    volts = np.array([[0.1, 0.2, -0.1, -0.2]])
    got = without_unusable(EEG, volts, unit=1e6)
    np.testing.assert_array_equal(got, [[0.1, np.nan, -0.1, np.nan]])


def longest_run(channel: np.ndarray) -> int:
    best = run = 1
    for a, b in itertools.pairwise(channel):
        run = run + 1 if a == b else 1
        best = max(best, run)
    return best


@settings(deadline=None, max_examples=80)
@given(
    name=st.sampled_from(["eeg", "ppg"]),
    seed=st.integers(0, 2**31),
    start=st.floats(0, 1),
    beyond=st.integers(-3, 60),
    twice=st.booleans(),
)
def test_a_sensor_stuck_for_more_than_half_of_a_window_makes_it_invalid(
    name: str, seed: int, start: float, beyond: int, twice: bool
) -> None:
    rng = np.random.default_rng(seed)
    samples, channels = SHAPES[name]
    window = np.round(rng.normal(scale=15, size=(samples, channels)), 2)
    length = samples // 2 + beyond
    first = round(start * (samples - length))
    window[first : first + length, -1] = 3.0
    if twice:
        window[first + length // 2, -1] = 7.0
    stuck = any(2 * longest_run(channel) > samples for channel in window.T)
    assert stuck == (
        2 * length > samples and (not twice or 2 * longest_run(window[:, -1]) > samples)
    )
    assert judge(name, window)[0] != stuck
    # Among many windows as alone, and as well after a resampler's rounding.
    others = [good_window(name, seed=s) for s in range(9)]
    rounded = window * (1 + 1e-15 * rng.integers(-1, 2, size=window.shape))
    valid, quality = assess(SPEC.modality(name), np.stack([*others, window, rounded]))
    assert valid.tolist() == [True] * 9 + [not stuck] * 2
    assert (quality[-2:] > 0).tolist() == [not stuck] * 2


@pytest.mark.parametrize(("name", "half"), [("eeg", 150), ("ppg", 250)])
def test_one_sample_more_than_half_of_a_window_is_stuck_wherever_it_lies(
    name: str, half: int
) -> None:
    noise = np.round(np.random.default_rng(4).normal(scale=15, size=SHAPES[name]), 2)
    others = [good_window(name, seed=s) for s in range(9)]
    for length, valid in ((half, True), (half + 1, False)):
        for first in {0, 1, half // 2, 2 * half - length - 1, 2 * half - length}:
            window = noise.copy()
            window[first : first + length, -1] = 3.0
            assert judge(name, window)[0] is valid, first
            assert assess(SPEC.modality(name), np.stack([*others, window]))[0].tolist() == [
                True
            ] * 9 + [valid]


@pytest.mark.parametrize("samples", [65, 125, 127])
def test_one_sample_more_than_half_of_an_odd_window_is_stuck_wherever_it_lies(samples: int) -> None:
    noise = np.random.default_rng(5).normal(scale=15, size=(1, samples, 1))
    for length, valid in ((samples // 2, True), (samples // 2 + 1, False)):
        for first in range(samples - length + 1):
            window = noise.copy()
            window[:, first : first + length] = 3.0
            assert assess(EEG, window)[0].tolist() == [valid], first


def test_samples_that_move_by_the_rounding_of_a_constant_are_stuck() -> None:
    window = np.round(np.random.default_rng(6).uniform(-0.9, 0.9, size=(500, 1)), 3)
    window[499] = 1.0
    assert judge("ppg", window)[0] is True
    # A millionth of a millionth of the largest sample, 1.
    window[100:351, 0] = np.where(np.arange(251) % 2, 1e-12, 0.0)
    assert judge("ppg", window)[0] is False
    others = [good_window("ppg", seed=s) for s in range(9)]
    assert assess(PPG, np.stack([*others, window]))[0].tolist() == [True] * 9 + [False]


def test_skin_conductance_that_rests_for_most_of_a_window_is_valid() -> None:
    window = good_window("gsr")
    window[:15] = 2.0
    assert judge("gsr", window)[0] is True


@pytest.mark.parametrize("name", SHAPES)
def test_samples_whose_squares_overflow_raise_no_warning(name: str) -> None:
    modality = SPEC.modality(name)
    samples = np.full(SHAPES[name], 1e300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        usable = without_unusable(modality, samples)
    upper = modality.valid_range[1]
    assert np.isnan(usable).all() == (upper is not None and upper < 1e300)


def test_eeg_quality_falls_with_the_swing_beyond_200_uv() -> None:
    window = good_window("eeg")
    window[:, :9] *= 100
    swing = window.max(axis=0) - window.min(axis=0)
    assert judge("eeg", window)[1] == pytest.approx(np.mean([min(1, 200 / s) for s in swing]))


@pytest.mark.parametrize(
    ("swing_uv", "quality"), [(1.0, 1.0), (200.0, 1.0), (250.0, 0.8), (2000.0, 0.1)]
)
def test_eeg_is_clean_up_to_200_uv(swing_uv: float, quality: float) -> None:
    # A sine of 60 samples has samples at its very peaks.
    window = swing_uv / 2 * np.sin(2 * np.pi * (np.arange(300)[:, None] / 60 + np.arange(18) / 4))
    assert judge("eeg", window) == (True, pytest.approx(quality))


@pytest.mark.parametrize(("step_us", "quality"), [(0.25, 1.0), (0.5, 0.5), (1.0, 0.25)])
def test_skin_conductance_is_clean_up_to_1_us_a_second(step_us: float, quality: float) -> None:
    # Four samples a second, in steps that are no rounded numbers.
    window = 2 + step_us * (np.arange(20)[:, None] % 2)
    assert judge("gsr", window) == (True, pytest.approx(quality))


def test_gsr_quality_falls_with_its_steepest_step() -> None:
    window = good_window("gsr")
    window[10:] += 1.0
    steepest = max(abs(b - a) for a, b in zip(window[:-1, 0], window[1:, 0], strict=True)) * 4
    assert judge("gsr", window) == (True, pytest.approx(1 / steepest))


def pulse_share(window: np.ndarray) -> float:
    """Of the power at 0.6, 0.8 .. 8 Hz, what is within 0.2 Hz of the strongest of 0.8 ..
    3 Hz and of its overtone.
    """
    n = np.arange(500)
    tapered = (window - window.mean()) * (0.5 - 0.5 * np.cos(2 * np.pi * n / 499))
    # Bins of 0.2 Hz, for five seconds.
    power = [abs(np.sum(tapered * np.exp(-2j * np.pi * k * n / 500))) ** 2 for k in range(41)]
    peak = max(range(4, 16), key=power.__getitem__)
    near = {peak - 1, peak, peak + 1, 2 * peak - 1, 2 * peak, 2 * peak + 1}
    return sum(power[k] for k in near) / sum(power[3:41])


@pytest.mark.parametrize("hz", [0.0, 0.4, 0.6, 0.8, 1.1, 1.6, 3.0, 3.2, 6.0, 7.6, 8.0, 8.2, 8.4])
def test_the_quality_of_a_pulse_is_the_share_of_its_power_at_one_frequency_and_its_overtone(
    hz: float,
) -> None:
    t = np.arange(500) / 100
    noise = np.random.default_rng(round(10 * hz)).normal(size=(20, 500))
    windows = 1e3 + 0.6 * np.sin(2 * np.pi * hz * t + 1) + noise
    valid, quality = assess(PPG, windows[:, :, None])
    assert valid.all()
    # The offset of 1e3 leaves 1e-13 of the samples, of which the share's terms are sums.
    np.testing.assert_allclose(quality, [pulse_share(window) for window in windows], rtol=1e-9)


def test_noise_scores_below_a_pulse() -> None:
    noise = np.random.default_rng(1).normal(size=(500, 1))
    assert judge("ppg", noise)[1] < 0.6 < judge("ppg", good_window("ppg"))[1]


def test_unusable_samples_become_nan_and_the_caller_keeps_his() -> None:
    samples = good_window("eeg")
    assert without_unusable(EEG, samples) is samples
    samples[5, 2], samples[6, 3], samples[7, 4] = np.inf, 1e30, np.nan
    before = samples.copy()
    got = without_unusable(EEG, samples)
    np.testing.assert_array_equal(samples, before)
    assert sorted(zip(*map(np.ndarray.tolist, np.nonzero(np.isnan(got))), strict=True)) == [
        (5, 2),
        (6, 3),
        (7, 4),
    ]
    np.testing.assert_array_equal(got[8:], samples[8:])


def pulse_quality(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        device = next(iter(file.values()))
        raw = device["raw"]
        channel = next(raw[name] for name in raw if name.startswith("channel_"))
        samples, rate_hz = channel[:].astype(float), float(device.attrs["sampling rate"])
    stream = FeatureStream(SPEC.with_modalities(["ppg"]), {"ppg": rate_hz})
    parts = [stream.push("ppg", samples), stream.finish()]
    return np.concatenate([p.quality for p in parts])[:, 0]


def test_a_pulse_at_rest_scores_above_one_under_motion(shared_data: Path) -> None:
    rest = pulse_quality(shared_data / "opensignals_h5" / "bvp_rest.h5")
    moving = pulse_quality(shared_data / "opensignals_h5" / "bvp_motion_artifact.h5")
    assert len(rest) == 101
    assert rest.mean() > 0.8
    # The second recording is still for most of its last half.
    assert rest.mean() > moving.mean() + 0.05
    assert (rest < 0.6).mean() == 0
    assert (moving < 0.6).mean() > 0.1


def test_a_wristband_worn_for_54_minutes_gives_a_row_for_every_second(shared_data: Path) -> None:
    recording = IMPORTERS["e4"].read(shared_data / "e4_stress_predict_S01")
    rows = extract_features(recording, SPEC)
    valid = dict(zip(SPEC.modality_names, rows.valid.T, strict=True))
    # PPG, the longer of the two, lasts 3260.98 s.
    np.testing.assert_array_equal(rows.start_s, np.arange(4, 3260))
    assert valid["gsr"].mean() > 0.99
    assert valid["ppg"].mean() > 0.99
    assert not valid["eeg"].any()
    assert not valid["video"].any()
    skin = np.asarray(recording.signals["gsr"].samples)[:, 0]
    off_skin = np.array([(skin[4 * (k - 4) : 4 * (k + 1)] == 0).any() for k in range(4, 3258)])
    assert off_skin.any()
    assert not valid["gsr"][:-2][off_skin].any()
    # GSR stops after 3258 s, two before the last row.
    assert not valid["gsr"][-2:].any()
    assert np.isnan(rows.features("gsr")[~valid["gsr"]]).all()
    assert np.isfinite(rows.features("ppg")[valid["ppg"]]).all()


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_where_a_recipe_takes_constant_windows_one_of_zeros_is_such_a_window(level: float) -> None:
    pulse = load_spec("dmer-sample").modality("ppg")
    valid, quality = assess(pulse, np.full((1, 100, 1), level))
    assert (valid.tolist(), quality.tolist()) == ([True], [0.0])
