"""A Dask cluster: reached, asked whether its workers can do the work, and left without a word."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

from emodict.errors import ClusterError, MissingDependencyError
from emodict_desk.many.worker import version

# A worker first imports what it is asked about.
ANSWER_S = 60.0
TIMEOUT_S = 10.0
EXAMPLE = "the address that `dask scheduler` shows, such as tcp://192.168.1.5:8786"


@contextlib.contextmanager
def open_cluster(
    address: str,
    *,
    readiness: Callable[[], Exception | None],
    purpose: str,
    fix_unready: str,
    fix_lost: str,
) -> Iterator[Any]:
    """A `distributed.Client` whose workers run this emodict and are known to be ready for the work.

    Args:
        readiness: run on each worker: the error that keeps it from the work; None: it is ready.
        purpose: what the workers are for, after "cannot".
        fix_unready: what to do where a worker is not ready.
        fix_lost: what to do where the cluster was lost in the middle of the work.

    Raises:
        ClusterError: no cluster there, no workers, another emodict on them,
            one that is not ready, or it was lost.
        MissingDependencyError: distributed is not installed.
    """
    try:
        from distributed import CancelledError, KilledWorker
    except ImportError as error:
        raise MissingDependencyError("distributed", extra="dask", purpose="--dask") from error
    with _quiet(), contextlib.ExitStack() as stack:
        client = _connect(address)
        stack.callback(client.close, timeout=TIMEOUT_S)
        try:
            _require_workers(client, address)
            _require_version(client)
            _require_ready(client, readiness, purpose, fix_unready)
            yield client
        except (OSError, CancelledError, KilledWorker) as error:
            # Errors of the work come back as values: this one is Dask's own.
            raise ClusterError(
                f"The Dask cluster at {address} was lost: "
                f"{(str(error) or type(error).__name__).splitlines()[0]}",
                fix=fix_lost,
            ) from error


def _connect(address: str) -> Any:
    """A client of the scheduler there."""
    from distributed import Client

    # Dask's client would hang on these for a while when it is closed.
    if not re.fullmatch(r"(tcp|tls)://.+:\d+", address):
        raise ClusterError(f"{address} is not the address of a Dask scheduler", expected=EXAMPLE)
    try:
        return Client(address, timeout=TIMEOUT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError, ImportError) as error:
        # Dask's own words fill a page (one line for each try).
        raise ClusterError(
            f"There is no Dask scheduler at {address}",
            expected=EXAMPLE,
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error


def _require_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=TIMEOUT_S)
    except TimeoutError as error:
        raise ClusterError(
            f"The Dask cluster at {address} has no workers",
            expected=f"at least one within {TIMEOUT_S:.0f} s",
            fix=f"Start one: dask worker {address}",
        ) from error


def _ask_workers(client: Any, question: Callable[[], Any]) -> dict[str, Any]:
    """What each worker answers, or the error that it ends in.

    Raises:
        ClusterError: one does not answer; `Client.run` itself would wait for it for ever.
    """
    try:
        answers: dict[str, Any] = client.sync(
            client._run, question, on_error="return", callback_timeout=ANSWER_S
        )
    except TimeoutError as error:
        raise ClusterError(
            "A worker of the Dask cluster does not answer",
            expected=f"an answer within {ANSWER_S:.0f} s",
            fix="See that all workers run; end those that hang",
        ) from error
    return answers


def _require_version(client: Any) -> None:
    """Another emodict may compute other features."""
    for worker, found in _ask_workers(client, version).items():
        if found != version():
            got = (
                f"emodict {found}" if isinstance(found, str) else f"{type(found).__name__}: {found}"
            )
            raise ClusterError(
                f"The Dask worker {worker} does not run the emodict that runs here",
                expected=f"emodict {version()}",
                got=got,
                fix=f"Install the same on every worker: "
                f"pip install 'emodict[onnx,dask]=={version()}'",
            )


def _require_ready(
    client: Any, readiness: Callable[[], Exception | None], purpose: str, fix: str
) -> None:
    for worker, error in _ask_workers(client, readiness).items():
        if error is not None:
            raise ClusterError(
                f"The Dask worker {worker} cannot {purpose}: {error}", fix=fix
            ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask's loggers write to the terminal by themselves;
    what matters comes back as an error of emodict's.
    """
    names = [
        name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"
    ]
    before = {
        logging.getLogger(name): logging.getLogger(name).level for name in ["distributed", *names]
    }
    for logger in before:
        logger.setLevel(logging.CRITICAL + 1)
    tornado = logging.getLogger("tornado.application")
    tornado.addFilter(_not_of_a_closed_connection)
    try:
        yield
    finally:
        tornado.removeFilter(_not_of_a_closed_connection)
        for logger, level in before.items():
            logger.setLevel(level)


def _not_of_a_closed_connection(record: logging.LogRecord) -> bool:
    """Work that is left early may have results on their way: Tornado,
    which Dask talks through, tells each as an error.

    Other errors of Tornado stay: the process may be a notebook, which runs on it as well.
    """
    from distributed.comm.core import CommClosedError

    return not (record.exc_info and isinstance(record.exc_info[1], CommClosedError))
