"""Received bytes of peers' interfaces over time: one sampler for all peers of a machine.

If each peer woke up by itself a hundred times a second, 32 of them would use a fifth of a core
(measured: 22 %, nearly all of it for waking up). So on one machine a single process, where the
links end, reads all of them at once (92 µs for 32, about 1.2 % of a core) and writes the figures to
a ring in shared memory, of which every peer reads its own column. A pod, which only sees its own
interface, runs the same sampler in a thread.

A few interfaces are read faster than many, so they are read more often for about the same CPU time.
They are also read more often at the beginning of a run (`begin`), where a millisecond is a larger
share of the elapsed time.

Samples are only taken while a reader has requested them (`request`).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from swarmrace.host.priority import SAMPLER, run_first
from swarmrace.network.link_bytes import LinkBytes
from swarmrace.network.qdiscs import root_qdiscs
from swarmrace.recording.arrivals import Int64s
from swarmrace.recording.samples import READ_NS

INTERVAL_SECONDS = 0.009
"""Maximum time between two samples; below 10 ms including the wake-up."""
MIN_INTERVAL_SECONDS = 0.003
"""Minimum time between two samples."""
_COST_FACTOR = 100
"""Time between two samples as a multiple of what one sample takes: about 1 % of a core."""
_ELAPSED_FACTOR = 2000
"""Elapsed time of a run as a multiple of the time between two samples: 0.05 % of a mark."""
IDLE_SECONDS = 0.05
"""How often the sampler checks whether samples are requested."""
REQUEST_SECONDS = 20.0
"""How long a request lasts; a reader has to read more often than that."""
_TRIES = 3
_ROWS = 8192
"""Size of the ring: 24 s at the minimum interval, 74 s at the maximum, so that a reader may be
late."""
_ROWS_PER_CHECK = 25
"""Number of samples after which the limiters' drops are read again."""
_WORDS = 8
_WRITTEN, _REQUESTED, _COLUMNS, _BEGAN = 0, 1, 2, 3
"""Words of the head: rows written so far, until when (monotonic ns) samples are requested, the
number of columns besides the time, and when the latest run began."""
_HEAD = 4


class Ring:
    """Rows of (monotonic ns, bytes of each interface) in shared memory: one writer, many readers.

    Args:
        memory: at least `Ring.size` bytes, zeros at first.
        columns: the number of interfaces; None reads it from the memory.
    """

    def __init__(self, memory: mmap.mmap, columns: int | None = None) -> None:
        self._words = memoryview(memory).cast("q")
        if columns is not None:
            self._words[_COLUMNS] = columns
        self._row = 1 + self._words[_COLUMNS]
        self._table = np.frombuffer(memory, np.int64, _ROWS * self._row, _HEAD * _WORDS)
        self._table = self._table.reshape(_ROWS, self._row)
        self._dropped_at = _HEAD + _ROWS * self._row

    @staticmethod
    def size(columns: int) -> int:
        """Return how many bytes of memory `columns` interfaces need."""
        return (_HEAD + _ROWS * (1 + columns) + columns) * _WORDS

    @classmethod
    def private(cls) -> Ring:
        """Return a ring of one column for this process only."""
        return cls(mmap.mmap(-1, cls.size(1)), 1)

    @classmethod
    def shared(cls, path: Path | str) -> Ring:
        """Return the ring that another process created (`make_shared`).

        Raises:
            OSError: that process has ended.
        """
        with Path(path).open("r+b") as file:
            return cls(mmap.mmap(file.fileno(), 0))

    @property
    def written(self) -> int:
        """Rows written so far."""
        return self._words[_WRITTEN]

    def request(self, seconds: float = REQUEST_SECONDS) -> None:
        """Request samples for the next `seconds`."""
        until = time.monotonic_ns() + round(seconds * 1e9)
        if until > self._words[_REQUESTED]:  # two requests at once differ by almost nothing
            self._words[_REQUESTED] = until

    def begin(self) -> None:
        """Begin a run: its first seconds are sampled more often."""
        self._words[_BEGAN] = time.monotonic_ns()

    @property
    def began_ns(self) -> int:
        """When the latest run began; 0 before the first."""
        return self._words[_BEGAN]

    @property
    def requested(self) -> bool:
        """Whether samples are requested now."""
        return time.monotonic_ns() < self._words[_REQUESTED]

    def write(self, t_ns: int, counts: Sequence[int]) -> None:
        """Append a row. Only for the sampler."""
        written, row = self._words[_WRITTEN], self._row
        at = _HEAD + written % _ROWS * row
        self._words[at : at + row] = memoryview(array("q", (t_ns, *counts)))
        self._words[_WRITTEN] = written + 1

    def write_dropped(self, column: int, packets: int) -> None:
        """Record how many packets to an interface its limiter has dropped so far."""
        self._words[self._dropped_at + column] = packets

    def dropped(self, column: int) -> int:
        """Return the number of packets dropped on the way to an interface, as last recorded."""
        return self._words[self._dropped_at + column]

    def since(self, first: int, column: int) -> tuple[int, Int64s, Int64s]:
        """Return the number of rows written, and times and bytes of those from number `first` on.

        Rows that the sampler has overwritten are missing.
        """
        written = self.written
        first = max(first, written - _ROWS + 1)
        places = np.arange(first, written) % _ROWS
        t_ns, counts = self._table[places, 0], self._table[places, 1 + column]
        overwritten = max(0, self.written - _ROWS + 1 - first)
        return written, t_ns[overwritten:], counts[overwritten:]


