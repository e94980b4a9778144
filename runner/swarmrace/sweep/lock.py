"""One driver for each sweep: a lock on the sweep's folder, and who holds it.

The kernel releases the lock when its last holder ends, however that happens: nothing is stale
after kill -9 or a reboot. A race's janitor holds it too until the race's processes have ended and
its folders are gone, so that the next driver never races beside what the one before has left.
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
"""How long a driver that was killed may take to be cleaned up."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who drives a sweep, or drove it last."""

    pid: int
    host: str
    driver: str
    since_utc: str
    work_dir: str
    cell: str = ""
    """Name of the cell that it races; empty between cells."""
    attempt: int = 0

    def describe(self) -> str:
        """Return it for people."""
        return f"process {self.pid} on {self.host} ({self.driver}, since {self.since_utc})"


class Lock:
    """A held lock."""

    def __init__(self, fd: int, path: Path, holder: Holder) -> None:
        self.fd = fd
        """May be inherited by what must end before another driver begins."""
        self._path = path
        self._holder = holder

    def note(self, cell: str = "", attempt: int = 0) -> None:
        """Note what is raced, for whoever looks."""
        fields = _fields(self._holder) | {"cell": cell, "attempt": attempt}
        self._holder = Holder(**fields)
        text = json.dumps(fields).encode() + b"\n"
        with contextlib.suppress(OSError):  # a full disk: the lock is held all the same
            os.pwrite(self.fd, text, 0)
            os.ftruncate(self.fd, len(text))


@contextlib.contextmanager
def held(
    folder: Path, driver: str, work_dir: Path, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[tuple[Lock, Holder | None]]:
    """Hold a sweep's lock within the block; yield it and who held it before, if anybody.

    Args:
        folder: the sweep's, which is there.
        driver: `local`, `kubernetes`.
        work_dir: where the driver's races put their payloads.
        patience_seconds: how long to wait for who holds it.

    Raises:
        SweepError: another driver holds it.
        OSError: the folder can't be written.
    """
    path = folder / FILE
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + patience_seconds
        while not _taken(fd):
            if time.monotonic() > deadline:
                holder = _read(path)
                who = holder.describe() if holder else "another process"
                raise SweepError(
                    f"{folder}: is driven by {who}; wait for its end, or interrupt it first "
                    f"(`swarmrace sweep --status {folder}` says how far it is)"
                )
            time.sleep(0.1)
        before = _read(path)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(os.getpid(), socket.gethostname(), driver, since, str(work_dir))
        yield Lock(fd, path, holder), before
    finally:
        os.close(fd)


def driving(folder: Path) -> Holder | None:
    """Return who drives a sweep at the moment, or None."""
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


def _taken(fd: int) -> bool:
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
