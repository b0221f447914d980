"""Which face features a feature spec is about:
a model trained on one kind must not be fed another of the same size.
"""

from __future__ import annotations

from emodict.errors import RecordingError
from emodict.features.hog import HOG_DIMS
from emodict.features.spec import HOG, VGG_CLEAN, VGG_REFERENCE, FeatureSpec
from emodict.recording.recording import FaceVideo

KIND_DIMS = {HOG: HOG_DIMS, VGG_CLEAN: 32, VGG_REFERENCE: 32}


def face_kinds(spec: FeatureSpec) -> tuple[str, ...]:
    """The kinds of face features that the spec's video may hold;
    none where they only exist ready-made.
    """
    return spec.modality("video").face_kinds if "video" in spec.modality_names else ()


def embedding_dims(face: FaceVideo, spec: FeatureSpec) -> int:
    """How many numbers a frame's embedding should have: by its own kind,
    or where it names none, by the spec.
    """
    return KIND_DIMS.get(_kind(face), spec.modality("video").dims)


def require_face_features(face: FaceVideo, spec: FeatureSpec) -> None:
    """Refuse an embedding of another kind than the spec's;
    one that does not say its kind is taken as it is.

    Raises:
        RecordingError: the kinds differ.
    """
    kinds = face_kinds(spec)
    kind = _kind(face)
    if kind and kinds and kind not in kinds:
        raise RecordingError(
            f"video: the face features are not those of feature spec {spec.id}",
            expected=" or ".join(kinds),
            got=face.features,
            fix="Compute them again from the video (docs/faces.md), "
            "or use a model trained on these",
        )


def _kind(face: FaceVideo) -> str:
    return face.features.partition(" ")[0]
