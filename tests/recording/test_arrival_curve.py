"""Arrival from two logs: sampled totals, and writes that were stamped individually."""

from __future__ import annotations

import numpy as np
import pytest

from swarmrace.network.wire_recorder import Samples
from swarmrace.recording.arrival_curve import arrival_curve
from swarmrace.recording.arrivals import ByteLog, Curve
from swarmrace.recording.samples import SampledLog

MS = 1_000_000


def curve_of(samples, writes, size=1000, start=0, wire=None):
    """Return the curve of (total, asked, answered), (offset, length, when) and (received, when),
    in milliseconds."""
    arrivals, written = SampledLog(size), ByteLog(8)
    for total, asked, answered in samples:
        arrivals.sample(total, asked * MS, answered * MS)
    for offset, length, when in writes:
        written.record(offset, length, when * MS)
    if wire is not None:
        received, when = np.array(wire, np.int64).reshape(-1, 2).T
        wire = Samples(when * MS, received)
    return arrival_curve(arrivals, written, start * MS, size, wire)


def rows_of(curve):
    """Return (bytes held, when, when they were last known not to be there), in milliseconds."""
    held = np.cumsum(curve.length).tolist()
    return list(zip(held, curve.t_ns / MS, curve.since_ns / MS, strict=True))


def test_a_byte_that_was_written_has_arrived():
    samples = [(0, 1, 2), (800, 100, 107), (1000, 110, 113)]
    curve = curve_of(samples, [(0, 300, 40), (500, 300, 60), (300, 200, 112), (800, 200, 120)])
    assert rows_of(curve) == [(300, 40, 1), (600, 60, 1), (800, 107, 1), (1000, 113, 100)]
    assert curve.mark(10) == (40 * MS, 39 * MS)
    assert curve.complete
    assert not curve.offsets_known


def test_writes_behind_the_samples_change_nothing():
    samples = [(0, 1, 2), (500, 10, 12), (1000, 20, 22)]
    alone = curve_of(samples, [])
    late = curve_of(samples, [(0, 400, 30), (400, 600, 2000)])
    assert rows_of(late) == rows_of(alone) == [(500, 12, 1), (1000, 22, 10)]


def test_a_write_between_question_and_answer_narrows_the_resolution():
    samples = [(0, 10, 11), (400, 20, 90), (1000, 95, 96)]
    curve = curve_of(samples, [(0, 400, 30), (400, 100, 60)])
    # 500 were there at 60, so the answer of 400 came earlier; 400 were there when it was asked for.
    assert rows_of(curve) == [(400, 30, 10), (500, 60, 20), (1000, 96, 20)]
    assert curve.mark(50) == (60 * MS, 40 * MS)


def test_no_block_is_written_during_a_stall():
    samples = [(0, 0, 1), (500, 10, 12), (500, 90, 92), (1000, 110, 113)]
    assert curve_of(samples, []).longest_stall()[:2] == (78 * MS, 12 * MS)
    # By the samples nothing came from 12 to 90. What is written in between had come before.
    assert curve_of(samples, [(0, 500, 50)]).longest_stall()[:2] == (78 * MS, 12 * MS)
    # A write just before the first sample with its bytes makes the stall longer, not shorter.
    stall = curve_of(samples, [(0, 500, 5), (500, 500, 100)]).longest_stall()
    assert (stall.length_ns, stall.began_ns) == (85 * MS, 5 * MS)
    assert stall.resolution_ns == (5 - 0 + 100 - 90) * MS


def test_growth_between_two_distant_samples_is_no_stall():
    samples = [(0, 0, 1), (1000, 900, 907)]
    writes = [(at, 100, 100 + at) for at in range(0, 1000, 100)]
    curve = curve_of(samples, writes)
    assert curve.longest_stall().length_ns == 0
    assert curve.time_to_percent(50) == 500 * MS


def test_writes_continue_a_transfer_whose_samples_ended():
    curve = curve_of([(0, 0, 1), (300, 10, 12)], [(0, 400, 30), (400, 100, 40)])
    assert rows_of(curve) == [(300, 12, 0), (400, 30, 10), (500, 40, 10)]
    assert rows_of(curve_of([], [(0, 400, 30)], start=20)) == [(400, 10, 0)]
    assert rows_of(curve_of([], [])) == []


def test_totals_that_fall_again_do_not_count_but_writes_do():
    samples = [(0, 0, 1), (600, 2, 3), (400, 6, 7), (1000, 10, 11)]
    curve = curve_of(samples, [(0, 400, 5)])
    assert rows_of(curve) == [(400, 3, 0), (1000, 11, 6)]


