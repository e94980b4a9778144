"""Reading a growing `ByteLog` in small steps: bytes held, the verified prefix, marks crossed.

Each reading takes only the records that came since the one before, as a copy, so that it costs the
transfer next to nothing and never stands in the way of the thread that records.
"""

from __future__ import annotations

import numpy as np

from swarmrace.recording.arrivals import ByteLog, Int64s, bytes_of_percent
from swarmrace.recording.records import MARK_PERCENTS
from swarmrace.recording.samples import SampledLog


class _Marks(dict[float, int]):
    """Percent to the instant (ns) at which it was there."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self._size_bytes = size_bytes

    def cross(self, counts: Int64s, t_ns: Int64s, before: int) -> None:
        """Note the marks that rising `counts` cross, when `before` bytes had been there."""
        for percent in MARK_PERCENTS:
            wanted = bytes_of_percent(self._size_bytes, percent)
            if percent not in self and before < wanted <= (int(counts[-1]) if len(counts) else 0):
                self[percent] = int(t_ns[int(np.searchsorted(counts, wanted))])


class Held:
    """Distinct bytes of a log, in any order.

    A mark that is crossed in the same step as bytes come again is left out, because which record
    was the first can't be told here; the result at the run's end has it.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._restart(None)

    def _restart(self, log: ByteLog | None) -> None:
        self._log, self._seen = log, 0
        self._starts = self._stops = np.zeros(0, dtype=np.int64)
        self.bytes = self.duplicate_bytes = 0
        self.marks = _Marks(self.size_bytes)

    def update(self, log: ByteLog) -> None:
        """Take what is new in `log`; another log than before starts anew."""
        if log is not self._log:
            self._restart(log)
        offset, length, t_ns = log.since(self._seen)
        if not len(offset):
            return
        self._seen += len(offset)
        starts = np.concatenate((self._starts, offset))
        stops = np.concatenate((self._stops, offset + length))
        order = np.argsort(starts, kind="stable")
        starts, stops = starts[order], np.maximum.accumulate(stops[order])
        apart = starts[1:] > stops[:-1]
        self._starts = starts[np.concatenate(([True], apart))]
        self._stops = stops[np.concatenate((apart, [True]))]
        before, self.bytes = self.bytes, int((self._stops - self._starts).sum())
        came = int(length.sum())
        self.duplicate_bytes += came - (self.bytes - before)
        if came == self.bytes - before:
            order = np.argsort(t_ns, kind="stable")
            self.marks.cross(before + np.cumsum(length[order]), t_ns[order], before)


class Received:
    """Totals that were sampled, as `recording.arrival_curve` has them: what turned out not to have
    arrived is taken out again; what was written, or waits to be read, has arrived. What the
    interface tells besides moves marks of the result forward by milliseconds, at the run's end."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.bytes = 0
        self.marks: dict[float, int] = {}

    def update(self, log: SampledLog, written: Held) -> None:
        """Take the samples so far, and what is known to be written."""
        known = [log.so_far(), log.had_reached(0)[:2]]
        known = [(t_ns, totals) for t_ns, totals in known if len(totals)]
        self.bytes = max([written.bytes, *(int(totals[-1]) for _, totals in known)])
        self.marks = {}
        for percent in MARK_PERCENTS:
            wanted = bytes_of_percent(self.size_bytes, percent)
            instants = [
                int(t_ns[int(np.searchsorted(totals, wanted))])
                for t_ns, totals in known
                if wanted <= totals[-1]
            ]
            if percent in written.marks:
                instants.append(written.marks[percent])
            if instants:
                self.marks[percent] = min(instants)


class Prefix:
    """The prefix of a log that could be read in order."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._restart(None)

    def _restart(self, log: ByteLog | None) -> None:
        self._log, self._seen = log, 0
        self._beyond = tuple(np.zeros(0, dtype=np.int64) for _ in range(3))
        self._ready_ns = -(2**63)
        self.bytes = 0
        self.marks = _Marks(self.size_bytes)

    def update(self, log: ByteLog) -> None:
        """Take what is new in `log`; another log than before starts anew."""
        if log is not self._log:
            self._restart(log)
        new = log.since(self._seen)
        if not len(new[0]):
            return
        self._seen += len(new[0])
        pairs = zip(self._beyond, new, strict=True)
        offset, length, t_ns = (np.concatenate(pair) for pair in pairs)
        order = np.lexsort((t_ns, offset))
        offset, length, t_ns = offset[order], length[order], t_ns[order]
        stop = offset + length
        reach = np.maximum.accumulate(np.concatenate(([self.bytes], stop)))
        fresh = stop > reach[:-1]  # what lies wholly in what came before is a duplicate
        offset, length, t_ns, stop = offset[fresh], length[fresh], t_ns[fresh], stop[fresh]
        reach = np.concatenate(([self.bytes], stop))
        hole = offset > reach[:-1]
        whole = int(np.argmax(hole)) if hole.any() else len(offset)
        self._beyond = offset[whole:], length[whole:], t_ns[whole:]
        if whole:
            ready = np.maximum.accumulate(np.maximum(t_ns[:whole], self._ready_ns))
            self.marks.cross(stop[:whole], ready, self.bytes)
            self.bytes, self._ready_ns = int(stop[whole - 1]), int(ready[-1])
