"""Arrival: libtorrent's own count of the payload it has received, asked for again and again.

`torrent_handle.status` with accurate counters answers from libtorrent's network thread, between two
reads of a socket: the bytes of all blocks received so far, written or not, and of those that are
still coming in. It is of this torrent and of payload alone (no metadata, no headers), holds no byte
twice, and falls when a piece fails its hash. The difference of libtorrent's counters of received
and redundant payload is the same until the end game, where those are wrong by parts of blocks.

What waits in the sockets' queues has reached the host as well (`unread`). It is counted after the
answer, so that no byte is counted twice.

Each answer lies between two readings of the monotonic clock: no wall clock has a part in it.
"""

from __future__ import annotations

import contextlib
import threading
import time

import libtorrent as lt

from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent.unread import UnreadBytes

FIRST_SECONDS = 0.002
"""Between two samples until the first byte and near the last, on a machine that has time."""

LEAST_SECONDS = 0.005
"""Between two samples of the rest."""

MOST_SECONDS = 0.1
"""Between two samples on a machine that has none."""

LATENESS_FACTOR = 12
"""The pause between two samples as a multiple of how late the thread wakes up from one. Where it
has to wait for a processor, a sample (some 0.1 ms) would be taken from the transfer."""

EDGE_FACTOR = 3
"""The same until the first byte, when there is nothing yet to slow down, and near the last."""

NEAR = 64
"""The last byte is near when less than one in so many is left."""

_ACCURATE = lt.torrent_handle.query_accurate_download_counters


class PayloadSampler:
    """Samples one torrent's received payload in a thread of its own, from `start` to `stop`.

    Args:
        record: gets `arrivals`.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        record.arrivals = self._log = SampledLog(record.size_bytes)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._handle: lt.torrent_handle | None = None
        self._unread: UnreadBytes | None = None

    def start(self, handle: lt.torrent_handle) -> None:
        """Begin with a torrent that has just been added."""
        self._handle = handle
        self._unread = UnreadBytes(handle)
        self._thread = threading.Thread(target=self._run, name="arrival", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; blocks until the thread has. Safe to call twice, or without a start."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def finish(self, done_ns: int) -> None:
        """End with a torrent of which every piece is there since `done_ns`. Blocks."""
        self.stop()
        total, size = self._total(), self._log.size_bytes
        if total != size:
            self._record.notes.append(
                f"libtorrent counted {total or 0} bytes of payload, the file has {size}; "
                "arrival is uncertain by as much"
            )
            self._record.complete = False
        self._log.complete_at(done_ns)

    def _run(self) -> None:
        late = pause = 0.0
        due = time.monotonic()
        while not self._ended.wait(pause):
            late += (max(0.0, time.monotonic() - due) - late) / 8
            if not self._sample():
                return
            total, size = self._log.total, self._log.size_bytes
            near = not total or (size - total) * NEAR < size
            least = FIRST_SECONDS if near else LEAST_SECONDS
            factor = EDGE_FACTOR if near else LATENESS_FACTOR
            pause = min(MOST_SECONDS, max(least, factor * late))
            due = time.monotonic() + pause

    def _sample(self) -> bool:
        """Take one sample; return False when the torrent is gone."""
        asked_ns = time.monotonic_ns()
        total = self._total()
        if total is None:
            return False
        self._log.sample(total, asked_ns, time.monotonic_ns())
        if total:
            self._note_unread(total, asked_ns)
        return True

    def _note_unread(self, total: int, asked_ns: int) -> None:
        assert self._unread is not None
        with contextlib.suppress(RuntimeError, OSError):
            waiting = self._unread.payload()
            self._log.reached(total + waiting, asked_ns, time.monotonic_ns())

    def _total(self) -> int | None:
        """Return what libtorrent has received, or None when the torrent is gone."""
        assert self._handle is not None
        with contextlib.suppress(RuntimeError):
            return self._handle.status(_ACCURATE).total_done
        return None
