"""`make e2e-codex`: the Codex chart on the cluster, with the test double packed as an image.

The double has a node's command line, ports and entrypoint variables, so what is shown is the chart,
the sidecar's supervision and the runner; its speed means nothing.
"""

from __future__ import annotations

from pathlib import Path

import cluster
import pytest
from release import installed

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("image")]

RACE = {"swarmSize": 3, "seeders": 1, "fileSize": "20MB", "repetitions": 2}


@pytest.mark.parametrize("family", ["codex", "storage"])
@pytest.mark.parametrize("download", ["stream", "background"])
def test_nodes_race(tmp_path: Path, double: str, family: str, download: str) -> None:
    entrants = {
        "codex": {"kind": "codex", "family": family, "download": download},
        "bittorrent": {"kind": "bittorrent"},
    }
    shared = {
        "race": RACE,
        "entrants": entrants,
        "codex": {"families": {family: {"image": double}}},
    }
    with installed(tmp_path, "codex", {"global": shared}) as release:
        log = release.verdict(400)
        results = release.fetch(tmp_path / "results")
        for record in results.runs:
            assert record.result is not None
            assert record.result.status == "raced", record.result
            for peer in record.peers.values():
                assert peer.outcome == "completed", peer
                assert peer.role == "seeder" or (peer.transfer and peer.transfer.verified)
        raced = [peer for record in results.runs for peer in record.peers.values()]
        nodes = [peer.system for peer in raced if peer.entrant == "codex"]
        assert {node["family"] for node in nodes} == {family}
        assert "double" in log, "a raced double is said to be one"
        cluster.until(
            "every Job completes",
            120,
            lambda: all(
                cluster.ended(job) == "Complete"
                for job in cluster.get("jobs", "-n", release.namespace)
            ),
        )
        release.uninstall()
