"""What keeps the rendezvous from writing its folder, since when, and whether that is the end.

A full disk may have room again within seconds, so what failed is tried again for a while. A folder
that is gone, a read-only file system and I/O errors don't get better.
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
"""How long a folder may refuse to be written before the race is stopped."""
RESERVE_BYTES = 262_144
"""Kept in the folder, so that the last words of a race have room on a full disk."""
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
        """By what is written: small records may fit where a large result doesn't."""
        self._text = ""
        self._reserved = False
        self.given_up = False
        """Whether the race was stopped: what can't be written then is left out."""

    @property
    def text(self) -> str:
        """What is wrong at present, in one line; empty when the last writes went well."""
        return self._text if self._since else ""

    def reserve(self) -> None:
        """Take the room for the last words. Without room there is none, which shows soon enough."""
        with contextlib.suppress(OSError):
            (self._folder / RESERVE_FILE).write_bytes(bytes(RESERVE_BYTES))
            self._reserved = True

    def give_back(self) -> None:
        """Let the reserve go."""
        if self._reserved:
            with contextlib.suppress(OSError):
                (self._folder / RESERVE_FILE).unlink(missing_ok=True)
            self._reserved = False

    def give_up(self) -> None:
        """Stop insisting: from now on a write that fails is no error."""
        self.given_up = True

    def last_words(self, path: Path, data: bytes) -> None:
        """Write a file into the room that was kept for it, once there is no other. Nothing is done
        where that room is too small or gone."""
        reserve = self._folder / RESERVE_FILE
        if not self._reserved or len(data) > RESERVE_BYTES or not self._is_there():
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
        """Write a record, note how that goes, and return whether it is written.

        Raises:
            OSError: as the write does, or because the folder isn't the one it began with; not once
                the race was given up.
        """
        try:
            self.require()
            write()
        except OSError as error:
            self.note(error, "records")
            if not self.given_up:
                raise
            return False
        self.good("records")
        return True

    def require(self) -> None:
        """Refuse to write into a folder that isn't the one it began with.

        Raises:
            FileNotFoundError: it was removed or replaced.
        """
        if not self._is_there():
            raise FileNotFoundError(errno.ENOENT, "the folder was removed", str(self._folder))

    def note(self, error: OSError, what: str) -> None:
        """Note that `what` could not be written."""
        self._since.setdefault(what, time.monotonic())
        self._text = self._describe(error)

    def good(self, what: str) -> None:
        """Note that `what` was written."""
        self._since.pop(what, None)

    def verdict(self) -> str:
        """Return why the race has to stop now, or an empty string."""
        if not self._is_there():
            return self._describe(FileNotFoundError(errno.ENOENT, ""))
        if not self._since:
            return ""
        lasting = time.monotonic() - min(self._since.values()) >= PATIENCE_SECONDS
        broken = infrastructure.disk_trouble(self._folder) and not infrastructure.is_full(
            self._folder
        )
        return self.text if lasting or broken else ""

    def _is_there(self) -> bool:
        return self._identity is not None and _identity(self._folder) == self._identity

    def _describe(self, error: OSError) -> str:
        if not self._is_there():
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
