"""Engines: a model file opened for inference, whatever runs it."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emodict.engine.manifest import Manifest
from emodict.errors import ModelError

Float32Array = NDArray[np.float32]


class Engine(Protocol):
    """A model ready to run; a context manager.

    `infer` takes (rows, tokens, width) float32 and returns (rows, emotions) and (rows, elements); the engine owns
    both arrays, and the next call may overwrite them: copy what is to be kept.
    """

    @property
    def manifest(self) -> Manifest: ...

    def infer(self, tokens: Float32Array) -> tuple[Float32Array, Float32Array]: ...

    def __enter__(self) -> Engine: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_engine(path: str | os.PathLike[str]) -> Engine:
    """Open a model file by its ending.

    Raises:
        ModelError: no such file, or not a model that emodict can run.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(
            f"There is no model {path}",
            expected="a model.onnx",
            fix="Export one: emodict-export model.pt -o model.onnx",
        )
    if path.suffix == ".onnx":
        from emodict.engine.onnx import OnnxEngine

        return OnnxEngine(path)
    fix = f"emodict-export {path} -o model.onnx" if path.suffix == ".pt" else None
    raise ModelError(f"{path} is not a model that emodict can run", expected="a file ending in .onnx",
                     got=path.suffix or "no ending", fix=fix)  # fmt: skip
