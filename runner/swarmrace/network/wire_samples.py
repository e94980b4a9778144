"""Received bytes of peers' interfaces over time: one sampler for all peers of a machine.

Were every peer to wake by itself a hundred times a second, 32 of them would take a fifth of a core
(measured: 22 %, nearly all of it for waking up). So on one machine one process where the links end
reads all of them at once, 92 µs for 32 and about 1.2 % of a core, and puts the figures into shared
memory, a ring of which every peer reads its own column. A pod, which sees only its own interface,
runs the same sampler in a thread.

Nothing is sampled while nobody asks: readers say how long they will want samples (`want`).
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
"""Between two samples: with what waking up takes below 10 ms."""
IDLE_SECONDS = 0.05
"""How often the sampler looks whether anybody wants samples."""
WANTED_SECONDS = 20.0
"""For how long a reader asks at a time; it has to read more often than that."""
_TRIES = 3
_ROWS = 8192
"""What the ring holds: 74 s, so that a reader may be late."""
_ROWS_A_LOOK = 25
"""So often, in samples, what limiters have dropped is looked at."""
_WORDS = 8
_WRITTEN, _WANTED, _COLUMNS = 0, 1, 2
"""Words of the head: rows written so far, until when (monotonic ns) samples are wanted, and how
many columns there are beside the time."""
_HEAD = 4


class Ring:
    """Rows of (monotonic ns, bytes of each interface) in shared memory: one writer, many readers.

    Args:
        memory: at least `Ring.size` bytes, zeros at first.
        columns: how many interfaces; when absent, as the memory says.
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
        """Return a ring of one column that only this process has."""
        return cls(mmap.mmap(-1, cls.size(1)), 1)

    @classmethod
    def shared(cls, path: Path | str) -> Ring:
        """Return the ring that another process made (`make_shared`).

        Raises:
            OSError: it is gone.
        """
        with Path(path).open("r+b") as file:
            return cls(mmap.mmap(file.fileno(), 0))

    @property
    def written(self) -> int:
        """Rows written so far."""
        return self._words[_WRITTEN]

    def want(self, seconds: float = WANTED_SECONDS) -> None:
        """Ask for samples for so long from now."""
        until = time.monotonic_ns() + round(seconds * 1e9)
        if until > self._words[_WANTED]:  # two who ask at once want nearly the same
            self._words[_WANTED] = until

    @property
    def wanted(self) -> bool:
        """Whether anybody wants samples now."""
        return time.monotonic_ns() < self._words[_WANTED]

    def write(self, t_ns: int, counts: Sequence[int]) -> None:
        """Append a row. Only the sampler does."""
        written, row = self._words[_WRITTEN], self._row
        at = _HEAD + written % _ROWS * row
        self._words[at : at + row] = memoryview(array("q", (t_ns, *counts)))
        self._words[_WRITTEN] = written + 1

    def write_dropped(self, column: int, packets: int) -> None:
        """Note how many packets towards an interface its limiter has dropped so far."""
        self._words[self._dropped_at + column] = packets

    def dropped(self, column: int) -> int:
        """Return the packets that were dropped on the way to an interface, as last noted."""
        return self._words[self._dropped_at + column]

    def since(self, first: int, column: int) -> tuple[int, Int64s, Int64s]:
        """Return how many rows there are, and times and bytes of those from number `first` on.

        Rows that the sampler has overwritten are absent.
        """
        written = self.written
        first = max(first, written - _ROWS + 1)
        places = np.arange(first, written) % _ROWS
        t_ns, counts = self._table[places, 0], self._table[places, 1 + column]
        torn = max(0, self.written - _ROWS + 1 - first)
        return written, t_ns[torn:], counts[torn:]


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
    look: Callable[[], None] = lambda: None,
) -> None:
    """Write rows into `ring` while they are wanted, until `ended`; `look` a few times a second."""
    interval_ns = round(INTERVAL_SECONDS * 1e9)
    next_ns = time.monotonic_ns()
    while not ended():
        if not ring.wanted:
            time.sleep(IDLE_SECONDS)
            next_ns = time.monotonic_ns()
            continue
        for _ in range(_TRIES):  # one that was interrupted is taken again
            asked_ns = time.monotonic_ns()
            counts = read()
            read_ns = time.monotonic_ns()
            if read_ns - asked_ns <= READ_NS:
                break
        ring.write(read_ns, counts)
        if ring.written % _ROWS_A_LOOK == 0:
            look()
        next_ns, now_ns = next_ns + interval_ns, time.monotonic_ns()
        if next_ns <= now_ns:  # a missed tick is left out: two samples at once say nothing new
            next_ns = now_ns + interval_ns
        time.sleep((next_ns - now_ns) / 1e9)


def run_sampler(path: str, ports: Sequence[str]) -> int:
    """Sample what the hub sends to each peer, until the process is ended; return the exit code."""
    run_first(SAMPLER)  # on a busy machine it would come late without it
    ring = Ring.shared(path)
    numbers = [socket.if_nametoindex(port) for port in ports]
    limited = any(number in root_qdiscs() for number in numbers)

    def look() -> None:
        passed = root_qdiscs() if limited else {}
        for column, number in enumerate(numbers):
            if number in passed:
                ring.write_dropped(column, passed[number].dropped_packets)

    with LinkBytes(ports, sent=True) as links:
        sample(ring, links.read, lambda: False, look)
    return 0


class OwnSampler:
    """Samples one interface of this process's namespace in a thread.

    Args:
        interface: its name.

    Raises:
        OSError: there is no such interface.
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
        # Its peer waits for the start at this priority, and the two share the interpreter's lock.
        run_first(SAMPLER)
        with contextlib.suppress(OSError):  # the interface is gone: what was sampled stays
            sample(self.ring, self._links.read, self._ended.is_set)
