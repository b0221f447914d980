"""What runs a model: a file opened for inference, whatever runs it."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emodict.engine.held import onnx_beside
from emodict.engine.manifest import Manifest
from emodict.errors import ModelError

Float32Array = NDArray[np.float32]
DEVICES = ("cpu", "cuda")


class Engine(Protocol):
    """A model ready to run; a context manager.

    `infer` takes (rows, tokens, width) float32 and returns (rows, emotions) and (rows, elements);
    the engine owns both arrays, and the next call may overwrite them: copy what is to be kept.
    """

    @property
    def manifest(self) -> Manifest: ...

    def infer(self, tokens: Float32Array) -> tuple[Float32Array, Float32Array]: ...

    def __enter__(self) -> Engine: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_engine(path: str | os.PathLike[str], *, device: str | None = None) -> Engine:
    """Open a model file by its ending, or `demo:wrist`, on a `device` of DEVICES:
    by default a plan on the GPU, all else on the CPU.

    Raises:
        ModelError: no such file, not a model that emodict can run, or the device cannot be had.
            Nothing else is taken instead.
    """
    if os.fspath(path).startswith("demo:"):
        from emodict_desk.simulated import model_file

        path = model_file(path)
    path = Path(path)
    if device is not None and device not in DEVICES:
        raise ModelError(f"There is no device '{device}'", expected=DEVICES, got=device)
    if not path.is_file():
        from emodict_desk.simulated import missing_model

        raise missing_model(path)
    if path.suffix == ".onnx":
        from emodict.engine.onnx import OnnxEngine

        return OnnxEngine(path, device=device or "cpu")
    if path.suffix == ".plan":
        if device == "cpu":
            there = next((onnx for onnx in onnx_beside(path) if onnx.is_file()), None)
            run = f"Run the .onnx that it was built from: emodict-run --engine {there} session.h5"
            make = "The same model as ONNX runs on the CPU: emodict-export model.pt -o "
            raise ModelError(
                f"{path} is a plan: it runs on a GPU alone",
                expected="--device cuda, or none",
                got="--device cpu",
                fix=run if there else f"{make}{path.stem}.onnx",
            )
        from emodict.engine.tensorrt import TensorRTEngine

        return TensorRTEngine(path)
    from emodict.files.mistaken import mistaken_for

    fix = f"emodict-export {path} -o model.onnx" if path.suffix == ".pt" else None
    what, do = mistaken_for(path) or (path.suffix or "no ending", fix)
    raise ModelError(
        f"{path} is not a model that emodict can run",
        expected="a file ending in .onnx or .plan", got=what, fix=do,
    )  # fmt: skip
