"""PageListener: a live run's rows on a web page, served from a thread of its own."""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import threading
from typing import TYPE_CHECKING

from emodict.engine.manifest import Manifest
from emodict.errors import MissingDependencyError, PageError
from emodict.live.page import wire
from emodict.live.page.access import Access
from emodict.live.page.address import PageAddress, listen
from emodict.live.page.connection import uvicorn_config
from emodict.live.page.fault import log_fault
from emodict.live.page.hub import Hub
from emodict.live.page.site import site
from emodict.live.row import LiveRow

if TYPE_CHECKING:
    from uvicorn import Server

NEEDS = ("starlette", "uvicorn", "websockets")
START_S, STOP_S = 10.0, 2.0
_log = logging.getLogger(__name__)


class PageListener:
    """Shows every row on a page; a context manager that listens from its start to its end.

    A row costs the run a copy of its numbers;
    making text of it and sending it is the page's own thread's.

    Args:
        token: who comes must have it; needed where others than this machine can come.
        model: what the page calls the model, such as its file's name.

    Raises:
        PageError: when made, the address is not for this token; when entered,
            it cannot be listened on.
        MissingDependencyError: when made, a package is not installed.
    """

    def __init__(self, address: PageAddress, *, token: str | None = None, model: str = "") -> None:
        self._access = Access(address, token)
        for package in NEEDS:
            _require(package)
        self._address = address
        self._model = model
        self._hub = Hub()
        self._started = threading.Event()
        self._server: Server | None = None
        self._port = 0
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the page is while it is served; the token is not in it."""
        return self._address.url(self._port)

    def begin(self, manifest: Manifest, source: str) -> None:
        self._hub.say_hello(wire.hello(manifest, source, self._model))

    def row(self, row: LiveRow) -> None:
        self._hub.put(wire.second(row))

    def __enter__(self) -> PageListener:
        listener = listen(self._address)
        self._access.port = self._port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._serve, args=(listener,), name="emodict page", daemon=True
        )
        self._thread.start()
        if not self._started.wait(START_S) or self._server is None:
            raise PageError(f"The page at {self.url} did not start within {START_S:g} s")
        _log.info("Page: %s", self.url)
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                _log.warning("The page at %s did not end within %g s", self.url, STOP_S)

    def _serve(self, listener: socket.socket) -> None:
        try:
            with listener:
                asyncio.run(self._until_told(listener))
        except Exception as error:
            log_fault(_log, f"The page at {self.url} ended", error)
        finally:
            self._started.set()

    async def _until_told(self, listener: socket.socket) -> None:
        from uvicorn import Server

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_note)
        self._server = Server(uvicorn_config(site(self._hub, self._access)))
        loop.call_soon(self._started.set)
        watch = loop.create_task(self._hub.watch())
        await self._server.serve([listener])
        watch.cancel()


def _note(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """A connection that broke is not news to anybody at a terminal."""
    _log.debug("%s", context.get("message"), exc_info=context.get("exception"))  # type: ignore[arg-type]


def _require(package: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(package, extra="serve", purpose="--serve") from error
