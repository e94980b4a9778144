"""The exit code of a verdict."""

from __future__ import annotations

import json

import pytest

from made_results import HTTP, INF, build, scenario_of, verdict_between, verdict_of
from swarmrace.errors import Exit, Reason
from swarmrace.recording.records import Failure
from swarmrace.results import folder as results
from swarmrace.verdict import compute

BOTH = {"x": HTTP, "y": HTTP}
ACCEPTANCE = [{"entrant": "x", "within": 2, "of": "y"}]
GOOD, ONE_FAILED, ALL_FAILED = [1.0, 2.0, 3.0], [1.0, 2.0, INF], [INF, INF, INF]


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ([GOOD, GOOD, GOOD], Exit.OK),
        ([GOOD, ONE_FAILED, GOOD], Exit.TRANSFERS_FAILED),
        ([GOOD, ALL_FAILED, GOOD], Exit.TRANSFERS_FAILED),
        ([GOOD, None, GOOD], Exit.OK),
        ([ALL_FAILED] * 3, Exit.RACE),
        ([None] * 3, Exit.RACE),
    ],
)
def test_without_an_acceptance_failed_transfers_are_10(tmp_path, times, code):
    assert verdict_of(tmp_path, {"x": times}).exit == code


def test_with_an_acceptance_only_the_acceptance_decides(tmp_path):
    found = verdict_of(
        tmp_path,
        {"x": [GOOD, ONE_FAILED, GOOD], "y": [GOOD] * 3},
        race={"acceptance": ACCEPTANCE},
        entrants={"x": HTTP, "y": HTTP},
    )
    assert found.exit in (Exit.ACCEPTANCE_UNDECIDED, Exit.ACCEPTANCE_MISSED, Exit.OK)


@pytest.mark.parametrize("acceptance", [[], [{"entrant": "x", "within": 2, "of": "y"}]])
def test_a_race_that_the_infrastructure_stopped_is_11(tmp_path, acceptance):
    scenario = scenario_of({"x": HTTP, "y": HTTP}, acceptance=acceptance)
    folder = build(tmp_path, scenario, {name: [GOOD, None, None] for name in "xy"})
    path = folder / "race.json"
    stopped = {"status": "stopped", "stoppedBy": "no space left"}
    path.write_text(json.dumps(json.loads(path.read_text()) | stopped))
    found = compute(results.load(folder))
    assert found.exit == Exit.INFRASTRUCTURE
    assert any("no space left" in flag.text for flag in found.flags)


def test_a_race_that_lost_every_run_to_the_infrastructure_is_11_too(tmp_path):
    failure = Failure(reason=Reason.INFRASTRUCTURE, stage="race", detail="no space left")

    def struck(run):
        return run.model_copy(update={"status": "aborted", "failure": failure})

    found = verdict_of(tmp_path, {"x": [GOOD] * 3}, run=struck)
    assert {run.status for run in found.runs} == {"missing"}
    assert found.exit == Exit.INFRASTRUCTURE


@pytest.mark.parametrize("others", [GOOD, ONE_FAILED, ALL_FAILED])
def test_an_entrant_without_a_single_run_is_no_usable_result(tmp_path, others):
    found = verdict_between(tmp_path, BOTH, {"x": [None] * 3, "y": [others] * 3})
    assert found.without_runs == ["x"]
    assert found.exit == Exit.RACE


def test_with_one_run_of_each_entrant_there_is_a_result(tmp_path):
    found = verdict_between(tmp_path, BOTH, {"x": [None, None, GOOD], "y": [GOOD, None, None]})
    assert found.without_runs == []
    assert found.exit == Exit.OK


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.INFRASTRUCTURE, Exit.INFRASTRUCTURE),
        (Reason.TRACKER_LOST, Exit.RACE),
        (Reason.PEER_LOST, Exit.RACE),
    ],
)
def test_an_entrant_that_lost_every_run_to_the_infrastructure_is_11(tmp_path, reason, code):
    failure = Failure(reason=reason, stage="race", detail="no space left")

    def struck(run):
        if run.entrant == "y":
            return run
        return run.model_copy(update={"status": "aborted", "failure": failure})

    times = {"x": [GOOD] * 3, "y": [GOOD] * 3}
    found = verdict_between(tmp_path, BOTH, times, folder={"run": struck})
    assert found.without_runs == ["x"]
    assert found.exit == code


def test_an_acceptance_over_an_entrant_without_runs_is_undecided(tmp_path):
    found = verdict_of(
        tmp_path,
        {"x": [None] * 3, "y": [GOOD] * 3},
        race={"acceptance": ACCEPTANCE},
        entrants={"x": HTTP, "y": HTTP},
    )
    assert found.exit == Exit.ACCEPTANCE_UNDECIDED


def test_a_leecher_that_each_run_lost_to_the_infrastructure_counts_too(tmp_path):
    failure = Failure(reason=Reason.INFRASTRUCTURE, stage="race", detail="no space left")

    def struck(peer):
        if peer.entrant == "y" or peer.role == "seeder":
            return peer
        return peer.model_copy(update={"outcome": "failed", "failure": failure})

    times = {"x": [GOOD] * 3, "y": [GOOD] * 3}
    found = verdict_between(tmp_path, BOTH, times, folder={"peer": struck})
    assert all(run.reason.startswith("leecher") for run in found.runs if run.entrant == "x")
    assert found.exit == Exit.INFRASTRUCTURE
