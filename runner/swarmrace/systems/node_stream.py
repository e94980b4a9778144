"""The download of a node's stream, by the baseline's own reader.

The reader is `swarmrace.systems.http.client`'s, so that during the race every system writes the
payload once and is charged equally for reading it; hashing comes afterwards.
"""

from __future__ import annotations

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Record
from swarmrace.systems.http.client import Download
from swarmrace.systems.node import BrokenError

READ_BYTES = 262_144
"""Maximum size of one read, the same as the baseline's default."""


class NodeStream(Download):
    """A download whose failures are in the node's terms.

    Args:
        url: the stream's.
        file: descriptor of the leecher's file.
        record: receives discovery, one delivery per read, and done.
        call: the call's name in errors.
        method: the call's method.
    """

    def __init__(
        self, url: str, file: int, record: Record, call: str, *, method: str = "GET"
    ) -> None:
        super().__init__(
            url, file, record, read_size=READ_BYTES, length_required=False, method=method
        )
        self._call = call

    def _begin(self, record: Record) -> None:
        record.deliverable = self._log  # a read says nothing about arrival at the node

    def _not_connected(self, error: OSError) -> TransferError:
        why = error.strerror or str(error)
        detail = f"{self._call}: expected an answer, found the connection refused or broken: {why}"
        return BrokenError(Reason.REFUSED, detail)
