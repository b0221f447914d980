"""Live rows on the terminal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from emodict.live.printing import TableListener
from emodict.live.row import LiveRow
from emodict.results.prediction import Prediction


def test_the_head_of_the_table_comes_with_the_first_row_and_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest: Any = SimpleNamespace(
        model=SimpleNamespace(emotions=("joy", "fear")),
        features=SimpleNamespace(modality_names=("ppg",)),
    )
    shares, ones = np.array([[0.25, 0.75]]), np.ones((1, 1))
    table = TableListener(plain=True)
    table.begin(manifest, "nowhere")
    assert capsys.readouterr().out == ""
    for second in (4.0, 5.0):
        one = Prediction(
            "s",
            ("joy", "fear"),
            ("ppg",),
            np.array([second]),
            shares,
            ones,
            ones.astype(bool),
            ones,
        )
        table.row(LiveRow(one, sensors=cast(Any, ()), unix_s=0.0, delay_s=0.0))
    head, first, second_line = capsys.readouterr().out.splitlines()
    assert head.split() == ["time", "joy", "fear", "ppg"]
    assert (first.split()[0], second_line.split()[0]) == ("0:04", "0:05")
