"""CPU and memory of a system's processes during one run, and the cgroup's throttling.

Linux only: it reads /proc. A process's children count with it; what a child used before it ended
and was waited for is in its parent's figures.
"""

from __future__ import annotations

import os
import re
import resource
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from swarmrace.host.process_stat import STARTED, field_of
from swarmrace.recording.records import Usage

_Key = tuple[int, str]
"""A pid with its start time, because pids are reused."""
_Cgroup = tuple[int, int]
"""Device and inode of a cgroup's folder, because containers see it at different paths."""
_CHILDREN_TIMES = (16, 17)
_TICKS = os.sysconf("SC_CLK_TCK")


class UsageMeter:
    """CPU seconds and peak memory of a set of processes between `start` and `stop`.

    From `watch` on a thread samples once a second, so at most the last second of a process that
    dies is missing; its last sample stays counted.

    A listed process below another listed one counts once, with that one. The runner's own figures
    are of this process only, without the processes it has started.

    Memory is the highest resident set of the run, by the kernel's mark (VmHWM), which is reset at
    the start if permitted. If it isn't, and the mark doesn't rise during the run, the highest
    sample counts. The marks of several processes are added up. Their peaks need not coincide, so
    the sum is an upper bound.

    Args:
        pids: returns the system's current processes.
        sample_seconds: time between two samples, at least 1.
    """

    def __init__(self, pids: Callable[[], list[int]], sample_seconds: float = 1.0) -> None:
        self._pids = pids
        self.sample_seconds = max(1.0, sample_seconds)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._base: dict[_Key, float] = {}
        self._cpu: dict[_Key, float] = {}
        self._marks: dict[int, tuple[int, bool]] = {}
        self._peak_bytes = self._runner_peak_bytes = 0
        self._includes_self = False
        self._runner_base = 0.0
        self._cgroups: dict[int, tuple[_Cgroup, list[Path]]] = {}
        self._throttled: dict[_Cgroup, tuple[float, float]] = {}

    def start(self) -> None:
        """Begin to measure, or begin again. No thread is started: on a busy machine its first turn
        can come late, and the caller would wait for it."""
        self._end_thread()
        self._base, self._cpu, self._marks = {}, {}, {}
        self._peak_bytes = self._runner_peak_bytes = 0
        self._runner_base, self._cgroups, self._throttled = _own_cpu_seconds(), {}, {}
        self._includes_self = False
        self._sample(first=True)

    def watch(self) -> None:
        """Sample now and once a second in a thread, until `stop`, `close` or `start`."""
        self._end_thread()
        self._stopped.clear()
        self._thread = threading.Thread(
            target=self._sample_until_stopped, name="swarmrace-usage", daemon=True
        )
        self._thread.start()

    def stop(self) -> Usage:
        """Return what was used since `start`. Safe to call again, for what was used until then."""
        self._end_thread()
        self._sample()
        return self.so_far()

    def close(self) -> None:
        """Stop sampling. Safe at any time; the samples so far are kept."""
        self._end_thread()

    def so_far(self) -> Usage:
        """Return what was used up to the last sample, without a new one: cheap, for metrics."""
        with self._lock:
            return Usage(
                cpu_seconds=sum(total - self._base[key] for key, total in self._cpu.items()),
                peak_memory_bytes=self._peak_bytes,
                runner_cpu_seconds=(
                    None if self._includes_self else _own_cpu_seconds() - self._runner_base
                ),
                runner_peak_memory_bytes=(None if self._includes_self else self._runner_peak_bytes),
                throttled_seconds=sum(now - base for base, now in self._throttled.values()),
            )

    def _sample_until_stopped(self) -> None:
        while not self._stopped.is_set():
            self._sample()
            self._stopped.wait(self.sample_seconds)

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()
            self._thread = None

    def _sample(self, *, first: bool = False) -> None:
        with self._lock:
            memory, pids = 0, self._pids()
            self._includes_self |= os.getpid() in pids
            families = {pid: _family(pid) for pid in dict.fromkeys(pids)}
            below = {member for family in families.values() for member in family[1:]}
            for pid, family in families.items():
                started = field_of(pid, STARTED)
                if started is None or pid in below:
                    continue
                key = (pid, started)
                total = sum(map(_cpu_seconds, family))
                # A process that began after the start used all its time in the run.
                self._base.setdefault(key, total if first else 0.0)
                self._cpu[key] = max(total, self._cpu.get(key, 0.0))
                memory += sum(self._peak_of(member, reset=first) for member in family)
            self._peak_bytes = max(self._peak_bytes, memory)
            if not self._includes_self:
                mark = self._peak_of(os.getpid(), reset=first)
                self._runner_peak_bytes = max(self._runner_peak_bytes, mark)
            self._sample_throttling({os.getpid(), *pids})

    def _sample_throttling(self, pids: set[int]) -> None:
        """Record how long each cgroup was throttled. A Codex node's cgroup may be another
        container's. A cgroup stays recorded when its process ends.
        """
        for pid in pids - self._cgroups.keys():
            folders = cgroup_folders("cpu", pid)
            with suppress(OSError, IndexError):  # unreadable, or no cgroup at all
                found = folders[0].stat()
                self._cgroups[pid] = (found.st_dev, found.st_ino), folders
        for cgroup, folders in self._cgroups.values():
            now = throttled_seconds(folders)
            base, last = self._throttled.get(cgroup, (now, now))
            self._throttled[cgroup] = base, max(last, now)

    def _peak_of(self, pid: int, *, reset: bool) -> int:
        if pid not in self._marks or reset:
            was_reset = reset and _reset_peak(pid)
            self._marks[pid] = (_memory(pid)[0], was_reset or not reset)
        first_mark, is_of_run = self._marks[pid]
        mark, resident = _memory(pid)
        return mark if is_of_run or mark > first_mark else resident


