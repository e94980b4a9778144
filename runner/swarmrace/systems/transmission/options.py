"""The options of a `transmission` entrant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarmrace.model import Flag, NoText
from swarmrace.systems.options import EntrantOptions
from swarmrace.units import Size


class TransmissionOptions(EntrantOptions):
    """BitTorrent by Transmission's daemon and its RPC."""

    kind: Literal["transmission"] = "transmission"
    program: str | None = None
    """Path of transmission-daemon on one machine; by default the one on PATH."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """The daemon's image on a cluster; by default its sidecar's (`global.sidecars`)."""
    utp: Flag | None = None
    """uTP (BEP 29) on or off; by default the profile's choice (stock on, tuned off)."""
    piece_size: Annotated[Size, Field(gt=0)] | None = None
    """A power of two from 16 KiB to 16 MiB; by default libtorrent's choice for the file size, as
    for a `bittorrent` entrant."""
    poll_seconds: Annotated[float, Field(ge=0.001, le=5), NoText] = 0.02
    """Pause between two polls of a leecher's progress: the resolution of its marks."""
    settings: dict[str, bool | Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | str] = {}
    """Entries of the daemon's settings.json, applied last; each is recorded in the result."""
