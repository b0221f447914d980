"""Features and answers for stored SIMULATED signals,
written to a file by whatever Python runs this.

PYTHONPATH=.:runtime python -m tests.reliability.other_cpu signals.npz features.npz [model.onnx]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tests.reliability.signals import OTHER_RATES, SPEC, features, simulated

from emodict.features.windows import FeatureWindows
from emodict.predict.scoring import score

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


def write_signals(path: Path) -> None:
    """As they are here: the random numbers of another numpy might be others."""
    np.savez(path, **simulated(SECONDS, OTHER_RATES))


def features_of(path: Path) -> FeatureWindows:
    with np.load(path) as signals:
        return features(dict(signals), OTHER_RATES)


def read_features(path: Path) -> FeatureWindows:
    with np.load(path) as file:
        return FeatureWindows(SPEC, file["start_s"], file["tokens"], file["valid"], file["quality"])


def main(signals: Path, out: Path, model: Path | None = None) -> None:
    rows = features_of(signals)
    answers = {}
    if model is not None:
        from emodict.engine.onnx import OnnxEngine

        with OnnxEngine(model) as engine:
            answers["distribution"] = score(engine, rows, session="").distribution
    np.savez(
        out,
        start_s=rows.start_s,
        tokens=rows.tokens,
        valid=rows.valid,
        quality=rows.quality,
        **answers,
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
