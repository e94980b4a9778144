"""Connected peers over time: how many connections a system had, from the start to the run's end.

A system's own count, which may be a second old, is read twice a second and recorded when it has
changed. That costs a few microseconds a second, and shows a swarm that fell apart or never came
together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from swarmrace.clock import Clock
from swarmrace.recording.records import Connected

READ_SECONDS = 0.5
"""How often the count is read."""
MANY = 1_000
"""After each further set of this many changes the count is read half as often, so that the record
stays small."""


class ConnectionSeries:
    """The series of one peer in one run.

    Args:
        clock: stamps the readings.
        start_ns: the common start on that clock; every reading counts from it.
        count: returns the number of open connections, or None if it isn't known.
    """

    def __init__(self, clock: Clock, start_ns: int, count: Callable[[], int | None]) -> None:
        self._clock = clock
        self._start_ns = start_ns
        self._count = count
        self.changes: list[Connected] = []

    def read(self) -> None:
        """Read the count, and record it if it differs from the last one. The last reading before
        the start counts as the start's."""
        count = self._count()
        if count is None or (self.changes and self.changes[-1].connections == count):
            return
        seconds = max(0, self._clock.now_ns() - self._start_ns) / 1e9
        if self.changes and not seconds:
            self.changes.pop()
        self.changes.append(Connected(seconds=seconds, connections=count))

    async def follow(self) -> None:
        """Read the count now and then twice a second, until cancelled."""
        while True:
            self.read()
            await asyncio.sleep(READ_SECONDS * 2 ** (len(self.changes) // MANY))
