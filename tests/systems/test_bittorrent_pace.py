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
        counted = dict.fromkeys(("uptime", "cpu", "schedstat"), 0.0)

        def passes(self, seconds, process=0.0, waited=0.0, idle=None, pressed=None):
            """Let time pass; by default a processor is idle and no program waits for one."""
            idle = seconds if idle is None else idle
            pressed = max(0, seconds - idle) if pressed is None else pressed
            self.now += seconds
            self.process += process
            for name, more in (("uptime", idle), ("cpu", pressed), ("schedstat", waited)):
                count = self.counted[name]
                self.counted[name] = None if count is None or more is None else count + more

    clock = Clock()

    class Counter:
        def __init__(self, path, parse):
            self.name, self.last = path.name, clock.counted[path.name]

        def passed(self):
            before, self.last = self.last, clock.counted[self.name]
            return None if self.last is None else self.last - before

    monkeypatch.setattr(pace, "Counter", Counter)
    monkeypatch.setattr(pace, "_runnable", lambda: 1)
    monkeypatch.setattr(pace, "_busiest_thread", lambda: Path("busiest"))
    monkeypatch.setattr(pace.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(pace.time, "process_time", lambda: clock.process)
    monkeypatch.setattr(pace.time, "thread_time", lambda: clock.thread)
    return clock


def busy(clock, budget, waiting=0, idle_processors=1, pressure=None):
    for _ in range(3):
        idle = 0.2 * idle_processors
        pressed = None if pressure is None else 0.2 * pressure
        clock.passes(0.2, process=0.02, waited=0.2 * waiting, idle=idle, pressed=pressed)
        clock.thread += 0.0003
        pause = budget.pause_seconds(0.02)
    return pause


FULL = 0.0006 / (0.02 * 0.1)
"""0.6 ms for both sides, of a process that gets 10 % of a CPU: 2 % of it is 2 ms in a second."""


def test_where_a_processor_is_idle_samples_are_free(clock):
    assert busy(clock, Budget()) == 0
    assert busy(clock, Budget(), idle_processors=7) == 0
    assert busy(clock, Budget(), idle_processors=7, pressure=1) == 0, "of a large machine"


def test_where_no_program_waits_samples_are_free_although_none_is_idle(clock):
    """The kernel doesn't count a processor as idle whose program waits for a disk."""
    assert busy(clock, Budget(), idle_processors=0, pressure=0) == 0


def test_where_none_is_idle_samples_take_their_share_although_libtorrent_does_not_wait(clock):
    """As in a swarm whose processes mostly wait for each other's payload."""
    assert busy(clock, Budget(), idle_processors=0) == pytest.approx(FULL)
    assert busy(clock, Budget(), idle_processors=0.5) == pytest.approx(FULL / 2)
    assert busy(clock, Budget(), idle_processors=0, pressure=0.5) == pytest.approx(FULL / 2)


def test_where_libtorrent_waits_samples_take_their_share_of_the_processes_cpu(clock):
    assert busy(clock, Budget(), waiting=1) == pytest.approx(FULL)
    assert busy(clock, Budget(), waiting=0.5) == pytest.approx(FULL / 2)


@pytest.mark.parametrize(
    ("missing", "share"),
    [
        ({"cpu"}, 0.0),
        ({"uptime"}, 0.0),
        ({"cpu", "uptime"}, 1.0),
        ({"schedstat"}, 1.0),
    ],
)
def test_what_the_kernel_does_not_count_is_assumed_to_be_scarce(clock, missing, share):
    clock.counted |= dict.fromkeys(missing)
    scarcity = Scarcity()
    for _ in range(3):
        clock.passes(0.2, process=0.02)
        scarcity.update()
    assert scarcity.share == share
    assert scarcity.cpu_rate == pytest.approx(0.1)


def test_the_kernels_counters_are_read(tmp_path):
    scarcity = Scarcity()
    try:
        idle, _ = scarcity._machine
        assert idle.passed() >= 0
        thread = pace._busiest_thread()
        assert pace._ran(thread) >= 0
        waited = pace.Counter(thread / "schedstat", pace._waited)
        assert waited.passed() >= 0
        waited.close()
        assert waited.passed() is None
    finally:
        scarcity.close()
    assert pace._ran(tmp_path / "gone") == 0
    assert pace._runnable() >= 1
    assert pace.Counter(tmp_path / "gone", pace._idle).passed() is None


def test_the_kernels_formats():
    assert pace._idle(b"2435.23 470.19\n") == 470.19
    content = b"some avg10=18.08 avg60=48.60 avg300=72.54 total=1619831109\nfull avg10=0.00 total=0"
    assert pace._pressed(content) == 1619.831109
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
    assert max(pauses[:-1]) <= pace.MAX_SECONDS


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


def test_before_the_first_byte_a_busy_machine_is_sampled_less_often(clock):
    own = SamplingPace(SIZE)
    pauses = []
    for _ in range(9):
        clock.passes(0.04, process=0.008, idle=0)
        clock.thread += 0.0003
        own._due = clock.now
        pauses.append(own.pause(0))
    assert pauses[0] == pace.EDGE_SECONDS
    assert pauses[-1] == pace.FIRST_SECONDS


def test_at_first_a_machine_is_busy_if_more_threads_want_to_run_than_it_has_processors(
    clock, monkeypatch
):
    monkeypatch.setattr(pace.os, "cpu_count", lambda: 2)
    for runnable, share, rate in ((1, 0, 1), (2, 0, 1), (3, 1, 2 / 3), (32, 1, 1 / 16)):
        monkeypatch.setattr(pace, "_runnable", lambda runnable=runnable: runnable)
        scarcity = Scarcity()
        assert (scarcity.share, scarcity.cpu_rate) == (share, pytest.approx(rate))
