"""A swarm of any kind in this process, with a BitTorrent tracker and a board."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmrace.clock import SystemClock
from swarmrace.contract.loopback import MemoryBoard, make_run, new_address
from swarmrace.recording.payload import Payload
from swarmrace.rendezvous.tracker.announces import Tracker
from swarmrace.rendezvous.tracker.swarms import Swarms
from swarmrace.systems import load
from swarmrace.systems.abc import Context, Published, Record, System
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.run import Run


@dataclass(frozen=True)
class Subject:
    """A kind with some options, and what the contract leaves open.

    Args:
        kind: an installed kind.
        options: its options, by their names in Python.
        names_content: whether a reference names the content, so that other content must be
            refused; None if unknown.
        keeps: suffixes of files that a peer's folder may still have after `close`, such as a log:
            they are removed with the peer.
        own_network: whether the checks need their own network namespace, because the program
            doesn't connect to peers at loopback addresses.
        seconds: how long a check may take before it counts as hanging: far longer than any takes,
            because the machine may be busy.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    names_content: bool | None = None
    keeps: tuple[str, ...] = ()
    own_network: bool = False
    seconds: float = 300.0

    def make_options(self, folder: Path) -> EntrantOptions:
        """Return the options. `folder` is for files that they need."""
        return load(self.kind).options(**{"kind": self.kind, **self.options})


class Swarm:
    """Peers of one entrant in this process.

    Args:
        subject: their kind and options.
        folder: each peer gets a folder below it.
        announce_url: the tracker's URL.
        size_bytes: the payload's size.
        peers: the number of peers.
    """

    def __init__(
        self, subject: Subject, folder: Path, announce_url: str, size_bytes: int, peers: int
    ) -> None:
        self.subject, self.folder, self.size_bytes = subject, folder, size_bytes
        self.spec = load(subject.kind)
        self.options = subject.make_options(folder)
        self.board = MemoryBoard()
        self.clock = SystemClock()
        self.work_dirs = [folder / f"peer{peer}" for peer in range(peers)]
        self.systems: list[System] = []
        for peer, work_dir in enumerate(self.work_dirs):
            work_dir.mkdir()
            context = Context(
                entrant="entrant",
                peer=peer,
                swarm_size=peers,
                race_id="0123456789",
                address=new_address(),
                work_dir=work_dir,
                announce_url=announce_url,
                size_bytes=size_bytes,
                board=self.board,
                clock=self.clock,
            )
            self.systems.append(self.spec.create(context, self.options))

    def run(self, index: int = 0, seeders: tuple[int, ...] = (0,)) -> Run:
        """Return a run with a payload of its own."""
        return make_run(
            self.size_bytes, seeders=seeders, index=index, payload_seed=f"contract {index}"
        )

    def file(self, run: Run) -> tuple[Path, str]:
        """Write the run's file; return its path and SHA-256."""
        path = self.folder / run.id / "payload.bin"
        path.parent.mkdir(exist_ok=True)
        return path, Payload(run.payload_seed, run.size_bytes).write(path)

    async def prepare(self, run: Run) -> None:
        """Prepare all peers at once, as in a race."""
        self.board.clear()
        await asyncio.gather(*(system.prepare(run) for system in self.systems))

    async def publish(self, run: Run, file: Path) -> list[Published]:
        """Publish at every seeder, the first alone, and settle."""
        published: list[Published] = []
        for peer in run.seeders:
            first = published[0].reference if published else None
            published.append(await self.systems[peer].publish(file, first))
        await self.settle()
        return published

    async def settle(self) -> None:
        """Settle all peers at once."""
        await asyncio.gather(*(system.settle() for system in self.systems))

    async def remove(self) -> None:
        """Remove the run's content at all peers at once."""
        await asyncio.gather(*(system.remove() for system in self.systems))

    async def close(self) -> None:
        """Close all peers twice, which is allowed."""
        for _ in range(2):
            await asyncio.gather(*(system.close() for system in self.systems))

    def record(self) -> Record:
        """Return an empty record."""
        return Record(self.clock, self.size_bytes)


@asynccontextmanager
async def tracker() -> AsyncIterator[str]:
    """Serve only the rendezvous' BitTorrent tracker, in this event loop; yield its URL."""
    tracking = Tracker(Swarms(asyncio.get_running_loop().time), interval_seconds=2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            query = head.split(b" ")[1].partition(b"?")[2]
            body = tracking.announce(query, writer.get_extra_info("peername")[0])
            length = str(len(body)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + length)
            writer.write(b"\r\n\r\n" + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, new_address(), 0)
    try:
        yield "http://{}:{}/announce".format(*server.sockets[0].getsockname())
    finally:
        server.close()


@asynccontextmanager
async def swarm(
    subject: Subject, folder: Path, size_bytes: int = 1_000_003, peers: int = 3
) -> AsyncIterator[Swarm]:
    """Create a swarm; close its peers at the end in any case."""
    async with tracker() as announce_url:
        made = Swarm(subject, folder, announce_url, size_bytes, peers)
        try:
            yield made
        finally:
            await made.close()
