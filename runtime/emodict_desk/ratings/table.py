"""ratings.csv: when each trial was, and how strongly the person felt each emotion in it."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.session import MOST_LABELS, MOST_TRIALS
from emodict_desk.importers.text import Block, TextTable, numbers, open_table
from emodict_desk.recordings.account import Account
from emodict_desk.recordings.ratings import Ratings
from emodict_desk.recordings.scores import COMMON_EMOTIONS, PANAS

Float64Array = NDArray[np.float64]

# What columns that are not emotions are called.
STIMULUS_WORDS = ("film", "video", "stimulus", "condition", "clip", "picture", "song")
_TRIAL_WORDS = ("trial", "trial_id", "name", *STIMULUS_WORDS)
_TIME_WORDS = {
    "onset": ("onset", "onset_s", "start", "start_s", "begin"),
    "stop": ("stop", "stop_s", "end", "end_s", "offset"),
    "duration": ("duration", "duration_s", "length"),
}
# People, and what is not an emotion though it is rated (SAM).
_NO_EMOTIONS = (
    "subject", "subject_id", "participant", "id", "session", "order",
    "valence", "arousal", "dominance",
)  # fmt: skip
_EXPECTED = "a table with the columns onset, stop and one for each emotion"
_DECIMAL_COMMA = re.compile(r"\s*-?\d+,\d+\s*")
_BY_LOWER_CASE = {name.lower(): name for name in PANAS}


def read_ratings(path: Path, emotions: Sequence[str] = ()) -> Ratings:
    """Read ratings.csv, of whatever separators and decimals.

    Its emotions are the columns named by `emotions`; without them, those called by a word for one.

    Raises:
        RecordingError: not such a table; file, line and column are named.
    """
    account = Account(path.name)
    table, block = _whole(open_table(path, _EXPECTED), account)
    trial_column = _column_of(table, _TRIAL_WORDS)
    times = {name: _column_of(table, words) for name, words in _TIME_WORDS.items()}
    used = {trial_column, *times.values()}
    rated = _emotion_columns(table, block, used, emotions)
    _say_left_out(table, used | {*rated}, account)
    names = _names_of(table, rated)
    onset_s, stop_s, lasts_s = (_times(table, block, times[name]) for name in _TIME_WORDS)
    trial, word = _trial_names(table, block, trial_column)
    return Ratings(
        source=path.name,
        trial=trial,
        onset_s=onset_s,
        stop_s=np.where(np.isnan(stop_s), onset_s + lasts_s, stop_s),
        emotions=names,
        scores=numbers(table, block, rated),
        stimulus_word=word,
        notes=tuple(account.notes),
    )


def _whole(table: TextTable, account: Account) -> tuple[TextTable, Block]:
    """All rows but empty ones, and the table with what its decimals have."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for block in table.blocks(account):
        kept = [i for i, row in enumerate(block.rows) if any(cell.strip() for cell in row)]
        rows += [block.rows[i] for i in kept]
        lines += [block.lines[i] for i in kept]
        if len(rows) > MOST_TRIALS:
            raise RecordingError(
                f"{table.path} is not a table of trials", expected=f"at most {MOST_TRIALS} rows"
            )
    if not rows:
        raise RecordingError(
            f"{table.path} has no rows", expected="a row for each trial", fix="Fill it in"
        )
    if any(_DECIMAL_COMMA.fullmatch(cell) for row in rows for cell in row):
        account.note("its decimals have commas")
        table = dataclasses.replace(table, decimal=",")
    account.notes += [f"left out: {what}" for what in account.left_out]
    return table, Block(rows, lines)


def _column_of(table: TextTable, words: Sequence[str]) -> int | None:
    """The first column that is called by one of these words."""
    names = [name.strip().lower() for name in table.columns]
    return next((names.index(word) for word in words if word in names), None)


