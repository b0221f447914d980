"""Content that was checked, held for whoever opens the file: what is run is what was checked."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

_held: dict[Path, bytes] = {}
_holding = threading.Lock()


def hold(path: Path, content: bytes) -> None:
    """From now on this process takes this for the content of `path`."""
    _held[path.resolve()] = content


@contextlib.contextmanager
def holding(contents: Mapping[Path, bytes]) -> Iterator[None]:
    """Hold the content of these files meanwhile, one thread after the other."""
    with _holding:
        before = dict(_held)
        for path, content in contents.items():
            hold(path, content)
        try:
            yield
        finally:
            _held.clear()
            _held.update(before)


def held(path: Path) -> bytes | None:
    """What is held of `path`; None: nothing, and the file itself is to be opened."""
    return _held.get(path.resolve()) if _held else None


def read_content(path: Path) -> bytes:
    """What is held of `path`, or else what lies there."""
    content = held(path)
    return path.read_bytes() if content is None else content


def sidecar_path(plan: Path) -> Path:
    """model.plan -> model.plan.json."""
    return plan.with_name(plan.name + ".json")


def model_files(model: Path) -> list[Path]:
    """All that a model is read from: its file and, of a plan, the sidecar that says what it is."""
    return [model, sidecar_path(model)] if model.suffix == ".plan" else [model]


def onnx_beside(plan: Path, precision: str | None = None) -> list[Path]:
    """The ONNX files that a plan may have been built from: model.onnx in FP32,
    model.fp16.onnx, model.int8.onnx.
    """
    endings = {"fp32": ".onnx", "fp16": ".fp16.onnx", "int8": ".int8.onnx"}
    wanted = [endings[precision]] if precision is not None else endings.values()
    return [plan.with_suffix(ending) for ending in wanted]
