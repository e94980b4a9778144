"""The options of an `http` entrant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarmrace.systems.options import EntrantOptions
from swarmrace.units import Size

MAX_READ_BYTES = 64 * 1024**2
"""No socket returns more at once, and every leecher has a buffer of this size."""


class HttpOptions(EntrantOptions):
    """The baseline: one plain HTTP connection per leecher, served by sendfile."""

    kind: Literal["http"] = "http"
    read_size: Annotated[Size, Field(ge=1024, le=MAX_READ_BYTES)] = 262_144
    """Maximum size of a leecher's read: the resolution of its marks."""
