"""A modality whose samples are its features as C."""

from __future__ import annotations

from emodict.features.spec import ModalitySpec
from emodict_export.c.limits import float_limits
from emodict_export.c.literals import number
from emodict_export.c.part import FLOAT_BYTES, Part, Place, upper


def embedding_part(modality: ModalitySpec, place: Place) -> Part:
    """One frame's vector a second."""
    name, size = modality.name, f"{upper(modality)}_VALUES"
    lower, upper_limit = float_limits(modality)
    return Part(
        signal=name,
        argument=f"const float {name}[{size}]",
        input_bytes=FLOAT_BYTES * modality.dims,
        sizes={size: modality.dims},
        fields=(),
        start="",
        tables="",
        judged=(
            f"take_vector({name}, {size}, {number(lower)}, {number(upper_limit)},\n"
            f"        {place.features});\n"
            f"    row->quality[{place.column}] = row->valid[{place.column}] ? 1.0f : 0.0f"
        ),
        sources=frozenset({"numbers", "embedding"}),
    )
