"""The board of a run, its references, and the leases for measuring rates.

All of it is in memory: it serves only the run in flight, which doesn't survive a restart.
"""

from __future__ import annotations

import asyncio
from typing import Any

_LEASE_SECONDS = 60.0
_MAX_KEYS = 10_000


class Boards:
    """What is posted for the latest run. A new run clears it."""

    def __init__(self) -> None:
        self._run_id: str | None = None
        self._references: dict[int, Any] = {}
        self._values: dict[str, Any] = {}
        self._wakers: set[asyncio.Future[None]] = set()

    def put_reference(self, run_id: str, rank: int, reference: Any) -> None:
        """Post the reference of the seeder of that rank; posting again replaces it."""
        self._switch_to(run_id)
        self._references[rank] = reference

    def references(self, run_id: str) -> list[Any]:
        """Return the references posted so far, in rank order."""
        if run_id != self._run_id:
            return []
        return [self._references[rank] for rank in sorted(self._references)]

    def put(self, run_id: str, key: str, value: Any) -> None:
        """Post a value; posting again replaces it."""
        self._switch_to(run_id)
        if len(self._values) < _MAX_KEYS or key in self._values:
            self._values[key] = value
        self._wake()

    async def get(self, run_id: str, key: str, seconds: float) -> list[Any]:
        """Return `[value]`, or `[]` if it isn't posted within `seconds`."""
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

    def _switch_to(self, run_id: str) -> None:
        if run_id != self._run_id:
            self._run_id, self._references, self._values = run_id, {}, {}
            self._wake()

    def _wake(self) -> None:
        for waker in self._wakers:
            if not waker.done():
                waker.set_result(None)


class Leases:
    """A limited number of leases, each held for at most a minute.

    Args:
        places: how many can be held at a time.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._leases: dict[Any, float] = {}
        self._freed = asyncio.Event()

    async def take(self, holder: Any, seconds: float) -> bool:
        """Take a lease, waiting at most `seconds`; return whether it was granted. A holder's
        lease is renewed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            now = loop.time()
            self._leases = {key: end for key, end in self._leases.items() if end > now}
            if holder in self._leases or len(self._leases) < self._places:
                self._leases[holder] = now + _LEASE_SECONDS
                return True
            left = min(deadline, min(self._leases.values())) - now
            if deadline <= now:
                return False
            self._freed.clear()
            try:
                async with asyncio.timeout(max(left, 0.01)):
                    await self._freed.wait()
            except TimeoutError:
                continue

    def release(self, holder: Any) -> None:
        """Release a lease, if held."""
        self._leases.pop(holder, None)
        self._freed.set()
