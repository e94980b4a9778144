"""A transfer that failed with later pieces verified but without the first: nothing to deliver."""

from __future__ import annotations

from types import SimpleNamespace

from swarmrace.clock import SystemClock
from swarmrace.integrity import records
from swarmrace.peer.transfer import summarize
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.records import CURVES
from swarmrace.systems.abc import Observes, Record

SIZE = 4 * 16_384


def test_pieces_without_the_first_give_no_mark_and_no_fault():
    record = Record(SystemClock(), SIZE)
    record.arrivals = None
    record.written = ByteLog(4)
    record.deliverable = ByteLog(4)
    for log in (record.written, record.deliverable):
        log.record(16_384, 32_768, 5_000_000)
    observes = Observes(arrival=False, written=True, delivery=True, unit="block")
    found, curves = summarize(record, observes, 0, 0, 10_000_000)
    assert found.delivery == []
    stored = found.model_copy(update={f"{name}_file": f"{name}.npz" for name in curves})
    peer = SimpleNamespace(run_id="000-bt", peer=1, size_bytes=SIZE, outcome="failed")
    assert set(curves) == {CURVES["written"], CURVES["delivery"]}
    assert list(records._curves(peer, stored, curves)) == []
