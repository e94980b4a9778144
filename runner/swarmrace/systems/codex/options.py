"""The options of a `codex` entrant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from swarmrace.model import NoText
from swarmrace.systems.options import EntrantOptions
from swarmrace.units import Size

NodeUrl = Annotated[str, Field(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$")]


def _distinct(nodes: list[str]) -> list[str]:
    """Refuse a node that is given twice: two peers would share it."""
    seen = [url.rstrip("/") for url in nodes]
    for url in nodes:
        if seen.count(url.rstrip("/")) > 1:
            raise ValueError(f"found {url!r} twice, expected a different node for each peer")
    return nodes


class CodexOptions(EntrantOptions):
    """A Codex or Logos Storage node by its REST API."""

    kind: Literal["codex"] = "codex"
    family: Literal["auto", "codex", "storage"] = "auto"
    """The API family; `auto` asks the node (and on one machine looks for either program)."""
    program: str | None = None
    """Path of the node's program on one machine; by default `codex` or `storage` on PATH."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """The node's image on a cluster; by default its sidecar's (`global.sidecars`). With it two
    versions can race."""
    nodes: Annotated[
        list[NodeUrl], AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True})
    ] = []
    """Base URLs of nodes that already run, one for each peer (`http://host:8080`). None is started,
    so they need `coldStart: false`."""
    download: Literal["stream", "background"] = "stream"
    """`stream` reads the content in order (delivery); `background` lets the node fetch it and
    watches its progress (arrival, if the node reports it)."""
    block_size: Annotated[Size, Field(gt=0)] | None = None
    """Upload block size, only for Logos Storage (power of two, 4 KiB to 512 KiB)."""
    storage_quota: Size | None = None
    """The node's quota, more than the file size; by default the node's own, raised if the file
    needs more."""
    poll_seconds: Annotated[float, Field(ge=0.01, le=5), NoText] = 0.1
    """Polling interval of background downloads: the resolution of their marks."""
    arguments: list[str] = []
    """Further arguments for a node that swarmrace starts; they are recorded in the result."""
