"""The options that every kind of entrant has; each system's package has its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from swarmrace.model import Model

Profile = Literal["stock", "tuned"]


class EntrantOptions(Model):
    """The options of every kind of entrant."""

    FORMER: ClassVar[Mapping[str, Any]] = {}
    """What was raced before an option existed, by its key in a scenario, if that isn't today's
    default. Results of that time are read so."""

    kind: str
    profile: Profile = "stock"
    """`stock`: the program's own defaults, plus only what recording or an isolated network needs.
    `tuned`: settings chosen for speed, each with its reason. A headline compares equal profiles."""
