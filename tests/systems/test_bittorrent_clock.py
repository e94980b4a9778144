"""The wall clock is stepped during a transfer; none of its times moves."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from clock_shim import steppable_clock
from paths import ROOT
from patience import PATIENCE_SECONDS
from swarmrace.systems.bittorrent.stamps import place

SUPPORT = ROOT / "tests" / "support"
MS = 1_000_000
HOUR = 3600 * 10**9

RACE = f"""
import asyncio, os, sys, tempfile, time
from pathlib import Path
sys.path[:0] = [{str(SUPPORT)!r}]
from bittorrent_swarms import check_record, peers

def ahead():
    # How far the wall clock is ahead of the monotonic one, read without a pause in between.
    while True:
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        if after - before < 0.01:
            return wall - before

def change_summer_time():
    # Local time jumps by an hour in two seconds from now, at any time of the year.
    at = time.gmtime(time.time() + 2)
    day = at.tm_yday - (at.tm_yday > 59 and at.tm_year % 4 == 0)  # J never counts 29 February
    now = f"{{at.tm_hour}}:{{at.tm_min}}:{{at.tm_sec}}"
    os.environ["TZ"] = f"AAA0BBB,J{{day}}/{{now}},J{{day % 365 + 1}}/23"
    time.tzset()

async def go():
    with tempfile.TemporaryDirectory() as folder:
        async with peers(Path(folder), size_bytes=6_000_000) as swarm:
            await swarm.prepare()
            references = await swarm.publish()
            seeder = swarm.seeders[0]._session.handle
            local = seeder.local_peer_class_id
            # Too slow to be done before the step, however late that comes.
            limited = {{**seeder.get_peer_class(local), "upload_limit": 200_000}}
            seeder.set_peer_class(local, limited)
            record, (leecher,) = swarm.record(), swarm.leechers
            if "BY" not in os.environ:
                change_summer_time()
                zone = time.localtime().tm_gmtoff
            wall, began = ahead(), time.monotonic_ns()
            fetching = asyncio.ensure_future(leecher.fetch(references, record))
            if "BY" in os.environ:
                while not record.progress_bytes:
                    await asyncio.sleep(0.01)
                Path(os.environ["STEP"]).write_text(os.environ["BY"])
                await asyncio.sleep(0.3)
            else:
                while time.localtime().tm_gmtoff == zone:
                    await asyncio.sleep(0.01)
            assert not fetching.done()
            seeder.set_peer_class(local, {{**limited, "upload_limit": 0}})
            await fetching
            ended = time.monotonic_ns()
            print("moved", ahead() - wall, flush=True)
            check_record(record)
            for log in (record.arrivals, record.written, record.deliverable):
                times = log.curve(0, record.size_bytes).t_ns
                assert began <= times.min() <= times.max() <= record.done_ns <= ended
            print("notes", record.notes)

asyncio.run(go())
"""


def race(**environment):
    ran = subprocess.run(
        [sys.executable, "-c", RACE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    moved, notes = ran.stdout.splitlines()[-2:]
    return float(moved.split()[1]), notes


# A larger step back can't be tested: libtorrent's own timers stop for as long.
@pytest.mark.parametrize("by", [3600, 2, -1])
def test_a_step_of_the_clock_moves_no_time(tmp_path, by):
    moved, notes = race(**steppable_clock(tmp_path), BY=str(by))
    assert moved == pytest.approx(by, abs=0.5)
    assert f"stepped by {abs(by)}.0" in notes


def test_a_change_to_or_from_summer_time_moves_no_time():
    moved, notes = race()
    assert abs(moved) < 0.5
    assert "stepped by 3600.0" in notes


@pytest.mark.parametrize("step", [HOUR, -HOUR, 500 * MS, -500 * MS, 20 * MS, -20 * MS])
@pytest.mark.parametrize("after", [0, 1, 7, 19, 20])
def test_alerts_before_and_after_a_step_are_separated(step, after):
    true = np.arange(20, dtype=np.int64) * 3 * MS + 100 * MS
    stamped = true + np.where(np.arange(20) >= after, step, 0)  # offset before the step: 0
    found, unplaced = place(stamped, stamped - step, (99 * MS, 160 * MS))
    assert unplaced == 0
    assert found.tolist() == true.tolist()


def test_alerts_moved_by_two_steps_are_not_placed_wrongly():
    true = np.arange(20, dtype=np.int64) * 3 * MS + 100 * MS
    stamped = true + np.where(np.arange(20) >= 10, 2 * HOUR, 0)
    stamped[5:10] += 9 * HOUR
    found, unplaced = place(stamped, stamped - 2 * HOUR, (99 * MS, 160 * MS))
    assert unplaced == 5
    assert found[5:10].tolist() == [160 * MS] * 5
    assert found[10:].tolist() == true[10:].tolist()
    assert place(stamped[:0], stamped[:0], (0, 1))[1] == 0
