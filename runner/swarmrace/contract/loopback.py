"""What a swarm in one process needs around it: addresses, a board in memory, runs."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import defaultdict
from typing import Any

from swarmrace.systems.run import Run

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_numbers = itertools.count()


class MemoryBoard:
    """The rendezvous' board for peers of one event loop."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._posted: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def put(self, key: str, value: Any) -> None:
        """Post a JSON value."""
        self._values[key] = value
        self._posted[key].set()

    async def get(self, key: str) -> Any:
        """Return a posted value, waiting until it is there."""
        await self._posted[key].wait()
        return self._values[key]

    def clear(self) -> None:
        """Begin another run: keys are private to it."""
        self._values.clear()
        self._posted.clear()


def new_address() -> str:
    """Return a loopback address that no other peer of this process has, nor of another worker of
    pytest-xdist."""
    number = next(_numbers)
    return f"127.{100 + _WORKER}.{number // 250}.{1 + number % 250}"


def make_run(
    size_bytes: int = 1_000_000,
    *,
    seeders: tuple[int, ...] = (0,),
    index: int = 0,
    repetition: int = 0,
    entrant: str = "entrant",
    payload_seed: str = "a seed",
) -> Run:
    """Return a run; peers beyond the seeders leech."""
    return Run(
        index=index,
        id=f"{index:03d}-{entrant}",
        entrant=entrant,
        repetition=repetition,
        seeders=seeders,
        payload_seed=payload_seed,
        size_bytes=size_bytes,
    )
