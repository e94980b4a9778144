"""What is wrong between the options of a `bittorrent` entrant and the race."""

from __future__ import annotations

from swarmrace.errors import Fault
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.parts import CrossFault, RaceShape

_PIECE_BYTES = (16_384, 128 * 1024**2)
"""One block, and the maximum with which libtorrent makes a torrent."""


def cross_faults(options: BitTorrentOptions, race: RaceShape) -> list[CrossFault]:
    """Return the faults of `pieceSize`."""
    piece, smallest = options.piece_size, min(race.file_sizes)
    if piece is None:
        return []
    if piece & (piece - 1) or not _PIECE_BYTES[0] <= piece <= _PIECE_BYTES[1]:
        text = f"found {piece}, expected a power of two from 16KiB to 128MiB"
        return [CrossFault(Fault("pieceSize", text))]
    if piece > smallest:
        text = (
            f"found {piece}, expected at most the file size ({smallest}): peers can't share less "
            "than one piece"
        )
        return [CrossFault(Fault("pieceSize", text), race=("fileSize",))]
    return []
