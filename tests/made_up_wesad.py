"""A MADE-UP folder of the layout of WESAD: none of its numbers were measured on anybody.

Each made-up person has a pulse and a skin conductance that differ with the condition, and answers
PANAS as its condition would have it, give or take one. Pickles are written as Python 2 wrote them.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

# Items of a line PANAS, in order, by the data set's readme (wesad_readme.pdf, III.2), written out
# here as five public loaders of SX_quest.csv have it, too. Four follow: stressed, frustrated, happy
# and sad, and after the stress two more.
PANAS_ORDER = (
    "Active", "Distressed", "Interested", "Inspired", "Annoyed",
    "Strong", "Guilty", "Scared", "Hostile", "Excited",
    "Proud", "Irritable", "Enthusiastic", "Ashamed", "Alert",
    "Nervous", "Determined", "Attentive", "Jittery", "Afraid",
)  # fmt: skip
NUMBERS = {"Base": 1, "TSST": 2, "Fun": 3, "Medi": 4}
ORDERS = (
    ("Base", "TSST", "Medi 1", "Fun", "Medi 2"),
    ("Base", "Fun", "Medi 1", "TSST", "Medi 2"),
)
# Beats a second, uS, and how much of the pleasant and of the unpleasant words was felt.
_BODY = {
    "Base": (1.1, 2.0, 2.5, 1.2),
    "TSST": (1.6, 6.0, 1.8, 3.5),
    "Fun": (1.2, 3.0, 3.6, 1.0),
    "Medi": (1.0, 1.5, 2.2, 1.1),
}
_PLEASANT = frozenset(
    (
        "Active",
        "Interested",
        "Inspired",
        "Strong",
        "Excited",
        "Proud",
        "Enthusiastic",
        "Alert",
        "Determined",
        "Attentive",
    )
)


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes alike, as the strings of Python 2, and numpy by its old name."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, text: str | bytes) -> None:
        content = text.encode("latin-1") if isinstance(text, str) else text
        self.write(b"T" + len(content).to_bytes(4, "little") + content)
        self.memoize(text)

    dispatch[str] = save_string
    dispatch[bytes] = save_string


def write_python2_pickle(path: Path, content: Any) -> None:
    with path.open("wb") as file:
        Python2Pickler(file, protocol=2).dump(content)
    named_anew = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(named_anew)


def write_person(
    folder: Path, seed: int, *, condition_s: float = 40.0, rest_s: float = 10.0
) -> Path:
    """SX with SX.pkl and SX_quest.csv; X from `seed`."""
    rng = np.random.default_rng(seed)
    order = ORDERS[seed % 2]
    made = folder / f"S{seed + 2}"
    made.mkdir(parents=True)
    length_s = len(order) * (condition_s + rest_s) + rest_s
    label = np.zeros(round(length_s * 700), dtype=np.int32)
    spans = [(rest_s + i * (condition_s + rest_s), name) for i, name in enumerate(order)]
    for start_s, name in spans:
        label[round(start_s * 700) : round((start_s + condition_s) * 700)] = NUMBERS[
            name.split()[0]
        ]
    wrist = {
        "BVP": _pulse(rng, spans, length_s, condition_s)[:, None],
        "EDA": _skin(rng, spans, length_s, condition_s)[:, None],
        "TEMP": np.full((round(length_s * 4), 1), 33.0),
        "ACC": np.zeros((round(length_s * 32), 3)),
    }
    chest = {"ECG": np.zeros((700, 1))}
    content = {"signal": {"chest": chest, "wrist": wrist}, "label": label, "subject": made.name}
    write_python2_pickle(made / f"{made.name}.pkl", content)
    write_quest(made / f"{made.name}_quest.csv", order, [_answers(rng, name) for name in order])
    return made


def write_quest(path: Path, order: tuple[str, ...], answers: list[list[object]]) -> None:
    """SX_quest.csv: times are those of the chest strap, and are not read."""
    rows = [
        ["# Subj", path.name.split("_")[0]],
        ["# ORDER", *order, "sRead", "fRead"],
        ["# START", "7.08", "39.55", "70.19", "81.25", "93.38", "54.42", "89.51"],
        ["# END", "26.32", "50.3", "77.1", "87.47", "100.15", "56.07", "91.15"],
        [],
        *(["# PANAS", *row] for row in answers),
        [],
        ["# STAI", 1, 2, 1, 3, 2, 1],
        ["# DIM", 5, 2],
        ["# SSSQ", 2, 2, 3, 1, 2, 2],
    ]
    text = "\n".join(";".join(map(str, [*row, *[""] * (28 - len(row))])) for row in rows)
    path.write_text(text + "\n", encoding="latin-1")


def _answers(rng: np.random.Generator, condition: str) -> list[object]:
    """The items of PANAS, and the four (after the stress six) that follow them."""
    _, _, pleasant, unpleasant = _BODY[condition.split()[0]]
    felt = np.array([pleasant if item in _PLEASANT else unpleasant for item in PANAS_ORDER])
    scores = np.clip(np.rint(felt + rng.normal(0, 0.7, len(PANAS_ORDER))), 1, 5).astype(int)
    return [*scores.tolist(), *([2] * (6 if condition == "TSST" else 4))]


def _of_conditions(
    spans: list[tuple[float, str]], length_s: float, condition_s: float, rate_hz: int, column: int
) -> np.ndarray:
    """(samples,) the body's number at each sample: the baseline's outside of conditions."""
    values = np.full(round(length_s * rate_hz), float(_BODY["Base"][column]))
    for start_s, name in spans:
        inside = slice(round(start_s * rate_hz), round((start_s + condition_s) * rate_hz))
        values[inside] = _BODY[name.split()[0]][column]
    return values


def _pulse(
    rng: np.random.Generator, spans: list[tuple[float, str]], length_s: float, condition_s: float
) -> np.ndarray:
    rate_hz = 64
    beats = _of_conditions(spans, length_s, condition_s, rate_hz, 0) * rng.normal(1, 0.05)
    wave = np.sin(2 * np.pi * np.cumsum(beats) / rate_hz)
    return 50 * wave + rng.normal(0, 4, len(wave))


def _skin(
    rng: np.random.Generator, spans: list[tuple[float, str]], length_s: float, condition_s: float
) -> np.ndarray:
    rate_hz = 4
    level = _of_conditions(spans, length_s, condition_s, rate_hz, 1) * rng.uniform(0.6, 1.6)
    # Skin conductance follows within some seconds.
    kernel = np.exp(-np.arange(40) / 12)
    slow = np.convolve(level, kernel / kernel.sum())[: len(level)]
    return slow + 0.01 * rng.standard_normal(len(slow)).cumsum() / 3 + 0.3
