"""How often a leecher's received payload is sampled.

As often as it is free. Where a processor is idle, a sample (0.1 ms of CPU with 2 connections, 0.3
with 31) costs the transfer nothing. Where libtorrent waits for one, or many programs do, a sample
costs as much time as it takes, so samples may take only `SHARE` of the CPU that the transfer itself
gets.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

EDGE_SECONDS = 0.002
"""Shortest pause between two samples until the first byte and near the last."""

MIN_SECONDS = 0.005
"""Shortest pause between two other samples."""

MAX_SECONDS = 0.1
"""Longest pause between two samples while CPU isn't scarce."""

BUSY_FACTOR = 12
"""The pause between two samples as a multiple of how long one waits for the processor, the
interpreter's lock and libtorrent. On a busy machine a sample (about 0.1 ms) costs the transfer
time."""

EDGE_FACTOR = 3
"""The same until the first byte, when there is nothing to slow down yet, and near the last."""

ELAPSED_FACTOR = 50
"""Elapsed time as a multiple of the longest pause, so that a mark is known to about 1 %."""

LEFT_FACTOR = 4
"""Time left, at the present rate, as a multiple of the longest pause: the last byte doesn't come in
the middle of a long one."""

NEAR = 64
"""The last byte is near when less than one byte in this many is missing."""

SHARE = 0.02
"""Maximum share of the process's CPU that samples take while CPU is scarce. If it is scarce half of
the time, they may take twice as much."""

FIRST_SHARE = 0.3
"""The same until the first byte."""

FIRST_SECONDS = 0.03
"""Longest pause for lack of CPU until the first byte."""

LAST_SHARE = 0.2
"""The same near the last byte."""

SHORT_SECONDS = 0.5
"""Longest pause for lack of CPU. A process that waits for its disk uses little CPU, too, and its
stalls must be seen."""

BOTH_SIDES = 2
"""CPU of a sample as a multiple of its thread's: libtorrent's threads answer it."""

UPDATE_SECONDS = 0.1
"""Minimum time between two readings of how the CPU is used."""

CROWD = 8
"""From this number of threads that want to run for each processor on, the machine is crowded; at
twice as many, entirely."""

COMPLETE_SECONDS = 0.02
"""Pause between two samples once every byte has come: only a piece that fails its hash can change
the total."""

_THREADS = Path("/proc/self/task")
_LOAD = Path("/proc/loadavg")


def is_near_end(total: int, size_bytes: int, near: int = NEAR) -> bool:
    """Return whether less than one byte in `near` of a payload is missing."""
    return (size_bytes - total) * near < size_bytes


class Scarcity:
    """How scarce CPU is: on the machine, and for the process's busiest thread, which is
    libtorrent's network thread."""

    def __init__(self) -> None:
        self._processors = os.cpu_count() or 1
        self._threads = float(_runnable())
        self.cpu_rate = min(1.0, self._processors / self._threads)
        """CPU seconds that the process gets in a second."""
        self.share = self._crowded
        """How scarce CPU is, from 0 to 1: the share of the time for which that thread waits for a
        processor (1 if it isn't known), or how crowded the machine is, whichever is more."""
        self._at, self._cpu = time.monotonic(), time.process_time()
        self._waited: Counter | None = None

    @property
    def _crowded(self) -> float:
        return min(1.0, max(0.0, self._threads / self._processors / CROWD - 1))

    def update(self) -> None:
        """Read the counters again, if the last reading isn't recent."""
        now = time.monotonic()
        if (passed := now - self._at) < UPDATE_SECONDS:
            return
        cpu = time.process_time()
        self.cpu_rate = max(0.001, (cpu - self._cpu) / passed)
        self._at, self._cpu = now, cpu
        self._threads += (_runnable() - self._threads) / 4
        self.share = self._crowded
        if self._waited is None:
            self._waited = Counter(_busiest_thread())
            return
        waited = self._waited.passed()
        self.share = max(self.share, 1.0 if waited is None else min(1.0, waited / passed))

    def close(self) -> None:
        """Close the file that is read."""
        if self._waited is not None:
            self._waited.close()


