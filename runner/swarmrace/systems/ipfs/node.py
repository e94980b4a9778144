"""A kubo node seen from its peer: one that it starts, or its pod's sidecar."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

from swarmrace.systems.child import STOP_SECONDS, Child
from swarmrace.systems.ipfs.api import KuboRpc, NodeIdentity
from swarmrace.systems.node import StartedNode
from swarmrace.systems.node_api import UnreachableError
from swarmrace.systems.setting import Setting
from swarmrace.systems.sidecar import Supervisor

_ASK_SECONDS = 0.05


class KuboNode(StartedNode, abc.ABC):
    """A kubo node of one peer.

    Args:
        process: starts it.

    Attributes:
        rpc: its RPC, once it is up.
        settings: the entries of its configuration that were set, with their reasons.
        program: a short description of the program.
    """

    recorded_as: ClassVar[str]
    """What results call this kind of node."""

    def __init__(self, process: Child | Supervisor) -> None:
        super().__init__(process)
        self.rpc: KuboRpc | None = None
        self.settings: Mapping[str, Setting] = {}
        self.program = ""

    @abc.abstractmethod
    async def start(self, bootstrap: Sequence[str]) -> NodeIdentity:
        """Start it on a new repository, after ending the one before; return its identity once it
        answers.

        Args:
            bootstrap: addresses of the node to join; none for the first node of a swarm.

        Raises:
            TransferError: it can't be started, or ended at once.
        """

    async def close(self) -> None:
        """Release everything. Never raises."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2 * STOP_SECONDS):
                await self.stop()
        if self.rpc is not None:
            await self.rpc.close()


async def answering(rpc: KuboRpc) -> NodeIdentity:
    """Return a node's identity once it answers and listens. The caller sets a time limit."""
    while True:
        with contextlib.suppress(UnreachableError):
            identity = await rpc.identity()
            if identity.addresses:
                return identity
        await asyncio.sleep(_ASK_SECONDS)


def deaf_at(identity: NodeIdentity, wanted: Sequence[str]) -> list[str]:
    """Return the addresses at which a node should listen but doesn't, because a port was busy. Kubo
    continues as long as it can listen on one of them.
    """
    return [
        address
        for address in wanted
        if not any(f"{each}/".startswith(f"{address}/") for each in identity.addresses)
    ]
