"""The options of an `exec` entrant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarmrace.model import Flag
from swarmrace.systems.options import EntrantOptions
from swarmrace.units import Size

Word = Annotated[str, Field(pattern=r"^[^\n\r]+$")]
"""One word of a command: requests to a pod's supervisor have one word a line."""


class ExecOptions(EntrantOptions):
    """Any program that speaks JSON lines on its standard streams (docs/exec.md)."""

    kind: Literal["exec"] = "exec"
    command: Annotated[list[Word], Field(min_length=1, examples=[["python3", "copy.py"]])]
    """Program and arguments. It runs in the folder in which swarmrace was started."""
    observes: Literal["arrived", "progress", "nothing"] = "arrived"
    """Which events report bytes: `arrived` with offset and length, `progress` with a total, or
    none."""
    in_order: Flag = False
    """Whether bytes arrive in order, so that arrival is delivery too. Only with
    `observes: arrived`."""
    uploads: Flag = False
    """Whether `publish` reads, hashes or copies the payload, so that file size over its time is an
    upload speed."""
    settings: dict[str, bool | Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | str] = {}
    """Handed to the program when a run is prepared; each is recorded in the result."""
    memory: Size = 200_000_000
    """Memory that a peer's program needs at most. A program that is killed while it uses more is
    `out of memory`."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """The program's image on a cluster; by default its sidecar's (`global.sidecars`)."""
