"""The watch: timeouts and stalls are judged from the record only, the same for every system."""

from __future__ import annotations

import asyncio
import errno

import pytest

from swarmrace.clock import VirtualClock
from swarmrace.errors import Reason, TransferError
from swarmrace.peer import transfer
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.records import Failure
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.abc import Observes, Record

SIZE = 1000
START_NS = 5_000_000_000
OBSERVES = Observes(arrival=True, delivery=True, unit="read")


class Fetching:
    """A system with nothing but `fetch`."""

    trouble = ""

    def progress(self):
        return None

    def __init__(self, fetch):
        self._fetch = fetch
        self.cancelled = False

    async def fetch(self, references, record):
        try:
            await self._fetch(record)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Looks:
    """Counts how often the watch has looked: each time it calls `aborted`, then judges."""

    def __init__(self):
        self._looked = asyncio.Event()

    def __call__(self):
        self._looked.set()

    async def some(self, times=3):
        """Wait until the watch has looked `times` more; all but the last have been judged."""
        for _ in range(times):
            self._looked.clear()
            await self._looked.wait()


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch):
    monkeypatch.setattr(transfer, "_TICK_SECONDS", 0.001)


async def hang(record, seconds=1e6):
    """Jump the clock far ahead, then never come back."""
    await record.clock.sleep_until(record.clock.now_ns() + round(seconds * 1e9))
    await asyncio.Event().wait()


def race(fetch, aborted=lambda: None, **timeouts):
    clock = VirtualClock(1_000)
    record = Record(clock, SIZE)
    system = Fetching(fetch)
    limits = Timeouts(**timeouts)
    stamp, failure = asyncio.run(transfer.race(system, [], record, limits, START_NS, aborted))
    return stamp, failure, record, system


def some_bytes(record, count=400):
    record.arrivals = ByteLog(4)
    record.deliverable = record.arrivals
    record.discovered()
    record.arrivals.record(0, count, record.clock.now_ns())


def test_begins_at_the_common_instant():
    async def fetch(record):
        some_bytes(record, SIZE)
        record.done()

    stamp, failure, record, _ = race(fetch)
    assert failure is None
    assert stamp == START_NS
    assert record.done_ns == START_NS


def test_a_transfer_without_metadata_ends_by_the_discovery_timeout():
    _, failure, _, system = race(hang, discovery_seconds=7, stall_seconds=1)
    assert (failure.reason, failure.stage) == (Reason.TIMEOUT, "race")
    assert "metadata or manifest within 7 s; 0 of 1000 bytes" in failure.detail
    assert system.cancelled


def test_silence_after_bytes_is_a_stall():
    async def fetch(record):
        some_bytes(record)
        await hang(record)

    _, failure, _, system = race(fetch, stall_seconds=9)
    assert failure.reason is Reason.STALL
    assert "no new byte for 9 s; 400 of 1000 bytes came" in failure.detail
    assert system.cancelled


def test_silence_after_done_is_no_stall():
    """What is left to do then (closing a file, say) brings no bytes."""

    looks = Looks()

    async def fetch(record):
        some_bytes(record, SIZE)
        record.done()
        await record.clock.sleep_until(record.clock.now_ns() + 20_000_000_000)
        await looks.some()

    _, failure, record, _ = race(fetch, looks, stall_seconds=9)
    assert failure is None
    assert record.done_ns == START_NS


def test_a_transfer_done_in_time_is_no_timeout_however_long_the_fetch_goes_on():
    looks = Looks()

    async def fetch(record):
        some_bytes(record, SIZE)
        record.done()
        await record.clock.sleep_until(record.clock.now_ns() + 2_000_000_000)
        await looks.some()

    _, failure, record, system = race(fetch, looks, transfer_seconds=1, discovery_seconds=1)
    assert failure is None
    assert record.notes == []
    assert not system.cancelled


def test_a_refusal_after_done_is_a_refusal():
    looks = Looks()

    async def fetch(record):
        some_bytes(record, SIZE)
        record.done()
        await record.clock.sleep_until(record.clock.now_ns() + 2_000_000_000)
        await looks.some()
        raise TransferError(Reason.REFUSED, "held beforehand")

    _, failure, _, _ = race(fetch, looks, transfer_seconds=1)
    assert failure == Failure(reason=Reason.REFUSED, stage="race", detail="held beforehand")


def test_a_fetch_that_hangs_after_done_is_ended_and_its_time_counts():
    async def fetch(record):
        some_bytes(record, SIZE)
        record.done()
        await hang(record)

    _, failure, record, system = race(fetch)
    assert failure is None
    assert record.done_ns == START_NS
    assert record.notes == ["the fetch hung after it was done; ended 8 s later"]
    assert system.cancelled


