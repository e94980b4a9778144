"""CPU and memory of a system's processes over one run, and what the cgroup held back.

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
from pathlib import Path

from swarmrace.host.process_stat import STARTED, field_of
from swarmrace.recording.records import Usage

_Key = tuple[int, str]
"""A pid with its start time: pids come back."""
_Cgroup = tuple[int, int]
"""Device and inode of a cgroup's folder: containers see the same one at different paths."""
_CHILDREN_TIMES = (16, 17)
_TICKS = os.sysconf("SC_CLK_TCK")


class UsageMeter:
    """CPU seconds and peak memory of a set of processes between `start` and `stop`.

    From `watch` on a thread looks once a second, so at most the last second of a process that dies
    is missing; what was last seen of it stays counted.

    A process that is listed and lies below another one listed counts with that one, once. The
    runner's own figures are of this process alone, without what it has started.

    Memory is the highest resident set of the run, by the kernel's own mark (VmHWM), which is reset
    at the start where that is permitted. Where it is not and the mark doesn't rise during the run,
    the highest of the samples counts. Of several processes the marks are summed: their peaks need
    not have come at once, so the sum is an upper bound.

    Args:
        pids: returns the system's processes as they are now.
        sample_seconds: time between two looks, at least 1.
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
        """Begin to measure, or begin again. No thread begins: its first turn can take long to come
        on a busy machine, and whoever starts it waits for that."""
        self._end_thread()
        self._base, self._cpu, self._marks = {}, {}, {}
        self._peak_bytes = self._runner_peak_bytes = 0
        self._runner_base, self._cgroups, self._throttled = _own_cpu_seconds(), {}, {}
        self._includes_self = False
        self._look(first=True)

    def watch(self) -> None:
        """Look now and once a second from now on, in a thread, until `stop`, `close` or `start`."""
        self._end_thread()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._watch, name="swarmrace-usage", daemon=True)
        self._thread.start()

    def stop(self) -> Usage:
        """Return what was used since `start`. Safe to call again: then until now."""
        self._end_thread()
        self._look()
        return self.so_far()

    def close(self) -> None:
        """Look no more. Safe at any time; what was seen stays."""
        self._end_thread()

    def so_far(self) -> Usage:
        """Return what was used up to the last look, without looking again: cheap, for metrics."""
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

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._look()
            self._stopped.wait(self.sample_seconds)

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()
            self._thread = None

    def _look(self, *, first: bool = False) -> None:
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
                # a process that began after the start used all its time in the run
                self._base.setdefault(key, total if first else 0.0)
                self._cpu[key] = max(total, self._cpu.get(key, 0.0))
                memory += sum(self._peak_of(member, reset=first) for member in family)
            self._peak_bytes = max(self._peak_bytes, memory)
            if not self._includes_self:
                mark = self._peak_of(os.getpid(), reset=first)
                self._runner_peak_bytes = max(self._runner_peak_bytes, mark)
            self._look_at_cgroups({os.getpid(), *pids})

    def _look_at_cgroups(self, pids: set[int]) -> None:
        """Note how long each cgroup was kept from running: a Codex node's is another container's.

        A cgroup stays noted when its process ends.
        """
        for pid in pids - self._cgroups.keys():
            folders = cgroup_folders("cpu", pid)
            with suppress(OSError, IndexError):  # not to be read, or no cgroup at all
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
    """Return for how long a cgroup, or one above it, was kept from running, since it began.

    cgroup v2: `throttled_usec`, v1: `throttled_time` of `cpu.stat`; summed over CPUs by the kernel.
    0.0 where there is no CPU controller.

    Args:
        folders: from `cgroup_folders`.
    """
    return max(map(_throttled_of, folders), default=0.0)


def cgroup_folders(controller: str, pid: int | None = None) -> list[Path]:
    """Return the folders of a process's cgroup and those above it, innermost first.

    A process of another container, in a shared process namespace, is asked through its own root:
    each container sees its own cgroup alone. To read there needs the same user and none of the
    other's capabilities missing (proc(5), /proc/PID/root).

    Args:
        controller: the controller whose hierarchy counts in cgroup v1; v2 has one for all.
        pid: this process when absent.
    """
    other = pid is not None and pid != os.getpid()
    proc = Path(f"/proc/{pid if other else 'self'}")
    try:
        groups = (proc / "cgroup").read_text().splitlines()
        mounts = (proc / "mountinfo").read_text().splitlines()
    except OSError:
        return []
    paths = {}
    for line in groups:
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    folders = []
    for line in mounts:
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        unified = kind == "cgroup2"
        if not unified and (kind != "cgroup" or controller not in re.split("[ ,]", options)):
            continue
        own = paths.get("" if unified else controller)
        if own is not None:
            root, point = left.split(" ")[3:5]
            mount = proc / "root" / point.lstrip("/") if other else Path(point)
            folders += _upwards(mount, own.removeprefix(root if root != "/" else ""))
    return folders


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
    """Return a process and all below it. Asks only those (psutil would read all of /proc)."""
    found = [pid]
    for member in found:
        with suppress(OSError):  # it may end at any moment, and a thread of it alone as well
            for task in Path(f"/proc/{member}/task").glob("*/children"):
                with suppress(OSError):
                    found += map(int, task.read_text().split())
    return found


def _cpu_seconds(pid: int) -> float:
    """Return a process's CPU time, with that of children it has waited for; 0.0 when it is gone.

    Its own is read from its CPU clock, which counts nanoseconds, and not from /proc, which counts
    in steps of 10 ms (clock_getcpuclockid(3): the id is made of the pid).
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
    """Set VmHWM back to what is resident now (proc(5), clear_refs)."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _memory(pid: int) -> tuple[int, int]:
    """Return a process's peak and present resident set in bytes; zeros when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    found = dict(re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB$", text, re.MULTILINE))
    return int(found.get("VmHWM", 0)) * 1024, int(found.get("VmRSS", 0)) * 1024
