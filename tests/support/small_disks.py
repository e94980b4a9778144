"""Small file systems in separate mount namespaces, invisible to the rest of the machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounts need root and unshare"
)


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a tmpfs over `folder` with `options` (`size=10m`, `nr_inodes=50`); yield its path.

    The path goes through /proc/PID/root of the process in the namespace, so any process can use it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = f'mount -t tmpfs -o {options} none "{folder}" && echo up && exec sleep 600'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        yield Path(f"/proc/{holder.pid}/root{folder}")
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()


@contextlib.contextmanager
def kept_full(folder: Path) -> Iterator[None]:
    """Keep the disk of `folder` full: take up what is freed meanwhile."""
    ended = threading.Event()

    def take() -> None:
        number = 0
        while not ended.wait(0.01):
            found = os.statvfs(folder)
            size = found.f_bavail * found.f_frsize
            while size:
                number += 1
                try:
                    with (folder / f"filler{number}").open("wb") as file:
                        os.posix_fallocate(file.fileno(), 0, size)
                    break
                except OSError:  # another process was faster: try half of it
                    size //= 2

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """Fill the disk of `folder` up to `leave_bytes`; return the file that fills it."""
    found = os.statvfs(folder)
    path = folder / "filler"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - leave_bytes)
    return path
