"""A rendezvous that listens on real sockets, and clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from meeting import RACE_ID, scenario
from patience import PATIENCE_SECONDS
from swarmrace.clock import SystemClock
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.rendezvous.server import Listening, ServerConfig, listening


def client(
    transport: httpx.AsyncBaseTransport | None,
    url: str = "http://tracker",
    patience: float = PATIENCE_SECONDS,
) -> RendezvousClient:
    """Return the client of peer 0 of `a`, over a transport or the network."""
    return RendezvousClient(
        url, RACE_ID, "a", 0, SystemClock(), transport=transport, patience_seconds=patience
    )


def on_sockets(
    tmp_path: Path, story: Callable[[Listening, str], Awaitable[None]], **options: Any
) -> None:
    """Run `story(running, url)` with a rendezvous that listens on TCP and on a unix socket."""

    async def main():
        config = ServerConfig(
            scenario(),
            RACE_ID,
            tmp_path / "results",
            host="127.0.0.1",
            uds=tmp_path / "s",
            **options,
        )
        async with listening(config) as running:
            await story(running, f"http://127.0.0.1:{running.port}")

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; otherwise the test's timeout ends the wait."""
    while not condition():
        await asyncio.sleep(0.005)
