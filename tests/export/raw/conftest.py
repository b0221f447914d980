"""The devices whose models are tried."""

from __future__ import annotations

from typing import Any

import pytest
from tests.export.conftest import MakeCheckpoint as MakeCheckpoint

FULL: dict[str, Any] = {}
WRIST: dict[str, Any] = {"modalities": ("ppg", "gsr")}
HEADBAND: dict[str, Any] = {"modalities": ("eeg",), "channels": ("TP9", "AF7", "AF8", "TP10")}
SENSORS = pytest.mark.parametrize(
    "sensors", [FULL, WRIST, HEADBAND], ids=["full", "wrist", "headband"]
)