def make_shared(columns: int) -> int:
    """Return a descriptor of memory for a ring that other processes open by `/proc/PID/fd/N`."""
    descriptor = os.memfd_create("swarmrace-wire", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, Ring.size(columns))
    os.pwrite(descriptor, columns.to_bytes(_WORDS, sys.byteorder), _COLUMNS * _WORDS)
    return descriptor


def sample(
    ring: Ring,
    read: Callable[[], Sequence[int]],
    ended: Callable[[], bool],
    read_drops: Callable[[], None] = lambda: None,
) -> None:
    """Write rows to `ring` while they are requested, until `ended`.

    Args:
        ring: receives the rows.
        read: returns the bytes of each interface.
        ended: returns whether to stop.
        read_drops: called a few times a second.
    """
    next_ns = time.monotonic_ns()
    while not ended():
        if not ring.requested:
            time.sleep(IDLE_SECONDS)
            next_ns = time.monotonic_ns()
            continue
        for _ in range(_TRIES):  # an interrupted reading is repeated
            asked_ns = time.monotonic_ns()
            counts = read()
            read_ns = time.monotonic_ns()
            if read_ns - asked_ns <= READ_NS:
                break
        ring.write(read_ns, counts)
        if ring.written % _ROWS_PER_CHECK == 0:
            read_drops()
        interval_ns = _interval_ns(read_ns - asked_ns, read_ns - ring.began_ns)
        next_ns, now_ns = next_ns + interval_ns, time.monotonic_ns()
        if next_ns <= now_ns:  # skip a missed tick: two samples at once add no information
            next_ns = now_ns + interval_ns
        time.sleep((next_ns - now_ns) / 1e9)


def _interval_ns(took_ns: int, elapsed_ns: int) -> int:
    """Return the time until the next sample.

    Args:
        took_ns: how long the last sample took.
        elapsed_ns: time since the run began.
    """
    interval_ns = max(_COST_FACTOR * took_ns, elapsed_ns // _ELAPSED_FACTOR)
    min_ns, max_ns = round(MIN_INTERVAL_SECONDS * 1e9), round(INTERVAL_SECONDS * 1e9)
    return min(max(interval_ns, min_ns), max_ns)


def run_sampler(path: str, ports: Sequence[str]) -> int:
    """Sample what the hub sends to each peer, until the process is ended; return the exit code."""
    run_first(SAMPLER)  # otherwise it would be late on a busy machine
    ring = Ring.shared(path)
    numbers = [socket.if_nametoindex(port) for port in ports]
    limited = any(number in root_qdiscs() for number in numbers)

    def read_drops() -> None:
        passed = root_qdiscs() if limited else {}
        for column, number in enumerate(numbers):
            if number in passed:
                ring.write_dropped(column, passed[number].dropped_packets)

    with LinkBytes(ports, sent=True) as links:
        sample(ring, links.read, lambda: False, read_drops)
    return 0


class OwnSampler:
    """Samples one interface of this process's namespace in a thread.

    Args:
        interface: its name.

    Raises:
        OSError: the interface doesn't exist.
    """

    def __init__(self, interface: str) -> None:
        self.ring = Ring.private()
        self._links = LinkBytes([interface])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="swarmrace-wire", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()
        self._links.close()

    def _run(self) -> None:
        # Its peer waits for the start at this priority, and both share the interpreter's lock.
        run_first(SAMPLER)
        with contextlib.suppress(OSError):  # the interface was removed; the samples so far stay
            sample(self.ring, self._links.read, self._ended.is_set)
