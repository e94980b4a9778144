"""Waits until a scraper has the final values: two complete answers, 5 s apart, after the last run.

A database may drop a single scrape, or a query's window may miss it. Two scrapes a few seconds
apart hold each final value as a constant series.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

APART_SECONDS = 5.0


class Linger:
    """Waits until one scraper has had two complete answers.

    All methods must be called in the event loop's thread.

    Args:
        now: returns monotonic seconds, on the same clock as `began` in `answered`.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: float | None = None
        self._first: dict[str, float] = {}
        self._enough = asyncio.Event()

    def answered(self, client: str, began: float) -> None:
        """Record that `client` has received a complete answer to a request that began at `began`.

        A request that began before the last run's end doesn't count: it may lack the final values.
        """
        if self._since is None or began < self._since:
            return
        first = self._first.setdefault(client, began)
        if began - first >= APART_SECONDS:
            self._enough.set()

    async def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether a scraper has the final values."""
        self._since = self._now()
        try:
            async with asyncio.timeout(seconds):
                await self._enough.wait()
        except TimeoutError:
            return False
        return True
