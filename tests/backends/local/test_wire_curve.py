"""In a race with namespaces every peer records the curve of its interface, and a sampled arrival is
no coarser than it."""

from __future__ import annotations

import numpy as np
import pytest

import racing
from swarmrace.integrity.verify import verify
from swarmrace.network import namespaces
from swarmrace.results import folder as results

REFUSALS = namespaces.refusals()
SIZE = 12_000_000


@pytest.mark.skipif(
    bool(REFUSALS), reason=f"NOT TESTED: needs network namespaces: {'; '.join(REFUSALS)}"
)
def test_the_curve_agrees_with_the_interface(tmp_path):
    entrants = {"bt": {"kind": "bittorrent", "profile": "tuned"}, "web": {"kind": "http"}}
    network = {"upload": "40Mbit", "download": "40Mbit"}
    scenario = racing.scenario_file(tmp_path, entrants, fileSize=SIZE, network=network)
    with racing.race(tmp_path, scenario, "--namespaces") as race:
        assert race.end() == 0, race.output()
        race.wait_until_nothing_is_left()
        assert "Received on the wire" in race.output()
        assert "unaccounted for" not in race.output()
        folder = results.load(race.folder)
    assert folder.faults == ()
    assert verify(race.folder).sound
    for record in folder.runs:
        for index, peer in record.peers.items():
            curve, figures = folder.curve(record.run.id, index, "wire"), peer.wire_curve
            counted = peer.wire.received_bytes - peer.wire.offload_received_bytes
            # The counter begins just before the start, when nodes are idle.
            assert abs(curve.total_bytes - counted) < 20_000
            assert figures.received_bytes == curve.total_bytes
            assert figures.samples > 10
            assert peer.wire.dropped_packets is not None
            if peer.role == "seeder":
                assert figures.marks == []
                continue
            assert SIZE < figures.bytes_until_done <= figures.received_bytes
            came = np.cumsum(curve.length)
            for mark in figures.marks:
                wanted = figures.bytes_until_done * mark.percent / 100
                at = int(np.searchsorted(came, wanted))
                assert curve.t_ns[at] == round(mark.seconds * 1e9)
            assert figures.marks[-1].seconds <= peer.transfer.done_seconds
            if record.run.entrant == "bt":
                check_arrival(folder.curve(record.run.id, index, "arrivals"), curve)


def check_arrival(arrival, wire):
    """Check that arrival is never ahead of the interface, and uses its times between samples."""
    held, received = np.cumsum(arrival.length), np.cumsum(wire.length)
    # Up to the runner's own traffic, which is subtracted evenly.
    after = np.minimum(np.searchsorted(wire.t_ns, arrival.t_ns), len(received) - 1)
    assert (held <= received[after] + 10_000).all()
    assert len(np.intersect1d(arrival.t_ns, wire.t_ns)) > 10