class Counter:
    """Counts for how long a thread waits for a processor. Its schedstat is opened once, because
    that costs ten times as much as reading it.

    Args:
        thread: the thread's folder in /proc.
    """

    def __init__(self, thread: Path) -> None:
        try:
            self._file = os.open(thread / "schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1
        self._seconds = self._read()

    def passed(self) -> float | None:
        """Return by how much it has grown since the last call, or None if that isn't known."""
        before, self._seconds = self._seconds, self._read()
        return None if before is None or self._seconds is None else self._seconds - before

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> float | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return _waited(os.pread(self._file, 128, 0))
        return None


def _runnable() -> int:
    """Return how many threads of the machine run or could run, this one included; 1 if the kernel
    doesn't say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return max(1, _runnable_in(_LOAD.read_text()))
    return 1


def _runnable_in(content: str) -> int:
    """Return the number of runnable threads in /proc/loadavg."""
    return int(content.split()[3].split("/")[0])


def _waited(content: bytes) -> float:
    """Return for how long a thread has waited for a processor (/proc/PID/schedstat)."""
    return int(content.split()[1]) / 1e9


def _busiest_thread() -> Path:
    own, found = str(threading.get_native_id()), []
    with contextlib.suppress(OSError):
        found = [each for each in _THREADS.iterdir() if each.name != own]
    return max(found, key=_ran, default=_THREADS / own)


def _ran(thread: Path) -> int:
    """Return for how many nanoseconds a thread has run (/proc/PID/schedstat)."""
    with contextlib.suppress(OSError, ValueError):
        return int((thread / "schedstat").read_text().split()[0])
    return 0


class Budget:
    """The shortest pause between two samples that keeps to a share of the process's CPU."""

    def __init__(self) -> None:
        self._sample_seconds = 0.0
        self._thread = time.thread_time()
        self._scarcity = Scarcity()

    def close(self) -> None:
        """Close what is open."""
        self._scarcity.close()

    def pause_seconds(self, share: float) -> float:
        """Return the pause after a sample; call it in the thread that samples."""
        self._scarcity.update()
        thread = time.thread_time()
        spent, self._thread = thread - self._thread, thread
        weight = 0.25 if self._sample_seconds else 1.0
        self._sample_seconds += (BOTH_SIDES * spent - self._sample_seconds) * weight
        return self._scarcity.share * self._sample_seconds / (share * self._scarcity.cpu_rate)


class SamplingPace:
    """The pauses between samples of a payload of `size_bytes`."""

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._began = self._grew = self._due = time.monotonic()
        self._total = 0
        self._rate = self._wait = 0.0
        self._budget = Budget()

    def close(self) -> None:
        """Close what is open."""
        self._budget.close()

    def pause(self, total: int) -> float:
        """Return the pause after a sample that showed `total` bytes."""
        now = time.monotonic()
        self._wait += (now - self._due - self._wait) / 8
        if total > self._total:
            self._rate = (total - self._total) / (now - self._grew)
            self._total, self._grew = total, now
        left = self._size - total
        near_edge = not total or is_near_end(total, self._size)
        shortest = EDGE_SECONDS if near_edge else MIN_SECONDS
        pause = max(shortest, (EDGE_FACTOR if near_edge else BUSY_FACTOR) * self._wait)
        if not total:
            affordable = min(FIRST_SECONDS, self._budget.pause_seconds(FIRST_SHARE))
            pause = max(min(pause, MAX_SECONDS), affordable)
        else:
            longest = max(MIN_SECONDS, min(MAX_SECONDS, (now - self._began) / ELAPSED_FACTOR))
            left_seconds = left / self._rate / LEFT_FACTOR if self._rate else longest
            pause = min(pause, max(EDGE_SECONDS, min(longest, left_seconds)))
            affordable = min(SHORT_SECONDS, self._budget.pause_seconds(SHARE))
            soonest = affordable * SHARE / LAST_SHARE
            pause = max(pause, min(affordable, max(soonest, left_seconds)))
            if left <= 0:
                pause = max(pause, COMPLETE_SECONDS, affordable)
        self._due = now + pause
        return pause
