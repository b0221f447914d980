from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
import torch

from emodict.engine.manifest import manifest_from_metadata
from emodict_export.export import export_onnx, folded_onnx, graph_hash, missing_value
from emodict_train.model.checkpoint import Checkpoint, predict

ort = pytest.importorskip("onnxruntime")
MakeCheckpoint = Callable[..., Checkpoint]
Array = np.ndarray

# float32 keeps 7 digits; a few hundred operations on shares of size 0.1
DISTRIBUTION_ATOL = 1e-5
# the weights are of size 1 to 10 and not normalised
WEIGHTS_ATOL = 1e-4


def _run(content: bytes, tokens: Array) -> tuple[Array, Array]:
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    distribution, weights = session.run(["distribution", "weights"], {"tokens": tokens})
    return distribution, weights


def _tokens(checkpoint: Checkpoint, rows: int) -> Array:
    shape = (rows, checkpoint.features.tokens, checkpoint.features.token_width)
    state = checkpoint.states[0]
    z = np.random.default_rng(rows).standard_normal(shape).astype(np.float32)
    return np.asarray(
        z * state["standardise.scale"].numpy() + state["standardise.mean"].numpy(), dtype=np.float32
    )


def _assert_same_as_torch(got: tuple[Array, Array], checkpoint: Checkpoint, tokens: Array) -> None:
    distribution, weights = predict(checkpoint.networks(), torch.from_numpy(tokens))
    np.testing.assert_allclose(got[0], distribution.numpy(), rtol=0, atol=DISTRIBUTION_ATOL)
    np.testing.assert_allclose(got[1], weights.numpy(), rtol=0, atol=WEIGHTS_ATOL)


