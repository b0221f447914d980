"""Which face features a feature spec is about: a model trained on one kind must not be fed another of the same size."""

from __future__ import annotations

from emodict.errors import RecordingError
from emodict.face.embed import HOG
from emodict.face.hog import HOG_DIMS, hog_names
from emodict.recording import FaceVideo
from emodict.spec import FeatureSpec

_VGG_CLEAN, _VGG_REFERENCE = "vgg16-clean", "vgg16-reference"
KIND_DIMS = {HOG: HOG_DIMS, _VGG_CLEAN: 32, _VGG_REFERENCE: 32}


def face_kinds(spec: FeatureSpec) -> tuple[str, ...]:
    """The kinds of face features that the spec's video may hold; none where they only exist ready-made."""
    if "video" not in spec.modality_names or spec.modality("video").kind == "table":
        return ()
    if spec.modality("video").feature_names == hog_names():
        return (HOG,)
    if spec.id.startswith("emodict-1"):
        return (_VGG_CLEAN,)
    # The released feature files hold VGG features without saying how the pixels went in; the sample's code says it.
    return (_VGG_REFERENCE,) if spec.id == "dmer-sample" else (_VGG_CLEAN, _VGG_REFERENCE)


def embedding_dims(face: FaceVideo, spec: FeatureSpec) -> int:
    """How many numbers a frame's embedding should have: by its own kind, or where it names none, by the spec."""
    return KIND_DIMS.get(_kind(face), spec.modality("video").dims)


def require_face_features(face: FaceVideo, spec: FeatureSpec) -> None:
    """Refuse an embedding of another kind than the spec's; one that does not say its kind is taken as it is.

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
            fix="Compute them again from the video (docs/faces.md), or use a model trained on these",
        )


def _kind(face: FaceVideo) -> str:
    return face.features.partition(" ")[0]
