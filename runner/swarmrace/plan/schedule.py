"""Which runs a race has, in which order, with which seeders: a pure function of the scenario.

Every party computes the same schedule by itself. Order comes from SHA-256 rather than from a
language's random module, so that it is the same on every Python and could be checked elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from swarmrace.recording.records import DRAW
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run


def schedule(scenario: Scenario, draw: int = DRAW, until: int | None = None) -> list[Run]:
    """Return the runs in order.

    Blocks come one after another; in each the entrants' order is drawn from master seed and
    attempt so that each is in each position equally often (`interleaved`), or all runs of an
    entrant follow each other (`sequential`).

    Args:
        scenario: what is raced.
        draw: how it is drawn; a results folder says which way its race was (`RaceInfo.draw`). 1
            drew each block's order by itself, and the same in every attempt.
        until: only the blocks before this one, where the race stopped then because everything was
            decided (`RaceInfo.decided_blocks`).
    """
    race, earlier = scenario.race, scenario.race.continues
    shape = f"{race.file_size}/{race.swarm_size}/{race.seeders}"
    names = sorted(scenario.entrants)
    blocks = race.blocks
    attempt = earlier.attempt if earlier else race.attempt
    seed = str(race.seed) if draw == 1 else f"{race.seed}/{attempt}"
    if race.order == "sequential":
        slots = [(repetition, name) for name in names for repetition in blocks]
    elif draw == 1:
        slots = [(rep, name) for rep in blocks for name in names]
        slots.sort(key=lambda slot: (slot[0], _draw(seed, "order", *slot)))
    else:
        slots = [(rep, name) for rep in blocks for name in _balanced(seed, rep, names)]
    return [
        Run(
            index=index,
            id=f"{index:03d}-{name}",
            entrant=name,
            repetition=repetition,
            seeders=seeders(seed, repetition, race.swarm_size, race.seeders, race.rotate_seeders),
            payload_seed=f"{race.seed}/{race.attempt}/{repetition}/{name}/{shape}",
            size_bytes=race.file_size,
        )
        for index, (repetition, name) in enumerate(slots, blocks.start * len(names))
        if until is None or repetition < until
    ]


def seeders(seed: object, repetition: int, size: int, count: int, rotate: bool) -> tuple[int, ...]:
    """Return the seeders of a repetition, the same for every entrant.

    With rotation a window of `count` moves over a seeded order of the peers, so that all peers
    seed equally often.
    """
    if not rotate:
        return tuple(range(count))
    order = sorted(range(size), key=lambda peer: _draw(seed, "seeders", peer))
    return tuple(order[(repetition * count + k) % size] for k in range(count))


def _balanced(seed: str, repetition: int, names: Sequence[str]) -> list[str]:
    """Return a block's order.

    As many blocks as there are entrants make a Latin square: each entrant is once in each
    position. So after any number of blocks no count differs by more than one. Each square's rows
    and entrants are drawn. Its first row (0, 1, n-1, 2, n-2 …) is that of E. J. Williams
    (Australian Journal of Scientific Research A2, 1949): of an even number of entrants each also
    follows each other one once.
    """
    count = len(names)
    square, row = divmod(repetition, count)
    drawn = sorted(names, key=lambda name: _draw(seed, "entrants", square, name))
    rows = sorted(range(count), key=lambda number: _draw(seed, "rows", square, number))
    first = [(k + 1) // 2 if k % 2 else (count - k // 2) % count for k in range(count)]
    return [drawn[(place + rows[row]) % count] for place in first]


def _draw(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
