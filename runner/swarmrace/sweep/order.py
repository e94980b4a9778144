"""The order in which a sweep's cells are raced."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

Order = Literal["shuffled", "cheapest-first"]
"""`shuffled`: drawn from a seed, so that a drift of the machine affects no axis systematically.
`cheapest-first`: by expected time, so that most cells are done soon."""


def sequence(costs: Mapping[str, float], order: Order, seed: int) -> list[str]:
    """Return the cell ids in the order in which they are raced.

    Args:
        costs: expected seconds by cell id, in the order of the axes.
        order: see `Order`.
        seed: seed of a shuffled order, which is then the same on every machine.
    """
    if order == "cheapest-first":
        return sorted(costs, key=costs.__getitem__)
    return sorted(costs, key=lambda each: hashlib.sha256(f"{seed}/{each}".encode()).hexdigest())
