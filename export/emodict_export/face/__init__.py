"""VGG-16 weights -> face.onnx: pixels of a cropped face in,
the 32 face features out, checked against torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from emodict import __version__
from emodict.engine.face_manifest import FORMS, FaceManifest, face_manifest_to_metadata
from emodict.errors import EmodictError, InputError, ModelError
from emodict.face.crop import CROP_SIDE, INPUT, OUTPUT
from emodict.files.atomic import atomic_path, check_writable, refuse_overwriting
from emodict_export.export import graph_hash
from emodict_export.face.fp16 import face_to_fp16, run_in_half
from emodict_export.graph import IR_VERSION, OPSET
from emodict_train.model.checkpoint import read_torch

# Configuration D of Simonyan and Zisserman (2015): channels of the 3 x 3 convolutions,
# 0 for a halving of the picture.
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
FACE_DIMS = 32
CHANNELS_PER_FEATURE = 512 // FACE_DIMS
PLACES = (CROP_SIDE // 2**5) ** 2
# What torchvision's ImageNet weights were trained on, red, green, blue, of pixels 0..1.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# As a share of the largest feature. FP32: thirteen layers of sums over up to 4608 products, in
# another order than torch's; measured 2e-6. FP16: thirteen layers whose numbers are rounded by up
# to 2^-11 (5e-4), each in its own direction; measured 3e-4. Both bounds only catch what is broken.
LARGEST_ERROR = {"fp32": 1e-4, "fp16": 1e-2}
HOW_TO_GET_WEIGHTS = (
    "Save them with torchvision: "
    "torch.save(torchvision.models.vgg16(weights='IMAGENET1K_V1').state_dict(), 'vgg16.pth')"
)


@dataclass(frozen=True)
class FaceExportReport:
    """What was written.

    Attributes:
        error: largest difference to torch in FP32, as a share of the largest feature.
        largest: of FP16, the largest number in the graph on the pictures it
            was compared on; 0 of FP32.
    """

    path: Path
    manifest: FaceManifest
    nodes: int
    bytes: int
    sha256: str
    error: float
    largest: float = 0.0

    def __str__(self) -> str:
        precision = self.manifest.precision.upper()
        half = (
            f"; largest number inside {self.largest:.0f}, of 65504 that FP16 holds"
            if self.largest
            else ""
        )
        return (
            f"Wrote {self.path}: VGG-16 face features, form {self.manifest.form}, {precision}, "
            f"{self.nodes} nodes, "
            f"{self.bytes / 2**20:.0f} MiB, sha256 {self.sha256[:16]}\n"
            f"Against torch: within {self.error:.1e} of the largest feature{half}"
        )


class Vgg16Faces(nn.Module):
    """The convolutions of VGG-16, named as torchvision names them,
    and the means that make 32 numbers of them.
    """

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        layers: list[nn.Module] = []
        width = 3
        for channels in VGG16:
            if channels:
                layers += [nn.Conv2d(width, channels, kernel_size=3, padding=1), nn.ReLU()]
                width = channels
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def forward(self, crops: Tensor) -> Tensor:
        """(n, 128, 128, 3) uint8, blue, green, red -> (n, 32)."""
        pixels = self._prepare(crops.to(next(self.parameters()).dtype) / 255)
        maps = self.features(pixels)
        per_channel: Tensor = maps.mean(dim=(2, 3))
        return per_channel.reshape(len(crops), FACE_DIMS, CHANNELS_PER_FEATURE).mean(dim=2)

    def _prepare(self, crops: Tensor) -> Tensor:
        """Pixels 0..1 as the network's input, (n, 3, 128, 128)."""
        if self.form == "reference":
            # The released code takes (height, width, colour) for (colour, height, width):
            # b.transpose(1, 2, 0), which makes it (width, colour, height), then reshape. It
            # scrambles the picture, and is reproduced on purpose.
            return crops.permute(0, 2, 3, 1).reshape(len(crops), 3, CROP_SIDE, CROP_SIDE)
        mean, std = (
            crops.new_tensor(values).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        return (crops.flip(3).permute(0, 3, 1, 2) - mean) / std


def export_face_model(
    weights: Path, out: Path, form: str = "clean", precision: str = "fp32"
) -> FaceExportReport:
    """Write face.onnx from the user's VGG-16 weights, opset 18, dynamic batch,
    no other file beside it.

    Raises:
        InputError: an unknown form or precision.
        ModelError: the weights are not VGG-16's, or do not fit into FP16.
        EmodictError: the graph and torch disagree; nothing is written.
    """
    check_writable(out, ending=".onnx")
    refuse_overwriting(out, [weights])
    if precision not in LARGEST_ERROR:
        raise InputError(
            f"A face engine does not compute in {precision.upper()}",
            expected=tuple(LARGEST_ERROR),
            got=precision,
        )
    network = load_vgg16(weights, form)
    model = face_onnx(network, precision)
    error, largest = _compare_with_torch(model, network, precision)
    content = model.SerializeToString(deterministic=True)
    with atomic_path(out) as part:
        part.write_bytes(content)
    return FaceExportReport(
        path=out,
        manifest=_manifest(model, network, precision),
        nodes=len(model.graph.node),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        error=error,
        largest=largest,
    )


def load_vgg16(path: Path, form: str = "clean") -> Vgg16Faces:
    """The network with the convolutions of a torchvision `vgg16` state_dict;
    its classifier is not needed.

    Raises:
        InputError: an unknown form.
        ModelError: no such file, no weights, or another network's.
    """
    if form not in FORMS:
        raise InputError(f"There is no form '{form}' of face features", expected=FORMS, got=form)
    network = Vgg16Faces(form).eval()
    state = _read_weights(path)
    wanted = network.state_dict()
    found = {name: value for name, value in state.items() if name.startswith("features.")}
    missing = [name for name in wanted if name not in found]
    strange = [name for name in found if name not in wanted]
    if missing or strange:
        raise _not_vgg16(
            path, f"no '{missing[0]}'" if missing else f"'{strange[0]}', which VGG-16 does not have"
        )
    for name, value in wanted.items():
        if not isinstance(found[name], Tensor) or not found[name].is_floating_point():
            raise _not_vgg16(path, f"'{name}' is not a tensor of numbers")
        if found[name].shape != value.shape:
            raise _not_vgg16(
                path, f"'{name}' of shape {tuple(found[name].shape)} for {tuple(value.shape)}"
            )
        if not torch.isfinite(found[name]).all():
            raise _not_vgg16(path, f"numbers in '{name}' that are not finite")
    network.load_state_dict({name: found[name].float() for name in wanted})
    return network


def face_onnx(network: Vgg16Faces, precision: str = "fp32") -> onnx.ModelProto:
    """The graph with its manifest in the metadata."""
    builder = _Builder()
    x = builder.add("Cast", [INPUT], "pixels", to=TensorProto.FLOAT)
    x = builder.prepare(x, network.form)
    for index, layer in enumerate(network.features):
        name = f"features.{index}"
        if isinstance(layer, nn.Conv2d):
            weight = _first_weight(layer, network.form) if index == 0 else layer.weight.detach()
            x = builder.convolution(x, name, weight, layer.bias)
        elif isinstance(layer, nn.ReLU):
            x = builder.add("Relu", [x], name)
        else:
            x = builder.add("MaxPool", [x], name, kernel_shape=[2, 2], strides=[2, 2])
    shape = builder.constant(
        "groups", np.array([-1, FACE_DIMS, CHANNELS_PER_FEATURE * PLACES], np.int64)
    )
    # The mean over places of each channel, then over channels: one mean over both,
    # their numbers being equal.
    grouped = builder.add("Reshape", [x, shape], "grouped")
    axis = builder.constant("axis", np.array([2], np.int64))
    builder.add("ReduceMean", [grouped, axis], OUTPUT, keepdims=0)
    model = builder.model() if precision == "fp32" else face_to_fp16(builder.model())
    for key, value in face_manifest_to_metadata(_manifest(model, network, precision)).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model


def _first_weight(layer: nn.Conv2d, form: str) -> Tensor:
    """The scaling of the pixels goes into the first convolution,
    and the order of the colours with it.
    """
    weight = layer.weight.detach().double()
    if form == "clean":
        weight = (weight / weight.new_tensor(IMAGENET_STD).reshape(3, 1, 1)).flip(1)
    return weight / 255


class _Builder:
    """Nodes and constants in the order they are added; a node is named after its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def prepare(self, x: str, form: str) -> str:
        """(n, 128, 128, 3) pixels 0..255 -> (n, 3, 128, 128), all but the scaling."""
        if form == "reference":
            x = self.add("Transpose", [x], "scrambled", perm=[0, 2, 3, 1])
            shape = self.constant("planes", np.array([-1, 3, CROP_SIDE, CROP_SIDE], np.int64))
            return self.add("Reshape", [x, shape], "input")
        # Not folded into the convolution's bias:
        # at the borders it pads with zeros of the centred picture.
        mean = 255 * np.array(IMAGENET_MEAN[::-1])
        x = self.add("Sub", [x, self.constant("mean", mean.astype(np.float32))], "centred")
        return self.add("Transpose", [x], "input", perm=[0, 3, 1, 2])

    def convolution(self, x: str, name: str, weight: Tensor, bias: Tensor | None) -> str:
        assert bias is not None
        inputs = [x, self.constant(f"{name}.weight", np.ascontiguousarray(weight.float().numpy()))]
        inputs.append(self.constant(f"{name}.bias", bias.detach().float().numpy()))
        return self.add("Conv", inputs, name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def model(self) -> onnx.ModelProto:
        crop = helper.make_tensor_value_info(
            INPUT, TensorProto.UINT8, ["batch", CROP_SIDE, CROP_SIDE, 3]
        )
        out = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", FACE_DIMS])
        graph = helper.make_graph(self._nodes, "emodict-face", [crop], [out], self._constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="emodict"
        )
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


def _manifest(model: onnx.ModelProto, network: Vgg16Faces, precision: str) -> FaceManifest:
    return FaceManifest(
        form=network.form,
        side=CROP_SIDE,
        dims=FACE_DIMS,
        weights_sha256=_weights_hash(network),
        graph_sha256=graph_hash(model),
        software=f"emodict {__version__}",
        precision=precision,
    )


def _weights_hash(network: Vgg16Faces) -> str:
    """Of the numbers alone: the same for the same weights in another file."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _compare_with_torch(
    model: onnx.ModelProto, network: Vgg16Faces, precision: str
) -> tuple[float, float]:
    """The largest difference over pictures of noise, of one colour and of edges,
    as a share of the largest feature.

    And, of FP16, the largest number in the graph.
    """
    crops = _test_pictures()
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops)).numpy()
    largest_inside = 0.0
    if precision == "fp16":
        got, largest_inside = run_in_half(model, crops)
    else:
        got = _run_in_onnxruntime(model, crops)
    largest = float(np.abs(expected).max())
    error = float(np.abs(got - expected).max())
    share = error / largest if largest > 0 else error
    if np.isfinite(expected).all() and share <= LARGEST_ERROR[precision]:
        return share, largest_inside
    numbers = {
        "expected": f"at most {LARGEST_ERROR[precision]:g} of the largest feature",
        "got": f"{share:.3g}",
    }
    if precision == "fp16":
        raise ModelError(
            "In FP16 these weights no longer compute what they do in FP32; nothing was written",
            **numbers,
            fix="Export them with --precision fp32",
        )
    raise EmodictError(
        "The exported face network and torch disagree; nothing was written",
        **numbers,
        fix="Check that the weights are those of a trained VGG-16",
    )


