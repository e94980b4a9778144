"""How often is sampled: as often as it is free."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmrace.systems.bittorrent import pace
from swarmrace.systems.bittorrent.pace import Budget, SamplingPace, Scarcity

SIZE = 100_000_000


@pytest.fixture
def clock(monkeypatch):
    """Clocks that only a test moves: monotonic, CPU of the process, CPU of the sampling thread."""

    class Clock:
        now = process = thread = 0.0

        def __init__(self):
            monkeypatch.setattr(pace.time, "monotonic", lambda: self.now)
            monkeypatch.setattr(pace.time, "process_time", lambda: self.process)
            monkeypatch.setattr(pace.time, "thread_time", lambda: self.thread)
            monkeypatch.setattr(pace, "_busiest_thread", lambda: Path("busiest"))
            monkeypatch.setattr(pace, "_waited", lambda file: self.waited)
            monkeypatch.setattr(pace, "_idle", lambda file: self.idle)
            self.waited = self.idle = 0.0

        def passes(self, seconds, process=0.0, waited=0.0, idle=None):
            self.now += seconds
            self.process += process
            self.waited += waited
            self.idle += seconds if idle is None else idle

    return Clock()


def busy(clock, budget, waiting=0, idle_processors=1):
    for _ in range(3):
        idle = 0.2 * idle_processors
        clock.passes(0.2, process=0.02, waited=0.2 * waiting, idle=idle)
        clock.thread += 0.0003
        pause = budget.pause_seconds(0.02)
    return pause


def test_where_a_processor_is_idle_samples_are_free(clock):
    assert busy(clock, Budget()) == 0
    assert busy(clock, Budget(), idle_processors=7) == 0


def test_where_none_is_idle_samples_take_their_share_although_libtorrent_does_not_wait(clock):
    """As in a swarm whose processes mostly wait for each other's payload."""
    assert busy(clock, Budget(), idle_processors=0) == pytest.approx(0.0006 / (0.02 * 0.1))
    assert busy(clock, Budget(), idle_processors=0.5) == pytest.approx(0.0006 / (0.02 * 0.1) / 2)


def test_this_machine_counts_how_long_its_processors_were_idle():
    file = pace._opened(pace._UPTIME)
    try:
        assert pace._idle(file) >= 0
    finally:
        pace.os.close(file)
    assert pace._idle(-1) > 0


def test_where_libtorrent_waits_samples_take_their_share_of_the_processes_cpu(clock):
    # 0.6 ms for both sides, of a process that gets 10 % of a CPU: 2 % of it is 2 ms in a second.
    assert busy(clock, Budget(), waiting=1) == pytest.approx(0.0006 / (0.02 * 0.1))
    assert busy(clock, Budget(), waiting=0.5) == pytest.approx(0.0006 / (0.02 * 0.1) / 2)


def test_a_kernel_without_the_counter_counts_as_waiting(clock):
    scarcity = Scarcity()
    for _ in range(3):
        clock.passes(0.2, process=0.02, waited=0.2)  # as `_waited` answers there
        scarcity.update()
    assert scarcity.share == 1
    assert scarcity.cpu_rate == pytest.approx(0.1)


def test_the_scheduling_of_a_thread_that_has_ended_counts_as_waiting(tmp_path):
    file = pace._opened(tmp_path / "gone" / "schedstat")
    waited = pace._waited(file)
    assert pace._waited(file) >= waited > 0
    assert pace._ran(tmp_path / "gone") == 0


def test_this_process_has_a_busiest_thread_whose_time_is_counted():
    thread = pace._busiest_thread()
    assert pace._ran(thread) >= 0
    file = pace._opened(thread / "schedstat")
    try:
        assert 0 <= pace._waited(file) < pace.time.monotonic()
    finally:
        pace.os.close(file)


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
        assert pauses[50] == pace.SHORT_SECONDS
        assert pauses[-1] < pace.SHORT_SECONDS
    else:
        assert max(pauses) <= pace.MAX_SECONDS


def test_before_the_first_byte_a_busy_machine_is_sampled_less_often(clock):
    own = SamplingPace(SIZE)
    pauses = []
    for _ in range(9):
        clock.passes(0.05, process=0.01, idle=0)
        clock.thread += 0.0003
        own._due = clock.now
        pauses.append(own.pause(0))
    assert pauses[0] == pace.EDGE_SECONDS
    assert pauses[-1] == pytest.approx(0.0006 / (pace.FIRST_SHARE * 0.2))
