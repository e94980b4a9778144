"""Test doubles: programs that imitate another one, so that their figures say nothing about it.

A double declares itself: its system's `describe` has `testDouble: true`, and `SystemSpec.identity`
reports it for a program that hasn't been started yet. A system that exists only for tests and
imitates no other program (`synthetic`) is no double: its results claim nothing but its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarmrace.systems import load
from swarmrace.systems.options import EntrantOptions

MARK = "(test double)"
"""Added to the name of every race with a double."""
KEY = "testDouble"
"""The key in `System.describe`."""
WARNING = "a test double was raced, not the real program: its figures mean nothing"


def is_double(described: Mapping[str, Any]) -> bool:
    """Return whether a system's description says that it is a test double.

    In results from before the key, only the version says so.
    """
    return described.get(KEY) is True or str(described.get("version", "")).endswith("-double")


def doubles_among(entrants: Mapping[str, EntrantOptions]) -> tuple[str, ...]:
    """Return the entrants whose programs on this machine declare themselves doubles."""
    return tuple(
        name
        for name, options in entrants.items()
        if load(options.kind).identity.test_double(options)
    )


def mark(name: str) -> str:
    """Return the name of a race with a double."""
    return name if name.endswith(MARK) else f"{name} {MARK}"
