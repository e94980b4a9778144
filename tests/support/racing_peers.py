"""Whole races of synthetic peers in one event loop, on virtual clocks."""

from __future__ import annotations

import asyncio

import httpx

from patience import PATIENCE_SECONDS
from swarmrace.clock import VirtualClock
from swarmrace.peer.peer import Peer
from swarmrace.peer.state import PeerConfig
from swarmrace.rendezvous.server import Rendezvous, ServerConfig
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse


def scenario(**race):
    race = {"swarmSize": 3, "seeders": 1, "fileSize": 10_000, "rotateSeeders": False, **race}
    entrants = {"a": {"kind": "synthetic"}, "b": {"kind": "synthetic"}}
    return parse({"global": {"race": race, "entrants": entrants}})


def raced(scenario, folder, made=lambda peer: None, started_ns=lambda number: 0, **config):
    """Race on virtual clocks; return the results, and for each peer an exception or None.

    Args:
        scenario: a scenario with synthetic entrants.
        folder: the folder of all files; the results are in `race`.
        made: called with each peer before it starts.
        started_ns: returns a clock's first reading: number 0 is the rendezvous, peers follow.
        config: further fields of the rendezvous' `ServerConfig`.
    """

    async def race():
        served = ServerConfig(
            scenario=scenario, race_id=scenario.race_id(), data_dir=folder / "race", **config
        )
        rendezvous = Rendezvous(served, VirtualClock(started_ns(0)))
        ticking = asyncio.ensure_future(rendezvous.tick())
        peers = []
        for entrant in scenario.entrants:
            for index in range(scenario.race.swarm_size):
                work_dir = folder / f"{entrant}-{index}"
                work_dir.mkdir()
                peer = Peer(
                    PeerConfig(
                        scenario=scenario,
                        race_id=served.race_id,
                        entrant=entrant,
                        peer=index,
                        rendezvous="http://rendezvous",
                        address="127.0.0.1",
                        work_dir=work_dir,
                    ),
                    clock=VirtualClock(started_ns(1 + len(peers))),
                    transport=httpx.ASGITransport(app=rendezvous.app),
                )
                made(peer)
                peers.append(peer)
        try:
            return await asyncio.gather(*(p.participate() for p in peers), return_exceptions=True)
        finally:
            ticking.cancel()

    ends = asyncio.run(asyncio.wait_for(race(), PATIENCE_SECONDS))
    return results.load(folder / "race"), ends
