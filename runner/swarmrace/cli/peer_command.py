"""`swarmrace peer`: one peer in a process or pod of its own, with its metrics.

The exit code is 0 once every result of this peer is accepted, whatever they say; 143 after a
SIGTERM before that, having said goodbye to the rendezvous; otherwise the error's
(`swarmrace.errors.Exit`). A SIGTERM while it lingers for a scraper ends it at once, with 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator

from swarmrace.host.sockets import EVERYWHERE
from swarmrace.host.termination import SIGTERM_CODE, Termination
from swarmrace.metrics.exporter import MetricsServer
from swarmrace.metrics.linger import Linger
from swarmrace.metrics.push import BUDGET_SECONDS, Pusher
from swarmrace.metrics.reporter import Reporter
from swarmrace.metrics.sampler import Sampler
from swarmrace.peer.peer import Peer
from swarmrace.peer.state import PeerConfig

log = logging.getLogger(__name__)


def run(
    config: PeerConfig,
    *,
    metrics_port: int | None = None,
    push_url: str | None = None,
    linger_seconds: float = 0.0,
) -> int:
    """Live the peer's life and return the exit code.

    Args:
        config: who it is.
        metrics_port: serves `/metrics` there: on every address where the peer has its network to
            itself, else on its own address alone. None or 0 serves nothing.
        push_url: where finished runs are sent; nothing is sent when absent or empty.
        linger_seconds: how long it stays at most after its last run, until a scraper has had two
            complete answers at least 5 s apart. Without `metrics_port` it leaves at once.

    Raises:
        RendezvousError: the rendezvous is out of reach, or has given this peer up.
        UnavailableError: the port can't be had, or the entrant can't be raced here.
    """
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stdout,
        force=True,
        format=f"%(asctime)s {config.entrant}-{config.peer} %(levelname)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return asyncio.run(_live(config, metrics_port or None, push_url or None, linger_seconds))


async def _live(
    config: PeerConfig, port: int | None, push_url: str | None, linger_seconds: float
) -> int:
    termination = Termination()
    async with contextlib.AsyncExitStack() as stack:
        reporter = Reporter(Pusher(push_url) if push_url else None)
        stack.push_async_callback(reporter.aclose)
        peer, linger = Peer(config, sink=reporter), Linger()
        reporter.sampler = Sampler(peer.state, peer.clock)
        if port is not None:
            server = await stack.enter_async_context(
                _serving(reporter.sampler, config, port, linger)
            )
            peer.parts.control.append(server.control_bytes)
        if not await termination.unless(peer.live()):
            log.warning("ended by SIGTERM in stage %s", peer.state.stage)
            return SIGTERM_CODE
        log.info("all results are accepted")
        await termination.unless(_stay(reporter, linger, linger_seconds if port else 0.0))
    return 0


async def _stay(reporter: Reporter, linger: Linger, seconds: float) -> None:
    """Give scraper and push address their chance to have everything."""

    async def scraped() -> None:
        if seconds > 0 and not await linger.wait(seconds):
            log.warning(
                "metrics: expected a scraper to take two complete answers at least 5 s apart "
                "within %g s, found none that did; scrape more often or raise --linger-seconds",
                seconds,
            )

    await asyncio.gather(reporter.flush(max(BUDGET_SECONDS, seconds)), scraped())


@contextlib.asynccontextmanager
async def _serving(
    sampler: Sampler, config: PeerConfig, port: int, linger: Linger
) -> AsyncIterator[MetricsServer]:
    host = EVERYWHERE if config.isolated else config.address
    server = MetricsServer(sampler, host, port, linger.answered)
    server.start()
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)
