"""without_copies: the same windows, under whatever names, never on both sides of a split."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError
from emodict_desk.tables.table import FeatureTable, join_tables
from emodict_train.data.marks import rounded, telling

logger = logging.getLogger(__name__)
Indices = NDArray[np.intp]

# Where a slow signal hardly moves, recordings share a window by chance; not one in twenty.
LEAST_WINDOWS, LEAST_SHARE = 3, 0.05
# A sitting does not repeat its features.
MOST_OF_ONE = 3
SHOWN = 3


@dataclass(frozen=True)
class Source:
    """A file, the rows that were read from it, and the marks of its signals by row."""

    file: Path
    table: FeatureTable
    marks: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Copy:
    """Two recordings, by number, that hold the same windows.

    Attributes:
        windows: how many both hold.
        of: how many labelled windows the shorter one has.
        rows: (2, windows) pairs of equal rows.
    """

    first: int
    second: int
    windows: int
    of: int
    rows: Indices


def without_copies(sources: Sequence[Source], *, allowed: bool) -> FeatureTable:
    """All rows of the sources, in order; what is held twice is refused, or else kept together.

    Args:
        allowed: of copies make one subject, and one trial of each that is held twice.

    Raises:
        TableError: a file is given twice,
            or two recordings hold the same labelled windows; both are named.
    """
    joined = join_tables([source.table for source in sources])
    recordings, recording = _recordings(sources)
    copies = list(_copies(joined, recording, sources))
    if not copies:
        return joined
    if not allowed:
        raise _refusal(copies, recordings)
    for copy in copies:
        logger.warning("%s: kept together", _in_words(copy, recordings))
    return _kept_together(joined, recording, copies)


def _recordings(sources: Sequence[Source]) -> tuple[list[tuple[Path, str]], Indices]:
    """(file, subject) of each recording, and (rows,) the number of each row's."""
    recordings: list[tuple[Path, str]] = []
    numbers = []
    for source in sources:
        names, number = np.unique(source.table.subject, return_inverse=True)
        numbers.append(len(recordings) + number.reshape(-1))
        recordings += [(source.file, str(name)) for name in names]
    return recordings, np.concatenate(numbers)


def _copies(table: FeatureTable, recording: Indices, sources: Sequence[Source]) -> Iterator[Copy]:
    """The pairs of recordings that hold the same labelled windows, as a sensor or another shows."""
    labelled = np.zeros(len(table), dtype=np.bool_)
    if table.labels is not None:
        labelled |= np.isfinite(table.labels).all(axis=1)
    sizes = np.bincount(recording[labelled], minlength=int(recording.max(initial=0)) + 1)
    pairs: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
    for rows in [*_rows_by_features(table, recording), *_rows_by_marks(sources)]:
        for a, b in combinations(sorted({row for row in rows if labelled[row]}), 2):
            if recording[a] != recording[b]:
                pairs[int(recording[a]), int(recording[b])].add((a, b))
    for (first, second), equal in sorted(pairs.items()):
        shorter = int(min(sizes[first], sizes[second]))
        windows = min(len({row[side] for row in equal}) for side in (0, 1))
        if windows >= LEAST_WINDOWS and windows >= LEAST_SHARE * shorter:
            yield Copy(first, second, windows, shorter, np.array(sorted(equal), dtype=np.intp).T)


def _rows_by_features(table: FeatureTable, recording: Indices) -> Iterator[list[int]]:
    """Rows that have the same features of a modality, wherever there are several.

    What one recording holds more than a few times was not measured:
    a value that stands for a missing sensor.
    """
    for column, modality in enumerate(table.spec.modalities):
        rows = np.flatnonzero(table.windows.valid[:, column])
        features = rounded(
            table.windows.features(modality.name)[rows].reshape(len(rows), modality.dims)
        )
        kept = telling(features)
        by_content: dict[bytes, list[int]] = defaultdict(list)
        for row, content in zip(rows[kept].tolist(), features[kept], strict=True):
            by_content[content.tobytes()].append(row)
        yield from (
            same for same in by_content.values()
            if len(same) > 1 and np.bincount(recording[same]).max() <= MOST_OF_ONE
        )  # fmt: skip


def _rows_by_marks(sources: Sequence[Source]) -> Iterator[list[int]]:
    """Rows in which the same stretch of a signal begins, wherever there are several."""
    by_content: dict[bytes, list[int]] = defaultdict(list)
    start = 0
    for source in sources:
        for content, row in source.marks.items():
            by_content[content].append(start + row)
        start += len(source.table)
    yield from (same for same in by_content.values() if len(same) > 1)


def _refusal(copies: Sequence[Copy], recordings: Sequence[tuple[Path, str]]) -> TableError:
    told = "; ".join(_in_words(copy, recordings) for copy in copies[:SHOWN])
    more = f"; and {len(copies) - SHOWN} more such pairs" if len(copies) > SHOWN else ""
    return TableError(
        f"{told}{more}: what is trained on would be held out as well",
        expected="each recording once",
        fix="Leave one of each pair out, or give --allow-copies, which keeps them on one side",
    )


def _in_words(copy: Copy, recordings: Sequence[tuple[Path, str]]) -> str:
    (file, subject), (other_file, other) = recordings[copy.first], recordings[copy.second]
    if file.resolve() == other_file.resolve() and subject == other:
        return f"{file} is given twice"
    counted = f"{copy.windows} of {copy.of} windows"
    if file == other_file:
        return f"In {file} subjects '{subject}' and '{other}' hold the same signals ({counted})"
    return (
        f"{file} (subject '{subject}') and {other_file} (subject '{other}') "
        f"hold the same signals ({counted})"
    )


def _kept_together(table: FeatureTable, recording: Indices, copies: Sequence[Copy]) -> FeatureTable:
    """Copies become one subject, named as the first; trials that share windows one trial."""
    subject_of = _joined(len(np.unique(recording)), ((copy.first, copy.second) for copy in copies))
    first_rows = np.unique(recording, return_index=True)[1]
    subject = table.subject[first_rows[subject_of[recording]]]
    groups = table.groups
    equal = np.concatenate([copy.rows for copy in copies], axis=1)
    group_of = _joined(int(groups.max()) + 1, zip(*groups[equal].tolist(), strict=True))
    first_of_group = np.unique(groups, return_index=True)[1]
    trial = table.trial[first_of_group[group_of[groups]]]
    return dataclasses.replace(table, subject=subject, trial=trial)


def _joined(count: int, pairs: Iterator[tuple[int, int]]) -> Indices:
    """(count,) for each number the smallest of those that pairs lead to from it."""
    smallest = np.arange(count)
    for a, b in pairs:
        low, high = sorted((smallest[a], smallest[b]))
        smallest[smallest == high] = low
    return smallest
