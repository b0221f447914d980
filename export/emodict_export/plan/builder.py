"""ONNX graph -> plan: one path through `tensorrt` 10.3 to 11.x and `tensorrt_rtx`,
precision being the graph's own.
"""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from emodict.engine.tensorrt_api import TensorRTModule
from emodict.engine.tensorrt_log import Messages, collecting_logger
from emodict.errors import EmodictError, ModelError
from emodict_export.plan.layers import count_layers
from emodict_export.plan.tensorrt_api import (
    AheadOfTime,
    AheadOfTimeConfig,
    Config,
    Network,
    Parser,
    PlanBuilder,
    TensorRT,
    TimingConfig,
)
from emodict_export.plan.tensorrt_module import Backend
from emodict_export.plan.timing_cache import read_cache, write_cache

logger = logging.getLogger(__name__)

# What TensorRT is doing, how many of its steps are done, and of how many.
OnProgress = Callable[[str, int, int], None]
# TensorRT chooses its kernels for the batch that is usual: a device asks for one window a second.
USUAL_BATCH = 1


@dataclass(frozen=True)
class Order:
    """What to build.

    Attributes:
        onnx: the serialised model.
        network_name: the name that the plan will carry.
        shapes: of one row of each input, without the batch: {"tokens": (11, 18)}.
        max_batch: most rows of one call.
    """

    onnx: bytes
    network_name: str
    shapes: Mapping[str, tuple[int, ...]]
    max_batch: int
    compute_capabilities: tuple[str, ...]


def build_serialized(
    backend: Backend,
    order: Order,
    *,
    on_progress: OnProgress | None = None,
    timing_cache: Path | None = None,
) -> tuple[bytes, dict[str, int]]:
    """The plan, and how many layers of the built network compute in which type.

    Raises:
        ModelError: TensorRT cannot read the graph, or cannot build it for these GPUs.
        KeyboardInterrupt: the user stopped it.
    """
    trt = backend.module
    log, messages = collecting_logger(cast(TensorRTModule, trt))
    messages.clear()
    builder = trt.Builder(log)
    network = builder.create_network(_strongly_typed(trt))
    # The parser holds the weights the network points into: it must live as long as the network.
    parser = trt.OnnxParser(network, log)
    _parse(parser, network, order)
    network.name = order.network_name
    config = _configure(backend, builder, order)
    timed = timing_cache if backend.timing_cache else None
    if timed is not None:
        _use_timing_cache(cast(TimingConfig, config), timed)
    with _watched(trt, config, on_progress):
        memory = builder.build_serialized_network(network, config)
    if memory is None:
        raise _build_error(backend, order, messages)
    if timed is not None:
        _keep_timing_cache(cast(TimingConfig, config), timed)
    plan, layers = bytes(memory), count_layers(network)
    del parser
    return plan, layers


