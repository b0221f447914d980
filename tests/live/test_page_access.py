"""Who may see the live page: this machine, or who has the token;
never a stranger's page in a visitor's browser.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import re
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
pytest.importorskip("websockets", reason="the extra 'serve' is not installed")

from benchmarks.page import manifest, noise
from tests.live.asking import FILES, ask, ask_for_rows, port_of, rows_url, soon, told
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from emodict.errors import PageError
from emodict.live.page import PageListener, hub, page_address

TOKEN = "correct-horse-battery.staple~1"
OTHER = "correct-horse-battery.staple~2"


@pytest.fixture
def page() -> Iterator[Any]:
    with PageListener(page_address("127.0.0.1:0")) as served:
        served.begin(manifest(), "LSL")
        yield served


@pytest.fixture
def guarded() -> Iterator[Any]:
    with PageListener(page_address("127.0.0.1:0"), token=TOKEN) as served:
        served.begin(manifest(), "LSL")
        served.row(noise(0, np.random.default_rng(0)))
        yield served


def test_four_files_and_nothing_else_are_there(page: PageListener) -> None:
    kinds = [ask(page, path).headers["Content-Type"] for path in FILES]
    assert kinds == [
        "text/html; charset=utf-8",
        "text/css; charset=utf-8",
        "text/javascript; charset=utf-8",
        "image/svg+xml",
    ]
    for path in (
        "/../listener.py",
        "/%2e%2e/listener.py",
        "/static/page.js",
        "//page.js",
        "/page.js/",
        "/index.html",
        "/..%2f..%2f..%2fetc/passwd",
        "/page.js%00",
    ):
        assert ask(page, path).status == 404, path


def test_nothing_can_be_sent_to_it(page: PageListener) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert ask(page, method=method, body=b"x" * 100).status == 405
        assert ask(page, method=method).status == 405
    assert ask(page, body=b"x").status == 405
    assert ask(page, Transfer_Encoding="chunked").status == 405
    assert ask(page, method="HEAD").body == b""


def test_a_large_body_is_not_taken(page: PageListener) -> None:
    with socket.create_connection(("127.0.0.1", port_of(page)), timeout=20) as plain:
        head = (
            f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port_of(page)}\r\nContent-Length: "
            f"900000000\r\n\r\n"
        )
        plain.sendall(head.encode())
        assert plain.recv(65536).startswith(b"HTTP/1.1 405")
        # It has answered, and closes; who goes on sending finds nobody.
        with pytest.raises(ConnectionError):
            plain.sendall(bytes(900_000_000))


def test_headers_beyond_the_bound_are_refused(page: PageListener) -> None:
    assert ask(page, X_Long="x" * 100_000).status == 431
    assert ask(page, "/?" + "x" * 20_000).status == 431
    assert ask(page).status == 200


def test_the_page_asks_for_nothing_from_elsewhere_and_may_not(page: PageListener) -> None:
    for path in FILES:
        answer = ask(page, path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        text = answer.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(
            r"https?://|[\"'(]//[a-z]|@import|\sstyle=|\son[a-z]+=\"|innerHTML|eval\(", text
        ), path


def test_a_name_that_was_pointed_at_this_machine_is_told_apart(page: PageListener) -> None:
    port = port_of(page)
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "",
        "localhost@evil.example",
        "192.0.2.7",
        "[::ffff:192.0.2.7]",
        f"127.0.0.1:{port}/x",
    ):
        assert ask(page, Host=host).status in (400, 421), host
        assert ask_for_rows(page, Host=host).status in (400, 421), host
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "[::1]", "localhost:9999", "LOCALHOST"):
        assert ask(page, Host=host).status == 200, host


def test_another_sites_page_cannot_read_the_rows(page: PageListener) -> None:
    own = f"http://127.0.0.1:{port_of(page)}"
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        f"http://localhost:{port_of(page)}",
        "file://",
    ):
        assert ask_for_rows(page, Origin=origin).status == 403, origin
        assert ask(page, "/knock", Origin=origin).status == 403, origin
    assert ask_for_rows(page, Origin=own).status == 101
    assert ask_for_rows(page).status == 101


def test_the_sixty_fifth_browser_is_refused_in_a_sentence_and_may_come_when_one_has_gone(
    page: PageListener,
) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(hub.MAX_BROWSERS - 1):
            crowd.enter_context(connect(rows_url(page)))
        with connect(rows_url(page)):
            with pytest.raises(InvalidStatus) as refused, connect(rows_url(page)):
                pass
            knock = ask(page, "/knock")
        assert refused.value.response.status_code == 503
        assert b"64 pages are open already" in refused.value.response.body
        assert (knock.status, b"64 pages are open already" in knock.body) == (503, True)
        assert soon(lambda: ask(page, "/knock").status == 204)
        with connect(rows_url(page)) as stream:
            assert "hello" in told(stream)


@pytest.mark.parametrize("path", [*FILES, "/knock", "/nothing"])
def test_without_the_token_nothing_is_shown(guarded: PageListener, path: str) -> None:
    answer = ask(guarded, path)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert b"needs its token" in answer.body
    assert ask(guarded, path, Authorization=f"Bearer {OTHER}").status == 401
    assert ask(guarded, path, Cookie=f"{cookie_of(guarded)}={TOKEN}").status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {OTHER}"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": f"emodict={OTHER}"},
        {"Cookie": ";=;"},
    ],
)
def test_the_rows_are_refused_before_a_websocket_is_one(
    guarded: PageListener, headers: dict[Any, Any]
) -> None:
    answer = ask_for_rows(guarded, **headers)
    assert answer.status == 401
    assert "Upgrade" not in answer.headers
    assert not guarded._hub.browsers


def cookie_of(page: PageListener) -> str:
    return page._access.cookie


def pass_of(page: PageListener) -> str:
    answer = ask(page, f"/?token={TOKEN}")
    assert answer.status == 303
    assert answer.headers["Location"] == "/"
    return answer.headers["Set-Cookie"]


def test_a_browser_comes_once_with_the_token_and_keeps_a_pass_that_is_not_the_token(
    guarded: PageListener,
) -> None:
    cookie = pass_of(guarded)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert TOKEN not in cookie
    kept = cookie.split(";")[0]
    assert ask(guarded, Cookie=kept).status == 200
    assert ask(guarded, "/page.js", Cookie=f"a=b; {kept}").status == 200
    with connect(rows_url(guarded), additional_headers={"Cookie": kept}) as stream:
        assert told(stream)["now"]["start_s"] == 0
    # A stranger's page has no use for the visitor's pass.
    assert ask_for_rows(guarded, Cookie=kept, Origin="http://evil.example").status == 403


def test_a_pass_holds_after_a_restart_with_the_same_token_and_not_with_another(
    guarded: PageListener,
) -> None:
    earned = pass_of(guarded).split(";")[0].partition("=")[2]
    with PageListener(page_address("127.0.0.1:0"), token=TOKEN) as again:
        assert ask(again, Cookie=f"{cookie_of(again)}={earned}").status == 200
    with PageListener(page_address("127.0.0.1:0"), token=OTHER) as other:
        assert ask(other, Cookie=f"{cookie_of(other)}={earned}").status == 401


def test_a_wrong_token_in_the_address_earns_nothing(guarded: PageListener) -> None:
    for given in (OTHER, "", TOKEN[:-1], f"{TOKEN}x", "%00", "%ff", f"x&token={TOKEN}"):
        answer = ask(guarded, f"/?token={given}")
        assert answer.status == 401, given
        assert answer.headers["Set-Cookie"] is None


def test_a_token_in_the_address_is_good_for_the_page_alone_and_not_from_a_foreign_name(
    guarded: PageListener,
) -> None:
    assert ask(guarded, f"/page.js?token={TOKEN}").status == 401
    assert ask(guarded, f"/?token={TOKEN}", Host="evil.example").status == 421
    assert ask(guarded, f"/?token={TOKEN}", Origin="http://evil.example").status == 403


def test_a_program_may_send_the_token_as_a_header(guarded: PageListener) -> None:
    assert ask(guarded, Authorization=f"Bearer {TOKEN}").status == 200
    with connect(
        rows_url(guarded), additional_headers={"Authorization": f"Bearer {TOKEN}"}
    ) as stream:
        assert told(stream)["now"]["start_s"] == 0


def test_every_comparison_with_the_token_takes_constant_time(
    guarded: PageListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    honest = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return honest(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    ask(guarded, f"/?token={OTHER}")
    ask(guarded, Authorization=f"Bearer {OTHER}")
    ask(guarded, Cookie=f"{cookie_of(guarded)}={OTHER}")
    assert compared[:2] == [(OTHER.encode(), TOKEN.encode())] * 2
    assert compared[2][0] == OTHER.encode()
    assert len(compared) == 3


def test_the_token_is_in_no_log_and_no_answer(
    guarded: PageListener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "uvicorn")
    bodies = [ask(guarded, f"{path}?token={TOKEN}").body for path in ("/", "/rows", "/nothing")]
    bodies.append(ask_for_rows(guarded, Authorization=f"Bearer {TOKEN}x").body)
    with connect(
        rows_url(guarded) + f"?token={TOKEN}",
        additional_headers={"Authorization": f"Bearer {TOKEN}"},
    ):
        pass
    # What a client of ours writes of its own requests is its own affair.
    ours = [
        record.getMessage()
        for record in caplog.records
        if not record.name.startswith("websockets.client")
    ]
    assert not any(TOKEN in line for line in ours)
    assert not any(TOKEN.encode() in body for body in bodies)
    assert TOKEN not in guarded.url


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "[::]"])
def test_who_would_open_the_page_to_others_needs_a_token(host: str) -> None:
    with pytest.raises(
        PageError, match=r"open to everyone who can reach .*no --token.*Make one with"
    ) as error:
        PageListener(page_address(f"{host}:0"))
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("", "length.*got 0"),
        ("short", "length.*got 5"),
        ("x" * 257, "got 257"),
        ("sixteen letters+", "cannot stand in an address"),
        ("sechzehn-Zeichenä", "cannot stand in an address"),
    ],
)
def test_a_token_that_can_be_guessed_or_misread_is_refused_and_not_repeated(
    token: str, says: str
) -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(PageError, match=says) as error:
            PageListener(page_address(f"{host}:0"), token=token)
        assert not token or token not in str(error.value)


def test_a_page_for_others_answers_to_this_machines_own_names_and_to_no_others() -> None:
    with PageListener(page_address("0.0.0.0:0"), token=TOKEN) as page:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        port = port_of(page)
        assert page.url == f"http://{socket.gethostname()}:{port}/"
        for host in (
            f"{socket.gethostname()}:{port}",
            f"192.168.1.20:{port}",
            f"localhost:{port}",
            "[fe80::1]",
        ):
            assert ask(page, Host=host, **bearer).status == 200, host
        assert ask(page, Host=f"evil.example:{port}", **bearer).status == 421
        assert ask(page, Host=f"127.0.0.1:{port}").status == 401
