"""A stall is judged by what arrives, and the failure names the signal."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from swarmrace.clock import VirtualClock
from swarmrace.errors import Reason
from swarmrace.peer.transfer_watch import FLOOR_BYTES, FLOOR_BYTES_PER_SECOND, TransferWatch
from swarmrace.recording.arrivals import ByteLog
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.abc import Record

SIZE = 100_000_000
STALL = 180.0


class Story:
    """One transfer, second by second; the watch judges it once a second."""

    def __init__(self, *logs, count=None, wire=None, stall_seconds=STALL, **timeouts):
        self.clock = VirtualClock(7_000_000_000)
        self.record = Record(self.clock, SIZE)
        self.record.discovered()
        for name in logs:
            setattr(self.record, name, ByteLog(64))
        self.now = SimpleNamespace(count=count, wire=0 if wire is None else wire)
        self.watch = TransferWatch(
            self.record,
            Timeouts(stall_seconds=stall_seconds, **timeouts),
            self.clock.now_ns(),
            progress=lambda: self.now.count,
            wire_received=None if wire is None else lambda: self.now.wire,
        )

    def passes(self, seconds, **rises):
        """Let seconds pass, each with these rises; return the failure and the second it came."""
        for second in range(1, int(seconds) + 1):
            self.clock._now_ns += 1_000_000_000
            for name, by in rises.items():
                if name in ("count", "wire"):
                    setattr(self.now, name, getattr(self.now, name) + by)
                else:
                    log = getattr(self.record, name)
                    log.record(log.bytes_recorded, by, self.clock.now_ns())
            failure = self.watch.judge(self.clock)
            if failure is not None:
                return failure, second
        return None, seconds


def test_a_stream_that_waits_while_blocks_come_is_no_stall():
    """Codex, 16 nodes on 2 cores: 131,072 bytes delivered, 24 to 449 of 1,527 blocks come."""
    story = Story("deliverable", count=0, wire=0)
    story.passes(1, deliverable=131_072)
    assert story.passes(900, count=1, wire=200_000) == (None, 900)
    assert story.record.stall_judged_by == "counter"
    (note,) = story.watch.notes
    assert note == (
        "delivery waited 900 s, longer than stallSeconds (180 s), while the node's own counter rose"
    )


def test_a_counter_that_stops_is_a_stall_that_names_it():
    story = Story("deliverable", count=0, wire=0)
    story.passes(100, count=1, wire=200_000)
    failure, second = story.passes(900, wire=200_000)
    assert failure.reason is Reason.STALL
    assert second == 181
    assert failure.detail == (
        "the node's own counter has been 100 for 180 s; 0 of 100000000 bytes came; "
        "delivery has waited 281 s at 0 bytes"
    )


def test_a_delivery_that_stops_with_the_arrivals_does_not_wait():
    story = Story("arrivals", "deliverable")
    story.passes(50, arrivals=10, deliverable=10)
    failure, _ = story.passes(900)
    assert failure.detail == "no new byte for 180 s; 500 of 100000000 bytes came"
    assert story.watch.notes == []


def test_without_a_counter_the_interface_decides():
    story = Story("deliverable", wire=0)
    assert story.passes(900, wire=3_000) == (None, 900)
    assert story.record.stall_judged_by == "wire"
    failure, second = story.passes(900)
    assert failure.reason is Reason.STALL
    assert 180 <= second <= 181 + STALL * FLOOR_BYTES_PER_SECOND / 3_000
    assert failure.detail.startswith("the interface received less than 180 kB in 180 s; ")


@pytest.mark.parametrize("stall_seconds", [5, 180])
def test_keep_alives_are_not_an_arrival(stall_seconds):
    story = Story("deliverable", wire=0, stall_seconds=stall_seconds)
    story.passes(3, wire=1_000_000)
    failure, second = story.passes(900, wire=900)
    assert failure.reason is Reason.STALL
    assert second <= stall_seconds + 1 + FLOOR_BYTES / 900


def test_once_the_counter_stops_answering_the_interface_decides():
    story = Story("deliverable", count=0, wire=0)
    story.passes(10, count=1, wire=200_000)
    story.now.count = None
    assert story.passes(900, wire=200_000) == (None, 900)
    assert story.record.stall_judged_by == "wire"


def test_the_systems_own_arrivals_come_before_everything():
    story = Story("arrivals", "deliverable", count=0, wire=0)
    assert story.passes(400, arrivals=1) == (None, 400)
    failure, second = story.passes(900, deliverable=1, count=1, wire=200_000)
    assert (failure.reason, second) == (Reason.STALL, 181)
    assert failure.detail.startswith("no new byte for 180 s; 400 of ")
    assert story.record.stall_judged_by == "arrivals"


def test_writes_decide_if_nothing_nearer_to_the_socket_is_observed():
    story = Story("written", "deliverable")
    assert story.passes(400, written=10) == (None, 400)
    assert story.record.stall_judged_by == "written"
    assert story.passes(900)[0].reason is Reason.STALL


def test_deliveries_decide_if_nothing_else_is_observed():
    story = Story("deliverable")
    failure, second = story.passes(900)
    assert (failure.reason, second) == (Reason.STALL, 181)
    assert "delivery has waited" not in failure.detail
    assert story.record.stall_judged_by == "deliveries"
    assert story.watch.notes == []


def test_a_background_fetch_without_progress_is_judged_by_counter_and_interface_too():
    assert Story(count=5).passes(900)[0].reason is Reason.STALL
    assert Story(wire=0).passes(900)[0].reason is Reason.STALL
    assert Story(transfer_seconds=10_000).passes(900) == (None, 900)


def test_a_timeout_reports_that_delivery_waited_and_what_went_wrong():
    story = Story("deliverable", count=0, transfer_seconds=500)
    story.watch._trouble = lambda: "codex: no answer"
    failure, second = story.passes(900, count=1)
    assert (failure.reason, second) == (Reason.TIMEOUT, 501)
    assert failure.detail.endswith("delivery has waited 501 s at 0 bytes; codex: no answer")
