"""Faults between the keys of a scenario, which JSON Schema can't express.

Faults of an entrant's options come from its kind (`SystemSpec.cross_faults`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from swarmrace import systems
from swarmrace.errors import Fault
from swarmrace.faults import nearest
from swarmrace.scenario.entrants import NAME_PATTERN
from swarmrace.scenario.scenario import Race, Scenario
from swarmrace.statistics.looks import LOOKS
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.parts import RaceKey, RaceShape

_NAME = re.compile(NAME_PATTERN)
_RACE = "global.race"
_RACE_KEYS: dict[RaceKey, tuple[str, ...]] = {
    "fileSize": (f"{_RACE}.fileSize", f"{_RACE}.matrix"),
    "swarmSize": (f"{_RACE}.swarmSize", f"{_RACE}.matrix"),
    "coldStart": (f"{_RACE}.coldStart",),
}
"""The facts of a race that a kind's cross-checks may depend on, and the keys that decide each."""

_Found = tuple[tuple[str, ...], Fault]
"""The keys that a fault depends on, and the fault."""


def cross_faults(
    scenario: Scenario,
    names: Collection[str] | None = None,
    unsound: Collection[str] = (),
    *,
    stored: bool = False,
) -> list[Fault]:
    """Return the faults between keys.

    Args:
        scenario: a scenario whose keys are each valid; faulty keys are left out.
        names: the names of all entrants, including those left out.
        unsound: the faulty keys that were left out; faults that depend on one are not reported.
        stored: the scenario was raced; report only faults that make a schedule impossible.
    """
    race = scenario.race
    names = scenario.entrants if names is None else names
    every = list(_race(race))
    if not stored:
        judged = [*_acceptance(race, names), *_known(f"{_RACE}.baseline", race.baseline, names)]
        every = [*_names(names, unsound), *every, *judged]
        for name, options in scenario.entrants.items():
            every += _entrant(f"global.entrants.{name}", options, race)
    return [
        fault
        for keys, fault in every
        if not any(f"{key}.".startswith(f"{bad}.") for key in keys for bad in unsound)
    ]


def _names(names: Collection[str], unsound: Collection[str]) -> Iterator[_Found]:
    if not names and not any(key.startswith("global.entrants.") for key in unsound):
        yield ("global.entrants",), Fault("global.entrants", "found none, expected at least one")
    for name in names:
        if not _NAME.fullmatch(name):
            key = f"global.entrants.{name}"
            yield (
                (key,),
                Fault(
                    key,
                    "a name has 1 to 20 characters of a-z, 0-9 and -, begins with a letter and "
                    "does not end with -",
                ),
            )


def _race(race: Race) -> Iterator[_Found]:
    if race.matrix is None and race.seeders >= race.swarm_size:
        yield (
            (f"{_RACE}.seeders", f"{_RACE}.swarmSize", f"{_RACE}.matrix"),
            Fault(
                f"{_RACE}.seeders",
                f"found {race.seeders}, expected less than {_RACE}.swarmSize "
                f"({race.swarm_size}), so that at least one peer leeches",
            ),
        )
    if race.matrix is not None and not race.cells():
        yield (
            (f"{_RACE}.seeders", f"{_RACE}.swarmSize", f"{_RACE}.matrix"),
            Fault(
                f"{_RACE}.matrix",
                "found no combination with fewer seeders than swarmSize, expected at least one, "
                "so that at least one peer leeches",
            ),
        )
    if race.continues is not None:
        yield from _continues(race)
    if race.stopping:
        yield from _stopping(race)
    networks = {f"{_RACE}.network": race.network}
    for number, network in enumerate(race.matrix.network if race.matrix else []):
        networks[f"{_RACE}.matrix.network.{number}"] = network
    for key, network in networks.items():
        if network.seeders is not None and race.rotate_seeders:
            yield (
                (f"{key}.seeders", f"{_RACE}.rotateSeeders"),
                Fault(
                    f"{key}.seeders",
                    f"needs {_RACE}.rotateSeeders: false, because a peer's rates are set once "
                    "for all runs",
                ),
            )


