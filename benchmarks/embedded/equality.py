"""The C file against Python over many seconds of simulated people with faults.

python -m benchmarks.embedded.equality model.pt [--rows 100000]

Compiles it for this machine, counts the rows in which valid or answered is another, and prints how
far the distributions are apart, and what that costs in KL.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.embedded.rows import Rows, read_rows, write_seconds
from benchmarks.embedded.toolchain import HOSTS, build_rows, run
from benchmarks.raw_equality import people_with_faults
from emodict_export import vectors
from emodict_export.c import export_c
from emodict_train.model.checkpoint import Checkpoint, load_checkpoint

PRECISIONS = ("fp32", "int8")


# In standard deviations. No feature of a person lies farther out; a number of 1e12 in a face's
# vector is accepted all the same, and what a network answers to it means nothing.
PLAUSIBLE = 100


class Gaps:
    """How far the rows so far are from Python's."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.states[0]
        self._mean, self._scale = (
            state[f"standardise.{name}"].double().numpy() for name in ("mean", "scale")
        )
        self._rows = self._equal = 0
        self._quality = 0.0
        self._plausible: list[NDArray[np.bool_]] = []
        self._shares: list[NDArray[np.float64]] = []
        self._kl: list[NDArray[np.float64]] = []

    def take(self, got: Rows, expected: vectors.Rows) -> None:
        valid, answered = expected.windows.valid, expected.answered
        equal = (got.valid == valid).all(axis=1) & (got.answered == answered)
        self._rows += len(equal)
        self._equal += int(equal.sum())
        self._quality = max(
            self._quality, float(np.abs(got.quality - expected.windows.quality)[equal].max())
        )
        z = (expected.windows.tokens - self._mean) / self._scale
        # NaN, of what is not valid, compares false.
        far = (np.abs(z) > PLAUSIBLE).any(axis=(1, 2))
        self._plausible.append(~far[answered & equal])
        p, q = (rows.distribution[answered & equal] for rows in (expected, got))
        self._shares.append(np.abs(p - q).max(axis=1))
        self._kl.append((p * np.log(p / q)).sum(axis=1))

    def __str__(self) -> str:
        shares, kl = np.concatenate(self._shares), np.concatenate(self._kl)
        plausible = np.concatenate(self._plausible)
        far = shares[~plausible]
        return (
            f"{self._rows} rows, {len(shares)} answered: valid and answered equal in "
            f"{self._equal}, shares within {shares[plausible].max():.1e} "
            f"({far.max(initial=0):.1e} in {len(far)} rows with a feature beyond {PLAUSIBLE} "
            f"standard deviations), mean KL {abs(kl.mean()):.1e}, "
            f"quality within {self._quality:.1e}"
        )


def measure(checkpoint: Checkpoint, rows: int) -> Iterator[str]:
    """The lines of the report: one a precision, when all rows are through."""
    gaps = {precision: Gaps(checkpoint) for precision in PRECISIONS}
    with tempfile.TemporaryDirectory() as name:
        folders = {precision: Path(name, precision) for precision in PRECISIONS}
        for precision, folder in folders.items():
            folder.mkdir()
            export_c(checkpoint, folder / "model.c", precision=precision)
            build_rows(HOSTS[0], folder, "-O2")
        for seconds in people_with_faults(checkpoint, rows):
            expected = vectors.expected_rows(checkpoint, seconds)
            for precision, folder in folders.items():
                write_seconds(folder, checkpoint.features, seconds)
                run(folder / "rows")
                gaps[precision].take(read_rows(folder, checkpoint.model), expected)
    for precision in PRECISIONS:
        yield f"{precision}: {gaps[precision]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    for line in measure(load_checkpoint(given.model), given.rows):
        print(line, flush=True)


if __name__ == "__main__":
    main()
