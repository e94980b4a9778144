"""The board of each run, the references on it, and the places for measuring rates. In memory: a
run in flight does not survive a restart, and what is posted serves only it."""

from __future__ import annotations

import asyncio
from typing import Any

_LEASE_SECONDS = 60.0
_MOST_KEYS = 10_000


class Boards:
    """What is posted, by run. Only the latest run's is kept."""

    def __init__(self) -> None:
        self._run_id: str | None = None
        self._references: dict[int, Any] = {}
        self._values: dict[str, Any] = {}
        self._wakers: set[asyncio.Future[None]] = set()

    def put_reference(self, run_id: str, rank: int, reference: Any) -> None:
        """Post the reference of the seeder of that rank; posting again replaces it."""
        self._turn_to(run_id)
        self._references[rank] = reference

    def references(self, run_id: str) -> list[Any]:
        """Return the references posted so far, in rank order."""
        if run_id != self._run_id:
            return []
        return [self._references[rank] for rank in sorted(self._references)]

    def put(self, run_id: str, key: str, value: Any) -> None:
        """Post a value; posting again replaces it."""
        self._turn_to(run_id)
        if len(self._values) < _MOST_KEYS or key in self._values:
            self._values[key] = value
        self._wake()

    async def get(self, run_id: str, key: str, seconds: float) -> list[Any]:
        """Return `[value]`, waiting `seconds` at most for it to be posted, or `[]`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            if run_id == self._run_id and key in self._values:
                return [self._values[key]]
            left = deadline - loop.time()
            if left <= 0:
                return []
            waker = loop.create_future()
            self._wakers.add(waker)
            try:
                async with asyncio.timeout(left):
                    await waker
            except TimeoutError:
                return []
            finally:
                self._wakers.discard(waker)

    def _turn_to(self, run_id: str) -> None:
        if run_id != self._run_id:
            self._run_id, self._references, self._values = run_id, {}, {}
            self._wake()

    def _wake(self) -> None:
        for waker in self._wakers:
            if not waker.done():
                waker.set_result(None)


class Leases:
    """A few places, each held for a minute at most.

    Args:
        places: how many may hold one at a time.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._held: dict[Any, float] = {}
        self._freed = asyncio.Event()

    async def take(self, holder: Any, seconds: float) -> bool:
        """Take a place, waiting `seconds` at most for one. Who holds one keeps it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            now = loop.time()
            self._held = {who: until for who, until in self._held.items() if until > now}
            if holder in self._held or len(self._held) < self._places:
                self._held[holder] = now + _LEASE_SECONDS
                return True
            left = min(deadline, min(self._held.values())) - now
            if deadline <= now:
                return False
            self._freed.clear()
            try:
                async with asyncio.timeout(max(left, 0.01)):
                    await self._freed.wait()
            except TimeoutError:
                continue

    def give_back(self, holder: Any) -> None:
        """Give a place back, if held."""
        self._held.pop(holder, None)
        self._freed.set()
