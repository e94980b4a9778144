"""A peer's system: created when first needed, closed after a failure, then created again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import Any

from swarmrace import systems
from swarmrace.clock import Clock
from swarmrace.peer.state import PeerConfig, PeerState
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.systems.abc import Board, Context, System
from swarmrace.systems.spec import SystemSpec


class SystemSlot:
    """Holds one peer's system, if it is up.

    Args:
        config: whose it is.
        state: `state.system` is set to the system that is up.
        client: gives the system its board.
        clock: the clock of every measurement.
    """

    def __init__(
        self, config: PeerConfig, state: PeerState, client: RendezvousClient, clock: Clock
    ) -> None:
        self._config, self._state, self._client, self._clock = config, state, client, clock
        self.spec: SystemSpec = systems.load(config.scenario.entrants[config.entrant].kind)
        self.prepared = False
        """Whether the current system was already up in an earlier run."""

    def system(self) -> System:
        """Return this peer's system; create it first if there is none."""
        if self._state.system is None:
            config = self._config
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
                board=_RunBoard(self._client, self._state),
                clock=self._clock,
                cold_start=race.cold_start,
                isolated=config.isolated,
            )
            self._state.system = self.spec.create(context, config.scenario.entrants[config.entrant])
        return self._state.system

    @property
    def warm(self) -> bool:
        """Whether the next run finds the system up. Only in a race of warm starts: after a run
        without a failure, or if swarmrace doesn't start the program itself."""
        if self._config.scenario.race.cold_start:
            return False
        return self.prepared or self.system().found_running

    async def close(self) -> None:
        """Close the system, if there is one, and remove its files."""
        system, self._state.system = self._state.system, None
        self.prepared = False
        if system is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(15):
                    await system.close()
        await asyncio.to_thread(shutil.rmtree, self._config.work_dir / "system", ignore_errors=True)


class _RunBoard:
    """The rendezvous' board, for the current run."""

    def __init__(self, client: RendezvousClient, state: PeerState) -> None:
        self._client, self._state = client, state

    def _board(self) -> Board:
        run = self._state.run
        assert run is not None
        return self._client.board(run.id)

    async def put(self, key: str, value: Any) -> None:
        await self._board().put(key, value)

    async def get(self, key: str) -> Any:
        return await self._board().get(key)
