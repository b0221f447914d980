"""Twenty browsers of all kinds, in a process of their own:
python -m benchmarks.page_browsers PORT SECONDS.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

READERS, NEVER, DRIP, RESTLESS = 8, 4, 4, 4
# What a phone on a bad line has, not what this machine would give.
RECEIVE_BUFFER_BYTES = 4096


class Seen:
    """What the browsers lived through."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []
        self.rows: list[int] = [0] * READERS
        self.missed = 0
        self.visits = 0
        self.dropped = 0


async def reader(port: int, number: int, seen: Seen) -> None:
    """Reads all, as a browser does; counts the rows it never heard of."""
    async with connect(f"ws://127.0.0.1:{port}/rows") as stream:
        last = None
        async for text in stream:
            news = json.loads(text)
            if "now" not in news:
                continue
            if last is not None:
                starts = [one["start_s"] for one in (*news["past"], news["now"])]
                seen.delays_s.append(time.time() - news["now"]["unix_s"])
                seen.missed += round(starts[0] - last - 1)
                seen.rows[number] += len(starts)
            last = news["now"]["start_s"]


async def slow(port: int, seen: Seen, *, bytes_a_second: int) -> None:
    """Shakes hands, then reads a byte a second, or none at all; comes again when it is dropped."""
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            plain.setblocking(False)
            await loop.sock_connect(plain, ("127.0.0.1", port))
            await loop.sock_sendall(plain, handshake(port))
            await loop.sock_recv(plain, 64)
            seen.visits += 1
            try:
                while True:
                    await asyncio.sleep(1)
                    if bytes_a_second and not await loop.sock_recv(plain, bytes_a_second):
                        break
                    # One that never reads learns that it was dropped when it
                    # speaks: an empty pong, masked.
                    await loop.sock_sendall(plain, b"\x8a\x80\0\0\0\0")
            except OSError:
                pass
            seen.dropped += 1


async def restless(port: int, seen: Seen) -> None:
    """Comes, sees and goes, five times a second, often without a word."""
    while True:
        with contextlib.suppress(ConnectionClosed, InvalidHandshake):
            async with connect(f"ws://127.0.0.1:{port}/rows", close_timeout=0.1) as stream:
                await stream.recv()
                if seen.visits % 2:
                    stream.transport.abort()
        seen.visits += 1
        await asyncio.sleep(0.2)


def handshake(port: int) -> bytes:
    return (
        f"GET /rows HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: "
        f"Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


async def browse(port: int, seconds: float) -> Seen:
    seen = Seen()
    works = [reader(port, number, seen) for number in range(READERS)]
    works += [slow(port, seen, bytes_a_second=0) for _ in range(NEVER)]
    works += [slow(port, seen, bytes_a_second=1) for _ in range(DRIP)]
    works += [restless(port, seen) for _ in range(RESTLESS)]
    tasks = [asyncio.ensure_future(work) for work in works]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
        raise RuntimeError("the page ended before its browsers")
    return seen


def main(port: int, seconds: float) -> None:
    seen = asyncio.run(browse(port, seconds))
    delays_ms = sorted(1e3 * delay for delay in seen.delays_s)
    print(
        json.dumps(
            {
                "delays_ms": delays_ms,
                "rows": seen.rows,
                "missed": seen.missed,
                "visits": seen.visits,
                "dropped": seen.dropped,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
