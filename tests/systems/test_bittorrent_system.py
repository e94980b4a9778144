from __future__ import annotations

import asyncio
import subprocess
import sys
from urllib.parse import parse_qsl, urlsplit

import libtorrent as lt
import numpy as np
import pytest

from bittorrent_swarms import BLOCK, check_record, peers
from paths import ROOT
from swarmrace.errors import TransferError
from swarmrace.peer.transfer import summarize
from swarmrace.systems.bittorrent import SPEC
from swarmrace.systems.bittorrent import session as session_module
from swarmrace.systems.bittorrent import system as system_module
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.bittorrent.sampling import PayloadSampler
from swarmrace.systems.bittorrent.session import Session

PIECE = 2 * BLOCK
SUPPORT = ROOT / "tests" / "support"
PATHS = f"""import asyncio, os, pathlib, sys, tempfile
sys.path[:0] = [{str(SUPPORT)!r}]"""
PROTOCOLS = ("v1", "v2", "hybrid")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("reference", ["magnet", "torrent"])
def test_sizes_around_a_piece_in_every_protocol(tmp_path, protocol, reference):
    """One warm session per peer runs all of them; no run leaves anything to the next."""

    async def go():
        options = {"protocol": protocol, "reference": reference, "piece_size": PIECE}
        async with peers(tmp_path, cold_start=False, **options) as swarm:
            for size in (1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + BLOCK + 7):
                await swarm.prepare(size)
                references = await swarm.publish()
                assert list(references[0]) == [reference, "infoHash"]
                (record,) = await swarm.fetch(references)
                check_record(record)
                digest = await swarm.leechers[0].digest()
                assert (digest.size_bytes, digest.sha256) == (size, swarm.sha256)
                described = swarm.leechers[0].describe()
                assert described["torrent"]["pieceBytes"] == PIECE
                assert described["torrent"]["infoHash"] == references[0]["infoHash"]
                await swarm.clear()

    asyncio.run(go())


def test_a_hundred_megabytes_with_every_block_recorded(tmp_path):
    async def go():
        async with peers(tmp_path, size_bytes=100_000_000) as swarm:
            await swarm.prepare()
            published = await swarm.publish()
            (record,) = await swarm.fetch(published)
            check_record(record)
            assert record.notes == []
            assert (await swarm.leechers[0].digest()).sha256 == swarm.sha256

    asyncio.run(go())


def test_by_default_only_pieces_are_recorded(tmp_path):
    async def go():
        options = {"record_writes": False, "size_bytes": 20_000_000, "leechers": 2}
        async with peers(tmp_path, **options) as swarm:
            await swarm.prepare()
            records = await swarm.fetch(await swarm.publish())
            for leecher, record in zip(swarm.leechers, records, strict=True):
                assert record.written is None
                assert record.complete is True
                pieces = record.deliverable.curve(0, 20_000_000)
                assert len(pieces.t_ns) == leecher.describe()["torrent"]["pieces"]
                assert pieces.prefix().complete
                assert pieces.t_ns[-1] <= record.done_ns
                assert record.counted_duplicates is not None
                assert record.notes == []
                curve = record.arrivals.curve(0, 20_000_000)
                assert curve.total_bytes == 20_000_000
                # It has arrived before it is done, and both are known.
                assert curve.t_ns[-1] <= record.done_ns
                assert "suggest_mode" not in leecher.describe()["settings"]
                assert (await leecher.digest()).sha256 == swarm.sha256

    asyncio.run(go())


def recorded_without_writes(tmp_path):
    """Return the record of a leecher of a swarm of two."""

    async def go():
        async with peers(tmp_path, record_writes=False) as swarm:
            await swarm.prepare()
            (record,) = await swarm.fetch(await swarm.publish())
            return record

    return asyncio.run(go())


def test_writes_that_do_not_end_are_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(system_module, "FLUSH_SECONDS", 0.2)
    monkeypatch.setattr(Session, "queued_write_bytes", 1)
    record = recorded_without_writes(tmp_path)
    assert record.complete is False
    assert record.notes == [
        "writes were outstanding for 0.2 s after the last piece was verified; it may have been "
        "done later than recorded"
    ]


