"""WESAD: the wrist of one person, with the conditions as trials and what was answered after each.

Schmidt et al., ICMI 2018, and the data set's wesad_readme.pdf. SX.pkl, a pickle of Python 2, is a
dict: signal -> wrist -> BVP (64 Hz), EDA (4 Hz), TEMP, ACC, and chest; label at 700 Hz, on the
wrist's clock: 1 baseline, 2 stress, 3 amusement, 4 meditation. SX_quest.csv has, with semicolons
between, a line ORDER of the conditions, and a line PANAS for each of them, in that order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Recording, Signal
from emodict_desk.importers.answers import SCORES_OPTION, Asked, answered
from emodict_desk.importers.form import Form, Option
from emodict_desk.importers.kinds import check_there, wrong_kind
from emodict_desk.importers.pickled_arrays import read_pickle
from emodict_desk.recordings.account import Account
from emodict_desk.recordings.scores import PANAS_SCALE
from emodict_desk.wording import count_of

_EXPECTED = "the folder of one person of WESAD, with SX.pkl and SX_quest.csv"
_LABEL_HZ = 700.0
_SENSORS = (("BVP", "ppg", 64.0, "a.u."), ("EDA", "gsr", 4.0, "uS"))
# The numbers of `label` that are conditions, and what ORDER calls them.
_CONDITIONS = {1: "Base", 2: "TSST", 3: "Fun", 4: "Medi"}
# wesad_readme.pdf, III.2: the items of each line PANAS, in order. Further ones follow, which are
# not PANAS's, and of which there are more after the stress; Annoyed stands in the place of Upset.
ITEMS = (
    "Active", "Distressed", "Interested", "Inspired", "Annoyed", "Strong", "Guilty", "Scared",
    "Hostile", "Excited", "Proud", "Irritable", "Enthusiastic", "Ashamed", "Alert", "Nervous",
    "Determined", "Attentive", "Jittery", "Afraid",
)  # fmt: skip
# Those that DMER asks for, too, in its order; WESAD does not ask for Upset.
EMOTIONS = (
    "Inspired", "Alert", "Excited", "Enthusiastic", "Determined", "Afraid", "Nervous", "Scared",
    "Distressed",
)  # fmt: skip
# No condition is so short: a label that flickers is not one.
_SHORTEST_S = 10.0


def read_wesad(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    emotions: str | None = None,
    scores: str = "share",
) -> Recording:
    """Read the wrist of a person of WESAD, with five conditions and their PANAS.

    Raises:
        RecordingError: a file is missing, is not what WESAD publishes, or the two disagree.
    """
    folder = Path(source)
    pickled, quest = _files(folder)
    account = Account(f"WESAD {folder.name}")
    wrist, label = _parts(read_pickle(pickled), pickled)
    for name in ("chest", *sorted(set(wrist) - {name for name, *_ in _SENSORS})):
        account.leave_out(name, "not used")
    asked = _asked(quest, label, pickled, _chosen(emotions))
    signals = {sensor[1]: _signal(wrist, *sensor) for sensor in _SENSORS}
    trials, attributes = answered(asked, account, function=scores, signals=signals)
    return Recording(
        session_id=session_id or folder.resolve().name,
        subject_id=subject_id or folder.resolve().name,
        signals=signals,
        trials=trials,
        device="Empatica E4",
        attributes={**account.attributes(), **attributes},
    )


def _asked(quest: Path, label: NDArray[Any], pickled: Path, names: tuple[str, ...]) -> Asked:
    """The conditions by the labels' times, with these items of what was answered after each."""
    order, answers = read_quest(quest)
    runs = _runs(label, order, pickled)
    return Asked(
        source=quest.name,
        stimulus="condition",
        emotions=names,
        scale=PANAS_SCALE,
        trial=order,
        start_s=[start_s for start_s, _ in runs],
        stop_s=[stop_s for _, stop_s in runs],
        scores=[[row[ITEMS.index(name)] for name in names] for row in answers],
    )


def looks_like_wesad(path: Path, head: bytes) -> bool:
    """A folder that is called like its pickle and its questionnaire."""
    name = path.name
    return (path / f"{name}.pkl").is_file() and (path / f"{name}_quest.csv").is_file()


def _files(folder: Path) -> tuple[Path, Path]:
    """SX.pkl and SX_quest.csv, by the name of the one pickle there."""
    check_there(folder, _EXPECTED, folder=True)
    found = sorted(folder.glob("*.pkl"))
    if len(found) != 1 or not (quest := found[0].with_name(f"{found[0].stem}_quest.csv")).is_file():
        raise wrong_kind(folder, _EXPECTED)
    check_there(found[0], _EXPECTED)
    return found[0], quest


