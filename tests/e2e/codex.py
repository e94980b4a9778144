"""`make e2e-codex`: the Codex chart on the cluster, with the test double as its image.

The double has a node's command line, ports and entrypoint variables, so this tests the chart, the
sidecar's supervision and the runner; its speed means nothing.
"""

from __future__ import annotations

from pathlib import Path

import cluster
import pytest
from release import installed

pytestmark = [pytest.mark.timeout(1200), pytest.mark.usefixtures("image")]

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
        "sidecars": {family: {"image": double}},
    }
    with installed(tmp_path, "codex", {"global": shared}) as release:
        log = release.verdict(900)
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
        cpus = {peer.limits.cpu_cores for peer in raced if peer.limits}
        assert cpus == {2.0}, "node and runner together have the CPUs of any other peer"
        assert "unequal resources" not in log
        assert "double" in log, "the verdict marks the double as one"
        cluster.until(
            "every Job completes",
            600,
            lambda: all(
                cluster.ended(job) == "Complete"
                for job in cluster.get("jobs", "-n", release.namespace)
            ),
        )
        release.uninstall()


def test_a_node_that_exits_at_once_never_started_and_the_other_entrants_race(
    tmp_path: Path, double: str
) -> None:
    entrants = {
        "broken": {"kind": "codex", "arguments": ["--no-such-option"]},
        "http": {"kind": "http"},
    }
    race = {**RACE, "repetitions": 1, "timeouts": {"prepareSeconds": 120}}
    sidecars = {"codex": {"image": double}}
    shared = {"race": race, "entrants": entrants, "sidecars": sidecars}
    with installed(tmp_path, "exits", {"global": shared}) as release:
        log = release.verdict(900, "Failed")  # 4: a program never started
        results = release.fetch(tmp_path / "results")
        trials = results.info.trials
        assert {name: trial.outcome for name, trial in trials.items()} == {
            "broken": "never started",
            "http": "started",
        }
        failure = trials["broken"].failure
        assert failure is not None
        assert "no-such-option" in failure.detail, "the node's last words"
        assert "broken never started" in log
        assert "no-such-option" in log
        for record in results.runs:
            assert record.result is not None
            if record.run.entrant == "http":
                assert record.result.status == "raced", record.result
                assert {peer.outcome for peer in record.peers.values()} == {"completed"}
            else:
                assert record.result.status == "not raced"
        release.uninstall()
