"""The pictures of the pages, taken by a real Chromium: the report of the demo,
and the live page of the same person.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from PIL import Image
from tests.live.chromium import NAMES, Tab, chromium, found

from emodict.engine import open_engine
from emodict.engine.manifest import Manifest
from emodict.live.page import PageListener, page_address
from emodict.live.replay import ReplaySource
from emodict.live.row import LiveRow
from emodict.live.run import run_live
from emodict.recording.session import open_session
from emodict.results.console import clock

WIDTH = 1100
# Until 3:45 of the stranger: in the minute before one trial has ended, another begun,
# and face and PPG have failed.
LIVE_SECONDS = 226
MEASURES = (
    "[...document.querySelectorAll('.measures div')].map((d) "
    "=> [...d.children].map((c) => c.innerText))"
)
# The weights and the table of the report are left out: they are for a closer look.
END_OF_QUALITY = "document.querySelector('figure.quality').getBoundingClientRect().bottom + 28"


def require_chromium() -> str:
    """The path of a Chromium.

    Raises:
        SystemExit: there is none; what to install.
    """
    path = found()
    if path is None:
        raise SystemExit(
            f"make pages takes its pictures with Chromium, and there is none. "
            f"Expected one of {', '.join(NAMES)}. "
            "Install it: apt-get install chromium."
        )
    return path


@contextmanager
def browser() -> Iterator[Tab]:
    with (
        tempfile.TemporaryDirectory() as profile,
        chromium(require_chromium(), Path(profile)) as tab,
    ):
        tab.call("Emulation.setScrollbarsHidden", hidden=True)
        tab.call("Emulation.setTimezoneOverride", timezoneId="UTC")
        yield tab


def picture_of_report(tab: Tab, report: Path) -> tuple[bytes, dict[str, str]]:
    """(PNG of a report down to the quality of its signals, the measures as they are drawn)."""
    tab.open(report.resolve().as_uri(), width=WIDTH)
    measures = {re.sub(r"\W", "", name).lower(): value for name, value, *_ in tab.value(MEASURES)}
    return _screenshot(tab, height=math.ceil(tab.value(END_OF_QUALITY))), measures


def picture_of_live_page(tab: Tab, model: Path, session: Path) -> bytes:
    """PNG of the live page in a replay of the session, at the recording's own time of day."""
    with (
        PageListener(page_address("127.0.0.1:0"), model=model.name) as page,
        open_engine(model) as engine,
        ReplaySource(session, engine.manifest.features, speed=math.inf) as source,
    ):
        tab.open(page.url, width=WIDTH + 100)
        listener = _OwnTime(page, session)
        run_live(engine, source, [listener], seconds=LIVE_SECONDS)
        tab.wait(
            f"document.querySelector('#when').innerText.startsWith('{clock(listener.last_s)} ')"
        )
        # Bars move to their length.
        tab.wait("document.getAnimations().length === 0")
        return _screenshot(tab)


class _OwnTime:
    """Hands each row on as if it came when it was recorded:
    the pictures of two runs are the same.
    """

    def __init__(self, page: PageListener, session: Path) -> None:
        self._page = page
        with open_session(session) as recording:
            self._start_unix_s = datetime.fromisoformat(recording.start_time).timestamp()
        self.last_s = 0.0

    def begin(self, manifest: Manifest, source: str) -> None:
        self._page.begin(manifest, source)

    def row(self, row: LiveRow) -> None:
        self.last_s = float(row.prediction.start_s[0])
        self._page.row(dataclasses.replace(row, unix_s=self._start_unix_s + self.last_s))


def _screenshot(tab: Tab, height: int | None = None) -> bytes:
    size = tab.call("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
    shot = tab.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
    return _small(base64.b64decode(shot["data"]))


def _small(png: bytes) -> bytes:
    """The same in 256 colours, a third of the bytes: the pages have few,
    and shades of them where text is smoothed.
    """
    small = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(small, "png", optimize=True)
    return small.getvalue()
