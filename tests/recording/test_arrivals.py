"""Arrivals compared with a naive model that keeps a time for every single byte."""

from __future__ import annotations

import io
import struct
import tracemalloc
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from made_arrivals import MS, SIZE, arrival_of, curve_of, record_lists, transfers
from swarmrace.errors import ResultsError
from swarmrace.recording.arrivals import ByteLog, Curve, Origin, bytes_of_percent, origin_of


def first_times(rows):
    """Return each byte's first time, or None."""
    times = [None] * SIZE
    for offset, length, t_ns in rows:
        for byte in range(offset, offset + length):
            if times[byte] is None or t_ns < times[byte]:
                times[byte] = t_ns
    return times


def delivered(times):
    """Return when each byte of the prefix could be read in order."""
    ready, latest = [], 0
    for t_ns in times:
        if t_ns is None:
            break
        latest = max(latest, t_ns)
        ready.append(latest)
    return ready


@given(record_lists())
def test_every_byte_counts_once_at_its_first_record(rows):
    curve, times = curve_of(rows), first_times(rows)
    assert [arrival_of(curve, byte) for byte in range(SIZE)] == times
    came = sorted(t for t in times if t is not None)
    assert [curve.time_to_bytes(n) for n in range(1, SIZE + 1)] == (
        came + [None] * (SIZE - len(came))
    )
    assert curve.total_bytes == len(came)
    assert curve.duplicate_bytes == sum(row[1] for row in rows) - len(came)
    assert curve.records == len(rows)
    assert curve.complete == (len(came) == SIZE)
    assert list(curve.t_ns) == sorted(curve.t_ns)


@given(record_lists(), st.randoms())
def test_the_order_of_recording_does_not_matter(rows, random):
    shuffled = rows[:]
    random.shuffle(shuffled)
    one, other = curve_of(rows), curve_of(shuffled)
    assert [arrival_of(one, b) for b in range(SIZE)] == [arrival_of(other, b) for b in range(SIZE)]
    assert one.to_npz() is not None
    assert [one.time_to_bytes(n) for n in range(SIZE)] == [
        other.time_to_bytes(n) for n in range(SIZE)
    ]


@given(record_lists() | transfers())
def test_delivery_is_the_prefix_readable_in_order(rows):
    prefix, ready = curve_of(rows).prefix(), delivered(first_times(rows))
    assert prefix.total_bytes == len(ready)
    assert [prefix.time_to_bytes(n + 1) for n in range(len(ready))] == ready
    assert prefix.time_to_bytes(len(ready) + 1) is None
    assert [arrival_of(prefix, byte) for byte in range(len(ready))] == ready
    assert len(set(prefix.t_ns.tolist())) == len(prefix.t_ns)


@given(transfers())
def test_delivery_is_never_before_arrival_and_ends_with_it(rows):
    curve = curve_of(rows)
    prefix = curve.prefix()
    for percent in (0, 1, 10, 50, 90, 100):
        assert prefix.time_to_percent(percent) >= curve.time_to_percent(percent)
    assert prefix.time_to_percent(100) == curve.time_to_percent(100)


@given(size=st.integers(1, 10**13), percent=st.decimals(0, 100, places=3))
def test_percents_are_rounded_up_to_whole_bytes(size, percent):
    count = bytes_of_percent(size, float(percent))
    exact = size * percent / 100
    assert count >= exact
    assert count == 1 or count - 1 < exact
    assert bytes_of_percent(size, 100) == size


def test_percents_by_hand():
    curve = curve_of([(0, 1, 10), (1, 1, 20), (2, 1, 30)], size=3)
    expected = {0: 10, 1: 10, 33.3: 10, 33.4: 20, 50: 20, 66.6: 20, 66.7: 30, 100: 30}
    assert {p: curve.time_to_percent(p) for p in expected} == expected


@pytest.mark.parametrize("percent", [-1, 100.1, float("nan")])
def test_percents_out_of_range_are_refused(percent):
    with pytest.raises(ValueError, match="expected 0 to 100"):
        curve_of([]).time_to_percent(percent)


def test_times_count_from_the_start_stamp():
    assert curve_of([(0, 3, 1_005)], size=3, start_ns=1_000).time_to_percent(100) == 5


def stall_by_hand(times, end_ns):
    came = sorted({t for t in times if t is not None})
    if end_ns is not None and came and None in times:
        came.append(max(end_ns, came[-1]))
    return max((b - a for a, b in pairwise(came)), default=0)


