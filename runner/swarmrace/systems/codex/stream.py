"""A node's network stream, read into a file as an application would."""

from __future__ import annotations

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Record
from swarmrace.systems.codex.api import Api
from swarmrace.systems.http.client import fetched
from swarmrace.systems.http.leecher_file import LeecherFile
from swarmrace.systems.node import BrokenError
from swarmrace.systems.node_stream import NodeStream


class CodexStreamFile(LeecherFile):
    """The file that a leecher's stream is written to."""

    async def fetch(self, url: str, cid: str, record: Record) -> None:
        """Read the stream at `url` to its end; each read is a delivery.

        The node sends the response's headers as soon as it knows the manifest, so they mark the
        end of discovery; asking for the manifest first would be a round trip that no user makes.

        Raises:
            TransferError: the node refused it, the connection broke, the content has another
                length, or the disk is full.
        """
        await fetched(_Stream(url, self.descriptor, record, cid))


class _Stream(NodeStream):
    """The download of a node's stream, with failures in the node's terms."""

    def __init__(self, url: str, file: int, record: Record, cid: str) -> None:
        super().__init__(url, file, record, f"GET /data/{cid}/network/stream")
        self._cid = cid

    def _wrong_status(self, status: int, text: str) -> TransferError:
        return Api.refusal(self._call, status, text)

    def _wrong_length(self, found: str) -> TransferError:
        """Nodes before March 2025 stream in chunks without a length; the bytes are counted."""
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
