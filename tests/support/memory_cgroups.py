"""Memory cgroups for one test, in which the kernel really kills."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def _root() -> Path | None:
    """Return the folder for new cgroups with the memory controller, or None."""
    base = Path("/sys/fs/cgroup")
    if (base / "memory/memory.limit_in_bytes").exists():
        return base / "memory"
    with contextlib.suppress(OSError):
        if "memory" in (base / "cgroup.subtree_control").read_text().split():
            return base
    return None


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Exclude tests of other workers: the kernel also counts kills for the whole machine."""
    with (Path(tempfile.gettempdir()) / "swarmrace-test-memory.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[Path]:
    """Yield a cgroup with this limit, without swap; skip the test if it can't be made."""
    with _one_at_a_time():
        yield from _memory_cgroup(limit_bytes)


def _memory_cgroup(limit_bytes: int) -> Iterator[Path]:
    root = _root()
    if root is None:
        pytest.skip("no memory cgroups here")
    folder = root / f"swarmrace-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"can't create cgroups: {error}")
    try:
        limit(folder, limit_bytes)
        yield folder
    finally:
        for _ in range(1000):
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.05)


def limit(folder: Path, limit_bytes: int) -> None:
    """Set a cgroup's limit."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        if (folder / name).exists():
            (folder / name).write_text(str(limit_bytes))


def move(pid: int, folder: Path) -> None:
    """Move a process to a cgroup; processes that it starts later are in it too."""
    (folder / "cgroup.procs").write_text(str(pid))
