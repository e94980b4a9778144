"""The schedule of a race (its runs, their order and seeders): a pure function of the scenario.

Every process computes the same schedule. The order comes from SHA-256 instead of a random module,
so that it is the same on every Python version and can be checked in other languages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from swarmrace.recording.records import DRAW
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run


def schedule(scenario: Scenario, draw: int = DRAW, until: int | None = None) -> list[Run]:
    """Return the runs in order.

    `interleaved`: blocks come one after another. In each block the order of the entrants is drawn
    from master seed and attempt, so that each entrant is in each position equally often.
    `sequential`: all runs of one entrant come before those of the next.

    Args:
        scenario: what is raced.
        draw: version of the draw, which a results folder records (`RaceInfo.draw`). Version 1 drew
            each block's order independently, and the same in every attempt.
        until: only the blocks before this one, if the race stopped there because every acceptance
            was decided (`RaceInfo.decided_blocks`).
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

    With rotation, a window of `count` peers moves over a drawn order of all peers, so that all
    peers seed equally often.
    """
    if not rotate:
        return tuple(range(count))
    order = sorted(range(size), key=lambda peer: _draw(seed, "seeders", peer))
    return tuple(order[(repetition * count + k) % size] for k in range(count))


def _balanced(seed: str, repetition: int, names: Sequence[str]) -> list[str]:
    """Return a block's order of entrants.

    n blocks of n entrants make a Latin square: each entrant is once in each position. So after any
    number of blocks, these counts differ by at most one. The order of each square's rows and of its
    entrants is drawn. Its first row (0, 1, n-1, 2, n-2 …) is that of E. J. Williams (Australian
    Journal of Scientific Research A2, 1949): with an even number of entrants, each entrant also
    follows each other entrant once.
    """
    count = len(names)
    square, row = divmod(repetition, count)
    drawn = sorted(names, key=lambda name: _draw(seed, "entrants", square, name))
    rows = sorted(range(count), key=lambda number: _draw(seed, "rows", square, number))
    first = [(k + 1) // 2 if k % 2 else (count - k // 2) % count for k in range(count)]
    return [drawn[(place + rows[row]) % count] for place in first]


def _draw(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
