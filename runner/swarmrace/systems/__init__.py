"""The systems that can be raced, found by entry point and loaded when first used.

Every kind, built in or not, is an entry point of the group `swarmrace.systems` that names a
`SystemSpec` (docs/adding-a-system.md). Only pyproject.toml lists the built-in kinds.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from swarmrace.errors import UnavailableError
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.spec import API_VERSION, SystemSpec

GROUP = "swarmrace.systems"


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """Return the installed kinds, without loading any."""
    return sorted(_entry_points())


def built_in() -> list[str]:
    """Return the kinds that come with swarmrace, without loading any."""
    entries = _entry_points().items()
    return sorted(kind for kind, entry in entries if entry.dist and entry.dist.name == "swarmrace")


def find_options(kind: object) -> type[EntrantOptions] | None:
    """Return the options model of an installed kind, or None if no such kind is installed."""
    return load(kind).options if isinstance(kind, str) and kind in names() else None


def find(kind: str) -> SystemSpec | None:
    """Return a kind's specification, or None if it isn't installed or can't be imported here."""
    try:
        return load(kind)
    except UnavailableError:
        return None


def packages(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the Python packages of these kinds whose version could affect a figure."""
    specs = (find(kind) for kind in dict.fromkeys(kinds))
    return tuple(name for spec in specs if spec is not None for name in spec.identity.packages)


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
            f"entrant kind {kind!r}: expected a swarmrace.api.SystemSpec, found {spec!r}"
        )
    if spec.api_version != API_VERSION:
        raise UnavailableError(
            f"entrant kind {kind!r}: found a package for version {spec.api_version} of "
            f"swarmrace.api, expected version {API_VERSION}; install another version of it"
        )
    return spec