@given(record_lists(), st.none() | st.integers(0, 10**12))
def test_the_longest_stall_is_the_longest_gap_after_the_first_byte(rows, end_ns):
    curve, times = curve_of(rows), first_times(rows)
    length, began, _ = curve.longest_stall(end_ns)
    assert length == stall_by_hand(times, end_ns)
    if length:
        inside = [t for t in times if t is not None and began < t < began + length]
        assert began in times
        assert not inside


@given(record_lists(), st.integers(1, 10**9), st.none() | st.integers(1, 10**10))
def test_bins_hold_every_byte_at_its_time(rows, width, end_ns):
    rows = [(offset, length, t % 10**9) for offset, length, t in rows]
    width = max(width, 10**6)
    bins, times = curve_of(rows).bins(width, end_ns), first_times(rows)
    came = [t for t in times if t is not None]
    assert len(bins) >= -(-(end_ns or 0) // width)
    assert bins.sum() == len(came)
    for k in {t // width for t in came}:
        assert bins[k] == sum(t // width == k for t in came)


def test_variation_is_that_of_whole_bins_between_first_and_last_byte():
    """Bytes come in 100 ms bins: 1 (cut), 2, 4, 1 (cut); 2 and 4 vary by a third of their mean."""
    rows = [(0, 1, 50 * MS), (1, 2, 100 * MS), (3, 4, 299 * MS), (7, 1, 300 * MS)]
    assert curve_of(rows, size=8).variation() == pytest.approx(1 / 3)
    assert curve_of(rows[:3], size=8).variation() is None  # one whole bin
    assert curve_of([], size=8).variation() is None
    steady = [(k, 1, k * 100 * MS) for k in range(10)]
    assert curve_of(steady, size=10).variation() == 0


@pytest.mark.parametrize(
    "rows", [[(-1, 1, 0)], [(0, 0, 0)], [(0, -1, 0)], [(SIZE, 1, 0)], [(1, SIZE, 0)]]
)
def test_records_outside_the_payload_are_refused(rows):
    with pytest.raises(ValueError, match="outside"):
        curve_of(rows)


def test_columns_of_different_lengths_are_refused():
    one, two = np.zeros(1, np.int64), np.ones(2, np.int64)
    with pytest.raises(ValueError, match="differ"):
        Curve(two, two, one, SIZE)


def test_totals_without_offsets_have_no_prefix():
    log = ByteLog(2, offsets_known=False)
    log.record(0, 10, 5)
    curve = Curve.from_npz(log.curve(0, 20).to_npz())
    assert curve.time_to_percent(50) == 5
    with pytest.raises(ValueError, match="totals, not offsets"):
        curve.prefix()


@given(record_lists() | transfers(), st.booleans())
def test_a_stored_curve_is_loaded_exactly(rows, known):
    curve = curve_of(rows)
    curve.offsets_known = known
    again = Curve.from_npz(curve.to_npz())
    for name in ("offset", "length", "t_ns"):
        column = getattr(again, name)
        assert column.dtype == np.int64
        np.testing.assert_array_equal(column, getattr(curve, name))
    for name in ("size_bytes", "offsets_known", "duplicate_bytes", "records", "total_bytes"):
        assert getattr(again, name) == getattr(curve, name)


def test_numpy_can_read_a_stored_file_without_swarmrace(tmp_path):
    """The stored differences are documented, so that other programs can read them."""
    path = tmp_path / "arrivals.npz"
    path.write_bytes(curve_of([(10, 5, 300), (0, 10, 200)]).to_npz())
    with np.load(path, allow_pickle=False) as data:
        columns = [np.cumsum(data[name]).tolist() for name in ("offset", "length", "t_ns")]
        assert data["meta"].tolist() == [SIZE, 1, 0, 2]
    assert columns == [[0, 10], [10, 5], [200, 300]]
    assert Curve.from_npz(path).total_bytes == 15


ORIGIN = Origin("0123456789", "003-x", "x", 2)


def test_a_stored_curve_has_its_origin(tmp_path):
    curve = curve_of([(10, 5, 300), (0, 10, 200)])
    path = tmp_path / "x-2.arrivals.npz"
    path.write_bytes(curve.to_npz(ORIGIN))
    assert origin_of(path) == Curve.from_npz(path).origin == ORIGIN
    assert str(ORIGIN) == "peer 2 of x in run 003-x of race 0123456789"
    with np.load(path, allow_pickle=False) as data:
        origin = {name: data[name].item() for name in ("raceId", "runId", "entrant", "peer")}
    assert origin == {"raceId": "0123456789", "runId": "003-x", "entrant": "x", "peer": 2}
    assert origin_of(curve.to_npz()) is None
    assert Curve.from_npz(curve.to_npz()).origin is None


STORED = curve_of([(k * 6, 6, 1000 + 7 * k * k) for k in range(10)]).to_npz()


@given(at=st.integers(0, len(STORED) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing(at, bit):
    """Not every byte of a zip is content (dates, for example). A file that loads is unchanged."""
    broken = bytearray(STORED)
    broken[at] ^= 1 << bit
    with suppress(ResultsError):
        assert Curve.from_npz(bytes(broken)).to_npz() == STORED


@given(st.integers(0, len(STORED) - 1))
def test_a_truncated_file_is_refused(length):
    with pytest.raises(ResultsError, match="expected an arrivals npz"):
        Curve.from_npz(STORED[:length])


def stored(**columns):
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    return buffer.getvalue()


WHOLE = {
    "meta": np.array([4, 1, 0, 1]),
    "offset": np.array([0]),
    "length": np.array([4]),
    "t_ns": np.array([9]),
}


@pytest.mark.parametrize(
    "change",
    [
        {"meta": np.array([4, 1, 0])},
        {"length": np.array([5])},
        {"t_ns": np.array([1.5])},
        {"t_ns": np.array([[9]])},
        {"t_ns": np.array([9, 9])},
        {"offset": None},
        {"raceId": np.array("0123456789")},
    ],
)
def test_an_npz_with_other_content_is_refused(change):
    assert Curve.from_npz(stored(**WHOLE)).total_bytes == 4
    columns = {name: column for name, column in (WHOLE | change).items() if column is not None}
    with pytest.raises(ResultsError, match="expected an arrivals npz"):
        Curve.from_npz(stored(**columns))


def test_a_missing_file_and_an_npy_are_refused(tmp_path):
    with pytest.raises(ResultsError, match=r"missing\.npz"):
        Curve.from_npz(tmp_path / "missing.npz")
    np.save(tmp_path / "other.npy", np.arange(3))
    with pytest.raises(ResultsError, match=r"other\.npy"):
        Curve.from_npz(tmp_path / "other.npy")


def test_the_hot_path_allocates_nothing_that_lasts():
    """4,000 records into preallocated memory: only the last integers may remain."""
    log, count = ByteLog(4000), 4000
    log.record(0, 1, 1)
    times = list(range(10**12, 10**12 + count))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for t_ns in times[1:]:
            log.record(0, 1, t_ns)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 1000
    assert len(log) == count


def test_a_log_grows_beyond_the_expected_size_while_it_is_read():
    """A reader holds a view of the memory, so the bytearray can't be resized in place."""
    log = ByteLog(1)
    rows = [(k, 1, 100 + k) for k in range(50)]
    views = []
    for row in rows:
        log.record(*row)
        views.append(memoryview(log._buffer))
    assert [tuple(map(int, row)) for row in zip(*log.columns(), strict=True)] == rows
    assert (len(log), log.bytes_recorded, log.last_ns) == (50, 50, 149)
    assert [tuple(map(int, row)) for row in zip(*log.since(47), strict=True)] == rows[47:]
    assert log.since(50)[0].size == 0


def test_an_invalid_record_is_an_error_and_leaves_the_log_unchanged():
    log = ByteLog(10)
    with pytest.raises(struct.error):
        log.record(0, 1, 2**63)
    assert len(log) == 0
    assert log.bytes_recorded == 0


def test_columns_are_copies():
    log = ByteLog(2)
    log.record(1, 2, 3)
    log.columns()[0][0] = 99
    assert log.columns()[0][0] == 1


@given(st.integers(2, 400))
def test_many_duplicates_among_many_blocks(count):
    """Every block once, out of order; every third again, earlier or later: only a few overlap."""
    assume(count % 7)
    order = [(k * 7) % count for k in range(count)]
    rows = [(k * 10, 10, 1000 + at) for at, k in enumerate(order)]
    rows += [(k * 10, 10, 5 if k % 2 else 10**6) for k in range(0, count, 3)]
    curve = curve_of(rows, size=10 * count)
    assert curve.complete
    assert curve.duplicate_bytes == 10 * len(range(0, count, 3))
    for at, k in enumerate(order):
        expected = 5 if k % 3 == 0 and k % 2 else 1000 + at
        assert arrival_of(curve, 10 * k + 9) == expected
