"""Where the page is served: an address that was looked up and judged
before anything listens on it.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from emodict.errors import PageError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
# A browser that is slow costs this much of the kernel's memory,
# not the megabytes that Linux would grow it to.
SEND_BUFFER_BYTES = 32 * 1024
# Phones leave without a word: what they have not acknowledged for so long ends their connection.
UNACKNOWLEDGED_MS = 20_000
BACKLOG = 64
_FORM = re.compile(
    r"(?:(?P<host>\[[^\[\]]+\]|[^\[\]:]*):)?(?P<port>\d{1,5})|(?P<only>\[[^\[\]]+\]|[^\[\]:]+)"
)


@dataclass(frozen=True)
class PageAddress:
    """One address of this machine.

    Attributes:
        host: as the user wrote it, without brackets.
        ip: what it stands for.
        port: 0 lets the system choose one.
    """

    host: str
    ip: str
    port: int

    @property
    def loopback(self) -> bool:
        """Nobody outside this machine can reach it."""
        return ipaddress.ip_address(self.ip).is_loopback

    def url(self, port: int) -> str:
        """Where a browser finds it, given the port that it listens on in the end."""
        unspecified = ipaddress.ip_address(self.ip).is_unspecified
        host = socket.gethostname() if unspecified else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def page_address(text: str = "") -> PageAddress:
    """ "HOST:PORT", "HOST", "PORT" or nothing, as `--serve` takes it;
    by default for this machine only, port 8765.

    Raises:
        PageError: it is no such thing, or there is no such host.
    """
    host, port = _parts(text.strip()) if text.strip() else (DEFAULT_HOST, DEFAULT_PORT)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PageError(
            f"The page cannot be served on '{host}': there is no such host",
            fix="Give an address of this machine, such as 127.0.0.1:8765, or only a port",
        ) from error
    # A name may have both kinds of address; nearly every browser tries the older one, too.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return PageAddress(host, str(found[0][4][0]), port)


def _parts(text: str) -> tuple[str, int]:
    match = _FORM.fullmatch(text)
    port = int(match["port"] or DEFAULT_PORT) if match else -1
    if match is None or port > 65535:
        raise PageError(
            "The page's address cannot be read",
            expected="HOST:PORT, HOST or PORT, with a port up to 65535 and an IPv6 "
            "address in brackets",
            got=repr(text),
            fix=f"For this machine only: --serve {DEFAULT_HOST}:{DEFAULT_PORT}",
        )
    return (match["host"] or match["only"] or DEFAULT_HOST).strip("[]"), port


def listen(address: PageAddress) -> socket.socket:
    """A socket that takes connections there.

    Raises:
        PageError: another program has the port,
            or the address is not this machine's, or it may not be used.
    """
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit both.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        listener.bind((address.ip, address.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(address, error) from error
    listener.setblocking(False)
    return listener


def _refusal(address: PageAddress, error: OSError) -> PageError:
    where = f"{address.host}:{address.port}"
    if error.errno == errno.EADDRINUSE:
        return PageError(
            f"The page cannot be served on {where}: another program uses that port",
            fix=f"Choose another, such as --serve {address.host}:{address.port % 65535 + 1}, "
            f"or end that program",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return PageError(
            f"The page cannot be served on {where}: that is not an address of this machine",
            fix="Give one of its own, or 0.0.0.0 for all of them",
        )
    if error.errno == errno.EACCES:
        return PageError(
            f"The page cannot be served on {where}: the system keeps that port for itself",
            fix=f"Choose one from 1024 up, such as --serve {address.host}:{DEFAULT_PORT}",
        )
    return PageError(f"The page cannot be served on {where}: {error.strerror or error}")
