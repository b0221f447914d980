"""A real Chromium without a window, driven over its own debugging protocol by a few lines."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The first start, and any answer, on a busy machine.
START_S = WITHIN_S = 60.0


def found() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Tab:
    """One page; what its scripts complain about, and what it asks the network for, is kept."""

    def __init__(self, stream: ClientConnection) -> None:
        self._stream = stream
        self._last = 0
        self.complaints: list[str] = []
        self.asked: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        self._stream.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._stream.recv(timeout=WITHIN_S))
            if said.get("id") == self._last:
                assert "error" not in said, said["error"]
                return said["result"]
            self._note(said)

    def _note(self, said: dict[str, Any]) -> None:
        event, what = said.get("method"), said.get("params", {})
        if event == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"]["exception"].get("description", ""))
        elif event == "Log.entryAdded" and what["entry"]["source"] != "network":
            self.complaints.append(what["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.asked.append(what["request"]["url"])

    def open(
        self, url: str, *, width: int = 1200, height: int = 1000, scheme: str = "light"
    ) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def value(self, script: str) -> Any:
        """What an expression is in the page."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, script: str, within_s: float = WITHIN_S) -> Any:
        """Until an expression is true of the page; what it is then."""
        end = time.monotonic() + within_s
        while not (value := self.value(script)):
            assert time.monotonic() < end, (
                f"never true: {script}\n{self.value('document.body.innerText')}"
            )
            time.sleep(0.05)
        return value

    def text(self, selector: str) -> str:
        return self.value(f"document.querySelector({json.dumps(selector)}).innerText")

    def screenshot(self, path: Path) -> None:
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call(
            "Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True
        )
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def chromium(path: str, profile: Path) -> Iterator[Tab]:
    command = [
        path,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        # It would look for updates and the like.
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            with connect(
                _tab_address(profile / "DevToolsActivePort", browser), max_size=None
            ) as stream:
                yield Tab(stream)
        finally:
            browser.terminate()
            browser.wait(timeout=WITHIN_S)


def _tab_address(said_in: Path, browser: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end and browser.poll() is None:
        if said_in.exists() and "\n" in (said := said_in.read_text()):
            port = said.split()[0]
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/json/list", timeout=WITHIN_S
            ) as answer:
                tabs = json.load(answer)
            return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        time.sleep(0.1)
    raise RuntimeError("Chromium did not start")
