"""Counters, arrivals, times and spooled samples: the parts that all importers stand on."""

import datetime
import gc

import numpy as np
import pytest

from emodict.electrodes import ELECTRODES
from emodict.importers import IMPORTERS
from emodict.importers.clock import (
    counter_from_arrivals,
    growing,
    parse_time,
    start_and_times,
    unwrapped_counter,
    usual_rate_hz,
)
from emodict.importers.kinds import describe, kind_of
from emodict.importers.labels import electrode_name, is_electrode, modality_of_words, split_unit
from emodict.importers.spool import Spool
from emodict.units import plain_unit

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("bits", [4, 8, 15, 16])
def test_a_wrapping_counter_is_unwrapped_with_its_losses(bits):
    kept = np.flatnonzero(RNG.random(1 << (bits + 2)) > 0.01)
    np.testing.assert_array_equal(unwrapped_counter((kept + 5) % (1 << bits)), kept - kept[0])


@pytest.mark.parametrize("counter", [np.zeros(9), np.arange(9) // 2, np.arange(0, 90, 10), [1, 2, 3, 3, 4, 5, 9]])
def test_what_does_not_count_samples_is_no_counter(counter):
    assert unwrapped_counter(np.array(counter)) is None


def test_bursts_and_a_stall_lose_nothing():
    taken_s = np.arange(256 * 60) / 256
    arrived_s = (
        np.ceil(taken_s / 0.047) * 0.047 + RNG.choice([0, 0.03], len(taken_s) // 12 + 1).repeat(12)[: len(taken_s)]
    )
    stall = (arrived_s > 20) & (arrived_s < 24)
    arrived_s[stall] = 24.0  # four seconds held back, then delivered at once
    np.testing.assert_array_equal(counter_from_arrivals(np.maximum.accumulate(arrived_s), 256.0), np.arange(256 * 60))


@pytest.mark.parametrize("lost", [64, 256, 2560])
def test_a_loss_is_found_to_a_tenth_of_a_second_and_where_it_was(lost):
    taken = np.delete(np.arange(256 * 60), np.arange(5000, 5000 + lost))
    arrived_s = np.ceil(taken / 256 / 0.047) * 0.047
    counter = counter_from_arrivals(arrived_s, 256.0)
    assert np.abs(counter - taken).max() <= 26
    # Which packet of those within the pause was lost, the stamps say to a packet.
    assert abs(int(np.diff(counter).argmax()) - 4999) <= 24


def test_many_small_losses_do_not_add_up():
    taken = np.flatnonzero(np.repeat(RNG.random(256 * 5) > 0.02, 12))
    arrived_s = np.ceil(taken / 256 / 0.047) * 0.047
    counter = counter_from_arrivals(arrived_s, 256.0)
    assert np.abs(counter - (taken - taken[0])).max() <= 0.5 * 256


def test_even_times_need_no_time_stamps_and_others_keep_theirs():
    assert start_and_times(3.5 + np.arange(100) / 64, 64.0) == (3.5, None)
    gap = np.delete(np.arange(100) / 64, [50])
    start_s, times_s = start_and_times(gap, 64.0)
    assert start_s == 0.0
    np.testing.assert_array_equal(times_s, gap)


def test_the_rate_is_measured_between_the_gaps():
    assert usual_rate_hz(np.array([0, 0.25, 0.5, 9, 9.25, 9.5])) == 4.0
    assert usual_rate_hz(np.array([1.0])) == 0.0
    assert usual_rate_hz(np.arange(999) / 92.93) == pytest.approx(92.93)


def test_only_samples_later_than_all_before_grow():
    np.testing.assert_array_equal(growing(np.array([0, 1, 3, 2, 3, 4])), [True, True, True, False, False, True])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-31T00:21:17+0000", "2025-01-31T00:21:17+00:00"),
        ("2025-01-31T00:21:17.5Z", "2025-01-31T00:21:17.500000+00:00"),
        ("2025-01-31 00:21:17.123456789", "2025-01-31T00:21:17.123456"),
        ("2025-01-31T00:21:17.250+02:00", "2025-01-31T00:21:17.250000+02:00"),
        ("2025-02-30T00:00:00", None),
        ("12.5", None),
        ("", None),
    ],
)
def test_times_are_read_on_every_python(text, expected):
    assert parse_time(text) == (None if expected is None else datetime.datetime.fromisoformat(expected))


@pytest.mark.parametrize("limit", [100, 1 << 20])
def test_spooled_samples_read_like_an_array(monkeypatch, limit):
    monkeypatch.setattr("emodict.importers.spool.IN_MEMORY_BYTES", limit)
    expected = RNG.normal(size=(97, 3)).astype(np.float32)
    spool = Spool(3)
    for start in range(0, 97, 10):
        spool.append(expected[start : start + 10])
    assert spool.shape == expected.shape
    assert len(spool) == 97
    for key in (slice(None), slice(5, 20), slice(90, 200), slice(3, 50, 7), slice(None, None, -1), slice(-4, None), 5):
        np.testing.assert_array_equal(spool[key], expected[key])
    np.testing.assert_array_equal(spool[:, 1], expected[:, 1])
    np.testing.assert_array_equal(spool[4:9, [2, 0]], expected[4:9, [2, 0]])
    np.testing.assert_array_equal(np.asarray(spool, dtype=np.float64), expected)
    del spool
    gc.collect()  # a file left open would warn here, and warnings are errors


def test_names_and_units_are_understood():
    assert [electrode_name(name) for name in ("RAW_TP9", "EEG.AF7", "eeg Cz", "left")] == ["TP9", "AF7", "Cz", "left"]
    assert is_electrode("T7")
    assert not is_electrode("time")
    assert all(is_electrode(name) for name in ELECTRODES)
    assert split_unit("EDA (uS)") == ("EDA", "uS")
    assert split_unit("EDA") == ("EDA", "")
    assert [plain_unit(unit) for unit in ("microvolts", "µV", "μS", "Volts", "UV", "lux")] == [
        "uV", "uV", "uS", "V", "uV", "lux",
    ]  # fmt: skip
    for text, modality in (("EEG", "eeg"), ("BVP", "ppg"), ("PPG_IR", "ppg"), ("eda_uS", "gsr"), ("GalvanicS", "gsr"),
                           ("Markers", "marker"), ("scene", None), ("Accelerometer", None)):  # fmt: skip
        assert modality_of_words(text) == modality, text


def test_every_kind_of_real_file_is_told(shared_data):
    for path, kind in (
        ("e4_stress_predict_S01", "e4"),
        ("xdf_examples/minimal.xdf", "xdf"),
        ("opensignals_h5/bvp_rest.h5", "opensignals"),
        ("e4_stress_predict_S01/IBI.csv", "csv"),
        ("yunet/face_detection_yunet_2023mar.onnx", None),
    ):
        assert kind_of(shared_data / path) == kind, path
    assert "a file that starts with" in describe(shared_data / "yunet" / "face_detection_yunet_2023mar.onnx")


def test_the_plain_csv_is_tried_last():
    assert list(IMPORTERS)[-1] == "csv"


@pytest.mark.parametrize(("pause_s", "lost"), [(0.0999, 0), (0.1001, 10)])
def test_arrivals_that_stay_more_than_a_tenth_of_a_second_late_tell_of_lost_samples(pause_s, lost):
    arrived_s = np.arange(4000) / 100 + np.where(np.arange(4000) < 2000, 0.0, pause_s)
    counter = counter_from_arrivals(arrived_s, 100.0)
    np.testing.assert_array_equal(counter, np.arange(4000) + np.where(np.arange(4000) < 2000, 0, lost))


@pytest.mark.parametrize(("held", "lost"), [(999, 0), (1000, 11)])
def test_arrivals_that_are_in_time_again_within_ten_seconds_were_held_up(held, lost):
    arrived_s = np.arange(6000) / 100
    arrived_s[2000 : 2000 + held] += 0.11
    assert counter_from_arrivals(arrived_s, 100.0)[-1] == 5999 + lost


@pytest.mark.parametrize(("rate_hz", "expected"), [(100.049, 100.0), (100.051, 100.051), (99.951, 100.0)])
def test_a_rate_within_five_hundredths_of_a_per_cent_of_a_whole_number_is_that(rate_hz, expected):
    assert usual_rate_hz(np.arange(2000) / rate_hz) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("step_s", "rate_hz"), [(0.375, 3 / 0.875), (0.376, 4.0)])
def test_steps_of_more_than_one_and_a_half_times_the_usual_are_gaps(step_s, rate_hz):
    assert usual_rate_hz(np.cumsum([0.0, 0.25, 0.25, step_s])) == pytest.approx(rate_hz, rel=1e-9)


@pytest.mark.parametrize(("off_periods", "even"), [(0.0099, True), (0.0101, False)])
def test_times_within_a_hundredth_of_a_period_lie_on_an_even_clock(off_periods, even):
    times_s = 3.5 + np.arange(100) / 64
    times_s[50] += off_periods / 64
    start_s, uneven_s = start_and_times(times_s, 64.0)
    assert (start_s, uneven_s is None) == ((3.5, True) if even else (0.0, False))


@pytest.mark.parametrize(("plain", "counts"), [(2, True), (1, False)])
def test_a_counter_has_at_least_half_plain_steps(plain, counts):
    steps = [1] * plain + [2] * (4 - plain)
    found = unwrapped_counter(np.cumsum([5, *steps]))
    assert (found is not None) == counts
