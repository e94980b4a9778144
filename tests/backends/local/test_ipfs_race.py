"""Whole races of real kubo nodes against BitTorrent and HTTP, from command line to verdict."""

from __future__ import annotations

import subprocess
import sys

import pytest

import racing
from ipfs_swarms import needs_kubo
from swarmrace.network import namespaces

pytestmark = needs_kubo
REFUSALS = namespaces.refusals()
ENTRANTS = {
    "bittorrent": {"kind": "bittorrent"},
    "ipfs": {"kind": "ipfs", "pollSeconds": 0.02},
    "http": {"kind": "http"},
}


def completed(race, name, run_id, peers=3):
    """Return the leechers' records of a run in which everybody completed."""
    assert race.record(run_id)["status"] == "raced", race.record(run_id)
    found = [race.record(run_id, f"{name}-{peer}") for peer in range(peers)]
    assert [peer["outcome"] for peer in found] == ["completed"] * peers, found
    leechers = [peer for peer in found if peer["role"] == "leecher"]
    assert all(peer["transfer"]["verified"] is True for peer in leechers)
    return leechers


def verified(folder):
    """Check a results folder as a third party would: every record against its curves."""
    command = [sys.executable, "-m", "swarmrace", "verify", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kubo_races_bittorrent_and_http(tmp_path):
    entrants = {
        **ENTRANTS,
        "background": {"kind": "ipfs", "profile": "tuned", "download": "background"},
    }
    scenario = racing.scenario_file(tmp_path, entrants, fileSize="20MB")
    with racing.race(tmp_path, scenario) as race:
        assert race.process.wait(racing.PATIENCE_SECONDS) == 0, race.output()
        race.wait_until_nothing_is_left()
        runs = {path.name[4:]: path.name for path in (race.folder / "runs").iterdir()}
        assert set(runs) == set(entrants)
        for name, run_id in runs.items():
            for leecher in completed(race, name, run_id):
                transfer = leecher["transfer"]
                assert transfer["arrival"][-1]["percent"] == 100
                assert bool(transfer["delivery"]) == (name != "background")
                if entrants[name]["kind"] == "ipfs":
                    assert leecher["system"]["version"] == "kubo 0.43.1"
                    assert transfer["discoverySeconds"] <= transfer["arrival"][0]["seconds"]
                    assert transfer["arrival"][-1]["seconds"] <= transfer["doneSeconds"]
                    assert transfer["duplicateBytes"] is not None
                    assert transfer["connectionsAtStart"] >= 1
        verified(race.folder)
        verdict = race.output()
        assert "ipfs" in verdict
        assert "test double" not in verdict


@pytest.mark.skipif(bool(REFUSALS), reason="; ".join(REFUSALS))
def test_kubo_in_namespaces_sends_nothing_that_no_peer_receives(tmp_path):
    """Every peer has an interface of its own, and the network is closed: what nodes send to anybody
    else is missing at the other ends."""
    network = {"upload": "100Mbit"}
    scenario = racing.scenario_file(tmp_path, ENTRANTS, fileSize="10MB", network=network)
    with racing.race(tmp_path, scenario) as race:
        assert race.process.wait(racing.PATIENCE_SECONDS) == 0, race.output()
        race.wait_until_nothing_is_left()
        [run_id] = [path.name for path in (race.folder / "runs").glob("*-ipfs")]
        for leecher in completed(race, "ipfs", run_id):
            assert leecher["wireCurve"]["bytesUntilDone"] > 10_000_000
        verified(race.folder)
        assert "unaccounted" not in race.output()
