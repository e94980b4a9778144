"""How often is sampled: as often as it is free."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmrace.systems.bittorrent import pace
from swarmrace.systems.bittorrent.pace import Budget, SamplingPace, Scarcity

SIZE = 100_000_000


@pytest.fixture
def clock(monkeypatch):
    """Clocks and the kernel's counters, which only a test moves."""

    class Clock:
        now = process = thread = 0.0
        waited: float | None = 0.0
        runnable = 1

        def passes(self, seconds, process=0.0, waited=0.0):
            self.now += seconds
            self.process += process
            if self.waited is not None:
                self.waited += waited

    clock = Clock()

    class Counter:
        def __init__(self, thread):
            self.last = clock.waited

        def passed(self):
            before, self.last = self.last, clock.waited
            return None if self.last is None else self.last - before

    monkeypatch.setattr(pace, "Counter", Counter)
    monkeypatch.setattr(pace, "_runnable", lambda: clock.runnable)
    monkeypatch.setattr(pace, "_busiest_thread", lambda: Path("busiest"))
    monkeypatch.setattr(pace.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(pace.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(pace.time, "process_time", lambda: clock.process)
    monkeypatch.setattr(pace.time, "thread_time", lambda: clock.thread)
    return clock


def busy(clock, waiting=0, runnable=1):
    clock.runnable = runnable
    budget = Budget()
    for _ in range(3):
        clock.passes(0.2, process=0.02, waited=0.2 * waiting)
        clock.thread += 0.0003
        pause = budget.pause_seconds(0.02)
    return pause


FULL = 0.0006 / (0.02 * 0.1)
"""0.6 ms for both sides, of a process that gets 10 % of a CPU: 2 % of it is 2 ms in a second."""


@pytest.mark.parametrize("runnable", [1, 4, 16])
def test_where_few_programs_want_a_processor_samples_are_free(clock, runnable):
    assert busy(clock, runnable=runnable) == 0


def test_on_a_crowded_machine_they_take_their_share_although_libtorrent_does_not_wait(clock):
    """As in a swarm whose processes mostly wait for each other's payload."""
    assert busy(clock, runnable=24) == pytest.approx(FULL / 2)
    assert busy(clock, runnable=32) == pytest.approx(FULL)
    assert busy(clock, runnable=64) == pytest.approx(FULL)


def test_where_libtorrent_waits_samples_take_their_share_of_the_processes_cpu(clock):
    assert busy(clock, waiting=1) == pytest.approx(FULL)
    assert busy(clock, waiting=0.5) == pytest.approx(FULL / 2)
    assert busy(clock, waiting=0.5, runnable=32) == pytest.approx(FULL)


def test_a_kernel_without_the_counter_counts_as_waiting(clock):
    clock.waited = None
    scarcity = Scarcity()
    for _ in range(3):
        clock.passes(0.2, process=0.02)
        scarcity.update()
    assert scarcity.share == 1
    assert scarcity.cpu_rate == pytest.approx(0.1)


def test_whether_a_machine_is_crowded_is_known_at_once_and_followed(clock):
    for runnable, share, rate in ((1, 0, 1), (16, 0, 1 / 8), (24, 0.5, 1 / 12), (64, 1, 1 / 32)):
        clock.runnable = runnable
        scarcity = Scarcity()
        assert (scarcity.share, scarcity.cpu_rate) == (share, pytest.approx(rate))
    clock.runnable = 1
    shares = []
    for _ in range(12):
        clock.passes(0.2)
        scarcity.update()
        shares.append(scarcity.share)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0


def test_the_kernels_counters_are_read(tmp_path):
    assert pace._runnable() >= 1
    assert pace._runnable_in("0.20 0.18 0.12 45/1290 11206\n") == 45
    assert pace._runnable_in(pace._LOAD.read_text()) >= 1, "this thread runs"
    thread = pace._busiest_thread()
    assert pace._ran(thread) >= 0
    waited = pace.Counter(thread)
    assert waited.passed() >= 0
    waited.close()
    assert waited.passed() is None
    assert pace._ran(tmp_path / "gone") == 0
    assert pace.Counter(tmp_path / "gone").passed() is None
    assert pace._waited(b"3000000000 2500000000 71\n") == 2.5


def test_pauses_grow_with_the_transfer_and_shrink_near_its_end(clock):
    clock.passes(0.001)
    own = SamplingPace(SIZE)
    assert own.pause(0) == pace.EDGE_SECONDS
    pauses = []
    for percent in range(1, 101):
        clock.passes(0.1, process=0.001)
        own._due = clock.now  # no sample waits
        pauses.append(own.pause(SIZE * percent // 100))
    assert pauses[0] == pace.MIN_SECONDS
    assert pauses[-2] == pace.EDGE_SECONDS
    assert pauses[-1] == pace.COMPLETE_SECONDS, "every byte has come"
    assert max(pauses) <= pace.MAX_SECONDS


@pytest.mark.parametrize("waiting", [0, 1])
def test_near_the_last_byte_a_busy_process_may_be_sampled_more_often(clock, waiting):
    own = SamplingPace(SIZE)
    pauses = []
    for percent in range(1, 100):
        clock.passes(0.2, process=0.02, waited=0.2 * waiting)
        clock.thread += 0.0003
        own._due = clock.now
        pauses.append(own.pause(SIZE * percent // 100))
    if waiting:
        assert pauses[50] == pytest.approx(FULL)
        assert pauses[-1] < FULL
    else:
        assert max(pauses) <= pace.MAX_SECONDS


@pytest.mark.parametrize(("runnable", "pause"), [(2, pace.EDGE_SECONDS), (64, pace.FIRST_SECONDS)])
def test_before_the_first_byte_a_crowded_machine_is_sampled_less_often(clock, runnable, pause):
    clock.runnable = runnable
    own = SamplingPace(SIZE)
    for _ in range(9):
        clock.passes(0.04, process=0.002)
        clock.thread += 0.0003
        own._due = clock.now
        assert own.pause(0) == pause
