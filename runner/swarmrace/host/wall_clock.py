"""Steps of the wall clock, seen by the monotonic one.

No time of a result is of the wall clock. But programs have timers of their own, and those that
follow the wall clock stand still when it is set back, for as long as it was, or all end at once
when it is set forward.
"""

from __future__ import annotations

import time
from collections.abc import Callable

STEP_SECONDS = 1.0
"""A step below it delays no timer for long enough to end a transfer. Slewing (at most 0.5 ms a
second, adjtime(3)) never comes near it between two looks."""


def _offset_seconds() -> float:
    return (time.time_ns() - time.monotonic_ns()) / 1e9


class WallClock:
    """Watches the wall clock of this machine from when it is made.

    Args:
        offset_seconds: returns wall clock minus monotonic clock.
    """

    def __init__(self, offset_seconds: Callable[[], float] = _offset_seconds) -> None:
        self._offset_seconds = offset_seconds
        self._last = offset_seconds()
        self._largest = 0.0

    def look(self) -> None:
        """Compare the clocks. To be called about once a second: of two steps between two looks
        only their sum is seen."""
        before, self._last = self._last, self._offset_seconds()
        step = self._last - before
        if abs(step) > abs(self._largest):
            self._largest = step

    @property
    def stepped(self) -> str:
        """The largest step since this was made, for people; empty where there was none."""
        self.look()
        if abs(self._largest) < STEP_SECONDS:
            return ""
        way = "back" if self._largest < 0 else "forward"
        return (
            f"the wall clock was set {way} by {abs(self._largest):.1f} s, and timers that follow "
            "it stand still or end at once; don't let this machine's clock be set while it races"
        )
