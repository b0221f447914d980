"""What the page's addresses answer: four files, a knock, and the stream of rows."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from emodict.live.page.access import Access, Refusal
from emodict.live.page.connection import MAX_REQUEST_BYTES
from emodict.live.page.fault import log_fault
from emodict.live.page.hub import MAX_BROWSERS, Browser, Hub

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FULL = Refusal(503, f"{MAX_BROWSERS} pages are open already, and there may be no more. Close one.")
NOTHING_TO_SEND = Refusal(405, "Nothing can be sent to this page.")
TOO_LONG = Refusal(431, "That request is too long.")
# All there is: nothing that a request says becomes the name of a file.
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
# Nothing but our own four files and our own stream, whatever a name in a row may hold.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def site(hub: Hub, access: Access) -> App:
    """The ASGI application."""
    from starlette.requests import HTTPConnection
    from starlette.responses import RedirectResponse
    from starlette.routing import Route, Router, WebSocketRoute

    folder = importlib.resources.files("emodict.live.page") / "static"
    routes: list[Any] = [
        Route(path, _file((folder / name).read_bytes(), kind))
        for path, (name, kind) in _FILES.items()
    ]
    routes += [Route("/knock", _knock(hub)), WebSocketRoute("/rows", _rows(hub))]
    pages = Router(routes, redirect_slashes=False)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        asked = HTTPConnection(scope)
        earned: str | Refusal | None = _unfit(scope, asked)
        if (
            not earned
            and scope["type"] == "http"
            and scope["path"] == "/"
            and not access.foreign(asked.headers)
        ):
            earned = access.visit(scope["query_string"].decode("latin-1"))
        if isinstance(earned, str):
            # A second address without the token: it is not in the history,
            # nor on the screen that is shown around.
            answer = RedirectResponse("/", HTTPStatus.SEE_OTHER, HEADERS)
            answer.set_cookie(access.cookie, earned, httponly=True, samesite="lax")
            await answer(scope, receive, send)
            return
        refusal = earned or access.refusal(asked.headers)
        if refusal is None:
            try:
                await pages(scope, receive, send)
            except Exception as error:
                # uvicorn, which is silent here, would answer 500 and say nothing.
                log_fault(_log, f"The page failed at {scope['path']}", error)
                raise
        else:
            await _refuse(refusal, scope, receive, send)

    return guarded


def _unfit(scope: Scope, asked: HTTPConnection) -> Refusal | None:
    """Why a request is none that a browser of emodict's makes; it is answered unread,
    and its connection closed.
    """
    if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
        return NOTHING_TO_SEND
    if asked.headers.get("content-length", "0") != "0" or "transfer-encoding" in asked.headers:
        return NOTHING_TO_SEND
    size = (
        len(scope["path"])
        + len(scope["query_string"])
        + sum(len(k) + len(v) for k, v in scope["headers"])
    )
    return TOO_LONG if size > MAX_REQUEST_BYTES else None


def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """A sentence, and an end; a WebSocket is refused before it is one."""
    from starlette.websockets import WebSocket

    answer = _sentence(refusal)
    if scope["type"] == "websocket":
        return WebSocket(scope, receive, send).send_denial_response(answer)
    return answer(scope, receive, send)


def _sentence(refusal: Refusal) -> Response:
    from starlette.responses import PlainTextResponse

    headers = {**HEADERS, "Connection": "close"}
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal is NOTHING_TO_SEND:
        headers["Allow"] = "GET, HEAD"
    return PlainTextResponse(refusal.reason + "\n", refusal.status, headers)


def _file(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    from starlette.responses import Response

    async def answer(_: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=kind)

    return answer


def _knock(hub: Hub) -> Callable[[Request], Awaitable[Response]]:
    """Why a WebSocket was refused is kept from a page's script;
    so it asks here, and shows the sentence.
    """
    from starlette.responses import Response

    async def answer(_: Request) -> Response:
        return (
            _sentence(FULL)
            if hub.full
            else Response(status_code=HTTPStatus.NO_CONTENT, headers=HEADERS)
        )

    return answer


def _rows(hub: Hub) -> Callable[[WebSocket], Awaitable[None]]:
    async def stream(socket: WebSocket) -> None:
        if hub.full:
            await socket.send_denial_response(_sentence(FULL))
            return
        with hub.visit() as browser:
            await socket.accept()
            await _until_either_ends(_tell(hub, browser, socket), _listen(socket))

    return stream


async def _tell(hub: Hub, browser: Browser, socket: WebSocket) -> None:
    while True:
        # Waits while the one before is on its way, then says all that has happened since.
        await socket.send_text(await hub.next_message(browser))


async def _listen(socket: WebSocket) -> None:
    """Until it goes; one that talks is not a page of emodict's."""
    from starlette.status import WS_1008_POLICY_VIOLATION

    if (await socket.receive())["type"] == "websocket.receive":
        await socket.close(WS_1008_POLICY_VIOLATION, "Nothing is to be said here.")


async def _until_either_ends(*works: Any) -> None:
    from starlette.websockets import WebSocketDisconnect

    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            # It left while it was being told something.
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
                await task
