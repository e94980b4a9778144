"""One peer's life: the same visible sequence of stages for every system.

A peer lives for the whole scenario. It reports to the rendezvous, takes part in its entrant's runs
one after another, and exits with 0 once its results are accepted, failed or not. Each stage is
timed and bounded; a failed stage becomes a result, and the peer goes on to the next run.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable

import httpx

from swarmrace.clock import Clock, SystemClock
from swarmrace.errors import RendezvousError
from swarmrace.host import machine
from swarmrace.peer.parts import PeerParts
from swarmrace.peer.run import PeerRun
from swarmrace.peer.state import PeerConfig, ResultSink
from swarmrace.peer.trial import PeerTrial
from swarmrace.peer.waiting_meter import WaitingMeter
from swarmrace.plan.schedule import schedule
from swarmrace.plan.trials import takes_part, trials
from swarmrace.recording.records import PeerInfo
from swarmrace.rendezvous.client.client import RendezvousClient


class Peer:
    """One peer, from its report to the rendezvous until its last result is accepted.

    Args:
        config: who it is.
        clock: the clock of every measurement.
        transport: replaces the network in tests.
        sink: receives every finished run.
    """

    def __init__(
        self,
        config: PeerConfig,
        *,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sink: ResultSink | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.config, self.clock = config, clock
        self.client = RendezvousClient(
            config.rendezvous,
            config.race_id,
            config.entrant,
            config.peer,
            clock,
            token=config.token,
            transport=transport,
            first_patience_seconds=config.scenario.race.timeouts.assemble_seconds,
            keep_dir=config.work_dir / "kept" if config.keeps else None,
        )
        self.parts = PeerParts(config, clock, self.client, sink or ResultSink())
        self.state = self.parts.state

    async def participate(self) -> None:
        """Take part in the whole race.

        Raises:
            RendezvousError: the rendezvous is out of reach, or has given up on this peer.
        """
        try:
            await self._participate()
        except asyncio.CancelledError:
            await _attempt_briefly(self.client.goodbye(f"ended in stage {self.state.stage}"))
            raise
        except RendezvousError:
            raise  # there is nobody to report to
        except Exception as error:  # reported, so that no peer waits until heartbeats are missed
            how = f"ended in stage {self.state.stage}: {type(error).__name__}: {error}"
            lost = self.client.report_lost(self.config.entrant, self.config.peer, how)
            await _attempt_briefly(lost)
            raise
        finally:
            await asyncio.shield(self.parts.slot.close())
            await self.client.aclose()
            await asyncio.to_thread(self.client.forget)

    async def _participate(self) -> None:
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
                versions=self.parts.versions,
                machine=dict(config.machine or machine.machine(config.work_dir)),
                clock_error_seconds=offset.error_ns / 1e9,
                rates=rates,
            )
        )
        for trial in trials(scenario):
            if takes_part(config.peer, config.entrant, trial):
                self.state.stage, self.state.run = "wait", trial
                if (await self.client.arrive(trial.id, "open")).go:
                    await PeerTrial(self.parts, trial).participate()
        waiting: WaitingMeter | None = None
        for run in schedule(scenario):
            if run.entrant != config.entrant:
                continue
            self.state.stage, self.state.run = "wait", run
            # Waiting for a run that is not raced counts as waiting for the next one.
            waiting = waiting or WaitingMeter(self.parts)
            try:
                release = await self.client.arrive(run.id, "open")
            except BaseException:
                waiting.stop()
                raise
            if release.go:
                waited, waiting = waiting.stop(), None
                await PeerRun(self.parts, run, waited).participate()
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


async def _attempt_briefly(message: Awaitable[None]) -> None:
    """Send a last message; give up after seconds or on an error."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(3):
            await message