def test_silence_after_the_manifest_is_a_stall_too():
    async def fetch(record):
        record.arrivals = ByteLog(4)
        record.discovered()
        await hang(record, 20)

    _, failure, _, _ = race(fetch, stall_seconds=9, discovery_seconds=1)
    assert failure.reason is Reason.STALL


def test_a_system_that_observes_no_bytes_can_not_stall():
    async def fetch(record):
        record.discovered()
        await hang(record, 20)

    _, failure, _, _ = race(fetch, stall_seconds=9, transfer_seconds=19)
    assert failure.reason is Reason.TIMEOUT
    assert "not done within 19 s" in failure.detail


def test_bytes_that_keep_coming_too_slowly_end_by_the_transfer_timeout():
    looks = Looks()

    async def fetch(record):
        some_bytes(record, 1)
        for offset in range(1, SIZE):
            await record.clock.sleep_until(record.clock.now_ns() + 2_000_000_000)
            record.arrivals.record(offset, 1, record.clock.now_ns())
            await looks.some(2)

    _, failure, _, _ = race(fetch, looks, transfer_seconds=3, stall_seconds=60)
    assert failure.reason is Reason.TIMEOUT
    assert "not done within 3 s" in failure.detail


def test_a_refusal_keeps_its_reason():
    async def fetch(record):
        raise TransferError(Reason.REFUSED, "HTTP 500")

    _, failure, _, _ = race(fetch)
    assert failure == Failure(reason=Reason.REFUSED, stage="race", detail="HTTP 500")


def test_no_space_is_disk_full():
    async def fetch(record):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert race(fetch)[1].reason is Reason.DISK_FULL


def test_a_defect_is_reported_as_one():
    async def fetch(record):
        raise KeyError("x")

    _, failure, _, _ = race(fetch)
    assert failure.reason is Reason.INTERNAL
    assert "KeyError" in failure.detail


def test_a_fetch_that_returns_without_done_is_a_defect():
    async def fetch(record):
        some_bytes(record, SIZE)

    assert race(fetch)[1].reason is Reason.INTERNAL


def test_an_aborted_run_ends_with_its_reason():
    lost = Failure(reason=Reason.TRACKER_LOST, stage="race")

    async def fetch(record):
        await asyncio.Event().wait()

    _, failure, _, system = race(fetch, aborted=lambda: lost)
    assert failure == lost
    assert system.cancelled


def summarize(record, end_ns):
    return transfer.summarize(record, OBSERVES, START_NS, START_NS + 10, START_NS + end_ns)


def test_marks_count_from_the_leechers_own_stamp():
    record = Record(VirtualClock(START_NS), SIZE)
    record.arrivals = ByteLog(4)
    record.deliverable = ByteLog(4)
    record.discovered(START_NS + 1_000_000_010)
    record.arrivals.record(500, 500, START_NS + 2_000_000_010)
    record.arrivals.record(0, 500, START_NS + 3_000_000_010)
    record.deliverable.record(0, SIZE, START_NS + 3_500_000_010)
    record.done(START_NS + 3_500_000_010)
    figures, curves = summarize(record, 3_500_000_010)
    assert figures.start_lag_seconds == 1e-8
    assert figures.start_monotonic_nanoseconds == START_NS + 10
    assert figures.discovery_seconds == 1.0
    assert {m.percent: m.seconds for m in figures.arrival} == {
        0: 2.0, 1: 2.0, 10: 2.0, 50: 2.0, 90: 3.0, 100: 3.0,
    }  # fmt: skip
    assert {m.seconds for m in figures.delivery} == {3.5}
    assert figures.done_seconds == 3.5
    assert figures.longest_stall_seconds == 1.0
    assert figures.records_complete
    assert set(curves) == {"arrivals", "deliveries"}


def test_what_is_not_observed_is_not_filled_in():
    record = Record(VirtualClock(START_NS), SIZE)
    record.deliverable = ByteLog(1)
    record.deliverable.record(0, 300, START_NS + 1_000_000_010)
    figures, curves = summarize(record, 5_000_000_010)
    assert figures.arrival == []
    assert [m.percent for m in figures.delivery] == [0, 1, 10]
    assert figures.done_seconds is None
    assert figures.received_bytes == 300
    assert figures.longest_delivery_stall_seconds == 4.0
    assert not figures.records_complete
    assert set(curves) == {"deliveries"}


