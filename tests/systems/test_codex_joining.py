"""When a peer's node is up: the first seeder's when it answers, any other's when it has heard from
the swarm."""

from __future__ import annotations

import asyncio

from codex_swarm import codex_swarm, make_program, program, warm
from patience import PATIENCE_SECONDS
from swarmrace.systems.codex.metrics import fetch

ANSWERS = "dht_transport_rx_packets_total"


async def answers(system) -> float:
    """Return how many packets a node's discovery has received."""
    node = system._node
    if node.metrics_url is None:
        return 0.0
    return (await fetch(node.metrics_url, (ANSWERS,))).get(ANSWERS, 0.0)


def test_a_first_seeder_that_no_node_has_joined_is_up(tmp_path):
    """Its table is empty before and after its upload."""

    async def main():
        path = program(tmp_path / "bin")
        async with codex_swarm(tmp_path, 100_000, 3, program=str(path)) as swarm:
            first = swarm.systems[0]
            async with asyncio.timeout(PATIENCE_SECONDS):
                await first.prepare(swarm.run())
                assert (await first._api.info()).nodes == 0
                await first.publish(swarm.file, None)
                await first.settle()
            assert (await first._api.info()).nodes == 0

    asyncio.run(main())


def test_over_loopback_no_node_that_binds_like_a_real_one_joins(tmp_path):
    """Its bootstrap node is in its table anyway, as in a real node's."""

    async def main():
        path = make_program(tmp_path / "bin")
        async with codex_swarm(tmp_path, 100_000, 2, program=str(path)) as swarm:
            first, leecher = swarm.systems
            joining = asyncio.create_task(leecher.prepare(swarm.run()))
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await first.prepare(swarm.run())
                    while await answers(leecher) < 5:
                        await asyncio.sleep(0.05)
                assert not joining.done()
                answer = await leecher._api._short("GET", leecher._api._path("/debug/info"))
                assert [node["seen"] for node in answer.json()["table"]["nodes"]] == [False]
            finally:
                joining.cancel()
                await asyncio.gather(joining, return_exceptions=True)

    asyncio.run(main())


def test_a_joined_first_seeder_must_know_other_nodes_after_its_upload(tmp_path):
    async def main():
        async with warm(tmp_path) as (swarm, nodes):
            await swarm.prepare()
            while not any(entry.seen for entry in nodes[0].discovery.nodes.values()):
                await asyncio.sleep(0.01)
            first = swarm.systems[0]
            await first.publish(swarm.file, None)
            nodes[1].discovery.stop()
            nodes[0].discovery.nodes.clear()
            settling = asyncio.create_task(first.settle())
            asked = nodes[0].answers
            async with asyncio.timeout(PATIENCE_SECONDS):
                while nodes[0].answers < asked + 5:
                    await asyncio.sleep(0.01)
            assert not settling.done()
            settling.cancel()
            await asyncio.gather(settling, return_exceptions=True)

    asyncio.run(main())
