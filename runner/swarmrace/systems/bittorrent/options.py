"""The options of a `bittorrent` entrant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarmrace.model import Flag
from swarmrace.systems.options import EntrantOptions
from swarmrace.units import Size


class BitTorrentOptions(EntrantOptions):
    """BitTorrent by libtorrent."""

    FORMER = {"recordWrites": True}

    kind: Literal["bittorrent"] = "bittorrent"
    protocol: Literal["v1", "v2", "hybrid"] = "v1"
    """Metadata version: BEP 3, BEP 52, or both in one torrent."""
    reference: Literal["magnet", "torrent"] = "magnet"
    """What leechers have at the start. `torrent` gives them the metadata beforehand; such a run is
    marked and never compared with Codex."""
    piece_order: Literal["rarestFirst", "sequential"] = "rarestFirst"
    """`sequential` makes delivery marks comparable with a stream's."""
    piece_size: Annotated[Size, Field(gt=0)] | None = None
    """A power of two from 16 KiB to 128 MiB; by default libtorrent's choice for the file size."""
    utp: Flag | None = None
    """uTP (BEP 29) on or off; by default the profile's choice (stock on, tuned off)."""
    encryption: Flag | None = None
    """Protocol encryption; by default the profile's choice (stock enabled, tuned off)."""
    record_writes: Flag = False
    """Whether to record also when each block was written (`written`). A piece then counts as
    delivered only once it has been written too. That takes CPU: a swarm of 32 peers on 2 CPUs lost
    more than 10 % of its speed by it."""
    settings: dict[str, bool | Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | str] = {}
    """libtorrent settings_pack entries, applied last; each is recorded in the result. Integers
    have 32 bits."""
