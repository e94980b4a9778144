"""A peer's part in the trial of its program: prepare, join, end. Nothing is transferred."""

from __future__ import annotations

import asyncio
import contextlib

from swarmrace.errors import Reason
from swarmrace.peer.parts import PeerParts
from swarmrace.peer.transfer import failure_of
from swarmrace.recording.records import Failure
from swarmrace.systems.run import Run

_LISTEN_SECONDS = 0.25
"""How often a peer asks whether the other one has failed: it then ends its own part at once."""


class PeerTrial:
    """One peer's part in one trial.

    Args:
        peer: the peer; its system is made for the trial and closed after it.
        trial: from `swarmrace.plan.trials`.
    """

    def __init__(self, peer: PeerParts, trial: Run) -> None:
        self.peer, self.trial = peer, trial
        self.state, self.client = peer.state, peer.client
        self.seconds = peer.config.scenario.race.timeouts.prepare_seconds

    async def live(self) -> None:
        """Take part, from prepare to cleared."""
        self.state.run = self.trial
        try:
            failure = await self._unless_given_up()
            await self.client.arrive(self.trial.id, "prepared", failure)
            await self._end()
        finally:
            await self.peer.slot.close()
            self.state.stage, self.state.run = "wait", None
        await self.client.arrive(self.trial.id, "cleared")

    async def _unless_given_up(self) -> Failure | None:
        """Join; give up when the other peer has failed."""
        joining = asyncio.ensure_future(self._join())
        given_up = asyncio.ensure_future(self._given_up())
        try:
            await asyncio.wait({joining, given_up}, return_when=asyncio.FIRST_COMPLETED)
            return await (joining if joining.done() else given_up)
        finally:
            for task in (joining, given_up):
                task.cancel()
            await asyncio.gather(joining, given_up, return_exceptions=True)

    async def _join(self) -> Failure | None:
        """Prepare and settle, both together within `prepareSeconds`; return what failed."""
        try:
            async with asyncio.timeout(self.seconds):
                self.state.stage = "prepare"
                system = self.peer.slot.system()
                await system.prepare(self.trial)
                self.state.stage = "settle"
                await system.settle()
        except Exception as error:
            failure = failure_of(error, self.state.stage)
            if isinstance(error, TimeoutError) and not str(error):
                detail = f"not within {self.seconds:g} s"
                failure = failure.model_copy(update={"detail": detail})
            return self._with_last_words(failure)
        return None

    async def _given_up(self) -> Failure:
        """Return once the rendezvous says that the trial goes no further."""
        while True:
            await asyncio.sleep(_LISTEN_SECONDS)
            with contextlib.suppress(Exception):
                answer = await self.client.heartbeat(self.trial.id, self.state.stage, 0)
                if answer.aborted is not None:
                    return Failure(
                        reason=Reason.NOT_RUN,
                        stage=self.state.stage,
                        detail=answer.aborted.detail,
                    )

    def _with_last_words(self, failure: Failure) -> Failure:
        """Add the end of the program's output, where it is not in the detail yet."""
        system, words = self.state.system, ""
        if system is not None:
            with contextlib.suppress(Exception):
                words = system.last_words()
        if not words or words in failure.detail:
            return failure
        return failure.model_copy(update={"detail": f"{failure.detail}; output: {words}"})

    async def _end(self) -> None:
        """Remove what the trial left. That this fails says nothing about the start."""
        system = self.state.system
        if system is not None:
            self.state.stage = "remove"
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self.seconds):
                    await system.remove()
