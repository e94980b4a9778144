"""From the stamps of libtorrent's alerts to monotonic time.

libtorrent stamps an alert when it posts it. On Linux its clock is the system clock, and the binding
gives the stamp in local time without a zone: both a step of the clock and a change to or from
summer time move stamps. So the offset between local and monotonic time is read around every reading
of alerts. If it has jumped, the monotonic clock separates the alerts before the jump from those
after it: each was posted between this reading and the one before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import libtorrent as lt
import numpy as np
import numpy.typing as npt

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1)

STEP_NS = 1_000_000
"""A larger change of the offset between two readings is a step; a smaller one is slewing."""

PROMPT_NS = 5_000
"""A reading of both clocks that took less time wasn't interrupted."""

Int64s = npt.NDArray[np.int64]


class Stamps:
    """Converts the stamps of one reading's alerts to monotonic nanoseconds.

    Args:
        offset_ns: local time minus monotonic clock.
        local_ns: the current local time, roughly; alerts within hours of it can be converted.
    """

    __slots__ = ("_base", "_base_ns", "_placed", "unplaced")

    def __init__(self, offset_ns: int, local_ns: int) -> None:
        seconds = local_ns // 1_000_000_000
        self._base = _EPOCH + timedelta(seconds=seconds)
        self._base_ns = seconds * 1_000_000_000 - offset_ns
        self._placed: dict[int, int] = {}
        self.unplaced = 0
        """Number of alerts whose stamp fits neither before nor after the step; their time is that
        of the reading."""

    @classmethod
    def over_a_step(
        cls,
        alerts: Sequence[lt.alert],
        before_ns: int,
        after_ns: int,
        local_ns: int,
        window: tuple[int, int],
    ) -> Stamps:
        """Return the stamps of `alerts` during which the clock was stepped.

        Args:
            alerts: all alerts of one reading, in the order of posting. They must stay alive while
                they are stamped.
            before_ns: the offset at the reading before.
            after_ns: the current offset.
            local_ns: as for `Stamps`.
            window: the monotonic times of the reading before and of this one.
        """
        stamps = cls(before_ns, local_ns)
        old = stamps.many(alerts)
        t_ns, stamps.unplaced = place(old, old + before_ns - after_ns, window)
        stamps._placed = dict(zip(map(id, alerts), t_ns.tolist(), strict=True))
        return stamps

    def __call__(self, alert: lt.alert) -> int:
        """Return when `alert` was posted."""
        if self._placed:
            return self._placed[id(alert)]
        delta = alert.timestamp() - self._base
        return (
            self._base_ns
            + (delta.days * 86_400 + delta.seconds) * 1_000_000_000
            + delta.microseconds * 1_000
        )

    def many(self, alerts: Sequence[lt.alert]) -> Int64s:
        """Return when each of `alerts` was posted."""
        if self._placed:
            return np.array([self._placed[id(alert)] for alert in alerts], dtype=np.int64)
        # numpy takes a µs to read a datetime; Python's own difference is eight times cheaper.
        base, unit = self._base, _MICROSECOND
        since = [(alert.timestamp() - base) // unit for alert in alerts]
        return self._base_ns + np.array(since, dtype=np.int64) * 1_000


def place(old: Int64s, new: Int64s, window: tuple[int, int]) -> tuple[Int64s, int]:
    """Return when each alert was posted, and how many can't be placed.

    Up to some alert the stamps are from before the step, after it from after the step. That
    boundary is chosen so that the fewest times are outside of the window or out of order, and among
    equals so that the gap is smallest. An alert that is still outside of the window (the clock was
    stepped twice) is placed at the window's end: it had been posted by the time it was read.

    Args:
        old: times by the offset before the step.
        new: times by the offset after it.
        window: first and last time possible.
    """
    if not len(old):
        return old, 0
    first, last = window[0] - STEP_NS, window[1] + STEP_NS
    zero, edge = np.zeros(1, dtype=np.int64), np.zeros(2, dtype=np.int64)
    gaps = np.concatenate((zero, new[1:] - old[:-1], zero))  # at each possible boundary
    faults = (gaps < 0).astype(np.int64)
    # Times outside the window or out of order: before the boundary by the old clock, after it by
    # the new one.
    for t, before in ((old, True), (new, False)):
        out = np.cumsum(((t < first) | (t > last)).astype(np.int64))
        back: Int64s = np.concatenate((edge, np.cumsum(np.diff(t) < 0, dtype=np.int64)))
        so_far: Int64s = np.concatenate((zero, out)) + back
        if before:
            faults += so_far
        else:
            # The pair at the boundary isn't a pair of the new clock.
            faults += so_far[-1] - np.concatenate((zero, out)) - np.append(back[1:], back[-1])
    best = np.flatnonzero(faults == faults.min())
    at = int(best[np.argmin(gaps[best])])
    t_ns = np.concatenate((old[:at], new[at:]))
    unplaced = (t_ns < first) | (t_ns > last)
    return np.where(unplaced, window[1], t_ns), int(unplaced.sum())


def clock_offset_ns() -> int:
    """Return local time minus monotonic clock, read within a few microseconds if possible.

    An interrupted reading is recognized by its duration and repeated.
    """
    best: tuple[int, int] | None = None
    for _ in range(20):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            zone = time.localtime(wall // 1_000_000_000).tm_gmtoff
            best = (after - before, wall + zone * 1_000_000_000 - (before + after) // 2)
        if best[0] < PROMPT_NS:
            break
    assert best is not None
    return best[1]