def _parts(content: Any, path: Path) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """The wrist's arrays, and the label of each moment.

    Raises:
        RecordingError: the pickle holds something else.
    """
    try:
        wrist, label = content["signal"]["wrist"], np.asarray(content["label"]).reshape(-1)
        arrays = {name: np.asarray(wrist[name], dtype=np.float64) for name, *_ in _SENSORS}
        whole = all(array.reshape(len(array), -1).shape[1] == 1 for array in arrays.values())
    except (KeyError, IndexError, TypeError, ValueError):
        whole = False
    if not whole or label.dtype.kind not in "iuf" or not np.isfinite(label).all():
        raise RecordingError(
            f"{path} does not hold what WESAD's pickles hold",
            expected="signal, wrist, BVP and EDA of one column each, and label",
            fix="Take the file as it was published",
        )
    return {**{name: np.empty(0) for name in wrist}, **arrays}, label


def _signal(
    wrist: dict[str, NDArray[Any]], name: str, modality: str, rate_hz: float, unit: str
) -> Signal:
    return Signal(modality, rate_hz, unit, (modality,), wrist[name].reshape(-1, 1))


def read_quest(path: Path) -> tuple[list[str], list[list[float]]]:
    """SX_quest.csv -> the conditions in their order, and the answers to ITEMS after each.

    Raises:
        RecordingError: a line is missing, or an answer is not a number.
    """
    lines = path.read_text(encoding="latin-1").splitlines()
    rows = [[cell.strip() for cell in line.split(";")] for line in lines]
    by_key = {key: [row[1:] for row in rows if _key(row) == key] for key in ("ORDER", "PANAS")}
    wanted = tuple(_CONDITIONS.values())
    order = [name for row in by_key["ORDER"][:1] for name in row if name.startswith(wanted)]
    answers = by_key["PANAS"]
    if not order or len(answers) < len(order):
        raise RecordingError(
            f"{path} is not a questionnaire of WESAD",
            expected="a line '# ORDER', and a line '# PANAS' for each condition",
            got=f"{count_of(len(order), 'condition')}, {count_of(len(answers), 'line')} of PANAS",
        )
    return order, [
        [_answer(row, i, path) for i in range(len(ITEMS))] for row in answers[: len(order)]
    ]


def _key(row: list[str]) -> str:
    return row[0].lstrip("#").strip().upper()


def _answer(row: list[str], item: int, path: Path) -> float:
    """NaN for an item without an answer."""
    cell = row[item] if item < len(row) else ""
    try:
        return float(cell) if cell else float("nan")
    except ValueError:
        raise RecordingError(
            f"{path}: {ITEMS[item]} of a line PANAS is not a number",
            expected="1 to 5",
            got=repr(cell),
        ) from None


def _runs(label: NDArray[Any], order: list[str], path: Path) -> list[tuple[float, float]]:
    """Start and stop of each condition, in seconds, by the stretches of its number.

    Raises:
        RecordingError: other conditions, or in another order, than the questionnaire says.
    """
    edges = np.concatenate([[0], np.flatnonzero(np.diff(label)) + 1, [len(label)]])
    starts, stops = edges[:-1], edges[1:]
    long_enough = stops - starts >= _SHORTEST_S * _LABEL_HZ
    kept = np.flatnonzero(long_enough & np.isin(label[starts], list(_CONDITIONS)))
    found = [_CONDITIONS[int(label[starts[i]])] for i in kept]
    if [name.split()[0] for name in order] != found:
        raise RecordingError(
            f"{path}: its labels and the questionnaire disagree",
            expected=f"the conditions {', '.join(order)}",
            got=", ".join(found) or "none",
            fix="Take both files as they were published",
        )
    return [(float(starts[i] / _LABEL_HZ), float(stops[i] / _LABEL_HZ)) for i in kept]


def _chosen(names: str | None) -> tuple[str, ...]:
    """The items that become emotions.

    Raises:
        RecordingError: a name that is not an item, or only one.
    """
    if names is None:
        return EMOTIONS
    chosen = ITEMS if names.strip().lower() == "all" else tuple(n.strip() for n in names.split(","))
    strange = [name for name in chosen if name not in ITEMS]
    if strange or len(set(chosen)) < 2:
        raise RecordingError(
            f"--emotions {names}: WESAD asks for no such {strange[0] if strange else 'single one'}",
            expected=f"all, or two and more of {', '.join(ITEMS)}",
        )
    return tuple(dict.fromkeys(chosen))


EMOTIONS_OPTION = Option(
    "emotions",
    "NAMES",
    "Items that become emotions, or all; by default the nine of DMER's ten.",
)
FORM = Form(
    read_wesad, looks_like_wesad, options=(EMOTIONS_OPTION, SCORES_OPTION), for_training=True
)
