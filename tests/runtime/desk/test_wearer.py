"""What the report says of the wearer without the model: heart rate, skin conductance,
events and the time of day.
"""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.desk.test_report import Page, prediction

from emodict.features.spec import load_spec
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk import svg
from emodict_desk.importers.e4 import read_e4
from emodict_desk.report import report_html
from emodict_desk.report.about_wearer import MOST_LISTED, MOST_MARKED
from emodict_desk.report.wearer import (
    Curve,
    Wearer,
    heart_rate,
    pulse_hz,
    read_wearer,
    skin_conductance,
    wearer_of,
)

SPEC = load_spec("emodict-1")
SECONDS = 40
START = datetime.datetime(2024, 5, 1, 9, 30, tzinfo=datetime.timezone.utc)
# Of 10 s padded 16 times the frequencies lie 60 / 160 a minute apart.
NEAREST_BPM = 60 / 160


def pulse(bpm: float, rate_hz: float = 100.0, seconds: int = SECONDS) -> np.ndarray:
    """(samples, 1): at each beat a steep rise, a slow fall and the dicrotic wave,
    on the drift of breathing.
    """
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = time_s * bpm / 60 % 1
    beat = np.exp(-(((phase - 0.3) / 0.16) ** 2)) + 0.35 * np.exp(-(((phase - 0.65) / 0.14) ** 2))
    return (50 * beat + 10 * np.sin(2 * np.pi * 0.2 * time_s))[:, None]


def recording(ppg: np.ndarray | None = None, rate_hz: float = 100.0, **fields: Any) -> Recording:
    signals = {} if ppg is None else {"ppg": Signal("ppg", rate_hz, "a.u.", ("ppg",), ppg)}
    return Recording("s", "p", **{"signals": signals, **fields})


@pytest.mark.parametrize("rate_hz", [25.0, 64.0, 100.0])
@pytest.mark.parametrize("bpm", [45, 60, 72.4, 97, 130, 170])
def test_the_heart_rate_of_a_clean_pulse_is_its_own(bpm: float, rate_hz: float) -> None:
    curve = heart_rate(recording(pulse(bpm, rate_hz), rate_hz), SPEC)
    known = np.isfinite(curve.values)
    # Windows of 10 s around the seconds 5 to 34 lie within the 40.
    assert known.tolist() == [5 <= second < 35 for second in range(SECONDS)]
    # The nearest frequency is at most half a step away;
    # what leaks in from breathing moves the peak by another.
    np.testing.assert_allclose(curve.values[known], bpm, atol=1.5 * NEAREST_BPM)


def test_a_heart_that_goes_faster_is_followed() -> None:
    samples = np.concatenate([pulse(60, seconds=40), pulse(90, seconds=40)])
    values = heart_rate(recording(samples), SPEC).values
    np.testing.assert_allclose(values[[20, 60]], [60, 90], atol=1.5 * NEAREST_BPM)


def test_on_a_wrist_the_estimate_is_near_the_beats_that_the_band_has_found(
    shared_data: Path,
) -> None:
    folder = shared_data / "e4_stress_predict_S01"
    recording = read_e4(folder)
    curve = heart_rate(recording, SPEC)
    first, *lines = (folder / "IBI.csv").read_text().splitlines()
    offset_s, interval_s = np.array([line.split(",") for line in lines], dtype=float).T
    began_s = datetime.datetime.fromisoformat(
        recording.start_time.replace("Z", "+00:00")
    ).timestamp()
    beat_s = float(first.split(",")[0]) - began_s + offset_s
    errors = []
    for second in np.flatnonzero(np.isfinite(curve.values)):
        inside = (beat_s > second - 4.5) & (beat_s <= second + 5.5)
        # The band leaves out beats that it is not sure of: at least 7 of the 10 s are to be known.
        if interval_s[inside].sum() > 7:
            errors.append(curve.values[second] - 60 / interval_s[inside].mean())
    assert len(errors) > 700
    # The rhythm of breathing moves a heart by some beats a minute within 10 s.
    assert np.abs(errors).max() < 5
    assert np.median(np.abs(errors)) < 1


