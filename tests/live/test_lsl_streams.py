"""Which stream is which sensor: by type, name, channels and units, as devices announce them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from emodict.errors import StreamError
from emodict.features.spec import load_spec
from emodict.live.lsl_streams import Channel, asked_of, channels_of, choose, pick
from emodict.recording.lights import pulse_light

SPEC = load_spec("emodict-1")
EEG, PPG, GSR = (SPEC.modality(name) for name in ("eeg", "ppg", "gsr"))


@dataclass
class Stream:
    name: str
    kind: str
    source_id: str = ""
    hostname: str = "lab"
    created_at_s: float = 0.0
    rate_hz: float = 100.0
    numeric: bool = True


@pytest.mark.parametrize(
    ("modality", "kind"),
    [("eeg", "EEG"), ("eeg", "eeg"), ("ppg", "BVP"), ("ppg", "Ppg"), ("gsr", "EDA"), ("gsr", "SC")],
)
def test_a_stream_is_found_by_its_type_in_any_case(modality: str, kind: str) -> None:
    streams = [Stream("clicks", "Markers"), Stream("it", kind), Stream("steps", "ACC")]
    assert choose(streams, modality, name=None) is streams[1]


def test_a_stream_of_no_known_type_is_found_by_its_name() -> None:
    streams = [Stream("my-BVP2", ""), Stream("the EDA lab's ppg notes", "EEG"), Stream("Bvpx", "")]
    assert choose(streams, "ppg", name=None) is streams[0]
    assert choose(streams, "gsr", name=None) is None


def test_a_name_or_a_source_id_chooses_among_several() -> None:
    streams = [Stream("left", "EDA", source_id="E4-1"), Stream("right", "EDA", source_id="E4-2")]
    with pytest.raises(StreamError, match=r"'left' .*; 'right' .*--stream gsr=NAME"):
        choose(streams, "gsr", name=None)
    assert choose(streams, "gsr", name="Right") is streams[1]
    assert choose(streams, "gsr", name="e4-1") is streams[0]
    assert choose(streams, "gsr", name="middle") is None


def test_of_streams_of_one_name_that_of_the_type_is_taken_and_any_other_where_there_is_none() -> (
    None
):
    streams = [
        Stream("Muse", "EEG", "M", created_at_s=1.0),
        Stream("Muse", "PPG", "M", created_at_s=2.0),
    ]
    assert choose(streams, "eeg", name="Muse") is streams[0]
    assert choose(streams, "ppg", name="muse:PPG1") is streams[1]
    odd = [Stream("Muse", "Signals", "M")]
    assert choose(odd, "ppg", name="Muse") is odd[0]


def test_twins_are_told_apart_by_their_machines() -> None:
    streams = [Stream("RDA", "EEG", "RDA 127.0.0.1", host) for host in ("left.lab", "right.lab")]
    with pytest.raises(StreamError, match="by the machine it comes from: --stream eeg=NAME@HOST"):
        choose(streams, "eeg", name="RDA")
    assert choose(streams, "eeg", name="rda@Right.lab") is streams[1]
    assert choose(streams, "eeg", name="RDA 127.0.0.1@left.lab:Cz") is streams[0]
    assert choose(streams, "eeg", name="RDA@nowhere") is None


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("Muse", ""),
        ("Muse:PPG2", "PPG2"),
        ("muse@lab:2", "2"),
        ("Muse00:55", ""),
        ("Muse00:55:PPG3", "PPG3"),
    ],
)
def test_a_channel_is_named_behind_the_stream_whose_id_may_hold_colons(
    text: str, channel: str
) -> None:
    asked = asked_of(Stream("Muse", "PPG", source_id="Muse00:55"), text)
    assert asked is not None
    assert asked.channel == channel
    assert asked_of(Stream("Muse", "PPG", source_id="Muse00:55"), "Muse00") is None


@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        (["PPG1", "PPG2", "PPG3"], 1),
        (["", "", ""], 1),
        (["red", "ir", "green"], 1),
        (["infrared", "red"], 0),
        (["PPG_IR", "PPG_RED"], 0),
        (["Ambient", "infra-red", "red"], 1),
        (["red", "green"], None),
        (["first", "mirror"], None),
    ],
)
def test_of_several_lights_infrared_is_the_pulse_and_that_is_said(
    labels: list[str], taken: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert pulse_light(labels) == taken
    channels = [Channel(label, kind="PPG") for label in labels]
    if taken is None:
        with pytest.raises(StreamError, match="--stream ppg=NAME:CHANNEL"):
            pick(PPG, "lights", channels)
    else:
        assert pick(PPG, f"lights of {labels}", channels).columns == (taken,)
        assert "infrared light" in caplog.text
    assert pick(PPG, "lights", channels, channel="2").columns == (1,)
    with pytest.raises(StreamError, match="has no channel 9"):
        pick(PPG, "lights", channels, channel="9")


def test_places_are_given_to_channels_without_names_and_to_no_others() -> None:
    anything = dataclasses.replace(EEG, channel_names=())
    places = ("Fp1", "Fp2", "T7", "T8")
    for labels in (
        ["", "", "", ""],
        ["ch1", "ch2", "ch3", "ch4"],
        ["EEG 1", "EEG 2", "EEG 3", "EEG 4"],
    ):
        channels = [Channel("SEQ"), *(Channel(label, "uV") for label in labels)]
        picked = pick(anything, "obci_eeg1", channels, places=places)
        assert (picked.names, picked.columns) == (places, (1, 2, 3, 4))
    wanted = dataclasses.replace(EEG, channel_names=("T8", "Fp1"))
    assert pick(wanted, "obci_eeg1", channels, places=places).columns == (4, 1)
    with pytest.raises(StreamError, match=r"in its order\. Expected 4 names, got 3"):
        pick(wanted, "obci_eeg1", channels, places=places[:3])
    with pytest.raises(StreamError, match="--channels Fp1,Fp2"):
        pick(wanted, "obci_eeg1", channels)
    named = [Channel(label, "uV") for label in places]
    assert pick(wanted, "cap", named, places=("T8", "Fp1")).columns == (3, 0)
    with pytest.raises(
        StreamError,
        match=r"names its channels itself\. Expected Fp1 Fp2 T7 T8, got --channels O1,O2",
    ):
        pick(wanted, "cap", named, places=("O1", "O2"))


def test_the_stream_that_was_there_before_is_taken_again_and_its_newest_outlet() -> None:
    streams = [
        Stream("left", "EDA", "1", created_at_s=10.0),
        Stream("left", "EDA", "1", created_at_s=20.0),
        Stream("right", "EDA", "2", created_at_s=30.0),
    ]
    assert choose(streams, "gsr", name=None, before=("left", "1", "lab")) is streams[1]


def test_a_stream_without_a_rate_and_one_of_texts_are_no_sensors() -> None:
    with pytest.raises(StreamError, match="no sampling rate"):
        choose([Stream("watch", "PPG", rate_hz=0.0)], "ppg", name=None)
    assert choose([Stream("notes", "PPG", numeric=False)], "ppg", name=None) is None


def test_channels_are_matched_by_name_and_units_converted() -> None:
    names = ["T7" if name == "T3" else f"EEG {name}-Pz" for name in reversed(EEG.channel_names)]
    channels = [
        Channel("ADC_Sequence"),
        *(Channel(name, "millivolts") for name in names),
        Channel("TRG"),
    ]
    picked = pick(EEG, "DSI-24", channels)
    assert picked.columns == tuple(range(18, 0, -1))
    assert picked.names == EEG.channel_names
    assert picked.counter == 0
    np.testing.assert_array_equal(picked.factors, 1000.0)


def test_missing_channels_are_named() -> None:
    channels = [Channel(name, "uV") for name in EEG.channel_names if name not in ("Cz", "O2")]
    with pytest.raises(StreamError, match="'cap' lacks channels Cz, O2"):
        pick(EEG, "cap", channels)
    with pytest.raises(StreamError, match=r"lacks channels P3, C3.*no name"):
        pick(EEG, "cap", [Channel("")] * 18)


@pytest.mark.parametrize(
    ("channels", "column"),
    [
        (["anything"], 0),
        (["sequence", "x", "battery"], 1),
        (["CH1", "EDA3"], 1),
        (["red", "gsr"], 1),
    ],
)
def test_the_one_channel_of_a_wrist_sensor_is_found(channels: list[str], column: int) -> None:
    assert pick(GSR, "watch", [Channel(name, "uS") for name in channels]).columns == (column,)


def test_which_of_two_channels_it_is_must_be_clear() -> None:
    with pytest.raises(StreamError, match="Expected one channel, or one called BVP or PPG"):
        pick(PPG, "watch", [Channel("red", kind="PPG"), Channel("green", kind="PPG")])


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("microvolts", 1),
        ("Volts", 1e6),
        ("nanovolt", 1e-3),
        ("uV", 1),
        ("µV", 1),
        ("mv", 1e3),
        ("MV", 1e3),
        ("v", 1e6),
    ],
)
def test_units_are_understood_in_words_and_in_any_case(
    unit: str, factor: float, caplog: pytest.LogCaptureFixture
) -> None:
    picked = pick(EEG, "cap", [Channel(name, unit) for name in EEG.channel_names])
    np.testing.assert_allclose(picked.factors, factor, rtol=1e-15)
    assert not caplog.records


def test_channels_without_names_are_numbered_and_two_of_one_place_refused() -> None:
    anything = dataclasses.replace(EEG, channel_names=())
    channels = [Channel("SEQ"), Channel("", "uV"), Channel("O1", "uV"), Channel("", "uV")]
    assert pick(anything, "cap", channels).names == ("ch2", "O1", "ch4")
    # T7 is the new name of T3.
    twice = [Channel(name, "uV") for name in (*EEG.channel_names, "T7")]
    for wanted in (anything, EEG):
        with pytest.raises(StreamError, match="'cap' has two channels called T7"):
            pick(wanted, "cap", twice)
    # Two of what the model does not ask for are none of its business.
    beside = [*(Channel(name, "uV") for name in EEG.channel_names), Channel("AUX"), Channel("AUX")]
    assert pick(EEG, "cap", beside).columns == tuple(range(len(EEG.channel_names)))
    # A model trained on a recording of unnamed channels finds them again.
    numbered = dataclasses.replace(EEG, channel_names=("ch2", "ch4"))
    assert pick(numbered, "cap", channels).columns == (1, 3)


@pytest.mark.parametrize("unit", ["MOhm", "kOhms", "ohm", "k\u2126", "k\u03a9", "mV", "degC"])
def test_a_unit_of_something_else_is_refused_and_not_guessed(unit: str) -> None:
    with pytest.raises(
        StreamError,
        match=r"gsr: the LSL stream 'watch' is in a unit .* Expected uS or mS .* got '" + unit,
    ):
        pick(GSR, "watch", [Channel("gsr", unit)])


def test_an_unknown_unit_is_said_once_and_the_samples_taken_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        picked = pick(GSR, "odd watch", [Channel("gsr", "furlongs")])
    assert picked.factors.tolist() == [1.0]
    assert [record.message for record in caplog.records] == [
        "gsr: the LSL stream 'odd watch' gives its unit as 'furlongs'; "
        "its samples are taken to be in uS."
    ]


def test_a_description_gives_each_column_its_channel_or_none_a_name() -> None:
    channel = "<channel><label> AF7 </label><unit>microvolts</unit><type>EEG</type></channel>"
    xml = f"<info><name>x</name><desc><channels>{channel}</channels></desc></info>"
    assert channels_of(xml, 1) == [Channel("AF7", "microvolts", "EEG")]
    assert channels_of(xml, 2) == [Channel("")] * 2
    assert channels_of("<info", 1) == [Channel("")]
