"""A Dask cluster: reached, asked whether its workers can do the work, and left clean."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

from emodict.errors import ClusterError, MissingDependencyError
from emodict.many.worker import Work, forget_engines, readiness, version

TIMEOUT_S = 10.0
EXAMPLE = "the address that `dask scheduler` shows, such as tcp://192.168.1.5:8786"


@contextlib.contextmanager
def open_cluster(address: str, work: Work) -> Iterator[Any]:
    """A `distributed.Client` whose workers are known to be able to run the model.

    Raises:
        ClusterError: no cluster there, no workers, another emodict on them, or a model they cannot open.
    """
    try:
        from distributed import CancelledError, Client, KilledWorker
    except ImportError as error:
        raise MissingDependencyError("distributed", extra="dask", purpose="--dask") from error
    # Dask's client would hang on these for a while when it is closed.
    if not re.fullmatch(r"(tcp|tls)://.+:\d+", address):
        raise ClusterError(f"{address} is no address of a Dask scheduler", expected=EXAMPLE)
    with _quiet(), contextlib.ExitStack() as stack:
        try:
            client: Any = Client(address, timeout=TIMEOUT_S, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, TypeError, ImportError) as error:
            # Dask's own words fill a page (one line for each try).
            raise ClusterError(
                f"There is no Dask scheduler at {address}",
                expected=EXAMPLE,
                got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            ) from error
        stack.callback(_leave, client)
        try:
            _require_workers(client, address)
            _require_version(client)
            _require_ready(client, work)
            yield client
        except (OSError, CancelledError, KilledWorker) as error:
            # Errors of recordings come back as values: this one is Dask's own.
            raise ClusterError(
                f"The Dask cluster at {address} was lost: {(str(error) or type(error).__name__).splitlines()[0]}",
                fix="See that its scheduler and workers run, and run the command again",
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


def _require_version(client: Any) -> None:
    """Another emodict may compute other features."""
    for worker, found in client.run(version, on_error="return").items():
        if found != version():
            got = f"emodict {found}" if isinstance(found, str) else f"{type(found).__name__}: {found}"
            raise ClusterError(
                f"The Dask worker {worker} does not run the emodict that runs here",
                expected=f"emodict {version()}",
                got=got,
                fix=f"Install the same on every worker: pip install 'emodict[onnx,dask]=={version()}'",
            )


def _require_ready(client: Any, work: Work) -> None:
    for worker, error in client.run(readiness, work, on_error="return").items():
        if error is not None:
            raise ClusterError(
                f"The Dask worker {worker} cannot run the model: {error}",
                fix="A Dask cluster needs a shared folder, with the same path on every machine, "
                "and the same packages on every worker",
            ) from error


def _leave(client: Any) -> None:
    """Let the workers forget the model, and close without a word; a cluster that is gone needs neither."""
    with contextlib.suppress(Exception):
        client.run(forget_engines)
    client.close(timeout=TIMEOUT_S)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask's loggers write to the terminal by themselves; what matters comes back as an error of ours."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]
    before = {logging.getLogger(name): logging.getLogger(name).level for name in ["distributed", *names]}
    for logger in before:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)
