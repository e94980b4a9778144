"""Memory cgroups of one's own, in which the kernel kills for real."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def _root() -> Path | None:
    """Return the folder in which cgroups with the memory controller can be made, or None."""
    base = Path("/sys/fs/cgroup")
    if (base / "memory/memory.limit_in_bytes").exists():
        return base / "memory"
    with contextlib.suppress(OSError):
        if "memory" in (base / "cgroup.subtree_control").read_text().split():
            return base
    return None


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[Path]:
    """Make a cgroup that may hold so much, without swap; skip the test where that is forbidden."""
    root = _root()
    if root is None:
        pytest.skip("no memory cgroups here")
    folder = root / f"swarmrace-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"cgroups can't be made here: {error}")
    try:
        limit(folder, limit_bytes)
        yield folder
    finally:
        for _ in range(100):
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
    """Have a process, and what it starts, count there from now on."""
    (folder / "cgroup.procs").write_text(str(pid))
