"""A peer's part in the trial of its program: start it, join, stop. Nothing is transferred."""

from __future__ import annotations

import asyncio
import contextlib

from swarmrace.errors import Reason
from swarmrace.peer.parts import PeerParts
from swarmrace.peer.transfer import failure_of
from swarmrace.recording.records import Failure
from swarmrace.systems.run import Run

_HEARTBEAT_SECONDS = 0.25
"""How often a peer asks whether the other peer has failed; if so it ends its own part at once."""


class PeerTrial:
    """One peer's part in one trial.

    Args:
        peer: the peer; its system is created for the trial and closed after it.
        trial: from `swarmrace.plan.trials`.
    """

    def __init__(self, peer: PeerParts, trial: Run) -> None:
        self.peer, self.trial = peer, trial
        self.state, self.client = peer.state, peer.client
        self.seconds = peer.config.scenario.race.timeouts.prepare_seconds

    async def participate(self) -> None:
        """Take part, from prepare to cleared."""
        self.state.run = self.trial
        try:
            failure = await self._join_unless_aborted()
            await self.client.arrive(self.trial.id, "prepared", failure)
            await self._end()
        finally:
            await self.peer.slot.close()
            self.state.stage, self.state.run = "wait", None
        await self.client.arrive(self.trial.id, "cleared")

    async def _join_unless_aborted(self) -> Failure | None:
        """Join; give up when the other peer has failed."""
        joining = asyncio.ensure_future(self._join())
        aborted = asyncio.ensure_future(self._wait_for_abort())
        try:
            await asyncio.wait({joining, aborted}, return_when=asyncio.FIRST_COMPLETED)
            return await (joining if joining.done() else aborted)
        finally:
            for task in (joining, aborted):
                task.cancel()
            await asyncio.gather(joining, aborted, return_exceptions=True)

    async def _join(self) -> Failure | None:
        """Prepare and settle, together within `prepareSeconds`; return the failure, if any."""
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

    async def _wait_for_abort(self) -> Failure:
        """Return once the rendezvous reports that the trial was aborted."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            with contextlib.suppress(Exception):
                answer = await self.client.heartbeat(self.trial.id, self.state.stage, 0)
                if answer.aborted is not None:
                    return Failure(
                        reason=Reason.NOT_RUN,
                        stage=self.state.stage,
                        detail=answer.aborted.detail,
                    )

    def _with_last_words(self, failure: Failure) -> Failure:
        """Add the end of the program's output, unless the detail already holds it."""
        system, words = self.state.system, ""
        if system is not None:
            with contextlib.suppress(Exception):
                words = system.last_words()
        if not words or words in failure.detail:
            return failure
        return failure.model_copy(update={"detail": f"{failure.detail}; output: {words}"})

    async def _end(self) -> None:
        """Remove what the trial left. A failure here says nothing about the start."""
        system = self.state.system
        if system is not None:
            self.state.stage = "remove"
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self.seconds):
                    await system.remove()