def test_a_transfer_without_a_byte():
    figures, curves = summarize(Record(VirtualClock(), SIZE), 5_000_000_010)
    assert (figures.arrival, figures.delivery, figures.received_bytes) == ([], [], 0)
    assert figures.discovery_seconds is None
    assert curves == {}


@pytest.mark.parametrize("poll_seconds", [0.0, 0.1])
def test_a_mark_and_done_carry_their_resolution(poll_seconds):
    record = Record(VirtualClock(START_NS), SIZE)
    record.arrivals = ByteLog(2)
    record.arrivals.record(0, 500, START_NS + 1_000_000_000)
    record.arrivals.record(500, 500, START_NS + 1_250_000_000)
    record.done(START_NS + 1_300_000_000)
    observes = Observes(arrival=True, delivery=False, unit="x", poll_seconds=poll_seconds)
    figures, _ = transfer.summarize(record, observes, START_NS, START_NS, START_NS + 2)
    assert figures.arrival[-1].resolution_seconds == pytest.approx(0.25 + poll_seconds)
    assert figures.done_resolution_seconds == figures.arrival[-1].resolution_seconds


def test_done_without_observed_bytes_has_the_polling_interval_as_resolution():
    record = Record(VirtualClock(START_NS), SIZE)
    observes = Observes(arrival=False, delivery=False, unit="poll", poll_seconds=5)
    figures, _ = transfer.summarize(record, observes, START_NS, START_NS, START_NS + 2)
    assert figures.done_resolution_seconds is None
    record.done(START_NS + 9_000_000_000)
    figures, _ = transfer.summarize(record, observes, START_NS, START_NS, START_NS + 2)
    assert figures.done_resolution_seconds == 5


def test_done_has_the_resolution_of_its_finest_mark():
    record = Record(VirtualClock(START_NS), SIZE)
    record.arrivals, record.deliverable = ByteLog(4), ByteLog(2)
    for k in range(4):
        record.arrivals.record(250 * k, 250, START_NS + (k + 1) * 10_000_000)
    record.deliverable.record(500, 500, START_NS + 20_000_000)
    record.deliverable.record(0, 500, START_NS + 41_000_000)
    record.done(START_NS + 41_000_000)
    figures, _ = transfer.summarize(record, OBSERVES, START_NS, START_NS, START_NS + 41_000_000)
    assert figures.delivery[-1].resolution_seconds == pytest.approx(0.021)
    assert figures.done_resolution_seconds == pytest.approx(0.01)


def stepped(log, byte_order):
    """Write SIZE bytes in ten equal steps, one every 0.1 s, the first after half a step."""
    for k, at in enumerate(byte_order):
        log.record(100 * at, 100, START_NS + 50_000_000 + k * 100_000_000)
    return log


def test_arrival_and_delivery_each_have_a_variation():
    record = Record(VirtualClock(START_NS), SIZE)
    record.arrivals = record.deliverable = stepped(ByteLog(10), [0, 2, 1, 4, 3, 6, 5, 8, 7, 9])
    figures, _ = transfer.summarize(record, OBSERVES, START_NS, START_NS, START_NS + 10**9)
    assert figures.arrival_variation == pytest.approx(0)
    # The prefix grows by zero and two in turn: eight whole bins of 0, 2, 0, 2, …
    assert figures.delivery_variation == pytest.approx(1)
    record = Record(VirtualClock(START_NS), SIZE)
    record.deliverable = stepped(ByteLog(10), range(10))
    figures, _ = transfer.summarize(record, OBSERVES, START_NS, START_NS, START_NS + 10**9)
    assert figures.arrival_variation is None
    assert figures.delivery_variation == pytest.approx(0)


@pytest.mark.parametrize(
    ("offsets_known", "observed", "unlogged", "expected"),
    [
        (True, True, 0, 100),
        (True, True, 40, 140),
        (True, True, None, None),
        (False, True, 0, None),
        (True, False, 0, None),
    ],
)
def test_duplicates_are_recorded_only_if_the_offsets_of_arriving_bytes_are_known(
    offsets_known, observed, unlogged, expected
):
    record = Record(VirtualClock(START_NS), SIZE)
    record.unlogged_duplicates = unlogged
    log = ByteLog(3, offsets_known=offsets_known)
    log.record(0, SIZE, START_NS + 5)
    log.record(100, 100, START_NS + 6)
    if observed:
        record.arrivals = log
    else:
        record.deliverable = log
    figures, _ = transfer.summarize(record, OBSERVES, START_NS, START_NS, START_NS + 9)
    assert figures.duplicate_bytes == expected
