"""uvicorn's two protocols, with bounds for browsers that are slow or hostile."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: TID253
from uvicorn.protocols.utils import ClientDisconnected  # noqa: TID253
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol  # noqa: TID253

from emodict.live.page.hub import MAX_BROWSERS

# A browser that takes longer for what it was sent is dropped, and may come again.
SEND_S = 10.0
# A request that is not complete by then never will be.
REQUEST_S = 10.0
# Each browser has its WebSocket, and a few requests at the start.
MAX_CONNECTIONS = 4 * MAX_BROWSERS
# More than one message and its headers never wait; only answers to a flood of pings could.
MAX_WAITING_BYTES = 256 * 1024
# What a closing connection gets to send its last words.
LAST_WORDS_S = 0.2


class Request(H11Protocol):
    """HTTP: so many at a time, and each complete in time."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(REQUEST_S, self._give_up)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()

    def handle_websocket_upgrade(self, event: Any) -> None:
        # Such bytes in the key would be a fault of the server's own to the
        # library that shakes hands.
        if all(value.isascii() for _, value in event.headers):
            super().handle_websocket_upgrade(event)
        else:
            self.send_400_response("Invalid header received.")

    def _give_up(self) -> None:
        # An upgraded connection belongs to the other class by now.
        if self.transport.get_protocol() is self and self.cycle is None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(LAST_WORDS_S, self.transport.abort)


class Stream(WebSocketsSansIOProtocol):
    """WebSocket: one message at a time waits here, and not for long."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # `pause_writing` comes as soon as anything waits,
        # and the next message is made when nothing does.
        transport.set_write_buffer_limits(high=0)

    def pause_writing(self) -> None:
        super().pause_writing()
        # Closing would wait for a browser that never reads for ever.
        self._late = self.loop.call_later(SEND_S, self.transport.abort)

    async def send(self, message: Any) -> None:
        try:
            await super().send(message)
        except RuntimeError as error:
            # uvicorn itself ended a browser that answered no ping,
            # which its application cannot know.
            if not self.close_sent:
                raise
            raise ClientDisconnected from error

    def resume_writing(self) -> None:
        super().resume_writing()
        self._in_time()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(LAST_WORDS_S, self.transport.abort)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
