"""From libtorrent's alerts to a `Record`: every block's write, every piece's verification (option
`recordWrites`; otherwise see `piece_recorder`).

A `block_finished_alert` is stamped when the node has written the block, a `piece_finished_alert`
when the piece has passed its hash. A piece is deliverable once both hold: it is verified and all
its blocks are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import libtorrent as lt
import numpy as np

from swarmrace.recording.arrivals import ByteLog, Int64s
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent.session import Handler
from swarmrace.systems.bittorrent.stamps import Stamps
from swarmrace.systems.bittorrent.torrent import BLOCK_BYTES

_BLOCK, _PIECE = lt.block_finished_alert, lt.piece_finished_alert
_RECORDED = frozenset({_BLOCK, _PIECE, lt.block_downloading_alert})


class BlockRecorder:
    """Fills one `Record`. Pass `handlers` to `Session.listening`.

    Args:
        record: receives writes, deliveries and notes.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._size = record.size_bytes
        self.blocks = -(-self._size // BLOCK_BYTES)
        # Duplicates are recorded too; the curve keeps the first.
        self._written = ByteLog(self.blocks + self.blocks // 16)
        record.written = self._written
        self._piece_bytes = 0
        self._early: list[tuple[str, int, int, int]] = []
        self._seen = bytearray(self.blocks)
        self._missing = self.blocks
        self._failed: dict[int, int] = {}
        self._failure_count = 0

    def set_piece_bytes(self, piece_bytes: int) -> None:
        """Set the torrent's piece length, and process the alerts that came before it was known."""
        self._piece_bytes = piece_bytes
        self._per_piece = max(1, piece_bytes // BLOCK_BYTES)
        self.pieces = -(-self._size // piece_bytes)
        self._left = [self._blocks_in(piece) for piece in range(self.pieces)]
        self._written_ns = [0] * self.pieces
        self._verified_ns = [0] * self.pieces
        self._unverified = self.pieces
        self._deliverable = ByteLog(self.pieces)
        self._record.deliverable = self._deliverable
        early, self._early = self._early, []
        for kind, piece, block, t_ns in early:
            self._handle_alert(kind, piece, block, t_ns)

    @property
    def is_ready(self) -> bool:
        """Whether the piece length is known, so that alerts can be processed in bulk."""
        return self._piece_bytes > 0

    @property
    def complete(self) -> bool:
        """Whether every piece is verified and every block has its record."""
        return self._piece_bytes > 0 and not self._unverified and not self._missing

    @property
    def handlers(self) -> Mapping[type, Handler]:
        """The handler of each type of alert."""
        return {
            lt.block_finished_alert: self._on_block,
            lt.piece_finished_alert: self._on_piece,
            lt.hash_failed_alert: self._on_failed,
        }

    def finish(self, finished_ns: int) -> int:
        """Close the record: complete it, and note what is missing.

        Args:
            finished_ns: when libtorrent reported that all pieces are there.

        Returns:
            when it was done: when the last piece could be read. A block that came again later
            doesn't matter.
        """
        if self._failed:
            for piece in self._failed:
                self._count_kept_blocks(piece)
            self._drop_failed_blocks()
        unreported, undelivered = 0, []
        for piece in range(self.pieces):
            if not self._verified_ns[piece]:
                unreported += 1
                self._verified_ns[piece] = finished_ns
            elif self._left[piece] == 0:
                continue
            undelivered.append(piece)
        self._deliver(undelivered)
        notes = self._record.notes
        if unreported:
            notes.append(
                f"{unreported} of {self.pieces} pieces have no record of their own; they count as "
                "delivered when the torrent was finished"
            )
        if self._missing:
            lost = [index for index, seen in enumerate(self._seen) if not seen]
            offsets = ", ".join(str(index * BLOCK_BYTES) for index in lost[:8])
            more = ", …" if len(lost) > 8 else ""
            notes.append(
                f"{len(lost)} of {self.blocks} blocks have no record, at offsets {offsets}{more}"
            )
        self._record.complete = not self._missing and not unreported
        return self._deliverable.last_ns

    def abandon(self) -> None:
        """Close the record of a failed transfer: wrong blocks don't count as written."""
        if self._failed:
            self._drop_failed_blocks()

    def record_alerts(self, alerts: list[Any], stamps: Stamps) -> list[Any]:
        """Record a slice's blocks and pieces together; return the remaining alerts.

        One at a time they would cost three times as much, and a leecher's CPU limits a transfer. If
        a piece failed its hash, the order within the slice matters, so no block is recorded here.
        """
        if not self._piece_bytes or self._failed:
            return alerts
        kinds = [type(alert) for alert in alerts]
        if lt.hash_failed_alert in kinds:
            return alerts
        blocks = [a for a, kind in zip(alerts, kinds, strict=True) if kind is _BLOCK]
        if blocks:
            pieces = np.array([alert.piece_index for alert in blocks], dtype=np.int64)
            inside = np.array([alert.block_index for alert in blocks], dtype=np.int64)
            self._note_blocks(pieces, inside, stamps.many(blocks))
        verified = [a for a, kind in zip(alerts, kinds, strict=True) if kind is _PIECE]
        if verified:
            self._note_pieces([a.piece_index for a in verified], stamps.many(verified).tolist())
        return [a for a, kind in zip(alerts, kinds, strict=True) if kind not in _RECORDED]

    def _note_blocks(self, piece: Int64s, block: Int64s, t_ns: Int64s) -> None:
        index = piece * self._per_piece + block
        payload = index < self.blocks  # later blocks are padding (BEP 47)
        if not payload.all():
            index, piece, t_ns = index[payload], piece[payload], t_ns[payload]
        offset = index * BLOCK_BYTES
        self._written.record_many(offset, np.minimum(BLOCK_BYTES, self._size - offset), t_ns)
        seen = np.frombuffer(self._seen, dtype=np.uint8)
        index, first = np.unique(index, return_index=True)
        new = seen[index] == 0
        index, first = index[new], first[new]
        seen[index] = 1
        self._missing -= len(index)
        complete = []
        for which, count, last_ns in _by_piece(piece[first], t_ns[first]):
            self._left[which] -= count
            self._written_ns[which] = max(self._written_ns[which], last_ns)
            if self._left[which] == 0 and self._verified_ns[which]:
                complete.append(which)
        self._deliver(complete)

    def _note_pieces(self, pieces: list[int], t_ns: list[int]) -> None:
        complete = []
        for piece, when in zip(pieces, t_ns, strict=True):
            if not self._verified_ns[piece]:
                self._verified_ns[piece] = when
                self._unverified -= 1
                if self._left[piece] == 0:
                    complete.append(piece)
        self._deliver(complete)

    def _deliver(self, pieces: list[int]) -> None:
        if not pieces:
            return
        start = np.array(pieces, dtype=np.int64) * self._piece_bytes
        when = [max(self._verified_ns[piece], self._written_ns[piece]) for piece in pieces]
        length = np.minimum(self._piece_bytes, self._size - start)
        self._deliverable.record_many(start, length, np.array(when, dtype=np.int64))

    def _on_block(self, alert: lt.block_finished_alert, t_ns: int) -> None:
        if self._piece_bytes:
            self._note_block(alert.piece_index, alert.block_index, t_ns)
        else:
            self._early.append(("block", alert.piece_index, alert.block_index, t_ns))

    def _on_piece(self, alert: lt.piece_finished_alert, t_ns: int) -> None:
        self._handle_alert("piece", alert.piece_index, 0, t_ns)

    def _on_failed(self, alert: lt.hash_failed_alert, t_ns: int) -> None:
        self._handle_alert("failed", alert.piece_index, 0, t_ns)

    def _handle_alert(self, kind: str, piece: int, block: int, t_ns: int) -> None:
        if not self._piece_bytes:
            self._early.append((kind, piece, block, t_ns))
        elif kind == "block":
            self._note_block(piece, block, t_ns)
        elif kind == "piece":
            self._note_pieces([piece], [t_ns])
        else:
            self._note_failed(piece, t_ns)

    def _note_block(self, piece: int, block: int, t_ns: int) -> None:
        index = piece * self._per_piece + block
        offset = index * BLOCK_BYTES
        left = self._size - offset
        if left <= 0:
            return  # padding (BEP 47) isn't payload
        self._written.record(offset, BLOCK_BYTES if left >= BLOCK_BYTES else left, t_ns)
        if self._seen[index]:
            return
        self._seen[index] = 1
        self._missing -= 1
        self._left[piece] -= 1
        if t_ns > self._written_ns[piece]:
            self._written_ns[piece] = t_ns
        if self._left[piece] == 0 and self._verified_ns[piece]:
            self._deliver([piece])

    # Pieces that failed their hash

    def _note_failed(self, piece: int, t_ns: int) -> None:
        """Forget a piece's blocks: some of them are wrong, and it isn't known which."""
        first = piece * self._per_piece
        count = self._blocks_in(piece)
        forgotten = sum(self._seen[first : first + count])
        self._seen[first : first + count] = bytes(count)
        self._missing += forgotten
        self._left[piece] = count
        self._written_ns[piece] = 0
        self._failed[piece] = t_ns
        self._failure_count += 1

    def _count_kept_blocks(self, piece: int) -> None:
        """Count the blocks of a failed piece that were not sent again: the piece passed with them.
        (BEP 52 verifies single blocks, so after a failure only the wrong ones are fetched again.)
        Call it after all writes have ended, because a piece can pass before its blocks are
        written."""
        delivered = self._left[piece] == 0
        offset, _, t_ns = self._written.columns()
        first = piece * self._per_piece
        for index in range(first, first + self._blocks_in(piece)):
            times = t_ns[offset == index * BLOCK_BYTES]
            if not self._seen[index] and len(times):
                self._seen[index] = 1
                self._missing -= 1
                self._left[piece] -= 1
                self._written_ns[piece] = max(self._written_ns[piece], int(times[-1]))
        if self._left[piece] == 0 and not delivered and self._verified_ns[piece]:
            self._deliver([piece])

    def _drop_failed_blocks(self) -> None:
        """Replace the log by one without the failed blocks."""
        offset, length, t_ns = self._written.columns()
        keep = np.ones(len(offset), dtype=bool)
        for piece, failed_ns in self._failed.items():
            start = piece * self._piece_bytes
            inside = (offset >= start) & (offset < start + self._piece_bytes)
            for at in np.unique(offset[inside]):
                rows = np.flatnonzero(offset == at)
                after = rows[t_ns[rows] > failed_ns]
                keep[rows] = False
                last = rows[-1:] if self._verified_ns[piece] else rows[:0]
                keep[after if len(after) else last] = True
        clean = ByteLog(int(keep.sum()))
        for row in np.flatnonzero(keep).tolist():
            clean.record(int(offset[row]), int(length[row]), int(t_ns[row]))
        dropped = int(length[~keep].sum())
        self._written = self._record.written = clean
        self._record.notes.append(
            f"{self._failure_count} times a piece failed its hash ({len(self._failed)} pieces); "
            f"{dropped} bytes that came before do not count as written"
        )
        self._failed = {}

    def _blocks_in(self, piece: int) -> int:
        length = min(self._piece_bytes, self._size - piece * self._piece_bytes)
        return -(-length // BLOCK_BYTES)


def _by_piece(piece: Int64s, t_ns: Int64s) -> Iterator[tuple[int, int, int]]:
    """Yield each piece of a sorted column with its number of blocks and their last time."""
    if not len(piece):
        return
    starts = np.flatnonzero(np.diff(piece, prepend=-1))
    counts, last_ns = np.diff(starts, append=len(piece)), np.maximum.reduceat(t_ns, starts)
    yield from zip(piece[starts].tolist(), counts.tolist(), last_ns.tolist(), strict=True)
