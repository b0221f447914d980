"""One function over many items by joblib,
in processes that start quietly and end with the one that started them.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import Any, TypeVar, cast

from emodict.errors import EmodictError

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

# Matrix products are small here: more BLAS threads fight for the cores,
# and another number of them rounds otherwise.
BLAS_THREADS = 1
_POOL_THREAD = "ExecutorManagerThread"
# Of the pool used last: see _keep_queue.
_kept_queue: Any = None


@contextlib.contextmanager
def guarded_processes(*, fix: str) -> Iterator[None]:
    """Processes started within end with this one, by SIGTERM as well;
    one that ends before is told in a sentence.

    Raises:
        EmodictError: a process was ended from outside; `fix` says what to do.
    """
    try:
        with _ending_on_sigterm():
            yield
    except BrokenProcessPool as error:
        raise EmodictError(
            "A worker process was ended from outside, most often because memory ran out", fix=fix
        ) from error


@contextlib.contextmanager
def in_processes(
    function: Callable[[Shared, Item], Outcome],
    shared: Shared,
    items: Iterable[Item],
    *,
    jobs: int,
    blas_threads: int | None = BLAS_THREADS,
) -> Generator[Iterator[Outcome], None, None]:
    """function(shared, item) from `jobs` processes of this machine,
    as they are finished; in `guarded_processes`.

    Args:
        blas_threads: of each process; None leaves the environment, which they inherit, to say.
    """
    with _silent_about_replaced_workers(), contextlib.ExitStack() as stack:
        with _deaf_to_ctrl_c():
            backend: dict[str, Any] = {
                "backend": "loky",
                "n_jobs": jobs,
                "inner_max_num_threads": blas_threads,
            }
            spread = spread_out(function, shared, items, **backend)
            outcomes = stack.enter_context(spread)
            _keep_queue()
            stack.callback(_expect_dropped_work)
        yield outcomes


@contextlib.contextmanager
def spread_out(
    function: Callable[[Shared, Item], Outcome],
    shared: Shared,
    items: Iterable[Item],
    **backend: Any,
) -> Generator[Iterator[Outcome], None, None]:
    """function(shared, item) from a backend of joblib, as they are finished;
    leaving early ends the work that is left.

    Args:
        backend: as `joblib.parallel_config` takes it.
    """
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(**backend):
        # Large arrays are shared as files in memory; copy-on-write,
        # for torch warns of what it cannot write.
        parallel = Parallel(return_as="generator_unordered", batch_size=1, mmap_mode="c")
        outcomes = parallel(delayed(function)(shared, item) for item in items)
    try:
        yield outcomes
    finally:
        with warnings.catch_warnings():
            # joblib warns that work was left undone; it was left on purpose.
            warnings.simplefilter("ignore")
            outcomes.close()


@contextlib.contextmanager
def _silent_about_replaced_workers() -> Iterator[None]:
    """A worker that holds much more memory than at first is replaced between two
    items: no news for anybody.
    """
    message = "A worker stopped while some jobs were given"
    warnings.filterwarnings("ignore", message, UserWarning)
    ours = ("ignore", re.compile(message, re.IGNORECASE), UserWarning, None, 0)
    try:
        yield
    finally:
        # catch_warnings would also undo what the caller, who runs between two outcomes,
        # has done to the filters.
        if ours in warnings.filters:
            cast("list[Any]", warnings.filters).remove(ours)


def _keep_queue() -> None:
    """Hold the queue through which loky feeds the workers until Python ends,
    or until another pool has one.

    Where a pool is ended with work left, loky (joblib 1.6) does not wait for the thread that feeds
    it. That thread would be the last to hold the queue, and would take its semaphores away while
    Python ends: a semaphore that is gone without a word to loky's resource tracker makes the
    tracker, a process of its own, warn the user of a leak.
    """
    global _kept_queue
    from joblib.externals.loky import reusable_executor

    _kept_queue = getattr(reusable_executor._executor, "_call_queue", None)


def _expect_dropped_work() -> None:
    """Say nothing where loky (joblib 1.6)
    looks for work that was dropped when a pool was left early.

    Its thread takes a number of work from one list and looks it up in another, which the
    end of the pool has emptied. The thread ends by that KeyError, as it should end; Python
    would print a traceback.
    """
    told = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        of_pool = failed.thread is not None and failed.thread.name == _POOL_THREAD
        if not (of_pool and failed.exc_type is KeyError):
            told(failed)

    if getattr(told, "__module__", None) != __name__:
        threading.excepthook = hook


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """SIGTERM (kill, a batch system) ends this process by an exception,
    which ends its workers as well.
    """
    if not _may_set_signals() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        # A generator that nobody closed is ended by the garbage collector,
        # in whatever thread that runs.
        if _may_set_signals():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _may_set_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started meanwhile never hear Ctrl-C: they inherit that it is held back.
    This one hears it afterwards.

    Ctrl-C goes to every process of a terminal, and each would die with a traceback of its own.
    """
    # The helper process of multiprocessing:
    # starting it lets the signal through again (until Python 3.12).
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
