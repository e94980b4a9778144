"""Faults between the keys of a scenario, which no JSON Schema can say.

The Helm library chart `common` says the same of each; a test holds it to these very lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from swarmrace.faults import nearest

if TYPE_CHECKING:
    from swarmrace.entrants import EntrantOptions
    from swarmrace.scenario import Race, Scenario

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_BLOCK_BYTES = 16_384
_RACE = "global.race"

_Fault = tuple[tuple[str, ...], str]
"""The keys that a fault depends on, and its line."""


def cross_faults(
    scenario: Scenario,
    names: Collection[str] | None = None,
    unsound: Collection[str] = (),
) -> list[str]:
    """Return the faults between keys, one line each.

    Args:
        scenario: whose keys are each right by themselves, apart from those left out.
        names: all entrants named, those left out too.
        unsound: keys that were wrong by themselves and were left out; what depends on one of them
            isn't judged.
    """
    race = scenario.race
    names = scenario.entrants if names is None else names
    every = [*_names(names), *_race(race), *_acceptance(race, names)]
    sizes = (race.matrix.file_size if race.matrix else []) or [race.file_size]
    for name, options in scenario.entrants.items():
        every += _entrant(f"global.entrants.{name}", options, min(sizes), race)
    return [
        line
        for keys, line in every
        if not any(f"{key}.".startswith(f"{bad}.") for key in keys for bad in unsound)
    ]


def _names(names: Collection[str]) -> Iterator[_Fault]:
    if not names:
        yield ("global.entrants",), "global.entrants: found none, expected at least one"
    for name in names:
        if not _NAME.fullmatch(name):
            key = f"global.entrants.{name}"
            yield (
                (key,),
                f"{key}: a name is 1 to 20 of a-z, 0-9 and -, begins with a letter and does not "
                "end with -",
            )


def _race(race: Race) -> Iterator[_Fault]:
    if race.matrix is None and race.seeders >= race.swarm_size:
        yield (
            (f"{_RACE}.seeders", f"{_RACE}.swarmSize", f"{_RACE}.matrix"),
            f"{_RACE}.seeders: found {race.seeders}, expected less than {_RACE}.swarmSize "
            f"({race.swarm_size}), so that somebody leeches",
        )
    if race.matrix is not None and not race.cells():
        yield (
            (f"{_RACE}.seeders", f"{_RACE}.swarmSize", f"{_RACE}.matrix"),
            f"{_RACE}.matrix: found no combination with fewer seeders than swarmSize, expected at "
            "least one, so that somebody leeches",
        )
    networks = {f"{_RACE}.network": race.network}
    for number, network in enumerate(race.matrix.network if race.matrix else []):
        networks[f"{_RACE}.matrix.network.{number}"] = network
    for key, network in networks.items():
        if network.seeders is not None and race.rotate_seeders:
            yield (
                (f"{key}.seeders", f"{_RACE}.rotateSeeders"),
                f"{key}.seeders: needs {_RACE}.rotateSeeders: false, because a peer's link is set "
                "once for all runs",
            )


def _acceptance(race: Race, names: Collection[str]) -> Iterator[_Fault]:
    known = ", ".join(sorted(names)) or "none"
    for number, acceptance in enumerate(race.acceptance):
        for field in ("entrant", "of"):
            name = getattr(acceptance, field)
            if name not in names:
                key = f"{_RACE}.acceptance.{number}.{field}"
                hint = nearest(name, names)
                yield (key,), f"{key}: found {name!r}{hint}, expected one of {known}"


def _entrant(key: str, options: EntrantOptions, smallest: int, race: Race) -> Iterator[_Fault]:
    piece = getattr(options, "piece_size", None)
    if piece is not None and (piece & (piece - 1) or piece < _BLOCK_BYTES):
        yield (
            (f"{key}.pieceSize",),
            f"{key}.pieceSize: found {piece}, expected a power of two of at least 16KiB",
        )
    elif piece is not None and piece > smallest:
        yield (
            (f"{key}.pieceSize", f"{_RACE}.fileSize", f"{_RACE}.matrix"),
            f"{key}.pieceSize: found {piece}, expected at most the file size ({smallest}): less "
            "than one piece can't be shared",
        )
    block = getattr(options, "block_size", None)
    if block is not None and (block & (block - 1) or not 4096 <= block <= 524_288):
        yield (
            (f"{key}.blockSize",),
            f"{key}.blockSize: found {block}, expected a power of two from 4KiB to 512KiB",
        )
    nodes = getattr(options, "nodes", None)
    most = max((race.matrix.swarm_size if race.matrix else []) or [race.swarm_size])
    if nodes and len(nodes) < most:
        yield (
            (f"{key}.nodes", f"{_RACE}.swarmSize", f"{_RACE}.matrix"),
            f"{key}.nodes: found {len(nodes)}, expected one for each of {most} peers",
        )
