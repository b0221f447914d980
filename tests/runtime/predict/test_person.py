"""A person's baseline moves what is valid half of the way, is theirs alone,
and is refused where it does not fit.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emodict.engine.manifest import Manifest
from emodict.engine.model_spec import ModelSpec
from emodict.errors import InputError, PersonError, SpecError
from emodict.features import FeatureStream, extract_features
from emodict.features.spec import FeatureSpec, load_spec
from emodict.features.stream import Unmixed
from emodict.features.windows import concatenate
from emodict.predict.person import (
    Baseline,
    Person,
    Unmixing,
    modality_fingerprint,
    person_as_dict,
    read_person,
    write_person,
)
from emodict.predict.scoring import with_missing_filled
from emodict.recording.recording import Recording, Signal

SPEC = load_spec("emodict-1")
EEG = SPEC.modality("eeg").channel_names
EEG_ONLY = SPEC.with_modalities(["eeg"])
# The promise of docs/features.md. What another order of 300 products can do to a
# logarithm is a hundredth of it.
ATOL = 1e-9
EPS = np.finfo(np.float64).eps


def baseline(name: str, mean: float, spec: FeatureSpec = SPEC) -> Baseline:
    part = spec.token_slices[name]
    shape = (part.stop - part.start, spec.token_width)
    return Baseline(modality_fingerprint(spec, name), 60, np.full(shape, mean), np.ones(shape))


def person(
    names: tuple[str, ...] = ("gsr", "ppg"), *, unmixing: Unmixing | None = None, **changes: Any
) -> Person:
    fields = {"subject_id": "ann", "session_id": "rest", "spec_id": SPEC.id, "unmixing": unmixing}
    baselines = {name: baseline(name, float(i)) for i, name in enumerate(names, start=1)}
    return Person(**{**fields, "baselines": baselines, **changes})


def manifest(spec: FeatureSpec = SPEC, *, rest: float | None = 5.0) -> Manifest:
    means = {
        name: np.full((part.stop - part.start, spec.token_width), rest).tolist()
        for name, part in spec.token_slices.items()
    }
    return Manifest(
        features=spec,
        model=ModelSpec(("a", "b"), spec.modality_names),
        missing_value=np.full((spec.tokens, spec.token_width), 7.0),
        mean_label=np.array([0.5, 0.5]),
        graph_sha256="",
        training={} if rest is None else {"rest": {"people": 3, "mean": means}},
    )


def eeg_recording(
    samples: np.ndarray, *, subject_id: str = "ann", reference: str = "Pz"
) -> Recording:
    signal = Signal("eeg", 300.0, "uV", EEG, samples, reference=reference)
    return Recording("s", subject_id, {"eeg": signal})


def noise(seconds: int = 12, seed: int = 0) -> np.ndarray:
    return 20 * np.random.default_rng(seed).standard_normal((300 * seconds, len(EEG)))


def mixing(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.eye(len(EEG)) + 0.1 * rng.standard_normal((len(EEG), len(EEG)))


def test_features_move_half_of_the_way_from_the_own_rest_to_the_populations() -> None:
    adaptation = person().adapt(manifest())
    assert adaptation.modalities == ("gsr", "ppg")
    assert adaptation.lacking == ("eeg", "video")
    for name, expected in (
        ("eeg", 0.0),
        ("video", 0.0),
        ("gsr", (5 - 1) / 2),
        ("ppg", (5 - 2) / 2),
    ):
        np.testing.assert_array_equal(adaptation.shift[SPEC.token_slices[name]], expected)


def test_only_what_is_valid_is_moved() -> None:
    windows = extract_features(eeg_recording(noise()), SPEC)
    adaptation = person(("eeg", "gsr")).adapt(manifest())
    tokens = with_missing_filled(windows, manifest().missing_value, shift=adaptation.shift)
    eeg, gsr = SPEC.token_slices["eeg"], SPEC.token_slices["gsr"]
    # Half of 5 - 1, and once rounded to the 24 bits of float32.
    np.testing.assert_allclose(tokens[:, eeg], windows.tokens[:, eeg] + 2, rtol=2**-24, atol=0)
    np.testing.assert_array_equal(tokens[:, gsr], 7.0)


def test_a_person_survives_the_file_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    matrix = Unmixing(EEG, "Pz", mixing(), ("component 0: eye blinks",))
    written = person(
        ("eeg", "gsr"), unmixing=matrix, without={"ppg": "3 s valid, 30 needed"}, simulated=True
    )
    path = tmp_path / "person.json"
    write_person(written, path)
    assert person_as_dict(read_person(path)) == person_as_dict(written)
    path.write_text(path.read_text().replace('"ann"', '"bob"'))
    with pytest.raises(PersonError, match="changed after it was written"):
        read_person(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "cannot be read as JSON"),
        ("[1]", "not a person.json"),
        ('{"format": "other"}', "not a person.json"),
        ('{"format": "emodict-person", "format_version": "9"}', "another version"),
        ('{"format": "emodict-person", "format_version": "1"}', "sha256"),
    ],
)
def test_what_is_no_person_is_refused_in_a_sentence(
    tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "person.json"
    path.write_text(content)
    with pytest.raises(PersonError, match=reason):
        read_person(path)
    with pytest.raises(PersonError, match="There is no file"):
        read_person(tmp_path / "none.json")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content["baselines"]["gsr"]["mean"][0].pop(),
        lambda content: content["baselines"]["gsr"]["mean"][0].__setitem__(0, float("nan")),
        lambda content: content["baselines"].clear(),
        lambda content: content.pop("unmixing"),
        lambda content: content["unmixing"]["matrix"].pop(),
        lambda content: content.__setitem__("subject_id", ""),
    ],
)
def test_a_person_that_does_not_fit_together_is_refused_though_its_sum_is_right(
    tmp_path: Path, spoil: Callable[..., Any]
) -> None:
    from emodict.predict.person import _sha256

    content = person_as_dict(person(unmixing=Unmixing(EEG, "Pz", np.eye(18), ())))
    spoil(content)
    path = tmp_path / "person.json"
    path.write_text(json.dumps({**content, "sha256": _sha256(content)}))
    with pytest.raises(PersonError, match="is damaged"):
        read_person(path)


def test_somebody_else_is_refused_with_both_ids() -> None:
    adaptation = person(("eeg",)).adapt(manifest())
    with pytest.raises(PersonError, match=r"'ann'.*'bob'"):
        adaptation.check(eeg_recording(noise(), subject_id="bob"))
    with pytest.raises(PersonError, match="without subject_id"):
        adaptation.check(eeg_recording(noise(), subject_id=""))
    adaptation.check(eeg_recording(noise()))


def test_an_unmixing_matrix_is_for_one_reference() -> None:
    adaptation = person(("eeg",), unmixing=Unmixing(EEG, "Pz", mixing(), ())).adapt(manifest())
    with pytest.raises(PersonError, match=r"reference Pz, got A1"):
        adaptation.check(eeg_recording(noise(), reference="A1"))
    adaptation.check(eeg_recording(noise(), reference=""))


def test_baselines_of_other_features_are_refused_and_a_subset_of_the_modalities_is_not() -> None:
    assert person().adapt(manifest(SPEC.with_modalities(["ppg"]))).modalities == ("ppg",)
    gsr = dataclasses.replace(SPEC.modality("gsr"), valid_range=(0.0, 50.0))
    others = dataclasses.replace(
        SPEC, id="mine", modalities=tuple(gsr if m.name == "gsr" else m for m in SPEC.modalities)
    )
    with pytest.raises(SpecError, match="different features of gsr"):
        person().adapt(manifest(others))
    with pytest.raises(PersonError, match="no baseline that this model can use"):
        person().adapt(manifest(SPEC.with_modalities(["video"])))


def test_a_model_that_knows_nobody_at_rest_is_refused() -> None:
    with pytest.raises(PersonError, match="does not know how people are at rest"):
        person().adapt(manifest(rest=None))
    broken = manifest(rest=float("nan"))
    with pytest.raises(PersonError, match="damaged"):
        person().adapt(broken)


def test_unmixing_multiplies_each_sample_by_the_matrix() -> None:
    samples, matrix = noise(), mixing()
    # The same matrix on the recording itself, before there are any windows.
    expected = extract_features(eeg_recording(samples @ matrix.T), EEG_ONLY)
    got = extract_features(eeg_recording(samples), EEG_ONLY, unmixing=matrix)
    # The filter settles in the first second.
    assert got.valid[1:].all()
    np.testing.assert_array_equal(got.valid, expected.valid)
    np.testing.assert_allclose(got.tokens, expected.tokens, rtol=0, atol=ATOL)
    assert (
        np.abs(got.tokens - extract_features(eeg_recording(samples), EEG_ONLY).tokens)[1:].max()
        > 0.1
    )


def test_a_stream_unmixes_as_the_batch_does() -> None:
    samples, matrix = noise(), mixing()
    samples[2000:2100, 3] = np.nan
    expected = extract_features(eeg_recording(samples), EEG_ONLY, unmixing=matrix)
    stream = FeatureStream(EEG_ONLY, {"eeg": 300.0}, unmixing=matrix)
    cuts = np.cumsum(np.random.default_rng(3).integers(1, 900, 30))
    got = concatenate(
        EEG_ONLY, [*(stream.push("eeg", part) for part in np.split(samples, cuts)), stream.finish()]
    )
    np.testing.assert_array_equal(got.valid, expected.valid)
    assert 0 < expected.valid.sum() < len(expected)
    np.testing.assert_allclose(got.tokens, expected.tokens, rtol=0, atol=ATOL)


class _Unchanged:
    """The features of which are the samples themselves."""

    def values(self, windows: np.ndarray) -> np.ndarray:
        return windows.copy()


def test_unmixed_samples_are_the_same_in_blocks_of_any_size_and_nan_spreads_over_channels() -> None:
    windows, matrix = noise().reshape(12, 300, -1), mixing()
    windows[4, 7, 2] = np.nan
    unmixed = Unmixed(_Unchanged(), matrix)
    together = unmixed.values(windows)
    one_by_one = np.concatenate([unmixed.values(windows[i : i + 1]) for i in range(12)])
    # Two sums of 18 products each, in any order.
    rounding = 2 * 18 * EPS / 2 * (np.abs(windows) @ np.abs(matrix.T))
    rounding[4, 7] = 0.0
    for other in (one_by_one, unmixed.values(np.asfortranarray(windows))):
        assert np.array_equal(np.isnan(other), np.isnan(together))
        assert (np.nan_to_num(np.abs(other - together)) <= rounding).all()
    # Even through a matrix that does not look at the missing channel.
    missing = np.isnan(
        Unmixed(_Unchanged(), np.diag(np.arange(18) != 2).astype(float)).values(windows)
    )
    assert missing[4, 7].all()
    assert missing.sum() == 18


def test_bad_channels_cannot_hide_behind_the_matrix() -> None:
    samples = noise()
    samples[1500:1900, 5] = 5000.0
    plain = extract_features(eeg_recording(samples), EEG_ONLY)
    assert not plain.valid.all()
    got = extract_features(
        eeg_recording(samples), EEG_ONLY, unmixing=np.diag(np.arange(18) != 5) + 0.01
    )
    assert not (got.valid & ~plain.valid).any()
    assert not np.isfinite(got.tokens[~got.valid[:, 0]]).any()


def test_the_matrix_follows_the_channels_names() -> None:
    matrix = mixing()
    back = tuple(reversed(EEG))
    unmixing = Unmixing(EEG, "Pz", matrix, ())
    np.testing.assert_array_equal(unmixing.in_order(back), matrix[::-1, ::-1])
    modern = ["T7" if name == "T3" else name for name in EEG]
    np.testing.assert_array_equal(unmixing.in_order(modern), matrix)
    with pytest.raises(PersonError, match="other EEG channels"):
        unmixing.in_order(EEG[:-1])
    with pytest.raises(InputError, match="does not fit the EEG"):
        extract_features(eeg_recording(noise()), EEG_ONLY, unmixing=np.eye(3))


def test_each_modality_without_a_baseline_is_named_with_the_reason() -> None:
    known = manifest()
    rest = known.training["rest"]
    without_gsr = {
        **rest,
        "mean": {name: mean for name, mean in rest["mean"].items() if name != "gsr"},
    }
    adaptation = person(without={"eeg": "3 s valid, 30 needed"}).adapt(
        dataclasses.replace(known, training={"rest": without_gsr})
    )
    assert adaptation.describe() == (
        "Baseline of subject ann applied to ppg; none for eeg (3 s valid, 30 needed), "
        "gsr (the model knows no rest of it), video (not in the person.json)"
    )
