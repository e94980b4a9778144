"""How often is sampled: as often as it is free."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmrace.systems.bittorrent import pace
from swarmrace.systems.bittorrent.pace import Budget, SamplingPace, Shortage

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
            self.waited = 0.0

        def passes(self, seconds, process=0.0, waited=0.0):
            self.now += seconds
            self.process += process
            self.waited += waited

    return Clock()


def busy(clock, budget, waiting):
    for _ in range(3):
        clock.passes(0.2, process=0.02, waited=0.2 * waiting)
        clock.thread += 0.0003
        pause = budget.pause_seconds(0.02)
    return pause


def test_where_nothing_waits_for_a_processor_samples_are_free(clock):
    assert busy(clock, Budget(), waiting=0) == 0


def test_where_libtorrent_waits_samples_take_their_share_of_the_processes_cpu(clock):
    # 0.6 ms for both sides, of a process that gets 10 % of a CPU: 2 % of it is 2 ms in a second.
    assert busy(clock, Budget(), waiting=1) == pytest.approx(0.0006 / (0.02 * 0.1))
    assert busy(clock, Budget(), waiting=0.5) == pytest.approx(0.0006 / (0.02 * 0.1) / 2)


def test_a_kernel_without_the_counter_counts_as_waiting(clock):
    shortage = Shortage()
    for _ in range(3):
        clock.passes(0.2, process=0.02, waited=0.2)  # as `_waited` answers there
        shortage.update()
    assert shortage.waiting == 1
    assert shortage.cpu_rate == pytest.approx(0.1)


def test_the_scheduling_of_a_thread_that_has_ended_counts_as_waiting(tmp_path):
    file = pace._opened(tmp_path / "gone")
    waited = pace._waited(file)
    assert pace._waited(file) >= waited > 0
    assert pace._ran(tmp_path / "gone") == 0


def test_this_process_has_a_busiest_thread_whose_time_is_counted():
    thread = pace._busiest_thread()
    assert pace._ran(thread) >= 0
    file = pace._opened(thread)
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
