"""The lock of a sweep's folder: only one driver at a time.

The kernel releases the lock when its last holder ends, so no stale lock is left after kill -9 or a
reboot. A race's janitor holds it too, until the race's processes have ended and its folders are
removed. So the next driver never races beside leftovers of the one before.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from swarmrace.errors import SweepError

FILE = "sweep.lock"
PATIENCE_SECONDS = 20.0
"""How long the cleanup after a killed driver may take."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that drives a sweep, or drove it last."""

    pid: int
    host: str
    driver: str
    since_utc: str
    work_dir: str
    cell: str = ""
    """Name of the cell that is being raced; empty between cells."""
    attempt: int = 0

    def describe(self) -> str:
        """Return a human-readable description."""
        return f"process {self.pid} on {self.host} ({self.driver}, since {self.since_utc})"


class Lock:
    """A held lock."""

    def __init__(self, fd: int, path: Path, holder: Holder) -> None:
        self.fd = fd
        """A process that inherits it keeps the lock until it ends."""
        self._path = path
        self._holder = holder

    def note(self, cell: str = "", attempt: int = 0) -> None:
        """Record the cell and attempt that is being raced, for `current_driver`."""
        fields = _fields(self._holder) | {"cell": cell, "attempt": attempt}
        self._holder = Holder(**fields)
        text = json.dumps(fields).encode() + b"\n"
        with contextlib.suppress(OSError):  # on a full disk the lock is held all the same
            os.pwrite(self.fd, text, 0)
            os.ftruncate(self.fd, len(text))


@contextlib.contextmanager
def held(
    folder: Path, driver: str, work_dir: Path, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[tuple[Lock, Holder | None]]:
    """Hold a sweep's lock within the block; yield it and its previous holder, if any.

    Args:
        folder: the sweep's folder, which must exist.
        driver: `local`, `kubernetes` or `argocd`.
        work_dir: where the driver's races write their payloads.
        patience_seconds: how long to wait for another holder.

    Raises:
        SweepError: another driver holds it.
        OSError: the folder can't be written.
    """
    path = folder / FILE
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + patience_seconds
        while not _acquire(fd):
            if time.monotonic() > deadline:
                holder = _read(path)
                who = holder.describe() if holder else "another process"
                raise SweepError(
                    f"{folder}: is driven by {who}; wait until it ends, or interrupt it "
                    f"(`swarmrace sweep --status {folder}` shows its progress)"
                )
            time.sleep(0.1)
        before = _read(path)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(os.getpid(), socket.gethostname(), driver, since, str(work_dir))
        yield Lock(fd, path, holder), before
    finally:
        os.close(fd)


def current_driver(folder: Path) -> Holder | None:
    """Return the driver of a running sweep, or None if none runs."""
    path = folder / FILE
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(fd)


def _acquire(fd: int) -> bool:
    """Return whether the lock could be acquired."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _fields(holder: Holder) -> dict[str, Any]:
    return {name: getattr(holder, name) for name in Holder.__slots__}
