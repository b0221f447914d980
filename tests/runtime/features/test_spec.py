"""Feature specs as data: what ships, what a fingerprint covers, what is refused."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from emodict.errors import SpecError
from emodict.features.spec import (
    FilterSpec,
    load_spec,
    require_known_spec,
    require_same_spec,
    spec_from_dict,
    spec_ids,
)

MAKE_SPECS = Path(__file__).resolve().parents[3] / "tools" / "make_specs.py"


@pytest.fixture(scope="module")
def make_specs() -> ModuleType:
    loader = importlib.util.spec_from_file_location("make_specs", MAKE_SPECS)
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    return module


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """(path, value) of every number and word in nested JSON, one of each list."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*path, key))
    elif isinstance(content, list):
        if content:
            yield from leaves(content[0], (*path, 0))
    else:
        yield path, content


def changed(content: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(content))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


def test_the_shipped_files_are_what_the_tool_makes(make_specs: ModuleType) -> None:
    made = {spec.id: spec for spec in make_specs.all_specs()}
    assert sorted(made) == spec_ids()
    for spec_id, spec in made.items():
        shipped = load_spec(spec_id)
        assert shipped == spec
        assert shipped.fingerprint == spec.fingerprint


@pytest.mark.parametrize("spec_id", spec_ids())
def test_a_spec_survives_its_way_through_json(spec_id: str) -> None:
    spec = load_spec(spec_id)
    again = spec_from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.fingerprint == spec.fingerprint


def test_every_spec_has_its_own_fingerprint() -> None:
    assert len({load_spec(i).fingerprint for i in spec_ids()}) == len(spec_ids())


def test_the_fingerprint_changes_with_every_number_and_name_but_not_with_the_description() -> None:
    spec = load_spec("emodict-1")
    content = spec.to_dict()
    tried = 0
    for path, value in leaves(content):
        if isinstance(value, bool) or value is None:
            continue
        other = value + "x" if isinstance(value, str) else value + 1
        try:
            variant = spec_from_dict(changed(content, path, other))
        except SpecError:
            continue
        tried += 1
        assert (variant.fingerprint == spec.fingerprint) == (path == ("description",)), path
    # Some changes are refused outright (a0, the kinds, sizes that must agree);
    # most must have been tried.
    assert tried > 15


def test_one_coefficient_in_the_last_place_changes_the_fingerprint() -> None:
    spec = load_spec("emodict-1")
    content = spec.to_dict()
    path = ("modalities", 0, "filter", "sos", 0, 0)
    value = content["modalities"][0]["filter"]["sos"][0][0]
    assert (
        spec_from_dict(changed(content, path, value * (1 + 2e-16))).fingerprint != spec.fingerprint
    )


def test_the_samples_bands_are_ten_bins_a_hertz_but_for_the_last_two() -> None:
    # 1024 / 100 = 10.24, which the released code cuts to 10; its range ends before hi * 10 - 1.
    for name in ("eeg", "ppg"):
        bins = [
            (b.first_bin, b.first_bin + len(b.weights) - 1)
            for b in load_spec("dmer-sample").modality(name).bands
        ]
        assert bins == [(40, 78), (80, 138), (140, 308), (310, 448)]
    gsr = [
        (b.first_bin, b.first_bin + len(b.weights) - 1)
        for b in load_spec("dmer-sample").modality("gsr").bands
    ]
    assert gsr == [(0, 7), (9, 17), (19, 26), (28, 30)]


def test_the_rule_for_constant_windows_is_written_only_where_it_is_set() -> None:
    usable = {
        spec_id: [
            m["name"] for m in load_spec(spec_id).to_dict()["modalities"] if "constant_usable" in m
        ]
        for spec_id in spec_ids()
    }
    assert {spec_id: names for spec_id, names in usable.items() if names} == {
        "dmer-2024": ["gsr", "ppg"],
        "dmer-2024-lbptop": ["gsr", "ppg"],
        "dmer-sample": ["gsr", "ppg"],
    }
    spec = load_spec("dmer-sample")
    content = spec.to_dict()
    plain = spec_from_dict(changed(content, ("modalities", 1, "constant_usable"), False))
    assert plain.fingerprint != spec.fingerprint
    assert "constant_usable" not in plain.to_dict()["modalities"][1]


