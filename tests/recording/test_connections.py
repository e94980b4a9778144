"""Connected peers over time: a small series in every peer's record."""

from __future__ import annotations

import asyncio

import pytest

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


def test_only_changes_are_recorded_with_their_seconds_since_the_start():
    clock = VirtualClock(5_000_000_000)
    made = series(clock, [0, 0, 3, 3, 2])
    for _ in range(5):
        made.read()
        asyncio.run(clock.sleep_until(clock.now_ns() + 500_000_000))
    assert pairs(made) == [(0.0, 0), (1.0, 3), (2.0, 2)]


def test_the_last_reading_before_the_start_counts():
    clock = VirtualClock(4_000_000_000)
    made = series(clock, [0, 2, 1, 4])
    for _ in range(4):
        made.read()
        asyncio.run(clock.sleep_until(clock.now_ns() + 500_000_000))
    assert pairs(made) == [(0.0, 1), (0.5, 4)]


def test_a_system_without_a_count_has_no_series():
    made = series(VirtualClock(6_000_000_000), [None, None])
    made.read()
    made.read()
    assert made.changes == []


def test_a_constantly_changing_count_keeps_the_record_small(monkeypatch):
    monkeypatch.setattr(connections, "MANY", 10)
    numbers, pauses = iter(range(10**9)), []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 35:
            raise asyncio.CancelledError

    monkeypatch.setattr(connections.asyncio, "sleep", sleep)
    made = ConnectionSeries(VirtualClock(1), 0, lambda: next(numbers))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(made.follow())
    assert pauses == [0.5] * 9 + [1.0] * 10 + [2.0] * 10 + [4.0] * 6
    assert len(made.changes) == 35


def test_seeders_and_leechers_record_their_connections(tmp_path, monkeypatch):
    monkeypatch.setattr(SyntheticSystem, "counters", lambda self: Counters(connections=7))
    loaded, _ = raced(scenario(repetitions=1), tmp_path)
    for record in loaded.runs:
        for peer in record.peers.values():
            assert [(e.seconds, e.connections) for e in peer.connected] == [(0.0, 7)]
