"""Features of skin conductance that count equal neighbours count those that Python counts."""

from __future__ import annotations

import numpy as np
from tests.export.conftest import MakeCheckpoint
from tests.export.raw.conftest import WRIST

from emodict_export.raw.export import onnxruntime_run, raw_onnx, run_seconds
from emodict_export.vectors import expected_rows, in_seconds

# From 0.05 up in equal steps of 1/8 and down again: all but the first are exact in float32, while
# their distances from 0.05 are rounded, at 0.5 and at 1.5 otherwise.
UP = np.arange(15) / 8 + 1 / 16
WAVE = np.concatenate([[0.05], UP, UP[::-1], [0.05]])


def test_steps_that_are_equal_stay_so_however_far_above_the_least_sample(
    fitted: MakeCheckpoint,
) -> None:
    checkpoint = fitted(**WRIST)
    modality = checkpoint.features.modality("gsr")
    gsr = in_seconds(modality, np.tile(WAVE, 10)[:, None])
    seconds = {"ppg": np.full((len(gsr), 100, 1), np.nan, np.float32), "gsr": gsr}
    graph, _ = raw_onnx(checkpoint, with_tokens=True)
    got = run_seconds(onnxruntime_run(graph), graph, seconds)["tokens"]
    expected = expected_rows(checkpoint, seconds).windows
    valid = expected.valid[:, checkpoint.features.modality_names.index("gsr")]
    part = checkpoint.features.token_slices["gsr"]
    ratios = [i for i, name in enumerate(modality.feature_names) if name.endswith("ratio")]

    def shares(tokens: np.ndarray) -> np.ndarray:
        rows: np.ndarray = tokens[valid][:, part].reshape(valid.sum(), -1)[:, ratios]
        return rows

    # One neighbour more or less is a 20th; float32 rounds a share by 6e-8 of it.
    np.testing.assert_allclose(shares(got), shares(expected.tokens), rtol=0, atol=1e-6)
    # Half of the steps of a window, and more, are the steepest.
    assert shares(expected.tokens).max() > 0.5
