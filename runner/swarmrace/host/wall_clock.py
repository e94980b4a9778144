"""Steps of the wall clock, detected with the monotonic clock.

No result depends on the wall clock. But programs have their own timers, and those that follow the
wall clock stop for as long as it was set back, or all fire at once when it is set forward.
"""

from __future__ import annotations

import time
from collections.abc import Callable

STEP_SECONDS = 1.0
"""A smaller step doesn't delay a timer for long enough to end a transfer. Slewing (at most 0.5 ms a
second, adjtime(3)) never comes near it between two checks."""


def _offset_seconds() -> float:
    return (time.time_ns() - time.monotonic_ns()) / 1e9


class WallClock:
    """Watches this machine's wall clock from its creation on.

    Args:
        offset_seconds: returns wall clock minus monotonic clock.
    """

    def __init__(self, offset_seconds: Callable[[], float] = _offset_seconds) -> None:
        self._offset_seconds = offset_seconds
        self._last = offset_seconds()
        self._largest = 0.0

    def check(self) -> None:
        """Compare the clocks. Call it about once a second: only the sum of all steps between two
        checks is detected."""
        before, self._last = self._last, self._offset_seconds()
        step = self._last - before
        if abs(step) > abs(self._largest):
            self._largest = step

    @property
    def stepped(self) -> str:
        """The largest step since the creation, human-readable; empty if there was none."""
        self.check()
        if abs(self._largest) < STEP_SECONDS:
            return ""
        way = "back" if self._largest < 0 else "forward"
        return (
            f"the wall clock was set {way} by {abs(self._largest):.1f} s, and timers that follow "
            "it stop or fire at once; don't let this machine's clock be set during a race"
        )
