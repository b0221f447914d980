"""Specs, models and tables that were once found to do harm:
what each must come to is a sentence.
"""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zipfile
import zlib

import numpy as np
import onnx
import pytest
import torch
from tests import forkserver
from tests.reliability.fuzz import documents
from tests.reliability.fuzz.refusals import refused, sentence_of

from emodict.engine.model_spec import model_spec_from_dict
from emodict.errors import ModelError, SpecError
from emodict.features.quality import without_unusable
from emodict.features.spec import load_spec, spec_from_dict

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "key", ["feature_spec", "model_spec", "missing_value", "training", "metrics"]
)
def test_json_that_is_nested_too_deep_is_refused_in_every_part_of_a_manifest(key: str) -> None:
    metadata = documents.closed(documents._metadata()) | {f"emodict.{key}": DEEP}
    assert "nested too deep" in refused("manifest", json.dumps(metadata).encode())


def test_a_manifest_without_a_fingerprint_is_refused() -> None:
    metadata = documents.closed(documents._metadata())
    del metadata["emodict.feature_spec"], metadata["emodict.feature_spec_fingerprint"]
    assert "feature_spec_fingerprint" in refused("manifest", json.dumps(metadata).encode())


def test_a_manifest_whose_hash_is_no_text_is_refused() -> None:
    content = documents.closed(documents._sidecar())
    content["model"]["emodict.graph_sha256"] = 1.5
    assert "graph_sha256 is not text" in refused("sidecar", json.dumps(content).encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("token_width",), "4"),
        (("token_width",), 10**9),
        (("streaming",), 1),
        (("modalities", 0, "rate_hz"), 1e300),
        (("modalities", 0, "rate_hz"), float("inf")),
        (("modalities", 0, "window_s"), 10**6),
        (("modalities", 0, "valid_range"), [1.0]),
        (("modalities", 0, "valid_range"), ["a", "b"]),
        (("modalities", 0, "unit"), 1.5),
        (("modalities", 0, "channel_names"), [0.1]),
        (("modalities", 0, "filter"), 3),
        (("modalities", 0, "shape"), [10**9]),
        (("modalities", 0, "feature_names"), "abc"),
        (("id",), None),
        (("modalities", 1, "filter", "padding_samples"), -1),
        (("modalities", 0, "settle_s"), 10**30),
    ],
)
def test_a_spec_with_a_field_of_another_kind_or_size_is_refused(
    path: tuple[str | int, ...], value: object
) -> None:
    content = documents.WRIST.to_dict()
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(SpecError, match="cannot be read"):
        spec_from_dict(content)


@pytest.mark.parametrize("name", ["d_model", "layers", "members", "latent"])
def test_a_model_larger_than_anything_is_refused_before_it_is_built(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} must be a positive whole number"):
        model_spec_from_dict(documents._MODEL.to_dict() | {name: 10**9})


def test_fewer_weights_than_the_network_has_are_refused_before_the_network_is_built() -> None:
    content = documents.closed(documents._checkpoint_content())
    content["model"] = json.dumps(
        documents._MODEL.to_dict() | {"d_model": 8192, "feed_forward": 16384, "layers": 60}
    )
    buffer = io.BytesIO()
    torch.save(content, buffer)
    assert "weights and more" in refused("checkpoint", buffer.getvalue())


@pytest.mark.parametrize("value", [torch.zeros(3), torch.zeros(1).expand(10**9)])
def test_a_tensor_in_place_of_the_format_is_refused(value: torch.Tensor) -> None:
    buffer = io.BytesIO()
    torch.save({"format": value, "format_version": value}, buffer)
    assert "got Tensor" in refused("checkpoint", buffer.getvalue())


def test_a_person_with_infinitely_many_rows_is_refused() -> None:
    content = json.loads(json.dumps(documents._person()))
    content["baselines"]["gsr"]["rows"] = float("inf")
    assert "damaged" in refused("person.json", json.dumps(content).encode())


def test_a_checkpoint_of_the_old_kind_that_claims_a_long_text_gets_no_room_for_it() -> None:
    # BINUNICODE of 1.9 GB.
    assert "cannot be read as a PyTorch file" in refused("checkpoint", b"XRp\xd2r")


def test_an_onnx_file_whose_metadata_is_no_text_is_refused() -> None:
    content = documents._onnx()
    assert "metadata is damaged" in refused(
        "ONNX model", content.replace(b"emodict-1", b"emodict-\xff", 1)
    )


