"""What a node does badly ends as a failure with its reason, and nothing outlives a cancellation.

The nodes are doubles in this process, used as nodes that run already (warm), and
`peer.transfer.race` is the watch that every peer has.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from codex_swarm import BLOCK, QUICK, cids, codex_swarm, raced, warm
from patience import PATIENCE_SECONDS
from serving import until
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import Payload
from swarmrace.scenario.scenario import Timeouts

SIZE = 20 * BLOCK
UNKNOWN = cids.encode(cids.MANIFEST, bytes(32))
FAMILIES = pytest.mark.parametrize("personality", ["v0.2.5", "storage-2026"])
SHORT = Timeouts(
    discovery_seconds=0.5, stall_seconds=PATIENCE_SECONDS, transfer_seconds=PATIENCE_SECONDS
)
STALLED = Timeouts(
    discovery_seconds=PATIENCE_SECONDS, stall_seconds=2, transfer_seconds=PATIENCE_SECONDS
)
ENDED = Timeouts(
    discovery_seconds=PATIENCE_SECONDS, stall_seconds=PATIENCE_SECONDS, transfer_seconds=5
)


@FAMILIES
@pytest.mark.parametrize("download", ["stream", "background"])
def test_running_nodes_serve_run_after_run(tmp_path, personality, download):
    async def main():
        options = {"download": download, "poll_seconds": 0.01, "personality": personality}
        async with warm(tmp_path, **options) as (swarm, nodes):
            for index in range(2):
                await swarm.prepare(index=index)
                failure, _ = await raced(swarm, await swarm.publish())
                assert failure is None
                digest = await swarm.systems[1].digest()
                assert (digest.size_bytes, digest.sha256) == (SIZE, swarm.sha256)
                await asyncio.gather(*(system.remove() for system in swarm.systems))
                assert [node.store.total_blocks for node in nodes] == [0, 0]

    asyncio.run(main())


@FAMILIES
@pytest.mark.parametrize("download", ["stream", "background"])
def test_an_unknown_cid_ends_by_the_discovery_timeout(tmp_path, personality, download):
    async def main():
        async with warm(tmp_path, download=download, personality=personality) as (swarm, _):
            await swarm.prepare()
            failure, record = await raced(swarm, [{"cid": UNKNOWN}], SHORT)
            assert failure.reason is Reason.TIMEOUT
            assert "manifest" in failure.detail
            assert record.discovered_ns is None

    asyncio.run(main())


@FAMILIES
@pytest.mark.parametrize("download", ["stream", "background"])
def test_a_full_quota_is_a_partial_delivery_and_a_stall(tmp_path, personality, download):
    async def main():
        each = {1: {"quota_bytes": SIZE}}  # too small for the manifest
        options = {"download": download, "poll_seconds": 0.01, "personality": personality}
        async with warm(tmp_path, each=each, **options) as (swarm, _):
            await swarm.prepare()
            reported = download == "stream" or personality.startswith("storage")
            limits = STALLED if reported else ENDED
            failure, record = await raced(swarm, await swarm.publish(), limits)
            assert failure.reason is (Reason.STALL if reported else Reason.TIMEOUT)
            assert record.progress_bytes == (SIZE - BLOCK if reported else 0)
            assert record.discovered_ns is not None  # the headers had come
            assert record.done_ns is None

    asyncio.run(main())


def test_a_quota_too_small_is_refused_before_the_race(tmp_path):
    async def main():
        async with warm(tmp_path, each={1: {"quota_bytes": SIZE - 1}}) as (swarm, _):
            with pytest.raises(TransferError, match=f"room for {SIZE} bytes.*storageQuota"):
                await swarm.prepare()

    asyncio.run(main())


def test_an_upload_over_the_quota_is_refused_with_the_nodes_message(tmp_path):
    async def main():
        async with warm(tmp_path, each={0: {"quota_bytes": SIZE}}) as (swarm, _):
            await swarm.prepare()
            with pytest.raises(TransferError) as caught:
                await swarm.systems[0].publish(swarm.file, None)
            assert caught.value.reason is Reason.REFUSED

    asyncio.run(main())


def test_a_lost_seeder_is_a_stall(tmp_path):
    async def main():
        habits = replace(QUICK, silent_from_bytes=BLOCK, time_scale=0.1)
        async with warm(tmp_path, habits=habits) as (swarm, nodes):
            await swarm.prepare()
            references = await swarm.publish()
            race = asyncio.create_task(raced(swarm, references, STALLED))
            while not nodes[1].store.total_blocks >= 2:
                await asyncio.sleep(0.005)
            await nodes[0].stop()
            failure, record = await race
            assert failure.reason is Reason.STALL
            assert record.progress_bytes == BLOCK

    asyncio.run(main())


@pytest.mark.parametrize(("habit", "where"), [("short_body", "race"), ("corrupt_body", "digest")])
def test_wrong_bytes_are_detected(tmp_path, habit, where):
    async def main():
        async with warm(tmp_path, habits=replace(QUICK, **{habit: True})) as (swarm, _):
            await swarm.prepare()
            failure, _ = await raced(swarm, await swarm.publish())
            if where == "race":
                assert failure.reason is Reason.WRONG_BYTES
            else:
                assert failure is None
                digest = await swarm.systems[1].digest()
                assert digest.size_bytes == SIZE
                assert digest.sha256 != swarm.sha256

    asyncio.run(main())


def test_a_content_of_another_length_is_refused_at_the_headers(tmp_path):
    async def main():
        async with warm(tmp_path) as (swarm, _):
            await swarm.prepare()
            Payload("shorter", SIZE - 1).write(swarm.file)
            failure, record = await raced(swarm, await swarm.publish())
            assert failure.reason is Reason.WRONG_BYTES
            assert str(SIZE - 1) in failure.detail
            assert record.progress_bytes == 0

    asyncio.run(main())


def test_a_later_seeder_with_another_cid_is_refused_with_both(tmp_path):
    async def main():
        async with warm(tmp_path, habits=replace(QUICK, upload_time_in_cid=True)) as (swarm, _):
            await swarm.prepare(seeders=2)
            first = await swarm.systems[0].publish(swarm.file, None)
            with pytest.raises(TransferError, match=rf"{first.reference['cid']}.*found zDv") as err:
                await swarm.systems[1].publish(swarm.file, first.reference)
            assert err.value.reason is Reason.REFUSED

    asyncio.run(main())


@pytest.mark.parametrize(
    ("references", "found"),
    [([{"cid": "nonsense"}], "400"), ([{"cid": "a"}, {"cid": "b"}], "one CID"), ([{}], "400")],
)
def test_bad_references_are_refused(tmp_path, references, found):
    async def main():
        async with warm(tmp_path) as (swarm, _):
            await swarm.prepare()
            failure, _ = await raced(swarm, references)
            assert failure.reason is Reason.REFUSED
            assert found in failure.detail

    asyncio.run(main())


def test_reading_back_blocks_shared_with_a_deleted_content_stalls(tmp_path, monkeypatch):
    async def main():
        options = {"download": "background", "poll_seconds": 0.01}
        async with warm(tmp_path, **options) as (swarm, nodes):
            await swarm.prepare()
            failure, _ = await raced(swarm, await swarm.publish())
            assert failure is None
            store = nodes[1].store
            manifest = next(iter(store.manifests.values()))
            store.delete(store.put_manifest({**manifest, "mimetype": "text/plain"}))
            monkeypatch.setattr("swarmrace.systems.node_api.IDLE_SECONDS", 0.3)
            with pytest.raises(TransferError) as caught:
                await swarm.systems[1].digest()
            assert caught.value.reason is Reason.STALL

    asyncio.run(main())


def test_settle_waits_for_a_node_that_does_not_answer_after_its_upload(tmp_path):
    async def main():
        habits = replace(QUICK, time_scale=1.0, deaf_after_upload_seconds=0.5)
        async with warm(tmp_path, habits=habits) as (swarm, nodes):
            await swarm.prepare()
            references = await swarm.publish()  # settles too
            assert not nodes[0].is_deaf()
            assert nodes[0].discovery.nodes
            assert (await raced(swarm, references))[0] is None

    asyncio.run(main())


def test_unsupported_options_are_refused_with_the_remedy(tmp_path):
    async def main():
        urls = ["http://127.0.0.1:1"]
        async with codex_swarm(tmp_path / "a", SIZE, 1, cold=True, nodes=urls) as swarm:
            with pytest.raises(TransferError, match="set coldStart: false"):
                await swarm.prepare()
        async with warm(tmp_path / "b", block_size=4096) as (swarm, _):
            with pytest.raises(TransferError, match="blockSize"):
                await swarm.prepare()
        options = {"personality": "storage-2026", "block_size": 4096}
        async with warm(tmp_path / "c", **options) as (swarm, nodes):
            await swarm.prepare()
            await swarm.publish()
            assert nodes[0].store.total_blocks == SIZE // 4096 + 1

    for name in "abc":
        (tmp_path / name).mkdir()
    asyncio.run(main())


def test_a_node_restarted_by_another_program_has_died(tmp_path, monkeypatch):
    monkeypatch.setattr("swarmrace.systems.codex.remote._ASK_SECONDS", 0.05)

    async def main():
        async with warm(tmp_path) as (swarm, nodes):
            node = swarm.systems[1]._node
            node.metrics_url = f"http://127.0.0.1:{nodes[1].metrics_port}/metrics"
            await swarm.prepare()
            asked = nodes[1].answers
            race = asyncio.create_task(raced(swarm, [{"cid": UNKNOWN}]))
            await until(lambda asked=asked: nodes[1].answers > asked)
            nodes[1].started += 5
            failure, _ = await race
            assert failure.reason is Reason.NODE_DIED
            node.metrics_url = None
            await swarm.prepare(index=1)
            asked = nodes[1].answers
            race = asyncio.create_task(raced(swarm, [{"cid": UNKNOWN}]))
            await until(lambda asked=asked: nodes[1].answers > asked)
            await nodes[1].stop()
            failure, _ = await race
            assert failure.reason is Reason.NODE_DIED

    asyncio.run(main())


def test_every_call_to_a_silent_node_ends_with_its_cancellation(tmp_path):
    """It accepts connections but never answers."""

    async def main():
        async def mute(reader, writer):
            await reader.read()

        async with warm(tmp_path) as (swarm, _):
            await swarm.prepare()
            system = swarm.systems[1]
            server = await asyncio.start_server(mute, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            family = system._node.api.family
            await system._node.api.close()
            system._node.api = type(system._node.api)(f"http://127.0.0.1:{port}", family)
            system._cid = UNKNOWN
            before = asyncio.all_tasks()
            calls = {
                "prepare": lambda: system.prepare(swarm.run(index=1)),
                "publish": lambda: system.publish(swarm.file, None),
                "settle": system.settle,
                "fetch": lambda: system.fetch([{"cid": UNKNOWN}], swarm.record()),
                "digest": system.digest,
                "remove": system.remove,
            }
            for name, call in calls.items():
                system._cid = system._cid or UNKNOWN
                if name == "digest":  # of what the node holds
                    system._drop_stream()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(call(), 0.2)
                assert len(asyncio.all_tasks() - before) <= 2, name  # the server's own
            await system.close()
            left = {t for t in asyncio.all_tasks() - before if "mute" not in repr(t)}
            assert not left
            server.close()

    asyncio.run(main())
