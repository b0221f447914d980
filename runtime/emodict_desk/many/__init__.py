"""Many recordings at once: in processes of this machine or on a Dask cluster,
answered in their order.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any

from emodict.engine import open_engine
from emodict.errors import InputError, MissingDependencyError
from emodict.predict.person import Person
from emodict.predict.scoring import iter_predictions
from emodict.results.prediction import Prediction
from emodict_desk.many.cluster import open_cluster
from emodict_desk.many.processes import BLAS_THREADS, guarded_processes, in_processes, spread_out
from emodict_desk.many.worker import (
    Outcome,
    Task,
    Work,
    forget_engines,
    readiness,
    score_task,
    sha256_of_model,
    task_of,
)
from emodict_desk.simulated import model_file

StrPath = str | os.PathLike[str]
OnDone = Callable[[int], None]


def iter_many(
    engine_path: StrPath,
    recordings: Sequence[StrPath],
    *,
    jobs: int = 1,
    dask: str | None = None,
    device: str | None = None,
    part: str | None = None,
    person: Person | None = None,
    invert: Sequence[str] = (),
    on_done: OnDone = lambda recordings: None,
) -> Generator[Iterator[Prediction], None, None]:
    """`iter_predictions` for each recording, in their order, whatever finishes first.

    Iterate each to its end before the next (`joined` makes a Prediction of one), and close the
    whole if left early. `jobs` processes of this machine, or all workers of the `dask` cluster at
    tcp://host:port, each with the model opened once. The numbers are those of `predict`, to the
    last bit where BLAS has one thread here as well (OPENBLAS_NUM_THREADS=1; emodict-run sees to
    it). `on_done` hears how many recordings have been scored so far.

    Raises:
        InputError: a recording, the model, or the cluster cannot be used;
            what comes before it has been yielded.
    """
    require_jobs(jobs, dask)
    jobs = min(jobs, len(recordings))
    if jobs <= 1 and dask is None:
        with open_engine(engine_path, device=device) as engine:
            for number, path in enumerate(recordings, start=1):
                yield iter_predictions(engine, path, part=part, person=person, invert=invert)
                on_done(number)
        return
    tasks = [task_of(number, path) for number, path in enumerate(recordings)]
    level = logging.getLogger("emodict").getEffectiveLevel()
    absolute = task_of(0, model_file(engine_path)).path
    work = Work(
        absolute,
        sha256_of_model(absolute),
        device,
        part,
        person,
        tuple(invert),
        level,
        dask is not None,
    )
    with _here(jobs, work, tasks) if dask is None else _on_cluster(dask, work, tasks) as outcomes:
        yield from (outcome.replay() for outcome in _in_order(outcomes, on_done))


def require_jobs(jobs: int, dask: str | None) -> None:
    """Refuse a number of processes that cannot be, and two places at once.

    Raises:
        InputError: it is so.
        MissingDependencyError: joblib is not installed.
    """
    if jobs < 1:
        raise InputError("--jobs is the number of processes", expected="1 or more", got=jobs)
    if jobs > 1 and dask is not None:
        raise InputError(
            "--jobs and --dask are two places to work in",
            expected="one of them",
            got=f"--jobs {jobs} and --dask {dask}",
            fix="Leave --jobs out: all workers of the cluster are used",
        )
    if jobs > 1 or dask is not None:
        option, extra = ("--jobs", "jobs") if dask is None else ("--dask", "dask")
        try:
            import joblib  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError("joblib", extra=extra, purpose=option) from error


@contextlib.contextmanager
def _here(jobs: int, work: Work, tasks: Sequence[Task]) -> Iterator[Iterator[Outcome]]:
    """The outcomes from processes of this machine, in the order they come."""
    # Where the user has chosen, workers inherit the choice, as emodict-run itself does.
    threads = None if "OPENBLAS_NUM_THREADS" in os.environ else BLAS_THREADS
    with (
        guarded_processes(fix=f"Use fewer than --jobs {jobs}"),
        in_processes(score_task, work, tasks, jobs=jobs, blas_threads=threads) as outcomes,
    ):
        yield outcomes


@contextlib.contextmanager
def _on_cluster(address: str, work: Work, tasks: Sequence[Task]) -> Iterator[Iterator[Outcome]]:
    """The outcomes from the workers of a Dask cluster, in the order they come."""
    cluster = open_cluster(
        address,
        readiness=partial(readiness, work),
        purpose="run the model",
        fix_unready="A Dask cluster needs a shared folder, with the same path on every machine, "
        "and the same packages "
        "on every worker",
        fix_lost="See that its scheduler and workers run, and run the command again",
    )
    with (
        cluster as client,
        _forgetting_engines(client),
        spread_out(score_task, work, tasks, backend="dask", client=client) as outcomes,
    ):
        yield outcomes


@contextlib.contextmanager
def _forgetting_engines(client: Any) -> Iterator[None]:
    """Let the workers forget the model in the end; a cluster that is gone need not."""
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            client.run(forget_engines)


def _in_order(outcomes: Iterator[Outcome], on_done: OnDone) -> Iterator[Outcome]:
    """Each outcome as soon as all before it are there."""
    waiting: dict[int, Outcome] = {}
    due = 0
    for done, outcome in enumerate(outcomes, start=1):
        on_done(done)
        waiting[outcome.number] = outcome
        while due in waiting:
            yield waiting.pop(due)
            due += 1
