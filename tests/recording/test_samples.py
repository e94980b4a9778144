"""Sampled totals: the curve, its real gaps, and bytes that turned out not to have arrived."""

from __future__ import annotations

import numpy as np
import pytest

from swarmrace.errors import ResultsError
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.samples import SampledLog

MS = 1_000_000


def log_of(rows, size=1000):
    """Return a log of (total, milliseconds when asked, milliseconds when answered)."""
    log = SampledLog(size)
    for total, asked, answered in rows:
        log.sample(total, asked * MS, answered * MS)
    return log


def curve_of(rows, size=1000, start=0):
    return log_of(rows, size).curve(start * MS, size)


def test_a_byte_came_between_the_sample_that_shows_it_and_the_one_before():
    curve = curve_of([(0, 10, 11), (100, 20, 22), (1000, 27, 30)])
    assert (curve.offset.tolist(), curve.length.tolist()) == ([0, 100], [100, 900])
    assert curve.mark(0) == (22 * MS, 12 * MS)
    assert curve.mark(10) == (22 * MS, 12 * MS)
    assert curve.mark(50) == curve.mark(100) == (30 * MS, 10 * MS)
    assert not curve.offsets_known
    assert curve.complete


def test_the_resolution_of_the_first_sample_reaches_back_to_the_start():
    assert curve_of([(1000, 20, 22)], start=5).mark(100) == (17 * MS, 17 * MS)


def test_a_stall_is_only_the_span_between_equal_samples():
    rows = [(0, 0, 1), (500, 10, 12), (500, 30, 31), (500, 90, 92), (1000, 110, 113)]
    stall = curve_of(rows).longest_stall()
    assert (stall.length_ns, stall.began_ns) == (78 * MS, 12 * MS)  # 12 to 90
    assert stall.resolution_ns == (12 - 0 + 113 - 90) * MS


def test_growing_totals_are_no_stall_however_distant_the_samples():
    assert curve_of([(0, 0, 1), (500, 10, 12), (1000, 900, 913)]).longest_stall().length_ns == 0
    rows = [(0, 0, 1), (10, 5, 6), (500, 400, 402), (500, 410, 411), (1000, 900, 902)]
    assert curve_of(rows).longest_stall().length_ns == 8 * MS


def test_an_incomplete_transfer_stalls_until_its_end():
    stall = curve_of([(0, 0, 1), (500, 10, 12)]).longest_stall(200 * MS)
    assert (stall.length_ns, stall.began_ns, stall.resolution_ns) == (188 * MS, 12 * MS, 12 * MS)
    assert curve_of([]).longest_stall(200 * MS).length_ns == 0


def test_bytes_that_turn_out_to_be_wrong_or_redundant_never_arrived():
    curve = curve_of(
        [(0, 0, 1), (300, 2, 3), (900, 4, 5), (400, 6, 7), (400, 8, 9), (1000, 10, 11)]
    )
    assert np.cumsum(curve.length).tolist() == [300, 400, 1000]
    assert curve.t_ns.tolist() == [3 * MS, 5 * MS, 11 * MS]
    assert curve.time_to_bytes(401) == 11 * MS
    assert curve.longest_stall().began_ns == 5 * MS


def test_bytes_beyond_the_file_are_ignored_and_missing_ones_are_seen():
    assert curve_of([(0, 0, 1), (1100, 2, 3), (1100, 4, 5)]).total_bytes == 1000
    assert not curve_of([(0, 0, 1), (990, 2, 3)]).complete


def test_only_the_first_and_last_of_equal_samples_are_kept():
    rows = [(0, 0, 1), *((500, at, at + 1) for at in range(10, 90)), (1000, 100, 101)]
    assert len(log_of(rows)._samples) == 3 * 4
    assert curve_of(rows).longest_stall()[:2] == (78 * MS, 11 * MS)


def test_during_the_transfer_the_highest_total_so_far_is_read():
    log = log_of([(0, 0, 1), (300, 2, 3), (200, 4, 5), (250, 5, 6), (600, 6, 7), (1100, 8, 9)])
    assert (log.total, log.bytes_recorded, log.last_ns) == (1100, 1000, 9 * MS)
    offset, length, t_ns = log.since(1)
    assert (offset.tolist(), length.tolist()) == ([300, 600], [300, 400])
    assert t_ns.tolist() == [7 * MS, 9 * MS]


def test_completeness_at_an_instant_overrides_later_samples():
    log = log_of([(0, 0, 1), (300, 2, 3), (300, 5, 20), (1000, 21, 22)])
    log.complete_at(10 * MS)
    curve = log.curve(0, 1000)
    assert curve.mark(100) == (10 * MS, 8 * MS)


def test_a_sampled_curve_is_stored_with_its_gaps():
    curve = curve_of([(0, 10, 11), (100, 20, 22), (1000, 27, 30)])
    loaded = Curve.from_npz(curve.to_npz())
    assert loaded.since_ns.tolist() == curve.since_ns.tolist() == [10 * MS, 20 * MS]
    assert loaded.longest_stall() == curve.longest_stall()
    assert [loaded.mark(p) for p in (0, 50, 100)] == [curve.mark(p) for p in (0, 50, 100)]


def test_samples_out_of_order_are_refused():
    columns = (np.array([0, 5]), np.array([5, 5]), np.array([20, 10]))
    with pytest.raises(ValueError, match="out of order"):
        Curve(*columns, 10, offsets_known=False, since_ns=np.array([1, 2]))
    with pytest.raises(ResultsError):
        Curve.from_npz(b"no npz")


def test_totals_of_one_instant_do_not_lower_each_other():
    """Two reads may have the kernel's same stamp (IPFS records what has been delivered so)."""
    log = SampledLog(100)
    for total, t_ns in ((10, 5), (40, 7), (60, 7), (100, 9)):
        log.reached(total, t_ns, t_ns)
    answered, totals, _ = log.had_reached(0)
    assert dict(zip(answered.tolist(), totals.tolist(), strict=True))[7] == 60
    assert totals.tolist()[-1] == 100
