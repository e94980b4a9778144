"""In a real BitTorrent race nothing is written before it arrives, and `verify` checks that."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import racing
from swarmrace.integrity import records
from swarmrace.integrity.verify import verify
from swarmrace.recording.arrivals import Curve
from swarmrace.results.folder import load


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    entrants = {"bt": {"kind": "bittorrent", "profile": "tuned", "recordWrites": True}}
    scenario = racing.scenario_file(folder, entrants, swarmSize=3, seeders=1, fileSize="20MB")
    with racing.race(folder, scenario) as race:
        assert race.end() == 0, race.output()
        race.wait_until_nothing_is_left()
        return race.folder


def counts_at(curve, t_ns):
    return np.concatenate(([0], np.cumsum(curve.length)))[
        np.searchsorted(curve.t_ns, t_ns, side="right")
    ]


def test_nothing_is_written_before_it_has_arrived(made):
    loaded = load(made)
    for record, peer in ((each, peer) for each in loaded.runs for peer in each.leechers):
        arrival = loaded.curve(record.run.id, peer, "arrivals")
        written = loaded.curve(record.run.id, peer, "written")
        assert arrival.complete
        assert (counts_at(arrival, written.t_ns) >= np.cumsum(written.length)).all()
        transfer = record.peers[peer].transfer
        for came, wrote in zip(transfer.arrival, transfer.written, strict=True):
            assert came.seconds <= wrote.seconds
    report = verify(made)
    assert (report.changed, report.broken) == ((), ())


def test_arrival_after_the_write_is_named(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "copy")
    path = sorted(folder.glob("runs/*/*.arrivals.npz"))[0]
    curve = Curve.from_npz(path)
    late = Curve(
        curve.offset,
        curve.length,
        curve.t_ns + 10**10,
        curve.size_bytes,
        offsets_known=False,
        since_ns=curve.since_ns,
    )
    path.write_bytes(late.to_npz(curve.origin))
    faults = [line for line, _ in records.faults(load(folder)) if "had arrived" in line]
    assert len(faults) == 1
    assert path.name.replace(".arrivals.npz", ".json: ") in faults[0]
