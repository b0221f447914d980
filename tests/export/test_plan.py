"""Plans, built here by a real TensorRT for RTX, which needs no GPU for it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from emodict.engine.held import sidecar_path
from emodict.engine.sidecar import network_name, read_plan, read_sidecar
from emodict.engine.tensorrt_log import collecting_logger
from emodict.errors import EmodictError, InputError, ModelError, OutputError
from emodict_export import plan as plan_module
from emodict_export.export import Precision, described, export_onnx, exported_onnx, graph_hash
from emodict_export.plan import BuiltPlan, build_plan, describe_plan, manifest_of, write_plan
from emodict_export.plan.builder import Order, _configure
from emodict_export.plan.layers import count_layers, describe_layers
from emodict_export.plan.tensorrt_module import load_rtx
from emodict_export.precision import to_fp16
from emodict_train.model.checkpoint import Checkpoint

tensorrt_rtx = pytest.importorskip(
    "tensorrt_rtx", reason="tensorrt_rtx, which builds plans without a GPU, is not installed"
)

MakeCheckpoint = Callable[..., Checkpoint]
DESKTOP = ("8.6", "8.9", "12.0")
WRIST = {"modalities": ("ppg", "gsr")}
GRAPHS: list[tuple[str, dict[str, Any]]] = [
    ("emodict-1", {}),
    ("emodict-1", {"readout": "last"}),
    ("emodict-1", WRIST),
    ("emodict-1", {**WRIST, "readout": "mean"}),
    ("dmer-sample", {}),
    ("dmer-sample", {"readout": "last", "members": 2}),
]
# What TensorRT makes of an operator that computes: Gemm is a product and,
# with a third input, a sum.
COMPUTING = {
    "Add",
    "LayerNormalization",
    "LeakyRelu",
    "MatMul",
    "Mul",
    "ReduceMean",
    "Relu",
    "Sigmoid",
    "Softmax",
    "Sub",
}


def graph_in(checkpoint: Checkpoint, precision: str) -> onnx.ModelProto:
    tokens = (64, checkpoint.features.tokens, checkpoint.features.token_width)
    windows = (
        np.random.default_rng(0).normal(5, 1, tokens).astype(np.float32)
        if precision == "int8"
        else None
    )
    return exported_onnx(checkpoint, Precision(precision, windows=windows))[0]


@pytest.fixture(scope="session")
def wrist(trained: MakeCheckpoint) -> onnx.ModelProto:
    return graph_in(trained("emodict-1", **WRIST), "fp32")


@pytest.fixture(scope="session")
def built(wrist: onnx.ModelProto) -> BuiltPlan:
    return build_plan(wrist, compute_capabilities=DESKTOP)


def layers_by_onnx(model: onnx.ModelProto) -> Counter[str]:
    """The same count, from ONNX's own type inference."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*inferred.value_info, *inferred.output, *inferred.input]
    types = {v.name: v.type.tensor_type.elem_type for v in values} | {
        c.name: c.data_type for c in inferred.initializer
    }
    names = {TensorProto.FLOAT: "FLOAT", TensorProto.FLOAT16: "HALF"}
    makers = {name: node for node in inferred.node for name in node.output}
    counted: Counter[str] = Counter()
    for node in inferred.node:
        kind = names.get(types[node.output[0]], "")
        if node.op_type in ("Gemm", "MatMul"):
            factors = [makers.get(name) for name in node.input[:2]]
            quantised = all(
                maker is not None and maker.op_type == "DequantizeLinear" for maker in factors
            )
            counted["INT8" if quantised else kind] += 1
            counted[kind] += len(node.input) > 2
        elif node.op_type == "Mean":
            counted[kind] += len(node.input)  # sums of pairs, and a division
        elif node.op_type in COMPUTING:
            counted[kind] += 1
    return +counted


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize(("spec", "options"), GRAPHS, ids=str)
def test_every_graph_builds_for_three_gpus_in_the_types_it_has(
    trained: MakeCheckpoint, spec: str, options: dict[str, Any], precision: str
) -> None:
    model = graph_in(trained(spec, **options), precision)
    plan = build_plan(model, compute_capabilities=DESKTOP)
    assert plan.layers == layers_by_onnx(model)
    assert plan.layers.get({"fp32": "FLOAT", "fp16": "HALF", "int8": "INT8"}[precision], 0) > 15
    assert len(plan.content) > 100_000
    assert plan.build_s < 30  # what the project asks for; half a second here
    assert plan.compute_capabilities == DESKTOP


