"""Reading a growing log in steps gives the same as reading it at the end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmrace.metrics.progress import HeldBytes, PrefixBytes, SampledBytes
from swarmrace.recording.arrival_curve import arrival_curve
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.records import MARK_PERCENTS
from swarmrace.recording.samples import SampledLog

SIZE, BLOCK = 100, 4


@settings(max_examples=150, deadline=None)
@given(
    order=st.permutations(range(SIZE // BLOCK)),
    again=st.lists(st.integers(0, SIZE // BLOCK - 1), max_size=6),
    steps=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    until=st.integers(0, SIZE // BLOCK),
)
def test_steps_agree_with_the_curve(order, again, steps, until):
    log, held, prefix = ByteLog(1), HeldBytes(SIZE), PrefixBytes(SIZE)
    blocks = [*order[:until], *(block for block in again if block in order[:until])]
    now, left = 0, list(blocks)
    for step in [*steps, SIZE]:
        for block in left[:step]:
            now += 1 + block % 3
            log.record(block * BLOCK, BLOCK, now)
        left = left[step:]
        held.update(log)
        prefix.update(log)
    curve = log.curve(0, SIZE)
    ready = curve.prefix()
    assert (held.bytes, held.duplicate_bytes) == (curve.total_bytes, curve.duplicate_bytes)
    assert prefix.bytes == ready.total_bytes
    for percent in MARK_PERCENTS:
        assert prefix.marks.get(percent) == ready.time_to_percent(percent)
        if percent in held.marks:
            assert held.marks[percent] == curve.time_to_percent(percent)
        elif not curve.duplicate_bytes:
            assert curve.time_to_percent(percent) is None


def test_another_log_restarts_the_count():
    held, prefix = HeldBytes(SIZE), PrefixBytes(SIZE)
    for times in ((10, 20), (30,)):
        log = ByteLog(1)
        for number, t_ns in enumerate(times):
            log.record(number * BLOCK, BLOCK, t_ns)
        held.update(log)
        prefix.update(log)
        assert held.bytes == prefix.bytes == len(times) * BLOCK
        assert held.marks[0] == prefix.marks[0] == times[0]


def test_a_long_record_that_overlaps_counts_once():
    log, held, prefix = ByteLog(1), HeldBytes(SIZE), PrefixBytes(SIZE)
    log.record(50, 50, 5)
    held.update(log)
    prefix.update(log)
    assert (held.bytes, prefix.bytes) == (50, 0)
    log.record(0, 60, 9)
    held.update(log)
    prefix.update(log)
    assert (held.bytes, held.duplicate_bytes, prefix.bytes) == (100, 10, 100)
    assert prefix.marks == {0: 9, 1: 9, 10: 9, 50: 9, 90: 9, 100: 9}


@given(
    totals=st.lists(st.integers(0, SIZE + 9), max_size=12),
    blocks=st.permutations(range(SIZE // BLOCK)),
    written=st.integers(0, SIZE // BLOCK),
)
def test_sampled_totals_agree_with_the_result(totals, blocks, written):
    """Totals fall if bytes turn out not to have arrived; written bytes have arrived."""
    log, writes, held = SampledLog(SIZE), ByteLog(1), HeldBytes(SIZE)
    for number, total in enumerate(totals):
        log.sample(total, 10 * number, 10 * number + 3)
        if number % 3:
            log.reached(total + 7, 10 * number + 3, 10 * number + 4)
    for number, block in enumerate(blocks[:written]):
        writes.record(block * BLOCK, BLOCK, 5 + 4 * number)
    held.update(writes)
    received = SampledBytes(SIZE)
    received.update(log, held)
    curve = arrival_curve(log, writes, 0, SIZE)
    assert received.bytes == curve.total_bytes
    found = {percent: curve.time_to_percent(percent) for percent in MARK_PERCENTS}
    assert received.marks == {percent: at for percent, at in found.items() if at is not None}
