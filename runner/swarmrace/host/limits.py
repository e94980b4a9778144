"""The limits of a system's cgroups, read at run time, because only the kernel knows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from swarmrace.host.usage import cgroup_folders
from swarmrace.recording.records import Limits

_UNLIMITED_BYTES = 2**60
"""cgroup v1 writes a larger number, of whole pages, for no limit."""


def read(pids: Iterable[int] = ()) -> Limits:
    """Return the limits of this process and a system's processes together.

    The containers of a pod are several cgroups, whose limits add up; if one has no limit, neither
    has the sum. If a CPU manager pins a pod, the number of CPUs shows it.

    Args:
        pids: the system's processes.
    """
    members = [os.getpid(), *pids]
    cpus: set[int] = set()
    for pid in members:
        with suppress(OSError):
            cpus |= os.sched_getaffinity(pid)
    memory = _sum("memory", members, _memory_of)
    return Limits(
        cpu_cores=_sum("cpu", members, _cores_of),
        memory_bytes=None if memory is None else round(memory),
        cpus=len(cpus) or None,
    )


def _sum(
    controller: str, pids: list[int], limit_of: Callable[[Path], float | None]
) -> float | None:
    """Add up the limits of the processes' cgroups, each counted once."""
    limits: dict[tuple[int, int], float | None] = {}
    for pid in pids:
        folders = cgroup_folders(controller, pid)
        with suppress(OSError, IndexError):  # unreadable, or no cgroup at all
            found = folders[0].stat()
            own = [limit for folder in folders if (limit := limit_of(folder)) is not None]
            limits[found.st_dev, found.st_ino] = min(own, default=None)
    amounts = [limit for limit in limits.values() if limit is not None]
    return sum(amounts) if amounts and len(amounts) == len(limits) else None


def _cores_of(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")  # cgroup v2
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    limited = quota.isdigit() and period.isdigit() and int(period) > 0
    return int(quota) / int(period) if limited else None


def _memory_of(folder: Path) -> float | None:
    text = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
    return float(text) if text.isdigit() and int(text) < _UNLIMITED_BYTES else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
