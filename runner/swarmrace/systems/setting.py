"""A setting of a program that is raced, with the reason for it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Setting(NamedTuple):
    """A value and why it is set."""

    value: Any
    why: str
