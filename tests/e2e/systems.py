"""`make e2e-systems`: real programs of other projects beside the runners, by values alone.

kubo, Transmission and any program (kind `exec`) race in the generic sidecar of the chart `swarm`,
against BitTorrent and HTTP; an `exec` program races in the runner's image too. `make systems` must
have built kubo.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from release import installed

from swarmrace.results.folder import Results

pytestmark = [pytest.mark.timeout(1500), pytest.mark.usefixtures("image")]

RACE = {"swarmSize": 3, "seeders": 1, "fileSize": "20MB", "repetitions": 2}
CONNECT = 'exec "$@" <"$SUPERVISE_CONTROL/in" >"$SUPERVISE_CONTROL/out"'
"""A sidecar's command for `exec` (docs/exec.md)."""


def assert_all_verified(results: Results) -> None:
    """Assert that every run was raced and that each of its transfers is verified."""
    for record in results.runs:
        assert record.result is not None
        assert record.result.status == "raced", record.result
        for peer in record.peers.values():
            assert peer.outcome == "completed", peer
            assert peer.role == "seeder" or (peer.transfer and peer.transfer.verified)


@pytest.mark.parametrize("download", ["stream", "background"])
def test_kubo_races_beside_the_runners(tmp_path: Path, kubo: str, download: str) -> None:
    entrants = {
        "ipfs": {"kind": "ipfs", "download": download},
        "bittorrent": {"kind": "bittorrent"},
        "http": {"kind": "http"},
    }
    shared = {"race": RACE, "entrants": entrants, "sidecars": {"ipfs": {"image": kubo}}}
    with installed(tmp_path, "ipfs", {"global": shared}) as release:
        log = release.verdict(1000)
        results = release.fetch(tmp_path / "results")
        assert {trial.outcome for trial in results.info.trials.values()} == {"started"}
        assert_all_verified(results)
        raced = [peer for record in results.runs for peer in record.peers.values()]
        nodes = [peer for peer in raced if peer.entrant == "ipfs"]
        for peer in nodes:
            assert peer.system["version"] == "kubo 0.43.1"
            assert peer.system["settings"]["node"] == "SupervisedNode"
            assert peer.system["settings"]["config"]["Routing.Type"] == "dht"
        assert {peer.limits.cpu_cores for peer in raced if peer.limits} == {2.0}
        assert "unequal resources" not in log
        assert "double" not in log
        release.uninstall()


def test_a_node_that_refuses_its_settings_never_started_and_the_others_race(
    tmp_path: Path, kubo: str
) -> None:
    entrants = {
        "broken": {"kind": "ipfs", "settings": {"Internal.NoSuchThing": 1}},
        "http": {"kind": "http"},
    }
    race = {**RACE, "repetitions": 1, "timeouts": {"prepareSeconds": 120}}
    shared = {"race": race, "entrants": entrants, "sidecars": {"ipfs": {"image": kubo}}}
    with installed(tmp_path, "refuses", {"global": shared}) as release:
        log = release.verdict(900, "Failed")  # 4: a program never started
        results = release.fetch(tmp_path / "results")
        assert results.info.trials["broken"].outcome == "never started"
        assert "NoSuchThing not found" in log, "the node's last words"
        raced = [record for record in results.runs if record.run.entrant == "http"]
        assert [record.result.status for record in raced if record.result] == ["raced"]
        release.uninstall()


def test_transmission_and_any_program_race_beside_the_runners(
    tmp_path: Path, transmission: str, copy: str
) -> None:
    entrants = {
        "transmission": {"kind": "transmission"},
        "copy": {
            "kind": "exec",
            "command": ["python3", "/usr/local/bin/tcp_copy.py"],
            "inOrder": True,
        },
        "bittorrent": {"kind": "bittorrent"},
    }
    sidecars = {
        "transmission": {
            "image": transmission,
            "command": ["transmission-daemon"],
            "apiPort": 9091,
        },
        "exec": {"image": copy, "command": ["/bin/sh", "-c", CONNECT, "exec"]},
    }
    shared = {"race": RACE, "entrants": entrants, "sidecars": sidecars}
    with installed(tmp_path, "programs", {"global": shared}) as release:
        log = release.verdict(1000)
        results = release.fetch(tmp_path / "results")
        assert {trial.outcome for trial in results.info.trials.values()} == {"started"}
        assert_all_verified(results)
        raced = [peer for record in results.runs for peer in record.peers.values()]
        versions = {peer.entrant: peer.system["version"] for peer in raced}
        assert versions["transmission"].startswith("Transmission 3.00")
        assert versions["copy"] == "tcp_copy 1.0"
        for peer in raced:
            assert peer.usage is not None, "the node's CPU and memory are seen from the runner"
            if peer.entrant == "copy" and peer.role == "leecher":
                assert peer.counters["line_wait_seconds"] > 0
        assert "unequal resources" not in log
        assert "double" not in log
        release.uninstall()


def test_a_program_in_the_runners_image_races_and_one_that_ends_at_once_never_started(
    tmp_path: Path, runner_with_copy: str
) -> None:
    entrants = {
        "copy": {"kind": "exec", "command": ["python3", "/opt/tcp_copy.py"], "inOrder": True},
        "broken": {"kind": "exec", "command": ["sh", "-c", "echo no licence found >&2; exit 3"]},
        "http": {"kind": "http"},
    }
    repository, _, tag = runner_with_copy.rpartition(":")
    race = {**RACE, "repetitions": 1, "timeouts": {"prepareSeconds": 120}}
    shared = {
        "image": {"repository": repository, "tag": tag},
        "race": race,
        "entrants": entrants,
    }
    with installed(tmp_path, "inside", {"global": shared}) as release:
        log = release.verdict(900, "Failed")  # 4: a program never started
        results = release.fetch(tmp_path / "results")
        outcomes = {name: trial.outcome for name, trial in results.info.trials.items()}
        assert outcomes["broken"] == "never started"
        assert "no licence found" in log, "the program's last words"
        raced = [record for record in results.runs if record.run.entrant != "broken"]
        assert {record.run.entrant for record in raced} == {"copy", "http"}
        for record in raced:
            assert record.result is not None
            assert record.result.status == "raced", record.result
            assert all(peer.outcome == "completed" for peer in record.peers.values())
        release.uninstall()
