"""The double in a swarm, modelled on races of real nodes: which nodes join, in which order blocks
arrive, and which nodes serve."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

from test_codex_double import BLOCK, QUICK, Node, client, config, data, run, swarm, upload
from test_codex_double_habits import metrics

FOREVER_SECONDS = 1e9


@asynccontextmanager
async def two_addresses(folder, **habits):
    """Two nodes on different loopback addresses; the second one joins the first."""
    nodes = []
    try:
        for number in (1, 2):
            address = f"127.0.77.{number}"
            changes = {"bootstrap": (nodes[0].spr,)} if nodes else {}
            made = config(
                folder / str(number),
                habits=replace(QUICK, **habits),
                listen_host=address,
                disc_host="0.0.0.0",
                nat=address,
                **changes,
            )
            nodes.append(Node(made))
            await nodes[-1].start()
        yield nodes
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


async def until(condition) -> None:
    async with asyncio.timeout(300):
        while not condition():
            await asyncio.sleep(0.01)


def seen(node) -> list[bool]:
    return [entry.seen for entry in node.discovery.nodes.values()]


def test_no_node_joins_if_the_kernel_chooses_another_source_address(tmp_path):
    """Bound to the wildcard address, it sends from 127.0.0.1, which isn't in its record."""

    async def main():
        async with two_addresses(tmp_path) as (first, second), client() as http:
            await until(lambda: second.discovery.received[1] >= 5)  # it received five answers
            assert seen(first) == []
            assert seen(second) == [False]  # the bootstrap node, known from the beginning
            cid = await upload(http, first, data(9))
            assert await second.discovery.providers(cid) == []

    run(main())


def test_they_join_if_packets_leave_from_the_announced_address(tmp_path):
    async def main():
        async with two_addresses(tmp_path, discovery_bind="announced") as (first, second):
            await until(lambda: seen(first) == seen(second) == [True])

    run(main())


def test_only_seen_nodes_are_named_to_other_nodes(tmp_path):
    async def main():
        async with swarm(tmp_path / "other", 1) as (gone,):
            record = gone.spr
        async with swarm(tmp_path, 2, each={0: {"bootstrap": (record,)}}) as (first, second):
            await until(lambda: True in seen(second))
            assert len(first.discovery.nodes) == 2
            assert list(second.discovery.nodes) == [first.peer_id]

    run(main())


def test_a_stream_pauses_while_blocks_arrive_at_the_node(tmp_path):
    """The node's own counters show the blocks."""

    async def main():
        habits = replace(QUICK, silent_from_bytes=BLOCK, silence_seconds_a_node=FOREVER_SECONDS)
        async with swarm(tmp_path, 2, habits=habits) as (seeder, leecher), client() as http:
            cid = await upload(http, seeder, data(60 * BLOCK))
            stream = http.stream("GET", f"{leecher.url}/data/{cid}/network/stream")
            async with stream as answer:
                parts = answer.aiter_bytes()
                got = await anext(parts)
                while len(got) < BLOCK:
                    got += await anext(parts)
                received = "codex_block_exchange_blocks_received_total"
                while (await metrics(http, leecher))[received] < 1 + 0.5 * 60:
                    await asyncio.sleep(0.01)
                held = await metrics(http, leecher)
                assert 30 < held["codex_repostore_blocks"] < 61
                assert not leecher.store.has(_digest(seeder, 1))
                assert len(got) == BLOCK

    run(main())


def _digest(seeder, index: int) -> bytes:
    [manifest] = seeder.store.manifests.values()
    return seeder.store.tree(manifest["treeCid"])[index]


def test_a_streams_first_blocks_arrive_last_and_the_others_in_any_order(tmp_path):
    async def main():
        habits = replace(QUICK, first_last_from_bytes=BLOCK)
        async with swarm(tmp_path, 2, habits=habits) as (seeder, leecher), client() as http:
            content = data(100 * BLOCK)
            cid = await upload(http, seeder, content)
            answer = await http.get(f"{leecher.url}/data/{cid}/network/stream")
            assert answer.content == content
            [manifest] = seeder.store.manifests.values()
            places = {d: i for i, d in enumerate(seeder.store.tree(manifest["treeCid"]))}
            order = [places[bytes.fromhex(name)] for name in leecher.store._held]
            assert order[0] == 0
            late = order.index(1)
            assert 55 <= late <= 96
            assert order[late:] == list(range(1, 101 - late))
            assert order[1:late] != sorted(order[1:late])

    run(main())


def test_the_silence_grows_with_the_swarm(tmp_path):
    async def main():
        async with swarm(tmp_path, 4) as nodes:
            first = nodes[0]
            await until(lambda: len(first.discovery.nodes) == 3)
            assert first.network.silence_seconds == 4 * 1.6 * QUICK.time_scale

    run(main())


def test_leechers_serve_little(tmp_path):
    async def main():
        async with swarm(tmp_path, 5) as (seeder, *leechers), client() as http:
            for node in leechers:
                await until(lambda node=node: len(node.discovery.nodes) == 4)
            content = data(60 * BLOCK)
            cid = await upload(http, seeder, content)
            streams = (http.get(f"{node.url}/data/{cid}/network/stream") for node in leechers)
            assert {each.content for each in await asyncio.gather(*streams)} == {content}
            counts = [await metrics(http, node) for node in leechers]
            served = sum(each["codex_block_exchange_blocks_sent_total"] for each in counts)
            assert served < 0.4 * 4 * 60  # a real node's: 0.01 to 0.39

    run(main())
