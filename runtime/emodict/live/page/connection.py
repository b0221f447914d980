"""Connections that cost little and end: how uvicorn is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.config import Config

MAX_REQUEST_BYTES = 16 * 1024
# A browser has nothing to say.
MAX_MESSAGE_BYTES = 1024
PING_S = 10.0


def uvicorn_config(app: Any) -> Config:
    """How uvicorn is run: silent, without what the page does not need, bounded."""
    from uvicorn.config import Config

    from emodict.live.page.protocols import Request, Stream

    return Config(
        app,
        loop="asyncio",
        http=Request,
        ws=Stream,
        lifespan="off",
        log_config=None,
        # It would log addresses with their queries, and tokens with them.
        log_level=logging_never(),
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=MAX_REQUEST_BYTES,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )


def logging_never() -> int:
    """A level above all others."""
    import logging

    return logging.CRITICAL + 1
