"""The stages of one peer's part in a run: each is timed, bounded and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from swarmrace.clock import Clock
from swarmrace.errors import Reason
from swarmrace.peer.state import PeerState
from swarmrace.peer.transfer import Blame, failure_of
from swarmrace.recording.records import Failure, Stage

T = TypeVar("T")


class Stages:
    """Runs the stages of one peer's part in a run, and keeps the first failure.

    Args:
        state: `state.stage` is set to the current stage.
        clock: times the stages.
        blame: returns the failure to record instead when the machine is to blame (`peer.blame`).
    """

    def __init__(self, state: PeerState, clock: Clock, blame: Blame) -> None:
        self._state, self._clock, self._blame = state, clock, blame
        self._opened_ns = clock.now_ns()
        self.records: list[Stage] = []
        self.failure: Failure | None = None
        self.node_died = False
        """Whether the system's program has died, whoever is to blame."""

    async def run(
        self,
        name: str,
        timeout_seconds: float,
        action: Callable[[], Awaitable[T]],
        *,
        always: bool = False,
    ) -> T | None:
        """Run `action` as a stage; return its result, or None if it failed or was skipped.

        Args:
            name: the stage's name.
            timeout_seconds: its limit; 0 is no limit.
            action: what to do.
            always: run it even after a failure, which otherwise skips all later stages.
        """
        if self.failure is not None and not always:
            return None
        self._state.stage = name
        began_ns = self._clock.now_ns()
        try:
            async with asyncio.timeout(timeout_seconds or None):
                return await action()
        except Exception as error:
            failure = failure_of(error, name)
            self.node_died |= failure.reason is Reason.NODE_DIED
            if isinstance(error, TimeoutError) and not str(error):
                trouble = self._state.system.trouble if self._state.system is not None else ""
                detail = f"not within {timeout_seconds:g} s" + (f"; {trouble}" if trouble else "")
                failure = Failure(reason=Reason.TIMEOUT, stage=name, detail=detail)
            self.failure = self.failure or self._blame(failure, error)
            return None
        finally:
            self.record(name, began_ns, self._clock.now_ns())

    def record(self, name: str, began_ns: int, ended_ns: int) -> None:
        """Record that stage `name` lasted from `began_ns` to `ended_ns` on the clock."""
        began = (began_ns - self._opened_ns) / 1e9
        self.records.append(
            Stage(name=name, began_seconds=began, seconds=(ended_ns - began_ns) / 1e9)
        )
