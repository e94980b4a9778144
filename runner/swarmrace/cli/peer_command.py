"""`swarmrace peer`: runs one peer in its own process or pod, with its metrics.

The exit code is 0 once every result of this peer is accepted, even of failed transfers. It is 143
after an earlier SIGTERM, of which the peer notifies the rendezvous. Otherwise it is the error's
(`swarmrace.errors.Exit`). A SIGTERM while the peer waits for a scraper ends it at once, with 0.
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
    """Run the peer until it ends; return the exit code.

    Args:
        config: the peer's configuration.
        metrics_port: port for `/metrics`: on every address if the peer has its own network,
            otherwise only on its own address. None or 0 serves nothing.
        push_url: where finished runs are pushed; None or empty for nowhere.
        linger_seconds: maximum time to wait after the last run, until a scraper has had two
            complete answers at least 5 s apart. Without `metrics_port` it doesn't wait.

    Raises:
        RendezvousError: the rendezvous can't be reached, or has given up this peer.
        UnavailableError: it can't listen on the port, or can't race the entrant.
    """
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stdout,
        force=True,
        format=f"%(asctime)s {config.entrant}-{config.peer} %(levelname)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return asyncio.run(_run(config, metrics_port or None, push_url or None, linger_seconds))


async def _run(
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
        if not await termination.run_until_sigterm(peer.participate()):
            log.warning("ended by SIGTERM in stage %s", peer.state.stage)
            return SIGTERM_CODE
        log.info("all results are accepted")
        await termination.run_until_sigterm(
            _finish(reporter, linger, linger_seconds if port else 0.0)
        )
    return 0


async def _finish(reporter: Reporter, linger: Linger, seconds: float) -> None:
    """Wait until scraper and push address have everything, within limits."""

    async def scraped() -> None:
        if seconds > 0 and not await linger.wait(seconds):
            log.warning(
                "metrics: found no scraper with two complete answers at least 5 s apart, expected "
                "one within %g s; scrape more often or raise --linger-seconds",
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
