"""The double beyond its answers: delays, connections and printed lines."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace

import pytest
from test_codex_double import (
    BLOCK,
    PERSONALITIES,
    QUICK,
    Habits,
    Node,
    client,
    config,
    data,
    parse,
    run,
    silent,
    swarm,
    upload,
)

WARNINGS = (
    "WRN No key for a QueryResponse",
    "ERR GetProviders message not received in time",
)


async def metrics(http, node) -> dict[str, float]:
    page = await http.get(f"http://127.0.0.1:{node.metrics_port}/metrics")
    lines = (line.rsplit(" ", 1) for line in page.text.splitlines() if line[0] != "#")
    return {name: float(value) for name, value in lines}


def test_behaviour_2_a_background_download_has_no_silence(tmp_path):
    """At this scale the silence would last an hour."""

    async def main():
        habits = Habits(time_scale=1000, silent_from_bytes=BLOCK)
        async with swarm(tmp_path, 2, habits=habits) as (seeder, leecher), client() as http:
            cid = await upload(http, seeder, data(40 * BLOCK))
            await http.post(f"{leecher.url}/data/{cid}/network")
            while leecher.store.total_blocks < 41:
                await asyncio.sleep(0.01)

    run(main())


def test_behaviour_2_a_background_download_of_local_content_takes_time(tmp_path):
    async def main():
        habits = Habits(time_scale=100)  # 0.2 s for 5 blocks
        async with swarm(tmp_path, 1, "storage-2026", habits) as (node,), client() as http:
            cid = await upload(http, node, data(5 * BLOCK))
            began = time.monotonic()
            number = (await http.post(f"{node.url}/data/{cid}/network")).json()["downloadId"]
            progress = f"{node.url}/data/{cid}/network/progress/{number}"
            while (await http.get(progress)).json()["active"]:
                await asyncio.sleep(0.01)
            assert time.monotonic() - began > 0.19

    run(main())


def test_deletion_takes_time_in_proportion_to_the_size(tmp_path):
    async def main():
        habits = Habits(time_scale=100)  # 0.25 s for 5 blocks
        async with swarm(tmp_path, 1, habits=habits) as (node,), client() as http:
            cid = await upload(http, node, data(5 * BLOCK))
            began = time.monotonic()
            assert (await http.delete(f"{node.url}/data/{cid}")).status_code == 204
            assert time.monotonic() - began > 0.24
            assert node.store.total_blocks == 0

    run(main())


def test_a_background_download_can_be_cancelled_and_is_forgotten(tmp_path):
    async def main():
        each = {1: {"quota_bytes": 5 * BLOCK}}  # otherwise it would hang forever
        nodes = swarm(tmp_path, 2, "storage-2026", each=each)
        async with nodes as (seeder, leecher), client() as http:
            cid = await upload(http, seeder, data(20 * BLOCK))
            number = (await http.post(f"{leecher.url}/data/{cid}/network")).json()["downloadId"]
            download = f"{leecher.url}/data/{cid}/network"
            assert (await http.get(f"{download}/progress/{number}")).json()["active"]
            assert (await http.delete(f"{download}/{number}")).status_code == 204
            assert (await http.get(f"{download}/progress/{number}")).json() == {"active": False}
            again = (await http.post(f"{leecher.url}/data/{cid}/network")).json()["downloadId"]
            assert again != number

    run(main())


def test_connections_outlast_a_download_and_end_with_their_node(tmp_path):
    async def main():
        async with swarm(tmp_path, 2) as (seeder, leecher), client() as http:
            assert (await metrics(http, leecher))["libp2p_peers"] == 0  # known, but not connected
            cid = await upload(http, seeder, data(3 * BLOCK))
            await http.get(f"{leecher.url}/data/{cid}/network/stream")
            for node in (leecher, seeder):
                while not (await metrics(http, node))["libp2p_peers"]:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            found = await metrics(http, leecher)
            assert found["libp2p_peers"] == 1
            await seeder.stop()
            while (await metrics(http, leecher))["libp2p_peers"]:
                await asyncio.sleep(0.01)
            for name in (
                "codex_block_exchange_want_have_lists_sent_total",
                "codex_block_exchange_want_have_lists_received_total",
                "codex_inflight_discovery",
                "libp2p_open_streams",
                "libp2p_successful_dials_total",
                'presto_server_response_status_count_total{endpoint="",status="200"}',
                "process_open_fds",
                "process_virtual_memory_bytes",
            ):
                assert name in found

    run(main())


def test_behaviour_8_it_may_be_deaf_only_to_its_peers_with_a_full_table(tmp_path):
    async def main():
        habits = replace(
            QUICK, time_scale=1.0, deaf_after_upload_seconds=1000.0, deaf_to_peers_only=True
        )
        async with swarm(tmp_path, 2, habits=habits) as (node, other), client() as http:
            while not (node.discovery.nodes and other.discovery.nodes):
                await asyncio.sleep(0.01)
            assert await other.dial(node.peer_id, [])
            while not (node.exchange.connected and other.exchange.connected):
                await asyncio.sleep(0.01)
            cid = await upload(http, node, data(10))
            info = (await http.get(f"{node.url}/debug/info")).json()
            assert info["table"]["nodes"]
            assert (await metrics(http, node))["libp2p_peers"] == 0
            assert await silent(http.get(f"{other.url}/data/{cid}/network/manifest"), 0.2)
            node._deaf_until = 0.0  # its time is over
            while not (await metrics(http, node))["libp2p_peers"]:  # it answers again
                await asyncio.sleep(0.05)

    run(main())


def test_behaviour_9_it_prints_the_real_nodes_warnings(tmp_path, capfd):
    async def main():
        async with swarm(tmp_path, 2) as (seeder, leecher), client() as http:
            while not leecher.discovery.nodes:
                await asyncio.sleep(0.01)
            await seeder.stop()
            url = f"{leecher.url}/data/{await _own(http)}/network/manifest"
            asking = asyncio.ensure_future(http.get(url))
            printed = ""
            while not all(line in printed for line in WARNINGS):
                printed += capfd.readouterr().out
                await asyncio.sleep(0.01)
            assert not asking.done()
            asking.cancel()
            await asyncio.wait([asking])

    async def _own(http) -> str:
        async with swarm(tmp_path / "other", 1) as (other,):
            return await upload(http, other, data(9))

    run(main())


@pytest.mark.parametrize(
    ("personality", "arguments", "preset"),
    [
        ("storage-2026", [], True),
        ("storage-2026", ["--bootstrap-node=spr:abc"], False),
        ("storage-2026", ["--no-bootstrap-node", "--nat=extip:127.0.0.1"], False),
        ("v0.2.5", [], False),
        ("v0.1.9", [], False),
    ],
)
def test_only_the_newest_joins_a_public_network_by_default(
    tmp_path, capfd, personality, arguments, preset
):
    assert parse(arguments, {}, PERSONALITIES[personality]).preset is preset

    async def main():
        node = Node(config(tmp_path, personality, preset=preset))
        await node.start()
        await node.stop()

    run(main())
    assert ("WRN Joining the public preset network" in capfd.readouterr().out) == preset


def test_a_node_listens_on_ipv6_and_lists_its_ipv6_address(tmp_path):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip(
                "NOT TESTED: no IPv6 on this machine's loopback; enable it with "
                "`sysctl net.ipv6.conf.lo.disable_ipv6=0`"
            )
    assert parse(["--listen-addrs=/ip6/::1/tcp/7"], {}, PERSONALITIES["v0.2.5"]).disc_host == "::"

    async def main():
        hosts = dict.fromkeys(("listen_host", "disc_host", "nat", "api_host"), "::1")
        async with (
            swarm(tmp_path, 2, each={0: hosts, 1: hosts}) as (seeder, leecher),
            client() as http,
        ):
            info = (await http.get(f"{leecher.url}/debug/info")).json()
            assert info["addrs"] == [f"/ip6/::1/tcp/{leecher.discovery.me['tcp']}"]
            cid = await upload(http, seeder, data(BLOCK))
            answer = await http.get(f"{leecher.url}/data/{cid}/network/stream")
            assert answer.content == data(BLOCK)

    run(main())
