"""Targets: what a browser, or whoever reaches the page's port, may send:
requests, tokens, frames.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.page import manifest, noise
from tests.live.asking import UPGRADE
from tests.reliability.fuzz.oracle import FoundError
from tests.reliability.fuzz.target import Target

from emodict.live.page import page_address, wire
from emodict.live.page.access import Access
from emodict.live.page.address import PageAddress
from emodict.live.page.connection import uvicorn_config
from emodict.live.page.hub import Hub
from emodict.live.page.site import site

TOKEN = "correct-horse-battery.staple~1"
_ADDRESS = PageAddress("127.0.0.1", "127.0.0.1", 8765)
# Turns of the event loop that every answer is given in.
_TURNS = 30


class _Wire(asyncio.Transport):
    """A connection that keeps what it is told."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 8765)})
        self.protocol, self.said, self.closed = protocol, bytearray(), False

    def write(self, data: Any) -> None:
        self.said += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def _talk(data: bytes, token: str | None) -> bytes:
    """What the page answers to these bytes, in pieces of every size."""
    from uvicorn.server import ServerState

    hub = Hub()
    hub.say_hello(wire.hello(manifest(), "LSL", "m"))
    hub.put(wire.second(noise(0, np.random.default_rng(0))))
    config = uvicorn_config(site(hub, Access(_ADDRESS, token)))
    config.load()
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    protocol = config.http_protocol_class(config=config, server_state=ServerState(), app_state={})
    line = _Wire(protocol)
    protocol.connection_made(line)
    for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
        if not line.closed and piece:
            line.protocol.data_received(piece)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
    line.protocol.connection_lost(None)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    for fault in faults:
        raise FoundError(f"the page failed: {fault.get('message')}: {fault.get('exception')!r}")
    return bytes(line.said)


def _answers(data: bytes, token: str | None) -> list[int]:
    said = asyncio.run(_talk(data, token))
    codes = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d\d\d) ", said)]
    if any(code >= 500 for code in codes):
        raise FoundError(f"the page answered {codes}")
    return codes


def _use_open(path: Path) -> None:
    _answers(path.read_bytes(), None)


def _use_guarded(path: Path) -> None:
    data = path.read_bytes()
    codes = _answers(data, TOKEN)
    if TOKEN.encode() not in data and any(code < 400 and code != 100 for code in codes):
        raise FoundError(f"the page let in who has no token: {codes}")


def _request(path: str, **headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1:8765"]
    return "\r\n".join(
        [*lines, *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()), "", ""]
    ).encode()


_HANDSHAKE = _request("/rows", **{name.replace("-", "_"): value for name, value in UPGRADE.items()})
_FRAMES = [
    b"",
    b"\x81\x85\0\0\0\0hello",
    b"\x89\x80\0\0\0\0",
    b"\x88\x82\0\0\0\0\x03\xe8",
    b"\x81\xff" + b"\xff" * 12,
]


def _seeds() -> list[bytes]:
    return [
        _request("/"),
        _request("/?token=x", Origin="http://evil.example"),
        _request("/rows", Authorization="Bearer x"),
        _request("/knock", Cookie="emodict-8765=x; a=b"),
        _HANDSHAKE,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ]


def _use_words(path: Path) -> None:
    """Texts that reach single checks: an address, a query, a cookie, a host, a token."""
    text = path.read_bytes().decode("latin-1")
    access = Access(_ADDRESS, TOKEN)
    for key in ("host", "origin", "cookie", "authorization"):
        if access.refusal({"host": "localhost", key: text}) is None and TOKEN not in text:
            raise FoundError(f"let in by {key}: {text!r}")
    if isinstance(access.visit(text), str) and TOKEN not in text:
        raise FoundError(f"let in by {text!r}")
    # Names are asked of the network: only what is none.
    if not re.search(r"[a-zA-Z]", text):
        page_address(text)


TARGETS = [
    Target("page, open", "request", _use_open, _seeds),
    Target("page, with token", "request", _use_guarded, _seeds),
    Target(
        "page, frames",
        "frames",
        _use_open,
        lambda: list(_FRAMES),
        form=lambda data: _HANDSHAKE + data,
    ),
    Target(
        "page, words",
        "words",
        _use_words,
        lambda: [b"token=x", b"emodict-8765=x", b"127.0.0.1:80", b"Bearer x"],
    ),
]
