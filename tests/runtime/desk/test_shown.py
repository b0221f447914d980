"""What a recording, features and a prediction say of themselves,
and what pandas and Matplotlib get of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from emodict.errors import MissingDependencyError, RecordingError
from emodict.features import FeatureWindows, extract_features, load_spec
from emodict.recording import Recording, open_session
from emodict.results.prediction import Prediction
from emodict.showing import Shown

SPEC = load_spec("emodict-1")


def windows() -> FeatureWindows:
    """Three rows of GSR and PPG, numbered; the second has no PPG."""
    spec = SPEC.with_modalities(["gsr", "ppg"])
    tokens = np.arange(3 * spec.tokens * spec.token_width, dtype=float).reshape(
        3, spec.tokens, spec.token_width
    )
    valid = np.array([[True, True], [True, False], [True, True]])
    tokens[1, spec.token_slices["ppg"]] = np.nan
    return FeatureWindows(spec, np.array([4.0, 5.0, 6.0]), tokens, valid, valid * 0.5)


def prediction() -> Prediction:
    shares = np.array([[0.75, 0.25], [np.nan, np.nan], [0.25, 0.75]])
    valid = np.array([[True], [False], [True]])
    truth = np.array([[1.0, 0.0], [np.nan, np.nan], [0.0, 1.0]])
    return Prediction(
        "s",
        ("calm", "joy"),
        ("gsr",),
        np.array([4.0, 5.0, 6.0]),
        shares,
        np.zeros((3, 0)),
        valid,
        valid * 0.5,
        truth=truth,
        simulated=True,
        model_simulated=True,
    )


def test_a_recording_says_in_a_line_what_it_holds(noise_session: Path) -> None:
    with open_session(noise_session) as recording:
        said = repr(recording)
    assert said.startswith(f"<Recording '{recording.session_id}' of '{recording.subject_id}'")
    assert "30 s of eeg (18 channels, 300 Hz)" in said
    assert said.endswith("1 trial, 0 events>")


def test_a_recording_is_open_without_with_until_it_is_closed(noise_session: Path) -> None:
    recording = open_session(noise_session)
    assert recording.signals["gsr"].read(0, 4).shape == (4, 1)
    recording.close()
    with pytest.raises(RecordingError, match=r"gsr: the recording is closed\. Read it before that"):
        recording.signals["gsr"].read(0, 4)
    # In memory there is nothing to close.
    Recording("s", "p", {}).close()


def test_features_and_predictions_say_their_rows_and_what_is_in_them() -> None:
    assert (
        repr(windows())
        == "<FeatureWindows emodict-1: 3 rows from 4 to 7 s; valid gsr 100%, ppg 67%>"
    )
    # The mean of .75 and .25 is a half of each.
    marks = "a SIMULATED person, a model of SIMULATED people"
    wanted = (
        f"<Prediction 's', {marks}: 3 rows from 4 to 7 s, 2 answered; mean calm 50%, joy 50%, ...>"
    )
    assert repr(prediction()) == wanted


def test_features_without_rows_and_predictions_without_an_answer_have_a_line_too() -> None:
    assert (
        repr(windows().slice(slice(0, 0)))
        == "<FeatureWindows emodict-1: 0 rows; valid gsr 0%, ppg 0%>"
    )
    assert repr(prediction().slice(slice(1, 2))).endswith(": 1 row from 5 to 6 s, 0 answered>")


def test_a_frame_of_features_has_a_column_for_each_by_the_name_of_the_spec() -> None:
    frame = windows().to_dataframe()
    gsr = SPEC.modality("gsr").feature_names
    assert list(frame.columns[: 1 + len(gsr)]) == ["start_s", *(f"gsr/{name}" for name in gsr)]
    assert list(frame.columns[-4:]) == ["valid_gsr", "valid_ppg", "quality_gsr", "quality_ppg"]
    np.testing.assert_array_equal(frame[[f"gsr/{name}" for name in gsr]], windows().features("gsr"))
    assert frame[[f"ppg/{name}" for name in SPEC.modality("ppg").feature_names]].isna().all(
        axis=1
    ).tolist() == [
        False,
        True,
        False,
    ]
    assert frame.valid_ppg.tolist() == [True, False, True]


def test_a_frame_of_a_prediction_has_its_distribution_and_its_truth() -> None:
    frame = prediction().to_dataframe()
    marks = ["simulated", "model_simulated"]
    assert list(frame.columns) == [
        "start_s", "calm", "joy", "valid_gsr", "quality_gsr", "truth_calm", "truth_joy", *marks,
    ]  # fmt: skip
    assert frame[marks].all(axis=None)
    assert frame.loc[2, ["calm", "joy", "truth_joy"]].tolist() == [0.25, 0.75, 1.0]


def test_a_frame_of_a_recording_has_a_row_for_each_sensor(noise_session: Path) -> None:
    with open_session(noise_session) as recording:
        frame = recording.to_dataframe().set_index("modality")
    assert sorted(frame.index) == ["eeg", "gsr", "ppg"]
    assert frame.loc["gsr", ["rate_hz", "samples", "stop_s"]].tolist() == [4.0, 120, 30.0]


def test_what_a_notebook_shows_is_escaped() -> None:
    recording = Recording("<script>", "p", {})
    assert "<script>" not in recording._repr_html_()
    assert "&lt;script&gt;" in recording._repr_html_()


def test_plots_have_a_panel_for_each_sensor_and_are_pictures(noise_session: Path) -> None:
    with open_session(noise_session) as recording:
        features = extract_features(recording, SPEC)
        things: list[tuple[Shown, int]] = [(recording, 3), (features, 4), (prediction(), 2)]
        for thing, panels in things:
            figure = thing.plot()
            assert len(figure.axes) == panels
            assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("package", "way"), [("pandas", "to_dataframe"), ("matplotlib.figure", "plot")]
)
def test_without_the_package_a_sentence_says_what_to_install(
    package: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[notebook\]'"):
        getattr(windows(), way)()


def test_what_comes_of_a_recording_is_shown_as_one() -> None:
    class Visit(Recording):
        """A user's own."""

    assert repr(Visit("s", "p", {})).startswith("<Visit 's' of 'p'")
