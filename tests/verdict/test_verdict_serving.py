"""The share that leechers served, and the number of connected peers."""

from __future__ import annotations

import pytest

from made_results import TIMES, figure, updated, verdict_of
from swarmrace.recording.records import Connected, Wire


def counted(leecher, seeder):
    def change(record):
        bytes_ = leecher if record.role == "leecher" else seeder
        return updated(counters={"payload_sent_bytes": bytes_})(record)

    return change


def on_wire(leecher, seeder):
    """Set a record's wire to the (sent, received) bytes of its role."""

    def change(record):
        sent, received = leecher if record.role == "leecher" else seeder
        wire = Wire(sent_bytes=sent, received_bytes=received, sent_packets=1, received_packets=1)
        return updated(wire=wire)(record)

    return change


def test_the_share_is_of_all_payload_sent(tmp_path):
    found = verdict_of(tmp_path, peer=counted(10e6, 20e6))
    assert figure(found, "leechersShare")[0] == pytest.approx(0.6)
    assert found.entrants["x"].figures["leechersShare"].runs == 3


def test_without_payload_counters_there_is_only_the_share_by_wire(tmp_path):
    # 3 leechers got 11 MB each; the seeder sent 22 MB, so a third came from leechers.
    found = verdict_of(tmp_path, peer=on_wire((4_000_000, 11_000_000), (22_000_000, 1_000_000)))
    assert figure(found, "leechersShare") is None
    assert figure(found, "leechersShareOfWire")[0] == pytest.approx(1 / 3)


def test_lost_bytes_leave_no_share_by_wire(tmp_path):
    found = verdict_of(tmp_path, peer=on_wire((4_000_000, 11_000_000), (30_000_000, 1_000_000)))
    assert figure(found, "leechersShareOfWire") is None


def test_a_peer_without_a_counter_leaves_no_share(tmp_path):
    def change(record):
        return record if record.peer == 1 else counted(10e6, 20e6)(record)

    assert figure(verdict_of(tmp_path, peer=change), "leechersShare") is None


def test_connected_peers_are_averaged_over_the_transfer(tmp_path):
    series = [Connected(seconds=0, connections=1), Connected(seconds=1, connections=3)]
    late = Connected(seconds=50, connections=0)  # long after everybody was done
    found = verdict_of(tmp_path, {"x": [[2, 2, 2]] * 3}, peer=updated(connected=[*series, late]))
    assert figure(found, "connectedPeers")[0] == pytest.approx(2.0)
    assert figure(verdict_of(tmp_path / "none", TIMES), "connectedPeers") is None
