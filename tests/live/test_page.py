"""The live page's rows: who comes is told the last minute, then every second,
and costs the run nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
pytest.importorskip("websockets", reason="the extra 'serve' is not installed")

from benchmarks.page import manifest, noise
from benchmarks.page_browsers import handshake
from tests.live.asking import (
    PATIENCE_S,
    ask,
    end_of,
    open_files,
    our_threads,
    port_of,
    rows_url,
    soon,
    told,
)
from websockets.sync.client import connect

from emodict.errors import MissingDependencyError, PageError
from emodict.live.page import PageListener, connection, page_address, protocols
from emodict.live.page.hub import KEPT_ROWS, LOOK_S, Hub


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def page() -> Iterator[Any]:
    with PageListener(page_address("127.0.0.1:0"), model="model.onnx") as served:
        served.begin(manifest(), "LSL")
        yield served


def is_silent(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> bool:
    """Warnings go to a terminal, too, where nobody has set up logging."""
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return capfd.readouterr() == ("", "") and loud == []


def starts(news: dict[str, Any]) -> list[float]:
    return [one["start_s"] for one in (*news["past"], news["now"])]


def test_who_comes_is_told_who_runs_and_the_last_minute_then_every_second(
    page: PageListener, rng: np.random.Generator
) -> None:
    for number in range(KEPT_ROWS + 7):
        page.row(noise(number, rng))
    with connect(rows_url(page)) as stream:
        first = told(stream)
        assert first["hello"]["model"] == "model.onnx"
        assert first["hello"]["source"] == "LSL"
        assert first["hello"]["features"] == "emodict-1"
        assert first["hello"]["emotions"][0] == "Inspired"
        assert len(set(first["hello"]["colours"])) == 10
        assert starts(first) == list(range(7, KEPT_ROWS + 7))
        page.row(noise(90, rng))
        second = told(stream)
    assert "hello" not in second
    assert starts(second) == [90]


def test_a_model_of_simulated_people_is_marked_beside_a_person_of_flesh(
    page: PageListener, rng: np.random.Generator
) -> None:
    row = noise(15, rng)
    shown = {
        "simulated": False,
        "model_simulated": True,
        "doubts": ("eeg: its spread is 1e-05 uV",),
    }
    page.row(dataclasses.replace(row, prediction=dataclasses.replace(row.prediction, **shown)))
    with connect(rows_url(page)) as stream:
        now = told(stream)["now"]
    assert now["simulated"] == ["a model of SIMULATED people"]
    assert now["doubts"] == ["eeg: its spread is 1e-05 uV"]


def test_a_row_arrives_as_it_was(page: PageListener, rng: np.random.Generator) -> None:
    row = noise(15, rng)
    page.row(row)
    with connect(rows_url(page)) as stream:
        now = told(stream)["now"]
    rounding = 0.6e-5  # five digits
    np.testing.assert_allclose(now["answer"], row.prediction.distribution[0], atol=rounding)
    np.testing.assert_allclose(now["weights"], row.prediction.weights[0], atol=rounding)
    assert now["simulated"] == ["a SIMULATED person"]
    assert now["unix_s"] == pytest.approx(row.unix_s, abs=1e-3)
    assert [(s["modality"], s["state"], s["valid"]) for s in now["sensors"]] == [
        ("eeg", "live", True),
        ("gsr", "live", True),
        ("ppg", "live", True),
        ("video", "stalled", False),
    ]
    assert now["sensors"][0]["device"] == "device of eeg"
    assert now["sensors"][0]["rate_hz"] == 100


def test_a_row_without_an_answer_has_none_and_no_number_stands_in_its_place(
    page: PageListener, rng: np.random.Generator
) -> None:
    page.row(noise(0, rng))
    row = noise(1, rng, answered=False)
    sensors = (
        dataclasses.replace(row.sensors[0], quality=float("nan"), rate_hz=float("nan")),
        *row.sensors[1:],
    )
    page.row(dataclasses.replace(row, sensors=sensors))
    with connect(rows_url(page)) as stream:
        news = told(stream)
    assert news["past"][0]["answer"] is not None
    assert (news["now"]["answer"], news["now"]["weights"]) == (None, None)
    assert (news["now"]["sensors"][0]["quality"], news["now"]["sensors"][0]["rate_hz"]) == (
        None,
        None,
    )


def test_a_row_is_copied_so_that_the_engine_may_use_its_memory_again(
    page: PageListener, rng: np.random.Generator
) -> None:
    row = noise(0, rng)
    was = row.prediction.distribution[0].copy()
    page.row(row)
    row.prediction.distribution[:] = 0.5
    with connect(rows_url(page)) as stream:
        np.testing.assert_allclose(told(stream)["now"]["answer"], was, atol=0.6e-5)


def test_rows_faster_than_eyes_come_together_and_none_is_missing(
    page: PageListener, rng: np.random.Generator
) -> None:
    with connect(rows_url(page)) as stream:
        told(stream)
        came, messages = [], 0
        began = time.monotonic()
        for number in range(200):
            page.row(noise(number, rng))
            time.sleep(0.002)
        took_s = time.monotonic() - began
        while len(came) < 200:
            came += starts(told(stream))
            messages += 1
    assert came == list(range(200))
    assert messages <= took_s / LOOK_S + 2  # one at the start, one at the end


def test_a_browser_that_was_away_for_longer_is_told_a_minute_and_no_more(
    page: PageListener, rng: np.random.Generator
) -> None:
    with connect(rows_url(page)) as stream:
        told(stream)
        for number in range(1000):
            page.row(noise(number, rng))
        most = 0
        while True:
            news = told(stream)
            most = max(most, len(starts(news)))
            if news["now"]["start_s"] == 999:
                break
    assert most <= KEPT_ROWS


def test_a_run_that_begins_again_tells_everybody_and_forgets_the_rows_of_the_one_before(
    page: PageListener, rng: np.random.Generator
) -> None:
    page.row(noise(0, rng))
    with connect(rows_url(page)) as stream:
        told(stream)
        page.begin(manifest(), "replay of sub-01.h5")
        again = told(stream)
    assert again["hello"]["source"] == "replay of sub-01.h5"
    assert "now" not in again


def test_who_comes_before_the_run_begins_waits() -> None:
    with PageListener(page_address("127.0.0.1:0")) as early, connect(rows_url(early)) as stream:
        with pytest.raises(TimeoutError):
            stream.recv(timeout=0.3)
        early.begin(manifest(), "LSL")
        assert told(stream)["hello"]["source"] == "LSL"


def test_a_page_that_talks_is_shown_out(page: PageListener) -> None:
    with connect(rows_url(page)) as stream:
        told(stream)
        stream.send("hello")
        assert soon(lambda: not page._hub.browsers)
    assert stream.close_code == 1008


def never_reads(page: PageListener) -> Any:
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    plain.connect(("127.0.0.1", port_of(page)))
    plain.sendall(handshake(port_of(page)))
    return plain


def test_a_browser_that_never_reads_holds_no_row_up_and_is_dropped(
    page: PageListener, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "SEND_S", 0.5)
    for number in range(KEPT_ROWS):
        page.row(noise(number, rng))
    before = open_files()
    with never_reads(page) as deaf, connect(rows_url(page)) as stream:
        assert soon(lambda: len(page._hub.browsers) == 2)
        told(stream)
        for number in range(400):
            page.row(noise(100 + number, rng))
            time.sleep(0.01)
            if len(page._hub.browsers) == 1:
                break
        assert soon(lambda: len(page._hub.browsers) == 1)
        page.row(noise(1000, rng))
        while told(stream)["now"]["start_s"] != 1000:
            pass
        assert end_of(deaf) in ("cut", "closed")
    assert soon(lambda: open_files() <= before)


def test_a_browser_that_answers_no_ping_is_taken_for_gone_and_nobody_hears_of_it(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(connection, "PING_S", 0.2)
    with PageListener(page_address("127.0.0.1:0")) as page, never_reads(page) as mute:
        page.begin(manifest(), "LSL")
        assert soon(lambda: len(page._hub.browsers) == 1)
        for number in range(200):
            page.row(noise(number, rng))
            time.sleep(0.01)
            if not page._hub.browsers:
                break
        assert soon(lambda: not page._hub.browsers)
        assert end_of(mute) in ("cut", "closed")
    assert is_silent(capfd, caplog)


def test_a_row_for_a_browser_that_was_given_up_at_that_moment_is_no_error(
    page: PageListener,
    rng: np.random.Generator,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with connect(rows_url(page)) as stream:
        told(stream)
        (served,) = page._server.server_state.connections
        (browser,) = page._hub.browsers

        def at_that_moment() -> None:
            # The row wakes who sends it, and only then is the connection closed:
            # one turn of the loop too late.
            page.row(noise(0, rng))
            browser.news.set()
            served.pending_ping_payload = b"never answered"
            served.keepalive_timeout()

        served.loop.call_soon_threadsafe(at_that_moment)
        assert soon(lambda: not page._hub.browsers)
    assert is_silent(capfd, caplog)


def test_a_flood_of_pings_whose_answers_nobody_reads_is_cut_off(page: PageListener) -> None:
    ping = b"\x89\xfd\0\0\0\0" + bytes(125)
    with never_reads(page) as flood:
        assert soon(lambda: len(page._hub.browsers) == 1)
        flood.settimeout(PATIENCE_S)
        with pytest.raises(ConnectionError):
            flood.sendall(400_000 * ping)
    assert soon(lambda: not page._hub.browsers)


def test_a_request_that_is_never_finished_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "REQUEST_S", 0.3)
    with (
        PageListener(page_address("127.0.0.1:0")) as page,
        socket.create_connection(("127.0.0.1", port_of(page))) as slow,
        connect(rows_url(page)) as stream,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert end_of(slow) in ("cut", "closed")
        # Nobody else's ends with it.
        page.begin(manifest(), "LSL")
        assert "hello" in told(stream)


def test_connections_beyond_the_bound_are_closed_and_those_within_live(
    page: PageListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "MAX_CONNECTIONS", 8)
    with connect(rows_url(page)) as stream:
        told(stream)
        crowd = [socket.create_connection(("127.0.0.1", port_of(page))) for _ in range(30)]
        for one in crowd:
            one.setblocking(False)
        # A connection that was ended can be read: there is an end to read.
        assert soon(lambda: len(select.select(crowd, [], [], 0)[0]) >= 30 - 7)
        closed = len(select.select(crowd, [], [], 0.3)[0])
        for one in crowd:
            one.close()
        assert closed == 30 - 7
        assert soon(lambda: ask(page).status == 200)


def test_it_ends_soon_whoever_is_there_and_leaves_nothing_behind(rng: np.random.Generator) -> None:
    before = open_files()
    with contextlib.ExitStack() as readers, PageListener(page_address("127.0.0.1:0")) as page:
        page.begin(manifest(), "LSL")
        for number in range(KEPT_ROWS):
            page.row(noise(number, rng))
        port = port_of(page)
        half = socket.create_connection(("127.0.0.1", port))
        half.sendall(b"GET / HT")
        idle = socket.create_connection(("127.0.0.1", port))
        deaf = [never_reads(page) for _ in range(3)]
        for _ in range(3):
            readers.enter_context(connect(rows_url(page), close_timeout=0.2))
        assert soon(lambda: len(page._hub.browsers) == 6)
        for number in range(200):
            page.row(noise(number, rng))
            time.sleep(0.005)
        ending = time.monotonic()
        page.__exit__()
        # Within a second on a machine at rest;
        # who waits for a browser that never reads waits for 10 s (SEND_S).
        assert time.monotonic() - ending < 5.0
        assert our_threads() == []
    for one in (half, idle, *deaf):
        one.close()
    assert soon(lambda: open_files() <= before)
    # Rows after the end go nowhere, and hurt nobody.
    page.row(noise(0, rng))
    with PageListener(page_address(f"127.0.0.1:{port}")) as again:
        assert ask(again).status == 200


def test_the_terminal_stays_clean(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, rng: np.random.Generator
) -> None:
    with PageListener(page_address("127.0.0.1:0"), token="0123456789abcdef") as page:
        page.begin(manifest(), "LSL")
        ask(page, "/?token=wrong")
        ask(page, "/nothing")
        ask(page, "/rows", Upgrade="websocket", Connection="Upgrade")
        for rubbish in (b"\x16\x03\x01\x02\0\x01\0\x01", b"GET\r\n\r\n", bytes(70_000)):
            with socket.create_connection(("127.0.0.1", port_of(page))) as plain:
                plain.sendall(rubbish)
                plain.shutdown(socket.SHUT_WR)
                assert end_of(plain) in ("cut", "closed")
        page.row(noise(0, rng))
    assert is_silent(capfd, caplog)


def test_a_fault_of_the_page_is_a_sentence_at_the_terminal(
    page: PageListener,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(self: Any) -> None:
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr(Hub, "full", property(broken))
    assert ask(page, "/knock").status == 500
    (said,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.getMessage().endswith(
        "at /knock: a fault in emodict itself: ZeroDivisionError: of the test"
    )
    assert not said.exc_info
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_port_in_use_is_a_sentence_that_names_another(page: PageListener) -> None:
    port = port_of(page)
    second = PageListener(page_address(f"127.0.0.1:{port}"))
    with pytest.raises(
        PageError, match=f"another program uses that port. Choose another, such as .*:{port + 1}"
    ):
        second.__enter__()
    assert PageError.exit_code == 2
    assert our_threads() == ["emodict page"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no-such-host.invalid:80", "there is no such host"),
        ("127.0.0.1:99999", "cannot be read.*'127.0.0.1:99999'"),
        ("127.0.0.1:http", "cannot be read.*For this machine only: --serve 127.0.0.1:8765"),
        ("::1:8765", "IPv6 address in brackets"),
        ("a b:1", "no such host"),
        (f"{'x' * 70}.de", "no such host"),
    ],
)
def test_an_address_that_is_none_is_a_sentence(text: str, says: str) -> None:
    with pytest.raises(PageError, match=says):
        page_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("", "127.0.0.1", 8765), ("9000", "127.0.0.1", 9000), (":9000", "127.0.0.1", 9000),
     ("localhost", "localhost", 8765), ("0.0.0.0:80", "0.0.0.0", 80),
     ("[::1]:9000", "::1", 9000), ("[::1]", "::1", 8765)],
)  # fmt: skip
def test_an_address_may_leave_out_what_is_usual(text: str, host: str, port: int) -> None:
    address = page_address(text)
    assert (address.host, address.port) == (host, port)


def test_an_address_of_another_machine_is_a_sentence() -> None:
    # 192.0.2.0/24 is kept for documentation: no machine has one.
    elsewhere = PageListener(page_address("192.0.2.1:8765"), token="0123456789abcdef")
    with pytest.raises(PageError, match="not an address of this machine"):
        elsewhere.__enter__()


def test_it_is_served_over_ipv6_too(rng: np.random.Generator) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with PageListener(page_address("[::1]:0")) as page:
        assert page.url.startswith("http://[::1]:")
        page.begin(manifest(), "LSL")
        with connect(rows_url(page)) as stream:
            assert "hello" in told(stream)


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets"])
def test_a_missing_package_is_a_sentence_before_anything_is_served(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingDependencyError,
        match=rf"'{package}', which is not installed. pip install .*\[serve\]",
    ):
        PageListener(page_address())


def test_the_page_costs_a_run_without_it_nothing() -> None:
    code = (
        "import sys, emodict.live.page; print([m for m in ('starlette', 'uvicorn', "
        "'websockets', 'anyio') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_rows_may_come_from_any_thread_while_browsers_come_and_go(
    page: PageListener, rng: np.random.Generator
) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            with connect(rows_url(page)) as stream:
                told(stream)

    visitors = [threading.Thread(target=come_and_go) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for number in range(500):
        page.row(noise(number, rng))
        time.sleep(0.002)
    stop.set()
    for visitor in visitors:
        visitor.join(PATIENCE_S)
    with connect(rows_url(page)) as stream:
        assert json.loads(stream.recv(timeout=PATIENCE_S))["now"]["start_s"] == 499
    assert soon(lambda: not page._hub.browsers)
