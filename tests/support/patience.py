"""How long tests wait for what must happen, and how they measure on a machine that stalls.

No test judges how fast the machine is. A wait ends when its condition holds; its limit only ends a
test that has failed, so it is far above what a machine under heavy load takes. A figure that a
stall can spoil is measured again, a bounded number of times, until it holds.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from swarmrace.errors import ConditionError

T = TypeVar("T")
PATIENCE_SECONDS = 300.0
TRIES = 20


def wait_for(condition: Callable[[], Any], what: str, pause_seconds: float = 0.02) -> Any:
    """Poll `condition`; return its first true result."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:g} s for {what}"
        time.sleep(pause_seconds)
    return found


async def until(condition: Callable[[], Any], what: str = "a condition") -> Any:
    """Poll `condition` in the event loop; return its first true result."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:g} s for {what}"
        await asyncio.sleep(0.005)
    return found


def measured_until(measure: Callable[[], T], holds: Callable[[T], bool], tries: int = TRIES) -> T:
    """Measure until the figure holds, at most `tries` times; return the last figure.

    A wrong program gives a wrong figure every time, a stall of the machine only now and then.
    """
    found = measure()
    for _ in range(tries - 1):
        if holds(found):
            break
        found = measure()
    return found


def on_a_quiet_moment(measure: Callable[[], T], tries: int = TRIES) -> T:
    """Return what `measure` returns; repeat it while it refuses because other programs run."""
    for _ in range(tries - 1):
        try:
            return measure()
        except ConditionError as error:
            if "end what else is running" not in str(error):
                raise
    return measure()


class ForbearingClock:
    """CLOCK_MONOTONIC without the time in which this process didn't run: no reading is more than
    `most_seconds` after the one before. A watch that reads it at every tick takes no stall of the
    machine for a stall of the transfer."""

    def __init__(self, most_seconds: float = 0.2) -> None:
        self._most_ns = round(most_seconds * 1e9)
        self._read_ns = self._now_ns = time.monotonic_ns()
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        with self._lock:
            read_ns = time.monotonic_ns()
            self._now_ns += min(read_ns - self._read_ns, self._most_ns)
            self._read_ns = read_ns
            return self._now_ns

    async def sleep_until(self, instant_ns: int) -> None:
        while (left_ns := instant_ns - self.now_ns()) > 0:
            await asyncio.sleep(min(left_ns, self._most_ns) / 1e9)
        await asyncio.sleep(0)
