"""Reads a growing `ByteLog` in small steps: bytes held, the verified prefix, marks crossed.

Each step copies only the records that are new since the step before. So it costs the transfer next
to nothing, and never blocks the thread that records.
"""

from __future__ import annotations

import numpy as np

from swarmrace.recording.arrivals import ByteLog, Int64s, bytes_of_percent
from swarmrace.recording.records import MARK_PERCENTS
from swarmrace.recording.samples import SampledLog


class _Marks(dict[float, int]):
    """The instant (ns) at which each percent was reached."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self._size_bytes = size_bytes

    def cross(self, counts: Int64s, t_ns: Int64s, before: int) -> None:
        """Record the marks that the rising `counts` cross, after `before` bytes so far."""
        for percent in MARK_PERCENTS:
            wanted = bytes_of_percent(self._size_bytes, percent)
            if percent not in self and before < wanted <= (int(counts[-1]) if len(counts) else 0):
                self[percent] = int(t_ns[int(np.searchsorted(counts, wanted))])


class HeldBytes:
    """The distinct bytes of a log, in any order.

    A mark that is crossed in the same step as duplicates arrive is left out, because the first
    record of a byte isn't known here. The result at the run's end has it.
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
        """Read the new records of `log`. Another log than before restarts the count."""
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
        recorded = int(length.sum())
        self.duplicate_bytes += recorded - (self.bytes - before)
        if recorded == self.bytes - before:
            order = np.argsort(t_ns, kind="stable")
            self.marks.cross(before + np.cumsum(length[order]), t_ns[order], before)


class SampledBytes:
    """Bytes received, from sampled totals, computed as in `recording.arrival_curve`.

    Bytes that turn out not to have arrived are subtracted again; bytes that are written or wait to
    be read have arrived. The result also uses the interface's counters, which move its marks
    forward by milliseconds.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.bytes = 0
        self.marks: dict[float, int] = {}

    def update(self, log: SampledLog, written: HeldBytes) -> None:
        """Read the samples so far, and the bytes known to be written."""
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


class PrefixBytes:
    """The prefix of a log that can be read in order."""

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
        """Read the new records of `log`. Another log than before restarts the count."""
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
        fresh = stop > reach[:-1]  # a record wholly within earlier bytes is a duplicate
        offset, length, t_ns, stop = offset[fresh], length[fresh], t_ns[fresh], stop[fresh]
        reach = np.concatenate(([self.bytes], stop))
        hole = offset > reach[:-1]
        whole = int(np.argmax(hole)) if hole.any() else len(offset)
        self._beyond = offset[whole:], length[whole:], t_ns[whole:]
        if whole:
            ready = np.maximum.accumulate(np.maximum(t_ns[:whole], self._ready_ns))
            self.marks.cross(stop[:whole], ready, self.bytes)
            self.bytes, self._ready_ns = int(stop[whole - 1]), int(ready[-1])
