"""The systems that can be raced, found by entry point and loaded when first used.

Every kind, the built-in ones among them, is an entry point of the group `swarmrace.systems` that
names a `SystemSpec` (docs/adding-a-system.md). pyproject.toml lists the built-in ones, once.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from swarmrace.errors import UnavailableError
from swarmrace.systems.abc import SystemSpec
from swarmrace.systems.options import EntrantOptions

GROUP = "swarmrace.systems"


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """Return the kinds that are installed, without loading any."""
    return sorted(_entry_points())


def find_options(kind: object) -> type[EntrantOptions] | None:
    """Return the options model of an installed kind, or None if no such kind is installed."""
    return load(kind).options if isinstance(kind, str) and kind in names() else None


@cache
def load(kind: str) -> SystemSpec:
    """Load a kind's specification.

    Raises:
        UnavailableError: no such kind is installed, or it can't be imported.
    """
    if kind not in _entry_points():
        raise UnavailableError(
            f"entrant kind {kind!r}: not installed; installed are {', '.join(names())}"
        )
    try:
        spec = _entry_points()[kind].load()
    except ImportError as error:
        raise UnavailableError(
            f"entrant kind {kind!r}: can't be imported ({error}); install its package again"
        ) from error
    if not isinstance(spec, SystemSpec):
        raise UnavailableError(
            f"entrant kind {kind!r}: expected a swarmrace.systems.abc.SystemSpec, found {spec!r}"
        )
    return spec