def _run_in_onnxruntime(model: onnx.ModelProto, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(2, n, 32): one by one, and all at once, for the batch must make no difference."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    one_by_one = np.concatenate([session.run([OUTPUT], {INPUT: crop[None]})[0] for crop in crops])
    return np.stack([one_by_one, session.run([OUTPUT], {INPUT: crops})[0]])


def _test_pictures() -> NDArray[np.uint8]:
    rng = np.random.default_rng(16)
    pictures = rng.integers(0, 256, (3, CROP_SIDE, CROP_SIDE, 3), dtype=np.uint8)
    pictures[1] = (200, 30, 90)
    pictures[2, :, : CROP_SIDE // 2] = 0
    return pictures


def _read_weights(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ModelError(
            f"There are no weights {path}", expected="a vgg16.pth", fix=HOW_TO_GET_WEIGHTS
        )
    try:
        content = read_torch(path)
    except Exception as error:  # torch's readers of broken files fail in too many ways to name
        raise ModelError(
            f"{path} cannot be read as weights of torch: damaged, cut off, or another kind of file",
            expected="a state_dict, and no other objects",
            fix=HOW_TO_GET_WEIGHTS,
        ) from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise _not_vgg16(path, type(content).__name__)
    return content


def _not_vgg16(path: Path, got: str) -> ModelError:
    return ModelError(
        f"{path} does not hold the weights of VGG-16",
        expected="torchvision's vgg16: 13 convolutions features.0 to features.28, "
        "without batch normalisation",
        got=got,
        fix=HOW_TO_GET_WEIGHTS,
    )