def test_noise_and_a_wearer_who_moves_have_no_heart_rate() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 1)) * 20
    assert np.isnan(heart_rate(recording(noise), SPEC).values).all()
    moved = pulse(70) + np.cumsum(rng.normal(size=(4000, 1)), axis=0) * 12
    curve = heart_rate(recording(moved), SPEC)
    assert np.isnan(curve.values).mean() > 0.9
    assert curve.quality[5:35].max() < 1


def test_a_second_whose_window_touches_a_gap_has_no_heart_rate() -> None:
    samples = pulse(70)
    samples[2000] = np.nan  # in second 20: in the windows of the seconds 15 to 25
    curve = heart_rate(recording(samples), SPEC)
    assert np.flatnonzero(np.isnan(curve.values)).tolist() == [
        *range(5),
        *range(15, 25),
        *range(35, 40),
    ]
    assert (curve.quality[15:25] == 0).all()


def test_the_peak_of_a_sine_is_its_frequency() -> None:
    time_s = np.arange(1000) / 100
    hz = np.array([0.75, 1.0, 1.21, 2.9])
    # With a whole number of steps of 1/160 Hz to it the peak is exact; 1.21 Hz lies between two.
    np.testing.assert_allclose(
        pulse_hz(np.sin(2 * np.pi * hz[:, None] * time_s), 100.0), hz, atol=1 / 160
    )


def test_skin_conductance_is_the_mean_of_each_second_where_it_is_valid() -> None:
    rng = np.random.default_rng(1)
    samples = 2 + 0.01 * rng.normal(size=(4 * SECONDS, 1))
    # In second 20: the windows of 5 s that end with the seconds 20 to 24 hold it.
    samples[81] = np.nan
    gsr = Signal("gsr", 4.0, "mS", ("gsr",), samples / 1000)
    curve = skin_conductance(recording(signals={"gsr": gsr}), SPEC)
    wanted = samples.reshape(SECONDS, 4).mean(axis=1)
    wanted[[*range(4), *range(20, 25)]] = np.nan
    # Samples in another unit are rounded to float32: 2^-24 of each.
    np.testing.assert_allclose(curve.values, wanted, rtol=2**-23)
    assert (curve.quality[np.isnan(wanted)] == 0).all()


def test_a_curve_that_cannot_be_drawn_says_why_and_does_not_take_the_other_with_it() -> None:
    gsr = Signal("gsr", 4.0, "kOhm", ("gsr",), np.ones((160, 1)))
    ppg = Signal("ppg", 100.0, "a.u.", ("ppg",), pulse(70))
    wearer = wearer_of(recording(signals={"gsr": gsr, "ppg": ppg}))
    assert [curve.name for curve in wearer.curves] == ["Heart rate"]
    (why,) = wearer.missing
    assert "kOhm" in why
    assert "kOhm" in page(wearer).text


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ("2024-05-01T09:30:00Z", START),
        ("2024-05-01T11:30:00+02:00", START),
        ("", None),
        ("1st of May", None),
    ],
)
def test_the_start_is_read_with_its_zone_or_not_at_all(
    said: str, start: datetime.datetime | None
) -> None:
    assert wearer_of(recording(start_time=said)).start == start


def test_a_table_of_features_knows_nothing_of_its_wearer() -> None:
    assert read_wearer("features.npz") is None


def page(wearer: Wearer) -> Page:
    return Page(report_html([prediction()], title="t", model_lines=[], wearers=[wearer]))


def test_events_are_lines_in_the_plots_and_a_list_by_the_time_of_day() -> None:
    # The page begins with row 4 and ends with second 64.
    events = (
        Event(3.0, 1, "too early"),
        Event(10.25, 1, "button"),
        Event(30.0, 7),
        Event(64.0, 1, "too late"),
    )
    curve = Curve("Heart rate", "a minute", "how", np.arange(64.0), np.full(64, 70.0), np.ones(64))
    shown = page(Wearer(START, events, (curve,)))
    # In the distribution and in the curve.
    assert shown.count("line", "event") == 2 * 2
    places = [
        attributes["x1"]
        for tag, attributes in shown.tags
        if (attributes.get("class") or "") == "event"
    ]
    assert places[:2] == [f"{100 * (at - 4) / 60:.3f}%" for at in (10.25, 30.0)]
    assert "09:30:10 (0:00:10)" in shown.text
    assert "09:30:30 (0:00:30)" in shown.text
    assert "button" in shown.text
    assert "code 7" in shown.text
    assert "too early" not in shown.text
    assert "too late" not in shown.text