def _stopping(race: Race) -> Iterator[_Found]:
    key = f"{_RACE}.stopping"
    if not race.acceptance:
        yield (
            (key, f"{_RACE}.acceptance"),
            Fault(key, f"needs {_RACE}.acceptance: without one, nothing decides when to stop"),
        )
    if race.order == "sequential":
        yield (
            (key, f"{_RACE}.order"),
            Fault(key, f"needs {_RACE}.order: interleaved, because only complete blocks count"),
        )
    if race.continues is not None:
        yield (
            (key, f"{_RACE}.continues"),
            Fault(
                key,
                f"found together with {_RACE}.continues, expected only one of them, because a look "
                "judges all blocks",
            ),
        )
    ends = [blocks for blocks in LOOKS if blocks > min(LOOKS)]
    if race.repetitions not in ends:
        yield (
            (key, f"{_RACE}.repetitions"),
            Fault(
                f"{_RACE}.repetitions",
                f"found {race.repetitions}, expected {' or '.join(map(str, ends))} with {key}, "
                "because the levels are computed for these looks",
            ),
        )


def _continues(race: Race) -> Iterator[_Found]:
    earlier = getattr(race.continues, "blocks", None)
    key = f"{_RACE}.continues"
    if earlier is not None and earlier >= race.repetitions:
        yield (
            (f"{key}.blocks", f"{_RACE}.repetitions"),
            Fault(
                f"{key}.blocks",
                f"found {earlier}, expected less than {_RACE}.repetitions ({race.repetitions}), "
                "so that at least one block is left to race",
            ),
        )
    if race.order == "sequential":
        yield (
            (key, f"{_RACE}.order"),
            Fault(
                key,
                f"needs {_RACE}.order: interleaved, because a sequential race has no blocks to "
                "continue",
            ),
        )


def _acceptance(race: Race, names: Collection[str]) -> Iterator[_Found]:
    for number, acceptance in enumerate(race.acceptance):
        item = f"{_RACE}.acceptance.{number}"
        # A faulty item may lack any of its fields.
        found = {field: getattr(acceptance, field, None) for field in ("entrant", "of")}
        for field, name in found.items():
            yield from _known(f"{item}.{field}", name, names)
        if found["of"] is not None and found["entrant"] == found["of"]:
            yield (
                (f"{item}.entrant", f"{item}.of"),
                Fault(
                    f"{item}.of",
                    f"found {found['of']!r}, expected another entrant, because an entrant always "
                    "meets a bound against itself",
                ),
            )
        within = getattr(acceptance, "within", None)
        margin = getattr(acceptance, "margin", None)
        if margin is not None and within is not None and within != "equivalent":
            yield (
                (f"{item}.margin", f"{item}.within"),
                Fault(
                    f"{item}.margin",
                    "found a margin, expected none unless within is equivalent",
                ),
            )


def _known(key: str, name: str | None, names: Collection[str]) -> Iterator[_Found]:
    """Yield a fault if a key names no entrant."""
    if name is not None and name not in names:
        known = ", ".join(sorted(names)) or "none"
        text = f"found {name!r}{nearest(name, names)}, expected one of {known}"
        yield (key, "global.entrants"), Fault(key, text)


def _entrant(key: str, options: EntrantOptions, race: Race) -> Iterator[_Found]:
    """Yield the faults that the entrant's kind finds."""
    spec = systems.find(options.kind)
    if spec is None:
        return
    matrix = race.matrix
    shape = RaceShape(
        file_sizes=tuple((matrix.file_size if matrix else []) or [race.file_size]),
        swarm_sizes=tuple((matrix.swarm_size if matrix else []) or [race.swarm_size]),
        cold_start=race.cold_start,
    )
    for found in spec.cross_faults(options, shape):
        fault = found.fault.below(key)
        options_keys = [f"{key}.{each}" for each in found.options]
        race_keys = [each for name in found.race for each in _RACE_KEYS[name]]
        yield (fault.key, *options_keys, *race_keys), fault
