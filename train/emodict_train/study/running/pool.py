"""workers: the same function over many items, here,
in processes of this machine, or on a Dask cluster.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from emodict_desk.many import require_jobs
from emodict_desk.many.cluster import open_cluster
from emodict_desk.many.processes import guarded_processes, in_processes, spread_out

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

_GOES_ON = "the same command goes on from what is finished"


class Workers(Protocol):
    """function(shared, item) for all items;
    the outcomes come as they are finished, in any order.
    """

    def __call__(
        self, function: Callable[[Shared, Item], Outcome], shared: Shared, items: Iterable[Item]
    ) -> contextlib.AbstractContextManager[Iterator[Outcome]]:
        """A context that gives the outcomes; leaving it early ends the work that is left."""
        ...


def cores() -> int:
    """How many processes this machine runs at once."""
    try:
        from joblib import cpu_count
    except ImportError:
        return 1
    return int(cpu_count())


@contextlib.contextmanager
def workers(jobs: int, dask: str | None) -> Iterator[Workers]:
    """`jobs` processes of this machine (1: this one),
    or all workers of the cluster at tcp://host:port.

    Raises:
        InputError: a number of processes that cannot be, or a cluster that cannot do the work.
        EmodictError: a process was ended from outside.
    """
    require_jobs(jobs, dask)
    if dask is not None:
        cluster = open_cluster(
            dask,
            readiness=_readiness,
            purpose="train",
            fix_unready="Install the same on every worker: pip install 'emodict[train,dask]'",
            fix_lost=f"See that its scheduler and workers run; {_GOES_ON}",
        )
        with cluster as client:
            yield functools.partial(_on_cluster, client)
    elif jobs == 1:
        yield _one_by_one
    else:
        with guarded_processes(fix=f"Use fewer than --jobs {jobs}; {_GOES_ON}"):
            yield functools.partial(in_processes, jobs=jobs)


@contextlib.contextmanager
def _one_by_one(
    function: Callable[[Shared, Item], Outcome], shared: Shared, items: Iterable[Item]
) -> Iterator[Iterator[Outcome]]:
    yield (function(shared, item) for item in items)


def _on_cluster(
    client: Any, function: Callable[[Shared, Item], Outcome], shared: Shared, items: Iterable[Item]
) -> contextlib.AbstractContextManager[Iterator[Outcome]]:
    # All data of a study: sent to each worker once, not with every item.
    return spread_out(function, shared, items, backend="dask", client=client, scatter=[shared])


def _readiness() -> Exception | None:
    """What keeps a worker from training; None: nothing."""
    try:
        import joblib  # noqa: F401 - Dask's workers unpack what joblib packed
        import sklearn  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        return error
    return None
