"""A node's network stream, read as an application reads it: into a file.

The reader is the baseline's own (`swarmrace.systems.http.client`), so that inside the race every
system writes the payload once, is charged alike for reading it, and is hashed afterwards.
"""

from __future__ import annotations

import os
from pathlib import Path

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import file_sha256
from swarmrace.systems.abc import Digest, Record
from swarmrace.systems.codex.api import BrokenError, refusal
from swarmrace.systems.http.client import Download, fetched

READ_BYTES = 262_144
"""Most bytes of one read, as the baseline's default."""


class StreamFile:
    """The file that a leecher's stream is written to.

    Args:
        path: opened at once and emptied, so that this is no part of the race.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)

    async def fetch(self, url: str, cid: str, record: Record) -> None:
        """Read the stream at `url` to its end; each read is a delivery.

        The response's headers are sent as soon as the node knows the manifest, so they stamp the
        discovery; asking for the manifest beforehand would be a round trip that no user makes.

        Raises:
            TransferError: refused, broken, of another length, or the disk is full.
        """
        await fetched(_Stream(url, self._file, record, cid))

    def digest(self) -> Digest:
        """Return length and SHA-256 of the file."""
        return Digest(self.path.stat().st_size, file_sha256(self.path))

    def remove(self) -> None:
        """Close and delete the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self.path.unlink(missing_ok=True)


class _Stream(Download):
    """The download of a node's stream, with the node's own failures."""

    def __init__(self, url: str, file: int, record: Record, cid: str) -> None:
        super().__init__(url, file, record, read_size=READ_BYTES, length_required=False)
        self._cid = cid
        self._call = f"GET /data/{cid}/network/stream"

    def _begin(self, record: Record) -> None:
        record.deliverable = self._log  # when a byte arrived at the node is not observed

    def _not_connected(self, error: OSError) -> TransferError:
        why = error.strerror or str(error)
        detail = f"{self._call}: expected an answer, found the connection refused or broken: {why}"
        return BrokenError(Reason.REFUSED, detail)

    def _wrong_status(self, status: int, text: str) -> TransferError:
        return refusal(self._call, status, text)

    def _wrong_length(self, found: str) -> TransferError:
        """Nodes before March 2025 stream in chunks and say no length; it is counted anyway."""
        return TransferError(
            Reason.WRONG_BYTES,
            f"content {self._cid}: expected Content-Length {self._record.size_bytes}, found "
            f"{found}",
        )

    def _wrong_size(self, received: int) -> TransferError:
        return TransferError(
            Reason.WRONG_BYTES,
            f"stream: expected {self._record.size_bytes} bytes, found {received}",
        )

    def _ended(self, how: str) -> TransferError:
        received = self._log.bytes_recorded
        if self._record.discovered_ns is None:
            return BrokenError(
                Reason.REFUSED, f"{self._call}: expected an answer, found the connection {how}"
            )
        return BrokenError(
            Reason.WRONG_BYTES,
            f"{self._call}: expected the whole body, found the connection ended after {received} "
            f"of {self._record.size_bytes} bytes: {how}",
        )
