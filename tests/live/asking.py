"""Asks the live page for things as browsers, programs and attackers do."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emodict.live.page import PageListener

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}  # fmt: skip
FILES = ("/", "/page.css", "/page.js", "/icon.svg")
# What comes at once on a machine at rest; nothing that is right takes as long on any.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def port_of(page: PageListener) -> int:
    return int(page.url.rstrip("/").rpartition(":")[2])


def rows_url(page: PageListener) -> str:
    return page.url.replace("http", "ws", 1) + "rows"


def ask(page: PageListener, path: str = "/", *, method: str = "GET", body: bytes | None = None,
        **headers: str) -> Answer:  # fmt: skip
    """Header names with _ for -; our own Host unless another is given."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(page), timeout=PATIENCE_S)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent = {
            "Host": f"127.0.0.1:{port_of(page)}",
            **{name.replace("_", "-"): v for name, v in headers.items()},
        }
        if body is not None:
            sent["Content-Length"] = str(len(body))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        # What follows a 101 never ends.
        return Answer(answer.status, answer.headers, b"" if answer.status == 101 else answer.read())
    finally:
        connection.close()


def ask_for_rows(page: PageListener, **headers: str) -> Answer:
    return ask(
        page, "/rows", **{name.replace("-", "_"): v for name, v in UPGRADE.items()}, **headers
    )


def told(stream: Any) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(stream.recv(timeout=PATIENCE_S), parse_constant=refuse)


def soon(true: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def end_of(plain: socket.socket) -> str:
    """How the other side ends a connection that we only listen on."""
    plain.settimeout(PATIENCE_S)
    try:
        while plain.recv(65536):
            pass
    except ConnectionResetError:
        return "cut"
    return "closed"


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("emodict")]
