"""What a kubo node does badly ends as a failure with its reason."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from ipfs_swarms import LONG, ipfs_swarm, needs_kubo, published, raced, unknown_cid
from patience import PATIENCE_SECONDS, TRIES
from small_disks import needs_root, small_disk
from swarmrace import systems
from swarmrace.errors import Reason, TransferError
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.child import FreePorts
from swarmrace.systems.ipfs import local

pytestmark = needs_kubo
SHORT = Timeouts(
    discovery_seconds=1, stall_seconds=PATIENCE_SECONDS, transfer_seconds=PATIENCE_SECONDS
)
STALLED = Timeouts(
    discovery_seconds=PATIENCE_SECONDS, stall_seconds=10, transfer_seconds=PATIENCE_SECONDS
)
BIG = 60_000_000
DOWNLOADS = pytest.mark.parametrize("download", ["stream", "background"])


@DOWNLOADS
def test_an_unknown_cid_ends_by_the_discovery_timeout(tmp_path, download):
    async def main():
        async with ipfs_swarm(tmp_path, download=download) as made:
            await published(made)
            failure, record = await raced(made, [{"cid": unknown_cid()}], SHORT)
            assert failure.reason is Reason.TIMEOUT
            assert "manifest" in failure.detail
            assert record.discovered_ns is None
            await made.remove()

    asyncio.run(main())


@DOWNLOADS
def test_a_seeder_that_is_killed_is_a_stall(tmp_path, download):
    async def main():
        options = {"download": download, "poll_seconds": 0.01}
        async with ipfs_swarm(tmp_path, BIG, **options) as made:
            race, record = await _interruptible(made, STALLED)
            os.kill(made.systems[0].processes()[0], signal.SIGKILL)
            failure, _ = await race
            assert failure.reason is Reason.STALL, failure
            assert 0 < record.arrivals.bytes_recorded < BIG
            assert record.done_ns is None
            with pytest.raises(TransferError, match="signal 9") as caught:
                await made.systems[0].remove()
            assert caught.value.reason is Reason.NODE_DIED

    asyncio.run(main())


@DOWNLOADS
def test_the_death_of_the_leechers_node_ends_its_transfer(tmp_path, download):
    async def main():
        options = {"download": download, "poll_seconds": 0.01}
        async with ipfs_swarm(tmp_path, BIG, **options) as made:
            race, _ = await _interruptible(made, LONG)
            os.kill(made.systems[1].processes()[0], signal.SIGKILL)
            failure, _ = await race
            assert failure.reason is Reason.NODE_DIED, failure
            assert "signal 9" in failure.detail
            assert "Daemon is ready" in failure.detail, "the node's last words"

    asyncio.run(main())


async def _interruptible(made, limits):
    """Return a race in which the node has received some blocks, and the leecher knows of one; and
    its record. On a busy machine a transfer may be over before this is seen: then try another."""
    for index in range(TRIES):
        references, _ = await published(made, index)
        record = made.record()
        race = asyncio.create_task(raced(made, references, limits, record=record))
        while not race.done():
            await made.systems[1].refresh()
            received = made.systems[1].counters().extra["blocks_received"]
            if record.progress_bytes and received > 3 and not race.done():
                return race, record
        await made.remove()
    raise AssertionError("every transfer was too fast to be interrupted")


@needs_root
@DOWNLOADS
def test_a_full_disk_is_the_reason(tmp_path, download):
    async def main():
        with small_disk(tmp_path / "small", "size=20m") as disk:
            options = {"download": download, "work_dirs": {1: disk}}
            async with ipfs_swarm(tmp_path, BIG, **options) as made:
                references, _ = await published(made)
                failure, _ = await raced(made, references)
                assert failure.reason is Reason.DISK_FULL, failure
                assert "no space left" in failure.detail.lower()

    asyncio.run(main())


@needs_root
def test_a_seeder_without_room_is_refused_with_the_nodes_words(tmp_path):
    async def main():
        with small_disk(tmp_path / "small", "size=20m") as disk:
            async with ipfs_swarm(tmp_path, BIG, work_dirs={0: disk}) as made:
                with pytest.raises(TransferError, match="no space left") as caught:
                    await published(made)
                assert caught.value.reason is Reason.DISK_FULL

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"Internal.NoSuchThing": 1}, "NoSuchThing not found"),
        ({"Internal.Bitswap.TaskWorkerCount": "many"}, "TaskWorkerCount"),
        ({"Datastore.Spec": {"type": "nonsense"}}, "exited 1"),
    ],
)
def test_a_node_that_does_not_start_is_refused_at_every_peer(tmp_path, settings, found):
    async def main():
        async with ipfs_swarm(tmp_path, settings=settings) as made:
            run = made.run()
            errors = await asyncio.gather(
                *(system.prepare(run) for system in made.systems), return_exceptions=True
            )
            for error in errors:  # the others do not wait for a first seeder that never comes
                assert isinstance(error, TransferError), error
                assert error.reason is Reason.REFUSED
            with pytest.raises(TransferError, match=found):
                raise errors[0]

    asyncio.run(main())


@pytest.mark.parametrize("busy", ["api", "tcp", "udp"])
def test_busy_ports_are_noticed_and_others_taken(tmp_path, monkeypatch, busy):
    """Kubo goes on as long as it can listen at one of its addresses, so that is looked at."""
    real, given = local.free_ports, []

    async def main():
        async with ipfs_swarm(tmp_path) as made:
            first = made.systems[0]
            address = first.context.address
            loop = asyncio.get_running_loop()
            udp, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=(address, 0)
            )
            tcp = await asyncio.start_server(lambda *_: None, address, 0)
            taken = {"udp": udp.get_extra_info("sockname")[1]}
            taken["api"] = taken["tcp"] = tcp.sockets[0].getsockname()[1]

            def ports(of: str, **wanted: int) -> FreePorts:
                found = real(of, **wanted)
                given.append(of)
                if of != address or given.count(address) > 1:
                    return found
                if busy == "api":
                    return FreePorts((taken["api"],), (), found.both)
                return FreePorts(found.tcp, (), (taken[busy],))

            monkeypatch.setattr(local, "free_ports", ports)
            await made.prepare(made.run())
            assert given.count(address) == 2
            assert "busy" in first.describe()["notes"][0]
            udp.close()
            tcp.close()

    asyncio.run(main())


@DOWNLOADS
def test_what_a_leecher_held_beforehand_is_no_transfer(tmp_path, download):
    async def main():
        async with ipfs_swarm(tmp_path, cold=False, download=download) as made:
            references, _ = await published(made)
            file, _ = made.file(made.run())
            await made.systems[1]._rpc.add(file, {})
            failure, _ = await raced(made, references)
            assert failure.reason is Reason.REFUSED
            assert "beforehand" in failure.detail

    asyncio.run(main())


@pytest.mark.parametrize(
    ("references", "found"),
    [([{"cid": "nonsense"}], "nonsense"), ([{"cid": "a"}, {"cid": "b"}], "one CID"), ([{}], "500")],
)
def test_bad_references_are_refused(tmp_path, references, found):
    async def main():
        async with ipfs_swarm(tmp_path) as made:
            await published(made)
            failure, _ = await raced(made, references)
            assert failure.reason is Reason.REFUSED
            assert found in failure.detail

    asyncio.run(main())


def test_a_program_that_is_no_kubo_is_found_before_the_race(tmp_path):
    spec = systems.load("ipfs")
    other = tmp_path / "ipfs"
    other.write_text("#!/bin/sh\necho something else\n")
    other.chmod(0o755)
    [line] = spec.check(spec.options(program=str(other)))
    assert "expected kubo" in line
    assert "something else" in line
    [line] = spec.check(spec.options(program=str(tmp_path / "missing")))
    assert "make systems" in line
