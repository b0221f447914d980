"""On a real GPU: what FP16 and INT8 cost in its own arithmetic,
whether every way runs, and how fast.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.export.test_face_export import random_crop, seeded_weights
from tests.gpu.measure import BATCHES, Call, ceilings, flops_per_window, time_call, torch_ways
from tests.gpu.models import Model, chebyshev, kl
from tests.gpu.torch_graph import TorchGraph

from emodict.engine import Engine, open_engine
from emodict.engine.cuda import Cuda
from emodict.engine.driver import read_driver
from emodict.engine.placement import RTX_GPUS
from emodict.errors import EmodictError
from emodict.face.embed import FaceEngine
from emodict.face.plan import FacePlan
from emodict_export.face import export_face_model
from emodict_export.plan import build_plan, write_plan

pytestmark = pytest.mark.gpu
MAX_BATCH = max(BATCHES)
# What a precision may cost against FP32: KL, and Chebyshev distance, mean over windows.
BOUNDS = {"fp16": (1e-4, 1e-3), "int8": (2e-3, 2e-2)}
Figures = dict[str, Any]


def exact_of(model: Model, tokens: np.ndarray) -> np.ndarray:
    """FP32 on the CPU, by ONNX Runtime: the judge of everything here."""
    content = model.graphs["fp32"].SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["distribution"], {"tokens": tokens})[0]
    return result


def write_onnx(model: Model, precision: str, folder: Path) -> Path:
    path = folder / f"{precision}.onnx"
    path.write_bytes(model.graphs[precision].SerializeToString(deterministic=True))
    return path


def many(model: Model, rows: int) -> np.ndarray:
    return np.resize(model.tokens, (rows, *model.tokens.shape[1:]))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_low_precision_in_the_gpus_own_arithmetic_stays_within_its_bounds(
    precision: str, model: Model, figures: Figures
) -> None:
    exact = exact_of(model, model.tokens)
    graph = TorchGraph(model.graphs[precision], "cuda")
    with torch.inference_mode():
        got = graph(torch.from_numpy(model.tokens).cuda())[0].cpu().numpy()
    cost = {"kl": kl(exact, got), "chebyshev": chebyshev(exact, got)}
    figures["precision"][precision] = cost
    largest_kl, largest_chebyshev = BOUNDS[precision]
    assert cost["kl"] < largest_kl
    assert cost["chebyshev"] < largest_chebyshev
    assert np.abs(exact - got).max() > 1e-6, "low precision that costs nothing is none"


def test_what_overflows_half_is_infinite_on_the_gpu() -> None:
    squares = (
        torch.tensor([1000.0, 100.0], dtype=torch.float16, device="cuda")
        .square()
        .float()
        .cpu()
        .numpy()
    )
    np.testing.assert_array_equal(squares, [np.inf, 10000.0])


def test_the_driver_tells_the_gpu_that_torch_sees() -> None:
    gpu = read_driver().gpus[0]
    assert gpu.compute_capability == ".".join(map(str, torch.cuda.get_device_capability(0)))
    assert gpu.name == torch.cuda.get_device_name(0)


def test_memory_copies_and_captured_copies_arrive_on_the_real_gpu() -> None:
    pytest.importorskip("cuda.core")
    with Cuda() as cuda:
        there, back = cuda.mirror((5, 3)), cuda.mirror((5, 3))
        back._device = there.address

        def copy() -> None:
            there.up(2, cuda.stream)
            back.down(2, cuda.stream)

        there.array[...] = np.arange(15).reshape(5, 3)
        copy()
        cuda.wait()
        np.testing.assert_array_equal(back.array[:2], [[0, 1, 2], [3, 4, 5]])
        graph = cuda.capture(copy)
        there.array[...] *= 2
        graph.launch()
        cuda.wait()
        np.testing.assert_array_equal(back.array[:2], [[0, 2, 4], [6, 8, 10]])
        graph.close()


def test_onnx_runtime_on_the_gpu_computes_what_the_cpu_computes(
    model: Model, tmp_path: Path
) -> None:
    require_onnxruntime_cuda()
    tokens = many(model, 70)
    for precision, tolerance in (
        ("fp32", 1e-5),
        ("fp16", 2e-3),
    ):  # float32; FP16 keeps 11 significant bits
        with open_engine(write_onnx(model, precision, tmp_path), device="cuda") as engine:
            np.testing.assert_allclose(
                engine.infer(tokens)[0], exact_of(model, tokens), atol=tolerance
            )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_plan_computes_what_the_cpu_computes_or_it_is_said_why_none_can_run(
    precision: str, model: Model, figures: Figures, tmp_path: Path
) -> None:
    tokens = many(model, 70)
    with open_plan(model, precision, figures, tmp_path) as engine:
        for rows in (1, 7, 7, 70):
            got = engine.infer(tokens[:rows])[0]
            assert (
                kl(exact_of(model, tokens[:rows]), got)
                < {"fp32": 1e-8, **{k: v[0] for k, v in BOUNDS.items()}}[precision]
            )
    figures["plan"][precision] = "ran"


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 1e-2)])
def test_a_face_plan_describes_a_face_as_the_cpu_does(
    precision: str, tolerance: float, figures: Figures, tmp_path: Path
) -> None:
    obstacle = plan_obstacle()
    if obstacle is not None:
        pytest.skip(obstacle)
    weights, exact, graph = (tmp_path / name for name in ("vgg16.pth", "exact.onnx", "face.onnx"))
    torch.save(seeded_weights(), weights)
    export_face_model(weights, exact)
    export_face_model(weights, graph, precision=precision)
    write_plan(
        build_plan(onnx.load(graph), compute_capabilities=build_for()), tmp_path / "face.plan"
    )
    on_cpu = FaceEngine(exact)
    with contextlib.closing(FacePlan(tmp_path / "face.plan")) as on_gpu:
        for seed in range(3):
            expected = on_cpu.embed(random_crop(seed))
            # The bounds of the export:
            # thirteen layers in another order of sums, or rounded to 11 bits.
            atol = tolerance * np.abs(expected).max()
            np.testing.assert_allclose(on_gpu.embed(random_crop(seed)), expected, rtol=0, atol=atol)
    figures["plan"][f"face {precision}"] = "ran"


def test_the_ceilings_of_this_gpu(model: Model, figures: Figures) -> None:
    figures["ceilings"] = ceilings("cuda")
    figures["flops_per_window"] = flops_per_window(model)
    assert (
        figures["ceilings"]["copy_on_device_gb_per_s"]
        > figures["ceilings"]["copy_to_device_gb_per_s"]
    )


def test_latency_at_one_window_and_throughput_up_to_4096(
    model: Model, figures: Figures, tmp_path: Path
) -> None:
    exact = exact_of(model, many(model, MAX_BATCH))
    names = set()
    # One after the other: an engine is closed as soon as the next one is asked for.
    for name, make in itertools.chain(
        torch_ways(model, "cuda"), engine_ways(model, figures, tmp_path)
    ):
        for batch in BATCHES:
            tokens = many(model, batch)
            call = make(batch)
            # INT8 keeps 7 bits of a number,
            # FP16 and the TF32 of FP32's products 11; shares are of size 0.1.
            np.testing.assert_allclose(
                call(tokens), exact[:batch], atol=2e-2 if "int8" in name else 2e-3
            )
            timing = time_call(name, call, tokens)
            figures["speed"].append(
                {**dataclasses.asdict(timing), "windows_per_s": timing.windows_per_s}
            )
        names.add(name)
    assert {"torch eager", "torch.compile", "ONNX Runtime on the CPU, fp32"} <= names


def engine_ways(
    model: Model, figures: Figures, folder: Path
) -> Iterator[tuple[str, Callable[[int], Call]]]:
    """ONNX Runtime on the CPU and, where they can be had, on the GPU and a plan."""
    opened: list[tuple[str, Callable[[], Engine]]] = [
        ("ONNX Runtime on the CPU, fp32", lambda: open_engine(write_onnx(model, "fp32", folder))),
    ]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        for precision in ("fp32", "fp16"):
            path = write_onnx(model, precision, folder)
            opened.append(
                (
                    f"ONNX Runtime on the GPU, {precision}",
                    lambda path=path: open_engine(path, device="cuda"),
                )
            )
    if plan_obstacle() is None:
        for precision in ("fp32", "fp16", "int8"):
            name = f"plan, {precision}"
            opened.append(
                (name, lambda precision=precision: open_plan(model, precision, figures, folder))
            )
    for name, open_it in opened:
        with open_it() as engine:
            yield name, lambda batch, engine=engine: lambda tokens: engine.infer(tokens)[0]


def require_onnxruntime_cuda() -> None:
    providers = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in providers:
        pytest.skip(f"this ONNX Runtime has no CUDA provider, but {', '.join(providers)}")


def plan_obstacle() -> str | None:
    """Why no plan can be built and run for this GPU; None where one can."""
    capability = read_driver().gpus[0].compute_capability
    if importlib.util.find_spec("tensorrt") is not None:
        return None
    if importlib.util.find_spec("tensorrt_rtx") is None:
        return "neither tensorrt nor tensorrt_rtx is installed"
    if capability not in RTX_GPUS:
        return f"TensorRT for RTX does not build for compute capability {capability}; {rtx_says()}"
    return None


def build_for() -> tuple[str, ...] | None:
    """The GPU to name to TensorRT for RTX; the full TensorRT looks itself."""
    rtx_alone = importlib.util.find_spec("tensorrt") is None
    return (read_driver().gpus[0].compute_capability,) if rtx_alone else None


def rtx_says() -> str:
    """What TensorRT for RTX itself says of a plan on this GPU: asked,
    since it may learn to run more.
    """
    import tensorrt_rtx

    from emodict.engine.tensorrt_log import collecting_logger

    logger, messages = collecting_logger(tensorrt_rtx)
    messages.clear()
    from tests.gpu.models import make_model

    plan = build_plan(make_model().graphs["fp16"], compute_capabilities=("8.9",)).content
    runtime = tensorrt_rtx.Runtime(logger)
    validity, diagnostics = runtime.get_engine_validity(plan[: runtime.engine_header_size])
    kinds = tensorrt_rtx.EngineInvalidityDiagnostics.__members__.items()
    named = [name for name, kind in kinds if diagnostics & int(kind.value)]
    return f"of a plan for 8.9 it says {validity.name}: {', '.join(named) or messages.sentence()}"


def open_plan(model: Model, precision: str, figures: Figures, folder: Path) -> Engine:
    """A plan for this GPU, built here; skips, and writes down why, where there can be none."""
    obstacle = plan_obstacle()
    if obstacle is not None:
        figures["plan"]["none"] = obstacle
        pytest.skip(obstacle)
    path = folder / f"{precision}.plan"
    try:
        write_plan(
            build_plan(
                model.graphs[precision], compute_capabilities=build_for(), max_batch=MAX_BATCH
            ),
            path,
        )
        return open_engine(path)
    except EmodictError as error:
        figures["plan"][precision] = str(error)
        raise
