"""From the wall-clock stamps of libtorrent's alerts to monotonic time.

libtorrent stamps an alert when it posts it, on the system clock. The offset to the monotonic clock
is taken around every reading of alerts, so that a clock that is slewed costs nothing and one that
is stepped is noticed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import libtorrent as lt
import numpy as np
import numpy.typing as npt

_MICROSECOND = timedelta(microseconds=1)


class Stamps:
    """Turns alerts' wall-clock stamps into monotonic nanoseconds.

    Args:
        offset_ns: wall clock minus monotonic clock.
        wall_ns: about now; alerts posted within hours of it can be converted.
    """

    __slots__ = ("_base", "_base_ns")

    def __init__(self, offset_ns: int, wall_ns: int) -> None:
        seconds = wall_ns // 1_000_000_000
        # libtorrent gives local time without a zone, and so does this.
        self._base = datetime.fromtimestamp(seconds)
        self._base_ns = seconds * 1_000_000_000 - offset_ns

    def __call__(self, alert: lt.alert) -> int:
        """Return when `alert` was posted."""
        delta = alert.timestamp() - self._base
        return (
            self._base_ns
            + (delta.days * 86_400 + delta.seconds) * 1_000_000_000
            + delta.microseconds * 1_000
        )

    def many(self, alerts: Sequence[lt.alert]) -> npt.NDArray[np.int64]:
        """Return when each of `alerts` was posted."""
        # numpy takes a µs to read a datetime; Python's own difference is eight times as cheap.
        base, unit = self._base, _MICROSECOND
        since = [(alert.timestamp() - base) // unit for alert in alerts]
        return self._base_ns + np.array(since, dtype=np.int64) * 1_000


def clock_offset_ns() -> int:
    """Return wall clock minus monotonic clock, read within a microsecond where it can be.

    A reading that was interrupted is seen by its width and tried again.
    """
    best: tuple[int, int] | None = None
    for _ in range(20):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, wall - (before + after) // 2)
        if best[0] < 1_000:
            break
    assert best is not None
    return best[1]