def test_an_onnx_file_that_opens_and_cannot_be_run_is_refused() -> None:
    graph = onnx.load_from_string(documents._onnx())
    (reshape,) = (
        node for node in graph.graph.node if node.op_type == "Reshape" and node.name == "embedded"
    )
    (shape,) = (tensor for tensor in graph.graph.initializer if tensor.name == reshape.input[1])
    shape.CopyFrom(onnx.numpy_helper.from_array(np.array([-1, 10**6], dtype=np.int64), shape.name))
    assert "cannot be reshaped to the requested shape" in refused(
        "ONNX model", graph.SerializeToString()
    )


def test_a_range_far_beyond_numbers_that_can_be_squared_is_no_fault() -> None:
    samples = np.ones((8, 1))
    gsr = dataclasses.replace(load_spec("emodict-1").modality("gsr"), valid_range=(1e200, 1e300))
    assert np.isnan(without_unusable(gsr, samples)).all()


@pytest.mark.parametrize(("window_s", "taken"), [(20, True), (21, False)])
def test_a_filter_inside_windows_of_more_than_2048_samples_is_refused(
    window_s: int, taken: bool
) -> None:
    content = load_spec("emodict-1").with_modalities(("ppg",)).to_dict()
    # 100 Hz; the longest extension of both ends there is, and as many sections as there may be.
    content["modalities"][0]["window_s"] = float(window_s)
    filter_spec = content["modalities"][0]["filter"]
    filter_spec |= {"padding_samples": 1999, "sos": filter_spec["sos"] * 21}
    sentence = forkserver.call(sentence_of, "feature spec", json.dumps(content).encode())
    assert (sentence is None) == taken
    assert taken or "a window of 2100 samples is longer than 2048" in sentence


@pytest.mark.parametrize(("padding", "taken"), [(499, True), (500, False)])
def test_a_filter_that_mirrors_more_than_its_window_holds_is_refused(
    padding: int, taken: bool
) -> None:
    content = load_spec("emodict-1").with_modalities(("ppg",)).to_dict()
    content["modalities"][0]["filter"]["padding_samples"] = padding
    sentence = forkserver.call(sentence_of, "feature spec", json.dumps(content).encode())
    assert (sentence is None) == taken
    assert taken or "padding_samples is not a whole number from 0 to 499" in sentence


def test_band_powers_of_more_bins_than_memory_has_room_for_are_refused() -> None:
    content = load_spec("emodict-1").to_dict()
    spectrum = content["modalities"][0]["spectrum"]
    spectrum |= {
        "n_fft": 65_536,
        "bands": [{**spectrum["bands"][0], "first_bin": 0, "weights": [1.0] * 10_000}],
    }
    assert "bands of 10000 bins for a window of 300 samples" in refused(
        "feature spec", json.dumps(content).encode()
    )


@pytest.mark.parametrize(("samples", "taken"), [(3, False), (4, True)])
def test_statistics_of_too_few_samples_for_their_differences_are_refused(
    samples: int, taken: bool
) -> None:
    content = load_spec("emodict-1").with_modalities(("gsr",)).to_dict()
    content["modalities"][0] |= {"rate_hz": float(samples), "window_s": 1.0}
    sentence = forkserver.call(sentence_of, "feature spec", json.dumps(content).encode())
    assert (sentence is None) == taken
    assert taken or "their differences need 4" in sentence


def packed_zip(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def test_an_array_that_claims_more_than_it_holds_is_refused_before_there_is_room_for_it() -> None:
    content = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }")
    assert "claims 8,000,000,000,000 bytes" in refused(
        "feature table .npz", packed_zip({"spec.npy": content})
    )


def test_an_array_whose_head_does_not_end_is_refused() -> None:
    assert "is not a feature table" in refused(
        "feature table .npz", packed_zip({"spec.npy": npy("{'descr': (")})
    )


def test_an_archive_that_lies_about_its_size_or_its_version_is_refused() -> None:
    content = bytearray(packed_zip({"spec.npy": npy("{}")}))
    central = content.rindex(b"PK\x01\x02")
    lying, newer = bytearray(content), bytearray(content)
    lying[central + 24 : central + 28] = struct.pack("<I", 3_000_000_000)
    newer[central + 6] = 200
    assert "claims 3,000,000,000 bytes" in refused("feature table .npz", bytes(lying))
    assert "is not a feature table" in refused("feature table .npz", bytes(newer))


def mat(*elements: bytes) -> bytes:
    packed = [zlib.compress(element) for element in elements]
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    return head + b"".join(struct.pack("<II", 15, len(part)) + part for part in packed)


@pytest.mark.parametrize("target", ["feature table .mat", "import dmer", "DMER eegfea.mat"])
def test_a_mat_bomb_is_refused_before_it_goes_off(target: str) -> None:
    bomb = struct.pack("<II", 14, 1 << 31) + bytes(1 << 20)
    assert "claim 2,147,483,648 bytes" in refused(target, mat(bomb))
