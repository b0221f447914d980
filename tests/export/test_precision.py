"""FP16 casts and INT8 Q/DQ pairs in the graph: where they stand,
and what they cost in true low precision.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from onnx import TensorProto, numpy_helper

from emodict.engine import open_engine
from emodict.errors import ModelError
from emodict_export.export import Precision, export_onnx, folded_graph, graph_hash
from emodict_export.precision import (
    LARGEST_HALF,
    always_fp32,
    constants_beyond_half,
    quantisable_nodes,
    read_precision,
    to_fp16,
    to_int8,
)
from emodict_train.model.checkpoint import Checkpoint, predict

MakeCheckpoint = Callable[..., Checkpoint]
Array = np.ndarray
CASES: list[dict[str, Any]] = [
    {"spec_id": "emodict-1", "readout": "flatten"},
    {"spec_id": "emodict-1", "readout": "last", "gate": "bare"},
    {"spec_id": "dmer-sample", "readout": "mean"},
    {"spec_id": "emodict-1", "modalities": ("gsr", "ppg"), "members": 2},
    {"spec_id": "emodict-1", "offset": 150.0},
]


def _tokens(checkpoint: Checkpoint, rows: int = 32) -> Array:
    state = checkpoint.states[0]
    mean, scale = state["standardise.mean"].numpy(), state["standardise.scale"].numpy()
    z = np.random.default_rng(1).standard_normal((rows, *mean.shape))
    return (z * scale + mean).astype(np.float32)


def _reference(model: onnx.ModelProto, tokens: Array) -> list[Array]:
    with np.errstate(all="ignore"):
        result: list[Array] = onnx.reference.ReferenceEvaluator(model).run(None, {"tokens": tokens})
    return result


def _types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _computes_in(model: onnx.ModelProto, original: onnx.ModelProto) -> dict[str, int]:
    """Type of what each node of the original writes in the rewritten graph."""
    types, names = _types(model), {node.name for node in original.graph.node}
    return {node.name: types[node.output[0]] for node in model.graph.node if node.name in names}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fp16_computes_in_half_everywhere_but_at_the_two_ends(
    trained: MakeCheckpoint, case: dict[str, Any]
) -> None:
    model = folded_graph(trained(**case))
    half = to_fp16(model)
    onnx.checker.check_model(half, full_check=True)
    types = _computes_in(half, model)
    in_float = {name for name, kind in types.items() if kind == TensorProto.FLOAT}
    assert in_float == always_fp32(model)
    assert all(
        _types(half)[value.name] == TensorProto.FLOAT
        for value in (*half.graph.input, *half.graph.output)
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_always_stays_fp32_is_the_standardisation_and_the_last_softmax(
    trained: MakeCheckpoint, case: dict[str, Any]
) -> None:
    names = {name.split("/")[-1] for name in always_fp32(folded_graph(trained(**case)))}
    expected = {"standardised", "distribution"}
    if case.get("members"):
        expected.add("member_distribution")
    if case.get("offset"):
        expected.add("centred")
    assert names == expected


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fp16_is_close_to_torch_in_true_half_arithmetic(
    trained: MakeCheckpoint, case: dict[str, Any]
) -> None:
    checkpoint = trained(**case)
    tokens = _tokens(checkpoint)
    distribution, weights = _reference(to_fp16(folded_graph(checkpoint)), tokens)
    expected, expected_weights = (
        t.numpy() for t in predict(checkpoint.networks(), torch.from_numpy(tokens))
    )
    # Half keeps 11 bits, 5e-4 of a number; a few of those add up on shares of size 0.1.
    np.testing.assert_allclose(distribution, expected, rtol=0, atol=2e-3)
    np.testing.assert_allclose(
        weights, expected_weights, rtol=0, atol=2e-2 * np.abs(expected_weights).max()
    )
    # Float32 would be nearer: this was computed in half.
    assert np.abs(distribution - expected).max() > 1e-6
    np.testing.assert_allclose(distribution.sum(axis=1), 1, atol=1e-6)  # the last Softmax is FP32


@pytest.mark.parametrize("members", [1, 2])
def test_casts_are_few_each_tensor_is_cast_once(trained: MakeCheckpoint, members: int) -> None:
    half = to_fp16(folded_graph(trained("emodict-1", members=members)))
    sources = [node.input[0] for node in half.graph.node if node.op_type == "Cast"]
    assert len(sources) == len(set(sources))
    # One on the way in, one before the Softmax; the weights of all members leave together.
    assert len(sources) == 2 * members + 1


def test_kept_nodes_stay_fp32_and_no_other(trained: MakeCheckpoint) -> None:
    model = folded_graph(trained("emodict-1"))
    kept = {"layer1/norm1", "weights", "layer0/scores"}
    types = _computes_in(to_fp16(model, kept), model)
    in_float = {name for name, kind in types.items() if kind == TensorProto.FLOAT}
    # What only moves numbers follows what it moves.
    assert kept | always_fp32(model) <= in_float
    moved = {n.name for n in model.graph.node if n.op_type in {"Reshape", "Transpose"}}
    assert in_float <= kept | always_fp32(model) | moved


def test_keeping_every_node_gives_the_fp32_numbers_back(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1")
    model = folded_graph(checkpoint)
    same = to_fp16(model, [node.name for node in model.graph.node])
    assert not any(node.op_type == "Cast" for node in same.graph.node)
    for ours, original in zip(
        _reference(same, _tokens(checkpoint)), _reference(model, _tokens(checkpoint)), strict=True
    ):
        np.testing.assert_array_equal(ours, original)


def test_the_original_graph_is_left_as_it_was(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1")
    model = folded_graph(checkpoint)
    before = model.SerializeToString(deterministic=True)
    to_fp16(model)
    to_int8(model, _tokens(checkpoint))
    assert model.SerializeToString(deterministic=True) == before


def _with_overflow(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function with layer0/hidden 5e4 times larger: ReLU is homogeneous,
    the next weight takes it back.
    """
    planted = onnx.ModelProto()
    planted.CopyFrom(model)
    for constant in planted.graph.initializer:
        factor = {
            "layer0/expanded.weight": 5e4,
            "layer0/expanded.bias": 5e4,
            "layer0/fed_forward.weight": 2e-5,
        }
        if constant.name in factor:
            values = (numpy_helper.to_array(constant) * factor[constant.name]).astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    return planted