@pytest.mark.parametrize(
    ("spec_id", "fingerprint"),
    [
        ("emodict-1", "3c162473995f32fe"),
        ("emodict-1-60hz", "62a23a1e12e2a25f"),
        ("emodict-1-hog", "acb3e6fcc2c8c5cc"),
        ("emodict-1-hog-60hz", "4609990ecd6ab456"),
        ("edl-89", "3604b2b919d44ecf"),
    ],
)
def test_the_fingerprints_of_version_0_1_0_stand_but_for_those_of_the_released_recipes(
    spec_id: str, fingerprint: str
) -> None:
    assert load_spec(spec_id).fingerprint == fingerprint


def test_an_unknown_id_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"no feature spec 'emodict-9'.*dmer-2024.*emodict-1"):
        load_spec("emodict-9")


@pytest.mark.parametrize(
    ("spec_id", "tokens", "width", "dims"),
    [
        ("emodict-1", 11, 18, {"eeg": 90, "gsr": 28, "ppg": 27, "video": 32}),
        ("emodict-1-60hz", 11, 18, {"eeg": 90, "gsr": 28, "ppg": 27, "video": 32}),
        ("dmer-2024", 11, 18, {"eeg": 90, "gsr": 28, "ppg": 27, "video": 32}),
        ("dmer-sample", 28, 4, {"eeg": 72, "gsr": 4, "ppg": 4, "video": 32}),
        ("edl-89", 89, 1, {"gsr": 39, "skt": 4, "ecg": 39, "hr": 7}),
    ],
)
def test_the_specs_have_the_published_sizes_and_order(
    spec_id: str, tokens: int, width: int, dims: dict[str, int]
) -> None:
    spec = load_spec(spec_id)
    assert (spec.tokens, spec.token_width) == (tokens, width)
    assert {m.name: m.dims for m in spec.modalities} == dims
    assert list(spec.modality_names) == list(dims)


def test_features_are_named_in_the_order_of_their_layout() -> None:
    by_band, by_channel = (
        load_spec("emodict-1").modality("eeg"),
        load_spec("dmer-sample").modality("eeg"),
    )
    assert by_band.feature_names[:2] == ("delta_P3", "delta_C3")
    assert by_band.feature_names[18] == "theta_P3"
    assert by_channel.feature_names[:5] == (
        "theta_P3",
        "alpha_P3",
        "beta_P3",
        "gamma_P3",
        "theta_C3",
    )


def test_a_subset_of_modalities_keeps_the_specs_order_and_moves_the_tokens_up() -> None:
    spec = load_spec("emodict-1").with_modalities(["ppg", "gsr"])
    assert spec.modality_names == ("gsr", "ppg")
    assert spec.tokens == 4
    assert dict(spec.token_slices) == {"gsr": slice(0, 2), "ppg": slice(2, 4)}
    assert spec.fingerprint != load_spec("emodict-1").fingerprint


def test_rows_start_once_the_longest_window_is_full() -> None:
    spec = load_spec("emodict-1")
    assert spec.first_row_s == 4
    assert spec.with_modalities(["eeg"]).first_row_s == 0


def test_a_modality_that_the_spec_does_not_have_is_named() -> None:
    with pytest.raises(SpecError, match=r"emodict-1 has no modality 'ecg'.*eeg"):
        load_spec("emodict-1").with_modalities(["eeg", "ecg"])


