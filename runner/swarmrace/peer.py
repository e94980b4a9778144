"""One peer's life: the same visible sequence of stages for every system.

A peer lives for the whole scenario. It reports to the rendezvous, takes part in its entrant's runs
one after another, and leaves with 0 once its results are accepted, whatever they say. Each stage is
timed and bounded; one that fails ends as a result, and the peer goes on to the next run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from swarmrace import machine, systems
from swarmrace.arrivals import Curve
from swarmrace.clock import Clock, SystemClock
from swarmrace.errors import RendezvousError
from swarmrace.network.counters import WireMeter, own_interface
from swarmrace.network.wire_samples import Ring
from swarmrace.peer_run import PeerRun
from swarmrace.peer_trial import PeerTrial
from swarmrace.recording.wire_recorder import WireRecorder
from swarmrace.records import PeerInfo, PeerResult, Usage, Waiting, Wire
from swarmrace.rendezvous.client import RendezvousClient
from swarmrace.scenario import Scenario
from swarmrace.schedule import Run, schedule
from swarmrace.systems.abc import Context, Record, System, SystemSpec
from swarmrace.trials import takes_part, trials
from swarmrace.usage import UsageMeter


@dataclass(frozen=True)
class PeerConfig:
    """Who this peer is and where it finds the rendezvous."""

    scenario: Scenario
    race_id: str
    entrant: str
    peer: int
    rendezvous: str
    """Base URL, without the race id."""
    address: str
    """The IP address that this peer's system listens on and announces."""
    work_dir: Path
    token: str | None = None
    node: str = ""
    isolated: bool = False
    """Whether this peer has a network interface of its own to measure."""
    keeps: bool = True
    """Whether uploads are kept for a rendezvous that returns without its folder. Needless where
    that folder outlives it for certain."""
    wire_samples: tuple[Path, int] | None = None
    """Where one sampler for all peers of the machine puts what they receive, and this peer's
    column (`network.wire_samples`). When absent, an isolated peer samples its own interface."""
    burst_bytes: int | None = None
    """Most bytes that what limits this peer's rates may let pass at once, where that is not tc."""


@dataclass
class PeerState:
    """What a peer is doing, for heartbeats, metrics and logs. Written by `Peer`, read by anyone."""

    config: PeerConfig
    stage: str = "wait"
    run: Run | None = None
    record: Record | None = None
    start_ns: int | None = None
    """This leecher's start stamp in the current run."""
    system: System | None = None
    wire: Callable[[], Wire | None] | None = None
    """Returns the wire bytes of the current run so far; set from its common start on."""
    usage: Callable[[], Usage] | None = None
    """Returns CPU and memory of the current run so far; set from its common start on."""

    @property
    def progress_bytes(self) -> int:
        """Payload bytes of the current run so far."""
        return self.record.progress_bytes if self.record is not None else 0


class ResultSink:
    """What may follow a finished run outside the measured window (a push, say). Does nothing."""

    async def finished(
        self, state: PeerState, result: PeerResult, curves: Mapping[str, Curve]
    ) -> None:
        """Called after the run's results were accepted and before the peers meet again."""


