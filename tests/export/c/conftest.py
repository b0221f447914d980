"""Models whose inputs have the scale of real signals, as model.c."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmarks.embedded.toolchain import HOSTS, Target

from emodict_export.c import export_c
from emodict_train.model.checkpoint import Checkpoint

MakeCheckpoint = Callable[..., Checkpoint]
MakeC = Callable[..., Path]

HEADBAND = ("AF7", "AF8", "TP9", "TP10")
# What each model is trained on; the options are those of `trained`.
MODELS: dict[str, dict[str, object]] = {
    "full": {},
    "wrist": {"modalities": ("gsr", "ppg")},
    "headband": {"modalities": ("eeg",), "channels": HEADBAND},
    "video": {"modalities": ("video",)},
    "gsr alone, last token, bare gate": {
        "modalities": ("gsr",),
        "readout": "last",
        "gate": "bare",
    },
    "ensemble, mean of tokens": {
        "modalities": ("eeg", "video"),
        "channels": HEADBAND,
        "readout": "mean",
        "members": 2,
        # Not a multiple of four in any direction.
        "d_model": 12,
        "heads": 2,
        "feed_forward": 10,
        "elements": 9,
        "latent": 21,
        "bottleneck": 7,
    },
    "hog faces, 60 Hz mains": {"spec_id": "emodict-1-hog-60hz"},
}


@pytest.fixture(scope="session")
def realistic(fitted: MakeCheckpoint) -> MakeCheckpoint:
    """One of MODELS by its name, which standardises features of signals as they are recorded."""
    return lambda name: fitted(**MODELS[name])


@pytest.fixture(scope="session")
def exported(realistic: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> MakeC:
    """The folder of model.c and model.h of a model, each made once."""
    made: dict[tuple[str, str], Path] = {}

    def get(name: str, precision: str = "fp32") -> Path:
        if (name, precision) not in made:
            folder = tmp_path_factory.mktemp("c")
            export_c(realistic(name), folder / "model.c", precision=precision)
            made[name, precision] = folder
        return made[name, precision]

    return get


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def here(target: Target) -> Target:
    """The target, if its compiler is on this machine."""
    if not target.is_here:
        pytest.skip(f"no {target.compiler} on this machine")
    return target


@pytest.fixture(params=HOSTS, ids=lambda host: host.name)
def host(request: pytest.FixtureRequest) -> Target:
    return here(request.param)


@pytest.fixture
def gcc() -> Target:
    return here(HOSTS[0])
