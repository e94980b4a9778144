"""Nodes that keep running from run to run: no run may help or burden another."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace

import pytest

from codex_swarm import BLOCK, QUICK, codex_swarm, program, raced, warm
from patience import PATIENCE_SECONDS
from racing_peers import raced as race_of_peers
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import Payload
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.codex.system import CodexSystem

SIZE = 20 * BLOCK
FAMILIES = pytest.mark.parametrize("personality", ["v0.1.9", "v0.2.5", "storage-2026"])
DOWNLOADS = pytest.mark.parametrize("download", ["stream", "background"])
STALLED = Timeouts(
    discovery_seconds=PATIENCE_SECONDS, stall_seconds=2, transfer_seconds=PATIENCE_SECONDS
)
ENDED = Timeouts(
    discovery_seconds=PATIENCE_SECONDS, stall_seconds=PATIENCE_SECONDS, transfer_seconds=3
)


@contextlib.contextmanager
def impatient():
    """Shorten the settling of calls that must fail; others may take as long as they need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swarmrace.systems.codex.downloads._SETTLE_SECONDS", 0.5)
        yield


def with_metrics(swarm, nodes):
    for system, node in zip(swarm.systems, nodes, strict=True):
        system._node.metrics_url = f"http://127.0.0.1:{node.metrics_port}/metrics"


@FAMILIES
@DOWNLOADS
@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_sizes_around_a_block(tmp_path, personality, download, size):
    async def main():
        options = {"download": download, "poll_seconds": 0.01, "personality": personality}
        async with warm(tmp_path, size=size, **options) as (swarm, _):
            await swarm.prepare()
            failure, record = await raced(swarm, await swarm.publish())
            assert failure is None
            assert record.done_ns is not None
            digest = await swarm.systems[1].digest()
            assert (digest.size_bytes, digest.sha256) == (size, swarm.sha256)

    asyncio.run(main())


@DOWNLOADS
def test_a_hundred_megabytes(tmp_path, download):
    async def main():
        options = {"download": download, "poll_seconds": 0.05, "personality": "storage-2026"}
        async with warm(tmp_path, size=100_000_000, **options) as (swarm, _):
            await swarm.prepare()
            failure, record = await raced(swarm, await swarm.publish())
            assert failure is None
            assert record.progress_bytes == 100_000_000
            digest = await swarm.systems[1].digest()
            assert (digest.size_bytes, digest.sha256) == (100_000_000, swarm.sha256)

    asyncio.run(main())


@FAMILIES
@DOWNLOADS
def test_content_that_a_leecher_already_had_is_no_transfer(tmp_path, personality, download):
    async def main():
        options = {"download": download, "poll_seconds": 0.01, "personality": personality}
        async with warm(tmp_path, **options) as (swarm, _):
            await swarm.prepare()
            references = await swarm.publish()
            assert (await raced(swarm, references))[0] is None
            await swarm.systems[0].remove()  # the leecher's removal was cut off
            await swarm.prepare(index=1)
            with impatient():
                failure, _ = await raced(swarm, await swarm.publish())
            assert failure.reason is Reason.REFUSED
            assert f"already had {SIZE} bytes of the content" in failure.detail
            assert "coldStart" in failure.detail
            await asyncio.gather(*(system.remove() for system in swarm.systems))
            if download == "background" and personality != "storage-2026":
                with pytest.raises(TransferError, match="may still run"):  # it can't be known
                    await swarm.prepare(index=2)
                return
            await swarm.prepare(index=2)  # the content was deleted, so the next run works
            assert (await raced(swarm, await swarm.publish()))[0] is None

    asyncio.run(main())


@DOWNLOADS
def test_content_that_a_leecher_partly_had_is_no_transfer(tmp_path, download):
    async def main():
        options = {"download": download, "poll_seconds": 0.01, "personality": "storage-2026"}
        async with warm(tmp_path, **options) as (swarm, nodes):
            data = swarm.file.read_bytes()
            for index in range(5):
                nodes[1].store.put(data[index * BLOCK : (index + 1) * BLOCK])
            await swarm.prepare()
            with impatient():
                failure, _ = await raced(swarm, await swarm.publish())
            assert failure.reason is Reason.REFUSED
            assert "already" in failure.detail

    asyncio.run(main())


