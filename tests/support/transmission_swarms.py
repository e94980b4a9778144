"""Swarms of real Transmission daemons in a network namespace of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from swarmrace.contract.loopback import in_own_network
from swarmrace.contract.swarm import Subject, Swarm, swarm
from swarmrace.peer import transfer
from swarmrace.recording.records import Failure
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.abc import Record
from swarms import needs_program

T = TypeVar("T")
needs_transmission = needs_program("transmission")


def in_swarm(
    body: Callable[[Swarm], Awaitable[T]],
    folder: Path,
    size_bytes: int = 1_000_003,
    peers: int = 2,
    work_dirs: Mapping[int, Path] | None = None,
    **options: Any,
) -> T:
    """Run `body` over a swarm; return what it returns.

    Args:
        body: gets the swarm, whose peers are not prepared.
        folder: an empty one, made if it is not there.
        size_bytes: the payload's size.
        peers: how many.
        work_dirs: folders of some peers in place of their own.
        options: of the entrant, by their names in Python.
    """

    folder.mkdir(exist_ok=True)

    async def go() -> T:
        async with swarm(Subject("transmission", options), folder, size_bytes, peers) as made:
            for peer, work_dir in (work_dirs or {}).items():
                context = replace(made.systems[peer].context, work_dir=work_dir)
                made.systems[peer] = made.spec.create(context, made.options)
            return await body(made)

    return in_own_network(lambda: asyncio.run(go()))


async def raced(
    made: Swarm,
    references: list[dict[str, Any]],
    limits: Timeouts,
    blame: transfer.Blame = lambda failure, _: failure,
) -> tuple[Failure | None, Record]:
    """Race the last peer as a peer of a race does; return why it failed, and its record."""
    record = made.record()
    now_ns = record.clock.now_ns()
    _, failure = await transfer.race(
        made.systems[-1], references, record, limits, now_ns, lambda: None, blame
    )
    return failure, record
