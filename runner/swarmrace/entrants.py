"""Who races: the options of each kind of entrant.

An entrant is a name (a key of `global.entrants`) with a kind and that kind's options. A third
party's kind brings its own subclass of `EntrantOptions` (see `swarmrace.systems`).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from swarmrace.model import Flag, Model, NoText, in_yaml
from swarmrace.units import Size

Profile = Literal["stock", "tuned"]
MOST_READ_BYTES = 64 * 1024**2
"""No socket gives so much at once, and every leecher has that much memory for it."""
_PEER_KEY = "0|[1-9][0-9]{0,2}"


def _apart(nodes: list[str]) -> list[str]:
    """Refuse a node named twice: two peers would race on it."""
    seen = [url.rstrip("/") for url in nodes]
    for url in nodes:
        if seen.count(url.rstrip("/")) > 1:
            raise ValueError(f"found {url!r} twice, expected another node for each peer")
    return nodes


def _peer(key: Any) -> int:
    text = str(key) if isinstance(key, int) and not isinstance(key, bool) else key
    if isinstance(text, str) and re.fullmatch(_PEER_KEY, text):
        return int(text)
    raise ValueError(f"found the key {in_yaml(key)}, expected the index of a peer, from 0")


PeerIndex = Annotated[int, BeforeValidator(_peer)]
"""A key that tells a peer; JSON and Helm know texts alone for keys."""
_BY_PEER = {"propertyNames": {"pattern": f"^({_PEER_KEY})$"}}
NodeUrl = Annotated[str, Field(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$")]


class EntrantOptions(Model):
    """What every kind of entrant has."""

    kind: str
    profile: Profile = "stock"
    """`stock`: the program's own defaults plus only what recording or an isolated network needs;
    `tuned`: settings chosen for speed, each with its reason. A headline compares equal profiles."""


class BitTorrentOptions(EntrantOptions):
    """BitTorrent by libtorrent."""

    kind: Literal["bittorrent"] = "bittorrent"
    protocol: Literal["v1", "v2", "hybrid"] = "v1"
    """Metadata version: BEP 3, BEP 52, or both in one torrent."""
    reference: Literal["magnet", "torrent"] = "magnet"
    """What leechers hold at the start. `torrent` gives them the metadata beforehand; such a run is
    marked and never compared with Codex."""
    piece_order: Literal["rarestFirst", "sequential"] = "rarestFirst"
    """`sequential` makes delivery marks comparable with a stream's."""
    piece_size: Annotated[Size, Field(gt=0)] | None = None
    """A power of two from 16 KiB to 128 MiB; libtorrent's choice for the file size when absent."""
    utp: Flag | None = None
    """uTP (BEP 29) on or off; the profile's choice when absent (stock on, tuned off)."""
    encryption: Flag | None = None
    """Protocol encryption; the profile's choice when absent (stock enabled, tuned off)."""
    settings: dict[str, bool | Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | str] = {}
    """libtorrent settings_pack entries, applied last; each lands in the result. Its integers
    have 32 bits."""


class CodexOptions(EntrantOptions):
    """A Codex or Logos Storage node by its REST API."""

    kind: Literal["codex"] = "codex"
    family: Literal["auto", "codex", "storage"] = "auto"
    """Which API family; `auto` asks the node (and on one machine looks for either program)."""
    program: str | None = None
    """Path of the node's program on one machine; `codex` or `storage` on PATH when absent."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """The node's image on a cluster; its family's (`global.codex.families`) when absent. So two
    versions can race."""
    nodes: Annotated[
        list[NodeUrl], AfterValidator(_apart), Field(json_schema_extra={"uniqueItems": True})
    ] = []
    """Base URLs of nodes that run already, one a peer (`http://host:8080`); none is started, so
    they need `coldStart: false`."""
    download: Literal["stream", "background"] = "stream"
    """`stream` reads the content in order (delivery); `background` lets the node fetch it and
    watches its progress (arrival, on a node that reports it)."""
    block_size: Annotated[Size, Field(gt=0)] | None = None
    """Upload block size, which Logos Storage takes (power of two, 4 KiB to 512 KiB)."""
    storage_quota: Size | None = None
    """The node's quota, more than the file size; when absent, stock keeps the node's own, raised if
    the file needs it."""
    poll_seconds: Annotated[float, Field(ge=0.01, le=5), NoText] = 0.1
    """Progress poll interval of background downloads: the resolution of their marks."""
    arguments: list[str] = []
    """Further arguments for a node that swarmrace starts; they land in the result."""


class HttpOptions(EntrantOptions):
    """The baseline: one plain HTTP connection a leecher, served by sendfile."""

    kind: Literal["http"] = "http"
    read_size: Annotated[Size, Field(ge=1024, le=MOST_READ_BYTES)] = 262_144
    """Most bytes a leecher takes from its socket at once: the resolution of its marks."""


class SyntheticOptions(EntrantOptions):
    """A system for tests: it moves nothing and follows a curve exactly."""

    kind: Literal["synthetic"] = "synthetic"
    curve: list[
        tuple[
            Annotated[float, Field(ge=0, le=604_800), NoText],
            Annotated[float, Field(ge=0, le=1), NoText],
        ]
    ] = [(0.0, 0.0), (1.0, 1.0)]
    """(seconds since the start, fraction of the file held), rising; straight lines between."""
    record_size: Annotated[Size, Field(gt=0)] = 16_384
    publish_seconds: Annotated[float, Field(ge=0, le=604_800), NoText] = 0.1
    discovery_seconds: Annotated[float, Field(ge=0, le=604_800), NoText] = 0.01
    peer_factor: Annotated[
        dict[PeerIndex, Annotated[float, Field(gt=0, le=1_000_000), NoText]],
        Field(json_schema_extra=_BY_PEER),
    ] = {}
    """A leecher's times are multiplied by its factor."""
    run_factor: list[Annotated[float, Field(gt=0, le=1_000_000), NoText]] = []
    """Times of repetition k are multiplied by entry k (modulo the length)."""
    faults: Annotated[
        dict[PeerIndex, Literal["stall", "wrongBytes", "refused", "publishHangs", "crash"]],
        Field(json_schema_extra=_BY_PEER),
    ] = {}
    """Peer index to what goes wrong with it."""

    @field_validator("curve")
    @classmethod
    def _rises(cls, curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
        falls = any(b[0] < a[0] or b[1] < a[1] for a, b in pairwise(curve))
        if not curve or falls:
            raise ValueError(
                f"found the curve {in_yaml(curve)}, expected [seconds, fraction of 0 to 1], both "
                "rising"
            )
        return curve


BUILTIN_OPTIONS: dict[str, type[EntrantOptions]] = {
    "bittorrent": BitTorrentOptions,
    "codex": CodexOptions,
    "http": HttpOptions,
    "synthetic": SyntheticOptions,
}


def options_type(kind: Any) -> type[EntrantOptions] | None:
    """Return the options model of a kind, built-in or third-party, or None if there is no such."""
    if isinstance(kind, str) and kind in BUILTIN_OPTIONS:
        return BUILTIN_OPTIONS[kind]
    from swarmrace import systems

    return systems.find_options(kind)


def known_kinds() -> list[str]:
    """Return every kind that can be named, built-in and third-party."""
    from swarmrace import systems

    return sorted({*BUILTIN_OPTIONS, *systems.names()})
