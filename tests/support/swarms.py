"""Whole swarms of any kind, and what they leave behind: for the contract suite."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from codex_double.testing import program as codex_program

from loopback import MemoryBoard, make_run, new_address
from swarmrace.clock import SystemClock
from swarmrace.recording.payload import Payload
from swarmrace.rendezvous.tracker.announces import Tracker
from swarmrace.rendezvous.tracker.swarms import Swarms
from swarmrace.systems import load, names
from swarmrace.systems.abc import Context, Published, Record, System
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.run import Run


@dataclass(frozen=True)
class Kind:
    """One kind under some options, and what the contract leaves to it."""

    name: str
    options: Mapping[str, Any]
    names_content: bool | None = True
    """Whether a reference names the content, so that another one can be refused; None: unknown."""
    codex_double: str | None = None
    """Personality of the double that stands in for the node."""
    keeps: tuple[str, ...] = ()
    """Files a peer's folder may still have after `close`: it is removed with the peer."""

    def make_options(self, folder: Path) -> EntrantOptions:
        """Return the options; a double's program is written to `folder`."""
        more = {}
        if self.codex_double is not None:
            path = codex_program(folder / "bin", self.codex_double, discovery_bind="announced")
            more = {"program": str(path)}
        return load(self.name).options(**self.options, **more)


KINDS = {
    "http": Kind("http", {}, names_content=False),
    "synthetic": Kind("synthetic", {"curve": [(0.0, 0.0), (0.1, 1.0)], "publish_seconds": 0.01}),
    "bittorrent": Kind("bittorrent", {"profile": "tuned"}),
    "bittorrent v2 sequential": Kind(
        "bittorrent", {"profile": "tuned", "protocol": "v2", "piece_order": "sequential"}
    ),
    "codex stream": Kind(
        "codex", {"download": "stream"}, codex_double="v0.2.5", keeps=("codex.log",)
    ),
    "codex background": Kind(
        "codex",
        {"download": "background", "poll_seconds": 0.01},
        codex_double="storage-2026",
        keeps=("codex.log",),
    ),
}

OTHERS = tuple(set(names()) - {kind.name for kind in KINDS.values()})
"""Kinds of third parties that are installed: the suite is theirs too."""
KINDS |= {name: Kind(name, {}, names_content=None) for name in OTHERS}


class Swarm:
    """Peers of one entrant in this process."""

    def __init__(
        self, kind: Kind, folder: Path, announce_url: str, size_bytes: int, peers: int
    ) -> None:
        self.kind, self.folder, self.size_bytes = kind, folder, size_bytes
        self.spec = load(kind.name)
        self.options = kind.make_options(folder)
        self.board = MemoryBoard()
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
                clock=SystemClock(),
            )
            self.systems.append(self.spec.create(context, self.options))

    def run(self, index: int = 0, seeders: tuple[int, ...] = (0,)) -> Run:
        """Return a run whose payload is its own."""
        return make_run(
            self.size_bytes, seeders=seeders, index=index, payload_seed=f"contract {index}"
        )

    def file(self, run: Run) -> tuple[Path, str]:
        """Return the run's file, ready on disk, and its SHA-256."""
        path = self.folder / run.id / "payload.bin"
        path.parent.mkdir(exist_ok=True)
        return path, Payload(run.payload_seed, run.size_bytes).write(path)

    async def prepare(self, run: Run) -> None:
        """Prepare all peers at once, as they would."""
        self.board.clear()
        await asyncio.gather(*(system.prepare(run) for system in self.systems))

    async def publish(self, run: Run, file: Path) -> list[Published]:
        """Publish at every seeder, the first alone, and settle."""
        published: list[Published] = []
        for peer in run.seeders:
            first = published[0].reference if published else None
            published.append(await self.systems[peer].publish(file, first))
        await asyncio.gather(*(system.settle() for system in self.systems))
        return published

    def record(self) -> Record:
        """Return an empty record."""
        return Record(SystemClock(), self.size_bytes)


@asynccontextmanager
async def tracker() -> AsyncIterator[str]:
    """Serve the rendezvous' BitTorrent tracker alone, in this event loop; yield its URL."""
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
    kind: Kind, folder: Path, size_bytes: int = 1_000_003, peers: int = 3
) -> AsyncIterator[Swarm]:
    """Make a swarm; close its peers twice, whatever happened."""
    async with tracker() as announce_url:
        made = Swarm(kind, folder, announce_url, size_bytes, peers)
        try:
            yield made
        finally:
            for _ in range(2):
                await asyncio.gather(*(system.close() for system in made.systems))


def belongings(folder: Path) -> dict[str, set[Any]]:
    """Return what this process has now that a system might leave behind."""
    me = psutil.Process()
    return {
        "threads": {thread.name for thread in threading.enumerate()},
        "native threads": set(range(me.num_threads())),
        "child processes": {child.pid for child in me.children(recursive=True)},
        "sockets": {(c.laddr, c.raddr, c.status) for c in me.net_connections("all") if c.fd >= 0},
        "open files": {each.path for each in me.open_files() if each.path.startswith(str(folder))},
        "files": {str(path) for peer in folder.glob("peer*") for path in peer.rglob("*")},
    }


def left_behind(folder: Path, before: dict[str, set[Any]], keeps: tuple[str, ...]) -> Any:
    """Return what is there now and was not before."""
    now = belongings(folder)
    now["files"] = {path for path in now["files"] if not path.endswith(keeps or "/")}
    return {what: found - before[what] for what, found in now.items() if found - before[what]}


@contextmanager
def leaves_nothing(folder: Path, keeps: tuple[str, ...] = ()) -> Iterator[None]:
    """Fail when something is there afterwards that was not before. A thread of the kernel's that
    has been told to end gets five seconds."""
    before = belongings(folder)
    yield
    deadline = time.monotonic() + 5
    while (left := left_behind(folder, before, keeps)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, left


def live(kind: Kind, folder: Path, body: Callable[[Swarm], Any], **options: Any) -> Any:
    """Run `body(swarm)` in a loop of its own; check that nothing is left; return what it did."""

    async def go() -> Any:
        async with asyncio.timeout(60), swarm(kind, folder, **options) as made:
            return await body(made)

    with leaves_nothing(folder, kind.keeps):
        return asyncio.run(go())


async def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    """Return whether `holds` becomes true within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True
