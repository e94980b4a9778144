"""The options of an `http` entrant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarmrace.systems.options import EntrantOptions
from swarmrace.units import Size

MAX_READ_BYTES = 64 * 1024**2
"""No socket gives so much at once, and every leecher has that much memory for it."""


class HttpOptions(EntrantOptions):
    """The baseline: one plain HTTP connection a leecher, served by sendfile."""

    kind: Literal["http"] = "http"
    read_size: Annotated[Size, Field(ge=1024, le=MAX_READ_BYTES)] = 262_144
    """Most bytes a leecher takes from its socket at once: the resolution of its marks."""
