"""Creating torrents and references to them: metainfo (BEP 3, BEP 52), magnet links (BEP 9)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import libtorrent as lt

from swarmrace.errors import Reason, TransferError

BLOCK_BYTES = 16_384
"""Size of a BitTorrent request (BEP 3); only the last block of a file is shorter."""
NAME = "payload.bin"
"""The file's name in every torrent, whatever its real name, so that all seeders get the same
info-hash."""

_FLAGS = {"v1": "v1_only", "v2": "v2_only"}


@dataclass(frozen=True, slots=True)
class Torrent:
    """A torrent of one file, and the directory that holds its content as `NAME`."""

    metainfo: bytes
    """The .torrent file."""
    directory: Path

    @property
    def info(self) -> lt.torrent_info:
        """The parsed metainfo; a new object each time."""
        decoded: Any = lt.bdecode(self.metainfo)
        return lt.torrent_info(decoded)


def make(
    file: Path, directory: Path, *, protocol: str, piece_bytes: int | None, announce_url: str
) -> Torrent:
    """Hash `file` and return its torrent. Blocks for about 1 s per GB; run it in a thread.

    Args:
        file: any regular file; a link to it named `NAME` is created in `directory`.
        directory: created if missing.
        protocol: `v1`, `v2` or `hybrid`.
        piece_bytes: the piece length; None for libtorrent's choice by the file's size.
        announce_url: the tracker.

    Raises:
        TransferError: the file can't be read or is empty.
    """
    try:
        size = file.stat().st_size
        directory.mkdir(parents=True, exist_ok=True)
        link = directory / NAME
        link.unlink(missing_ok=True)
        link.symlink_to(file.resolve(strict=True))
        if not size:
            raise TransferError(
                Reason.REFUSED, f"{file} is empty: a torrent needs at least one byte"
            )
        entry = lt.create_file_entry(NAME, size)
        flags = getattr(lt.create_torrent, _FLAGS[protocol]) if protocol in _FLAGS else 0
        creator = lt.create_torrent([entry], piece_bytes or 0, flags)
        # With a callback, other threads get the interpreter between two pieces.
        lt.set_piece_hashes(creator, str(directory), lambda piece: None)
    except (OSError, RuntimeError) as error:
        raise TransferError(
            Reason.REFUSED, f"{file}: no torrent can be made of it: {error}"
        ) from error
    metainfo = creator.generate()
    metainfo[b"announce"] = announce_url.encode()
    # Not generate_buf(): it raises UnicodeDecodeError (libtorrent 2.1.1).
    return Torrent(lt.bencode(metainfo), directory)


def info_hash(info: lt.torrent_info) -> str:
    """Return the info-hash in hex: v2's SHA-256 if there is one, otherwise v1's SHA-1."""
    hashes = info.info_hashes()
    return str(hashes.v2 if hashes.has_v2() else hashes.v1)


def reference(torrent: Torrent, kind: str, announce_url: str) -> dict[str, Any]:
    """Return a leecher's reference: a magnet link (info-hashes and tracker only) or the
    .torrent file."""
    info = torrent.info
    if kind == "torrent":
        data = base64.b64encode(torrent.metainfo).decode()
        return {"torrent": data, "infoHash": info_hash(info)}
    hashes, topics = info.info_hashes(), []
    if hashes.has_v1():
        topics.append(f"xt=urn:btih:{hashes.v1}")
    if hashes.has_v2():
        # A multihash: 0x12 is SHA-256, 0x20 its length (BEP 52).
        topics.append(f"xt=urn:btmh:1220{hashes.v2}")
    tracker = f"tr={quote(announce_url, safe='')}"
    return {"magnet": f"magnet:?{'&'.join([*topics, tracker])}", "infoHash": info_hash(info)}


def parameters(reference: Mapping[str, Any]) -> lt.add_torrent_params:
    """Return libtorrent's parameters to fetch a reference.

    Raises:
        TransferError: it isn't a BitTorrent reference, or its torrent has another info-hash.
    """
    try:
        if "magnet" in reference:
            return lt.parse_magnet_uri(reference["magnet"])
        raw = base64.b64decode(reference["torrent"], validate=True)
        result = lt.load_torrent_buffer(raw)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TransferError(
            Reason.REFUSED,
            f"expected a reference with `magnet` or `torrent`, found {reference!s:.80} ({error})",
        ) from error
    assert result.ti is not None
    found = info_hash(result.ti)
    if found != reference.get("infoHash", found):
        raise TransferError(
            Reason.REFUSED, f"expected info-hash {reference['infoHash']}, the torrent has {found}"
        )
    return result
