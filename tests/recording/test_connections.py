"""Connected peers over time: a light series in every peer's record."""

from __future__ import annotations

import asyncio

from racing_peers import raced, scenario
from swarmrace.clock import VirtualClock
from swarmrace.recording import connections
from swarmrace.recording.connections import ConnectionSeries
from swarmrace.systems.abc import Counters
from swarmrace.systems.synthetic.system import SyntheticSystem


def series(clock, counts, start_ns=5_000_000_000):
    left = iter(counts)
    return ConnectionSeries(clock, start_ns, lambda: next(left))


def pairs(made):
    return [(entry.seconds, entry.connections) for entry in made.changes]


def test_only_changes_are_kept_with_their_seconds_since_the_start():
    clock = VirtualClock(5_000_000_000)
    made = series(clock, [0, 0, 3, 3, 2])
    for _ in range(5):
        made.look()
        asyncio.run(clock.sleep_until(clock.now_ns() + 500_000_000))
    assert pairs(made) == [(0.0, 0), (1.0, 3), (2.0, 2)]


def test_before_the_start_the_last_reading_counts():
    clock = VirtualClock(4_000_000_000)
    made = series(clock, [0, 2, 1, 4])
    for _ in range(4):
        made.look()
        asyncio.run(clock.sleep_until(clock.now_ns() + 500_000_000))
    assert pairs(made) == [(0.0, 1), (0.5, 4)]


def test_a_system_that_does_not_count_leaves_none():
    made = series(VirtualClock(6_000_000_000), [None, None])
    made.look()
    made.look()
    assert made.changes == []


def test_a_count_that_never_rests_does_not_fill_the_record(monkeypatch):
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.0001)
    monkeypatch.setattr(connections, "MANY", 10)

    async def go():
        numbers = iter(range(10**9))
        made = ConnectionSeries(VirtualClock(1), 0, lambda: next(numbers))
        task = asyncio.ensure_future(made.follow())
        await asyncio.sleep(0.3)
        task.cancel()
        return len(made.changes)

    assert asyncio.run(go()) < 200  # without a bound some 1,000


def test_seeders_and_leechers_have_it_in_their_records(tmp_path, monkeypatch):
    monkeypatch.setattr(SyntheticSystem, "counters", lambda self: Counters(connections=7))
    loaded, _ = raced(scenario(repetitions=1), tmp_path)
    for record in loaded.runs:
        for peer in record.peers.values():
            assert [(e.seconds, e.connections) for e in peer.connected] == [(0.0, 7)]
