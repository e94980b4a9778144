"""`ipfs cat`, read into a file as an application reads it."""

from __future__ import annotations

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Record
from swarmrace.systems.http.client import fetched
from swarmrace.systems.http.leecher_file import LeecherFile
from swarmrace.systems.ipfs.api import KuboRpc
from swarmrace.systems.node import BrokenError, reports_full_disk
from swarmrace.systems.node_stream import NodeStream


class CatFile(LeecherFile):
    """The file that a leecher's stream is written to."""

    async def fetch(self, url: str, record: Record) -> None:
        """Read the stream at `url` to its end; each read is a delivery.

        The node sends the response's header with the first bytes that it reads. It knows the root
        by then, so the header stamps the discovery.

        Raises:
            TransferError: it is refused, breaks off or has another length, or the disk is full.
        """
        await fetched(_Cat(url, self.descriptor, record))


class _Cat(NodeStream):
    """The download of a node's stream, with the node's own failures."""

    def __init__(self, url: str, file: int, record: Record) -> None:
        super().__init__(url, file, record, "cat", method="POST")

    def _wrong_status(self, status: int, text: str) -> TransferError:
        return KuboRpc.refusal(self._call, status, text)

    def _wrong_size(self, received: int) -> TransferError:
        """Kubo reports an error after the first byte in a trailer (`X-Stream-Error`)."""
        reported = self._answer.headers.get(b"x-stream-error", b"").decode(errors="replace")
        found = f"{received} of {self._record.size_bytes} bytes"
        if reported:
            reason = Reason.DISK_FULL if reports_full_disk(reported) else Reason.REFUSED
            return BrokenError(reason, f"{self._call}: ended after {found}: {reported}")
        return TransferError(Reason.WRONG_BYTES, f"{self._call}: expected the file, found {found}")

    def _ended(self, how: str) -> TransferError:
        found = f"{self._log.bytes_recorded} of {self._record.size_bytes} bytes"
        return BrokenError(
            Reason.REFUSED if self._record.discovered_ns is None else Reason.WRONG_BYTES,
            f"{self._call}: expected the whole body, found the connection ended after {found}: "
            f"{how}",
        )
