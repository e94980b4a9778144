"""Connected peers over time: how many connections a system had, from the start to the run's end.

A system's own count is read twice a second and kept when it has changed. It costs some microseconds
a second, and shows a swarm that fell apart or never came together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from swarmrace.clock import Clock
from swarmrace.recording.records import Connected

LOOK_SECONDS = 0.5
"""How often the count is read."""
MANY = 1_000
"""After so many changes the count is read half as often, again and again: a record stays small."""


class ConnectionSeries:
    """The series of one peer in one run.

    Args:
        clock: stamps the readings.
        start_ns: the common start on that clock; every reading counts from it.
        count: returns the connections open now, or None where that is not known.
    """

    def __init__(self, clock: Clock, start_ns: int, count: Callable[[], int | None]) -> None:
        self._clock = clock
        self._start_ns = start_ns
        self._count = count
        self.changes: list[Connected] = []

    def look(self) -> None:
        """Read the count, and keep it if it differs from the last one. Of the readings before the
        start the last one counts, as that of the start."""
        count = self._count()
        if count is None or (self.changes and self.changes[-1].connections == count):
            return
        seconds = max(0, self._clock.now_ns() - self._start_ns) / 1e9
        if self.changes and not seconds:
            self.changes.pop()
        self.changes.append(Connected(seconds=seconds, connections=count))

    async def follow(self) -> None:
        """Read the count at once and then twice a second, until it is cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS * 2 ** (len(self.changes) // MANY))
