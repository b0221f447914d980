"""face.plan: VGG-16 on an NVIDIA GPU."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.engine.face_manifest import HOW_TO_GET_ONE, FaceManifest
from emodict.engine.sidecar import FACE_WEIGHTS, read_sidecar, require_face_engine
from emodict.engine.tensorrt import Form, PlanRunner
from emodict.errors import ModelError
from emodict.face.crop import CROP_SIDE, INPUT, OUTPUT, require_crop


class FacePlan:
    """face.plan on the GPU; the output is a buffer of the host that the next call reuses.

    A camera describes faces in a thread of its own: any thread may use it, one after the other.
    """

    def __init__(self, path: Path) -> None:
        sidecar = read_sidecar(path, source=FACE_WEIGHTS)
        self.manifest: FaceManifest = require_face_engine(sidecar, path)
        if self.manifest.side != CROP_SIDE:
            raise ModelError(
                f"{path} takes faces of another size",
                expected=CROP_SIDE,
                got=self.manifest.side,
                fix=HOW_TO_GET_ONE,
            )
        self.features, self.dims = self.manifest.features, self.manifest.dims
        forms = {
            INPUT: Form((CROP_SIDE, CROP_SIDE, 3), np.dtype(np.uint8)),
            OUTPUT: Form((self.dims,)),
        }
        self._runner: PlanRunner | None = PlanRunner(path, sidecar, (INPUT,), forms)
        self._thread = threading.get_ident()
        # A camera's thread that hangs is left behind: it must not compute while,
        # or after, the plan is closed.
        self._busy = threading.Lock()

    def embed(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        crop = require_crop(crop)
        with self._busy:
            if self._runner is None:
                raise ModelError("This face engine is closed")
            if self._thread != threading.get_ident():
                self._runner.adopt()
                self._thread = threading.get_ident()
            (embedding,) = self._runner.run(crop[None])
        row: NDArray[np.float32] = embedding[0]
        return row

    def close(self) -> None:
        with self._busy:
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.adopt()
                runner.__exit__(None, None, None)
