"""A model runs whatever its file is called."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from emodict.engine import open_engine


def test_a_model_whose_name_is_not_utf_8_runs(model: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.onnx"))
    shutil.copy(model, odd)
    with open_engine(odd) as engine, open_engine(model) as plain:
        features = engine.manifest.features
        tokens = np.zeros((1, features.tokens, features.token_width), np.float32)
        # The same graph on the same machine: one and the same call.
        np.testing.assert_array_equal(engine.infer(tokens)[0], plain.infer(tokens)[0])
