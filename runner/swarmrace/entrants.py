"""Who races: the options of each kind of entrant.

An entrant is a name (a key of `global.entrants`) with a kind and that kind's options. A third
party's kind brings its own subclass of `EntrantOptions` (see `swarmrace.systems`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from swarmrace.model import Flag, Model, NoText
from swarmrace.units import Size

Profile = Literal["stock", "tuned"]


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
    """A power of two of at least 16 KiB; libtorrent's choice for the file size when absent."""
    utp: Flag | None = None
    """uTP (BEP 29) on or off; the profile's choice when absent (stock on, tuned off)."""
    encryption: Flag | None = None
    """Protocol encryption; the profile's choice when absent (stock enabled, tuned off)."""
    settings: dict[str, bool | int | str] = {}
    """libtorrent settings_pack entries, applied last; each lands in the result."""


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
    nodes: list[str] = []
    """Base URLs of nodes that run already, one a peer (`http://host:8080`); none is started."""
    download: Literal["stream", "background"] = "stream"
    """`stream` reads the content in order (delivery); `background` lets the node fetch it and
    watches its progress (arrival, on a node that reports it)."""
    block_size: Annotated[Size, Field(gt=0)] | None = None
    """Upload block size, where the node takes one (power of two, 4 KiB to 512 KiB)."""
    storage_quota: Size | None = None
    """The node's quota; when absent, stock keeps the node's own, raised if the file needs it."""
    poll_seconds: Annotated[float, Field(ge=0.01, le=5), NoText] = 0.1
    """Progress poll interval of background downloads: the resolution of their marks."""
    arguments: list[str] = []
    """Further arguments for a node that swarmrace starts; they land in the result."""


class HttpOptions(EntrantOptions):
    """The baseline: one plain HTTP connection a leecher, served by sendfile."""

    kind: Literal["http"] = "http"
    read_size: Annotated[Size, Field(ge=1024)] = 262_144
    """Most bytes a leecher takes from its socket at once: the resolution of its marks."""


class SyntheticOptions(EntrantOptions):
    """A system for tests: it moves nothing and follows a curve exactly."""

    kind: Literal["synthetic"] = "synthetic"
    curve: list[tuple[float, float]] = [(0.0, 0.0), (1.0, 1.0)]
    """(seconds since the start, fraction of the file held), rising; straight lines between."""
    record_size: Annotated[Size, Field(gt=0)] = 16_384
    publish_seconds: Annotated[float, Field(ge=0), NoText] = 0.1
    discovery_seconds: Annotated[float, Field(ge=0), NoText] = 0.01
    peer_factor: dict[int, Annotated[float, Field(gt=0), NoText]] = {}
    """A leecher's times are multiplied by its factor."""
    run_factor: list[Annotated[float, Field(gt=0), NoText]] = []
    """Times of repetition k are multiplied by entry k (modulo the length)."""
    faults: dict[int, Literal["stall", "wrongBytes", "refused", "publishHangs", "crash"]] = {}
    """Peer index to what goes wrong with it."""

    @field_validator("curve")
    @classmethod
    def _rises(cls, curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
        inside = all(seconds >= 0 and 0 <= fraction <= 1 for seconds, fraction in curve)
        falls = any(b[0] < a[0] or b[1] < a[1] for a, b in pairwise(curve))
        if not curve or not inside or falls:
            raise ValueError(
                f"found the curve {curve}, expected [seconds, fraction of 0 to 1], both rising"
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
