"""The TensorRT engine computes what ONNX Runtime computes, and refuses what cannot run,
each time saying what to do.

There is no GPU here: tests/stand_in takes the place of TensorRT and of
cuda-core, and really computes.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from benchmarks.fixtures import untrained_model
from tests.stand_in import cuda_core, tensorrt
from tests.stand_in.plans import MAX_BATCH, RTX_3080, put_in_place, write_plan

from emodict.engine import open_engine
from emodict.engine.driver import Driver, Gpu
from emodict.engine.tensorrt import TensorRTEngine
from emodict.engine.tensorrt_log import collecting_logger
from emodict.errors import EmodictError, ModelError

BUILDERS = ("tensorrt", "tensorrt_rtx")


@pytest.fixture(autouse=True)
def all_memory_is_given_back() -> Iterator[None]:
    yield
    assert not cuda_core.LIVE
    assert not cuda_core.STREAMS


@pytest.fixture
def plan(wrist_model: Path, tmp_path: Path) -> Path:
    return write_plan(wrist_model, tmp_path / "plan")


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return put_in_place(monkeypatch, "tensorrt_rtx")


def rows_of(plan: Path, rows: int, *, seed: int = 0) -> np.ndarray:
    with open_engine(plan.with_suffix(".onnx")) as engine:
        features = engine.manifest.features
    shape = (rows, features.tokens, features.token_width)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def expected_of(plan: Path, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with open_engine(plan.with_suffix(".onnx")) as engine:
        distribution, weights = engine.infer(tokens)
        return distribution.copy(), weights.copy()


def compare(engine: TensorRTEngine, plan: Path, tokens: np.ndarray) -> None:
    for got, wanted in zip(engine.infer(tokens), expected_of(plan, tokens), strict=True):
        # The batch may be split, and matrix products of another height round otherwise:
        # float32 keeps 6e-8 of shares below 1 and of weights up to 10, behind a few
        # hundred operations each.
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_plan_computes_what_its_onnx_file_computes_at_any_number_of_rows(
    builder: str, wrist_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(wrist_model, tmp_path, builder)
    put_in_place(monkeypatch, builder)
    with TensorRTEngine(plan) as engine:
        for rows in (1, 2, 7, MAX_BATCH, MAX_BATCH + 1, 3 * MAX_BATCH + 5, 7):
            compare(engine, plan, rows_of(plan, rows, seed=rows))


def test_no_rows_give_no_rows(plan: Path, rtx: ModuleType) -> None:
    with TensorRTEngine(plan) as engine:
        distribution, weights = engine.infer(rows_of(plan, 1)[:0])
        assert distribution.shape == (0, 10)
        assert weights.shape == (0, 32)


def test_rows_beyond_the_largest_batch_are_computed_in_parts(plan: Path, rtx: ModuleType) -> None:
    tokens = rows_of(plan, 2 * MAX_BATCH + 5)
    with TensorRTEngine(plan) as engine:
        rtx.calls.clear()
        engine.infer(tokens)
    assert [call for call in rtx.calls if call.startswith("computed")] == [
        f"computed {MAX_BATCH}", f"computed {MAX_BATCH}", "computed 5",
    ]  # fmt: skip


def test_a_number_of_rows_that_comes_again_is_captured_once_and_replayed(
    plan: Path, rtx: ModuleType
) -> None:
    with TensorRTEngine(plan) as engine:
        rtx.calls.clear()
        for seed in range(4):
            compare(engine, plan, rows_of(plan, 7, seed=seed))
        assert rtx.calls == [
            "enqueued",
            "computed 7",
            "captured",
            "computed 7",
            "computed 7",
            "computed 7",
        ]
        rtx.calls.clear()
        compare(engine, plan, rows_of(plan, 3))
        compare(engine, plan, rows_of(plan, 7))
        compare(engine, plan, rows_of(plan, 7, seed=1))
        assert rtx.calls == [
            "enqueued",
            "computed 3",
            "enqueued",
            "computed 7",
            "captured",
            "computed 7",
        ]


def test_a_recorded_graph_is_given_back_once_it_serves_no_more(
    plan: Path, rtx: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    monkeypatch.setattr(cuda_core.Graph, "close", lambda graph: closed.append(graph))
    with TensorRTEngine(plan) as engine:
        for rows, count in ((7, 0), (7, 0), (7, 0), (3, 1), (3, 1), (7, 2), (7, 2)):
            engine.infer(rows_of(plan, rows))
            assert len(closed) == count
    assert len(closed) == len(set(map(id, closed))) == 3


def test_where_tensorrt_says_that_capture_is_impossible_each_call_is_enqueued_and_it_is_said(
    plan: Path, rtx: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    rtx.capturable = False
    with TensorRTEngine(plan) as engine:
        for seed in range(3):
            compare(engine, plan, rows_of(plan, 5, seed=seed))
    assert rtx.calls.count("enqueued") == 3
    assert "captured" not in rtx.calls
    assert [record.levelname for record in caplog.records if "CUDA graph" in record.message] == [
        "WARNING"
    ]


def test_kernels_are_compiled_before_they_are_used_so_that_results_never_change(
    plan: Path, rtx: ModuleType
) -> None:
    with TensorRTEngine(plan):
        assert "EAGER" in rtx.calls


def test_outputs_can_be_read_after_the_engine_is_closed(plan: Path, rtx: ModuleType) -> None:
    tokens = rows_of(plan, 4)
    with TensorRTEngine(plan) as engine:
        distribution, _ = engine.infer(tokens)
    # Shares in float32; memory that was freed holds NaN.
    np.testing.assert_allclose(distribution, expected_of(plan, tokens)[0], rtol=0, atol=1e-6)


def test_of_a_closed_engine_nothing_is_left_on_the_gpu(
    plan: Path, rtx: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, start = [], tensorrt.IExecutionContext.__init__

    def remembered(self: object, *words: object) -> None:
        made.append(weakref.ref(self))
        start(self, *words)

    monkeypatch.setattr(tensorrt.IExecutionContext, "__init__", remembered)
    with TensorRTEngine(plan) as engine:
        engine.infer(rows_of(plan, 2))
        assert [context() is None for context in made] == [False]
    gc.collect()
    assert [context() is None for context in made] == [True]
    assert engine.manifest is not None  # held until here


def test_host_code_in_a_plan_is_never_allowed(plan: Path, rtx: ModuleType) -> None:
    with TensorRTEngine(plan):
        assert "deserialised" in rtx.calls


@pytest.mark.parametrize(
    "tokens", [np.zeros((2, 3, 4), np.float32), np.zeros((1, 4, 4), np.float64)]
)
def test_tokens_of_another_shape_or_type_never_reach_the_gpu(
    plan: Path, rtx: ModuleType, tokens: np.ndarray
) -> None:
    with (
        TensorRTEngine(plan) as engine,
        pytest.raises(ModelError, match="The tokens do not fit the model"),
    ):
        engine.infer(tokens)
    assert "enqueued" not in rtx.calls


def test_open_engine_takes_a_plan_to_the_gpu_and_refuses_it_on_the_cpu(
    plan: Path, rtx: ModuleType
) -> None:
    for device in (None, "cuda"):
        with open_engine(plan, device=device) as engine:
            assert isinstance(engine, TensorRTEngine)
    with pytest.raises(
        ModelError, match=r"runs on a GPU alone.*--engine \S*model\.onnx session\.h5"
    ):
        open_engine(plan, device="cpu")
    with pytest.raises(ModelError, match="There is no device 'tpu'"):
        open_engine(plan, device="tpu")


class Watch:
    """Notes every attempt to import what runs plans."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] in ("tensorrt", "tensorrt_rtx", "cuda"):
            self.seen.append(name)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    for name in [n for n in sys.modules if n.split(".")[0] in ("tensorrt", "tensorrt_rtx", "cuda")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    return watch


@pytest.mark.parametrize("which", ["model.plan", "model.plan.json"])
def test_one_flipped_byte_anywhere_is_refused_before_tensorrt_is_even_imported(
    plan: Path, which: str, watch: Watch
) -> None:
    path = plan.with_name(which)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    places = {0, 1, len(whole) - 2, len(whole) - 1, *rng.integers(len(whole), size=150).tolist()}
    for place in sorted(places):
        broken = bytearray(whole)
        broken[place] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        with pytest.raises(EmodictError) as refusal:
            TensorRTEngine(plan)
        assert refusal.value.exit_code == 2, place
    assert watch.seen == []
    path.write_bytes(whole)
    importlib.invalidate_caches()
    with pytest.raises(EmodictError):
        TensorRTEngine(plan)
    assert watch.seen, "the untouched plan gets as far as TensorRT: the watch works"


def test_a_blank_more_in_the_sidecar_is_refused(plan: Path, watch: Watch) -> None:
    path = plan.with_name("model.plan.json")
    path.write_text(path.read_text().replace("{", "{ ", 1))
    with pytest.raises(ModelError, match="changed or damaged"):
        TensorRTEngine(plan)
    assert watch.seen == []


def test_a_plan_that_is_cut_off_or_alone_is_refused_before_tensorrt_is_imported(
    plan: Path, watch: Watch
) -> None:
    whole = plan.read_bytes()
    plan.write_bytes(whole[:-100])
    with pytest.raises(
        ModelError, match=rf"cut off.*Expected {len(whole)} bytes, got {len(whole) - 100} bytes"
    ):
        TensorRTEngine(plan)
    plan.write_bytes(whole)
    plan.with_name("model.plan.json").unlink()
    with pytest.raises(
        ModelError, match=r"has no description beside it.*emodict-export model\.pt -o model\.plan"
    ):
        TensorRTEngine(plan)
    assert watch.seen == []


HOPPER = Driver(True, (13, 0), "580.65.06", (Gpu("NVIDIA H100", "9.0"),))
BLACKWELL = Driver(True, (13, 0), None, (Gpu("RTX 5090", "12.0"),))
NOTHING = Driver(False, problem="there is no NVIDIA driver")
NO_GPU = Driver(True, (13, 0), problem="the driver sees no GPU")
OLD_DRIVER = Driver(True, (12, 4), "550.54.14", RTX_3080.gpus)
ONNX_WAY = r"runs on this machine: emodict-run --engine '.*model\.onnx' session\.h5"


@pytest.mark.parametrize(
    ("driver", "sentence"),
    [
        (
            NOTHING,
            "needs an NVIDIA GPU, and there is no NVIDIA driver.*Install NVIDIA's driver.*"
            + ONNX_WAY,
        ),
        (NO_GPU, "needs an NVIDIA GPU, and the driver sees no GPU.*" + ONNX_WAY),
        (
            OLD_DRIVER,
            r"driver 550\.54\.14 is too old.*CUDA 13\.0 or newer, got one for CUDA 12\.4.*"
            + ONNX_WAY,
        ),
        (
            HOPPER,
            r"another GPU, and TensorRT for RTX does not know the NVIDIA H100 at all.*got 9\.0.*"
            + ONNX_WAY,
        ),
        (
            BLACKWELL,
            r"built for another GPU.*8\.6 or 8\.9, got 12\.0 \(RTX 5090\).*"
            + ONNX_WAY
            + r".*emodict-export model\.pt -o model\.plan --precision fp32 --sm 86,89,120",
        ),
    ],
)
def test_a_gpu_that_cannot_run_the_plan_is_told_with_the_way_out(
    driver: Driver, sentence: str, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = put_in_place(monkeypatch, "tensorrt_rtx", driver=driver)
    with pytest.raises(ModelError, match=sentence):
        TensorRTEngine(plan)
    assert module.calls == []


@pytest.mark.parametrize(
    ("builder", "version", "sentence"),
    [
        (
            "tensorrt_rtx",
            "1.8.0.1",
            r"built by TensorRT for RTX 1\.7\.1\.116.*got 1\.8\.0\.1.*--precision fp32 --sm 86,89",
        ),
        ("tensorrt_rtx", "1.5.0", r"TensorRT for RTX 1\.5\.0 is too old.*1\.6 or newer"),
        (
            "tensorrt",
            "10.13.0",
            r"built by TensorRT 10\.3\.0.*got 10\.13\.0.*-o model\.plan --precision fp32\.$",
        ),
        (
            "tensorrt",
            "8.6.2",
            r"TensorRT 8\.6\.2 is too old.*JetPack 6\.1 or newer, not JetPack 5 or 6\.0.*"
            + ONNX_WAY,
        ),
        ("tensorrt", "10.0.1", "too old"),
    ],
)
def test_another_version_of_tensorrt_is_refused_with_both_versions_and_the_command_that_rebuilds(
    builder: str,
    version: str,
    sentence: str,
    wrist_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = write_plan(wrist_model, tmp_path, builder)
    module = put_in_place(monkeypatch, builder, version=version)
    with pytest.raises(ModelError, match=sentence):
        TensorRTEngine(plan)
    assert module.calls == []


def test_another_platform_is_refused_before_tensorrt_is_imported(
    wrist_model: Path, tmp_path: Path, watch: Watch
) -> None:
    plan = write_plan(wrist_model, tmp_path, platform="linux-riscv64")
    with pytest.raises(ModelError, match=r"another platform\. Expected linux-riscv64, got linux-"):
        TensorRTEngine(plan)
    assert watch.seen == []


def test_a_builder_that_nobody_knows_is_refused(
    wrist_model: Path, tmp_path: Path, watch: Watch
) -> None:
    plan = write_plan(wrist_model, tmp_path, builder="os")
    with pytest.raises(ModelError, match="built by 'os', which emodict cannot run"):
        TensorRTEngine(plan)
    assert watch.seen == []


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        ("tensorrt_rtx", r"pip install 'emodict\[tensorrt-rtx\]'"),
        ("tensorrt", "On a Jetson use the TensorRT of JetPack"),
    ],
)
def test_a_missing_tensorrt_says_where_to_get_it(
    builder: str, sentence: str, wrist_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(wrist_model, tmp_path, builder)
    monkeypatch.setitem(sys.modules, builder, None)
    with pytest.raises(EmodictError, match=sentence) as refusal:
        TensorRTEngine(plan)
    assert refusal.value.exit_code == 2


def test_pypis_tensorrt_without_its_libraries_is_seen_through(
    wrist_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(wrist_model, tmp_path / "plan", "tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    with pytest.raises(
        ModelError,
        match=r"cannot be loaded \(it has no Runtime\).*PyPI's 'tensorrt' brings no libraries",
    ):
        TensorRTEngine(plan)
    (tmp_path / "tensorrt.py").write_text(
        "raise OSError('libnvinfer.so.10: cannot open shared object file')\n"
    )
    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"cannot be loaded \(libnvinfer\.so\.10: cannot open"):
        TensorRTEngine(plan)


def test_a_missing_cuda_core_says_how_to_get_it(
    plan: Path, rtx: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cuda.core", "cuda.core.experimental"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EmodictError, match=r"'cuda-core'.*pip install 'emodict\[tensorrt\]'"):
        TensorRTEngine(plan)
    assert rtx.calls == []


def test_what_tensorrt_for_rtx_answers_about_the_plan_is_said(
    plan: Path, rtx: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    rtx.validity, rtx.diagnostics = tensorrt.EngineValidity.INVALID, 1 | 4
    with pytest.raises(ModelError, match="cannot run here: version mismatch, old cuda driver"):
        TensorRTEngine(plan)
    assert "deserialised" not in rtx.calls
    assert f"asked about {tensorrt.HEADER_BYTES} bytes" in rtx.calls
    rtx.validity, rtx.diagnostics = tensorrt.EngineValidity.SUBOPTIMAL, 0
    with caplog.at_level(logging.WARNING), TensorRTEngine(plan) as engine:
        compare(engine, plan, rows_of(plan, 2))
    assert "slower than it could" in caplog.text


def test_a_plan_that_tensorrt_refuses_is_told_in_our_words(
    wrist_model: Path, tmp_path: Path, rtx: ModuleType
) -> None:
    plan = write_plan(wrist_model, tmp_path, plan=b"something else altogether")
    with pytest.raises(
        ModelError, match="cannot be loaded: these bytes are not a plan of this TensorRT"
    ):
        TensorRTEngine(plan)


def half_typed(wrist_model: Path) -> bytes:
    """The same graph with its distribution in half precision: not what the description promises."""
    model = onnx.load(wrist_model)
    for node in model.graph.node:
        node.output[:] = ["full" if name == "distribution" else name for name in node.output]
    model.graph.node.append(
        onnx.helper.make_node("Cast", ["full"], ["distribution"], to=onnx.TensorProto.FLOAT16)
    )
    next(
        o for o in model.graph.output if o.name == "distribution"
    ).type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return model.SerializeToString()


@pytest.mark.parametrize("wrong", ["name", "type", "tensors"])
def test_a_plan_that_is_not_what_its_description_says_is_refused(
    wrong: str, wrist_model: Path, tmp_path: Path, rtx: ModuleType
) -> None:
    content = wrist_model.read_bytes()
    name = json.loads(write_plan(wrist_model, tmp_path).with_name("model.plan.json").read_text())[
        "plan"
    ]["network_name"]
    if wrong == "type":
        content = half_typed(wrist_model)
    elif wrong == "tensors":
        other = untrained_model(tmp_path / "other.onnx", spec_id="emodict-1", modalities=("ppg",))
        content = other.read_bytes()
    made = tensorrt.make_plan(
        content, name="trtexec" if wrong == "name" else name, max_batch=MAX_BATCH
    )
    plan = write_plan(wrist_model, tmp_path, plan=made)
    with pytest.raises(ModelError, match="is not what its description says"):
        TensorRTEngine(plan)
    assert "enqueued" not in rtx.calls


@pytest.mark.parametrize(
    ("where", "sentence"),
    [("context", "A context could not be made"), ("execute", "not be started")],
)
def test_a_gpu_without_memory_left_is_a_sentence_and_gives_back_what_it_took(
    where: str, sentence: str, plan: Path, rtx: ModuleType
) -> None:
    rtx.fails_at = where
    tokens = rows_of(plan, 2)

    def run() -> None:
        with TensorRTEngine(plan) as engine:
            engine.infer(tokens)

    with pytest.raises(EmodictError, match=f"{sentence}.*: the GPU's memory is full") as failure:
        run()
    assert failure.value.exit_code == 1


@pytest.mark.parametrize("rows", [1, 2])
def test_rows_whose_first_call_failed_come_for_the_first_time_again(
    rows: int, plan: Path, rtx: ModuleType
) -> None:
    tokens = rows_of(plan, rows)
    with TensorRTEngine(plan) as engine:
        compare(engine, plan, rows_of(plan, 3))
        rtx.fails_at = "execute"
        with pytest.raises(EmodictError, match="could not be started"):
            engine.infer(tokens)
        rtx.fails_at = ""
        rtx.calls.clear()
        compare(engine, plan, tokens)
        assert rtx.calls == ["enqueued", f"computed {rows}"]


def test_a_failure_during_capture_is_an_error_not_a_slower_way(plan: Path, rtx: ModuleType) -> None:
    tokens = rows_of(plan, 2)

    def run() -> None:
        with TensorRTEngine(plan) as engine:
            engine.infer(tokens)
            rtx.fails_at = "execute"
            engine.infer(tokens)

    with pytest.raises(EmodictError, match="could not be started"):
        run()


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        (
            cuda_core.Device,
            "allocate",
            r"could not be brought onto the GPU: CUDA_ERROR_OUT_OF_MEMORY",
        ),
        (cuda_core.Graph, "launch", "The GPU failed while computing: CUDA_ERROR_OUT_OF_MEMORY"),
    ],
)
def test_what_cuda_core_raises_is_a_sentence(
    kind: type,
    name: str,
    sentence: str,
    plan: Path,
    rtx: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: the API call failed\nsee the manual")

    monkeypatch.setattr(kind, name, fail)
    tokens = rows_of(plan, 2)

    def run() -> None:
        with TensorRTEngine(plan) as engine:
            for _ in range(3):
                engine.infer(tokens)

    with pytest.raises(EmodictError, match=sentence) as failure:
        run()
    assert failure.value.exit_code == 1
    assert "manual" not in str(failure.value)
    assert "End what else uses the GPU's memory (nvidia-smi lists it)" in str(failure.value)


@pytest.mark.parametrize("logged", ["", "the plan is tired"])
def test_what_tensorrt_logged_stands_beside_what_cuda_core_raised(
    logged: str, plan: Path, rtx: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        if logged:
            collecting_logger(rtx)[0].log(tensorrt.Severity.ERROR, logged)
        raise RuntimeError("CUDA_ERROR_UNKNOWN")

    monkeypatch.setattr(cuda_core.Graph, "launch", fail)
    said = "CUDA_ERROR_UNKNOWN" + (f"; TensorRT says '{logged}'" if logged else "")
    with TensorRTEngine(plan) as engine:
        engine.infer(rows_of(plan, 2))
        with pytest.raises(EmodictError) as failure:
            engine.infer(rows_of(plan, 2))
    assert str(failure.value) == f"The GPU failed while computing: {said}."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("CUDA_ERROR_NO_DEVICE\nsee the manual"),
            r"the GPU cannot be used: CUDA_ERROR_NO_DEVICE\.",
        ),
        (RuntimeError(), "the GPU cannot be used: RuntimeError"),
    ],
)
def test_a_gpu_that_cannot_be_had_is_a_sentence(
    error: Exception, said: str, plan: Path, rtx: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cuda_core.Device, "set_current", fail)
    with pytest.raises(ModelError, match=said) as failure:
        TensorRTEngine(plan)
    assert "manual" not in str(failure.value)


def test_the_stand_in_offers_nothing_that_the_real_module_does_not() -> None:
    real = pytest.importorskip("tensorrt_rtx")
    ours = tensorrt.make_module("tensorrt_rtx", "1.7")
    kinds = (
        "ILogger",
        "DataType",
        "TensorIOMode",
        "Runtime",
        "EngineValidity",
        "EngineInvalidityDiagnostics",
        "DynamicShapesKernelSpecializationStrategy",
    )
    pairs = {name: getattr(ours, name) for name in kinds}
    pairs |= {
        "ICudaEngine": tensorrt.RtxCudaEngine,
        "IExecutionContext": tensorrt.RtxExecutionContext,
    }
    pairs |= {"IRuntimeConfig": tensorrt.IRuntimeConfig}
    of_the_stand_in_alone = {"context", "fail"}
    for name, ours_is in pairs.items():
        names = {n for n in dir(ours_is) if not n.startswith("_")} - of_the_stand_in_alone
        # What every Python enumeration has, and pybind's have not.
        assert names <= set(dir(getattr(real, name))) | {"name", "value"}, name