def throttled_seconds(folders: list[Path]) -> float:
    """Return how long a cgroup, or one above it, has been throttled since its creation.

    cgroup v2: `throttled_usec`, v1: `throttled_time` of `cpu.stat`; summed over CPUs by the kernel.
    0.0 without a CPU controller.

    Args:
        folders: from `cgroup_folders`.
    """
    return max(map(_throttled_of, folders), default=0.0)


def cgroup_folders(controller: str, pid: int | None = None) -> list[Path]:
    """Return the folders of a process's cgroup and those above it, innermost first.

    Those of a process in another container (with a shared process namespace) are read through its
    own root, because each container only sees its own cgroup. That requires the same user and all
    of the other's capabilities (proc(5), /proc/PID/root).

    Args:
        controller: the controller whose hierarchy counts in cgroup v1; v2 has one for all.
        pid: the process; None means this one.
    """
    other = pid is not None and pid != os.getpid()
    proc = Path(f"/proc/{pid if other else 'self'}")
    try:
        groups, mounts = (proc / "cgroup").read_text(), (proc / "mountinfo").read_text()
    except OSError:
        return []
    find = _folders if other else _own_folders
    return list(find(controller, groups, mounts, proc if other else None))


def _folders(controller: str, groups: str, mounts: str, other: Path | None) -> list[Path]:
    """Return the folders of a cgroup.

    Args:
        controller: as for `cgroup_folders`.
        groups: the text of its process's /proc/PID/cgroup.
        mounts: the text of /proc/PID/mountinfo.
        other: /proc/PID of another process; None for this one.
    """
    paths = {}
    for line in groups.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    folders = []
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        unified = kind == "cgroup2"
        if not unified and (kind != "cgroup" or controller not in re.split("[ ,]", options)):
            continue
        own = paths.get("" if unified else controller)
        if own is not None:
            root, point = left.split(" ")[3:5]
            mount = other / "root" / point.lstrip("/") if other else Path(point)
            folders += _upwards(mount, own.removeprefix(root if root != "/" else ""))
    return folders


_own_folders = lru_cache(maxsize=8)(_folders)
"""Kept, also by forked processes: each peer asks several times, and finding them takes 2 ms."""


def _upwards(mount: Path, path: str) -> list[Path]:
    inner = mount / path.strip("/")
    with suppress(PermissionError):
        if ".." not in path and inner.is_dir():
            return [inner, *(above for above in inner.parents if above.is_relative_to(mount))]
    return [mount]


def _throttled_of(folder: Path) -> float:
    try:
        pairs = dict(line.split(" ", 1) for line in (folder / "cpu.stat").read_text().splitlines())
    except (OSError, ValueError):
        return 0.0
    return int(pairs.get("throttled_usec", 0)) / 1e6 + int(pairs.get("throttled_time", 0)) / 1e9


def _family(pid: int) -> list[int]:
    """Return a process and all below it. Reads only those; psutil would read all of /proc."""
    found = [pid]
    for member in found:
        with suppress(OSError):  # the process or one of its threads may end at any moment
            for task in Path(f"/proc/{member}/task").iterdir():
                with suppress(OSError):
                    found += map(int, (task / "children").read_text().split())
    return found


def _cpu_seconds(pid: int) -> float:
    """Return a process's CPU time, with that of children it has waited for; 0.0 if it has ended.

    Its own time is read from its CPU clock, which counts nanoseconds, because /proc counts in steps
    of 10 ms (clock_getcpuclockid(3): the clock's id is computed from the pid).
    """
    with suppress(OSError):
        own = time.clock_gettime_ns((~pid << 3) | 2) / 1e9
        waited_for = (int(field_of(pid, field) or 0) for field in _CHILDREN_TIMES)
        return own + sum(waited_for) / _TICKS
    return 0.0


def _own_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _reset_peak(pid: int) -> bool:
    """Reset VmHWM to the current resident set (proc(5), clear_refs)."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _memory(pid: int) -> tuple[int, int]:
    """Return a process's peak and current resident set in bytes; zeros if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0, 0
    return _kilobytes(text, b"VmHWM"), _kilobytes(text, b"VmRSS")


def _kilobytes(text: bytes, name: bytes) -> int:
    """Return a figure of /proc/PID/status in bytes; 0 if it isn't there, as of a zombie."""
    words = text.partition(b"\n" + name + b":")[2].split(None, 1)
    return int(words[0]) * 1024 if words else 0
