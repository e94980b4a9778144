"""When a node is polled."""

from __future__ import annotations

import asyncio

from swarmrace.clock import Clock


class Ticks:
    """Ticks at a fixed interval, however long each poll takes.

    Args:
        clock: measures it.
        seconds: the interval.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._step_ns = clock, round(seconds * 1e9)
        self._next_ns: int | None = None

    async def wait(self) -> None:
        """Return at the next tick, the first time at once; skip ticks that a slow answer missed."""
        now_ns = self._clock.now_ns()
        if self._next_ns is None:
            self._next_ns = now_ns
            return
        self._next_ns += max(1, -(-(now_ns - self._next_ns) // self._step_ns)) * self._step_ns
        await asyncio.sleep((self._next_ns - now_ns) / 1e9)
