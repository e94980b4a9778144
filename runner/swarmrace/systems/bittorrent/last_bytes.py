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
from swarmrace.systems.bittorrent.unread import Connection, payload_in, received_bytes

PAUSE_SECONDS = 0.002
"""Shortest pause between two readings."""

COST_FACTOR = 20
"""The pause as a multiple of how long a reading takes."""


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
    `stop`.

    Args:
        log: gets `reached`.
    """

    def __init__(self, log: SampledLog) -> None:
        self._log = log
        self._base: Base | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def since(self, base: Base | None) -> None:
        """Count from an answer on; with None, from no answer."""
        self._base = base
        if base is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="last bytes", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop; blocks until the thread has ended. Safe to call twice, or without a start."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        run_first(SAMPLER)
        pause, last = 0.0, 0
        while not self._ended.wait(pause):
            began_ns = time.monotonic_ns()
            base = self._base
            if base is not None:
                total = base.total + payload_since(base)
                if total > last:
                    last = total
                    self._log.reached(total, base.asked_ns, time.monotonic_ns())
            took = (time.monotonic_ns() - began_ns) / 1e9
            pause = max(PAUSE_SECONDS, COST_FACTOR * took)


def payload_since(base: Base) -> int:
    """Return how many bytes of payload the connections have received since an answer. One that has
    closed meanwhile doesn't count."""
    total = 0
    for connection, before in base.read_bytes.items():
        with contextlib.suppress(OSError):
            total += payload_in(received_bytes(connection) - before)
    return total
