"""A node seen from its peer."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_fixed,
)

from swarmrace.host.memory_kills import Kill
from swarmrace.systems.child import STOP_SECONDS
from swarmrace.systems.child import last_lines_of as last_lines_of
from swarmrace.systems.codex.api import Api, UnreachableError


class Node(abc.ABC):
    """A node of one peer.

    Attributes:
        api: its REST interface, once it is up.
        metrics_url: its metrics page.
        command: its command line, as far as it is known.
        environment: the variables it reads, where they are known.
        reasons: why each argument of it stands there.
        notes: oddities seen while starting it.
    """

    can_restart = True
    """Whether it can be started cold from here."""

    def __init__(self) -> None:
        self.api: Api | None = None
        self.metrics_url: str | None = None
        self.command: list[str] = []
        self.environment: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.notes: list[str] = []

    @property
    @abc.abstractmethod
    def running(self) -> bool:
        """Whether it was started (or joined) and has not ended since."""

    @abc.abstractmethod
    async def start(self, bootstrap: str | None) -> None:
        """Start it on an empty data directory, ending the one before; return when its API answers.

        Args:
            bootstrap: record of the node to join; None for the first node of a swarm.

        Raises:
            TransferError: it can't be started, or ended at once.
        """

    @abc.abstractmethod
    async def stop(self) -> None:
        """End it and remove its data."""

    @abc.abstractmethod
    async def died(self) -> str:
        """Return, with the way it ended, once the node has ended or started again unasked."""

    async def autopsy(self, seconds: float = 1.0) -> str | None:
        """Return how the node died, if it has, or None: asked after a call that broke."""
        watch = asyncio.create_task(self.died())
        try:
            await asyncio.wait((watch,), timeout=seconds)
            return watch.result() if watch.done() else None
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    @abc.abstractmethod
    def pids(self) -> list[int]:
        """Return the node's processes, where they can be seen from here."""

    @property
    def killed_for_memory(self) -> Kill | None:
        """How the kernel killed the node that died last because memory had run out, or None."""
        return None

    def last_lines(self) -> str:
        """Return the end of the node's output in one line, or nothing where it is not here."""
        return ""

    async def close(self) -> None:
        """Release everything. Never raises."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2 * STOP_SECONDS):
                await self.stop()
        if self.api is not None:
            await self.api.close()


async def answering(api: Api) -> None:
    """Return when the node answers and has a record of its own. Bounded by the caller."""
    async for attempt in AsyncRetrying(
        wait=wait_fixed(0.05), retry=retry_if_exception_type(UnreachableError), reraise=True
    ):
        with attempt:
            if not (await api.info()).spr:
                raise UnreachableError("the node has no record of itself yet")


async def joined(api: Api, note: Callable[[str], None]) -> None:
    """Return when the node has heard from others. Bounded by the caller.

    Args:
        api: the node's.
        note: is given why it isn't so yet.
    """

    def note_error(state: RetryCallState) -> None:
        if state.outcome is not None:
            note(str(state.outcome.exception()))

    async for attempt in AsyncRetrying(
        wait=wait_fixed(0.1),
        retry=retry_if_exception_type(UnreachableError),
        before_sleep=note_error,
        reraise=True,
    ):
        with attempt:
            if not (await api.info()).nodes:
                raise UnreachableError("the node has heard from no other")


async def identity(api: Api, seconds: float) -> str | None:
    """Return the node's id, or None when it is not to be had within some seconds."""
    try:
        async for attempt in AsyncRetrying(
            wait=wait_fixed(0.2),
            stop=stop_after_delay(seconds),
            retry=retry_if_exception_type(UnreachableError),
            reraise=True,
        ):
            with attempt:
                return (await api.info()).id
    except UnreachableError:
        pass
    return None
