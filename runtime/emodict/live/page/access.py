"""Who may see the page: the checks that every request passes before anything else looks at it."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

from emodict.errors import PageError
from emodict.live.page.address import PageAddress

# 16 characters of 66 kinds are 96 bits: not to be guessed, however many tries there are.
MIN_TOKEN, MAX_TOKEN = 16, 256
# What stands in an address as it is, so that nobody needs to know about percent signs.
_TOKEN = re.compile(r"[A-Za-z0-9._~-]*")
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_NEW_TOKEN = "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"


@dataclass(frozen=True)
class Refusal:
    """An answer of HTTP's, and why, for people."""

    status: int
    reason: str


NOT_OURS = Refusal(
    421, "This is not the address of the page. Open the one that emodict-run printed."
)
NOT_HERE = Refusal(403, "Another site's page may not read this one.")
NO_TOKEN = Refusal(
    401,
    "This page needs its token. Open it once as /?token=..., "
    "with the token that emodict-run was started with.",
)
WRONG_TOKEN = Refusal(401, "That is not the token of this page.")


class Access:
    """Whether a request comes from someone who may see the page.

    Three things are looked at. `Host`: a page elsewhere whose name was pointed at this machine (DNS
    rebinding) is distinguished by the name in it. `Origin`: a page elsewhere cannot read this one
    through its visitor's browser. The token, where there is one: as a cookie, which a browser gets
    for `/?token=...` and keeps from every script, or as `Authorization: Bearer ...`, for programs.

    Attributes:
        port: that is listened on, known when the system has chosen one.
    """

    def __init__(self, address: PageAddress, token: str | None) -> None:
        require_token(address, token)
        self._address = address
        self.port = address.port
        self._token = token
        # The browser never keeps the token itself;
        # what it keeps still holds after a restart with the same one.
        self._pass = hmac.new(
            (token or "").encode(), b"emodict page pass", hashlib.sha256
        ).hexdigest()
        self._names = {"localhost", address.host.lower()}
        if not address.loopback:
            name = socket.gethostname().lower()
            self._names |= {name, f"{name.split('.')[0]}.local"}

    def refusal(self, headers: Mapping[str, str]) -> Refusal | None:
        """Why not, or None. Asked of everything but the first visit with a token in the address."""
        return self.foreign(headers) or self._without_token(headers)

    def foreign(self, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request was not made by our own page or a program."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return NOT_OURS
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return NOT_HERE
        return None

    def visit(self, query: str) -> str | Refusal | None:
        """The pass that a first visit earns with the token in its query;
        None where there is no token in it.
        """
        given = parse_qs(query, keep_blank_values=True).get("token")
        if self._token is None or given is None:
            return None
        return self._pass if _same(given[0], self._token) else WRONG_TOKEN

    @property
    def cookie(self) -> str:
        """Its name: cookies know no ports,
        and two runs on one machine must not overwrite each other's.
        """
        return f"emodict-{self.port}"

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"].lower().strip("[]").rstrip(".")
        try:
            ip = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        # A number cannot be pointed elsewhere; only names can.
        return ip.is_loopback or not self._address.loopback

    def _without_token(self, headers: Mapping[str, str]) -> Refusal | None:
        if self._token is None:
            return None
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return None if _same(bearer.strip(), self._token) else WRONG_TOKEN
        kept = _cookie(headers.get("cookie", ""), self.cookie)
        if kept is None:
            return NO_TOKEN
        return None if _same(kept, self._pass) else WRONG_TOKEN


def require_token(address: PageAddress, token: str | None) -> None:
    """A page that others can reach needs a token that nobody can guess.

    Raises:
        PageError: without the token in its words.
    """
    if token is None:
        if not address.loopback:
            _refuse(
                f"The page would be open to everyone who can reach {address.host}", "no --token"
            )
        return
    if not _TOKEN.fullmatch(token):
        _refuse("The page's token cannot stand in an address", "another character")
    if not MIN_TOKEN <= len(token) <= MAX_TOKEN:
        _refuse("The page's token has the wrong length", f"{len(token)}")


def _refuse(what: str, got: str) -> NoReturn:
    raise PageError(
        what,
        expected=f"a token of {MIN_TOKEN} to {MAX_TOKEN} letters, digits and . _ ~ -",
        got=got,
        fix=f"Make one with {_NEW_TOKEN}, or serve only this machine: --serve 127.0.0.1",
    )


def _same(given: str, ours: str) -> bool:
    # In constant time: how much of a guess was right must not show in how long the answer takes.
    return hmac.compare_digest(given.encode("utf-8", "replace"), ours.encode())


def _cookie(header: str, name: str) -> str | None:
    try:
        kept = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return None if kept is None else kept.value