CASES: list[dict[str, Any]] = [
    *(
        {"spec_id": s, "readout": r}
        for s in ("emodict-1", "dmer-sample", "edl-89")
        for r in ("last", "mean", "flatten")
    ),
    {"spec_id": "emodict-1", "gate": "bare"},
    {"spec_id": "emodict-1", "members": 3},
    {"spec_id": "emodict-1", "members": 2, "offset": 150.0},
    {"spec_id": "emodict-1", "offset": 40.0},
    {"spec_id": "emodict-1", "modalities": ("ppg",)},
    {"spec_id": "emodict-1", "layers": 1, "heads": 2, "d_model": 16},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_graph_says_what_torch_says_at_any_batch(
    trained: MakeCheckpoint, case: dict[str, Any]
) -> None:
    checkpoint = trained(**case)
    statistics = checkpoint.states[0]["classifier.lbl1.1.running_mean"]
    assert statistics.abs().max() > 1e-3  # the training steps were real
    content = folded_onnx(checkpoint).SerializeToString()
    for rows in (1, 2, 7, 64):
        tokens = _tokens(checkpoint, rows)
        _assert_same_as_torch(_run(content, tokens), checkpoint, tokens)
    distribution, _ = _run(content, _tokens(checkpoint, 64))
    assert np.ptp(distribution, axis=0).max() > 1e-4  # it tells rows apart: float32 rounds at 1e-8


@pytest.mark.parametrize("readout", ["last", "mean", "flatten"])
def test_onnx_own_reference_reads_the_graph_the_same_way(
    trained: MakeCheckpoint, readout: str
) -> None:
    checkpoint = trained("emodict-1", readout=readout)
    reference = onnx.reference.ReferenceEvaluator(folded_onnx(checkpoint))
    for rows in (1, 7):
        tokens = _tokens(checkpoint, rows)
        distribution, weights = reference.run(["distribution", "weights"], {"tokens": tokens})
        _assert_same_as_torch((distribution, weights), checkpoint, tokens)


@pytest.mark.parametrize("spec_id", ["emodict-1", "dmer-sample", "edl-89"])
@pytest.mark.parametrize("readout", ["last", "mean", "flatten"])
def test_the_papers_sizes_take_at_most_60_nodes(
    trained: MakeCheckpoint, spec_id: str, readout: str
) -> None:
    assert len(folded_onnx(trained(spec_id, readout=readout)).graph.node) <= 60
    # Centred in the graph: one more.
    far = folded_onnx(trained(spec_id, readout=readout, offset=4e3))
    assert len(far.graph.node) <= 60


def test_the_graph_needs_opset_18_and_default_operators_alone(trained: MakeCheckpoint) -> None:
    model = folded_onnx(trained("emodict-1"))
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions


def test_the_constants_are_those_of_torchs_layers_and_the_file_is_of_its_operators_version(
    trained: MakeCheckpoint,
) -> None:
    model = folded_onnx(trained("emodict-1"))
    attributes = {
        (n.op_type, a.name): onnx.helper.get_attribute_value(a)
        for n in model.graph.node
        for a in n.attribute
    }
    # The defaults of torch.nn.LayerNorm and LeakyReLU, to float32.
    assert attributes["LayerNormalization", "epsilon"] == np.float32(1e-5)
    assert attributes["LeakyRelu", "alpha"] == np.float32(0.01)
    # ONNX's table of versions: operators 18 came with files of version 8.
    assert (model.ir_version, model.producer_name) == (8, "emodict")


def test_inputs_and_outputs_have_their_names_and_only_the_batch_is_open(
    trained: MakeCheckpoint,
) -> None:
    model = folded_onnx(trained("emodict-1"))
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {
        "tokens": ["batch", 11, 18],
        "distribution": ["batch", 10],
        "weights": ["batch", 32],
    }
    types = {v.type.tensor_type.elem_type for v in [*model.graph.input, *model.graph.output]}
    assert types == {onnx.TensorProto.FLOAT}


def test_every_node_and_constant_is_used_and_named_once(trained: MakeCheckpoint) -> None:
    graph = folded_onnx(trained("emodict-1", members=3)).graph
    outputs = [name for node in graph.node for name in node.output]
    used = {name for node in graph.node for name in node.input} | {v.name for v in graph.output}
    constants = [c.name for c in graph.initializer]
    assert len(set(outputs + constants)) == len(outputs + constants)
    assert set(outputs) | set(constants) <= used
    assert [node.name for node in graph.node] == outputs


def test_an_ensemble_is_the_mean_of_its_members_and_all_their_weights(
    trained: MakeCheckpoint,
) -> None:
    ensemble = trained("emodict-1", members=3)
    tokens = _tokens(ensemble, 7)
    distribution, weights = _run(folded_onnx(ensemble).SerializeToString(), tokens)
    alone = dataclasses.replace(ensemble.model, members=1)
    parts = [
        _run(
            folded_onnx(
                dataclasses.replace(ensemble, model=alone, states=(state,))
            ).SerializeToString(),
            tokens,
        )
        for state in ensemble.states
    ]
    # float32 shares
    np.testing.assert_allclose(distribution, sum(p[0].astype(float) for p in parts) / 3, atol=1e-6)
    # Float32, sizes to 10.
    np.testing.assert_allclose(weights, np.hstack([p[1] for p in parts]), atol=1e-5)
    assert np.abs(parts[0][0] - parts[1][0]).max() > 1e-4


def test_the_same_checkpoint_gives_the_same_bytes(trained: MakeCheckpoint, tmp_path: Path) -> None:
    checkpoint = trained("emodict-1")
    reports = [export_onnx(checkpoint, tmp_path / name) for name in ("a.onnx", "b.onnx")]
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert reports[0].sha256 == reports[1].sha256


def test_one_file_appears_and_nothing_of_this_machine_is_in_it(
    trained: MakeCheckpoint, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    report = export_onnx(trained("emodict-1"), path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    content = path.read_bytes()
    assert len(content) == report.bytes
    local = [
        tmp_path,
        Path.cwd(),
        Path.home(),
        Path(__file__).parents[2],
        Path(torch.__file__).parent,
    ]
    for text in [*(str(p) for p in local if len(p.parts) > 1), "/tmp", "/home/", "/root", ".py"]:
        assert text.encode() not in content, text
    # A shorter name may be in any bytes, and ours is in there by right.
    if len(socket.gethostname()) > 5 and socket.gethostname() not in "emodict.emotions":
        assert socket.gethostname().encode() not in content
    model = onnx.load_from_string(content)
    assert all(not c.external_data for c in model.graph.initializer)
    assert not model.doc_string
    assert not any(node.doc_string for node in model.graph.node)


def test_a_missing_modality_is_fed_as_the_value_that_standardises_to_0(
    trained: MakeCheckpoint,
) -> None:
    checkpoint = trained("emodict-1")
    tokens = _tokens(checkpoint, 7)
    lost = checkpoint.features.token_slices["eeg"]
    with_nan, filled = tokens.copy(), tokens.copy()
    with_nan[:, lost] = np.nan
    filled[:, lost] = missing_value(checkpoint)[lost]
    got = _run(folded_onnx(checkpoint).SerializeToString(), filled)
    _assert_same_as_torch(got, checkpoint, with_nan)


def test_the_manifest_reads_back_from_the_file_alone(
    trained: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = trained("dmer-sample", members=2)
    export_onnx(checkpoint, tmp_path / "model.onnx")
    session = ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    manifest = manifest_from_metadata(
        session.get_modelmeta().custom_metadata_map, source="model.onnx"
    )
    assert manifest.features.fingerprint == checkpoint.features.fingerprint
    assert manifest.model == checkpoint.model
    assert manifest.training == checkpoint.training
    assert manifest.metrics == checkpoint.metrics
    np.testing.assert_array_equal(manifest.missing_value, missing_value(checkpoint))
    np.testing.assert_array_equal(manifest.mean_label, checkpoint.mean_label)
    assert manifest.graph_sha256 == graph_hash(onnx.load(tmp_path / "model.onnx"))
