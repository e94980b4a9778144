"""Arrival: libtorrent's own count of received payload, sampled repeatedly.

`torrent_handle.status` answers from libtorrent's network thread, between two reads of a socket:

- `total_done`: the bytes of all whole blocks received so far, written or not. It counts no byte
  twice, and falls when a piece fails its hash.
- `total_payload_download` also has the blocks that are still coming in, and equals what a capture
  shows until the end game (`benchmarks.witness`). There blocks come in twice, and it isn't known
  which copy will be redundant until one is whole. So it is used until payload turns out to have
  been redundant or wrong, for up to one block per connection, and never completes the file.

Neither has headers or metadata. Metadata that came twice counts as redundant, so what was redundant
before the first payload is ignored.

Bytes that wait in the sockets' queues have reached the host too (`unread`). They are counted after
the answer, so that no byte is counted twice. Near the last byte the kernel is also asked between
two answers (`last_bytes`).

Each answer is between two readings of the monotonic clock; the wall clock isn't used.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import libtorrent as lt

from swarmrace.host.priority import SAMPLER, run_first
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Counters, Record
from swarmrace.systems.bittorrent.last_bytes import NEAR, Base, LastBytes
from swarmrace.systems.bittorrent.pace import SamplingPace, is_near_end
from swarmrace.systems.bittorrent.torrent import BLOCK_BYTES
from swarmrace.systems.bittorrent.unread import UnreadBytes

DEFERRED_BYTES = 1 << 30
"""Payload whose alerts may wait to be read; they use about 10 MB."""

_ACCURATE = lt.torrent_handle.query_accurate_download_counters


class PayloadSampler:
    """Samples one torrent's received payload in a separate thread, from `start` to `stop`.

    Args:
        record: `arrivals` is set.
        on_complete: called in that thread when a sample first shows every byte.
    """

    def __init__(self, record: Record, on_complete: Callable[[], object] = lambda: None) -> None:
        self._record = record
        self._on_complete: Callable[[], object] | None = on_complete
        record.arrivals = self._log = SampledLog(record.size_bytes)
        self._last = LastBytes(self._log)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._handle: lt.torrent_handle | None = None
        self._unread: UnreadBytes | None = None
        self._wasted, self._wasted_before = False, 0
        self._noticed = self._unread_alerts_from = 0
        self._noticed_ns, self._receives, self._stands = -1, False, False
        self._latest: lt.torrent_status | None = None

    def start(self, handle: lt.torrent_handle) -> None:
        """Begin to sample a torrent that has just been added."""
        self._handle = handle
        self._unread = UnreadBytes(handle)
        self._thread = threading.Thread(target=self._run, name="arrival", daemon=True)
        self._thread.start()

    def is_receiving(self) -> bool:
        """Return whether alerts may wait: the samples since the last call show new payload, some is
        missing, and the alerts of no more than `DEFERRED_BYTES` wait. Without a new sample, the
        previous answer stands once."""
        before_ns, self._noticed_ns = self._noticed_ns, self._log.sampled_ns
        if before_ns != self._noticed_ns:
            before, self._noticed = self._noticed, self._log.total
            self._receives = before < self._noticed < self._log.size_bytes
            self._stands = True
        elif self._stands:
            self._stands = False
        else:
            self._receives = False
        waiting = self._noticed - self._unread_alerts_from
        if self._receives and waiting < DEFERRED_BYTES:
            return True
        self._unread_alerts_from = self._noticed
        return False

    def newer(self, counters: Counters) -> Counters:
        """Return `counters` with what the last sample knows better: libtorrent's own are read with
        the alerts."""
        status = self._latest
        if status is None:
            return counters
        return replace(
            counters,
            connections=counters.connections if self._ended.is_set() else status.num_peers,
            sent_bytes=max(counters.sent_bytes or 0, status.total_upload),
            received_bytes=max(counters.received_bytes or 0, status.total_download),
            payload_sent_bytes=max(counters.payload_sent_bytes or 0, status.total_payload_upload),
            payload_received_bytes=max(
                counters.payload_received_bytes or 0, status.total_payload_download
            ),
        )

    def stop(self) -> None:
        """Stop; blocks until the thread has ended. Safe to call twice, or without a start."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._last.stop()

    def finish(self, done_ns: int) -> None:
        """Stop sampling a torrent that was complete at `done_ns`. Blocks."""
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
        run_first(SAMPLER)  # otherwise marks would be late where the leecher uses all of the CPU
        pause, pace = 0.0, SamplingPace(self._log.size_bytes)
        with contextlib.closing(pace):
            while not self._ended.wait(pause):
                if not self._sample():
                    return
                pause = pace.pause(self._log.total)

    def _sample(self) -> bool:
        """Take one sample; return False if the torrent was removed."""
        asked_ns = time.monotonic_ns()
        total = self._total()
        if total is None:
            return False
        self._log.sample(total, asked_ns, time.monotonic_ns())
        if total >= self._log.size_bytes:
            self._last.end()
            if self._on_complete is not None:
                with contextlib.suppress(RuntimeError):  # the fetch was abandoned, its loop closed
                    self._on_complete()
                self._on_complete = None
        if self._wasted:
            self._last.end()  # bytes that have come before may be among those that wait
        elif total:
            self._note_unread(total, asked_ns)
        return True

    def _note_unread(self, total: int, asked_ns: int) -> None:
        assert self._unread is not None
        with contextlib.suppress(RuntimeError, OSError):
            reached = total + self._unread.payload()
            if is_near_end(total, self._log.size_bytes, NEAR):
                answer = Base(total, asked_ns, self._unread.read_bytes())
                reached = max(reached, self._last.since(answer))
            self._log.reached(reached, asked_ns, time.monotonic_ns())

    def _total(self) -> int | None:
        """Return the bytes that libtorrent has received, or None if the torrent was removed."""
        assert self._handle is not None
        with contextlib.suppress(RuntimeError):
            self._latest = status = self._handle.status(_ACCURATE)
            return self._received(status)
        return None

    def _received(self, status: lt.torrent_status) -> int:
        whole, payload = status.total_done, status.total_payload_download
        if whole >= self._log.size_bytes:
            return whole
        wasted = status.total_redundant_bytes + status.total_failed_bytes
        if not payload:
            self._wasted_before = wasted
        self._wasted = wasted > self._wasted_before
        if self._wasted:
            return whole
        limit = whole + (BLOCK_BYTES - 1) * status.num_peers
        return max(whole, min(payload, limit, self._log.size_bytes - 1))
