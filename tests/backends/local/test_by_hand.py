"""Races whose tracker and peers are started one by one, as in pods."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess

import pytest

import racing
from by_hand_races import ByHand

OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"]
can_mount = (
    shutil.which("unshare") is not None
    and subprocess.run(
        [*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    ).returncode
    == 0
)


@pytest.fixture
def by_hand(tmp_path):
    made = []

    def make(scenario):
        made.append(ByHand(tmp_path, scenario))
        return made[-1]

    yield make
    for race in made:
        race.end()


@pytest.mark.skipif(
    not can_mount, reason="NOT TESTED: unshare isn't permitted to mount a small tmpfs here"
)
def test_a_leechers_disk_that_is_too_small_is_the_infrastructures_fault(tmp_path, by_hand):
    entrants = {
        "bt": {"kind": "bittorrent", "profile": "tuned"},
        "web": {"kind": "http", "profile": "tuned"},
    }
    scenario = racing.scenario_file(tmp_path, entrants, fileSize="8MB", rotateSeeders=False)
    race = by_hand(scenario)
    race.tracker()
    for entrant in entrants:
        for index in range(3):
            small = f'mount -t tmpfs -o size=3m none {tmp_path}/{entrant}-{index} && exec "$@"'
            race.peer(entrant, index, [*OWN_MOUNTS, "sh", "-ec", small, "sh"] if index == 2 else ())
    for name, process in race.processes.items():
        if name != "tracker":
            assert process.wait(racing.PATIENCE_SECONDS) == 0, race.logs()
    runs = sorted(path.name for path in (race.data / "runs").iterdir())
    assert len(runs) == 2
    for run_id in runs:
        entrant = run_id.partition("-")[2]
        assert race.record(run_id)["status"] == "aborted"
        full = race.record(run_id, f"{entrant}-2")
        assert (full["outcome"], full["failure"]["reason"]) == ("failed", "infrastructure"), full
        assert "too small" in full["failure"]["detail"]
    tracker = race.processes["tracker"]
    tracker.send_signal(signal.SIGTERM)
    assert tracker.wait(racing.PATIENCE_SECONDS) == 0
    info = json.loads((race.data / "race.json").read_text())
    assert info["status"] == "stopped"  # two runs in a row
    assert "no space left" in info["stoppedBy"]


def test_sigterm_ends_a_peer_with_143_and_the_others_continue(tmp_path, by_hand):
    slow = {"kind": "synthetic", "curve": [[0, 0], [15, 1]]}
    race = by_hand(racing.scenario_file(tmp_path, {"a": slow}, swarmSize=4, rotateSeeders=False))
    race.tracker()
    peers = [race.peer("a", index) for index in range(4)]
    racing.wait_for(lambda: (race.data / "runs" / "000-a").exists() or _racing(race), "the race")
    peers[3].send_signal(signal.SIGTERM)
    assert peers[3].wait(racing.PATIENCE_SECONDS) == 143, race.logs()
    assert [peer.wait(racing.PATIENCE_SECONDS) for peer in peers[:3]] == [0, 0, 0], race.logs()
    assert race.record("000-a", "a-3")["failure"]["reason"] == "peer lost"
    assert race.record("000-a", "a-1")["outcome"] == "completed"


def test_a_peer_of_another_race_is_refused(tmp_path, by_hand):
    race = by_hand(racing.scenario_file(tmp_path, {"a": {"kind": "synthetic"}}))
    race.tracker()
    stranger = race.peer("a", 0, race_id="0123456789")
    assert stranger.wait(racing.PATIENCE_SECONDS) == 9, race.logs()
    assert f"found race {race.race_id}" in (race.folder / "a-0.log").read_text()


def _racing(race):
    import httpx

    try:
        status = httpx.get(f"{race.url}/{race.race_id}/status", timeout=60).json()
    except httpx.HTTPError:
        return False
    return any(peer["stage"] == "race" for peer in status["peers"])
