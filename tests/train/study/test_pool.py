"""workers: every place gives the same outcomes; a cluster is sent what all items share once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
import pytest

from emodict_train.study.running.pool import workers


@dataclass(frozen=True)
class Shared:
    """Leaves a line in a file wherever it is unpacked."""

    log: Path
    offset: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (self.log, self.offset)


def _unpacked(log: Path, offset: int) -> Shared:
    with log.open("a") as file:
        file.write("unpacked\n")
    return Shared(log, offset)


def add(shared: Shared, item: int) -> int:
    return shared.offset + item


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_give_each_outcome_once(jobs: int, tmp_path: Path) -> None:
    with workers(jobs, None) as pool, pool(add, Shared(tmp_path / "log", 10), range(7)) as outcomes:
        assert sorted(outcomes) == [10, 11, 12, 13, 14, 15, 16]


def test_processes_leave_the_filters_of_warnings_as_the_caller_has_them(tmp_path: Path) -> None:
    before = list(warnings.filters)
    with workers(2, None) as pool, pool(add, Shared(tmp_path / "log", 10), range(2)) as outcomes:
        # pytest makes every warning that is let through an error.
        warnings.warn(
            "A worker stopped while some jobs were given to the executor.",
            UserWarning,
            stacklevel=1,
        )
        list(outcomes)
        warnings.filterwarnings("ignore", "the caller's own")
        callers = warnings.filters[0]
    assert list(warnings.filters) == [callers, *before]


def test_a_cluster_is_sent_what_is_shared_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            silence_logs=50,
        ) as cluster,
        workers(1, cluster.scheduler_address) as pool,
        pool(add, Shared(log, 10), range(7)) as outcomes,
    ):
        assert sorted(outcomes) == [10, 11, 12, 13, 14, 15, 16]
    assert log.read_text() == "unpacked\n"
