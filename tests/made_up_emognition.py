"""A MADE-UP folder of the layout of Emognition: none of its numbers were measured on anybody."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FILMS = ("BASELINE", "AWE", "FEAR")
PHASES = ("WASHOUT", "STIMULUS", "QUESTIONNAIRES")
START = datetime.datetime(2020, 7, 16, 9, 31, 3, 123_000)
PHASE_S, PAUSE_S = 12.0, 4.0
BAND = ("TP9", "AF7", "AF8", "TP10")
EMOTIONS = (
    ("AWE", "DISGUST", "SURPRISE", "ANGER", "ENTHUSIASM", "LIKING", "FEAR", "AMUSEMENT", "SADNESS")
)  # fmt: skip
# Rows of Mind Monitor come twelve at a time, all with the stamp of their arrival.
_BURST = 12


def stamp(second: float) -> str:
    """As in the data set: milliseconds after a colon, no time zone."""
    moment = START + datetime.timedelta(seconds=second)
    return f"{moment:%Y-%m-%dT%H:%M:%S}:{moment.microsecond // 1000:03}"


def starts_s() -> dict[tuple[str, str], float]:
    """When each phase of each film starts: one after the other, with a pause between films."""
    found, now = {}, 0.0
    for film in FILMS:
        for phase in PHASES:
            if (film, phase) != ("BASELINE", "WASHOUT"):
                found[film, phase] = now
                now += PHASE_S
        now += PAUSE_S
    return found


def write_person(folder: Path, number: int = 22, *, films: Sequence[str] = FILMS) -> Path:
    """{number}: its files of two devices, and its answers."""
    made = folder / str(number)
    made.mkdir(parents=True)
    rng = np.random.default_rng(number)
    for (film, phase), start_s in starts_s().items():
        if film in films:
            for device, content in (("EMPATICA", wrist(start_s)), ("MUSE", band(start_s, rng))):
                (made / f"{number}_{film}_{phase}_{device}.json").write_text(json.dumps(content))
    write_answers(made, {film: rng.integers(1, 6, len(EMOTIONS)).tolist() for film in films})
    return made


def write_answers(folder: Path, scores: dict[str, list[Any]]) -> None:
    asked = [
        {
            "movie": film,
            "emotions": dict(zip(EMOTIONS, row, strict=True)),
            "sam": {"VALENCE": 5, "AROUSAL": 3, "MOTIVATION": 5},
        }
        for film, row in scores.items()
    ]
    content = {
        "metadata": {"id": folder.name, "age": 0, "gender": "-", "movie_order": list(scores)},
        "questionnaires": asked,
    }
    (folder / f"{folder.name}_QUESTIONNAIRES.json").write_text(json.dumps(content))


def wrist(start_s: float) -> dict[str, list[list[Any]]]:
    """BVP counts its samples from the start of the sitting; EDA is the second of the sitting."""
    bvp = [start_s + n / 64 for n in range(round(PHASE_S * 64))]
    eda = [start_s + n / 4 for n in range(round(PHASE_S * 4))]
    return {
        "BVP": [[stamp(t), round(t * 64)] for t in bvp],
        "EDA": [[stamp(t), round(t, 3)] for t in eda],
        "TEMP": [[stamp(start_s), 33.0]],
    }


def band(start_s: float, rng: np.random.Generator) -> dict[str, list[Any]]:
    """Rows of Mind Monitor; TP9 counts samples from the start of the sitting."""
    n = np.arange(round(PHASE_S * 256))
    arrived_s = start_s + ((n // _BURST + 1) * _BURST - 1) / 256
    columns: dict[str, list[Any]] = {"TimeStamp": [stamp(t) for t in arrived_s]}
    for name in BAND:
        columns[f"RAW_{name}"] = (800 + rng.normal(0, 20, len(n))).round(3).tolist()
        columns[f"HSI_{name}"] = [1.0] * len(n)
    columns["RAW_TP9"] = (round(start_s * 256) + n).astype(float).tolist()
    columns["HeadBandOn"] = [1.0] * len(n)
    rows = with_bursts_again(len(n), rng)
    return {name: [cells[row] for row in rows] for name, cells in columns.items()}


def with_bursts_again(rows: int, rng: np.random.Generator) -> list[int]:
    """The numbers of the rows in a file where one burst in ten, at random, stands twice."""
    bursts = [[*range(first, first + _BURST)] for first in range(0, rows, _BURST)]
    return [row for burst in bursts for row in burst * (2 if rng.random() < 0.1 else 1)]
