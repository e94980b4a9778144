"""Helpers of the rendezvous' tests: a small race, a conductor on the test's own time, an app."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx

from patience import PATIENCE_SECONDS
from swarmrace.clock import Clock, SystemClock, VirtualClock
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import Failure, PeerInfo, PeerResult, RaceInfo, RunResult
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.rendezvous.conductor import Conductor
from swarmrace.rendezvous.messages import Release
from swarmrace.rendezvous.server import Rendezvous, ServerConfig
from swarmrace.rendezvous.store import Store
from swarmrace.rendezvous.trial_book import TrialPolicy
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run

RACE_ID = "0123abcdef"
MARGIN_SECONDS = 10.0
UP_TO_RACED = BARRIERS[1:-1]


def scenario(
    size: int = 3,
    seeders: int = 1,
    entrants: Iterable[str] = ("a",),
    repetitions: int = 1,
    **timeouts: float,
) -> Scenario:
    """Return a sequential race of synthetic entrants."""
    race: dict[str, Any] = {
        "swarmSize": size,
        "seeders": seeders,
        "repetitions": repetitions,
        "fileSize": 100_000,
        "order": "sequential",
        "rotateSeeders": False,
        "timeouts": timeouts,
    }
    return parse(
        {"global": {"race": race, "entrants": {n: {"kind": "synthetic"} for n in entrants}}}
    )


def info(entrant: str, peer: int, **changes: Any) -> PeerInfo:
    """Return what a peer reports about itself."""
    return PeerInfo(entrant=entrant, peer=peer, address="127.0.0.1", host="here", **changes)


def result(run: Run, peer: int, race_id: str = RACE_ID, **changes: Any) -> PeerResult:
    """Return a peer's result of a run."""
    values: dict[str, Any] = {
        "race_id": race_id,
        "run_id": run.id,
        "entrant": run.entrant,
        "peer": peer,
        "role": run.role(peer),
        "repetition": run.repetition,
        "seed": 1,
        "payload_seed": run.payload_seed,
        "size_bytes": run.size_bytes,
        "outcome": "completed",
    }
    return PeerResult(**values | changes)


def failure(stage: str, detail: str = "not within 5 s") -> Failure:
    """Return a peer's failure."""
    return Failure(reason=Reason.TIMEOUT, stage=stage, detail=detail)


class Meeting:
    """A conductor without HTTP, on a time that the test sets."""

    def __init__(self, folder: Path, made: Scenario, trials: TrialPolicy | None = None) -> None:
        self.folder, self.scenario = folder, made
        self.trials = trials or TrialPolicy()
        self.seconds = 1000.0
        self.clock = VirtualClock(start_ns=7_000_000_000)
        self.runs = schedule(made)
        self.silent: set[tuple[str, int]] = set()
        self.restart()

    def restart(self) -> None:
        """Create the conductor; a second call acts as another process after a crash."""
        head = RaceInfo(
            race_id=RACE_ID,
            name="test",
            scenario=self.scenario.model_dump(mode="json"),
            backend="local",
            created_utc="2026-01-01T00:00:00+00:00",
            versions={},
            machine={},
        )
        self.store = Store(self.folder, head)
        self.conductor = Conductor(
            self.scenario,
            self.store,
            self.clock,
            lambda: self.seconds,
            margin_seconds=MARGIN_SECONDS,
            trials=self.trials,
        )

    def hello(self, entrant: str = "a", peer: int = 0, instance: str = "", **changes: Any) -> None:
        """Let a peer report."""
        self.conductor.hello(info(entrant, peer, **changes), instance or f"{entrant}{peer}")
        self.store.write_info(peers=self.conductor.roster.infos())

    def assemble(self) -> None:
        """Let every peer report."""
        for entrant, peer in self.conductor.roster.peers:
            self.hello(entrant, peer)

    def arrive(
        self, peer: int, barrier: str, why: Failure | None = None, run: int = 0
    ) -> Release | None:
        """Let a peer arrive; return None if it has to wait."""
        at = self.runs[run]
        known = self.conductor.roster.contact(at.entrant, peer)
        return self.conductor.arrive(known, at.id, barrier, why)

    def all_pass(self, *barriers: str, run: int = 0, peers: Iterable[int] | None = None) -> None:
        """Let peers arrive at each barrier in turn, and check that the last one releases it."""
        everybody = range(self.scenario.race.swarm_size) if peers is None else list(peers)
        for barrier in barriers:
            answers = [self.arrive(peer, barrier, run=run) for peer in everybody]
            assert answers[-1] is not None, barrier
            assert answers[-1].go, barrier

    def wait(self, seconds: float) -> None:
        """Let time pass; every peer that isn't `silent` sends heartbeats."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(end, self.seconds + 1.0)
            for key, peer in self.conductor.roster.peers.items():
                if key not in self.silent:
                    peer.last_heard = self.seconds
            self.conductor.tick()

    def written(self, run: int = 0) -> RunResult:
        """Return the record of a closed run, from disk."""
        path = self.folder / "runs" / self.runs[run].id / "run.json"
        return RunResult.model_validate_json(path.read_bytes())

    def written_peer(self, peer: int, run: int = 0) -> PeerResult:
        """Return a peer's result, from disk."""
        at = self.runs[run]
        path = self.folder / "runs" / at.id / f"{at.entrant}-{peer}.json"
        return PeerResult.model_validate_json(path.read_bytes())


class ServedRace:
    """A rendezvous that answers over ASGI in this process."""

    def __init__(self, rendezvous: Rendezvous, config: ServerConfig) -> None:
        self.rendezvous, self.config = rendezvous, config
        self.transport = httpx.ASGITransport(rendezvous.app, raise_app_exceptions=True)
        self.http = httpx.AsyncClient(transport=self.transport, base_url="http://rendezvous")
        self.runs = schedule(config.scenario)
        self._clients: list[RendezvousClient] = []

    def client(
        self, entrant: str = "a", peer: int = 0, clock: Clock | None = None, **options: Any
    ) -> RendezvousClient:
        """Return a peer's client."""
        made = RendezvousClient(
            "http://rendezvous",
            options.pop("race_id", RACE_ID),
            entrant,
            peer,
            clock or SystemClock(),
            **{"transport": self.transport, "patience_seconds": PATIENCE_SECONDS} | options,
        )
        self._clients.append(made)
        return made

    async def clients(self, entrant: str = "a") -> list[RendezvousClient]:
        """Return a client for each peer of an entrant; all have reported."""
        made = [self.client(entrant, peer) for peer in range(self.config.scenario.race.swarm_size)]
        for client in made:
            await client.hello(info(entrant, client.peer))
        return made

    async def close(self) -> None:
        """Close all clients."""
        for client in (*self._clients, self.http):
            await client.aclose()


@contextlib.asynccontextmanager
async def served_race(
    folder: Path, made: Scenario, clock: Clock | None = None, **options: Any
) -> AsyncIterator[ServedRace]:
    """Open a rendezvous over ASGI."""
    config = ServerConfig(made, RACE_ID, folder, **{"poll_seconds": 0.2} | options)
    rendezvous = Rendezvous(config, clock)
    ticking = asyncio.ensure_future(rendezvous.tick())
    served = ServedRace(rendezvous, config)
    try:
        yield served
    finally:
        ticking.cancel()
        await served.close()
