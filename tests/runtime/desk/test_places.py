"""Names for EEG channels whose file has none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emodict.errors import RecordingError, SpecError
from emodict.recording.recording import Recording, Signal
from emodict_desk.importers.places import with_places


def recording(*names: str, modality: str = "eeg") -> Recording:
    samples = np.arange(10.0 * len(names)).reshape(10, -1)
    return Recording("s", "p", {modality: Signal(modality, 250.0, "uV", names, samples)})


@pytest.mark.parametrize(
    "channels", ["Fp1,Fp2,c3", " Fp1 , Fp2, C3", "ch1=Fp1,ch2=Fp2,ch3=C3", "ch3=C3,ch1=fp1,ch2=Fp2"]
)
def test_channels_are_called_as_the_user_says(channels: str) -> None:
    named = with_places(recording("ch1", "ch2", "ch3"), channels).signals["eeg"]
    assert named.channel_names == ("Fp1", "Fp2", "C3")
    np.testing.assert_array_equal(named.samples[0], [0, 1, 2])


def test_channels_that_are_not_named_keep_their_names() -> None:
    assert with_places(recording("ch1", "Cz"), "ch1=Fp1").signals["eeg"].channel_names == (
        "Fp1",
        "Cz",
    )


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ("Fp1,Fp2", "3 names for ch1 ch2 ch3, got 2"),
        ("ch4=Fp1", "'ch4' is not a channel that can be renamed.*one of ch1 ch2 ch3"),
        ("ch1=Fp1,Fp2", "'Fp2' is not a channel"),
        ("ch1=", "'ch1' is not a channel that can be renamed"),
    ],
)
def test_names_that_do_not_fit_the_channels_are_refused(channels: str, said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        with_places(recording("ch1", "ch2", "ch3"), channels)


def test_names_that_are_not_places_are_refused() -> None:
    with pytest.raises(SpecError, match="'Xp1': no such electrode"):
        with_places(recording("ch1"), "Xp1")
    with pytest.raises(RecordingError, match="CZ is there twice"):
        with_places(recording("ch1", "Cz"), "ch1=Cz")


def test_a_recording_without_eeg_has_no_electrodes() -> None:
    with pytest.raises(RecordingError, match=r"names the places of EEG electrodes.*got ppg"):
        with_places(recording("ppg", modality="ppg"), "Fp1")


def test_what_asked_for_the_names_is_no_longer_said_once_they_are_given() -> None:
    unnamed = recording("ch1", "ch2")
    notes = (
        "2 samples lost; the file names no electrodes: "
        "EEG channels are numbered (--channels names them)"
    )
    named = with_places(
        dataclasses.replace(unnamed, attributes={"source": "x", "notes": notes}), "Fp1,Fp2"
    )
    assert named.attributes == {"source": "x", "notes": "2 samples lost"}
    alone = {"notes": "EEG channels are named by port: give their electrodes"}
    assert with_places(dataclasses.replace(unnamed, attributes=alone), "Fp1,Fp2").attributes == {}
