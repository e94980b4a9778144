"""A log of running totals that are sampled: what was there at each look, and between which looks.

A system that only says how many payload bytes it has received is asked again and again. Such a log
knows of each byte the look that first showed it and the look before, which did not: it came between
the two. So resolution is the real gap between two samples, and a stall claims only the span between
samples that were equal.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import numpy as np

from swarmrace.recording.arrivals import ByteLog, Curve, Int64s

READ_NS = 1_000_000
"""How long an interface's counters may take to be read. They are stamped when they have been, so
what is stamped later than this after an instant was read after it."""


class Samples(NamedTuple):
    """Samples of an interface: instants (monotonic ns) and the bytes it had received by then. Bytes
    never fall."""

    t_ns: Int64s
    received: Int64s


class SampledLog(ByteLog):
    """Running totals of payload bytes, in the order of asking.

    A total may fall: bytes that turn out to be redundant or wrong never arrived. `curve` and
    `so_far` take such bytes out again; `bytes_recorded` and `since` have the highest total so far.

    Args:
        size_bytes: the payload's size; what is beyond it counts for nothing.
    """

    __slots__ = ("_reached", "_samples", "size_bytes", "total")

    def __init__(self, size_bytes: int) -> None:
        super().__init__(4096, offsets_known=False)
        self.size_bytes = size_bytes
        self.total = 0
        """The last total as it was sampled."""
        self._samples = array("q")
        self._reached = array("q")

    def sample(self, total: int, asked_ns: int, answered_ns: int) -> None:
        """Note that `total` was the answer to a question asked at `asked_ns`.

        Args:
            total: bytes received so far, less those known to be redundant or wrong.
            asked_ns: just before asking: what is not in `total` came later than that.
            answered_ns: just after the answer: what is in `total` came before that.
        """
        samples = self._samples
        if len(samples) >= 6 and samples[-1] == samples[-4] == total:
            del samples[-3:]  # of equal samples the first and the last say all
        samples.extend((asked_ns, answered_ns, total))
        self.total = total
        new = min(total, self.size_bytes) - self.bytes_recorded
        if new > 0:
            self.record(self.bytes_recorded, new, answered_ns)

    def reached(self, total: int, asked_ns: int, answered_ns: int) -> None:
        """Note that `total` had reached the host, read by the system or not.

        It is no part of the running totals; `recording.arrival` puts it into the curve.

        Args:
            total: bytes that are there, and wait to be read.
            asked_ns: before the total was asked for.
            answered_ns: just after the waiting bytes were counted.
        """
        self._reached.extend((asked_ns, answered_ns, total))

    def complete_at(self, t_ns: int) -> None:
        """Note that every byte was there at `t_ns`, whatever was sampled after that."""
        samples = self._samples
        while samples and samples[-2] >= t_ns:
            del samples[-3:]
        samples.extend((t_ns, t_ns, self.size_bytes))
        self.total = self.size_bytes
        if left := self.size_bytes - self.bytes_recorded:
            self.record(self.bytes_recorded, left, t_ns)
        self.last_ns = min(self.last_ns, t_ns)

    def looks(self, start_ns: int) -> tuple[Int64s, Int64s]:
        """Return when each sample was asked for, from `start_ns` on, and the total that held at it:
        the running minimum of the totals from the end, so that it never falls."""
        asked, _, held = self._held()
        return asked - start_ns, held

    def had_reached(self, start_ns: int) -> tuple[Int64s, Int64s, Int64s]:
        """Return when more had reached the host, from `start_ns` on, how much, and when the sample
        before that was asked for; times and totals rise.

        Nothing where a total has fallen: which of the waiting bytes were wrong isn't known.
        """
        asked, answered, total = _rows(self._reached)
        sampled = _rows(self._samples)[2]
        if np.any(np.diff(sampled) < 0):
            total = np.zeros_like(total)
        total = np.maximum.accumulate(total.clip(0, self.size_bytes))
        grew = np.diff(total, prepend=0) > 0
        since = np.concatenate((asked[:1], asked[:-1]))
        return answered[grew] - start_ns, total[grew], since[grew] - start_ns

    def so_far(self) -> tuple[Int64s, Int64s]:
        """Return when each sample was answered, and the total that holds at it by all that is known
        so far, within the size; both rise. May be called from another thread than the one that
        samples."""
        _, answered, held = self._held()
        return answered, held.clip(0, self.size_bytes)

    def curve(self, start_ns: int, size_bytes: int) -> Curve:
        """Return the curve from `start_ns` on: the running minimum of the totals from the end.

        It never falls, and it ends at the file size where the last total did.
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


def _rows(samples: array[int]) -> Int64s:
    """Return the three columns, copied in one step: another thread may sample meanwhile."""
    return np.frombuffer(samples.tobytes(), dtype=np.int64).reshape(-1, 3).T
