"""Clocks: one host's monotonic clock for every duration, and its offset to the rendezvous.

No duration in swarmrace is a difference of two hosts' clocks. The offset estimated here serves
one purpose: to let peers on several hosts begin at a common instant. Each then counts from its
own stamp, and how far that stamp lay from the instant is recorded as `startLag`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """What a peer needs of a clock. Times are integer nanoseconds of one monotonic clock."""

    def now_ns(self) -> int:
        """Return the monotonic time."""
        ...

    async def sleep_until(self, instant_ns: int) -> None:
        """Return at or just after `instant_ns`."""
        ...


class SystemClock:
    """CLOCK_MONOTONIC of this host."""

    spin_ns = 1_500_000
    """The event loop wakes late by up to a millisecond; the rest is slept in one short call."""

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    async def sleep_until(self, instant_ns: int) -> None:
        """Sleep in the event loop, then block for the last 1.5 ms so as to wake exactly.

        The loop gets at least one turn, so that a row of short sleeps doesn't starve it.
        """
        remaining_ns = instant_ns - self.now_ns() - self.spin_ns
        await asyncio.sleep(max(0, remaining_ns) / 1e9)
        remaining_ns = instant_ns - self.now_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / 1e9)


class VirtualClock:
    """A clock that stands still until slept on: results computed on it are exact.

    Args:
        start_ns: first reading; differs from peer to peer in tests, so that a subtraction of
            two hosts' clocks anywhere in the chain would show.
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
    """How another clock relates to ours: `theirs = ours + offset_ns`, within ± `error_ns`."""

    offset_ns: int
    error_ns: int

    def to_ours(self, theirs_ns: int) -> int:
        """Convert an instant of the other clock into ours."""
        return theirs_ns - self.offset_ns


async def estimate_offset(
    clock: Clock, ask: Callable[[], Awaitable[int]], samples: int = 8
) -> Offset:
    """Estimate another clock's offset, by the exchange with the shortest round trip.

    The method is NTP's clock filter (RFC 5905, section 10) reduced to its minimum-delay rule.

    Args:
        clock: our clock.
        ask: returns the other clock's reading in nanoseconds.
        samples: exchanges to make; the one with the least delay counts.

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
