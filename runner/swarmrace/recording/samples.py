"""A log of sampled running totals: between which two samples each byte came.

A system that only reports how many payload bytes it has received is asked repeatedly. Each byte
came between the sample that first shows it and the one before, which doesn't. So the resolution is
the real gap between two samples, and a stall is only the span between equal samples.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import numpy as np

from swarmrace.recording.arrivals import ByteLog, Curve, Int64s

READ_NS = 1_000_000
"""Maximum time that reading an interface's counters takes. They are stamped after the reading, so
a stamp more than this after an instant means that they were read after it."""


class Samples(NamedTuple):
    """Samples of an interface: instants (monotonic ns) and the bytes it had received by then, which
    never fall."""

    t_ns: Int64s
    received: Int64s


class SampledLog(ByteLog):
    """Running totals of payload bytes, in the order in which they were asked for.

    A total may fall: bytes that turn out to be redundant or wrong never arrived. `curve` and
    `so_far` exclude such bytes; `bytes_recorded` and `since` have the highest total so far.

    Args:
        size_bytes: the payload's size; anything beyond it doesn't count.
    """

    __slots__ = ("_reached", "_samples", "size_bytes", "total")

    def __init__(self, size_bytes: int) -> None:
        super().__init__(4096, offsets_known=False)
        self.size_bytes = size_bytes
        self.total = 0
        """The last sampled total."""
        self._samples = array("q")
        self._reached = array("q")

    def sample(self, total: int, asked_ns: int, answered_ns: int) -> None:
        """Record a sample.

        Args:
            total: bytes received so far, less those known to be redundant or wrong.
            asked_ns: just before asking: bytes that aren't in `total` came later.
            answered_ns: just after the answer: bytes that are in `total` came earlier.
        """
        samples = self._samples
        if len(samples) >= 6 and samples[-1] == samples[-4] == total:
            del samples[-3:]  # of equal samples only the first and the last are needed
        samples.extend((asked_ns, answered_ns, total))
        self.total = total
        new = min(total, self.size_bytes) - self.bytes_recorded
        if new > 0:
            self.record(self.bytes_recorded, new, answered_ns)

    @property
    def sampled_ns(self) -> int:
        """When the last sample was answered, or 0 if there is none."""
        return self._samples[-2] if self._samples else 0

    def reached(self, total: int, asked_ns: int, answered_ns: int) -> None:
        """Record that `total` had reached the host, whether or not the system had read it.

        It isn't part of the running totals; `recording.arrival_curve` adds it to the curve.

        Args:
            total: bytes received so far, including those that wait to be read.
            asked_ns: before the total was asked for.
            answered_ns: just after the waiting bytes were counted.
        """
        self._reached.extend((asked_ns, answered_ns, total))

    def complete_at(self, t_ns: int) -> None:
        """Record that every byte was there at `t_ns`, whatever was sampled later."""
        samples = self._samples
        while samples and samples[-2] >= t_ns:
            del samples[-3:]
        samples.extend((t_ns, t_ns, self.size_bytes))
        self.total = self.size_bytes
        if left := self.size_bytes - self.bytes_recorded:
            self.record(self.bytes_recorded, left, t_ns)
        self.last_ns = min(self.last_ns, t_ns)

    def requests(self, start_ns: int) -> tuple[Int64s, Int64s]:
        """Return when each sample was asked for, counted from `start_ns`, and the total at that
        time: the running minimum of the totals from the end, so that it never falls."""
        asked, _, held = self._held()
        return asked - start_ns, held

    def had_reached(self, start_ns: int) -> tuple[Int64s, Int64s, Int64s]:
        """Return when more had reached the host, counted from `start_ns`, how much, and when the
        sample before was asked for; times and totals rise.

        Waiting bytes that aren't payload make a total too high. So no total is higher than one
        that was asked for after it. If the samples' totals have fallen, it is that much less: any
        of the waiting bytes may have been wrong.
        """
        asked, answered, total = _not_refuted(_rows(self._reached))
        sampled = _rows(self._samples)[2]
        fallen = np.diff(sampled).clip(max=0).sum()
        total = np.maximum.accumulate((total.clip(max=self.size_bytes) + fallen).clip(0))
        grew = np.diff(total, prepend=0) > 0
        since = np.concatenate((asked[:1], asked[:-1]))
        return answered[grew] - start_ns, total[grew], since[grew] - start_ns

    def so_far(self) -> tuple[Int64s, Int64s]:
        """Return when each sample was answered, and the total at that time as far as it is known
        by now, within the size; both rise. Safe to call from another thread than the one that
        samples."""
        _, answered, held = self._held()
        return answered, held.clip(0, self.size_bytes)

    def curve(self, start_ns: int, size_bytes: int) -> Curve:
        """Return the curve from `start_ns` on: the running minimum of the totals from the end.

        It never falls, and it ends at the file size if the last total did.
        """
        asked, answered, held = self._held()
        held = held.clip(0, size_bytes)
        before = np.concatenate(([0], held[:-1]))[: len(held)]
        since = np.concatenate(([min(start_ns, asked[0])], asked[:-1])) if len(asked) else asked
        grew = held > before
        return Curve(
            before[grew],
            (held - before)[grew],
            answered[grew] - start_ns,
            size_bytes,
            offsets_known=False,
            since_ns=since[grew] - start_ns,
        )

    def _held(self) -> tuple[Int64s, Int64s, Int64s]:
        asked, answered, total = _rows(self._samples)
        return asked, answered, np.minimum.accumulate(total[::-1])[::-1]


def _not_refuted(rows: Int64s) -> Int64s:
    """Return the rows in the order of their answers, no total higher than a later one."""
    rows = rows[:, np.argsort(rows[1], kind="stable")]
    asked, answered, total = rows
    order = np.argsort(asked, kind="stable")
    lowest = np.minimum.accumulate(total[order][::-1])[::-1]
    later = np.searchsorted(asked[order], answered, side="right")
    bound = np.append(lowest, np.iinfo(np.int64).max)[later]
    return np.stack((asked, answered, np.minimum(total, bound)))


def _rows(samples: array[int]) -> Int64s:
    """Return the three columns, copied in one step, because another thread may be sampling."""
    return np.frombuffer(samples.tobytes(), dtype=np.int64).reshape(-1, 3).T