class Peer:
    """One peer, from its report to the rendezvous until its last result is accepted.

    Args:
        config: who it is.
        clock: the clock that everything is measured on.
        transport: instead of a network, for tests.
        sink: told of every finished run.
    """

    def __init__(
        self,
        config: PeerConfig,
        *,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sink: ResultSink | None = None,
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.sink = sink or ResultSink()
        self.state = PeerState(config)
        self.client = RendezvousClient(
            config.rendezvous,
            config.race_id,
            config.entrant,
            config.peer,
            self.clock,
            token=config.token,
            transport=transport,
            first_patience_seconds=config.scenario.race.timeouts.assemble_seconds,
            keep_dir=config.work_dir / "kept" if config.keeps else None,
        )
        self.spec: SystemSpec = systems.load(config.scenario.entrants[config.entrant].kind)
        self.prepared = False
        """Whether the present system has been up in an earlier run."""
        self.versions = machine.versions()
        self.control: list[Callable[[], tuple[int, int]]] = [self.client.control_bytes]
        """Whatever else of the runner uses the peer's interface (a scraper, say) adds itself."""

    def control_bytes(self) -> tuple[int, int]:
        """Return the wire bytes (sent, received) of the runner's own traffic so far."""
        found = [source() for source in self.control]
        return sum(sent for sent, _ in found), sum(received for _, received in found)

    def wire_recorder(self) -> WireRecorder | None:
        """Return what records this peer's wire curve, or None where it can't be recorded."""
        config = self.config
        if not config.isolated:
            return None

        def control_received() -> int:
            return self.control_bytes()[1]

        try:
            if config.wire_samples is not None:
                path, column = config.wire_samples
                return WireRecorder(Ring.shared(path), column, control_received)
            interface = own_interface(config.address)
            return WireRecorder.own(interface, control_received) if interface else None
        except OSError:
            return None

    async def live(self) -> None:
        """Take part in the whole race.

        Raises:
            RendezvousError: the rendezvous is out of reach, or has given this peer up.
        """
        try:
            await self._live()
        except asyncio.CancelledError:
            await _briefly(self.client.goodbye(f"ended in stage {self.state.stage}"))
            raise
        except RendezvousError:
            raise  # there is nobody to tell
        except Exception as error:  # told, so that the others need not wait until it is missed
            how = f"ended in stage {self.state.stage}: {type(error).__name__}: {error}"
            await _briefly(self.client.report_lost(self.config.entrant, self.config.peer, how))
            raise
        finally:
            await asyncio.shield(self.close_system())
            await self.client.aclose()
            await asyncio.to_thread(self.client.forget)

    async def _live(self) -> None:
        scenario, config = self.config.scenario, self.config
        offset = await self.client.estimate_offset()
        rates = await self._preflight()
        await self.client.hello(
            PeerInfo(
                entrant=config.entrant,
                peer=config.peer,
                address=config.address,
                host=socket.gethostname(),
                node=config.node,
                versions=self.versions,
                machine=machine.machine(config.work_dir),
                clock_error_seconds=offset.error_ns / 1e9,
                rates=rates,
            )
        )
        for trial in trials(scenario):
            if takes_part(config.peer, config.entrant, trial):
                self.state.stage, self.state.run = "wait", trial
                if (await self.client.arrive(trial.id, "open")).go:
                    await PeerTrial(self, trial).live()
        waiting: _WaitingMeter | None = None
        for run in schedule(scenario):
            if run.entrant != config.entrant:
                continue
            self.state.stage, self.state.run = "wait", run
            # The wait for a run that is not raced is part of that for the next one.
            waiting = waiting or _WaitingMeter(self)
            try:
                release = await self.client.arrive(run.id, "open")
            except BaseException:
                waiting.stop()
                raise
            if release.go:
                waited, waiting = waiting.stop(), None
                await PeerRun(self, run, waited).live()
            elif release.over:
                break
        if waiting is not None:
            waiting.stop()
        self.state.stage, self.state.run = "wait", None
        await self.client.goodbye()

    async def _preflight(self) -> dict[str, float]:
        network = self.config.scenario.race.network
        if not network.limited or not self.config.isolated:
            return {}
        from swarmrace.network.preflight import measure

        seeder = self.config.peer < self.config.scenario.race.seeders
        return await measure(
            self.client,
            network.link(seeder=seeder),
            self.config.burst_bytes,
            round_trip_seconds=network.delay_milliseconds / 1000,
            queue_milliseconds=network.queue_milliseconds,
            lossy=bool(network.loss_percent),
        )

    def system(self) -> System:
        """Return this peer's system, made when first asked for or after `close_system`."""
        if self.state.system is None:
            config = self.config
            work_dir = config.work_dir / "system"
            work_dir.mkdir(parents=True, exist_ok=True)
            race = config.scenario.race
            context = Context(
                entrant=config.entrant,
                peer=config.peer,
                swarm_size=race.swarm_size,
                race_id=config.race_id,
                address=config.address,
                work_dir=work_dir,
                announce_url=f"{config.rendezvous.rstrip('/')}/{config.race_id}/announce",
                size_bytes=race.file_size,
                board=_RunBoard(self),
                clock=self.clock,
                cold_start=race.cold_start,
                isolated=config.isolated,
            )
            self.state.system = self.spec.create(context, config.scenario.entrants[config.entrant])
        return self.state.system

    @property
    def warm(self) -> bool:
        """Whether the next run finds the system up: in a race of warm starts, from the second run
        on that nothing went wrong before, or with a program that swarmrace doesn't start."""
        if self.config.scenario.race.cold_start:
            return False
        return self.prepared or self.system().found_running

    async def close_system(self) -> None:
        """Close the system, if there is one, and remove what it left."""
        system, self.state.system = self.state.system, None
        self.prepared = False
        if system is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(15):
                    await system.close()
        await asyncio.to_thread(shutil.rmtree, self.config.work_dir / "system", ignore_errors=True)


async def _briefly(farewell: Awaitable[None]) -> None:
    """Take leave if that can be had within seconds."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(3):
            await farewell


class _RunBoard:
    """The rendezvous' board, always of the run at hand."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def _board(self):
        run = self._peer.state.run
        assert run is not None
        return self._peer.client.board(run.id)

    async def put(self, key: str, value: Any) -> None:
        await self._board().put(key, value)

    async def get(self, key: str) -> Any:
        return await self._board().get(key)


class _WaitingMeter:
    """CPU and wire bytes of this peer while others race."""

    def __init__(self, peer: Peer) -> None:
        self._clock = peer.clock
        self._began_ns = self._clock.now_ns()
        self._control_bytes = peer.control_bytes
        self._control_began = sum(peer.control_bytes())

        def pids() -> list[int]:
            system = peer.state.system
            return sorted({os.getpid(), *(system.processes() if system is not None else ())})

        self._usage = UsageMeter(pids)
        self._wire = (
            WireMeter(peer.control_bytes, peer.config.address) if peer.config.isolated else None
        )
        self._usage.start()
        if self._wire is not None:
            self._wire.start()

    def stop(self) -> Waiting:
        wire = self._wire.stop() if self._wire is not None else None
        return Waiting(
            seconds=(self._clock.now_ns() - self._began_ns) / 1e9,
            cpu_seconds=self._usage.stop().cpu_seconds,
            wire_bytes=None if wire is None else wire.sent_bytes + wire.received_bytes,
            control_bytes=sum(self._control_bytes()) - self._control_began,
        )
