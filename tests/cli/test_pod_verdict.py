"""A verdict's pod that stores the results, with a real tracker and real peers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import made_sweeps
import racing
from by_hand_races import ByHand
from fake_cluster_api import cluster_api
from swarmrace.backends.kubernetes.pod_api import PodApi
from swarmrace.cli import pod_verdict
from swarmrace.errors import Exit, SweepError
from swarmrace.integrity import verify
from swarmrace.scenario.loading import load
from swarmrace.sweep import keeping, lock, state

JOB = "/apis/batch/v1/namespaces/races/jobs/lab-verdict"
SCALE = "/apis/apps/v1/namespaces/races/deployments/lab-tracker/scale"
PODS = "/api/v1/namespaces/races/pods"
MISSED = {"entrant": "slow", "within": 1.01, "of": "fast"}


@pytest.fixture
def race(tmp_path):
    entrants = {
        "fast": {"kind": "synthetic", "curve": [[0, 0], [0.2, 1]]},
        # It fails in every run, which no machine makes faster.
        "slow": {"kind": "synthetic", "curve": [[0, 0], [0.2, 1]], "faults": {1: "refused"}},
    }
    scenario = racing.scenario_file(
        tmp_path, entrants, swarmSize=2, repetitions=6, acceptance=[MISSED], fileSize="1kB"
    )
    made_sweeps.begin(tmp_path / "sweep", load(scenario))
    race = ByHand(tmp_path, scenario)
    yield race
    race.end()


@pytest.fixture
def api(tmp_path):
    (tmp_path / "account").mkdir()
    with cluster_api(tmp_path / "account") as server:
        server.objects |= {
            JOB: {"metadata": {"labels": {"a": "b"}}},
            SCALE: {"spec": {"replicas": 1}},
            PODS: {"items": []},
        }
        yield server


def keep(race, api, seconds=racing.PATIENCE_SECONDS):
    """Do what the pod does."""
    return pod_verdict.keep(
        pod_verdict.AwaitedRace(race.url, race.race_id, None, seconds),
        race.scenario,
        race.folder / "sweep",
        pod_verdict.CellObjects("lab-verdict", "lab-tracker", PodApi(api.account, api.address)),
    )


def word(api):
    return api.objects[JOB]["metadata"]["labels"]["swarmrace/verdict"]


def test_a_missed_acceptance_is_stored_and_labelled_and_is_no_failure(race, api, capsys):
    race.tracker()
    for entrant in ("fast", "slow"):
        for index in range(2):
            race.peer(entrant, index)
    assert keep(race, api) == Exit.OK, race.logs()
    found = state.read(race.folder / "sweep")
    (cell,) = found.cells
    attempt = cell.parts[0].counted
    assert attempt is not None, cell.parts[0].attempts
    assert verify.verify(attempt.folder).sound
    verdict = json.loads((attempt.folder / "verdict.json").read_text())
    assert [each["verdict"] for each in verdict["acceptance"]] == ["missed"]
    assert (attempt.folder / "pods.json").exists()
    assert word(api) == "missed"
    assert api.objects[SCALE]["spec"] == {"replicas": 0}
    assert "slow" in capsys.readouterr().out
    # A restarted pod only ends the tracker, and asks it nothing.
    race.end()
    asked = len(api.asked)
    assert keep(race, api) == Exit.OK
    assert [method for method, _ in api.asked[asked:]] == ["GET", "PATCH"]
    assert len(state.read(race.folder / "sweep").cells[0].parts[0].attempts) == 1


def test_a_tracker_that_never_starts_is_recorded_and_the_next_cell_can_race(race, api):
    assert keep(race, api, seconds=1.0) == Exit.OK
    (cell,) = state.read(race.folder / "sweep").cells
    assert [each.state for each in cell.parts[0].attempts] == ["ended"]
    assert "not over within 1 s" in cell.parts[0].attempts[0].why
    assert word(api) == "infrastructure"
    assert api.objects[SCALE]["spec"] == {"replicas": 0}


def test_while_it_waits_it_holds_the_sweeps_lock(race, api):
    command = [
        *(sys.executable, "-m", "swarmrace", "verdict", "--rendezvous", race.url),
        *("--scenario", race.scenario, "--sweep", race.folder / "sweep"),
    ]
    pod = subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE)
    try:
        race.tracker()
        driver = racing.wait_for(
            lambda: (d := lock.current_driver(race.folder / "sweep")) and d.cell and d, "the lock"
        )
        assert (driver.driver, driver.cell, driver.attempt) == ("argocd", "2x1-1kB", 1)
        for entrant in ("fast", "slow"):
            for index in range(2):
                race.peer(entrant, index)
        assert pod.wait(racing.PATIENCE_SECONDS) == Exit.OK, pod.stderr.read()
    finally:
        pod.kill()
        pod.communicate()
    assert lock.current_driver(race.folder / "sweep") is None
    assert state.read(race.folder / "sweep").missing == ()


def test_a_refused_api_call_costs_no_results(race, api, capsys):
    del api.objects[JOB], api.objects[SCALE]
    assert keep(race, api, seconds=1.0) == Exit.OK
    assert "forbidden" in capsys.readouterr().err
    assert len(state.read(race.folder / "sweep").failed) == 1


def test_a_claim_that_cannot_be_written_fails_the_job(race, api, monkeypatch):
    def full(self, incoming):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeping.Place, "keep", full)
    with pytest.raises(OSError, match="No space left"):
        keep(race, api, seconds=1.0)
    assert "swarmrace/verdict" not in api.objects[JOB]["metadata"]["labels"]
    assert api.objects[SCALE]["spec"] == {"replicas": 1}, "the tracker still has the results"


def test_it_does_not_race_beside_another_driver(race, api, monkeypatch):
    monkeypatch.setattr(pod_verdict, "_LOCK_PATIENCE_SECONDS", 0.0)
    with lock.held(race.folder / "sweep", "kubernetes", race.folder), pytest.raises(SweepError):
        keep(race, api)
