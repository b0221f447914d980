"""What a study found: held-out predictions of every method under every protocol,
and their measures as a table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError
from emodict.files.atomic import atomic_path
from emodict.results.metrics import METRICS, mean_metrics
from emodict_train.study.compared.task import Latents

if TYPE_CHECKING:
    from emodict_train.study.compared.data import StudyData

RESULTS_FILE = "results.parquet"

Float64Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Predictions:
    """What one method predicted for held-out rows under one protocol.

    Attributes:
        rows: (n,) rows of the data; each was held out by the fold beside it.
        fold: (n,) number of the outer fold.
        distribution: (seeds, n, emotions); one seed where the method is deterministic.
        chosen: for each outer fold, in the order of their numbers,
            the candidate and "epochs" that were selected.
        cpu_s: processor time of training, selection included.
    """

    method: str
    protocol: str
    rows: Indices
    fold: Indices
    distribution: Float64Array
    chosen: tuple[Mapping[str, Any], ...]
    cpu_s: float


@dataclass(frozen=True)
class Results:
    """A whole study.

    Attributes:
        predictions: by (protocol, method), in the order of the tables.
        latents: by protocol.
        about: command, quick, seeds, folds, seed, software, started, seconds; missing: {protocol:
            {method: the reason as a clause}} of what could not be run; left_out: {protocol: reason}
            of what the data do not fit.
    """

    data: StudyData
    predictions: Mapping[tuple[str, str], Predictions]
    latents: Mapping[str, Latents]
    about: Mapping[str, Any]

    def of(self, protocol: str) -> tuple[Predictions, ...]:
        """The predictions of every method under one protocol, in the order of the tables."""
        return tuple(p for (name, _), p in self.predictions.items() if name == protocol)


@dataclass(frozen=True)
class Score:
    """The six measures of one method on one held-out fold with one seed: a row of results.parquet.

    Attributes:
        seed: which of the method's seeds, from 0.
        rows: how many rows the measures are means of.
        metrics: by the names of emodict.results.metrics.METRICS.
        chosen: the selected hyper-parameters as JSON.
        quick: the study ran with fewer seeds.
        source: the data.
    """

    protocol: str
    method: str
    fold: int
    seed: int
    rows: int
    metrics: Mapping[str, float]
    chosen: str
    quick: bool
    simulated: bool
    source: str


_WORDS = ("protocol", "method", "chosen", "source")
_COUNTS = ("fold", "seed", "rows")
_FLAGS = ("quick", "simulated")
COLUMNS = (
    "protocol",
    "method",
    "fold",
    "seed",
    *METRICS,
    "rows",
    "chosen",
    "quick",
    "simulated",
    "source",
)


def scores(results: Results) -> tuple[Score, ...]:
    """The measures of every protocol, method, fold and seed, in this order."""
    return tuple(
        score
        for predictions in results.predictions.values()
        for score in _scores_of(predictions, results)
    )


def _scores_of(predictions: Predictions, results: Results) -> Iterator[Score]:
    for position, fold in enumerate(np.unique(predictions.fold).tolist()):
        held_out = predictions.fold == fold
        truth = results.data.D[predictions.rows[held_out]]
        for seed, distribution in enumerate(predictions.distribution):
            yield Score(
                protocol=predictions.protocol,
                method=predictions.method,
                fold=fold,
                seed=seed,
                rows=int(held_out.sum()),
                metrics=mean_metrics(truth, distribution[held_out]),
                chosen=json.dumps(predictions.chosen[position], default=_plain, sort_keys=True),
                quick=bool(results.about.get("quick", False)),
                simulated=results.data.simulated,
                source=results.data.source,
            )


def _plain(value: Any) -> Any:
    """A candidate's value as JSON knows it: NumPy's numbers as numbers,
    anything else by its name.
    """
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def write_results(results: Results, path: str | os.PathLike[str]) -> None:
    """Write results.parquet, whole or not at all: one row per protocol, method, fold and seed.

    Raises:
        OutputError: the folder does not exist or cannot be written, or the disk is full.
        MissingDependencyError: pyarrow is not installed.
    """
    pa = _import_pyarrow()
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([_as_row(score) for score in scores(results)], schema=_schema(pa))
    # A file of emodict's, not a path: a full disk is then Python's own OSError.
    with atomic_path(path) as part, part.open("wb") as handle:
        pq.write_table(table, handle)


def _as_row(score: Score) -> dict[str, Any]:
    row = {name: getattr(score, name) for name in (*_WORDS, *_COUNTS, *_FLAGS)}
    return {**row, **score.metrics}


def _schema(pa: ModuleType) -> Any:
    kinds: dict[str, Any] = {
        **dict.fromkeys(_WORDS, pa.string()),
        **dict.fromkeys(_COUNTS, pa.int32()),
        **dict.fromkeys(_FLAGS, pa.bool_()),
        **dict.fromkeys(METRICS, pa.float64()),
    }
    return pa.schema([(name, kinds[name]) for name in COLUMNS])


def _import_pyarrow() -> ModuleType:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingDependencyError(
            "pyarrow", extra="parquet", purpose="Writing results.parquet"
        ) from error
    module: ModuleType = pyarrow
    return module