def test_two_specs_are_not_mixed_and_both_are_in_the_sentence() -> None:
    ours, theirs = load_spec("emodict-1"), load_spec("emodict-1-60hz")
    require_same_spec(ours, ours, ours_is="the model", theirs_is="the table")
    with pytest.raises(SpecError) as refused:
        require_same_spec(ours, theirs, ours_is="the model", theirs_is="the table")
    for word in ("the model", "the table", ours.fingerprint, theirs.fingerprint):
        assert word in str(refused.value)


def test_a_model_of_an_older_recipe_is_refused_with_both_fingerprints_and_what_to_do() -> None:
    content = load_spec("dmer-sample").to_dict()
    # As version 0.1.0 had it: no rule for constant windows.
    for modality in content["modalities"]:
        modality.pop("constant_usable", None)
    older = spec_from_dict(content)
    with pytest.raises(SpecError, match=r"m\.pt is of other features.*or train again") as refused:
        require_known_spec(older, source="m.pt", fingerprint=older.fingerprint)
    assert older.fingerprint in str(refused.value)
    assert load_spec("dmer-sample").fingerprint in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("modalities", 0, "kind"), "magic", "unknown kind"),
        (("modalities", 0, "shape"), [5, 17], "names and shape disagree"),
        (("modalities", 0, "rate_hz"), 0.0, "whole number"),
        (("modalities", 0, "rate_hz"), 62.5, "whole number"),
        (("modalities", 0, "rate_hz"), float("nan"), "whole number"),
        (("modalities", 0, "rate_hz"), "300", "cannot be read"),
        (("modalities", 0, "window_s"), 2.0, "windows of 1 s"),
        (("modalities", 2, "window_s"), 2.5, "whole number"),
        (("modalities", 0, "filter", "mode"), "sideways", "mode is unknown"),
        (("modalities", 0, "filter", "mode"), "zero-phase-window", "do not filter so"),
        (
            ("modalities", 2, "filter", "mode"),
            "zero-phase-trial",
            "does not fit a spec with streaming True",
        ),
        (("modalities", 0, "filter", "sos", 0, 3), 2.0, "malformed"),
        (("modalities", 0, "filter", "sos", 0, 0), float("inf"), "malformed"),
        (("modalities", 0, "filter", "sos"), [], "malformed"),
        (("modalities", 0, "filter", "sos", 0), [1.0, 0.0, 0.0, 1.0, -2.0, 1.0], "unstable"),
        (("modalities", 0, "filter", "sos", 0), [1.0, 0.0, 0.0, 1.0, 0.0, 1.5], "unstable"),
        (("modalities", 1, "constant_usable"), 1, "not true or false"),
        (
            ("modalities", 0, "constant_usable"),
            True,
            "eeg: its constant windows.*band_power of 18 channels",
        ),
        (("modalities", 3, "constant_usable"), True, "video: its constant windows.*embedding"),
        (("modalities", 1, "name"), "eeg", "distinct modalities"),
        (("modalities",), [], "distinct modalities"),
        (("modalities",), 3, "cannot be read"),
        (("token_width",), 0, "token_width"),
        (("streaming",), False, "streaming False"),
        (("flavour",), "new", "cannot be read"),
    ],
)
def test_a_broken_spec_is_refused(path: tuple[Any, ...], value: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        spec_from_dict(changed(load_spec("emodict-1").to_dict(), path, value))


@pytest.mark.parametrize(
    "content", [None, [], "emodict-1", {}, {"modalities": [{}]}, {"modalities": ["eeg"]}]
)
def test_what_is_no_spec_at_all_is_refused(
    content: dict[Any, Any] | list[Any] | str | None,
) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        spec_from_dict(content)


def test_a_modality_that_nothing_filters_has_no_filter() -> None:
    video = load_spec("emodict-1").modality("video")
    with pytest.raises(SpecError, match="do not filter so"):
        dataclasses.replace(video, filter=FilterSpec("causal", ((1.0, 0.0, 0.0, 1.0, 0.0, 0.0),)))
