"""`swarmrace shape`: a pod's first container sets the link's conditions, or reports why it can't.

A pod whose first container fails never joins the race. Without the report the reason would be only
in that container's log, and the race would wait for the peer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from swarmrace.clock import SystemClock
from swarmrace.errors import ConditionError, RendezvousError
from swarmrace.network import conditions
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.scenario.scenario import Race

log = logging.getLogger(__name__)

Reporter = Callable[[str], None]


def run(race: Race, peer: int, device: str, report: Reporter | None = None) -> str:
    """Set a peer's link from inside its network namespace.

    Args:
        race: the race with the network conditions.
        peer: the peer's index.
        device: the interface.
        report: called with the reason if the conditions can't be set.

    Returns:
        How the download is limited (`conditions.apply_own`).

    Raises:
        ConditionError: the conditions can't be set.
    """
    seeder = not race.rotate_seeders and peer < race.seeders
    try:
        return conditions.apply_own(race.network, seeder=seeder, device=device)
    except ConditionError as error:
        if report is not None:
            report(f"network conditions can't be set: {error}")
        raise


def lost_reporter(
    rendezvous: str, race_id: str, entrant: str, peer: int, token: str | None, seconds: float
) -> Reporter:
    """Return a function that reports this peer as lost; it gives up after `seconds`."""

    async def send(why: str) -> None:
        client = RendezvousClient(
            rendezvous,
            race_id,
            entrant,
            peer,
            SystemClock(),
            token=token,
            patience_seconds=seconds,
        )
        try:
            async with asyncio.timeout(seconds):
                await client.report_lost(entrant, peer, why)
        finally:
            await client.aclose()

    def report(why: str) -> None:
        try:
            asyncio.run(send(why))
        except (RendezvousError, TimeoutError) as error:
            log.warning("could not report to the race: %s", error or "no answer in time")

    return report
