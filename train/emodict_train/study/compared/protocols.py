"""Protocols: which rows are held out to judge a method,
and which within the rest to choose its parameters.
"""

from __future__ import annotations

import logging
import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError, TableError
from emodict_train.data.split import k_folds
from emodict_train.study.compared.data import StudyData

logger = logging.getLogger(__name__)
Indices = NDArray[np.intp]

# The honest ones first. "windows" is the paper's subject-dependent split (section 4.2),
# "subjects" its other one.
PROTOCOLS = ("trials", "subjects", "windows")
FOLDS = 5
# Label distribution learning's benchmarks are judged by 10 folds (Geng, IEEE TKDE 28:7, 2016).
FOLDS_WITHOUT_TRIALS = 10
INNER_FOLDS = 3
MIN_FOLDS = 2
# Of several subjects each is a data set of its own,
# four fifths of which are trained on (the paper, section 4.2).
PARTS_OF_A_SUBJECT = 5
_LAST_WAY_OUT = "Add data, or use --protocols windows"


@dataclass(frozen=True)
class Split:
    """Rows of the data to train on, and rows to predict."""

    train: Indices
    test: Indices
    name: str


def protocols_for(data: StudyData, chosen: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The chosen protocols, honest first; where none is chosen, all that such data allow.

    Raises:
        InputError: an unknown name.
        TableError: one that the data do not allow.
    """
    unknown = [name for name in chosen if name not in PROTOCOLS]
    if unknown:
        raise InputError(
            "The protocol is unknown",
            expected=PROTOCOLS,
            got=", ".join(unknown),
            fix="Correct the name",
        )
    possible = tuple(name for name in PROTOCOLS if not _hindrance(data, name))
    for name in chosen:
        reason = _hindrance(data, name)
        if reason:
            raise TableError(
                f"The protocol '{name}' is not possible: {reason}",
                fix=f"Add data, or use --protocols {','.join(possible)}",
            )
    return tuple(name for name in possible if not chosen or name in chosen)


def _hindrance(data: StudyData, protocol: str) -> str:
    """What bars data of this kind from a protocol; empty: nothing."""
    if protocol != "windows" and data.table is None:
        return f"{data.source} does not say which rows belong together"
    if protocol == "subjects" and len(data.subjects) < 2:
        return f"{data.source} has one subject only, and leaving it out leaves nothing to train on"
    return ""


def default_folds(data: StudyData) -> int:
    """How many folds where nobody chose."""
    return FOLDS_WITHOUT_TRIALS if data.table is None else FOLDS


def outer_splits(data: StudyData, protocol: str, *, folds: int, seed: int) -> tuple[Split, ...]:
    """What each method is trained on and judged by.

    One subject is split into `folds` folds. Of several, each is a fold: held out as a whole
    ("subjects"), or split once into four fifths and one.

    Raises:
        TableError: too few trials or windows; whose is named.
    """
    if protocol == "subjects":
        everyone = np.arange(len(data))
        return tuple(
            _leave_out(everyone, np.flatnonzero(data.subject == name), name)
            for name in data.subjects
        )
    rng = np.random.default_rng(seed)
    if len(data.subjects) == 1:
        held_out = _held_out(data, np.arange(len(data)), protocol, folds=folds, rng=rng)
        return tuple(
            _leave_out(np.arange(len(data)), rows, f"fold {i + 1}")
            for i, rows in enumerate(held_out)
        )
    splits = []
    for name in data.subjects:
        own = np.flatnonzero(data.subject == name)
        held_out = _held_out(
            data, own, protocol, folds=PARTS_OF_A_SUBJECT, rng=rng, first=True, whose=name
        )
        splits.append(_leave_out(own, held_out[0], name))
    return tuple(splits)


def inner_splits(
    data: StudyData, outer: Split, protocol: str, *, folds: int = INNER_FOLDS, seed: int
) -> tuple[Split, ...]:
    """Folds of the same kind inside the training rows of an outer split.

    Where a held-out subject leaves only one other, that one's trials are held out in turn.

    Raises:
        TableError: too few trials or windows to train on.
    """
    # Every outer fold draws numbers of its own, whatever other folds there are.
    rng = np.random.default_rng([seed, zlib.crc32(f"{protocol}/{outer.name}".encode())])
    units = _units(data, outer.train, protocol)
    if protocol == "subjects":
        subjects = len(np.unique(units))
        folds = min(folds, subjects) if subjects > 1 else folds
        units = units if subjects > 1 else data.trial[outer.train]
    count, noun = len(np.unique(units)), "windows" if protocol == "windows" else "trials"
    if count < folds:
        raise TableError(
            f"{data.source}: with {outer.name} held out, "
            f"too few {noun} are left to choose parameters by",
            expected=f"at least {folds} {noun}",
            got=count,
            # More folds leave more, but where this happens two trials for each would be missing.
            fix="Add data"
            if protocol == "windows" or _tears_trials(data, outer)
            else _LAST_WAY_OUT,
        )
    held_out = k_folds(units, split="trials", folds=folds, rng=rng)
    return tuple(
        _leave_out(outer.train, outer.train[rows], f"{outer.name}, inner fold {i + 1}")
        for i, rows in enumerate(held_out)
    )


def warn_of_unseen_emotions(data: StudyData, protocol: str, splits: tuple[Split, ...]) -> None:
    """Say which emotions a fold has to predict that nobody of its training rows felt."""
    for split in splits:
        unseen = (data.D[split.train].sum(axis=0) == 0) & (data.D[split.test].sum(axis=0) > 0)
        if unseen.any():
            names = [name for name, lacking in zip(data.emotions, unseen, strict=True) if lacking]
            logger.warning(
                "Protocol %s, %s: no window to train on has any %s, "
                "so nothing can be learned about it",
                protocol,
                split.name,
                ", ".join(names),
            )


def _units(data: StudyData, rows: Indices, protocol: str) -> Indices:
    """(rows,) what is held out as a whole, by number."""
    if protocol == "windows":
        return np.arange(len(rows))
    return (
        data.trial[rows]
        if protocol == "trials"
        else np.unique(data.subject[rows], return_inverse=True)[1]
    )


def _held_out(
    data: StudyData,
    rows: Indices,
    protocol: str,
    *,
    folds: int,
    rng: np.random.Generator,
    first: bool = False,
    whose: str = "",
) -> list[Indices]:
    """The held-out part of `rows` in each fold; with `first` only the first one,
    the largest, has to be usable.

    Raises:
        TableError: a fold would have fewer than two trials or windows.
    """
    units = _units(data, rows, protocol)
    count, needed = len(np.unique(units)), folds + 1 if first else 2 * folds
    if count < needed:
        where = f"{data.source}: subject '{whose}' has" if whose else f"{data.source} has"
        part = (
            f"hold a fifth of them out, two {protocol} or more"
            if first
            else f"fill {folds} folds with two each"
        )
        raise TableError(
            f"{where} too few {protocol} to {part}",
            expected=f"at least {needed} {protocol}",
            got=count,
            fix=_way_out(protocol, count, several=first),
        )
    return [rows[part] for part in k_folds(units, split="trials", folds=folds, rng=rng)]


def _way_out(protocol: str, count: int, *, several: bool) -> str:
    """What helps where `count` trials or windows are too few;
    only folds that leave enough to choose by are offered.
    """
    folds = count // 2
    if not several and folds >= MIN_FOLDS and count - math.ceil(count / folds) >= INNER_FOLDS:
        return f"Use --folds {folds}, or add data"
    if protocol == "windows":
        return "Add data"
    return "Add data, or use --protocols subjects,windows" if several else _LAST_WAY_OUT


def _tears_trials(data: StudyData, split: Split) -> bool:
    """Whether a trial stands on both sides."""
    return bool(np.isin(data.trial[split.test], data.trial[split.train]).any())


def _leave_out(rows: Indices, held_out: Indices, name: str) -> Split:
    return Split(np.setdiff1d(rows, held_out), np.sort(held_out), name)
