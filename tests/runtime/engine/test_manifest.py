"""What an engine file says of itself is read whole, or refused with what is wrong."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from emodict.engine.manifest import Manifest, manifest_from_metadata, manifest_to_metadata
from emodict.engine.model_spec import ModelSpec
from emodict.errors import ModelError
from emodict.features.spec import load_spec

SPEC = load_spec("emodict-1").with_modalities(["gsr", "ppg"])
MANIFEST = Manifest(
    features=SPEC,
    model=ModelSpec(("calm", "glad", "sad"), SPEC.modality_names),
    missing_value=np.arange(SPEC.tokens * SPEC.token_width, dtype=float).reshape(
        SPEC.tokens, SPEC.token_width
    ),
    mean_label=np.array([0.5, 0.3, 0.2]),
    graph_sha256="ab12",
    training={"rows": 7},
    metrics={"model": {"kl": 0.125}},
    software="emodict 9",
    precision="fp16",
)


def test_what_is_written_is_what_is_read() -> None:
    got = manifest_from_metadata(
        {**manifest_to_metadata(MANIFEST), "someone.else": "x"}, source="model.onnx"
    )
    for field in dataclasses.fields(Manifest):
        np.testing.assert_equal(getattr(got, field.name), getattr(MANIFEST, field.name))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"emodict.format": "another"}, r"not one of emodict's.*got 'another'"),
        ({"emodict.format": "emodict-face"}, "is a face engine"),
        (
            {"emodict.format_version": "0"},
            "another version of emodict.*Expected format_version 1, got 0",
        ),
        (
            {"emodict.format_version": "2"},
            "another version of emodict.*Expected format_version 1, got 2",
        ),
        ({"emodict.software": 3}, "damaged: software is not text"),
        (
            {"emodict.mean_label": "[0.5, 0.5]"},
            r"mean_label has the wrong shape\. Expected \(3,\), got \(2,\)",
        ),
        (
            {"emodict.mean_label": "[0.4, 0.3, 0.2, 0.1]"},
            r"mean_label has .* Expected \(3,\), got \(4,\)",
        ),
        ({"emodict.mean_label": "[[0.5, 0.3, 0.2]]"}, r"mean_label has the wrong shape"),
        ({"emodict.missing_value": "[[1.0]]"}, r"missing_value has the wrong shape.*got \(1, 1\)"),
        ({"emodict.metrics": "{"}, "its description is damaged"),
    ],
)
def test_a_description_that_is_not_ours_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        manifest_from_metadata({**manifest_to_metadata(MANIFEST), **changes}, source="model.onnx")


def test_a_file_without_a_description_or_with_half_of_one_is_refused() -> None:
    with pytest.raises(ModelError, match="got no such metadata"):
        manifest_from_metadata({"emodictformat": "emodict-model"}, source="model.onnx")
    whole = manifest_to_metadata(MANIFEST)
    for key in set(whole) - {"emodict.format", "emodict.format_version", "emodict.emotions"}:
        with pytest.raises(ModelError, match="its description is damaged"):
            manifest_from_metadata(
                {k: v for k, v in whole.items() if k != key}, source="model.onnx"
            )


def test_the_emotions_stand_in_the_description_for_whoever_reads_it_without_emodict() -> None:
    assert json.loads(manifest_to_metadata(MANIFEST)["emodict.emotions"]) == ["calm", "glad", "sad"]


@pytest.mark.parametrize(
    ("training", "simulated"),
    [({"simulated": True}, True), ({"simulated": False}, False), ({"rows": 7}, False)],
)
def test_a_model_of_simulated_people_says_so_wherever_its_description_goes(
    training: dict[str, Any], simulated: bool
) -> None:
    written = manifest_to_metadata(dataclasses.replace(MANIFEST, training=training))
    assert manifest_from_metadata(written, source="model.onnx").simulated is simulated
