"""Codex systems for tests: contexts, a board in memory, and whole swarms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from codex_double import cid as cids
from codex_double.config import parse as parse_as_node
from codex_double.personality import PERSONALITIES
from codex_double.testing import QUICK
from codex_double.testing import program as make_program
from codex_double.testing import swarm as doubles

from loopback import new_address
from paths import ROOT
from patience import PATIENCE_SECONDS, ForbearingClock
from swarmrace.clock import SystemClock
from swarmrace.peer import transfer
from swarmrace.recording.payload import Payload
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.abc import Context, Record
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.system import CodexSystem
from swarmrace.systems.run import Run

__all__ = [
    "BLOCK",
    "LONG",
    "PERSONALITIES",
    "QUICK",
    "ROOT",
    "Swarm",
    "cids",
    "codex_swarm",
    "doubles",
    "parse_as_node",
    "program",
    "raced",
    "warm",
]

BLOCK = 65_536


def program(folder: Path, personality: str = "v0.2.5", **habits: Any) -> Path:
    """Write the program of a node that can be joined over loopback addresses."""
    return make_program(folder, personality, discovery_bind="announced", **habits)


class MemoryBoard:
    """A board in memory, without a rendezvous."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._news = asyncio.Condition()

    async def put(self, key: str, value: Any) -> None:
        async with self._news:
            self._values[key] = value
            self._news.notify_all()

    async def get(self, key: str) -> Any:
        async with self._news:
            await self._news.wait_for(lambda: key in self._values)
            return self._values[key]

    def clear(self) -> None:
        self._values.clear()


class Swarm:
    """Systems of one entrant, and the file of one run."""

    def __init__(
        self, folder: Path, size_bytes: int, options: CodexOptions, peers: int, cold: bool
    ):
        self.board = MemoryBoard()
        self.folder, self.size_bytes = folder, size_bytes
        self.file = folder / "ready.bin"
        self.sha256 = Payload("codex", size_bytes).write(self.file)
        self.systems = [self._system(peer, peers, options, cold) for peer in range(peers)]

    def _system(self, peer: int, peers: int, options: CodexOptions, cold: bool) -> CodexSystem:
        work_dir = self.folder / f"peer-{peer}"
        work_dir.mkdir()
        context = Context(
            entrant="codex",
            peer=peer,
            swarm_size=peers,
            race_id="0123456789",
            address=new_address(),
            work_dir=work_dir,
            announce_url="",
            size_bytes=self.size_bytes,
            board=self.board,
            clock=SystemClock(),
            cold_start=cold,
        )
        return CodexSystem(context, options)

    def run(self, seeders: int = 1, index: int = 0) -> Run:
        return Run(index, f"{index:03d}-codex", "codex", index, tuple(range(seeders)), "codex",
                   self.size_bytes)  # fmt: skip

    async def prepare(self, seeders: int = 1, index: int = 0) -> None:
        self.board.clear()
        run = self.run(seeders, index)
        await asyncio.gather(*(system.prepare(run) for system in self.systems))

    async def publish(self, seeders: int = 1) -> list[dict[str, Any]]:
        references: list[dict[str, Any]] = []
        for system in self.systems[:seeders]:
            published = await system.publish(self.file, references[0] if references else None)
            references.append(dict(published.reference))
        await asyncio.gather(*(system.settle() for system in self.systems))
        return references

    def record(self) -> Record:
        return Record(SystemClock(), self.size_bytes)


@asynccontextmanager
async def codex_swarm(
    folder: Path,
    size_bytes: int,
    peers: int = 2,
    *,
    cold: bool = True,
    options: CodexOptions | None = None,
    **more: Any,
) -> AsyncIterator[Swarm]:
    """Yield a swarm; close it in any case."""
    swarm = Swarm(folder, size_bytes, options or CodexOptions(**more), peers, cold)
    try:
        yield swarm
    finally:
        await asyncio.gather(*(system.close() for system in swarm.systems))


LONG = Timeouts(
    discovery_seconds=PATIENCE_SECONDS,
    stall_seconds=PATIENCE_SECONDS,
    transfer_seconds=PATIENCE_SECONDS,
)


@asynccontextmanager
async def warm(
    folder: Path, peers: int = 2, size: int = 20 * BLOCK, habits=QUICK, each=None, **more
):
    """Yield a swarm of systems that use running doubles, and those doubles."""
    personality = more.pop("personality", "v0.2.5")
    async with doubles(folder / "doubles", peers, personality, habits, each) as nodes:
        urls = [f"http://127.0.0.1:{node.api_port}" for node in nodes]
        async with codex_swarm(folder, size, peers, cold=False, nodes=urls, **more) as swarm:
            yield swarm, nodes


async def raced(swarm: Swarm, references, limits: Timeouts = LONG):
    """Race the last peer; return why it failed and its record.

    Nodes, systems and the watch share this process: its own stalls are none of the transfer.
    """
    system, record = swarm.systems[-1], Record(ForbearingClock(), swarm.size_bytes)
    before = asyncio.all_tasks()
    now_ns = record.clock.now_ns()
    _, failure = await transfer.race(system, references, record, limits, now_ns, lambda: None)
    left = asyncio.all_tasks() - before
    assert not [task for task in left if "swarmrace/systems/codex" in repr(task)]
    return failure, record
