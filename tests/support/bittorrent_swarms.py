"""BitTorrent swarms on loopback, with the rendezvous' tracker, for the bittorrent tests."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from loopback import MemoryBoard, make_run, new_address
from patience import PATIENCE_SECONDS
from swarmrace.clock import SystemClock
from swarmrace.recording.arrival_curve import arrival_curve
from swarmrace.recording.payload import Payload
from swarmrace.rendezvous.server import ServerConfig, listening
from swarmrace.scenario.loading import parse
from swarmrace.systems.abc import Context, Record, Reference
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.bittorrent.system import BitTorrent
from swarmrace.systems.run import Run

BLOCK = 16_384
RACE_ID = "0123456789"


@asynccontextmanager
async def rendezvous(folder: Path) -> AsyncIterator[str]:
    """Serve a whole rendezvous; yield its announce URL."""
    scenario = parse({"global": {"entrants": {"bt": {"kind": "bittorrent"}}}})
    config = ServerConfig(scenario, RACE_ID, folder / "race", host=new_address())
    async with listening(config) as there:
        yield f"http://{there.host}:{there.port}/{RACE_ID}/announce"


class Peers:
    """Peers of one entrant in this process; the first are the seeders of every run."""

    def __init__(
        self,
        folder: Path,
        announce_url: str,
        *,
        size_bytes: int = 1_000_003,
        seeders: int = 1,
        leechers: int = 1,
        cold_start: bool = True,
        **options: Any,
    ) -> None:
        self.folder, self.size_bytes = folder, size_bytes
        self.options = BitTorrentOptions(**{"profile": "tuned", "record_writes": True} | options)
        self._indexes = itertools.count()
        self._seeders = tuple(range(seeders))
        self.all: list[BitTorrent] = []
        for peer in range(seeders + leechers):
            context = Context(
                entrant="bt",
                peer=peer,
                swarm_size=seeders + leechers,
                race_id=RACE_ID,
                address=new_address(),
                work_dir=folder / f"peer{peer}",
                announce_url=announce_url,
                size_bytes=size_bytes,
                board=MemoryBoard(),
                clock=SystemClock(),
                cold_start=cold_start,
            )
            self.all.append(BitTorrent(context, self.options))
        self.seeders, self.leechers = self.all[:seeders], self.all[seeders:]

    def use_tracker(self, announce_url: str) -> None:
        """Make every peer announce to another tracker."""
        for peer in self.all:
            peer.context = replace(peer.context, announce_url=announce_url)

    def with_settings(self, peer: int, **settings: Any) -> BitTorrent:
        """Return a new system that replaces a peer's, with its own settings."""
        options = self.options.model_copy(update={"settings": settings})
        return BitTorrent(self.all[peer].context, options)

    async def prepare(self, size_bytes: int | None = None) -> Run:
        """Prepare every peer for a new run."""
        index = next(self._indexes)
        self.run = make_run(
            size_bytes or self.size_bytes,
            seeders=self._seeders,
            index=index,
            entrant="bt",
            payload_seed=f"bittorrent {index}",
        )
        await asyncio.gather(*(peer.prepare(self.run) for peer in self.all))
        return self.run

    def write(self, name: str = "a file.iso") -> Path:
        """Write the run's payload under some name."""
        path = self.folder / self.run.id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.sha256 = Payload(self.run.payload_seed, self.run.size_bytes).write(path)
        return path

    async def publish(self) -> list[Reference]:
        """Publish at one seeder after another, each from a file with a different name."""
        references: list[Reference] = []
        for number, seeder in enumerate(self.seeders):
            file = self.write(f"file {number}.iso")
            first = references[0] if references else None
            references.append((await seeder.publish(file, first)).reference)
        return references

    def record(self) -> Record:
        """Return an empty record."""
        return Record(SystemClock(), self.run.size_bytes)

    async def fetch(
        self, references: Sequence[Reference], leechers: Sequence[BitTorrent] | None = None
    ) -> list[Record]:
        """Fetch at all leechers in parallel; return their records."""
        leechers = self.leechers if leechers is None else leechers
        records = [self.record() for _ in leechers]
        fetches = (
            leecher.fetch(references, record)
            for leecher, record in zip(leechers, records, strict=True)
        )
        await asyncio.gather(*fetches)
        return records

    async def clear(self) -> None:
        """End the run."""
        await asyncio.gather(*(peer.remove() for peer in self.all))


@asynccontextmanager
async def peers(folder: Path, **arguments: Any) -> AsyncIterator[Peers]:
    """Yield peers with a tracker; close them in any case."""
    async with asyncio.timeout(PATIENCE_SECONDS), rendezvous(folder) as announce_url:
        made = Peers(folder, announce_url, **arguments)
        try:
            yield made
        finally:
            await asyncio.gather(*(peer.close() for peer in made.all))


def check_record(record: Record) -> None:
    """Check that every block and every piece was recorded once, and in a possible order: received,
    written, delivered."""
    size = record.size_bytes
    assert record.complete is True
    assert record.arrivals is not None
    assert record.written is not None
    assert record.deliverable is not None
    assert record.discovered_ns is not None
    assert record.done_ns is not None
    offset, length, t_ns = record.written.columns()
    first: dict[int, tuple[int, int]] = {}
    for row in sorted(zip(t_ns.tolist(), offset.tolist(), length.tolist(), strict=True)):
        first.setdefault(row[1], (row[0], row[2]))
    assert {at: each[1] for at, each in first.items()} == {
        at: min(BLOCK, size - at) for at in range(0, size, BLOCK)
    }
    start, whole, ready_ns = record.deliverable.columns()
    assert int(whole.sum()) == size
    for at, count, when in zip(start.tolist(), whole.tolist(), ready_ns.tolist(), strict=True):
        assert when >= max(first[block][0] for block in range(at, at + count, BLOCK))
    assert record.discovered_ns <= min(when for when, _ in first.values())
    # Nothing waits for a block that comes again after its piece has passed its hash check.
    assert record.done_ns == int(ready_ns.max()) >= max(when for when, _ in first.values())
    prefix = record.deliverable.curve(record.discovered_ns, size).prefix()
    assert prefix.complete
    written = record.written.curve(0, size)
    arrival = arrival_curve(record.arrivals, record.written, 0, size)
    assert (arrival.total_bytes, arrival.offsets_known) == (size, False)
    assert arrival.since_ns is not None
    assert (arrival.since_ns <= arrival.t_ns).all()
    # Nothing is written before it has arrived, nor before the samples allow that it has.
    counts = np.cumsum(written.length)
    held = np.searchsorted(arrival.t_ns, written.t_ns, side="right") - 1
    assert (np.cumsum(arrival.length)[held] >= counts).all()
    wrote = np.searchsorted(written.t_ns, arrival.since_ns, side="right")
    assert (np.concatenate(([0], counts))[wrote] <= arrival.offset).all()