def test_done_is_known_to_the_gap_between_the_last_two_readings_of_outstanding_writes(
    tmp_path, monkeypatch
):
    queued = iter((1, 1, 0))
    monkeypatch.setattr(Session, "queued_write_bytes", property(lambda self: next(queued)))
    record = recorded_without_writes(tmp_path)
    assert list(queued) == []
    assert record.complete is True
    assert 0 < record.done_gap_ns < record.done_ns - record.deliverable.last_ns
    observes, start_ns = SPEC.observes(BitTorrentOptions()), record.arrivals.columns()[2][0]
    resolutions = []
    for gap_ns in (0, record.done_gap_ns):
        record.done_gap_ns = gap_ns
        transfer, _ = summarize(record, observes, start_ns, start_ns, record.done_ns)
        resolutions.append(transfer.done_resolution_seconds)
    assert resolutions[1] - resolutions[0] == pytest.approx(record.done_gap_ns / 1e9)


def test_counters_follow_the_samples_while_alerts_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(PayloadSampler, "is_receiving", lambda self: self._log.total < 12_000_000)
    monkeypatch.setattr(session_module, "DRIFT_NS", 10**12)
    seen: list[int] = []
    written: list[int] = []

    async def go():
        limit = {"upload_rate_limit": 2_000_000}  # seconds in which to look
        async with peers(tmp_path, size_bytes=12_000_000, settings=limit) as swarm:
            await swarm.prepare()
            references = await swarm.publish()
            (leecher,) = swarm.leechers
            fetch = asyncio.create_task(swarm.fetch(references))
            while not fetch.done():
                sampler = leecher._sampler
                if sampler is not None and 4_000_000 < sampler._log.total < 12_000_000:
                    written.append(sampler._record.written.bytes_recorded)
                    seen.append(leecher.counters().payload_received_bytes)
                await asyncio.sleep(0.01)
            (record,) = await fetch
            check_record(record)

    asyncio.run(go())
    # One reading may have begun before the recorder knew the metadata; otherwise there are dozens.
    assert len(set(written)) <= 2, "alerts were read while payload came"
    assert min(seen) > 3_900_000
    assert seen == sorted(seen)


def test_redundant_blocks_are_counted_for_each_run(tmp_path):
    """Near its end a leecher asks several peers for the same blocks; the second has no alert.

    The session is warm and counts on over the runs; what is shown is the run's own.
    """

    async def go():
        async with peers(tmp_path, size_bytes=20_000_000, leechers=3, cold_start=False) as swarm:
            for _ in range(2):
                await swarm.prepare()
                records = await swarm.fetch(await swarm.publish())
                for leecher, record in zip(swarm.leechers, records, strict=True):
                    own = leecher.counters()
                    # More may come after the end: blocks that were in flight.
                    assert record.unlogged_duplicates <= own.extra["redundant_bytes"]
                    # The second run's count doesn't include the first run's.
                    redundant = own.extra["redundant_bytes"]
                    assert own.payload_received_bytes - redundant < 1.5 * 20_000_000
                await swarm.clear()

    asyncio.run(go())


def test_a_records_redundant_bytes_are_those_since_its_fetch_began(tmp_path, monkeypatch):
    counts = iter([100_000, 100_000 + BLOCK])
    monkeypatch.setattr(Session, "redundant_bytes", property(lambda _: next(counts)))

    async def go():
        async with peers(tmp_path) as swarm:
            await swarm.prepare()
            (record,) = await swarm.fetch(await swarm.publish())
            return record.unlogged_duplicates

    assert asyncio.run(go()) == BLOCK


