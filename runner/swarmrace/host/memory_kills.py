"""Whether the kernel killed a process because memory had run out.

A process that the kernel kills for memory ends by SIGKILL like any other that somebody kills. The
kernel tells which it was, in up to three places (Documentation/admin-guide: cgroup-v2,
cgroup-v1/memory, /proc/vmstat): its log names the process and what it held, a memory cgroup counts
the kills in it, and `oom_kill` of /proc/vmstat those of the whole machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from swarmrace.host.usage import cgroup_folders
from swarmrace.units import format_size

KILLED_FROM_OUTSIDE = "killed from outside: not for memory, as far as the kernel tells"
"""What is said of a process that ended by SIGKILL otherwise."""
_LOG = "/dev/kmsg"
_RECORD_BYTES = 8192
"""A record of the log is never longer; a smaller buffer is refused."""
_LOG_SECONDS = 0.2
"""How long the line of a kill is waited for: the kernel counts first and writes then."""
_FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of the namespace whose pids the log uses (include/linux/proc_ns.h)."""
UNLIMITED = 1 << 62
"""What cgroup v1 gives for no limit is above."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One process that was killed because memory had run out.

    Attributes:
        used_bytes: what it held that can't be given back (anonymous and shared memory), or None
            where the kernel's log can't be read.
        limit_bytes: the limit of the cgroup it was in, or None where none is known.
    """

    used_bytes: int | None = None
    limit_bytes: int | None = None

    def __str__(self) -> str:
        held = "" if self.used_bytes is None else f"; it held {format_size(self.used_bytes)}"
        limit = self.limit_bytes
        where = "" if limit is None else f" of its cgroup, {format_size(limit)},"
        return f"out of memory: the kernel killed it when the memory{where} was used up{held}"


class MemoryKills:
    """The kernel's kills for memory since this was made, on the machine or in this cgroup."""

    def __init__(self) -> None:
        self._folders = cgroup_folders("memory")
        self._machine = _of_the_machine()
        self._cgroups = {folder: _of_cgroup(folder) for folder in self._folders}
        self._log = _open_log()
        self._named: dict[int, int] = {}

    def of(self, pids: Iterable[int]) -> Kill | None:
        """Return how the kernel killed one of these processes for memory, or None.

        Asked once a process was seen to end by SIGKILL. Without the kernel's log a counter that
        has risen is taken for it; each kill is taken once.
        """
        pids = list(pids)
        machine = _of_the_machine()
        if machine is not None and machine == self._machine:
            return None
        risen = [folder for folder in self._folders if _of_cgroup(folder) > self._cgroups[folder]]
        limits = [limit for folder in risen or self._folders if (limit := _limit(folder))]
        limit = min(limits, default=None) if risen else None
        if self._log is not None:
            used = self._look_for(pids)
            return None if used is None else Kill(used, limit)
        if any(map(_counts, self._folders)):
            for folder in risen:
                self._cgroups[folder] += 1
            return Kill(None, limit) if risen else None
        if machine is None or self._machine is None:
            return None
        self._machine += 1
        return Kill()

    def close(self) -> None:
        """Release the kernel's log."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _look_for(self, pids: list[int]) -> int | None:
        """Return what the log says that one of these processes held, or None: not among them."""
        deadline = time.monotonic() + _LOG_SECONDS
        while True:
            self._read_log()
            found = [self._named[pid] for pid in pids if pid in self._named]
            if found or time.monotonic() > deadline:
                return sum(found) if found else None
            time.sleep(0.01)

    def _read_log(self) -> None:
        assert self._log is not None
        while True:
            try:
                record = os.read(self._log, _RECORD_BYTES).decode(errors="replace")
            except BrokenPipeError:
                continue  # records were overwritten before they were read
            except OSError:
                return
            if (kill := _killed(record)) is not None:
                self._named[kill[0]] = kill[1]


def _killed(record: str) -> tuple[int, int] | None:
    """Return pid and memory held of a record that names a kill (mm/oom_kill.c), or None."""
    found = re.search(r"Killed process (\d+) \(", record)
    if found is None:
        return None
    held = re.findall(r"(?:anon|shmem)-rss:(\d+)kB", record)
    return int(found[1]), 1024 * sum(map(int, held))


def _open_log() -> int | None:
    """Return a descriptor at the end of the kernel's log, or None where it can't be read, or names
    processes by other pids than ours."""
    try:
        if Path("/proc/self/ns/pid").stat().st_ino != _FIRST_PID_NAMESPACE:
            return None
        log = os.open(_LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        os.lseek(log, 0, os.SEEK_END)
    except OSError:
        os.close(log)
        return None
    return log


def _of_the_machine() -> int | None:
    """Return how many processes were killed since the machine booted (Linux 4.13 and later)."""
    with contextlib.suppress(OSError):
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
        return int(found[1]) if found else None
    return None


def _of_cgroup(folder: Path) -> int:
    """Return how many processes were killed in a cgroup, 0 where nothing counts them."""
    for name in ("memory.events", "memory.oom_control"):  # v2, v1
        with contextlib.suppress(OSError):
            found = re.search(r"^oom_kill (\d+)$", (folder / name).read_text(), re.MULTILINE)
            if found:
                return int(found[1])
    return 0


def _counts(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("memory.events", "memory.oom_control"))


def _limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):  # v2, v1
        with contextlib.suppress(OSError, ValueError):
            limit = int((folder / name).read_text())
            return limit if limit < UNLIMITED else None
    return None
