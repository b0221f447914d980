"""What several benchmarks and tests measure with: a model that was never trained,
and this process's memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import load_spec
from emodict_desk.tables.table import DMER_EMOTIONS

if TYPE_CHECKING:
    from emodict_train.model.checkpoint import Checkpoint


def untrained_checkpoint(
    modalities: Sequence[str],
    *,
    spec_id: str = "emodict-1",
    channels: Sequence[str] = (),
    required: Sequence[str] = (),
) -> Checkpoint:
    """An EmotionDict with random weights: real in everything but its opinions."""
    # Late: who asks for the memory alone is not to measure torch's.
    import torch

    from emodict_train.model.checkpoint import Checkpoint
    from emodict_train.model.emotion_dict import EmotionDict

    features = load_spec(spec_id).with_modalities(modalities)
    if channels:
        features = features.with_channels(channels)
    spec = ModelSpec(DMER_EMOTIONS, features.modality_names, tuple(required))
    torch.manual_seed(0)
    network = EmotionDict(spec, features).eval()
    return Checkpoint(features, spec, (network.state_dict(),), np.full(10, 0.1))


def untrained_model(
    path: Path,
    modalities: Sequence[str],
    *,
    spec_id: str = "emodict-1",
    required: Sequence[str] = (),
) -> Path:
    """The same as ONNX."""
    from emodict_export.export import export_onnx

    export_onnx(untrained_checkpoint(modalities, spec_id=spec_id, required=required), path)
    return path


def resident_bytes() -> int:
    """Memory of this process that is in RAM; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