def _emotion_columns(
    table: TextTable, block: Block, used: set[int | None], emotions: Sequence[str]
) -> list[int]:
    """The columns of scores: those asked for, or those called by words for emotions."""
    rated = [table.column(name) for name in emotions] or _by_name(table, block, used)
    if not 2 <= len(rated) <= MOST_LABELS:
        raise RecordingError(
            f"{table.path} has {len(rated)} columns of scores",
            expected=f"2 to {MOST_LABELS} emotions, a column for each",
            got=table.names(),
            fix="emodict-session label --template SESSION.h5 writes a table to fill in",
        )
    return rated


def _by_name(table: TextTable, block: Block, used: set[int | None]) -> list[int]:
    """The columns called by words for emotions.

    Raises:
        RecordingError: another column of numbers, which may be an emotion or anything else.
    """
    others = {
        *_NO_EMOTIONS,
        *_TRIAL_WORDS,
        *(word for words in _TIME_WORDS.values() for word in words),
    }
    called = {i: table.columns[i].strip().lower() for i in _named(table, used)}
    known = [i for i, name in called.items() if name in _BY_LOWER_CASE or name in COMMON_EMOTIONS]
    unclear = [
        table.columns[i]
        for i, name in called.items()
        if i not in known and name not in others and not _is_text(block, i)
    ]
    if unclear:
        emotions = ",".join(table.columns[i] for i in known) or "NAME,NAME"
        raise RecordingError(
            f"{table.path}: nothing says which columns are emotions: {', '.join(unclear[:10])}?",
            expected="columns called by words for emotions, such as Happy or Afraid",
            got=table.names(),
            fix=f"Name all columns that are: --emotions '{emotions}'",
        )
    return known


def _named(table: TextTable, used: set[int | None]) -> list[int]:
    """Columns that are not used yet; a last separator makes one without a name."""
    return [i for i in range(len(table.columns)) if i not in used and table.columns[i].strip()]


def _say_left_out(table: TextTable, used: set[int | None], account: Account) -> None:
    left_out = [table.columns[i] for i in _named(table, used)]
    if left_out:
        account.note(f"not emotions, and left out: {', '.join(left_out)}")


def _is_text(block: Block, column: int) -> bool:
    """Whether a column has words and not a single number: a comment."""
    cells = [row[column].strip() for row in block.rows]
    return any(cells) and not any(character.isdigit() for cell in cells for character in cell)


def _names_of(table: TextTable, columns: Sequence[int]) -> tuple[str, ...]:
    """The emotions as the columns call them; PANAS's words in PANAS's writing."""
    bare = [table.columns[i].strip() for i in columns]
    names = tuple(_BY_LOWER_CASE.get(name.lower(), name) for name in bare)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise RecordingError(
            f"{table.path}: two columns are called {twice[0]}", fix="Rename or remove one of them"
        )
    return names


def _times(table: TextTable, block: Block, column: int | None) -> Float64Array:
    """(trials,) seconds; NaN where the table has none."""
    if column is None:
        return np.full(len(block), np.nan)
    return numbers(table, block, [column])[:, 0]


def _trial_names(table: TextTable, block: Block, column: int | None) -> tuple[tuple[str, ...], str]:
    """The trials by name, or numbered, and the word for the stimuli that they are named by.

    Raises:
        RecordingError: two have one name.
    """
    if column is None:
        return tuple(f"trial{i + 1:02}" for i in range(len(block))), ""
    names = tuple(row[column].strip() or f"trial{i + 1:02}" for i, row in enumerate(block.rows))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        lines = [str(block.lines[i]) for i, name in enumerate(names) if name == twice[0]]
        raise RecordingError(
            f"{table.path}: the trial '{twice[0]}' is there {len(lines)} times",
            expected="each trial once",
            got=f"lines {', '.join(lines)}",
            fix="Give each a name of its own, such as 'rest 1' and 'rest 2'",
        )
    word = table.columns[column].strip().lower()
    return names, word if word in STIMULUS_WORDS else ""
