"""Hands rows from the run's thread to browsers, at the pace of each,
without ever waiting for one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from emodict.live.page import wire

# The last minute: what a browser that comes, or was slow, is told.
KEPT_ROWS = 60
MAX_BROWSERS = 64
# How often it looks for news. A replay at full speed has hundreds of rows a second; eyes do not.
LOOK_S = 0.04


@dataclass(eq=False)
class Browser:
    """How far one browser has come: two numbers, whatever it has missed."""

    rows_seen: int = 0
    runs_seen: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        # To a newcomer all is news.
        self.news.set()


@dataclass(frozen=True)
class News:
    """All there is to tell; replaced as a whole, so that no thread ever waits for another.

    Attributes:
        rows: the last minute of the run.
        count: of all rows ever put.
        runs: how often a run began; `hello` is of the last one.
    """

    rows: tuple[dict[str, Any], ...] = ()
    count: int = 0
    hello: str | None = None
    runs: int = 0


class Hub:
    """A minute of rows, shared by all browsers.

    `say_hello` and `put` are for the run's thread and return at once;
    the rest belongs to the event loop.
    """

    def __init__(self) -> None:
        self.browsers: set[Browser] = set()
        self._news = News()
        self._visited = asyncio.Event()
        # Browsers that keep pace all get the same text.
        self._texts: dict[tuple[int, int, bool], str] = {}

    def say_hello(self, text: str) -> None:
        """A run begins: the rows of another one are no longer news."""
        self._news = News(hello=text, count=self._news.count, runs=self._news.runs + 1)

    def put(self, one: dict[str, Any]) -> None:
        """Keep a row, and wake nobody: a thread that is woken may take Python's lock,
        or the processor, from ours.
        """
        was = self._news
        rows = (*was.rows[-(KEPT_ROWS - 1) :], one)
        self._news = News(rows, was.count + 1, was.hello, was.runs)

    async def watch(self) -> None:
        """Look for news as long as there are browsers, and tell them."""
        told = self._news
        while True:
            await self._visited.wait()
            if self._news is not told:
                told = self._news
                self._texts.clear()
                for browser in self.browsers:
                    browser.news.set()
            await asyncio.sleep(LOOK_S)

    @contextlib.contextmanager
    def visit(self) -> Iterator[Browser]:
        """A browser, from its coming to its going."""
        browser = Browser()
        self.browsers.add(browser)
        self._visited.set()
        try:
            yield browser
        finally:
            self.browsers.discard(browser)
            if not self.browsers:
                self._visited.clear()

    @property
    def full(self) -> bool:
        """No place for another browser."""
        return len(self.browsers) >= MAX_BROWSERS

    async def next_message(self, browser: Browser) -> str:
        """All that is news to a browser, as soon as there is any; never more than a minute."""
        while True:
            await browser.news.wait()
            browser.news.clear()
            text = self._message(browser, self._news)
            if text is not None:
                return text

    def _message(self, browser: Browser, news: News) -> str | None:
        new_run = browser.runs_seen != news.runs
        missed = len(news.rows) if new_run else min(news.count - browser.rows_seen, len(news.rows))
        if not new_run and not missed:
            return None
        browser.rows_seen, browser.runs_seen = news.count, news.runs
        key = (news.count, missed, new_run)
        if key not in self._texts:
            self._texts[key] = wire.message(
                news.rows[len(news.rows) - missed :], news.hello if new_run else None
            )
        return self._texts[key]
