"""How long a call takes, from windows in the host's memory to distributions
there, and what bounds it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tests.gpu.models import Frozen, Model
from tests.gpu.torch_graph import TorchGraph
from torch import Tensor

BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
Call = Callable[[np.ndarray], np.ndarray]
Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Timing:
    """One way at one batch; times of a whole call."""

    way: str
    batch: int
    median_us: float
    p95_us: float
    calls: int

    @property
    def windows_per_s(self) -> float:
        return self.batch / self.median_us * 1e6


def time_call(
    way: str, call: Call, tokens: np.ndarray, *, seconds: float = 0.3, fewest: int = 20
) -> Timing:
    """Median and 95th percentile over at least `fewest` calls and `seconds`, after a warm-up."""
    for _ in range(max(3, fewest // 4)):
        call(tokens)
    times: list[float] = []
    while len(times) < fewest or (sum(times) < seconds and len(times) < 5000):
        started = time.perf_counter()
        call(tokens)
        times.append(time.perf_counter() - started)
    return Timing(
        way,
        len(tokens),
        1e6 * statistics.median(times),
        1e6 * float(np.percentile(times, 95)),
        len(times),
    )


def torch_ways(
    model: Model, device: str, *, compiled: bool = True
) -> Iterator[tuple[str, Callable[[int], Call]]]:
    """(name, make a call for a batch): torch as it is, torch.compile,
    and the folded graph in torch.
    """
    frozen = Frozen(model.network).eval().to(device)
    yield "torch eager", lambda batch: plain_call(frozen, device)
    if compiled:
        yield "torch.compile", lambda batch: plain_call(_compiled(frozen), device)
    for precision in ("fp32", "fp16"):
        graph = TorchGraph(model.graphs[precision], device)

        def run(tokens: Tensor, graph: TorchGraph = graph) -> Tensor:
            distribution: Tensor = graph(tokens)[0]
            return distribution

        yield f"folded graph in torch, {precision}", lambda batch, run=run: plain_call(run, device)
        if device == "cuda":
            yield (
                f"folded graph in torch as a CUDA graph, {precision}",
                lambda batch, run=run: recorded_call(run, (batch, *model.tokens.shape[1:])),
            )


def plain_call(run: Run, device: str) -> Call:
    """Copy to the device, compute, copy back."""

    def call(tokens: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            result: np.ndarray = run(torch.from_numpy(tokens).to(device)).float().cpu().numpy()
        return result

    return call


def recorded_call(run: Run, shape: tuple[int, ...]) -> Call:
    """The same from and to pinned memory, recorded as one CUDA graph:
    what TensorRTEngine does with a plan.
    """
    host_in = torch.empty(shape).pin_memory()
    device_in = torch.zeros(shape, device="cuda")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):
            device_out = run(device_in)
        host_out = torch.empty(device_out.shape).pin_memory()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        device_in.copy_(host_in, non_blocking=True)
        host_out.copy_(run(device_in), non_blocking=True)
    array = host_in.numpy()

    def call(tokens: np.ndarray) -> np.ndarray:
        array[...] = tokens
        graph.replay()
        torch.cuda.synchronize()
        return host_out.numpy()

    return call


def _compiled(module: torch.nn.Module) -> Run:
    torch._dynamo.reset()
    # With CUDA graphs: torch's best for calls as short as these.
    compiled: Run = torch.compile(module, mode="reduce-overhead", dynamic=False)
    return compiled


def flops_per_window(model: Model) -> int:
    """Multiplications and additions of the folded graph's matrix products, for one window."""
    from torch.utils.flop_counter import FlopCounterMode

    graph = TorchGraph(model.graphs["fp32"])
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        graph(torch.from_numpy(model.tokens[:1]))
    return counter.get_total_flops()


def ceilings(
    device: str, *, copy_bytes: int = 2**30, side: int = 8192, repeats: int = 10
) -> dict[str, float]:
    """What this device can do at most, measured:
    copies in GB/s (bytes read and written), products in TFLOP/s.
    """
    source = torch.empty(copy_bytes // 4, device=device).normal_()
    target = torch.empty_like(source)
    host = torch.empty(copy_bytes // 16)
    host = host.pin_memory() if device == "cuda" else host
    part = target[: len(host)]
    found = {
        "copy_on_device_gb_per_s": 2
        * copy_bytes
        / _seconds(lambda: target.copy_(source), device, repeats)
        / 1e9,
        "copy_to_device_gb_per_s": copy_bytes
        / 4
        / _seconds(lambda: part.copy_(host, non_blocking=True), device, repeats)
        / 1e9,
        "copy_from_device_gb_per_s": copy_bytes
        / 4
        / _seconds(lambda: host.copy_(part, non_blocking=True), device, repeats)
        / 1e9,
    }
    for name, kind in (("fp32", torch.float32), ("fp16", torch.float16)):
        a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
        found[f"matmul_{name}_tflop_per_s"] = (
            2 * side**3 / _seconds(lambda a=a, b=b: a @ b, device, repeats) / 1e12
        )
    return found


def _seconds(work: Callable[[], object], device: str, repeats: int) -> float:
    """Median seconds of one piece of work, the device waited for."""

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        work()
    wait()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
