"""Swarms of real kubo nodes over loopback addresses, for tests that drive the system itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from patience import PATIENCE_SECONDS
from swarmrace.contract.swarm import Subject, Swarm, swarm
from swarmrace.errors import Reason
from swarmrace.peer import transfer
from swarmrace.recording.records import Failure
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.abc import Context, Record
from swarms import needs_program

needs_kubo = needs_program("ipfs stream")
LONG = Timeouts(
    discovery_seconds=PATIENCE_SECONDS,
    stall_seconds=PATIENCE_SECONDS,
    transfer_seconds=PATIENCE_SECONDS,
)


def unknown_cid() -> str:
    """Return the CID of a raw block that no node has."""
    multihash = bytes((1, 0x55, 0x12, 0x20)) + hashlib.sha256(b"nobody has this").digest()
    return "b" + base64.b32encode(multihash).decode().lower().rstrip("=")


@asynccontextmanager
async def ipfs_swarm(
    folder: Path,
    size_bytes: int = 1_000_003,
    peers: int = 2,
    *,
    cold: bool = True,
    work_dirs: dict[int, Path] | None = None,
    **options: Any,
) -> AsyncIterator[Swarm]:
    """Make a swarm and close it, whatever happened.

    Args:
        folder: an empty one.
        size_bytes: the payload's size.
        peers: how many.
        cold: whether each run starts its nodes anew.
        work_dirs: folders of some peers in place of their own.
        options: of the entrant, by their names in Python.
    """
    folder.mkdir(exist_ok=True)
    async with swarm(Subject("ipfs", options), folder, size_bytes, peers) as made:
        for peer, system in enumerate(made.systems):
            changed: dict[str, Any] = {"cold_start": cold}
            if work_dirs and peer in work_dirs:
                changed["work_dir"] = work_dirs[peer]
            context: Context = replace(system.context, **changed)
            made.systems[peer] = made.spec.create(context, made.options)
        yield made


async def published(made: Swarm, index: int = 0) -> tuple[list[dict[str, Any]], str]:
    """Prepare a run of peer 0 as the only seeder and publish; return references and SHA-256."""
    run = made.run(index)
    file, sha256 = made.file(run)
    await made.prepare(run)
    return [dict(each.reference) for each in await made.publish(run, file)], sha256


async def raced(
    made: Swarm,
    references: list[dict[str, Any]],
    limits: Timeouts = LONG,
    *,
    record: Record | None = None,
    alone: bool = True,
) -> tuple[Failure | None, Record]:
    """Race the last peer as `peer` does, `alone` or beside others; return why it failed and its
    record."""
    record = record or made.record()
    before = asyncio.all_tasks()
    _, failure = await transfer.race(
        made.systems[-1], references, record, limits, record.clock.now_ns(), lambda: None
    )
    left = [task for task in asyncio.all_tasks() - before if "systems/ipfs/arrivals" in repr(task)]
    assert not alone or not left, "the sampling outlived the transfer"
    assert failure is None or failure.reason is not Reason.INTERNAL, failure
    return failure, record
