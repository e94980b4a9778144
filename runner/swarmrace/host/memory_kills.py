"""Whether the kernel killed a process because memory had run out.

Such a process ends by SIGKILL like any other killed process. The kernel shows the difference in up
to three places (Documentation/admin-guide: cgroup-v2, cgroup-v1/memory, /proc/vmstat): its log
names the process and what it held, a memory cgroup counts its kills, and `oom_kill` in /proc/vmstat
counts those of the whole machine.
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

KILLED_FROM_OUTSIDE = "killed from outside: not for memory, as far as the kernel reports"
"""The description of a process that ended by SIGKILL for another reason."""
_LOG = "/dev/kmsg"
_RECORD_BYTES = 8192
"""Maximum length of a record of the log; a smaller buffer is refused."""
_LOG_SECONDS = 2.0
"""How long to wait for the line of a kill: the kernel counts it before it writes the line."""
_FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of the namespace whose pids the log uses (include/linux/proc_ns.h)."""
UNLIMITED = 1 << 62
"""cgroup v1 writes a larger number for no limit."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One process that was killed because memory had run out.

    Attributes:
        used_bytes: its anonymous and shared memory, which can't be reclaimed, or None if the
            kernel's log can't be read.
        limit_bytes: the limit of its cgroup, or None if unknown.
    """

    used_bytes: int | None = None
    limit_bytes: int | None = None

    def __str__(self) -> str:
        held = "" if self.used_bytes is None else f"; it held {format_size(self.used_bytes)}"
        limit = self.limit_bytes
        where = "" if limit is None else f" of its cgroup, {format_size(limit)},"
        return f"out of memory: the kernel killed it when the memory{where} was used up{held}"


class MemoryKills:
    """The kernel's kills for memory since its creation, on the machine or in this cgroup."""

    def __init__(self) -> None:
        self._folders = cgroup_folders("memory")
        self._machine = _count_on_machine()
        self._cgroups = {folder: _count_in_cgroup(folder) for folder in self._folders}
        self._log = _open_log()
        self._named: dict[int, int] = {}

    def find(self, pids: Iterable[int]) -> Kill | None:
        """Return the kill of one of these processes for memory, or None.

        Call it once a process has ended by SIGKILL. Without the kernel's log, a risen counter
        counts as the kill; each kill is returned once.
        """
        pids = list(pids)
        machine = _count_on_machine()
        if machine is not None and machine == self._machine:
            return None
        before = self._cgroups
        risen = [folder for folder in self._folders if _count_in_cgroup(folder) > before[folder]]
        limits = [limit for folder in risen or self._folders if (limit := _limit(folder))]
        limit = min(limits, default=None) if risen else None
        if self._log is not None:
            used = self._used_by_log(pids)
            return None if used is None else Kill(used, limit)
        if any(map(_has_counter, self._folders)):
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

    def _used_by_log(self, pids: list[int]) -> int | None:
        """Return what these processes held by the log, or None if it names none of them."""
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
    """Return pid and memory in a record of a kill (mm/oom_kill.c); None for another record."""
    found = re.search(r"Killed process (\d+) \(", record)
    if found is None:
        return None
    held = re.findall(r"(?:anon|shmem)-rss:(\d+)kB", record)
    return int(found[1]), 1024 * sum(map(int, held))


def _open_log() -> int | None:
    """Return a descriptor at the end of the kernel's log, or None if it can't be read or its pids
    are those of another namespace."""
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


def _count_on_machine() -> int | None:
    """Return how many processes were killed since the machine booted (Linux 4.13 and later)."""
    with contextlib.suppress(OSError):
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
        return int(found[1]) if found else None
    return None


def _count_in_cgroup(folder: Path) -> int:
    """Return how many processes were killed in a cgroup, 0 if it has no counter."""
    for name in ("memory.events", "memory.oom_control"):  # v2, v1
        with contextlib.suppress(OSError):
            found = re.search(r"^oom_kill (\d+)$", (folder / name).read_text(), re.MULTILINE)
            if found:
                return int(found[1])
    return 0


def _has_counter(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("memory.events", "memory.oom_control"))


def _limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):  # v2, v1
        with contextlib.suppress(OSError, ValueError):
            limit = int((folder / name).read_text())
            return limit if limit < UNLIMITED else None
    return None
