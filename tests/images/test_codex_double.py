"""The double behaves as the real node does (codex-node.md); tests bear the numbers of its list."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from dataclasses import replace

import httpx
import pytest
from codex_double import cid as cids
from codex_double.config import Habits, parse
from codex_double.node import Node
from codex_double.personality import PERSONALITIES
from codex_double.testing import QUICK, config, swarm

from patience import PATIENCE_SECONDS, TRIES, until

__all__ = ["PERSONALITIES", "parse"]
"""Used by test_codex_double_habits.py."""

BLOCK = 65_536
OCTETS = {"Content-Type": "application/octet-stream"}
NAMED = {**OCTETS, "Content-Disposition": 'attachment; filename="payload.bin"'}
FAMILIES = pytest.mark.parametrize("personality", ["v0.1.9", "v0.2.5", "storage-2026"])


def data(size: int, seed: int = 1) -> bytes:
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(size)


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS)


async def upload(http: httpx.AsyncClient, node: Node, content: bytes, **headers: str) -> str:
    answer = await http.post(f"{node.url}/data", content=content, headers=headers or NAMED)
    assert answer.status_code == 200, answer.text
    return answer.text


async def silent(call, seconds: float = 0.3) -> bool:
    """Return whether a call stays unanswered this long (many times the time of any answer)."""
    try:
        async with asyncio.timeout(seconds):
            await call
    except TimeoutError:
        return True
    return False


def run(coroutine):
    return asyncio.run(coroutine)


@FAMILIES
def test_rest_answers_have_the_real_nodes_shapes(tmp_path, personality):
    async def main():
        async with swarm(tmp_path, 2, personality) as (seeder, leecher), client() as http:
            content = data(3 * BLOCK + 5)
            cid = await upload(http, seeder, content)
            assert cid.startswith("zDv")
            answer = await http.get(f"{leecher.url}/data/{cid}/network/manifest")
            assert answer.headers["connection"] == "close"
            assert answer.json() == {
                "cid": cid,
                "manifest": {
                    "treeCid": answer.json()["manifest"]["treeCid"],
                    "datasetSize": len(content),
                    "blockSize": BLOCK,
                    "filename": "payload.bin",
                    "mimetype": "application/octet-stream",
                    "protected": False,
                },
            }
            assert answer.json()["manifest"]["treeCid"].startswith("zDz")
            answer = await http.get(f"{leecher.url}/data/{cid}/network/stream")
            assert answer.content == content
            length = None if personality == "v0.1.9" else str(len(content))  # chunks before 2025
            assert answer.headers.get("content-length") == length
            assert answer.headers["content-disposition"] == 'attachment; filename="payload.bin"'
            space = (await http.get(f"{leecher.url}/space")).json()
            assert space["totalBlocks"] == 5  # 4 blocks (the last is padded) and the manifest
            assert 4 * BLOCK < space["quotaUsedBytes"] < 4 * BLOCK + 1000
            assert space["quotaReservedBytes"] == 0
            assert space["quotaMaxBytes"] == (8 if personality == "v0.1.9" else 20) << 30
            info = (await http.get(f"{leecher.url}/debug/info")).json()
            assert info["id"] == (await http.get(f"{leecher.url}/peerid")).json()["id"]
            assert info["spr"] == (await http.get(f"{leecher.url}/spr")).json()["spr"]
            text = await http.get(f"{leecher.url}/spr", headers={"Accept": "text/plain"})
            assert text.text == info["spr"]
            assert text.text.startswith("spr:")
            assert [each["seen"] for each in info["table"]["nodes"]] == [True]
            assert info["table"]["localNode"]["peerId"] == info["id"]
            software = info["storage" if personality.startswith("storage") else "codex"]
            assert "double" in software["version"]
            exists = (await http.get(f"{leecher.url}/data/{cid}/exists")).json()
            assert exists == {cid: True}
            log = f"{leecher.url}/debug/chronicles/loglevel"
            assert (await http.post(log, params={"level": "DEBUG"})).status_code == 200
            peer = (await http.get(f"{seeder.url}/peerid")).json()["id"]
            address = (await http.get(f"{seeder.url}/debug/info")).json()["addrs"][0]
            dialled = await http.get(f"{leecher.url}/connect/{peer}", params={"addrs": address})
            assert dialled.status_code == 200

    run(main())


@FAMILIES
def test_rest_listing_and_extras_depend_on_the_family(tmp_path, personality):
    async def main():
        async with swarm(tmp_path, 2, personality) as (seeder, leecher), client() as http:
            storage = personality.startswith("storage")
            cid = await upload(http, seeder, data(2 * BLOCK))
            listing = await http.get(f"{seeder.url}/data")
            assert listing.status_code == (405 if storage else 200)
            if not storage:
                assert [each["cid"] for each in listing.json()["content"]] == [cid]
            other = f"{seeder.url}/data?blockSize=4096"
            small = (await http.post(other, content=data(9000), headers=OCTETS)).text
            manifest = await http.get(f"{seeder.url}/data/{small}/network/manifest")
            assert manifest.json()["manifest"]["blockSize"] == (4096 if storage else BLOCK)
            started = (await http.post(f"{leecher.url}/data/{cid}/network")).json()
            assert ("downloadId" in started) == storage
            number = started.get("downloadId", 1)
            progress = f"{leecher.url}/data/{cid}/network/progress/{number}"
            assert (await http.get(progress)).status_code == (200 if storage else 404)
            while (await http.get(f"{leecher.url}/space")).json()["totalBlocks"] < 3:
                await asyncio.sleep(0.01)
            if storage:  # a finished download is forgotten
                assert (await http.get(progress)).json() == {"active": False}

    run(main())


def test_rest_refuses_what_the_node_refuses(tmp_path):
    async def main():
        async with swarm(tmp_path, 1) as (node,), client() as http:
            url = f"{node.url}/data"
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            assert (await http.post(url, content=b"x", headers=form)).status_code == 422
            assert (await http.post(url, content=b"", headers=OCTETS)).status_code == 500
            assert (await http.post(url, content=b"x")).status_code == 200  # no type is accepted

            async def chunks():
                yield b"a" * 70_000
                yield b"b" * 70_000

            chunked = await http.post(url, content=chunks(), headers=OCTETS)
            assert chunked.status_code == 200
            unknown = cids.encode(cids.MANIFEST, bytes(32))
            assert (await http.get(f"{url}/{unknown}")).status_code == 404
            assert (await http.delete(f"{url}/{unknown}")).status_code == 204
            assert (await http.get(f"{url}/nonsense/network/manifest")).status_code == 400
            assert (await http.head(f"{url}/{chunked.text}")).status_code == 405
            ranged = await http.get(f"{url}/{chunked.text}", headers={"Range": "bytes=0-9"})
            assert (ranged.status_code, len(ranged.content)) == (200, 140_000)

    run(main())


def test_cid_depends_on_data_block_size_filename_and_type(tmp_path):
    async def main():
        async with swarm(tmp_path, 2, "storage-2026") as nodes, client() as http:
            node, content = nodes[0], data(20_000)
            named = await upload(http, node, content)
            assert await upload(http, nodes[1], content) == named
            text = await upload(http, node, content, **{"Content-Type": "text/plain"})
            bare = await upload(http, node, content, **OCTETS)
            other = await upload(http, node, data(20_000, seed=2))
            url = f"{node.url}/data?blockSize=4096"
            small = (await http.post(url, content=content, headers=NAMED)).text
            assert len({named, text, bare, other, small}) == 5

        habits = replace(QUICK, upload_time_in_cid=True)
        async with swarm(tmp_path / "timed", 1, "v0.1.9", habits) as (node,), client() as http:
            assert await upload(http, node, data(10)) != await upload(http, node, data(10))

    run(main())


def test_behaviour_1_headers_then_block_0_then_a_silence(tmp_path):
    async def main():
        habits = Habits(time_scale=0.1, silent_from_bytes=10 * BLOCK)
        async with swarm(tmp_path, 2, habits=habits) as (seeder, leecher), client() as http:
            sizes = [(9 * BLOCK, False), *[(10 * BLOCK, True)] * TRIES]
            for number, (size, pauses) in enumerate(sizes):
                cid = await upload(http, seeder, data(size, seed=number))
                url = f"{leecher.url}/data/{cid}/network/stream"
                reads: list[tuple[float, int]] = []
                async with http.stream("GET", url) as answer:
                    assert answer.status_code == 200
                    async for read in answer.aiter_raw():
                        reads.append((time.monotonic(), len(read)))
                assert sum(length for _, length in reads) == size
                ends = list(itertools.accumulate(length for _, length in reads))
                if pauses:  # 3.2 s × 0.1, after exactly one block
                    at = ends.index(BLOCK)
                    # A busy machine may stamp the first read late, but not every time.
                    if reads[at + 1][0] - reads[at][0] > 0.28:
                        return
        raise AssertionError("no stream paused")

    run(main())


def test_behaviour_2_local_content_needs_no_network(tmp_path):
    async def main():
        async with swarm(tmp_path, 2) as (seeder, leecher), client() as http:
            content = data(5 * BLOCK)
            cid = await upload(http, seeder, content)
            url = f"{leecher.url}/data/{cid}/network/stream"
            assert (await http.get(url)).content == content
            await seeder.stop()
            assert (await http.get(url)).content == content
            assert (await http.get(f"{leecher.url}/data/{cid}")).content == content

    run(main())


def test_behaviour_3_dead_nodes_in_the_table_delay_the_manifest(tmp_path):
    async def main():
        habits = Habits(time_scale=0.2)
        async with swarm(tmp_path, 2, habits=habits) as (seeder, dead), client() as http:
            cid = await upload(http, seeder, data(100))
            while dead.peer_id not in seeder.discovery.nodes:
                await asyncio.sleep(0.01)
            await dead.stop()
            late = Node(config(tmp_path / "late", habits=habits, bootstrap=(seeder.spr,)))
            await late.start()
            try:
                while dead.peer_id not in late.discovery.nodes:
                    await asyncio.sleep(0.01)
                began = time.monotonic()
                answer = await http.get(f"{late.url}/data/{cid}/network/manifest")
                assert answer.status_code == 200
                assert time.monotonic() - began >= 0.39  # 2 s × 0.2
            finally:
                await late.stop()

    run(main())


def test_behaviour_4_without_its_only_seeder_a_download_stalls_silently_until_it_is_back(tmp_path):
    async def main():
        habits = replace(QUICK, silent_from_bytes=BLOCK, time_scale=0.5)
        async with swarm(tmp_path, 2, habits=habits) as (seeder, leecher), client() as http:
            content = data(40 * BLOCK)
            cid = await upload(http, seeder, content)
            url = f"{leecher.url}/data/{cid}/network/stream"
            async with http.stream("GET", url) as answer:
                reads = answer.aiter_raw()
                got = bytearray()
                while len(got) < BLOCK:  # block 0; the silence of 1.6 s has begun
                    got += await anext(reads)
                me = seeder.discovery.me
                await seeder.stop()
                rest = asyncio.ensure_future(anext(reads))
                assert not (await asyncio.wait({rest}, timeout=0.6))[0]  # no error, no byte
                changes = {"listen_port": me["tcp"], "disc_port": me["disc"]}
                again = Node(config(tmp_path / "0", habits=habits, **changes))
                await again.start()
                assert again.peer_id == seeder.peer_id  # it kept its data and key
                got += await rest
                async for read in reads:
                    got += read
                assert got == content
                await again.stop()

    run(main())


def test_behaviour_5_an_unknown_cid_has_no_answer(tmp_path):
    async def main():
        async with swarm(tmp_path, 2) as (_, node), client() as http:
            url = f"{node.url}/data/{cids.encode(cids.MANIFEST, bytes(32))}/network"
            calls = (http.get(f"{url}/stream"), http.get(f"{url}/manifest"), http.post(url))
            assert await asyncio.gather(*(silent(call) for call in calls)) == [True] * 3

    run(main())


def test_behaviour_5_a_full_quota_refuses_the_upload_and_keeps_blocks(tmp_path):
    async def main():
        each = {0: {"quota_bytes": 5 * BLOCK}}
        async with swarm(tmp_path, 1, each=each) as (node,), client() as http:
            answer = await http.post(f"{node.url}/data", content=data(8 * BLOCK), headers=NAMED)
            assert answer.status_code == 500
            assert (await http.get(f"{node.url}/space")).json()["totalBlocks"] == 5

    run(main())


def test_behaviour_5_a_full_quota_delivers_a_part_and_hangs(tmp_path):
    async def main():
        each = {1: {"quota_bytes": 5 * BLOCK}}
        async with swarm(tmp_path, 2, each=each) as (seeder, leecher), client() as http:
            content = data(40 * BLOCK)
            cid = await upload(http, seeder, content)
            got = bytearray()
            async with http.stream("GET", f"{leecher.url}/data/{cid}/network/stream") as answer:
                assert answer.status_code == 200
                reads = answer.aiter_raw()
                while len(got) < 4 * BLOCK:  # the manifest uses part of the quota
                    got += await anext(reads)
                assert await silent(anext(reads))
            assert got == content[: 4 * BLOCK]

    run(main())


def test_behaviour_6_requested_blocks_still_arrive_after_the_client_disconnected(tmp_path):
    async def main():
        habits = replace(QUICK, silent_from_bytes=BLOCK, time_scale=0.05)
        async with swarm(tmp_path, 2, habits=habits) as (seeder, leecher), client() as http:
            cid = await upload(http, seeder, data(200 * BLOCK))
            async with http.stream("GET", f"{leecher.url}/data/{cid}/network/stream") as answer:
                got = 0
                reads = answer.aiter_raw()
                while got < 10 * BLOCK:
                    got += len(await anext(reads))
            landed = await until(
                lambda: leecher.store.total_blocks > got // BLOCK and leecher.store.total_blocks
            )
            assert leecher.store.used_bytes >= (landed - 1) * BLOCK

    run(main())


def test_behaviour_7_two_types_share_blocks_and_one_deletion_breaks_the_other(tmp_path):
    async def main():
        async with swarm(tmp_path, 1) as (node,), client() as http:
            content = data(3 * BLOCK)
            one = await upload(http, node, content, **OCTETS)
            two = await upload(http, node, content, **{"Content-Type": "text/plain"})
            assert node.store.total_blocks == 5
            await http.delete(f"{node.url}/data/{one}")
            async with http.stream("GET", f"{node.url}/data/{two}") as answer:
                assert answer.status_code == 200
                assert await silent(anext(answer.aiter_raw()))
            exists = (await http.get(f"{node.url}/data/{two}/exists")).json()
            assert exists == {two: True}  # it only checks the manifest

    run(main())


def test_behaviour_8_a_node_may_be_deaf_after_an_upload(tmp_path):
    async def main():
        habits = replace(QUICK, time_scale=1.0, deaf_after_upload_seconds=1000.0)
        async with swarm(tmp_path, 2, habits=habits) as (node, other), client() as http:
            while not other.discovery.nodes:
                await asyncio.sleep(0.01)
            await upload(http, node, data(10))
            assert await silent(http.get(f"{node.url}/spr"), 0.2)
            node._deaf_until = 0.0  # its time is over
            while not (await http.get(f"{node.url}/debug/info")).json()["table"]["nodes"]:
                await asyncio.sleep(0.05)  # it answers again and is found again

    run(main())


def test_metrics_have_the_real_exporters_names(tmp_path):
    async def main():
        for personality in ("v0.2.5", "storage-2026"):
            folder = tmp_path / personality
            async with swarm(folder, 2, personality) as (seeder, leecher), client() as http:
                cid = await upload(http, seeder, data(3 * BLOCK))
                await http.get(f"{leecher.url}/data/{cid}/network/stream")
                page = await http.get(f"http://127.0.0.1:{leecher.metrics_port}/metrics")
                lines = dict(
                    line.rsplit(" ", 1) for line in page.text.splitlines() if line[0] != "#"
                )
                prefix = personality.split("-")[0] if personality != "v0.2.5" else "codex"
                assert float(lines[f"{prefix}_block_exchange_blocks_received_total"]) == 3
                requests = f"{prefix}_block_exchange_discovery_requests_total_total"
                assert float(lines[requests]) >= 1
                received = float(lines['libp2p_network_bytes_total{direction="in"}'])
                assert 3 * BLOCK < received < 4 * BLOCK
                counters = [name for name in lines if name.partition("{")[0].endswith("_total")]
                assert all(
                    name.replace("_total", "_created", 1) in lines
                    or name.replace("_total_total", "_total_created") in lines
                    for name in counters
                )

    run(main())
