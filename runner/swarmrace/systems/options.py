"""The options that every kind of entrant has; each system's package has its own."""

from __future__ import annotations

from typing import Literal

from swarmrace.model import Model

Profile = Literal["stock", "tuned"]


class EntrantOptions(Model):
    """The options of every kind of entrant."""

    kind: str
    profile: Profile = "stock"
    """`stock`: the program's own defaults, plus only what recording or an isolated network needs.
    `tuned`: settings chosen for speed, each with its reason. A headline compares equal profiles."""