def test_duplicates_of_a_failed_fetch_are_unknown(tmp_path):
    async def go():
        async with peers(tmp_path) as swarm:
            await swarm.prepare()
            record = swarm.record()
            with pytest.raises(TransferError):
                await swarm.leechers[0].fetch([], record)
            fetching = asyncio.ensure_future(swarm.leechers[0].fetch(await swarm.publish(), record))
            await asyncio.sleep(0)
            fetching.cancel()
            await asyncio.wait({fetching})
            return record.unlogged_duplicates

    assert asyncio.run(go()) is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_magnet_link_only_holds_hashes_and_tracker(tmp_path, protocol):
    async def go():
        async with peers(tmp_path, seeders=2, leechers=0, protocol=protocol) as swarm:
            await swarm.prepare()
            first, second = await swarm.publish()  # from files of different names
            assert first == second
            return first["magnet"], swarm.all[0].context.announce_url

    magnet, announce_url = asyncio.run(go())
    pairs = parse_qsl(urlsplit(magnet).query)
    kinds = {"v1": ["btih"], "v2": ["btmh"], "hybrid": ["btih", "btmh"]}[protocol]
    assert [key for key, _ in pairs] == ["xt"] * len(kinds) + ["tr"]
    assert [value.split(":")[1] for _, value in pairs[:-1]] == kinds
    assert pairs[-1][1] == announce_url
    parsed = lt.parse_magnet_uri(magnet)
    assert parsed.peers == []
    assert parsed.trackers == [announce_url]


def test_publish_times_its_steps_and_the_tracker_knows_the_seeder_then(tmp_path):
    async def go():
        async with peers(tmp_path) as swarm:
            await swarm.prepare()
            published = await swarm.seeders[0].publish(swarm.write(), None)
            assert set(published.steps) == {"make", "check", "announce"}
            assert all(seconds > 0 for seconds in published.steps.values())
            # The leecher only learns from the tracker where the seeder is.
            (record,) = await swarm.fetch([published.reference])
            check_record(record)

    asyncio.run(go())


def test_two_seeders_and_leechers_that_keep_serving_when_done(tmp_path):
    async def go():
        async with peers(tmp_path, seeders=2, leechers=4, size_bytes=4_000_000) as swarm:
            await swarm.prepare()
            references = await swarm.publish()
            early, late = swarm.leechers[:3], swarm.leechers[3]
            for record in await swarm.fetch(references, early):
                check_record(record)
            for seeder in swarm.seeders:
                await seeder.remove()
            (record,) = await swarm.fetch(references, [late])
            check_record(record)
            assert (await late.digest()).sha256 == swarm.sha256

            for leecher in early:
                await leecher.settle()  # updates the counters
            figures = [leecher.counters() for leecher in early]
            assert sum(f.payload_sent_bytes for f in figures) >= 4_000_000
            for each in figures:
                assert each.payload_received_bytes >= 4_000_000
                assert each.received_bytes > each.payload_received_bytes
                assert each.extra["failed_bytes"] == each.extra["pieces_failed"] == 0

    asyncio.run(go())


def test_sequential_pieces_come_in_order_and_rarest_first_do_not(tmp_path):
    async def order(piece_order):
        options = {"piece_order": piece_order, "piece_size": BLOCK, "size_bytes": 3_000_000}
        async with peers(tmp_path / piece_order, **options) as swarm:
            await swarm.prepare()
            (record,) = await swarm.fetch(await swarm.publish())
            offset, _, _ = record.written.columns()
            return np.corrcoef(np.arange(len(offset)), offset)[0, 1]

    # A busy machine may write neighbours in another order, but not the file.
    assert asyncio.run(order("sequential")) > 0.9 > 0.5 > asyncio.run(order("rarestFirst"))


def test_a_stock_swarm_over_utp(tmp_path):
    async def go():
        async with peers(tmp_path, profile="stock", size_bytes=500_000) as swarm:
            await swarm.prepare()
            (record,) = await swarm.fetch(await swarm.publish())
            check_record(record)
            return swarm.leechers[0].describe()

    described = asyncio.run(go())
    assert described["utp"] is True
    assert described["encryption"] is True


def test_a_parent_that_has_loaded_the_system_can_fork():
    """The import starts no thread, and a forked child can open and end a session."""
    program = f"""
{PATHS}
import numpy
threads = len(os.listdir("/proc/self/task"))
from swarmrace.systems import load
load("bittorrent").preload()
assert len(os.listdir("/proc/self/task")) == threads
from bittorrent_swarms import peers
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
async def go(folder):
    async with peers(pathlib.Path(folder), size_bytes=100_000) as swarm:
        await swarm.prepare()
        (record,) = await swarm.fetch(await swarm.publish())
        assert record.complete
with tempfile.TemporaryDirectory() as folder:
    asyncio.run(go(folder))
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
