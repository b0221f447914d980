"""A modality that no shipped spec has, skin temperature:
a row of the table and a spec are all that it takes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from emodict.errors import SpecError
from emodict.features import FeatureSpec, FeatureStream, extract_features, load_spec
from emodict.features.spec import ModalitySpec, spec_from_dict
from emodict.features.windows import concatenate
from emodict.recording import Recording, Signal, open_session, write_session
from emodict.recording.modalities import MODALITIES, Modality, modality_name, modality_of
from emodict_desk.importers.plain_csv import read_csv
from emodict_desk.recordings.validate import validate_session

RATE_HZ = 4.0
STEP_DEGC = 0.02  # what the thermometer of an Empatica E4 resolves
NAMES = load_spec("emodict-1").modality("gsr").feature_names
SKIN = ModalitySpec(
    "skt", "statistics", RATE_HZ, "degC", ("skt",), 5.0, (len(NAMES),), NAMES,
    valid_range=(15.0, 45.0), constant_usable=True,
)  # fmt: skip
SPEC = FeatureSpec("wrist-skin", "Skin temperature alone", 14, True, (SKIN,))


def temperatures(seconds: int = 60) -> np.ndarray:
    """A wrist that warms by a degree, in steps of the thermometer:
    most samples are those before them.
    """
    degc = 31 + np.linspace(0, 1, round(seconds * RATE_HZ))
    return (np.round(degc / STEP_DEGC) * STEP_DEGC)[:, None]


def recorded(samples: np.ndarray, **clock: object) -> Recording:
    signal = Signal("skt", RATE_HZ, "degC", ("skt",), samples, **clock)  # type: ignore[arg-type]
    return Recording("s1", "p1", {"skt": signal})


def test_a_spec_with_skin_temperature_travels_as_data() -> None:
    assert spec_from_dict(SPEC.to_dict()) == SPEC


def test_constant_windows_are_not_usable_behind_a_filter_that_carries_its_state() -> None:
    eeg = load_spec("emodict-1").modality("eeg")
    with pytest.raises(
        SpecError, match="Fz: constant windows cannot be usable behind a causal filter"
    ):
        dataclasses.replace(eeg.with_channels(["Fz"]), name="Fz", constant_usable=True)


def test_its_features_are_those_of_the_numbers_in_the_file(tmp_path: Path) -> None:
    write_session(recorded(temperatures()), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as session:
        features = extract_features(session, SPEC)
    # Four of 60 seconds have no whole window.
    assert features.valid.all(axis=1).sum() == len(features) == 56
    window = temperatures()[: round(5 * RATE_HZ), 0]
    first = dict(zip(NAMES, features.tokens[0].reshape(-1), strict=False))
    assert first["x_mean"] == pytest.approx(window.mean(), rel=6e-8)  # a session holds float32
    # A share of equal neighbours that interpolation would have spoilt.
    assert (np.diff(window) == 0).mean() > 0.5
    assert first["d1_median"] == 0


def test_a_stream_of_it_gives_the_rows_of_the_file() -> None:
    whole = extract_features(recorded(temperatures()), SPEC)
    stream = FeatureStream(SPEC, {"skt": RATE_HZ})
    parts = [stream.push("skt", chunk) for chunk in np.array_split(temperatures(), 17)]
    streamed = concatenate(SPEC, [*(part for part in parts if len(part)), stream.finish()])
    np.testing.assert_array_equal(streamed.valid, whole.valid)
    np.testing.assert_allclose(streamed.tokens, whole.tokens, rtol=0, atol=1e-9)


def test_its_samples_are_moved_to_the_nearest_tick_and_not_mixed() -> None:
    late = np.arange(240) / RATE_HZ + 0.1
    features = extract_features(recorded(temperatures(), timestamps_s=late), SPEC)
    np.testing.assert_allclose(
        features.tokens[features.valid.all(axis=1)],
        extract_features(recorded(temperatures()), SPEC).tokens,
        rtol=0,
        atol=1e-9,
    )


def test_a_thermometer_taken_off_costs_quality() -> None:
    samples = temperatures()
    samples[120:] -= 5.0
    quality = extract_features(recorded(samples), SPEC).quality[:, 0]
    # 5 degC within one sample at 4 Hz are 20 degC a second, forty times what is clean.
    # Row k holds the samples 4 k to 4 k + 19:
    # those of the rows 26 to 29 hold both sides of the step at sample 120.
    np.testing.assert_allclose(quality[26:30], 1 / 40, rtol=0.01)
    assert (quality[:26] == 1).all()
    assert (quality[30:] == 1).all()


def test_a_table_with_a_column_of_it_is_imported(tmp_path: Path) -> None:
    table = tmp_path / "wrist.csv"
    rows = "\n".join(f"{i / RATE_HZ},{value:.2f}" for i, value in enumerate(temperatures()[:, 0]))
    table.write_text(f"time_s,Skin temperature (°C)\n{rows}\n", encoding="utf-8")
    recording = read_csv(table)
    signal = recording.signals["skt"]
    assert (signal.unit, signal.rate_hz) == ("degC", RATE_HZ)
    np.testing.assert_allclose(signal.read(0, 240), temperatures(), rtol=6e-8)  # float32


def test_validate_knows_its_lowest_rate(tmp_path: Path) -> None:
    slow = Signal("skt", 0.5, "degC", ("skt",), temperatures()[::8])
    write_session(Recording("s1", "p1", {"skt": slow}), tmp_path / "s.h5")
    found = [finding.message for finding in validate_session(tmp_path / "s.h5")]
    assert any("too slow" in message and "1 Hz" in message for message in found)


def test_of_a_signal_that_is_not_in_the_table_nothing_is_presumed() -> None:
    assert modality_of("resp") == Modality("resp")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("EDA", "gsr"),
        ("Gsr", "gsr"),
        ("bvp", "ppg"),
        ("EEG", "eeg"),
        ("Face", "video"),
        ("video", "video"),
        ("x", "x"),
    ],
)
def test_modalities_are_known_by_what_people_call_them(word: str, name: str) -> None:
    assert modality_name(word) == name


def test_no_word_names_two_modalities() -> None:
    types = [kind for modality in MODALITIES.values() for kind in modality.types]
    assert len(types) == len(set(types))
