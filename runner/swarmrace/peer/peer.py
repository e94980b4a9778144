"""One peer's life: the same visible sequence of stages for every system.

A peer lives for the whole scenario. It reports to the rendezvous, takes part in its entrant's runs
one after another, and leaves with 0 once its results are accepted, whatever they say. Each stage is
timed and bounded; one that fails ends as a result, and the peer goes on to the next run.
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
            await asyncio.shield(self.parts.slot.close())
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
                versions=self.parts.versions,
                machine=machine.machine(config.work_dir),
                clock_error_seconds=offset.error_ns / 1e9,
                rates=rates,
            )
        )
        for trial in trials(scenario):
            if takes_part(config.peer, config.entrant, trial):
                self.state.stage, self.state.run = "wait", trial
                if (await self.client.arrive(trial.id, "open")).go:
                    await PeerTrial(self.parts, trial).live()
        waiting: WaitingMeter | None = None
        for run in schedule(scenario):
            if run.entrant != config.entrant:
                continue
            self.state.stage, self.state.run = "wait", run
            # The wait for a run that is not raced is part of that for the next one.
            waiting = waiting or WaitingMeter(self.parts)
            try:
                release = await self.client.arrive(run.id, "open")
            except BaseException:
                waiting.stop()
                raise
            if release.go:
                waited, waiting = waiting.stop(), None
                await PeerRun(self.parts, run, waited).live()
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


async def _briefly(farewell: Awaitable[None]) -> None:
    """Take leave if that can be had within seconds."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(3):
            await farewell
