"""`swarmrace shape`: a pod's first container sets the link, or says why it can't and so ends.

A pod whose first container fails never reports to the race. The reason would stand in that
container's log alone, and the race would wait for the peer, so it is told.
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

Tell = Callable[[str], None]


def run(race: Race, peer: int, device: str, tell: Tell | None = None) -> str:
    """Set a peer's link from inside its network namespace.

    Args:
        race: whose network conditions are set.
        peer: the peer's index.
        device: the interface.
        tell: told why, when it can't be done.

    Returns:
        How the download is limited (`conditions.apply_own`).

    Raises:
        ConditionError: it can't be done here.
    """
    seeder = not race.rotate_seeders and peer < race.seeders
    try:
        return conditions.apply_own(race.network, seeder=seeder, device=device)
    except ConditionError as error:
        if tell is not None:
            tell(f"network conditions can't be set: {error}")
        raise


def teller(
    rendezvous: str, race_id: str, entrant: str, peer: int, token: str | None, seconds: float
) -> Tell:
    """Return what reports this peer lost, within `seconds` or not at all."""

    async def report(why: str) -> None:
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

    def tell(why: str) -> None:
        try:
            asyncio.run(report(why))
        except (RendezvousError, TimeoutError) as error:
            log.warning("the race could not be told: %s", error or "no answer in time")

    return tell
