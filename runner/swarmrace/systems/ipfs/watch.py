"""The node's own counters, polled in the background."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from swarmrace.systems.abc import Counters
from swarmrace.systems.ipfs.api import Blocks, KuboRpc
from swarmrace.systems.node_api import UnreachableError

POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Page:
    blocks: Blocks
    received_bytes: int
    sent_bytes: int
    connections: int


class Watch:
    """Polls the counters once a second; `counters` holds the last answer.

    Args:
        rpc: the node's.
    """

    def __init__(self, rpc: KuboRpc) -> None:
        self._rpc = rpc
        self._base: _Page | None = None
        self._last: _Page | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take the figures to count from, and continue in the background."""
        await self.refresh()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the polling."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def refresh(self) -> bool:
        """Poll once now; return whether the node answered. Counting begins with the first
        answer."""
        try:
            blocks, (received, sent), connections = await asyncio.gather(
                self._rpc.blocks(), self._rpc.bandwidth(), self._rpc.connections()
            )
        except UnreachableError:
            return False
        self._last = _Page(blocks, received, sent, connections)
        self._base = self._base or self._last
        return True

    @property
    def connections(self) -> int | None:
        """Nodes connected at the last poll."""
        return self._last.connections if self._last is not None else None

    @property
    def blocks(self) -> Blocks:
        """Bitswap's counts at the last poll."""
        return self._last.blocks if self._last is not None else Blocks()

    def counters(self) -> Counters:
        """Return the counts since `start`."""
        last, base = self._last, self._base
        if last is None or base is None:
            return Counters()
        now, then = last.blocks, base.blocks
        return Counters(
            sent_bytes=last.sent_bytes - base.sent_bytes,
            received_bytes=last.received_bytes - base.received_bytes,
            connections=last.connections,
            payload_sent_bytes=now.sent_bytes - then.sent_bytes,
            payload_received_bytes=now.kept_bytes - then.kept_bytes,
            extra={
                "blocks_received": now.received - then.received,
                "blocks_sent": now.sent - then.sent,
                "duplicate_blocks_received": now.duplicates - then.duplicates,
                "duplicate_block_bytes_received": now.duplicate_bytes - then.duplicate_bytes,
            },
        )

    async def _run(self) -> None:
        while True:
            began = time.monotonic()
            await self.refresh()
            await asyncio.sleep(max(0.1, POLL_SECONDS - (time.monotonic() - began)))
