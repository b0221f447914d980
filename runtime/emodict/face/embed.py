"""A cropped face -> numbers: by VGG-16 in an engine of its own,
or by edge directions without any network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emodict.engine.face_manifest import HOW_TO_GET_ONE, FaceManifest, face_manifest_from_metadata
from emodict.engine.onnx import failed_in_onnxruntime, graph_ends, metadata_of, open_on_cpu
from emodict.errors import ModelError
from emodict.face.crop import CROP_SIDE, INPUT, OUTPUT, UInt8Array, require_crop
from emodict.features.hog import HOG_DIMS, hog_features
from emodict.features.spec import HOG

Float32Array = NDArray[np.float32]

# One face a second beside everything else that a device does:
# it may take a core for its fraction of a second.
THREADS = 1


class FaceEmbedder(Protocol):
    """Something that turns cropped faces into features."""

    @property
    def features(self) -> str:
        """What the features are: their kind as the first word, then what else they hang on."""

    @property
    def dims(self) -> int:
        """How many numbers a face becomes."""

    def embed(self, crop: UInt8Array) -> Float32Array:
        """(128, 128, 3) blue, green, red -> (dims,); the next call may overwrite it."""

    def close(self) -> None:
        """Give back what it holds; it cannot be used after that."""


class HogEmbedder:
    """Edge directions: needs no file and a fraction of a millisecond."""

    features = HOG
    dims = HOG_DIMS

    def embed(self, crop: UInt8Array) -> Float32Array:
        return hog_features(require_crop(crop)).astype(np.float32)

    def close(self) -> None:
        """It holds nothing."""


class FaceEngine:
    """face.onnx in ONNX Runtime on the CPU;
    input and output are buffers that the next call reuses.
    """

    def __init__(self, path: Path, *, threads: int = THREADS) -> None:
        self._path = path
        session = open_on_cpu(path, threads=threads, expected="a face.onnx", fix=HOW_TO_GET_ONE)
        self.manifest: FaceManifest = face_manifest_from_metadata(
            metadata_of(session, path), source=str(path)
        )
        self.features, self.dims = self.manifest.features, self.manifest.dims
        _check_graph(session, self.manifest, path)
        binding = session.io_binding()
        self._crop = np.zeros((1, CROP_SIDE, CROP_SIDE, 3), np.uint8)
        self._embedding = np.zeros((1, self.dims), np.float32)
        binding.bind_cpu_input(INPUT, self._crop)
        binding.bind_output(
            OUTPUT, "cpu", 0, np.float32, [1, self.dims], self._embedding.ctypes.data
        )
        self._start, self._binding = session.run_with_iobinding, binding

    def embed(self, crop: UInt8Array) -> Float32Array:
        self._crop[0] = require_crop(crop)
        try:
            self._start(self._binding)
        except RuntimeError as error:
            raise failed_in_onnxruntime(self._path, error) from error
        embedding: Float32Array = self._embedding[0]
        return embedding

    def close(self) -> None:
        """Its memory goes with it: a camera's thread that hangs may still hold it."""


def open_embedder(name: str) -> FaceEmbedder:
    """`hog`, or the path of a face.onnx or a face.plan; to be closed by who opens it.

    Raises:
        ModelError: no such file, or no face engine, or a plan that cannot run here.
    """
    if name == HOG:
        return HogEmbedder()
    path = Path(name)
    if not path.is_file():
        raise ModelError(
            f"There is no face engine {path}",
            expected=f"a face.onnx, a face.plan, or the word {HOG}",
            fix=HOW_TO_GET_ONE,
        )
    if path.suffix == ".plan":
        from emodict.face.plan import FacePlan

        return FacePlan(path)
    return FaceEngine(path)


def _check_graph(session: Any, manifest: FaceManifest, path: Path) -> None:
    """The graph's own input and output must be what its description promises,
    and what is cropped here.
    """
    expected = {
        INPUT: ("tensor(uint8)", (CROP_SIDE, CROP_SIDE, 3)),
        OUTPUT: ("tensor(float)", (manifest.dims,)),
    }
    found = graph_ends(session)
    if found != expected or manifest.side != CROP_SIDE:
        raise ModelError(
            f"{path}: the graph is not what its description says",
            expected=expected,
            got=found,
            fix=HOW_TO_GET_ONE,
        )
