"""The numbers of the C file, without a compiler."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import signal
from tests.export.c.conftest import MakeC, MakeCheckpoint

from emodict.engine.model_spec import ModelSpec
from emodict.errors import EmodictError, InputError, SpecError
from emodict.features.spec import FeatureSpec, FilterSpec, load_spec
from emodict.recording.electrodes import ELECTRODES
from emodict_export.c import export as export_module
from emodict_export.c import export_c
from emodict_export.c.limits import float_limits, require_writable
from emodict_export.c.literals import comment, number, string
from emodict_export.c.plan import make_plan
from emodict_export.c.sections import Cascade, cascade
from emodict_export.c.weights import Written, write_linear
from emodict_export.fold import Affine
from emodict_train.model.checkpoint import Checkpoint

SPEC = load_spec("emodict-1")
EEG, PPG, GSR = (SPEC.modality(name) for name in ("eeg", "ppg", "gsr"))


@pytest.mark.parametrize("value", [0.1, 1.0, -2.5e-30, 3.4e38, 1e-45, 16777216.0, 0.0])
def test_a_literal_is_read_back_as_the_same_float(value: float) -> None:
    text = number(value)
    assert text.endswith("f")
    assert re.search(r"[.e]", text)  # else C would read a whole number with a wrong ending
    assert np.float32(text[:-1]) == np.float32(value)


def test_what_a_float_does_not_hold_is_not_written() -> None:
    with pytest.raises(ValueError, match="not a number that a float holds"):
        number(np.inf)


def test_a_name_is_a_string_of_c_whatever_stands_in_it() -> None:
    # Octal digits are three at most, so what follows them is not swallowed; ?? begins a trigraph.
    assert string('Furcht "1"') == r'"Furcht \0421\042"'
    assert string("gl\u00fccklich") == r'"gl\303\274cklich"'
    assert string("a\\b??") == r'"a\134b\077\077"'


def test_a_comment_does_not_end_early() -> None:
    assert comment("a */ b /* c\nd") == "a * / b / * c d"


HIGHPASS = signal.butter(1, 0.2, "high", output="sos")
FILTERS = {
    "eeg": EEG.filter,
    "ppg": PPG.filter,
    "60 Hz": load_spec("emodict-1-60hz").modality("eeg").filter,
    "real poles": FilterSpec("causal", tuple(map(tuple, HIGHPASS))),
    "double poles": FilterSpec("causal", ((1.0, -2.0, 1.0, 1.0, -1.0, 0.25),)),
}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_the_sections_of_c_filter_as_scipys_do(name: str) -> None:
    """In float32 on the offset of an electrode, from the state of rest that each begins with."""
    filter_ = FILTERS[name]
    assert filter_ is not None
    rng = np.random.default_rng(0)
    x = 20 * np.cumsum(rng.standard_normal(600)) * 0.99 ** np.arange(600) + 50.0
    sos = np.array(filter_.sos)
    expected, _ = signal.sosfilt(sos, x, zi=signal.sosfilt_zi(sos) * x[0])
    found = run(cascade(name, filter_.sos), (x - x[0]).astype(np.float32))
    # Some dozen roundings of float32 a sample, none of which grows.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


def run(filter_: Cascade, x: np.ndarray) -> np.ndarray:
    """The recursion of source/sections.c, step by step."""
    for part in filter_.sections:
        hold, across, turn, tap1, tap2 = map(
            np.float32, (part.hold, part.across, part.turn, part.tap1, part.tap2)
        )
        first = second = np.float32(0)
        out = np.empty_like(x)
        for i, sample in enumerate(x):
            out[i] = sample + tap1 * first + tap2 * second
            first, second = (
                sample + across * second + hold * first,
                turn * first + hold * second,
            )
        x = out
    return np.float32(filter_.gain) * x


def test_the_state_of_rest_is_where_a_constant_brings_the_first_section() -> None:
    part = cascade("eeg", EEG.filter.sos).sections[0]
    first, second = part.rest1, part.rest2
    # One step of the recursion on a constant 1 changes nothing, and lets nothing through.
    assert part.hold * first + part.across * second + 1 == pytest.approx(first, rel=1e-12)
    assert part.turn * first + part.hold * second == pytest.approx(second, rel=1e-12)
    assert 1 + part.tap1 * first + part.tap2 * second == pytest.approx(0, abs=1e-12)


LOWPASS: Sequence[Sequence[float]] = ((0.2, 0.4, 0.2, 1.0, -0.4, 0.2),)
LATE: Sequence[Sequence[float]] = ((0.0, 1.0, -1.0, 1.0, -0.4, 0.2),)


@pytest.mark.parametrize("sos", [LOWPASS, LATE])
def test_a_filter_that_c_cannot_begin_at_rest_is_refused(sos: Sequence[Sequence[float]]) -> None:
    with pytest.raises(SpecError, match="stops constants"):
        cascade("eeg", sos)


def test_limits_are_the_last_floats_within_the_range() -> None:
    lower, upper = float_limits(GSR)
    # 0.001 lies between two floats: the greater one is within, and 100 is a float.
    assert lower >= 0.001 > np.nextafter(np.float32(lower), np.float32(0))
    assert upper == 100.0
    assert float_limits(SPEC.modality("video")) == (
        -np.finfo(np.float32).max,
        np.finfo(np.float32).max,
    )


def test_weights_of_one_byte_are_off_by_half_a_step_at_most(rng: np.random.Generator) -> None:
    affine = Affine(rng.standard_normal((20, 7)) * 10.0 ** rng.uniform(-3, 3, 7), np.ones(7))
    written = write_linear(affine, "int8")
    step = np.abs(affine.weight).max(axis=0) / 127
    assert written.scale is not None
    error = np.abs(written.weights * written.scale.astype(np.float64) - affine.weight)
    assert (error <= 0.5001 * step).all()  # and the rounding of the scale to float32


def test_an_output_without_weights_stays_0() -> None:
    written = write_linear(Affine(np.zeros((3, 2)), np.array([0.0, 1.0])), "int8")
    np.testing.assert_array_equal(written.apply(np.ones((1, 3), np.float32)), [[0, 1]])


def test_four_outputs_stand_side_by_side_for_each_input() -> None:
    weights = np.arange(2 * 6, dtype=np.float32).reshape(2, 6)
    packed = Written(weights, None, None).packed
    np.testing.assert_array_equal(packed, [0, 1, 2, 3, 6, 7, 8, 9, 4, 5, 0, 0, 10, 11, 0, 0])


def test_a_spec_that_cannot_stream_is_refused() -> None:
    with pytest.raises(SpecError, match=r"dmer-2024 cannot stream.*--spec emodict-1"):
        require_writable(load_spec("dmer-2024"))


def test_a_filter_that_settles_for_longer_than_a_byte_counts_is_refused() -> None:
    def settling(settle_s: float) -> FeatureSpec:
        return dataclasses.replace(SPEC, modalities=(dataclasses.replace(EEG, settle_s=settle_s),))

    require_writable(settling(254.0))
    for settle_s in (254.5, 300.0):
        with pytest.raises(SpecError, match=f"settles for {settle_s:g} s"):
            require_writable(settling(settle_s))


def test_features_without_a_raw_form_are_refused() -> None:
    with pytest.raises(SpecError, match="have no raw form"):
        require_writable(load_spec("edl-89"))


@pytest.mark.parametrize(
    ("channels", "needed"), [(18, "29.3 KiB"), (64, "90.2 KiB")], ids=["18 channels", "64 channels"]
)
def test_a_model_that_does_not_fit_in_the_ram_is_refused_with_the_number(
    channels: int, needed: str, trained: MakeCheckpoint, tmp_path: Path
) -> None:
    names = ELECTRODES[:channels] if channels > 18 else None
    checkpoint = trained("emodict-1", channels=names)
    with pytest.raises(InputError) as refused:
        export_c(checkpoint, tmp_path / "model.c", ram_bytes=16 * 1024)
    for words in ("at most 16.0 KiB", needed, f"eeg ({channels} channels)", "--channels"):
        assert words in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_the_models_are_not_written(
    trained: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = export_module.write_network

    def broken(*given: object) -> object:
        written = original(*given)  # type: ignore[arg-type]
        written.linears["lbl2"].weights[:] += 0.01
        return written

    monkeypatch.setattr(export_module, "write_network", broken)
    with pytest.raises(EmodictError, match="does not compute what the torch model computes"):
        export_c(trained("emodict-1"), tmp_path / "model.c")
    assert not list(tmp_path.iterdir())


def test_the_header_says_which_model_it_is(exported: MakeC, realistic: MakeCheckpoint) -> None:
    header = (exported("headband") / "model.h").read_text(encoding="utf-8")
    checkpoint: Checkpoint = realistic("headband")
    assert f'FINGERPRINT "{checkpoint.features.fingerprint}"' in header
    assert re.search(r'#define EMODICT_MODEL_SHA256 "[0-9a-f]{64}"', header)
    assert "#define EMODICT_EEG_CHANNELS 4\n" in header
    assert "AF7 AF8 TP9 TP10" in header
    # Arguments of modalities that the model does not have are left out.
    signature = header[header.index("void emodict_second") :]
    assert "eeg" in signature
    assert "ppg" not in signature


def test_the_plan_counts_every_float_of_the_features() -> None:
    plan = make_plan(SPEC, ModelSpec(("calm", "glad"), SPEC.modality_names))
    assert plan.feature_floats == 11 * 18
    assert plan.input_bytes == 4 * (300 * 18 + 4 + 100 + 32)
