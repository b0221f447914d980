"""Rows and summaries as people read them."""

from __future__ import annotations

import numpy as np
import pytest

from emodict.results.console import header_line, row_lines, summary_lines
from emodict.results.metrics import percent
from emodict.results.prediction import Prediction
from emodict_desk.tables.table import DMER_EMOTIONS

MODALITIES = ("eeg", "gsr", "ppg", "video")


def prediction(rows: int = 3, **fields: object) -> Prediction:
    shares = np.full((rows, 10), 0.1)
    quality = np.full((rows, 4), 1.0)
    valid = np.ones((rows, 4), bool)
    start_s = np.arange(rows) + 40_000.0  # eleven hours into a recording
    return Prediction(
        "s",
        DMER_EMOTIONS,
        MODALITIES,
        start_s,
        shares,
        np.zeros((rows, 32)),
        valid,
        quality,
        **fields,
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("plain", [False, True])
def test_rows_of_ten_emotions_and_four_modalities_fit_into_80_columns(plain: bool) -> None:
    lines = [header_line(DMER_EMOTIONS, MODALITIES), *row_lines(prediction(), plain=plain)]
    assert len({len(line) for line in lines[1:]}) == 1
    # A clock of ten hours and more is a column wider than the head.
    assert max(map(len, lines)) <= 80


def test_the_summary_marks_what_is_simulated_and_doubted() -> None:
    first, *rest = summary_lines(
        prediction(simulated=True, model_simulated=True, doubts=("eeg: in V",))
    )
    assert first == "s: 3 rows, 3 answered, a SIMULATED person, a model of SIMULATED people"
    assert "doubtful: eeg: in V" in rest
    first, *rest = summary_lines(prediction())
    assert first == "s: 3 rows, 3 answered"
    assert not [line for line in rest if line.startswith("doubtful")]


def test_a_modality_that_came_to_be_valid_is_not_called_unusable() -> None:
    """A sensor may start after the quarter of an hour from which the reason is taken."""
    late = prediction(unusable={"eeg": "samples are missing", "gsr": "it does not move"})
    late.valid[:, 1] = False
    assert late.never_valid == {"gsr": "it does not move"}
    lines = summary_lines(late)
    assert [line for line in lines if "never valid" in line] == [
        "never valid: gsr (it does not move)"
    ]


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100%"), (0.9996, ">99%"), (0.994, "99%"), (0.5, "50%"), (0.0004, "<1%"), (0, "0%")],
)
def test_per_cent_are_all_or_nothing_only_where_that_is_so(share: float, text: str) -> None:
    assert percent(share) == text
    rows = prediction(10_000)
    rows.valid[round(share * 10_000) :, 0] = False
    assert f"eeg {text} (" in summary_lines(rows)[1]
