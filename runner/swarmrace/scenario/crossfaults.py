"""Faults between the keys of a scenario, which no JSON Schema can say.

Those of an entrant's options come from its kind (`SystemSpec.cross_faults`). The Helm library chart
`common` says the same of each; a test holds it to these very lines.
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
"""What a kind's own cross-checks may depend on, and the keys that decide it."""

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
        scenario: whose keys are each right by themselves, apart from those left out.
        names: all entrants named, those left out too.
        unsound: keys that were wrong by themselves and were left out; what depends on one of them
            isn't judged.
        stored: it was raced; only what makes a schedule impossible is a fault.
    """
    race = scenario.race
    names = scenario.entrants if names is None else names
    every = list(_race(race))
    if not stored:
        every = [*_names(names, unsound), *every, *_acceptance(race, names)]
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
                    "a name is 1 to 20 of a-z, 0-9 and -, begins with a letter and does not "
                    "end with -",
                ),
            )


def _race(race: Race) -> Iterator[_Found]:
    if race.matrix is None and race.seeders >= race.swarm_size:
        yield (
            (f"{_RACE}.seeders", f"{_RACE}.swarmSize", f"{_RACE}.matrix"),
            Fault(
                f"{_RACE}.seeders",
                f"found {race.seeders}, expected less than {_RACE}.swarmSize "
                f"({race.swarm_size}), so that somebody leeches",
            ),
        )
    if race.matrix is not None and not race.cells():
        yield (
            (f"{_RACE}.seeders", f"{_RACE}.swarmSize", f"{_RACE}.matrix"),
            Fault(
                f"{_RACE}.matrix",
                "found no combination with fewer seeders than swarmSize, expected at "
                "least one, so that somebody leeches",
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
                    f"needs {_RACE}.rotateSeeders: false, because a peer's link is set "
                    "once for all runs",
                ),
            )


def _stopping(race: Race) -> Iterator[_Found]:
    key = f"{_RACE}.stopping"
    if not race.acceptance:
        yield (
            (key, f"{_RACE}.acceptance"),
            Fault(key, f"needs {_RACE}.acceptance: without one nothing is ever decided"),
        )
    if race.order == "sequential":
        yield (
            (key, f"{_RACE}.order"),
            Fault(key, f"needs {_RACE}.order: interleaved, because it looks at complete blocks"),
        )
    if race.continues is not None:
        yield (
            (key, f"{_RACE}.continues"),
            Fault(key, f"found with {_RACE}.continues, expected one of them: a look is at all"),
        )
    ends = [blocks for blocks in LOOKS if blocks > min(LOOKS)]
    if race.repetitions not in ends:
        yield (
            (key, f"{_RACE}.repetitions"),
            Fault(
                f"{_RACE}.repetitions",
                f"found {race.repetitions}, expected {' or '.join(map(str, ends))} with "
                f"{key}: the levels are for these looks",
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
                "so that a block is left to race",
            ),
        )
    if race.order == "sequential":
        yield (
            (key, f"{_RACE}.order"),
            Fault(
                key,
                f"needs {_RACE}.order: interleaved, because a sequential race has no blocks to go "
                "on from",
            ),
        )


def _acceptance(race: Race, names: Collection[str]) -> Iterator[_Found]:
    known = ", ".join(sorted(names)) or "none"
    for number, acceptance in enumerate(race.acceptance):
        item = f"{_RACE}.acceptance.{number}"
        # An item that was wrong by itself may lack any of its fields.
        found = {field: getattr(acceptance, field, None) for field in ("entrant", "of")}
        for field, name in found.items():
            if name is not None and name not in names:
                key = f"{item}.{field}"
                hint = nearest(name, names)
                yield (
                    (key, "global.entrants"),
                    Fault(
                        key,
                        f"found {name!r}{hint}, expected one of {known}",
                    ),
                )
        if found["of"] is not None and found["entrant"] == found["of"]:
            yield (
                (f"{item}.entrant", f"{item}.of"),
                Fault(
                    f"{item}.of",
                    f"found {found['of']!r}, expected another than the entrant: against "
                    "itself it is always met",
                ),
            )
        within = getattr(acceptance, "within", None)
        margin = getattr(acceptance, "margin", None)
        if margin is not None and within is not None and within != "equivalent":
            yield (
                (f"{item}.margin", f"{item}.within"),
                Fault(
                    f"{item}.margin",
                    "found a margin, expected none: it belongs to within: equivalent",
                ),
            )


def _entrant(key: str, options: EntrantOptions, race: Race) -> Iterator[_Found]:
    """Yield what the entrant's own kind finds wrong."""
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