def _configure(backend: Backend, builder: PlanBuilder, order: Order) -> Config:
    config = builder.create_builder_config()
    # Keep FP32 what it says: unless told not to, TensorRT multiplies it with a mantissa of 10 bits.
    config.clear_flag(backend.module.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for name, shape in order.shapes.items():
        profile.set_shape(name, (1, *shape), (USUAL_BATCH, *shape), (order.max_batch, *shape))
    config.add_optimization_profile(profile)
    if backend.ahead_of_time:
        _name_gpus(backend, config, order)
    return config


def _strongly_typed(trt: TensorRT) -> int:
    """The flag that makes the graph's types binding;
    a TensorRT that has dropped it types strongly always.
    """
    flag: Any = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _parse(parser: Parser, network: Network, order: Order) -> None:
    if not parser.parse(order.onnx):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        if not errors:
            raise ModelError("TensorRT cannot read this ONNX graph, and does not say why")
        first = errors[0]
        raise ModelError(
            f"TensorRT cannot read node '{first.node_name()}' ({first.node_operator()}) "
            f"of the ONNX graph: "
            f"{_plain(first.desc())}"
        )
    # What is not ONNX at all is "parsed" into an empty network.
    found = {network.get_input(i).name for i in range(network.num_inputs)}
    if found != set(order.shapes):
        raise ModelError(
            "TensorRT read another graph than the one meant",
            expected=f"inputs {', '.join(order.shapes)}",
            got=", ".join(sorted(found)) or "none",
        )


def _name_gpus(backend: Backend, config: Config, order: Order) -> None:
    rtx, config_rtx = cast(AheadOfTime, backend.module), cast(AheadOfTimeConfig, config)
    # Else RTX allocates while it runs, which no CUDA graph can record.
    config_rtx.set_flag(rtx.BuilderFlag.REQUIRE_USER_ALLOCATION)
    config_rtx.num_compute_capabilities = len(order.compute_capabilities)
    for index, name in enumerate(order.compute_capabilities):
        member = getattr(rtx.ComputeCapability, "SM" + name.replace(".", ""))
        if not config_rtx.set_compute_capability(member, index):
            raise EmodictError(
                f"TensorRT for RTX {backend.version} refused to build for compute capability {name}"
            )


def _use_timing_cache(config: TimingConfig, path: Path) -> None:
    kept = read_cache(path)
    cache = config.create_timing_cache(kept)
    if cache is not None and config.set_timing_cache(cache, False):
        return
    logger.warning("TensorRT does not accept the timing cache %s: kernels are timed again", path)
    fresh = config.create_timing_cache(b"")
    if fresh is not None:
        config.set_timing_cache(fresh, False)


def _keep_timing_cache(config: TimingConfig, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is not None:
        write_cache(path, bytes(cache.serialize()))


def _build_error(backend: Backend, order: Order, messages: Messages) -> ModelError:
    # Without a GPU, RTX complains of the missing driver beside whatever is really wrong.
    telling = [text for text in messages.errors if "cudaError" not in text] or messages.errors
    fix = None
    if "7.5" in order.compute_capabilities:
        fix = (
            "TensorRT for RTX has no FP32 matrix products for compute capability 7.5: "
            "leave 75 out of --sm, or export "
            "with --precision fp16 and keep no Gemm or MatMul in FP32"
        )
    return ModelError(
        f"{backend.name} {backend.version} cannot build this graph for compute capability "
        f"{', '.join(order.compute_capabilities)}: "
        f"{_plain(telling[0]) if telling else 'it does not say why'}",
        fix=fix,
    )


def _plain(text: str) -> str:
    """A message without the places in TensorRT's source that it names, on one line."""
    lines = [
        line
        for line in text.splitlines()
        if "cudaError" not in line and not line.startswith("Invalid Node")
    ]
    joined = " ".join(lines or text.splitlines())
    joined = re.sub(
        r"\(?\s*In \w+ at \S+?:\d+\)?|\[\w+\.cpp:\d+: \w+\]\s*|Error Code \d+: |^\w+::\w+: ",
        "",
        joined,
    )
    joined = re.sub(r"Myelin \(", "", joined)
    return re.sub(r"\s+", " ", joined).strip().rstrip(".")


@contextlib.contextmanager
def _watched(trt: TensorRT, config: Config, on_progress: OnProgress | None) -> Iterator[None]:
    """Report progress, and let Ctrl-C and an error of `on_progress` end the build at its next step.

    No exception may leave a callback of TensorRT, being called from C++ that knows none: it is
    kept, and raised once the builder has returned.
    """
    watch = _Watch(on_progress)
    config.progress_monitor = _monitor(trt, watch)
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, lambda *_: watch.stop(KeyboardInterrupt()))
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    if watch.stopped_by is not None:
        raise watch.stopped_by


class _Watch:
    """The phases under way, and what stopped them."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._report = on_progress
        self._steps: dict[str, int] = {}
        self.stopped_by: BaseException | None = None

    def start(self, phase: str, steps: int) -> None:
        self._steps[phase] = steps

    def step(self, phase: str, step: int) -> bool:
        """Whether to go on."""
        if self._report is not None and self.stopped_by is None:
            try:
                self._report(phase, step + 1, max(step + 1, self._steps.get(phase, 0)))
            except BaseException as error:
                self.stop(error)
        return self.stopped_by is None

    def stop(self, error: BaseException) -> None:
        self.stopped_by = self.stopped_by or error


def _monitor(trt: TensorRT, watch: _Watch) -> object:
    """An IProgressMonitor of this module that tells `watch`."""
    base: Any = trt.IProgressMonitor
    names = {
        "__init__": lambda self: base.__init__(self),
        "phase_start": lambda self, phase_name, parent_phase, num_steps: watch.start(
            phase_name, num_steps
        ),
        "step_complete": lambda self, phase_name, step: watch.step(phase_name, step),
        "phase_finish": lambda self, phase_name: None,
    }
    return type("ProgressMonitor", (base,), names)()
