"""Test doubles: programs that play another one, so that their figures say nothing about it.

A double says so itself: its system's `describe` has `testDouble: true`, and
`SystemSpec.identity` answers for a program that has not been started yet. A system that only
exists for tests and plays no other program (`synthetic`) is no double: its own name is all that
its results claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarmrace.systems import load
from swarmrace.systems.options import EntrantOptions

MARK = "(test double)"
"""What a race with one is called everywhere."""
KEY = "testDouble"
"""In what a system describes of itself."""
WARNING = "a test double was raced, not the real program: its figures mean nothing"


def is_double(described: Mapping[str, Any]) -> bool:
    """Whether a system's description says that it is a test double.

    Before results had the key, the version alone said so.
    """
    return described.get(KEY) is True or str(described.get("version", "")).endswith("-double")


def doubles_among(entrants: Mapping[str, EntrantOptions]) -> tuple[str, ...]:
    """Return the entrants whose programs on this machine say that they are doubles."""
    return tuple(
        name
        for name, options in entrants.items()
        if load(options.kind).identity.test_double(options)
    )


def mark(name: str) -> str:
    """Return the name of a race in which a double takes part."""
    return name if name.endswith(MARK) else f"{name} {MARK}"
