"""The wire curve: from samples to marks, without the runner's own traffic."""

from __future__ import annotations

import numpy as np

from swarmrace.network import wire_recorder
from swarmrace.network.wire_recorder import Samples, WireRecorder, wire_curve
from swarmrace.network.wire_samples import Ring
from swarmrace.recording.arrivals import Curve

MS = 1_000_000


def samples_of(*rows):
    return Samples(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))


def test_marks_are_percents_of_the_bytes_until_done():
    rows = [(0, 1000), (10, 1000), (20, 1500), (30, 2000), (60, 2900), (70, 3000), (80, 9000)]
    samples = samples_of(*((1000 * MS + t * MS, count) for t, count in rows))
    figures, curve = wire_curve(samples, 1005 * MS, 1066 * MS, "x-1.wire.npz")
    assert (figures.bytes_until_done, figures.received_bytes) == (2000, 8000)
    found = {m.percent: (m.seconds, m.resolution_seconds) for m in figures.marks}
    assert found == {10: (0.015, 0.010), 50: (0.025, 0.010), 90: (0.055, 0.030)}
    assert figures.longest_gap_seconds == 0.030
    assert figures.samples == 7
    assert figures.file == "x-1.wire.npz"
    again = Curve.from_npz(curve.to_npz())
    assert again.total_bytes == 8000
    cumulative = np.cumsum(again.length)
    assert again.t_ns[np.searchsorted(cumulative, 1000)] == 25 * MS


def test_a_seeder_and_an_unfinished_transfer_have_a_curve_without_marks():
    samples = samples_of((0, 0), (10 * MS, 50))
    figures, curve = wire_curve(samples, 0, None, "f")
    assert (figures.marks, figures.bytes_until_done, figures.received_bytes) == ([], None, 50)
    assert curve.total_bytes == 50


def test_without_received_bytes_the_curve_is_empty():
    figures, curve = wire_curve(samples_of((0, 7), (10 * MS, 7)), 0, 5 * MS, "f")
    assert (figures.received_bytes, curve.records) == (0, 0)
    assert wire_curve(samples_of((0, 7)), 0, 5 * MS, "f") is None


def recorded(control, *steps, monkeypatch):
    """Return the samples of a recorder that reads after each step's rows."""
    now = [0]
    monkeypatch.setattr(wire_recorder.time, "monotonic_ns", lambda: now[0])
    ring, spent = Ring.private(), iter(control)
    ring.write(0, [500])
    recorder = WireRecorder(ring, 0, lambda: next(spent))
    recorder.start()
    totals = []
    for rows in steps:
        for t_ns, count in rows:
            ring.write(t_ns, [count])
        now[0] = rows[-1][0]
        totals.append(recorder.read())
    return totals, recorder.samples()


def test_the_runners_own_traffic_is_subtracted(monkeypatch):
    totals, samples = recorded(
        [40, 40, 140, 140],
        [(10, 1500), (20, 2500)],
        [(30, 2550), (40, 2600)],
        monkeypatch=monkeypatch,
    )
    assert totals == [2000, 2000]
    assert samples.received.tolist() == [460, 1460, 2460, 2460, 2460]


def test_the_subtraction_never_makes_the_curve_fall(monkeypatch):
    _, samples = recorded(
        [0, 0, 1000, 1000], [(10, 1500)], [(20, 1500), (30, 2500)], monkeypatch=monkeypatch
    )
    assert (np.diff(samples.received) >= 0).all()


def test_a_recorder_can_begin_again():
    ring = Ring.private()
    recorder = WireRecorder(ring, 0, lambda: 0)
    ring.write(1, [10])
    ring.write(2, [20])
    recorder.start()
    ring.write(3, [50])
    assert recorder.read() == 30
    recorder.start()
    assert recorder.samples().received.tolist() == [50]