def test_a_block_that_is_written_twice_counts_once():
    curve = curve_of([(0, 0, 1), (1000, 50, 51)], [(0, 400, 5), (0, 400, 7), (400, 100, 9)])
    assert [row[0] for row in rows_of(curve)] == [400, 500, 1000]


def test_bytes_that_came_later_must_have_come_over_the_wire():
    samples = [(0, 1, 2), (1000, 90, 100)]
    wire = [(50, 0), (350, 10), (650, 20), (1050, 30), (1060, 40), (1060, 110)]
    # At 100 all 1000 were there; the interface had received 410 more since 20, and 710 since 10.
    assert rows_of(curve_of(samples, [], wire=wire)) == [
        (290, 10, 0),
        (590, 20, 1),
        (990, 30, 1),
        (1000, 40, 1),
    ]


def test_a_wire_sample_says_nothing_about_totals_known_before_it_was_read():
    samples = [(0, 1, 2), (1000, 90, 100)]
    # Stamped within a millisecond of the answer, so maybe read before it; no later sample exists.
    wire = [(0, 0), (600, 20), (1000, 100)]
    assert rows_of(curve_of(samples, [], wire=wire)) == [(1000, 100, 1)]
    assert rows_of(curve_of(samples, [], wire=[])) == [(1000, 100, 1)]


def test_other_bytes_on_the_wire_never_count_as_payload():
    samples = [(0, 1, 2), (0, 48, 50), (1000, 90, 100)]
    # 5000 other bytes, then the payload.
    wire = [(0, 0), (5000, 30), (5000, 60), (5500, 70), (6000, 80), (6000, 110)]
    curve = curve_of(samples, [], wire=wire)
    assert rows_of(curve) == [(500, 70, 48), (1000, 80, 48)]
    # Bytes that fail or come again aren't payload either, although the interface received them.
    again = [(0, 1, 2), (600, 20, 21), (400, 41, 42), (1000, 90, 100)]
    assert rows_of(curve_of(again, [], wire=[(0, 0), (600, 15), (1200, 70), (1200, 110)])) == [
        (400, 15, 0),
        (1000, 70, 15),
    ]


