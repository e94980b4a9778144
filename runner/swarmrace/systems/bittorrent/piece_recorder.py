"""From libtorrent's alerts to deliveries, with the option `recordWrites` off.

A `piece_finished_alert` is stamped when a piece has passed its hash; from then on libtorrent lets
it be read. There is one alert for each piece instead of two for each block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import libtorrent as lt
import numpy as np

from swarmrace.recording.arrivals import ByteLog, Int64s
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent.session import Handler
from swarmrace.systems.bittorrent.stamps import Stamps


class PieceRecorder:
    """Fills the deliveries of one `Record`. Pass `handlers` to `Session.listening`.

    Args:
        record: receives deliveries and notes.
    """

    complete = False
    """Whether every block's write has its record: there is none."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._piece_bytes = 0
        self._early: list[tuple[int, int]] = []

    def set_piece_bytes(self, piece_bytes: int) -> None:
        """Set the torrent's piece length, and process the alerts that came before it was known."""
        self._piece_bytes = piece_bytes
        self.pieces = -(-self._record.size_bytes // piece_bytes)
        self._missing = np.ones(self.pieces, dtype=bool)
        self._deliverable = self._record.deliverable = ByteLog(self.pieces)
        early, self._early = self._early, []
        self._deliver([piece for piece, _ in early], [t_ns for _, t_ns in early])

    @property
    def is_ready(self) -> bool:
        """Whether the piece length is known."""
        return self._piece_bytes > 0

    @property
    def handlers(self) -> Mapping[type, Handler]:
        """The handler of each type of alert."""
        return {lt.piece_finished_alert: self._on_piece}

    def record_alerts(self, alerts: list[Any], stamps: Stamps) -> list[Any]:
        """Record a slice's pieces together, which costs less; return the remaining alerts."""
        verified = [alert for alert in alerts if type(alert) is lt.piece_finished_alert]
        if not verified or not self._piece_bytes:
            return alerts
        self._deliver([alert.piece_index for alert in verified], stamps.many(verified))
        return [alert for alert in alerts if type(alert) is not lt.piece_finished_alert]

    def finish(self, finished_ns: int) -> int:
        """Close the record: complete it, and note what is missing.

        Args:
            finished_ns: when libtorrent reported that all pieces are there.

        Returns:
            when the last piece could be read.
        """
        missing = np.flatnonzero(self._missing)
        if len(missing):
            self._record.notes.append(
                f"{len(missing)} of {self.pieces} pieces have no record of their own; they count "
                "as delivered when the torrent was finished"
            )
        self._record.complete = not len(missing)
        self._deliver(missing, np.full(len(missing), finished_ns))
        return max(finished_ns, self._deliverable.last_ns)

    def abandon(self) -> None:
        """Close the record of a failed transfer. Verified pieces stay delivered."""

    def _on_piece(self, alert: lt.piece_finished_alert, t_ns: int) -> None:
        if self._piece_bytes:
            self._deliver([alert.piece_index], [t_ns])
        else:
            self._early.append((alert.piece_index, t_ns))

    def _deliver(self, pieces: Sequence[int] | Int64s, t_ns: Sequence[int] | Int64s) -> None:
        """Record the file's pieces (not its padding) that have no record yet, each once, in their
        order."""
        found = np.asarray(pieces, dtype=np.int64)
        first = np.sort(np.unique(found, return_index=True)[1])
        first = first[found[first] < self.pieces]
        first = first[self._missing[found[first]]]
        new = found[first]
        self._missing[new] = False
        start = new * self._piece_bytes
        length = np.minimum(self._piece_bytes, self._record.size_bytes - start)
        self._deliverable.record_many(start, length, np.asarray(t_ns, dtype=np.int64)[first])
