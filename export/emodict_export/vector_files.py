"""Check vectors as files: raw seconds, and the rows that Python gives for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.features.spec import FeatureSpec
from emodict.files.atomic import atomic_path
from emodict.predict.person import Adaptation
from emodict_export.vectors import Rows, Seconds, expected_rows, fault_seconds
from emodict_train.model.checkpoint import Checkpoint

SECONDS = 60
NPZ, HEADER = "vectors.npz", "vectors.h"
_PREFIX = "emodict_vector_"


def write_vectors(
    checkpoint: Checkpoint, folder: Path, *, adaptation: Adaptation | None = None
) -> list[Path]:
    """Write vectors.npz and vectors.h into `folder`, which is made if need be; the same numbers.

    Raises:
        SpecError: the features cannot be computed from a stream of samples.
        OutputError: the folder cannot be written.
    """
    seconds = fault_seconds(checkpoint.features, SECONDS)
    rows = expected_rows(checkpoint, seconds, adaptation=adaptation)
    arrays: dict[str, Any] = vector_arrays(seconds, rows)
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, Any] = {
        "modalities": np.array(checkpoint.features.modality_names),
        "emotions": np.array(checkpoint.model.emotions),
    }
    with atomic_path(folder / NPZ) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays, **names)
    with atomic_path(folder / HEADER) as part:
        part.write_text("".join(_header(arrays, checkpoint)), encoding="ascii")
    return [folder / NPZ, folder / HEADER]


def vector_arrays(seconds: Seconds, rows: Rows) -> dict[str, NDArray[Any]]:
    """All arrays by name, seconds first: the inputs by their modality, then what is expected."""
    return {
        **seconds,
        "answered": rows.answered.astype(np.uint8),
        "distribution": rows.distribution.astype(np.float32),
        "weights": rows.weights.astype(np.float32),
        "valid": rows.windows.valid.astype(np.uint8),
        "quality": rows.windows.quality.astype(np.float32),
    }


def _header(arrays: Mapping[str, NDArray[Any]], checkpoint: Checkpoint) -> Iterator[str]:
    features, model = checkpoint.features, checkpoint.model
    yield (
        "/* Raw seconds and the rows that Python gives for them: emodict-export --check-vectors.\n"
        f"   Features {features}.\n"
        f"   Modalities: {', '.join(features.modality_names)}."
        f" Emotions: {', '.join(map(_plain, model.emotions))}.\n"
        "   NAN in a signal: a sample is missing. NAN in a row: there is no answer. */\n"
        "#ifndef EMODICT_VECTORS_H\n#define EMODICT_VECTORS_H\n#include <math.h>\n"
        f"#define EMODICT_VECTOR_SECONDS {SECONDS}\n"
    )
    for name, array in {**arrays, **_single_channels(arrays, features)}.items():
        kind = "unsigned char" if array.dtype == np.uint8 else "float"
        shape = "".join(f"[{size}]" for size in array.shape)
        yield f"static const {kind} {_PREFIX}{name}{shape} = "
        yield from _braced(array)
        yield ";\n"
    yield "#endif\n"


def _single_channels(
    arrays: Mapping[str, NDArray[Any]], features: FeatureSpec
) -> dict[str, NDArray[Any]]:
    """Signals of one channel as emodict_second takes them: (seconds, samples)."""
    kinds = {modality.name: modality.kind for modality in features.modalities}
    names = [name for name in arrays if kinds.get(name) == "statistics"]
    return {name: arrays[name][:, :, 0] for name in names}


def _braced(array: NDArray[Any]) -> Iterator[str]:
    if array.ndim > 1:
        yield "{"
        for i, part in enumerate(array):
            yield from (",\n", *_braced(part)) if i else _braced(part)
        yield "}"
    else:
        yield "{" + ",".join(map(_number, array)) + "}"


def _number(value: Any) -> str:
    """The shortest text that is read as the same float."""
    if isinstance(value, np.uint8):
        return str(value)
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = np.format_float_positional(value, unique=True, trim="0")
    return (text if len(text) < 16 else np.format_float_scientific(value, unique=True)) + "f"


def _plain(name: str) -> str:
    """A name inside a C comment."""
    return name.encode("ascii", "replace").decode().replace("*/", "* /")