@FAMILIES
def test_content_that_a_seeder_already_had_is_no_publish(tmp_path, personality):
    async def main():
        async with warm(tmp_path, 1, personality=personality) as (swarm, _):
            await swarm.prepare()
            await swarm.publish()
            await swarm.prepare(index=1)
            message = f"already had {SIZE} bytes of the content"
            with impatient(), pytest.raises(TransferError, match=message) as caught:
                await swarm.publish()
            assert caught.value.reason is Reason.REFUSED

    asyncio.run(main())


def test_content_that_a_seeder_already_had_is_no_publish_however_short_its_settle(
    tmp_path, monkeypatch
):
    """Checking its space takes 0.5 s here, longer than it may settle."""
    publish = CodexSystem.publish

    async def again(self, file, first):
        await self._api.upload(file, None)
        await self._join()
        return await publish(self, file, first)

    monkeypatch.setattr(CodexSystem, "publish", again)
    race = {
        "swarmSize": 2,
        "seeders": 1,
        "fileSize": SIZE,
        "repetitions": 1,
        "coldStart": False,
        "timeouts": {"settleSeconds": 0.1},
    }
    codex = {"kind": "codex", "program": str(program(tmp_path / "bin"))}
    made = parse({"global": {"race": race, "entrants": {"codex": codex}}})
    [run] = race_of_peers(made, tmp_path)[0].runs
    assert run.result.status == "not raced"
    [seeder] = run.run.seeders
    failure = run.peers[seeder].failure
    assert (failure.reason, failure.stage) == (Reason.REFUSED, "settle")
    assert f"already had {SIZE} bytes of the content" in failure.detail


def test_a_failed_background_download_is_ended_in_the_node(tmp_path):
    async def main():
        options = {"download": "background", "poll_seconds": 0.01, "personality": "storage-2026"}
        each = {1: {"quota_bytes": SIZE}}  # too small for the manifest, so it hangs
        async with warm(tmp_path, each=each, **options) as (swarm, nodes):
            await swarm.prepare()
            failure, record = await raced(swarm, await swarm.publish(), STALLED)
            assert failure.reason is Reason.STALL
            assert nodes[1].backgrounds == {}
            assert record.notes == []
            nodes[1].store.quota_bytes = 10 * SIZE
            await asyncio.gather(*(system.remove() for system in swarm.systems))
            await swarm.prepare(index=1)
            assert (await raced(swarm, await swarm.publish()))[0] is None

    asyncio.run(main())


def test_a_node_that_can_not_end_a_background_download_is_not_raced_again(tmp_path):
    async def main():
        options = {"download": "background", "poll_seconds": 0.01, "personality": "v0.2.5"}
        async with warm(tmp_path, each={1: {"quota_bytes": SIZE}}, **options) as (swarm, _):
            await swarm.prepare()
            failure, record = await raced(swarm, await swarm.publish(), ENDED)
            assert failure.reason is Reason.TIMEOUT
            assert "background download could not be ended" in record.notes[0]
            await asyncio.gather(*(system.remove() for system in swarm.systems))
            with pytest.raises(TransferError, match=r"may still run.*coldStart: true") as caught:
                await swarm.prepare(index=1)
            assert caught.value.reason is Reason.REFUSED

    asyncio.run(main())


def test_counters_and_connections_are_those_of_the_run(tmp_path):
    async def main():
        async with warm(tmp_path) as (swarm, nodes):
            with_metrics(swarm, nodes)
            for index in range(3):
                Payload(f"run {index}", SIZE).write(swarm.file)
                await swarm.prepare(index=index)
                failure, record = await raced(swarm, await swarm.publish())
                assert failure is None
                assert record.connections_at_start == min(index, 1)  # earlier ones stay open
                await asyncio.gather(*(system.refresh() for system in swarm.systems))
                sent, received = (system.counters() for system in swarm.systems)
                assert SIZE < sent.sent_bytes < 1.5 * SIZE
                assert SIZE < received.received_bytes < 1.5 * SIZE
                assert received.extra["block_exchange_blocks_received_total"] == 20
                assert sent.extra["api_uploads_total"] == 1
                assert sent.connections == received.connections == 1
                await asyncio.gather(*(system.remove() for system in swarm.systems))

    asyncio.run(main())


