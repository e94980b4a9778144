"""What keeps the rendezvous from writing its folder, since when, and whether the race must stop.

A full disk may have room again within seconds, so failed writes are repeated for a while. A missing
folder, a read-only file system and I/O errors don't get better.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from swarmrace.host import infrastructure

PATIENCE_SECONDS = 10.0
"""How long writes to the folder may fail before the race is stopped."""
RESERVE_BYTES = 262_144
"""Size of a file kept in the folder, so that race.json fits on a full disk when the race stops."""
RESERVE_FILE = ".reserve"


class Trouble:
    """Watches over the writing of one results folder.

    Args:
        folder: the results folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._identity = _identity(folder)
        self._since: dict[str, float] = {}
        """When writing began to fail, by what is written: small records may still fit on a disk
        that a large result doesn't fit on."""
        self._text = ""
        self._reserved = False
        self.given_up = False
        """Whether the race was stopped; from then on failed writes are skipped."""

    @property
    def text(self) -> str:
        """What is wrong now, in one line; empty if the last writes succeeded."""
        return self._text if self._since else ""

    def reserve(self) -> None:
        """Reserve room for race.json. If even that fails, the first records can't be written."""
        with contextlib.suppress(OSError):
            (self._folder / RESERVE_FILE).write_bytes(bytes(RESERVE_BYTES))
            self._reserved = True

    def release_reserve(self) -> None:
        """Remove the reserve."""
        if self._reserved:
            with contextlib.suppress(OSError):
                (self._folder / RESERVE_FILE).unlink(missing_ok=True)
            self._reserved = False

    def give_up(self) -> None:
        """Ignore failed writes from now on."""
        self.given_up = True

    def write_into_reserve(self, path: Path, data: bytes) -> None:
        """Write a file into the reserve, because the disk has no other room. Do nothing if the
        reserve is too small or gone."""
        reserve = self._folder / RESERVE_FILE
        if not self._reserved or len(data) > RESERVE_BYTES or not self._is_same_folder():
            return
        with contextlib.suppress(OSError):
            with reserve.open("r+b") as file:
                file.write(data)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            reserve.rename(path)
            self._reserved = False

    def attempt(self, write: Callable[[], None]) -> bool:
        """Write a record, note whether that failed, and return whether it was written.

        Raises:
            OSError: the write failed, or the folder was removed or replaced; not raised any more
                after `give_up`.
        """
        try:
            self.require()
            write()
        except OSError as error:
            self.note(error, "records")
            if not self.given_up:
                raise
            return False
        self.clear("records")
        return True

    def require(self) -> None:
        """Refuse to write if the folder was removed or replaced.

        Raises:
            FileNotFoundError: it was.
        """
        if not self._is_same_folder():
            raise FileNotFoundError(errno.ENOENT, "the folder was removed", str(self._folder))

    def note(self, error: OSError, what: str) -> None:
        """Record that `what` could not be written."""
        self._since.setdefault(what, time.monotonic())
        self._text = self._describe(error)

    def clear(self, what: str) -> None:
        """Record that `what` was written."""
        self._since.pop(what, None)

    def reason_to_stop(self) -> str:
        """Return why the race has to stop now, or an empty string."""
        if not self._is_same_folder():
            return self._describe(FileNotFoundError(errno.ENOENT, ""))
        if not self._since:
            return ""
        lasting = time.monotonic() - min(self._since.values()) >= PATIENCE_SECONDS
        broken = infrastructure.disk_trouble(self._folder) and not infrastructure.is_full(
            self._folder
        )
        return self.text if lasting or broken else ""

    def _is_same_folder(self) -> bool:
        return self._identity is not None and _identity(self._folder) == self._identity

    def _describe(self, error: OSError) -> str:
        if not self._is_same_folder():
            return (
                f"{self._folder}: the results folder was removed or replaced while the race ran; "
                "what was measured is lost: race again"
            )
        found = infrastructure.disk_trouble(self._folder)
        if found:
            return found
        number = error.errno or errno.EIO
        return infrastructure.describe(number, self._folder)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
