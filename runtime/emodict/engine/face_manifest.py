"""FaceManifest: what a face engine's file says of itself, in ONNX metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emodict.engine.manifest import FACE_FORMAT as FORMAT
from emodict.engine.manifest import FORMAT as EMOTION_FORMAT
from emodict.engine.manifest import KEY_PREFIX, own_texts
from emodict.errors import ModelError

FORMAT_VERSION = "1"
# How pixels become the network's input: as it was trained on ImageNet,
# or scrambled as in the paper's released code.
FORMS = ("clean", "reference")
HASH_DIGITS = 16
HOW_TO_GET_ONE = "Export one: emodict-export --face vgg16.pth -o face.onnx"


@dataclass(frozen=True)
class FaceManifest:
    """What a face engine computes, and where it comes from.

    Attributes:
        form: one of FORMS.
        side: height and width of the pictures it takes.
        dims: numbers it gives for each.
        weights_sha256: of the network's weights, whatever file they came in.
        graph_sha256: of the graph without its metadata.
        precision: what its convolutions compute in, `fp32` or `fp16`.
    """

    form: str
    side: int
    dims: int
    weights_sha256: str
    graph_sha256: str
    software: str = ""
    precision: str = "fp32"

    @property
    def features(self) -> str:
        """What its features are called: their kind first, then of which weights."""
        return f"vgg16-{self.form} {self.weights_sha256[:HASH_DIGITS]}"


def face_manifest_to_metadata(manifest: FaceManifest) -> dict[str, str]:
    """Text by key, as ONNX metadata holds it."""
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "form": manifest.form,
        "side": str(manifest.side),
        "dims": str(manifest.dims),
        "weights_sha256": manifest.weights_sha256,
        "graph_sha256": manifest.graph_sha256,
        "software": manifest.software,
        "precision": manifest.precision,
    }
    return {KEY_PREFIX + key: value for key, value in content.items()}


def face_manifest_from_metadata(metadata: Mapping[str, str], *, source: str) -> FaceManifest:
    """Read what `face_manifest_to_metadata` wrote.

    Raises:
        ModelError: the file is not a face engine, or its description is broken.
    """
    content = own_texts(metadata, source=source)
    if content.get("format") == EMOTION_FORMAT:
        raise no_face_engine(source)
    if content.get("format") != FORMAT or content.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{source} is not a face engine of this emodict",
            expected=f"metadata {KEY_PREFIX}format = '{FORMAT}', version {FORMAT_VERSION}",
            got=f"'{content.get('format')}', version {content.get('format_version')}"
            if "format" in content
            else "no such metadata",
            fix=HOW_TO_GET_ONE,
        )
    try:
        manifest = FaceManifest(
            form=content["form"],
            side=int(content["side"]),
            dims=int(content["dims"]),
            weights_sha256=content["weights_sha256"],
            graph_sha256=content["graph_sha256"],
            software=content["software"],
            precision=content["precision"],
        )
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{source}: its description is damaged: {error}", fix=HOW_TO_GET_ONE
        ) from error
    if manifest.form not in FORMS:
        raise ModelError(
            f"{source}: unknown form of face features", expected=FORMS, got=manifest.form
        )
    return manifest


def no_face_engine(source: str) -> ModelError:
    """What to say of a model of emotions where a face engine is wanted."""
    return ModelError(
        f"{source} is a model of emotions",
        expected="a model of face features",
        fix=f"{HOW_TO_GET_ONE}",
    )


def is_face_engine(metadata: Mapping[str, str]) -> bool:
    """Whether an ONNX file or a plan with this metadata is a face engine."""
    return metadata.get(KEY_PREFIX + "format") == FORMAT
