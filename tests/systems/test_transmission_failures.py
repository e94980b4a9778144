"""What Transmission's daemon does badly, or meets, ends as a failure with its reason; and sizes."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from patience import PATIENCE_SECONDS
from small_disks import fill, needs_root, small_disk
from swarmrace.contract.checks import check_transfer
from swarmrace.errors import Reason, TransferError
from swarmrace.peer.blame import DeclaredNeeds
from swarmrace.peer.transfer import failure_of
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Timeouts
from swarms import SUBJECTS
from transmission_swarms import in_swarm, needs_transmission, raced

pytestmark = needs_transmission
BIG = 60_000_000
UNKNOWN = Timeouts(
    discovery_seconds=3, stall_seconds=PATIENCE_SECONDS, transfer_seconds=PATIENCE_SECONDS
)
LONG = Timeouts(
    discovery_seconds=PATIENCE_SECONDS,
    stall_seconds=PATIENCE_SECONDS,
    transfer_seconds=PATIENCE_SECONDS,
)
STALLED = Timeouts(
    discovery_seconds=PATIENCE_SECONDS, stall_seconds=75, transfer_seconds=PATIENCE_SECONDS
)
"""Between metadata and the first byte the daemon itself takes 15 to 35 s."""


async def published(made):
    """Prepare a run of peer 0 as the only seeder and publish; return the references."""
    run = made.run()
    file, _ = made.file(run)
    await made.prepare(run)
    return [dict(each.reference) for each in await made.publish(run, file)]


@pytest.mark.parametrize("size_bytes", [16_385, 100_000_000])
def test_it_moves_any_size(tmp_path, size_bytes):
    """The contract suite has one byte and 1,000,003."""
    check_transfer(SUBJECTS["transmission"], tmp_path, size_bytes)


def test_an_unknown_info_hash_ends_by_the_discovery_timeout(tmp_path):
    async def body(made):
        await published(made)
        announce, nobody = made.systems[1].context.announce_url, "0" * 39 + "1"
        magnet = f"magnet:?xt=urn:btih:{nobody}&tr={announce}"
        return await raced(made, [{"magnet": magnet, "infoHash": nobody}], UNKNOWN)

    failure, record = in_swarm(body, tmp_path)
    assert failure.reason is Reason.TIMEOUT
    assert "no metadata or manifest within 3 s; 0 of 1000003 bytes came" in failure.detail
    assert record.discovered_ns is None


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"magnet": "magnet:?xt=urn:btih:nonsense", "infoHash": "x"}, "torrent-add: invalid or"),
        ({"torrent": "nothing", "infoHash": "x"}, "expected magnet links of one content"),
    ],
)
def test_a_wrong_reference_is_refused_with_the_daemons_words(tmp_path, reference, said):
    async def body(made):
        await made.prepare(made.run())
        return await raced(made, [reference], LONG)

    failure, _ = in_swarm(body, tmp_path)
    assert failure.reason is Reason.REFUSED
    assert said in failure.detail


def test_a_seeder_that_is_killed_is_a_stall(tmp_path):
    async def body(made):
        references = await published(made)
        race = asyncio.create_task(raced(made, references, STALLED))
        held = 0
        while held < 1_000_000 and not race.done():
            await asyncio.sleep(0.01)
            await made.systems[1].refresh()
            held = made.systems[1].counters().payload_received_bytes or 0
        assert held < BIG
        (daemon, *_) = made.systems[0].processes()
        os.kill(daemon, signal.SIGKILL)
        while made.systems[0].processes():
            await asyncio.sleep(0.01)
        failure, record = await race
        with pytest.raises(TransferError, match="signal 9") as caught:
            await made.systems[0].remove()
        return failure, record, caught.value

    # So slow that it can't be over before it is seen to have begun.
    slow = {"speed-limit-up": 1000, "speed-limit-up-enabled": True}
    failure, record, of_seeder = in_swarm(body, tmp_path, BIG, settings=slow)
    assert failure.reason is Reason.STALL, failure
    assert "no new byte for 75 s" in failure.detail
    assert 0 < record.progress_bytes < BIG
    assert record.done_ns is None
    assert of_seeder.reason is Reason.NODE_DIED


@needs_root
def test_a_disk_that_gets_full_is_the_reason(tmp_path):
    async def body(made):
        return await raced(made, await published(made), LONG)

    with small_disk(tmp_path / "small", "size=20m") as disk:
        failure, record = in_swarm(body, tmp_path / "swarm", BIG, work_dirs={1: disk})
    assert failure.reason is Reason.DISK_FULL, failure
    assert "No space left on device" in failure.detail
    assert record.done_ns is None


@needs_root
def test_a_seeder_without_room_is_refused_with_the_daemons_words(tmp_path):
    async def body(made):
        run = made.run()
        file, _ = made.file(run)
        await made.prepare(run)
        fill(disk)
        with pytest.raises(TransferError, match="Unable to save torrent file") as caught:
            await made.publish(run, file)
        return caught.value

    with small_disk(tmp_path / "small", "size=20m") as disk:
        error = in_swarm(body, tmp_path / "swarm", work_dirs={0: disk})
    assert error.reason is Reason.DISK_FULL
    assert "No space left on device" in error.detail


@needs_root
def test_a_disk_that_others_have_filled_is_not_the_daemons_failure(tmp_path):
    """It can't save the magnet link's metadata, and says so nowhere; the peer looks at the disk."""
    race = {"swarmSize": 2, "seeders": 1, "fileSize": "1MB", "repetitions": 1}
    entrants = {"entrant": {"kind": "transmission"}, "other": {"kind": "http"}}
    scenario = parse({"global": {"race": race, "entrants": entrants}})

    async def body(made):
        references = await published(made)
        fill(disk)
        needs = DeclaredNeeds(scenario, "entrant", own, seeder=False)
        failure, _ = await raced(made, references, UNKNOWN, needs.blame)
        return failure

    with small_disk(tmp_path / "small", "size=20m") as disk:
        own = disk / "entrant-1"
        own.mkdir()
        failure = in_swarm(body, tmp_path / "swarm", work_dirs={1: own})
    assert failure.reason is Reason.INFRASTRUCTURE, failure
    assert "no space left" in failure.detail


@needs_root
def test_a_disk_that_is_full_at_the_start(tmp_path):
    async def body(made):
        await made.systems[1].prepare(made.run())

    with small_disk(tmp_path / "small", "size=20m") as disk:
        fill(disk)
        with pytest.raises((TransferError, OSError)) as caught:
            in_swarm(body, tmp_path / "swarm", work_dirs={1: disk})
    assert failure_of(caught.value, "prepare").reason is Reason.DISK_FULL
