"""The file that a leecher's download is written to."""

from __future__ import annotations

import os
from pathlib import Path

from swarmrace.recording.payload import file_sha256
from swarmrace.systems.abc import Digest


class LeecherFile:
    """An open file for the payload.

    Args:
        path: opened and truncated at once, before the race.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)

    def digest(self) -> Digest:
        """Return length and SHA-256 of the file."""
        return Digest(self.path.stat().st_size, file_sha256(self.path))

    def remove(self) -> None:
        """Close and delete the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        self.path.unlink(missing_ok=True)
