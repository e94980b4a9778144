"""Which runs a race has, in which order, with which seeders: a pure function of the scenario.

Every party computes the same schedule by itself. Order comes from SHA-256 rather than from a
language's random module, so that it is the same on every Python and could be checked elsewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from swarmrace.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Run:
    """One transfer of one payload by one entrant's swarm."""

    index: int
    """Position in the race, from 0."""
    id: str
    """`000-bittorrent`: position and entrant."""
    entrant: str
    repetition: int
    """The block it belongs to, from 0."""
    seeders: tuple[int, ...]
    """Peer indexes in the order of their publishing; the first publishes alone."""
    payload_seed: str
    """Seed of the payload: fresh in every run, the same for no two entrants or cells of a matrix:
    a node that runs on must not meet a content again."""
    size_bytes: int

    def role(self, peer: int) -> str:
        """Return `seeder` or `leecher`."""
        return "seeder" if peer in self.seeders else "leecher"


def schedule(scenario: Scenario) -> list[Run]:
    """Return the runs in order.

    Blocks come one after another; in each the entrants' order is drawn from the master seed
    (`interleaved`), or all runs of an entrant follow each other (`sequential`).
    """
    race = scenario.race
    shape = f"{race.file_size}/{race.swarm_size}/{race.seeders}"
    slots = [(rep, name) for rep in range(race.repetitions) for name in scenario.entrants]
    if race.order == "interleaved":
        slots.sort(key=lambda slot: (slot[0], _draw(race.seed, "order", *slot)))
    else:
        names = sorted(scenario.entrants)
        slots.sort(key=lambda slot: (names.index(slot[1]), slot[0]))
    return [
        Run(
            index=index,
            id=f"{index:03d}-{name}",
            entrant=name,
            repetition=repetition,
            seeders=seeders(
                race.seed, repetition, race.swarm_size, race.seeders, race.rotate_seeders
            ),
            payload_seed=f"{race.seed}/{race.attempt}/{repetition}/{name}/{shape}",
            size_bytes=race.file_size,
        )
        for index, (repetition, name) in enumerate(slots)
    ]


def seeders(seed: int, repetition: int, size: int, count: int, rotate: bool) -> tuple[int, ...]:
    """Return the seeders of a repetition, the same for every entrant.

    With rotation a window of `count` moves over a seeded order of the peers, so that all peers
    seed equally often.
    """
    if not rotate:
        return tuple(range(count))
    order = sorted(range(size), key=lambda peer: _draw(seed, "seeders", peer))
    return tuple(order[(repetition * count + k) % size] for k in range(count))


def _draw(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
