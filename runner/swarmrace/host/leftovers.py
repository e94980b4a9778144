"""What killed races left behind: temporary folders, and nodes that still use them.

A race's folder is `swarmrace-PID-…` in the temporary folder, owned by the race's process. It is
left over once that process has ended. Network namespaces aren't searched for: they end with the
processes inside (see `network.namespaces`).
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from swarmrace.units import format_size

GRACE_SECONDS = 3.0
_FOLDER = re.compile(r"swarmrace-(\d+)-\w+")


@dataclass(frozen=True, slots=True)
class Leftover:
    """What one race left behind."""

    folder: Path
    processes: tuple[psutil.Process, ...]
    """Processes that name the folder on their command line, such as Codex nodes."""
    size_bytes: int

    def describe(self) -> str:
        """Return a human-readable description."""
        running = f", used by {_pids(self.processes)}" if self.processes else ""
        return f"{self.folder} ({format_size(self.size_bytes)}{running})"


def find(parent: Path) -> list[Leftover]:
    """Return what killed races of this user left below `parent`."""
    found = []
    for folder in sorted(parent.glob("swarmrace-*")):
        match = _FOLDER.fullmatch(folder.name)
        with suppress(OSError):
            state = folder.lstat()
            if (
                match
                and folder.is_dir()
                and not folder.is_symlink()
                and state.st_uid == os.getuid()
                and not _owned(int(match[1]), state.st_mtime)
            ):
                found.append(Leftover(folder, _users(folder), _size(folder)))
    return found


def remove(left: Leftover) -> bool:
    """End the processes and remove the folder; return whether both are gone."""
    for process in left.processes:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(left.processes, timeout=GRACE_SECONDS)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    _, alive = psutil.wait_procs(alive, timeout=GRACE_SECONDS)
    shutil.rmtree(left.folder, ignore_errors=True)
    return not alive and not left.folder.exists()


def _owned(pid: int, changed: float) -> bool:
    """Return whether the process that created a folder still runs. A younger one only has its
    pid."""
    try:
        return psutil.Process(pid).create_time() <= changed + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _users(folder: Path) -> tuple[psutil.Process, ...]:
    found = []
    mark = re.compile(re.escape(str(folder)) + r"(/|$)")
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_mine = process.pid != os.getpid() and process.uids().real == os.getuid()
            if is_mine and any(mark.search(word) for word in process.cmdline()):
                found.append(process)
    return tuple(found)


def _size(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            total += file.lstat().st_blocks * 512
    return total


def _pids(processes: tuple[psutil.Process, ...]) -> str:
    return ", ".join(f"process {process.pid}" for process in processes)
