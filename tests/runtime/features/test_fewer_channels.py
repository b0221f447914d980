"""EEG of fewer, or other, channels than a spec ships with: derived specs,
the same numbers, and refusals.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emodict.engine.model_spec import ModelSpec
from emodict.errors import InputError, RecordingError, SpecError
from emodict.features import FeatureStream, extract_features
from emodict.features.spec import (
    FeatureSpec,
    load_spec,
    require_known_spec,
    require_same_spec,
    spec_from_dict,
    spec_ids,
)
from emodict.features.windows import assemble, ready_made_rows
from emodict.predict.scoring import table_for_model
from emodict.recording.electrodes import ELECTRODES, electrode_names
from emodict.recording.recording import Recording, Signal
from emodict_desk.sensors import Sensors, sensors_from_options
from emodict_desk.tables.table import FeatureTable, read_table, write_table

EMODICT, SAMPLE = load_spec("emodict-1"), load_spec("dmer-sample")
BAND = ("AF7", "AF8", "TP9", "TP10")
# Neither in the order of the spec nor in the order of the alphabet.
FOUR = ("O2", "F3", "Fp1", "T4")
# Of 300 products each is rounded by 1.1e-16, and together they are up to 100 times as large as what
# is left of them in a narrow band: 3e-12 of its logarithm, and the filter's state as much again.
OTHER_WIDTH = 1e-11


def recording(
    channels: tuple[str, ...], *, seconds: int = 12, seed: int = 0, **samples_of: Any
) -> Recording:
    """EEG, PPG and GSR; the noise of a channel hangs on its name alone."""
    rng = {
        name: np.random.default_rng([seed, *name.encode()]) for name in (*channels, "ppg", "gsr")
    }
    eeg = np.stack([20 * rng[name].standard_normal(300 * seconds) for name in channels], axis=1)
    for name, samples in samples_of.items():
        eeg[:, channels.index(name)] = samples
    time_s = np.arange(100 * seconds)[:, None] / 100
    signals = {
        "eeg": Signal("eeg", 300.0, "uV", tuple(channels), eeg),
        "ppg": Signal(
            "ppg",
            100.0,
            "a.u.",
            ("ppg",),
            np.sin(7.5 * time_s) + 0.1 * rng["ppg"].random(time_s.shape),
        ),
        "gsr": Signal("gsr", 4.0, "uS", ("gsr",), 5 + rng["gsr"].random((4 * seconds, 1))),
    }
    return Recording("s", "p", signals)


def table_of(spec: FeatureSpec, *, rows: int = 3, seed: int = 0) -> FeatureTable:
    rng = np.random.default_rng(seed)
    parts = {
        m.name: ready_made_rows(rng.standard_normal((rows, *m.shape))) for m in spec.modalities
    }
    windows = assemble(spec, np.arange(float(rows)), parts)
    labels = rng.dirichlet(np.ones(2), rows)
    return FeatureTable(
        windows, ("a", "b"), labels, np.full(rows, "p"), np.full(rows, "t"), "table"
    )


# ---- the spec ----


def test_the_specs_own_channels_give_the_spec_itself() -> None:
    for spec_id in spec_ids():
        spec = load_spec(spec_id)
        if spec.channel_names:
            assert spec.with_channels(spec.channel_names) == spec
            assert spec.sensors == "+".join(spec.modality_names)


def test_a_headbands_spec_has_its_channels_names_and_tokens() -> None:
    spec = EMODICT.with_channels(BAND)
    eeg = spec.modality("eeg")
    assert (eeg.channel_names, eeg.shape) == (BAND, (5, 4))
    assert eeg.feature_names[:5] == (
        "delta_AF7",
        "delta_AF8",
        "delta_TP9",
        "delta_TP10",
        "theta_AF7",
    )
    # 20 features take two tokens of 18; gsr, ppg and video stay as they are.
    assert {name: s.stop - s.start for name, s in spec.token_slices.items()} == {
        "eeg": 2,
        "gsr": 2,
        "ppg": 2,
        "video": 2,
    }
    assert spec.modalities[1:] == EMODICT.modalities[1:]
    assert "eeg[AF7 AF8 TP9 TP10]+gsr+ppg+video" in str(spec)


def test_band_by_band_for_each_channel_stays_so_even_with_as_many_channels_as_bands() -> None:
    # dmer-sample: 4 bands; with 4 channels the shape (4, 4) no longer says which axis is which.
    spec = SAMPLE.with_channels(("Fz", "Cz", "P3", "P4"))
    eeg = spec.modality("eeg")
    assert eeg.shape == (4, 4)
    assert eeg.feature_names[:5] == ("theta_Fz", "alpha_Fz", "beta_Fz", "gamma_Fz", "theta_Cz")
    assert not eeg.band_major
    assert not eeg.with_channels(("Fz", "Cz")).band_major
    assert EMODICT.with_channels(("Fz", "Cz", "P3", "P4", "O1")).modality("eeg").band_major
    assert EMODICT.with_channels(("Fz",)).modality("eeg").band_major


def test_fingerprints_tell_channels_and_their_order_apart_and_stay_the_same() -> None:
    chosen = [BAND, BAND[::-1], BAND[:3], FOUR, ("Fz",), EMODICT.channel_names]
    prints = [EMODICT.with_channels(names).fingerprint for names in chosen]
    assert len(set(prints)) == len(prints)
    # Written down when this was made: models in the field carry them.
    assert prints[0] == "e930af82564c0c1a"
    assert EMODICT.with_channels(("af7", "AF8 ", "EEG TP9-Fpz", "tp10")).fingerprint == prints[0]


def test_a_place_with_two_names_is_one_electrode() -> None:
    today, then = (
        EMODICT.with_channels(("T7", "T8", "P7", "P8")),
        EMODICT.with_channels(("T3", "T4", "T5", "T6")),
    )
    assert today == then
    assert today.channel_names == ("T3", "T4", "T5", "T6")


def test_modalities_and_channels_can_be_chosen_in_either_order() -> None:
    one = EMODICT.with_modalities(("eeg", "ppg")).with_channels(BAND)
    assert one == EMODICT.with_channels(BAND).with_modalities(("ppg", "eeg"))
    assert one.channel_names == BAND
    assert EMODICT.with_channels(BAND).with_modalities(("ppg", "gsr")) == EMODICT.with_modalities(
        ("ppg", "gsr")
    )


def test_every_electrode_of_the_systems_is_known_once() -> None:
    ten_twenty = "Fp1 Fp2 F7 F3 Fz F4 F8 T3 C3 Cz C4 T4 T5 P3 Pz P4 T6 O1 O2 A1 A2"
    # The electrodes of a common cap of 64 (BioSemi), a list from elsewhere.
    cap = (
        "Fp1 AF7 AF3 F1 F3 F5 F7 FT7 FC5 FC3 FC1 C1 C3 C5 T7 TP7 CP5 CP3 CP1 P1 P3 P5 P7 P9 PO7 "
        "PO3 O1 Iz Oz POz Pz "
        "CPz Fpz Fp2 AF8 AF4 AFz Fz F2 F4 F6 F8 FT8 FC6 FC4 FC2 FCz Cz C2 C4 C6 T8 TP8 CP6 CP4 "
        "CP2 P2 P4 P6 P8 P10 "
        "PO8 PO4 O2"
    )
    assert len(electrode_names(re.split(" ", ten_twenty))) == 21
    assert len(set(electrode_names(re.split(" ", cap)))) == 64
    assert len(set(ELECTRODES)) == len(ELECTRODES)
    assert set(EMODICT.channel_names) <= set(ELECTRODES)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("AF7", "TP11"), r"'TP11': no such electrode.*Did you mean TP10"),
        (("AFF7",), r"'AFF7'.*Did you mean AF7"),
        (("left", "right"), r"'left', 'right': no such electrode"),
        (("T3", "O1", "T7"), r"twice.*got T3 and T7 \(two names of one electrode\)"),
        (("Fz", "Fz"), r"twice.*got Fz and Fz\."),
        ((), "no EEG channel"),
    ],
)
def test_channels_that_cannot_be_are_refused(names: tuple[Any, ...], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        EMODICT.with_channels(names)


def test_a_spec_without_eeg_has_no_channels_to_choose() -> None:
    for spec in (load_spec("edl-89"), EMODICT.with_modalities(("ppg",))):
        with pytest.raises(SpecError, match="no EEG in feature spec"):
            spec.with_channels(BAND)


@pytest.mark.parametrize("spec_id", ["emodict-1", "dmer-sample"])
def test_a_derived_spec_is_known_again_from_a_file_and_a_changed_one_is_not(spec_id: str) -> None:
    spec = load_spec(spec_id).with_modalities(("eeg", "gsr")).with_channels(BAND)
    again = spec_from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    require_known_spec(again, source="a.onnx", fingerprint=spec.fingerprint)

    content = spec.to_dict()
    content["modalities"][0]["spectrum"]["log_offset"] += 1e-3
    forged = spec_from_dict(content)
    with pytest.raises(
        SpecError, match=r"other features than this emodict computes.*AF7 AF8 TP9 TP10"
    ):
        require_known_spec(forged, source="a.onnx", fingerprint=forged.fingerprint)


def test_two_devices_are_told_apart_by_their_channels() -> None:
    with pytest.raises(SpecError, match=r"eeg\[AF7 AF8 TP9 TP10\].*eeg\[Fz Cz\]"):
        require_same_spec(
            EMODICT.with_channels(BAND),
            EMODICT.with_channels(("Fz", "Cz")),
            ours_is="The model",
            theirs_is="t",
        )


# ---- the features ----


@pytest.mark.parametrize("spec_id", ["emodict-1", "emodict-1-60hz", "dmer-2024", "dmer-sample"])
def test_four_of_the_channels_give_the_numbers_that_they_have_among_all(spec_id: str) -> None:
    spec = load_spec(spec_id)
    whole = extract_features(recording(spec.channel_names), spec)
    few = extract_features(recording(spec.channel_names), spec.with_channels(FOUR))
    columns = [spec.channel_names.index(name) for name in FOUR]
    axis = 1 if spec_id == "dmer-sample" else 2
    assert few.valid.any()
    np.testing.assert_array_equal(few.valid, whole.valid)
    picked = np.take(whole.features("eeg"), columns, axis=axis)
    np.testing.assert_allclose(few.features("eeg"), picked, rtol=0, atol=OTHER_WIDTH)
    for name in ("gsr", "ppg"):
        # The same samples in the same blocks: the very same calls.
        np.testing.assert_array_equal(few.features(name), whole.features(name))


def test_a_recording_with_more_channels_in_another_order_gives_the_same() -> None:
    spec = EMODICT.with_channels(BAND)
    exactly = extract_features(recording(BAND), spec)
    more = extract_features(recording(("Fz", "TP10", "AF8", "TP9", "Cz", "AF7")), spec)
    assert exactly.valid[:, :3].all()
    # Samples of which columns were picked may lie otherwise in memory,
    # and then BLAS takes another way.
    np.testing.assert_allclose(more.tokens, exactly.tokens, rtol=0, atol=OTHER_WIDTH)


def test_a_channel_that_the_model_does_not_use_may_be_broken() -> None:
    spec = EMODICT.with_channels(BAND)
    broken = recording((*BAND, "Fz"), Fz=np.nan)
    got, expected = (extract_features(whole, spec).tokens for whole in (broken, recording(BAND)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=OTHER_WIDTH)
    used = extract_features(recording((*BAND, "Fz"), TP9=np.nan), spec)
    assert not used.valid[:, 0].any()


def test_a_stream_of_four_channels_is_the_batch_whatever_the_chunks() -> None:
    spec = EMODICT.with_modalities(("eeg", "gsr", "ppg")).with_channels(BAND)
    whole = recording(BAND)
    batch = extract_features(whole, spec)
    stream = FeatureStream(spec, {"eeg": 300.0, "gsr": 4.0, "ppg": 100.0})
    rng, at, parts = np.random.default_rng(1), dict.fromkeys(whole.signals, 0), []
    while any(at[m] < s.sample_count for m, s in whole.signals.items()):
        for name, signal in whole.signals.items():
            step = int(rng.integers(1, 2 * signal.rate_hz))
            parts.append(stream.push(name, signal.read(at[name], at[name] + step)))
            at[name] += step
    parts.append(stream.finish())
    tokens = np.concatenate([part.tokens for part in parts])
    # The promise of docs/features.md.
    np.testing.assert_allclose(tokens, batch.tokens, rtol=1e-9, atol=1e-9)


def test_a_missing_channel_is_named_with_those_that_are_needed() -> None:
    with pytest.raises(
        RecordingError, match=r"channel TP9 missing.*AF7 AF8 TP9 TP10.*got AF7 AF8 TP10"
    ):
        extract_features(recording(("AF7", "AF8", "TP10")), EMODICT.with_channels(BAND))


def test_a_lone_channel_is_not_taken_for_another_one() -> None:
    spec = EMODICT.with_channels(("Fz",))
    assert extract_features(recording(("Fz",)), spec).valid[1:, 0].all()
    with pytest.raises(RecordingError, match=r"channel Fz missing.*got O1"):
        extract_features(recording(("O1",)), spec)


# ---- tables ----


@pytest.mark.parametrize("spec", [EMODICT, SAMPLE], ids=str)
def test_channels_of_a_table_are_picked_by_their_feature_names(spec: FeatureSpec) -> None:
    table = table_of(spec)
    few = table.with_channels(FOUR)
    values_of = table.windows.features("eeg").reshape(3, -1).T
    flat = dict(zip(spec.modality("eeg").feature_names, values_of, strict=True))
    got = few.windows.features("eeg").reshape(3, -1).T
    for name, values in zip(few.spec.modality("eeg").feature_names, got, strict=True):
        np.testing.assert_array_equal(values, flat[name])
    np.testing.assert_array_equal(few.windows.features("video"), table.windows.features("video"))
    assert few.spec == spec.with_channels(FOUR)


def test_a_row_that_is_not_valid_stays_so_and_holds_no_number() -> None:
    table = table_of(EMODICT)
    windows = table.windows
    windows.valid[1, 0] = False
    windows.tokens[1, windows.spec.token_slices["eeg"]] = np.nan
    few = table.with_channels(FOUR).windows
    np.testing.assert_array_equal(few.valid, windows.valid)
    assert np.isnan(few.tokens[1, few.spec.token_slices["eeg"]]).all()


def test_a_table_of_fewer_channels_survives_its_file(tmp_path: Path) -> None:
    table = table_of(EMODICT.with_channels(BAND))
    write_table(table, tmp_path / "t.npz")
    again = read_table(tmp_path / "t.npz")
    assert again.spec == table.spec
    np.testing.assert_array_equal(again.windows.tokens, table.windows.tokens)


def test_ready_made_features_of_a_channel_that_is_not_there_cannot_be_chosen() -> None:
    with pytest.raises(
        SpecError, match=r"ready-made, and there are none of EEG channels AF7, AF8.*some of P3 C3"
    ):
        table_of(SAMPLE).with_channels(("AF7", "Fz", "AF8"))


def test_a_model_takes_its_channels_from_a_table_of_more_and_refuses_one_of_others() -> None:
    table = table_of(EMODICT)
    for names in (FOUR, EMODICT.channel_names[::-1]):
        features = EMODICT.with_modalities(("eeg", "ppg")).with_channels(names)
        model = ModelSpec(("a", "b"), features.modality_names, ())
        got = table_for_model(table, features, model)
        assert got.spec == features
        np.testing.assert_array_equal(
            got.windows.features("eeg"), table.with_channels(names).windows.features("eeg")
        )
    with pytest.raises(SpecError, match=r"The model and table use different features.*eeg\[AF7"):
        table_for_model(
            table, EMODICT.with_channels(BAND), ModelSpec(("a", "b"), EMODICT.modality_names, ())
        )


# ---- what a user asks for ----


def test_sensors_are_read_from_the_options() -> None:
    assert sensors_from_options(None, None) == Sensors()
    sensors = sensors_from_options("eeg, ppg", "af7,TP9")
    assert (sensors.modalities, sensors.channels) == (("eeg", "ppg"), ("AF7", "TP9"))
    assert sensors.of(EMODICT) == EMODICT.with_modalities(("eeg", "ppg")).with_channels(
        ("AF7", "TP9")
    )
    assert sensors_from_options("ppg,gsr", None).of(
        table_of(EMODICT)
    ).spec == EMODICT.with_modalities(("ppg", "gsr"))


@pytest.mark.parametrize(
    ("modalities", "channels", "said"),
    [
        ("ppg,gsr", "AF7", "channels are chosen for a model without EEG.*--modalities eeg,ppg,gsr"),
        (None, "", "--channels names nothing"),
        (" , ", None, "--modalities names nothing"),
        (None, "T3,T7", "two names of one electrode"),
    ],
)
def test_sensors_that_cannot_be_are_the_users_input(
    modalities: str | None, channels: str | None, said: str
) -> None:
    with pytest.raises(InputError, match=said) as refused:
        sensors_from_options(modalities, channels)
    assert refused.value.exit_code == 2


def test_the_electrodes_have_places_that_no_two_share() -> None:
    scalp = pytest.importorskip("emodict_train.simulate.scalp", reason="the simulation needs scipy")
    at = scalp.places(ELECTRODES)
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(at, 2)]
    assert min(distances) > 0.05
    for name, (x, _) in zip(ELECTRODES, at, strict=True):
        # Odd numbers are on the left of the head, even ones on the right.
        digits = "".join(c for c in name if c.isdigit())
        assert np.sign(x) == (0 if not digits else -1 if int(digits) % 2 else 1), name