def test_a_range_beyond_half_overflows_unless_its_nodes_are_kept(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1")
    model, tokens = _with_overflow(folded_graph(checkpoint)), _tokens(checkpoint)
    expected = _reference(folded_graph(checkpoint), tokens)[0]
    # The planting changes nothing but float32's roundings,
    # of shares behind a few hundred operations.
    np.testing.assert_allclose(_reference(model, tokens)[0], expected, rtol=0, atol=1e-5)
    assert np.abs(_inner(model, tokens, "layer0/hidden")).max() > LARGEST_HALF
    # Whatever overflow does further on, the answer cannot be trusted: it is not finite or far off.
    broken = _reference(to_fp16(model), tokens)[0]
    assert not np.abs(broken - expected).max() < 1e-2
    kept = {"layer0/expanded", "layer0/hidden", "layer0/fed_forward"}
    # Half keeps 11 bits, as above.
    np.testing.assert_allclose(
        _reference(to_fp16(model, kept), tokens)[0], expected, rtol=0, atol=2e-3
    )


def _inner(model: onnx.ModelProto, tokens: Array, name: str) -> Array:
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    result: Array = onnx.reference.ReferenceEvaluator(opened).run([name], {"tokens": tokens})[0]
    return result


def test_a_constant_beyond_half_is_named_and_refused(trained: MakeCheckpoint) -> None:
    model = folded_graph(trained("emodict-1"))
    for constant in model.graph.initializer:
        if constant.name == "lbl2.weight":
            values = numpy_helper.to_array(constant).copy()
            values[0, 0] = 7e4
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    assert constants_beyond_half(model) == {"lbl2"}
    with pytest.raises(ModelError, match=r"lbl2 pass 65504"):
        to_fp16(model)
    to_fp16(model, ["lbl2"])


@pytest.mark.parametrize(
    "rewrite", [to_fp16, lambda model, keep: to_int8(model, np.zeros((1, 11, 18)), keep)]
)
def test_an_unknown_node_is_named(trained: MakeCheckpoint, rewrite: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match="no node layer9/norm1"):
        rewrite(folded_graph(trained("emodict-1")), ["layer9/norm1"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_int8_is_symmetric_and_in_the_form_tensorrt_takes(
    trained: MakeCheckpoint, case: dict[str, Any]
) -> None:
    checkpoint = trained(**case)
    model = folded_graph(checkpoint)
    quantised = to_int8(model, _tokens(checkpoint))
    constants = {c.name: numpy_helper.to_array(c) for c in quantised.graph.initializer}
    pairs = [n for n in quantised.graph.node if n.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    for node in pairs:
        # An INT32 bias would be refused by the parser.
        assert constants[node.input[2]].dtype == np.int8
        assert not constants[node.input[2]].any()  # and so would a zero point
    products = {n.name: n for n in quantised.graph.node if n.name in quantisable_nodes(model)}
    assert len(products) == len(quantisable_nodes(model))
    for node in products.values():
        assert all(name.endswith("DequantizeLinear_Output") for name in node.input[:2]), node.name
    assert {opset.domain for opset in quantised.opset_import} == {""}
    assert Counter(n.op_type for n in model.graph.node) <= Counter(
        n.op_type for n in quantised.graph.node
    )


def test_weights_are_scaled_per_output_channel_by_their_largest_number(
    trained: MakeCheckpoint,
) -> None:
    checkpoint = trained("emodict-1")
    model = folded_graph(checkpoint)
    quantised = to_int8(model, _tokens(checkpoint))
    original = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    scales = {c.name: numpy_helper.to_array(c) for c in quantised.graph.initializer}
    weight = original["layer0/queries.weight"]
    # One division, rounded to float32 here or there.
    np.testing.assert_allclose(
        scales["layer0/queries.weight_scale"], np.abs(weight).max(axis=0) / 127, rtol=2**-23
    )


def test_activations_are_scaled_by_the_extremes_of_the_windows(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1")
    model, tokens = folded_graph(checkpoint), _tokens(checkpoint)
    seen = np.abs(_inner(model, tokens, "layer0/norm1")).max()
    scales = {c.name: numpy_helper.to_array(c) for c in to_int8(model, tokens).graph.initializer}
    # The same network in float32, by ONNX's reference and by ONNX Runtime: sums in other orders.
    np.testing.assert_allclose(scales["layer0/norm1_scale"], seen / 127, rtol=1e-5)


def test_int8_keeps_the_nodes_it_was_told_to(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1")
    quantised = to_int8(folded_graph(checkpoint), _tokens(checkpoint), ["lbl1", "projected"])
    by_name = {node.name: node for node in quantised.graph.node}
    assert list(by_name["lbl1"].input)[1] == "lbl1.weight"
    assert list(by_name["projected"].input)[1] == "embed.weight"
    assert by_name["lbl2"].input[1] != "lbl2.weight"


def test_int8_without_windows_is_refused(trained: MakeCheckpoint, tmp_path: Path) -> None:
    checkpoint = trained("emodict-1")
    with pytest.raises(ModelError, match="0 windows"):
        to_int8(folded_graph(checkpoint), _tokens(checkpoint, 0))
    with pytest.raises(ModelError, match="none were given"):
        export_onnx(checkpoint, tmp_path / "model.onnx", Precision("int8"))


@pytest.mark.parametrize("name", ["fp16", "int8"])
def test_a_low_precision_file_opens_and_says_what_it_is(
    trained: MakeCheckpoint, tmp_path: Path, name: str
) -> None:
    checkpoint = trained("emodict-1")
    tokens = _tokens(checkpoint)
    report = export_onnx(checkpoint, tmp_path / "model.onnx", Precision(name, windows=tokens))
    with open_engine(report.path) as engine:
        assert engine.manifest.precision == name
        assert engine.manifest.graph_sha256 == graph_hash(onnx.load(report.path))
        distribution = engine.infer(tokens)[0].copy()
    expected = predict(checkpoint.networks(), torch.from_numpy(tokens))[0].numpy()
    # INT8 keeps 7 bits: 0.4 % of the largest number, some forty products deep;
    # FP16 runs in FP32 on the CPU.
    np.testing.assert_allclose(distribution, expected, atol={"fp16": 2e-3, "int8": 0.15}[name])


def _precision_file(path: Path, **changes: Any) -> Path:
    content = {
        "format": "emodict-precision",
        "format_version": "1",
        "graph_sha256": "0" * 64,
        "fp16": {"keep_fp32": ["layer0/norm1"]},
    }
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_precision_json_is_obeyed(trained: MakeCheckpoint, tmp_path: Path) -> None:
    checkpoint = trained("emodict-1")
    path = _precision_file(
        tmp_path / "precision.json", graph_sha256=graph_hash(folded_graph(checkpoint))
    )
    report = export_onnx(
        checkpoint, tmp_path / "model.onnx", Precision("fp16", read_precision(path))
    )
    assert report.keep_fp32 == ("layer0/norm1",)
    assert _types(onnx.load(report.path))["layer0/norm1"] == TensorProto.FLOAT


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"graph_sha256": "1" * 64}, "made for another model"),
        ({"fp16": {"keep_fp32": ["nose"]}}, "no node nose"),
        ({"fp16": {"keep_fp32": "layer0/norm1"}}, "not a list of names"),
        ({"fp16": None}, "not a precision.json"),
        ({"format": "emodict-plan"}, "not a precision.json"),
    ],
)
def test_a_precision_json_that_does_not_fit_is_refused(
    trained: MakeCheckpoint, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    checkpoint = trained("emodict-1")
    own = {"graph_sha256": graph_hash(folded_graph(checkpoint))}
    path = _precision_file(tmp_path / "precision.json", **{**own, **changes})
    with pytest.raises(ModelError, match=sentence):
        export_onnx(checkpoint, tmp_path / "model.onnx", Precision("fp16", read_precision(path)))
    assert not (tmp_path / "model.onnx").exists()


def test_a_precision_that_precision_json_does_not_cover_is_refused(
    trained: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = trained("emodict-1")
    path = _precision_file(
        tmp_path / "precision.json", graph_sha256=graph_hash(folded_graph(checkpoint))
    )
    with pytest.raises(ModelError, match="says nothing of int8"):
        export_onnx(
            checkpoint,
            tmp_path / "model.onnx",
            Precision("int8", read_precision(path), _tokens(checkpoint)),
        )


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_precision_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "precision.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"not a precision\.json"):
        read_precision(path)
    with pytest.raises(ModelError, match="no file"):
        read_precision(tmp_path / "nowhere.json")
