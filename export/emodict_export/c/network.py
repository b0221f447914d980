"""The folded networks as constants of C."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.engine.model_spec import READOUTS, ModelSpec
from emodict.features.spec import FeatureSpec
from emodict_export.c.fold import Network
from emodict_export.c.literals import listed, number, table
from emodict_export.c.part import filled_up
from emodict_export.c.weights import Written, write_linear
from emodict_export.fold import Affine, Norm
from emodict_export.graph import LAYER_NORM_EPS, LEAKY_SLOPE

LINEARS_OF_LAYER = ("query", "key", "value", "out", "expand", "contract")
LINEARS = ("embed", "to_weights", "lbl1", "lbl2", "lbl3", "gate", "to_emotions")
SOURCES = ("product", "network", "encoder", "classifier", "member")


@dataclass(frozen=True)
class WrittenNetwork:
    """One member in the very numbers that are written, its Linears by name ("layer0.query")."""

    network: Network
    linears: Mapping[str, Written]

    def moved_by(self, shift: NDArray[np.float64]) -> WrittenNetwork:
        """The same for features to which `shift` (tokens, width) is added first."""
        return replace(self, network=replace(self.network, mean=self.network.mean - shift))


def write_network(network: Network, precision: str) -> WrittenNetwork:
    """Round the numbers of one member as they are written."""
    return WrittenNetwork(
        network, {name: write_linear(affine, precision) for name, affine in _linears(network)}
    )


def _linears(network: Network) -> Iterator[tuple[str, Affine]]:
    for i, layer in enumerate(network.layers):
        for name in LINEARS_OF_LAYER:
            yield f"layer{i}.{name}", getattr(layer, name)
    for name in LINEARS:
        affine = getattr(network, name)
        if affine is not None:
            yield name, affine


def network_constants(model: ModelSpec, features: FeatureSpec) -> dict[str, Any]:
    """Sizes and constants of C's network, by name."""
    return {
        "TOKENS": features.tokens,
        "TOKEN_WIDTH": features.token_width,
        "D_MODEL": model.d_model,
        "HEAD_WIDTH": model.d_model // model.heads,
        "FEED_FORWARD": model.feed_forward,
        "LAYERS": model.layers,
        "ELEMENTS": model.elements,
        "LATENT": model.latent,
        "BOTTLENECK": model.bottleneck,
        "MEMBERS": model.members,
        "READOUT_LAST": READOUTS.index("last"),
        "READOUT_MEAN": READOUTS.index("mean"),
        "READOUT_FLATTEN": READOUTS.index("flatten"),
        "READOUT": f"READOUT_{model.readout.upper()}",
        "LAYER_NORM_EPS": number(LAYER_NORM_EPS),
        "LEAKY_SLOPE": number(LEAKY_SLOPE),
    }


def network_work(model: ModelSpec, features: FeatureSpec) -> int:
    """Floats of working memory."""
    tokens, d = features.tokens, model.d_model
    layer = max(3 * d, model.feed_forward + d, features.token_width)
    return max(tokens * (d + layer), 3 * model.latent + model.bottleneck)


def network_tables(members: Sequence[WrittenNetwork], features: FeatureSpec, precision: str) -> str:
    """All constants of the network; they follow C's types."""
    tables = [table("modality_end", [s.stop for s in features.token_slices.values()], kind="int")]
    rows = []
    for i, member in enumerate(members):
        tables.append("\n".join(_member_tables(member, f"m{i}_", precision)))
        rows.append(_member_row(member, f"m{i}_"))
    return "\n".join((*tables, listed("static const member members[MEMBERS]", rows)))


def _member_tables(member: WrittenNetwork, prefix: str, precision: str) -> Iterator[str]:
    network = member.network
    yield table(f"{prefix}mean", network.mean)
    yield table(f"{prefix}inverse_scale", network.inverse_scale)
    yield table(f"{prefix}positions", network.position)
    for name, written in member.linears.items():
        yield from _linear_tables(prefix + name.replace(".", "_"), written, precision)
    for i, layer in enumerate(network.layers):
        for name in ("norm1", "norm2"):
            yield from _norm_tables(f"{prefix}layer{i}_{name}", getattr(layer, name))
    rows = (_layer_row(member, i, prefix) for i in range(len(network.layers)))
    yield listed(f"static const encoder_layer {prefix}layers[LAYERS]", rows)


def _linear_tables(name: str, written: Written, precision: str) -> Iterator[str]:
    yield table(f"{name}_w", written.packed, kind="float" if precision == "fp32" else "weight")
    if written.scale is not None:
        yield table(f"{name}_s", filled_up(written.scale))
    if written.bias is not None:
        yield table(f"{name}_b", filled_up(written.bias))


def _norm_tables(name: str, norm: Norm) -> Iterator[str]:
    yield table(f"{name}_s", norm.scale)
    yield table(f"{name}_b", norm.bias)


def _layer_row(member: WrittenNetwork, i: int, prefix: str) -> str:
    name = f"{prefix}layer{i}"
    linears = (_linear_row(member, f"layer{i}.{part}", prefix) for part in LINEARS_OF_LAYER)
    norms = (f"{{{name}_{part}_s, {name}_{part}_b}}" for part in ("norm1", "norm2"))
    return "{" + ", ".join((*linears, *norms)) + "}"


def _member_row(member: WrittenNetwork, prefix: str) -> str:
    return "{" + ", ".join((
        f"{prefix}mean",
        f"{prefix}inverse_scale",
        _linear_row(member, "embed", prefix),
        f"{prefix}positions",
        f"{prefix}layers",
        *(_linear_row(member, name, prefix) for name in LINEARS[1:]),
    )) + "}"  # fmt: skip


def _linear_row(member: WrittenNetwork, name: str, prefix: str) -> str:
    written = member.linears.get(name)
    if written is None:
        return "{0, 0, NULL, NULL, NULL}"
    c_name = prefix + name.replace(".", "_")
    scale = "NULL" if written.scale is None else f"{c_name}_s"
    bias = "NULL" if written.bias is None else f"{c_name}_b"
    return f"{{{written.inputs}, {written.outputs}, {c_name}_w, {scale}, {bias}}}"
