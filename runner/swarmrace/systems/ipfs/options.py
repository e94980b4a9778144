"""The options of an `ipfs` entrant."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from swarmrace.model import Flag, NoText
from swarmrace.systems.options import EntrantOptions
from swarmrace.units import Size

CHUNKER = r"^(size-[1-9][0-9]*|rabin(-[1-9][0-9]*){0,3}|buzhash)$"


class IpfsOptions(EntrantOptions):
    """IPFS: kubo, driven through its RPC."""

    kind: Literal["ipfs"] = "ipfs"
    program: str | None = None
    """Path of kubo's program on one machine; by default `ipfs` on PATH, otherwise the one that
    `make systems` built."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """The node's image on a cluster; by default its sidecar's (`global.sidecars`). With it two
    versions can race."""
    download: Literal["stream", "background"] = "stream"
    """`stream` reads the content in order (`ipfs cat`: delivery and arrival); `background` lets
    the node fetch and pin it, in any order (`ipfs pin add`: arrival)."""
    poll_seconds: Annotated[float, Field(ge=0.01, le=5), NoText] = 0.1
    """Polling interval of the node's block counters: the resolution of arrival."""
    quic: Flag | None = None
    """Whether nodes use QUIC besides TCP; by default the profile's choice (stock on, tuned
    off)."""
    chunker: Annotated[str, Field(pattern=CHUNKER)] | None = None
    """How a file is cut into blocks: `size-262144`, `rabin-MIN-AVERAGE-MAX` or `buzhash`; by
    default the profile's choice (stock `size-262144`, tuned `size-1048576`)."""
    raw_leaves: Flag | None = None
    """Whether blocks hold raw payload, without a frame; by default the profile's choice (stock
    off, tuned on)."""
    storage_quota: Annotated[Size, Field(gt=0)] | None = None
    """`Datastore.StorageMax`, more than the file size; kubo applies it only with `gc`. By default
    kubo's own (10 GB), raised if the file needs more."""
    gc: Flag = False
    """Whether the node collects garbage while it runs (`--enable-gc`)."""
    settings: dict[str, Any] = {}
    """Entries of kubo's configuration by their dotted names (`Internal.Bitswap.TaskWorkerCount:
    16`), applied last; each is recorded in the result."""
