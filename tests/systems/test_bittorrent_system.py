from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import libtorrent as lt
import pytest

from bittorrent_swarms import BLOCK, check_record, peers
from paths import ROOT
from swarmrace.errors import TransferError

PIECE = 2 * BLOCK
SUPPORT = ROOT / "tests" / "support"
PATHS = f"""import asyncio, os, pathlib, sys, tempfile
sys.path[:0] = [{str(SUPPORT)!r}]"""
PROTOCOLS = ("v1", "v2", "hybrid")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("reference", ["magnet", "torrent"])
def test_sizes_around_a_piece_in_every_protocol(tmp_path, protocol, reference):
    """One warm session a peer carries all runs; nothing of a run is left in the next."""

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


def test_what_libtorrent_drops_as_redundant_is_counted_run_by_run(tmp_path):
    """Near its end a leecher asks several peers for the same blocks; no alert tells of the second.

    The session is warm and counts on over the runs; what is shown is the run's own.
    """

    async def go():
        async with peers(tmp_path, size_bytes=20_000_000, leechers=3, cold_start=False) as swarm:
            counted = 0
            for _ in range(2):
                await swarm.prepare()
                records = await swarm.fetch(await swarm.publish())
                for leecher, record in zip(swarm.leechers, records, strict=True):
                    counted += record.unlogged_duplicates
                    own = leecher.counters()
                    # More may come after the end: blocks that were on their way.
                    assert record.unlogged_duplicates <= own.extra["redundant_bytes"]
                    # A second run's is not added to the first one's, which moved as much.
                    assert own.payload_received_bytes < 1.5 * 20_000_000
                await swarm.clear()
            return counted, [record.unlogged_duplicates for record in records]

    total, last = asyncio.run(go())
    assert total >= sum(last) >= 0


def test_of_a_fetch_that_failed_it_is_not_known_what_came_twice(tmp_path):
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
def test_a_magnet_holds_the_hashes_and_the_tracker_and_nothing_else(tmp_path, protocol):
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


def test_publish_times_its_parts_and_the_tracker_then_knows_the_seeder(tmp_path):
    async def go():
        async with peers(tmp_path) as swarm:
            await swarm.prepare()
            published = await swarm.seeders[0].publish(swarm.write(), None)
            assert set(published.steps) == {"make", "check", "announce"}
            assert all(seconds > 0 for seconds in published.steps.values())
            # Nothing but the tracker tells the leecher where the seeder is.
            (record,) = await swarm.fetch([published.reference])
            check_record(record)

    asyncio.run(go())


def test_two_seeders_and_leechers_that_serve_on_when_done(tmp_path):
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
                await leecher.settle()  # counters brought up to date
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
            inversions = sum(a > b for a, b in pairwise(offset))
            return inversions / len(offset)

    assert asyncio.run(order("sequential")) < 0.1 < asyncio.run(order("rarestFirst"))


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


def test_a_parent_that_loaded_it_can_fork():
    """No thread comes with the import, and a forked child can open and end a session."""
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
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
