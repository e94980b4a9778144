"""What a swarm in one process needs: addresses, a board in memory, runs."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from swarmrace.network import namespaces
from swarmrace.network.rtnetlink import Rtnetlink
from swarmrace.systems.run import Run

T = TypeVar("T")
LOOPBACK, OWN = 127, 10
first_octet: ContextVar[int] = ContextVar("first_octet", default=LOOPBACK)
"""First octet of every new address: `OWN` in a check with its own network namespace."""
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_numbers = itertools.count()


class MemoryBoard:
    """The rendezvous' board, for peers in one event loop."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._posted: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def put(self, key: str, value: Any) -> None:
        """Post a JSON value."""
        self._values[key] = value
        self._posted[key].set()

    async def get(self, key: str) -> Any:
        """Return a value; wait until it is posted."""
        await self._posted[key].wait()
        return self._values[key]

    def clear(self) -> None:
        """Begin another run: keys belong to one run."""
        self._values.clear()
        self._posted.clear()


def new_address() -> str:
    """Return a local address that no other peer of this process has, and none of another
    pytest-xdist worker."""
    number = next(_numbers)
    return f"{first_octet.get()}.{100 + _WORKER}.{number // 250}.{1 + number % 250}"


def make_run(
    size_bytes: int = 1_000_000,
    *,
    seeders: tuple[int, ...] = (0,),
    index: int = 0,
    repetition: int = 0,
    entrant: str = "entrant",
    payload_seed: str = "a seed",
) -> Run:
    """Return a run; peers that aren't seeders leech."""
    return Run(
        index=index,
        id=f"{index:03d}-{entrant}",
        entrant=entrant,
        repetition=repetition,
        seeders=seeders,
        payload_seed=payload_seed,
        size_bytes=size_bytes,
    )


def in_own_network(function: Callable[[], T]) -> T:
    """Call a function in a thread with its own network namespace, whose new addresses aren't
    loopback addresses: some programs connect to no peer at those.

    Raises:
        ConditionError: namespaces are not permitted here.
    """

    def inside() -> T:
        with Rtnetlink() as links:
            links.bring_up("lo")
            links.add_local_route("lo", f"{OWN}.0.0.0/8")
        first_octet.set(OWN)
        return function()

    return namespaces.call_in_scratch(inside)
