"""What is to be written as C: the model, its parts, and the memory that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.engine.model_spec import ModelSpec
from emodict.errors import InputError
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.recording.modalities import EEG
from emodict_export.c.band_power import band_power_part
from emodict_export.c.embedding import embedding_part
from emodict_export.c.limits import require_writable
from emodict_export.c.network import network_work
from emodict_export.c.part import FLOAT_BYTES, Part, Place
from emodict_export.c.statistics import statistics_part


@dataclass(frozen=True)
class Plan:
    """One model in one precision; a part for each modality, in the spec's order.

    Attributes:
        graph_sha256: of the folded graph that model.onnx has, too.
        simulated: the model learned from simulated people.
    """

    features: FeatureSpec
    model: ModelSpec
    precision: str
    graph_sha256: str
    simulated: bool
    parts: tuple[Part, ...]

    @property
    def feature_floats(self) -> int:
        return self.features.tokens * self.features.token_width

    @property
    def work_floats(self) -> int:
        return max(network_work(self.model, self.features), *(part.work for part in self.parts))

    @property
    def state_bytes(self) -> int:
        """sizeof(emodict_state)."""
        carried = sum(field.bytes for part in self.parts for field in part.fields)
        return carried + FLOAT_BYTES * (self.feature_floats + self.work_floats)

    @property
    def row_bytes(self) -> int:
        """sizeof(emodict_row): floats, and two runs of bools that are filled up to whole floats."""
        model = self.model
        floats = len(model.emotions) + model.elements * model.members + len(model.modalities)
        return FLOAT_BYTES * (floats + 1 + -(-len(model.modalities) // FLOAT_BYTES))

    @property
    def input_bytes(self) -> int:
        """Of one second of all signals."""
        return sum(part.input_bytes for part in self.parts)

    @property
    def ram_bytes(self) -> int:
        """What must be in RAM at once, the stack apart."""
        return self.state_bytes + self.row_bytes + self.input_bytes


def require_ram(plan: Plan, ram_bytes: int) -> None:
    """Refuse a model that a board has no room for.

    Raises:
        InputError: with what it needs, and what takes most of it.
    """
    if plan.ram_bytes <= ram_bytes:
        return
    needs = {
        "the state": plan.state_bytes,
        "the row": plan.row_bytes,
        **{f"one second of {part.signal}": part.input_bytes for part in plan.parts},
    }
    largest = max(needs, key=needs.__getitem__)
    raise InputError(
        "The model does not fit in the board's RAM",
        expected=f"at most {kib(ram_bytes)}",
        got=f"{kib(plan.ram_bytes)}, of which {kib(needs[largest])} are {largest}",
        fix=f"Train on fewer {_fewer(plan)}, or choose a board with more RAM",
    )


def _fewer(plan: Plan) -> str:
    """What a model can do with less of."""
    modalities = "modalities (emodict-train fit --modalities)"
    several = any(len(modality.channel_names) > 1 for modality in plan.features.modalities)
    return f"channels (--channels) or {modalities}" if several else modalities


def kib(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1024:.1f} KiB"


def make_plan(
    features: FeatureSpec,
    model: ModelSpec,
    *,
    precision: str = "fp32",
    graph_sha256: str = "",
    simulated: bool = False,
    unmixing: NDArray[np.float64] | None = None,
) -> Plan:
    """Lay out the C file of a model; the EEG is multiplied by `unmixing` (channels, channels).

    Raises:
        SpecError: its features cannot be written as C.
    """
    require_writable(features)
    parts = []
    for column, modality in enumerate(features.modalities):
        first = features.token_slices[modality.name].start * features.token_width
        matrix = unmixing if modality.name == EEG else None
        parts.append(_part(modality, Place(column, first), matrix))
    return Plan(features, model, precision, graph_sha256, simulated, tuple(parts))


def _part(modality: ModalitySpec, place: Place, unmixing: NDArray[np.float64] | None) -> Part:
    if modality.kind == "band_power":
        return band_power_part(modality, place, unmixing)
    if modality.kind == "statistics":
        return statistics_part(modality, place)
    return embedding_part(modality, place)