def test_where_the_start_is_not_known_times_count_from_it() -> None:
    shown = page(Wearer(None, (Event(10.25, 1, "button"),)))
    assert "0:00:10 button" in shown.text
    axes = {attributes["data-axis"] for _, attributes in shown.tags if "data-axis" in attributes}
    assert axes == {"time from the start of the recording (s)"}


def test_the_axis_shows_round_times_of_day_where_the_start_is_known() -> None:
    shown = page(Wearer(START.replace(second=51)))
    axes = {attributes["data-axis"] for _, attributes in shown.tags if "data-axis" in attributes}
    assert axes == {"time of day (UTC)"}
    assert "from 2024-05-01 09:30:51 UTC" in shown.text
    # From 09:30:55 to 09:31:55 in steps of 10 s.
    assert [
        text
        for _, text in svg.time_ticks(svg.timeline(np.arange(60) + 4.0, START.replace(second=51)))
    ] == [
        "09:31",
        "09:31:10",
        "09:31:20",
        "09:31:30",
        "09:31:40",
        "09:31:50",
    ]


def test_of_very_many_events_the_first_are_marked_and_listed_and_the_rest_counted() -> None:
    events = tuple(Event(4 + n / 10, n, f"<b>{n}</b>") for n in range(300))
    shown = page(Wearer(START, events))
    assert shown.count("line", "event") == MOST_MARKED
    assert f"and {300 - MOST_LISTED} more" in shown.text
    # What an event is called comes from a file of others.
    assert ("b", {}) not in [tag for tag in shown.tags if tag[1].get("class")]
    assert "<b>3</b>" in shown.text


def test_a_curve_has_a_line_for_each_stretch_that_is_known_and_the_share_of_it() -> None:
    values = np.full(64, np.nan)
    values[4:19], values[34:49] = 60.0, 80.0
    shown = page(
        Wearer(
            None,
            (),
            (
                Curve(
                    "Heart rate",
                    "beats a minute",
                    "how it is made",
                    np.arange(64.0),
                    values,
                    np.ones(64),
                ),
            ),
        )
    )
    assert shown.count("polyline", "curve") == 2
    # 30 of the 60 seconds of the page.
    assert "beats a minute · median 70 · known in 50% of the seconds" in shown.text
    assert "how it is made" in shown.text


def test_a_signal_that_is_nowhere_clean_is_said_to_be_so() -> None:
    never = Curve(
        "Heart rate",
        "beats a minute",
        "how",
        np.arange(64.0),
        np.full(64, np.nan),
        np.full(64, 0.3),
    )
    shown = page(Wearer(None, (), (never,)))
    assert shown.count("polyline", "curve") == 0
    assert "the signal is nowhere clean enough" in shown.text


def test_a_prediction_whose_times_do_not_grow_has_no_wearer_beside_it() -> None:
    rows = dataclasses.replace(prediction(), start_s=np.zeros(60))
    shown = Page(
        report_html(
            [rows], title="t", model_lines=[], wearers=[Wearer(START, (Event(0.0, 1, "button"),))]
        )
    )
    assert "button" not in shown.text


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([61.0, 78.0], (60.0, 80.0, 10.0)),
        ([0.07, 0.91], (0.0, 1.0, 0.5)),
        ([70.0, 70.0], (70.0, 70.1, 0.1)),
        ([2.0, np.nan, 3.1], (2.0, 3.5, 0.5)),
    ],
)
def test_the_axis_of_a_curve_runs_between_round_numbers(
    values: list[float], wanted: tuple[float, ...]
) -> None:
    assert svg.round_range(np.array(values)) == pytest.approx(wanted)


@pytest.mark.parametrize("rate_hz", [1.0, 0.5])
def test_a_pulse_sensor_that_is_too_slow_to_show_one_costs_no_report(rate_hz: float) -> None:
    slow = Signal("ppg", rate_hz, "a.u.", ("ppg",), np.arange(60.0)[:, None] % 7)
    wearer = wearer_of(Recording("s", "p", {"ppg": slow}))
    assert wearer.curves == ()
    (said,) = wearer.missing
    assert "too slow to show a pulse" in said
