"""Staying until a scraper has all: two complete answers, 5 s apart, after the last run's end.

One scrape could be the one that a database drops or a query's window misses; two a few seconds
apart hold every final value as a series that has stood still.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

APART_SECONDS = 5.0


class Linger:
    """Hears of every complete answer; `wait` returns when one scraper has had two.

    All calls belong to one event loop's thread.

    Args:
        now: monotonic seconds, the same clock that `answered` is given.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: float | None = None
        self._first: dict[str, float] = {}
        self._enough = asyncio.Event()

    def answered(self, client: str, began: float) -> None:
        """Note that `client` has received the whole answer to a request that began at `began`.

        A request that began before the last run's end does not count: it may lack the end.
        """
        if self._since is None or began < self._since:
            return
        first = self._first.setdefault(client, began)
        if began - first >= APART_SECONDS:
            self._enough.set()

    async def wait(self, seconds: float) -> bool:
        """Wait, at most `seconds` from now, and return whether a scraper has all."""
        self._since = self._now()
        try:
            async with asyncio.timeout(seconds):
                await self._enough.wait()
        except TimeoutError:
            return False
        return True
