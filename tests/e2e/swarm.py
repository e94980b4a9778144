"""`make e2e-swarm`: races of 32 pods (4 seeders, 28 leechers, 100 MB) complete on the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster import ROOT, say
from release import installed

from swarmrace.scenario.loading import load

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("image")]

SCENARIO = ROOT / "scenarios/swarm32.yaml"


def test_32_pods_of_each_entrant_complete(tmp_path: Path) -> None:
    values = {"global": {"race": {"fileSize": "100MB", "repetitions": 1}}}
    with installed(tmp_path, "swarm32", values, SCENARIO) as release:
        release.verdict(1200)
        results = release.fetch(tmp_path / "results")
        assert {record.run.entrant for record in results.runs} == set(load(SCENARIO).entrants)
        for record in results.runs:
            assert record.result is not None
            assert record.result.status == "raced", record.result
            leechers = [peer for peer in record.peers.values() if peer.role == "leecher"]
            assert (len(record.peers), len(leechers)) == (32, 28)
            done = []
            for peer in leechers:
                assert peer.outcome == "completed", peer
                assert peer.transfer
                assert peer.transfer.verified
                done.append(peer.transfer.done_seconds)
            say(f"{record.run.id}: 28 of 28 verified, the slowest took {max(done):.1f} s")
        release.uninstall()
