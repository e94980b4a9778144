"""When the last bytes reached the host, while libtorrent is too busy to answer.

Where CPUs limit a transfer, libtorrent's network thread answers up to 30 ms late. Near the last
byte a second thread therefore asks the kernel only: what each connection has received beyond what
libtorrent had read by its last answer is payload that has arrived since. It needs no answer, so it
is never late for libtorrent's sake.

The bytes are counted like those that wait (`unread`): as blocks, each with its header.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import NamedTuple

from swarmrace.host.priority import SAMPLER, run_first
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.bittorrent.torrent import BLOCK_BYTES
from swarmrace.systems.bittorrent.unread import Connection, payload_in, received_bytes

NEAR = 16
"""The last byte is near when less than one byte in this many is missing: of 100 MB without a limit,
50 ms before it, which is longer than libtorrent's answers are late."""

PAUSE_SECONDS = 0.002
"""Shortest pause between two readings."""

SLACK_BYTES = 2 * BLOCK_BYTES
"""An earlier answer is kept only if it shows this much more: messages without a block are counted
as payload too, and add up as an answer ages."""

COST_FACTOR = 20
"""The pause as a multiple of the CPU time of a reading."""


class Base(NamedTuple):
    """What libtorrent had read by an answer."""

    total: int
    """Payload."""
    asked_ns: int
    """Before the answer was asked for (monotonic)."""
    read_bytes: dict[Connection, int]
    """All bytes of each connection, read just after the answer."""


class LastBytes:
    """Adds to a log what arrives between libtorrent's last answers, from the first `since` to
    `end`.

    Args:
        log: gets `reached`.
    """

    def __init__(self, log: SampledLog) -> None:
        self._log = log
        self._base: Base | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def since(self, base: Base) -> int:
        """Count from an answer on; return how many bytes of payload have reached the host by now.

        What libtorrent reads between its answer and `read_bytes` is in neither. So an earlier
        answer that shows more is kept.
        """
        before, found = self._base, reached_since(base)
        if before is not None and (earlier := reached_since(before)) > found + SLACK_BYTES:
            return earlier
        self._base = base
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="last bytes", daemon=True)
            self._thread.start()
        return found

    def end(self) -> None:
        """Count no further, without waiting for the thread."""
        self._ended.set()

    def stop(self) -> None:
        """Stop; blocks until the thread has ended. Safe to call twice, or without a start."""
        self.end()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        run_first(SAMPLER)
        pause, last = 0.0, 0
        while not self._ended.wait(pause):
            began, base = time.thread_time(), self._base
            assert base is not None  # it is set before the thread starts
            total = reached_since(base)
            if total > last:
                last = total
                self._log.reached(total, base.asked_ns, time.monotonic_ns())
            pause = max(PAUSE_SECONDS, COST_FACTOR * (time.thread_time() - began))


def reached_since(base: Base) -> int:
    """Return how many bytes of payload have reached the host by now, counted from an answer on. A
    connection that has closed meanwhile doesn't count."""
    total = base.total
    for connection, before in base.read_bytes.items():
        with contextlib.suppress(OSError):
            total += payload_in(received_bytes(connection) - before)
    return total