def test_counters_begin_at_the_first_answer_of_the_page(tmp_path):
    async def main():
        async with warm(tmp_path) as (swarm, nodes):
            await swarm.prepare()
            references = await swarm.publish()
            assert (await raced(swarm, references))[0] is None  # before anything is counted
            leecher = swarm.systems[1]
            assert leecher.counters().received_bytes is None
            assert any("no metrics" in note for note in leecher.describe()["notes"])
            leecher._watch._url = f"http://127.0.0.1:{nodes[1].metrics_port}/metrics"
            await leecher.refresh()
            assert leecher.counters().received_bytes == 0

    asyncio.run(main())


def test_a_slow_removal_is_waited_for_within_its_limit(tmp_path, monkeypatch):
    async def main():
        habits = replace(QUICK, time_scale=50)  # 0.5 s for 20 blocks
        async with warm(tmp_path, habits=habits) as (swarm, nodes):
            await swarm.prepare()
            await swarm.publish()
            await swarm.systems[0].remove()
            assert nodes[0].store.total_blocks == 0
            await swarm.prepare(index=1)
            await swarm.publish()
            monkeypatch.setattr("swarmrace.systems.codex.api.DELETE_SECONDS", 0.05)
            with pytest.raises(TransferError, match=r"no answer in 0\.05 s") as caught:
                await swarm.systems[0].remove()
            assert caught.value.reason is Reason.REFUSED

    asyncio.run(main())


def test_settle_waits_for_connections_that_an_upload_has_closed(tmp_path):
    """Meanwhile the API answers and the table is full; only its connections show it."""

    async def main():
        habits = replace(
            QUICK, time_scale=1.0, deaf_after_upload_seconds=0.7, deaf_to_peers_only=True
        )
        async with warm(tmp_path, habits=habits) as (swarm, nodes):
            with_metrics(swarm, nodes)
            await swarm.systems[0].prepare(swarm.run())
            while not (nodes[0].discovery.nodes and nodes[1].discovery.nodes):
                await asyncio.sleep(0.01)
            assert await nodes[1].dial(nodes[0].peer_id, [])
            while not nodes[0].exchange.connected:
                await asyncio.sleep(0.01)
            await swarm.prepare(index=1)
            references = await swarm.publish()  # settles too
            assert not nodes[0].is_deaf()
            assert nodes[0].exchange.connected
            assert (await raced(swarm, references))[0] is None

    asyncio.run(main())


@pytest.mark.parametrize("answers", [False, True])
def test_a_page_that_does_not_answer_shows_no_connections(tmp_path, answers):
    """An answer from before the upload isn't used: the node may not answer any more."""

    async def main():
        async with warm(tmp_path) as (swarm, nodes):
            with_metrics(swarm, nodes)
            await swarm.prepare()
            assert (await raced(swarm, await swarm.publish()))[0] is None
            Payload("another", SIZE).write(swarm.file)
            await swarm.prepare(index=1)
            seeder = swarm.systems[0]
            assert seeder.counters().connections == 1
            await seeder.publish(swarm.file, None)
            if not answers:
                seeder._watch._url = f"http://127.0.0.1:{nodes[0].metrics_port}/nothing"
            settling = asyncio.ensure_future(seeder.settle())
            done, _ = await asyncio.wait({settling}, timeout=PATIENCE_SECONDS if answers else 1)
            assert bool(done) is answers
            assert seeder.counters().connections == 1  # as last read
            seeder._watch._url = f"http://127.0.0.1:{nodes[0].metrics_port}/metrics"
            await asyncio.wait_for(settling, PATIENCE_SECONDS)

    asyncio.run(main())


def test_variables_that_a_node_would_read_are_not_passed_to_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CODEX_STORAGE_QUOTA", "50mb")
    monkeypatch.setenv("STORAGE_API_PORT", "1")
    path = program(tmp_path / "bin")

    async def main():
        async with codex_swarm(tmp_path, SIZE, 1, cold=False, program=str(path)) as swarm:
            await swarm.prepare()
            system = swarm.systems[0]
            described = system.describe()
            assert described["settings"]["storageQuota"] == 20 << 30
            assert described["settings"]["environment"] == {}
            assert "CODEX_STORAGE_QUOTA, STORAGE_API_PORT" in described["notes"][0]
            with open(f"/proc/{system.processes()[0]}/environ", "rb") as environ:  # noqa: PTH123
                names = {each.partition(b"=")[0] for each in environ.read().split(b"\0")}
            assert not {b"CODEX_STORAGE_QUOTA", b"STORAGE_API_PORT"} & names
            assert b"PATH" in names
            assert os.environ["CODEX_STORAGE_QUOTA"] == "50mb"

    asyncio.run(main())