def test_a_node_kept_in_fp32_is_seen_in_the_built_network(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1", **WRIST)
    fp32 = graph_in(checkpoint, "fp32")
    norms = [node.name for node in fp32.graph.node if node.op_type == "LayerNormalization"]
    del fp32.metadata_props[:]
    halves = [
        build_plan(
            described(to_fp16(fp32, kept), checkpoint, "fp16"), compute_capabilities=("8.9",)
        ).layers["HALF"]
        for kept in ((), norms)
    ]
    assert halves[0] - halves[1] == len(norms) > 0


def test_the_report_counts_what_was_built(built: BuiltPlan) -> None:
    n = built.layers["FLOAT"]
    assert built.layers_text == f"{n} of {n} layers in FP32"
    assert describe_layers({"FLOAT": 2, "HALF": 61}, "HALF") == "61 of 63 layers in FP16"
    assert describe_layers({"FLOAT": 2}, "HALF") == "0 of 2 layers in FP16"


def test_the_builder_is_told_what_the_plan_must_be() -> None:
    import tensorrt_rtx as trt

    backend, builder = load_rtx(), trt.Builder(collecting_logger(trt)[0])
    config: Any = _configure(backend, builder, Order(b"", "name", {"tokens": (4, 18)}, 64, DESKTOP))
    # TensorRT's default would multiply FP32 in TF32.
    assert not config.get_flag(trt.BuilderFlag.TF32)
    assert config.get_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    asked = [config.get_compute_capability(i) for i in range(config.num_compute_capabilities)]
    assert asked == [
        trt.ComputeCapability.SM86,
        trt.ComputeCapability.SM89,
        trt.ComputeCapability.SM120,
    ]
    assert config.num_optimization_profiles == 1


def test_plan_and_sidecar_belong_together(
    built: BuiltPlan, wrist: onnx.ModelProto, tmp_path: Path
) -> None:
    path = tmp_path / "model.plan"
    written = write_plan(built, path)
    read = read_sidecar(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.plan", "model.plan.json"]
    assert read.plan_sha256 == written.plan_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_plan(path, read) == built.content
    assert read.network_name == network_name(graph_hash(wrist))
    assert read.manifest.features == built.manifest.features
    assert (read.builder, read.compute_capabilities, read.max_batch) == (
        "tensorrt_rtx",
        DESKTOP,
        64,
    )
    assert read.layers == built.layers


def test_the_sidecar_names_the_onnx_file_the_plan_was_built_from(
    trained: MakeCheckpoint, tmp_path: Path
) -> None:
    export_onnx(trained("emodict-1", **WRIST), tmp_path / "model.onnx")
    plan = build_plan(onnx.load(tmp_path / "model.onnx"), compute_capabilities=("12.0",))
    assert plan.onnx_sha256 == hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def pair(built: BuiltPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pair") / "model.plan"
    write_plan(built, path)
    return path


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_one_flipped_byte_in_plan_or_sidecar_is_refused(pair: Path, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from([pair, sidecar_path(pair)]))
    good = target.read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    target.write_bytes(bad)
    try:
        with pytest.raises(ModelError):
            read_plan(pair, read_sidecar(pair))
    finally:
        target.write_bytes(good)
    read_plan(pair, read_sidecar(pair))


@pytest.mark.parametrize("kept", [0, 1, 1000])
def test_a_cut_off_plan_is_refused(built: BuiltPlan, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.plan"
    write_plan(built, path)
    path.write_bytes(built.content[:kept])
    with pytest.raises(ModelError, match=f"Expected {len(built.content)} bytes, got {kept} bytes"):
        read_plan(path, read_sidecar(path))


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does, by the system's own limit on the size of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("content", "limit"), [(None, 100_000), (b"small enough", 1000)], ids=["plan", "sidecar"]
)
def test_when_one_file_cannot_be_written_both_are_as_before(
    built: BuiltPlan, tmp_path: Path, old: bool, content: bytes | None, limit: int
) -> None:
    path = tmp_path / "model.plan"
    if old:
        write_plan(dataclasses.replace(built, content=b"the plan before"), path)
    plan = built if content is None else dataclasses.replace(built, content=content)
    with files_of_at_most(limit), pytest.raises(OutputError, match="Cannot write"):
        write_plan(plan, path)
    _require_as_before(path, old)


@pytest.mark.parametrize("old", [False, True])
def test_when_the_plan_fails_after_its_sidecar_both_are_as_before(
    built: BuiltPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    path = tmp_path / "model.plan"
    if old:
        write_plan(dataclasses.replace(built, content=b"the plan before"), path)
    write_sidecar = plan_module.write_sidecar

    def then_fail(*args: Any) -> None:
        write_sidecar(*args)
        raise OSError(28, "no space")

    monkeypatch.setattr(plan_module, "write_sidecar", then_fail)
    with pytest.raises(OutputError, match="No space left"):
        write_plan(built, path)
    _require_as_before(path, old)


def _require_as_before(path: Path, old: bool) -> None:
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == (["model.plan", "model.plan.json"] if old else [])
    if old:
        assert read_plan(path, read_sidecar(path)) == b"the plan before"


def test_a_new_plan_beside_an_old_sidecar_is_refused(built: BuiltPlan, tmp_path: Path) -> None:
    path = tmp_path / "model.plan"
    write_plan(dataclasses.replace(built, content=bytes(len(built.content))), path)
    path.write_bytes(built.content)
    with pytest.raises(ModelError, match="changed or damaged"):
        read_plan(path, read_sidecar(path))


def test_a_plan_is_not_written_under_another_ending(built: BuiltPlan, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ending in \.plan"):
        write_plan(built, tmp_path / "model.engine")


def test_fp32_products_on_sm_75_are_refused_in_tensorrts_own_words(
    wrist: onnx.ModelProto, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        ModelError, match=r"7\.5, 8\.6: .*FP32 GEMM is not supported.*leave 75 out of --sm"
    ) as error:
        build_plan(wrist, compute_capabilities=("7.5", "8.6"))
    assert "/_src/" not in str(error.value)
    assert capfd.readouterr() == ("", "")  # TensorRT itself says nothing to the terminal


def test_sm_75_runs_fp16(trained: MakeCheckpoint) -> None:
    model = graph_in(trained("emodict-1", **WRIST), "fp16")
    assert build_plan(model, compute_capabilities=("7.5",)).layers["HALF"] > 0


def test_gpus_it_cannot_build_for_are_named_beside_those_it_can(wrist: onnx.ModelProto) -> None:
    with pytest.raises(
        InputError, match=r"8\.7, 9\.0\. Expected --sm 75,80,86,89,120,121.*on that device itself"
    ):
        build_plan(wrist, compute_capabilities=("8.6", "8.7", "9.0"))


def planted(
    node: onnx.NodeProto, *constants: np.ndarray[Any, Any]
) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    """Put a node before the graph, and describe the result as it is."""

    def plant(model: onnx.ModelProto) -> onnx.ModelProto:
        made = onnx.ModelProto.FromString(model.SerializeToString())
        made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        for index, constant in enumerate(constants):
            made.graph.initializer.append(numpy_helper.from_array(constant, f"planted{index}"))
        made.graph.node.insert(0, node)
        for entry in made.metadata_props:
            if entry.key == "emodict.graph_sha256":
                entry.value = graph_hash(made)
        return made

    return plant


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (
            planted(
                helper.make_node(
                    "FusedGelu", ["tokens"], ["x"], name="gelu", domain="com.microsoft"
                )
            ),
            r"node 'gelu' \(FusedGelu\).*Plugin not found",
        ),
        (
            planted(
                helper.make_node("Mul", ["tokens", "planted0"], ["x"], name="mixed"),
                np.ones(18, np.float16),
            ),
            r"node 'mixed' \(Mul\).*Float.*Half",
        ),
    ],
    ids=["com.microsoft", "mixed types"],
)
def test_what_the_parser_refuses_is_named_with_node_operator_and_reason(
    wrist: onnx.ModelProto, plant: Callable[[onnx.ModelProto], onnx.ModelProto], said: str
) -> None:
    with pytest.raises(ModelError, match=said) as error:
        build_plan(plant(wrist), compute_capabilities=("8.6",))
    assert "cudaError" not in str(error.value)  # nothing of the GPU that is not needed
    assert "\n" not in str(error.value)


def test_a_graph_changed_after_it_was_described_is_refused(wrist: onnx.ModelProto) -> None:
    changed = onnx.ModelProto.FromString(wrist.SerializeToString())
    changed.graph.node[0].name = "another"
    with pytest.raises(EmodictError, match="not the one its description belongs to"):
        manifest_of(changed)


def test_a_plan_for_no_row_is_refused(wrist: onnx.ModelProto) -> None:
    with pytest.raises(InputError, match="largest batch of 1 or more, got 0"):
        build_plan(wrist, compute_capabilities=("8.6",), max_batch=0)


@pytest.mark.parametrize("max_batch", [1, 4096])
def test_the_largest_batch_is_the_users(wrist: onnx.ModelProto, max_batch: int) -> None:
    plan = build_plan(wrist, compute_capabilities=("8.6",), max_batch=max_batch)
    assert describe_plan(plan).max_batch == max_batch


def test_progress_is_told_phase_by_phase(wrist: onnx.ModelProto) -> None:
    told: list[tuple[str, int, int]] = []
    build_plan(wrist, compute_capabilities=("8.6",), on_progress=lambda *step: told.append(step))
    assert {"Building engine", "Optimizing graph"} <= {phase for phase, _, _ in told}
    assert all(1 <= done <= total for _, done, total in told)
    whole = [done for phase, done, _ in told if phase == "Building engine"]
    assert whole == sorted(whole)


def test_ctrl_c_stops_the_build(wrist: onnx.ModelProto) -> None:
    before = signal.getsignal(signal.SIGINT)
    told: list[str] = []

    def press(phase: str, done: int, total: int) -> None:
        told.append(phase)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build_plan(wrist, compute_capabilities=("8.6",), on_progress=press)
    assert len(told) == 1
    assert any("BuildCanceled" in error for error in collecting_logger(tensorrt_rtx)[1].errors)
    assert signal.getsignal(signal.SIGINT) is before
    assert build_plan(wrist, compute_capabilities=("8.6",)).content  # and the next one builds


def test_an_error_of_the_progress_bar_is_not_lost_in_tensorrt(wrist: onnx.ModelProto) -> None:
    def broken(phase: str, done: int, total: int) -> None:
        raise OSError("the terminal has gone")

    with pytest.raises(OSError, match="the terminal has gone"):
        build_plan(wrist, compute_capabilities=("8.6",), on_progress=broken)


def test_a_network_of_constants_and_shapes_computes_nothing() -> None:
    import tensorrt_rtx as trt

    builder = trt.Builder(collecting_logger(trt)[0])
    network = builder.create_network(0)
    x = network.add_input("x", trt.float32, (-1, 3))
    network.add_constant((3,), np.ones(3, np.float32))
    network.add_shape(x)
    network.add_shuffle(x)
    assert count_layers(network) == {}
    network.add_activation(x, trt.ActivationType.RELU)
    network.add_cast(x, trt.float16)
    assert count_layers(network) == {"FLOAT": 1}