def test_the_wire_bounds_writes_too():
    wire = [(0, 0), (300, 20), (700, 40), (1000, 60), (1000, 90)]
    curve = curve_of([(0, 0, 1)], [(0, 700, 50)], wire=wire)
    assert rows_of(curve) == [(400, 40, 0), (700, 50, 0)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("overhead", [0, 0.05, 3])
def test_with_the_wire_the_curve_is_closer_to_the_truth_and_never_above(seed, overhead):
    random = np.random.default_rng(seed)
    size, count = 1_000_000, 1000
    came = np.sort(random.integers(1, 1000, count)) * MS
    other = np.sort(random.integers(1, 1000, round(overhead * count))) * MS
    arrivals, written = SampledLog(size), ByteLog(count)
    asked = 0
    while asked < 1100 * MS:
        answered = asked + int(random.integers(1, 40)) * MS
        seen = int(random.integers(asked, answered)) - int(random.integers(0, 30)) * MS
        arrivals.sample(int(np.searchsorted(came, seen, side="right")) * 1000, asked, answered)
        asked = answered + int(random.integers(1, 60)) * MS
    for at, when in enumerate((came + 40 * MS).tolist()):
        written.record(at * 1000, 1000, when)
    looks = np.cumsum(random.integers(3, 10, 400)) * MS
    read = looks - random.integers(0, 2, 400) * (MS // 2)
    received = [np.searchsorted(each, read, side="right") * 1000 for each in (came, other)]
    wire = Samples(looks, received[0] + received[1])
    curve = arrival_curve(arrivals, written, 0, size, wire)
    held = np.cumsum(curve.length)
    assert (np.searchsorted(came, curve.t_ns, side="right") * 1000 >= held).all()
    assert curve.complete
    assert (curve.since_ns <= curve.t_ns).all()
    without = arrival_curve(arrivals, written, 0, size)
    marks = [[each.time_to_percent(p) for p in range(1, 100)] for each in (curve, without)]
    assert (np.array(marks[0]) <= np.array(marks[1])).all()
    if not overhead:  # only payload: the curve is the wire's own, one of its samples later
        truth = came[[count * p // 100 - 1 for p in range(1, 100)]]
        assert (np.array(marks[0]) - truth).max() <= 10 * MS


@pytest.mark.parametrize("seed", range(20))
def test_the_curve_is_never_below_writes_or_samples_and_never_above_the_truth(seed):
    random = np.random.default_rng(seed)
    size, count = 100_000, 100
    came = np.sort(random.integers(1, 1000, count)) * MS  # 1000 bytes each
    truth = np.arange(1, count + 1) * 1000
    looks = np.cumsum(random.integers(1, 60, 60)) * MS
    samples = []
    for asked in looks.tolist():
        took = int(random.integers(0, 30)) * MS
        seen = asked + int(random.integers(0, took + 1))
        samples.append((int(np.searchsorted(came, seen, side="right")) * 1000, asked, asked + took))
    samples = [row for at, row in enumerate(samples) if at == 0 or row[1] >= samples[at - 1][2]]
    arrivals, written = SampledLog(size), ByteLog(count)
    for row in samples:
        arrivals.sample(*row)
    delay = random.integers(0, 50, count) * MS
    for at in np.argsort(came + delay, kind="stable").tolist():
        written.record(at * 1000, 1000, int(came[at] + delay[at]))
    curve = arrival_curve(arrivals, written, 0, size)
    held = np.cumsum(curve.length)
    writes = np.sort(came + delay)
    assert (held[np.searchsorted(curve.t_ns, writes, side="right") - 1] >= truth).all()
    at_record = np.searchsorted(came, curve.t_ns, side="right") * 1000
    assert (at_record >= held).all()  # every byte counted had come
    not_there = np.searchsorted(came, curve.since_ns, side="right") * 1000
    assert (not_there <= curve.offset).all()  # since: not one byte of the record had come
    stall = curve.longest_stall()
    inside = (came > stall.began_ns) & (came <= stall.began_ns + stall.length_ns)
    assert not inside.any()
    assert int(np.diff(came).max()) <= stall.length_ns + stall.resolution_ns or not stall.length_ns
    loaded = Curve.from_npz(curve.to_npz())
    assert loaded.longest_stall() == stall


def test_stamped_arrivals_are_used_as_they_are():
    log = ByteLog(2)
    log.record(0, 1000, 50 * MS)
    written = ByteLog(2)
    written.record(0, 1000, 40 * MS)
    assert arrival_curve(log, written, 0, 1000).time_to_percent(100) == 50 * MS


def with_unread(samples, reached, size=1000, wire=None):
    """Return the curve of (total, asked, answered), and of the same including unread bytes."""
    arrivals = SampledLog(size)
    for total, asked, answered in samples:
        arrivals.sample(total, asked * MS, answered * MS)
    for total, asked, answered in reached:
        arrivals.reached(total, asked * MS, answered * MS)
    return arrival_curve(arrivals, None, 0, size, wire)


def test_bytes_that_wait_to_be_read_have_arrived():
    samples = [(0, 1, 2), (100, 10, 11), (100, 50, 51), (1000, 90, 100)]
    curve = with_unread(samples, [(100, 10, 12), (700, 50, 52), (650, 60, 62), (1000, 90, 101)])
    assert rows_of(curve) == [(100, 11, 1), (650, 52, 10), (1000, 100, 50)]


def test_of_unread_bytes_as_many_do_not_count_as_totals_have_fallen():
    samples = [(0, 1, 2), (500, 10, 11), (400, 50, 51), (1000, 90, 100)]
    curve = with_unread(samples, [(900, 10, 12), (800, 50, 52)])
    assert rows_of(curve) == [(400, 11, 1), (700, 12, 10), (1000, 100, 50)]


def test_what_the_kernel_shows_between_two_answers_counts_unless_a_later_one_refutes_it():
    """Both are from the same answer; 1000 at 14 is too high, because at 20 bytes are missing."""
    samples = [(0, 1, 2), (900, 10, 11), (990, 20, 21), (1000, 40, 41)]
    shown = [(900, 10, 11), (950, 10, 13), (1000, 10, 14), (990, 20, 22), (1000, 20, 27)]
    curve = with_unread(samples, [*shown, (1000, 40, 41)])
    assert rows_of(curve) == [(900, 11, 1), (950, 13, 10), (990, 14, 10), (1000, 27, 20)]


def test_two_threads_may_note_what_has_reached_the_host_in_either_order():
    samples = [(0, 1, 2), (900, 10, 11), (1000, 40, 41)]
    shown = [(900, 10, 11), (960, 10, 14), (950, 10, 13), (1000, 40, 41)]
    curve = with_unread(samples, shown)
    assert rows_of(curve) == [(900, 11, 1), (950, 13, 10), (960, 14, 10), (1000, 41, 10)]


def test_unread_bytes_are_limited_to_the_file_size():
    curve = with_unread([(0, 1, 2), (990, 10, 11), (1000, 20, 21)], [(1040, 10, 12)])
    assert rows_of(curve) == [(990, 11, 1), (1000, 12, 10)]
