"""A node as its peer sees it."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Callable
from typing import ClassVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_fixed,
)

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.child import STOP_SECONDS
from swarmrace.systems.codex.api import Api
from swarmrace.systems.node import NodeProcess
from swarmrace.systems.node_api import UnreachableError


class CodexNode(NodeProcess, abc.ABC):
    """A node of one peer.

    Attributes:
        api: its REST interface, once it is up.
        metrics_url: its metrics page.
        environment: the variables that it reads as options, if known.
        reasons: the reason for each argument.
    """

    recorded_as: ClassVar[str]
    """What results call this kind of node."""
    can_restart = True
    """Whether it can be started cold from here."""

    def __init__(self) -> None:
        super().__init__()
        self.api: Api | None = None
        self.metrics_url: str | None = None
        self.environment: dict[str, str] = {}
        self.reasons: dict[str, str] = {}

    @abc.abstractmethod
    async def start(self, bootstrap: str | None) -> None:
        """Start it on an empty data directory, after ending the one before; return when its API
        answers.

        Args:
            bootstrap: record of the node to join; None for the first node of a swarm.

        Raises:
            TransferError: it can't be started, or it ended at once.
        """

    async def close(self) -> None:
        """Release everything. Never raises."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2 * STOP_SECONDS):
                await self.stop()
        if self.api is not None:
            await self.api.close()


def require_ipv4(address: str) -> None:
    """Refuse a peer's IPv6 address: a node's discovery listens on 0.0.0.0 (observed on v0.2.5).

    Raises:
        TransferError: it is an IPv6 address.
    """
    if ":" in address:
        raise TransferError(
            Reason.REFUSED,
            f"codex: expected an IPv4 address, found {address}: a node's discovery only listens on "
            "IPv4 (0.0.0.0); give the pods an IPv4 address as their first one",
        )


async def answering(api: Api) -> None:
    """Return when the node answers and has a record of its own. Bounded by the caller."""
    async for attempt in AsyncRetrying(
        wait=wait_fixed(0.05), retry=retry_if_exception_type(UnreachableError), reraise=True
    ):
        with attempt:
            if not (await api.info()).spr:
                raise UnreachableError("the node has no record of itself yet")


async def joined(api: Api, note: Callable[[str], None]) -> None:
    """Return when the node has heard from other nodes. The caller sets a time limit.

    Args:
        api: the node's API.
        note: called with the reason why it hasn't yet.
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
                raise UnreachableError("the node has heard from no other node")


async def identity(api: Api, seconds: float) -> str | None:
    """Return the node's id, or None if it doesn't answer within `seconds`."""
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
