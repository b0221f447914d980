"""Ledger: how much of a study is done,
in processor time that is learned from the cells that are finished.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from emodict_train.study.running.selection import Cell

# A protocol and a method: under another protocol it may train for longer.
Key = tuple[str, str]


@dataclass
class Ledger:
    """The rows that expected cells will train on, and the time that those of finished ones took."""

    _left: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    _rows: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    _cpu_s: dict[Key, float] = field(default_factory=lambda: defaultdict(float))
    # What a row costs a method that nothing is known of yet, against others:
    # it goes through it so many times.
    _epochs: dict[Key, int] = field(default_factory=dict)
    _spent_s: float = 0.0

    def expect(self, cell: Cell) -> None:
        """A cell is still to be done."""
        self._left[_key(cell)] += rows_of(cell)
        self._epochs[_key(cell)] = int(getattr(cell.method, "epochs", 1))

    def drop(self, cell: Cell) -> None:
        """A cell that was expected will not be done."""
        self._left[_key(cell)] = max(0, self._left[_key(cell)] - rows_of(cell))

    def learn(self, cell: Cell, cpu_s: float, *, now: bool) -> None:
        """An expected cell is finished; `now`, or in an earlier run."""
        self.drop(cell)
        self._rows[_key(cell)] += rows_of(cell)
        self._cpu_s[_key(cell)] += cpu_s
        self._spent_s += cpu_s * now

    def cost_s(self, cell: Cell) -> float:
        """What an expected cell will cost, as far as is known."""
        return rows_of(cell) * self._rate(_key(cell))

    @property
    def share(self) -> float:
        """Of this run's work, from 0 to 1."""
        left = self._left_s()
        return self._spent_s / (self._spent_s + left) if self._spent_s + left > 0 else 0.0

    @property
    def left_s(self) -> float:
        """Processor time of what is still to be done;
        NaN while half of it is of methods that nothing is known of.
        """
        known = sum(rows * self._rate(key) for key, rows in self._left.items() if self._rows[key])
        left = self._left_s()
        return left if known >= left / 2 else math.nan

    def _left_s(self) -> float:
        return sum(rows * self._rate(key) for key, rows in self._left.items() if rows)

    def _rate(self, key: Key) -> float:
        """Seconds for a row: a method's own,
        or else as if every method took as long for an epoch.
        """
        if self._rows[key]:
            return self._cpu_s[key] / self._rows[key]
        row_epochs = sum(rows * self._epochs[known] for known, rows in self._rows.items() if rows)
        return self._epochs[key] * (sum(self._cpu_s.values()) / row_epochs if row_epochs else 1.0)


def rows_of(cell: Cell) -> int:
    """On how many rows a cell trains, summed over its tasks."""
    return sum(len(task.split.train) for task in cell.tasks)


def _key(cell: Cell) -> Key:
    return cell.protocol, cell.method.name
