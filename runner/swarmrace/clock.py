"""Clocks: one host's monotonic clock for every duration, and its offset to the rendezvous.

No duration in swarmrace is a difference between two hosts' clocks. The offset estimated here has
one purpose: peers on several hosts begin at a common instant. Each peer then counts from its own
stamp, and the difference between that stamp and the instant is recorded as `startLag`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """A peer's clock. Times are integer nanoseconds of one monotonic clock."""

    def now_ns(self) -> int:
        """Return the monotonic time."""
        ...

    async def sleep_until(self, instant_ns: int) -> None:
        """Return at or just after `instant_ns`."""
        ...


class SystemClock:
    """CLOCK_MONOTONIC of this host."""

    spin_ns = 1_500_000
    """How long before the instant the loop's sleep ends: it wakes up to a millisecond late, so one
    short blocking sleep covers the rest."""

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    async def sleep_until(self, instant_ns: int) -> None:
        """Sleep in the event loop, then block for the last 1.5 ms to wake on time.

        The loop gets at least one turn, so that many short sleeps in a row don't starve it.
        """
        remaining_ns = instant_ns - self.now_ns() - self.spin_ns
        await asyncio.sleep(max(0, remaining_ns) / 1e9)
        remaining_ns = instant_ns - self.now_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / 1e9)


class VirtualClock:
    """A clock that advances only by `sleep_until`, so results computed on it are exact.

    Args:
        start_ns: first reading. Tests give each peer another one, so that code that subtracts two
            hosts' clocks fails.
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return the virtual time."""
        return self._now_ns

    async def sleep_until(self, instant_ns: int) -> None:
        """Jump to `instant_ns` (never backwards) and let other tasks run."""
        self._now_ns = max(self._now_ns, instant_ns)
        await asyncio.sleep(0)


async def sleep(clock: Clock, seconds: float) -> None:
    """Sleep `seconds` on `clock`."""
    await clock.sleep_until(clock.now_ns() + round(seconds * 1e9))


@dataclass(frozen=True, slots=True)
class Offset:
    """Another clock's offset from ours: `theirs = ours + offset_ns`, within ± `error_ns`."""

    offset_ns: int
    error_ns: int

    def to_ours(self, theirs_ns: int) -> int:
        """Convert an instant of the other clock to ours."""
        return theirs_ns - self.offset_ns


async def estimate_offset(
    clock: Clock, ask: Callable[[], Awaitable[int]], samples: int = 8
) -> Offset:
    """Estimate another clock's offset from the exchange with the shortest round trip.

    The method is NTP's clock filter (RFC 5905, section 10) reduced to its minimum-delay rule.

    Args:
        clock: our clock.
        ask: returns the other clock's reading in nanoseconds.
        samples: number of exchanges.

    Raises:
        ValueError: fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"found {samples} samples, expected at least 1")
    best: Offset | None = None
    for _ in range(samples):
        sent_ns = clock.now_ns()
        theirs_ns = await ask()
        received_ns = clock.now_ns()
        error_ns = (received_ns - sent_ns + 1) // 2
        if best is None or error_ns < best.error_ns:
            best = Offset(theirs_ns - (sent_ns + received_ns) // 2, error_ns)
    assert best is not None
    return best
