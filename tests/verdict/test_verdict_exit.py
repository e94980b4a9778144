"""The exit code that a verdict calls for."""

from __future__ import annotations

import json

import pytest

from made_results import HTTP, INF, build, scenario_of, verdict_of
from swarmrace.errors import Exit, Reason
from swarmrace.recording.records import Failure
from swarmrace.results import folder as results
from swarmrace.verdict import compute

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


def test_with_an_acceptance_it_decides_alone(tmp_path):
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


def test_a_race_of_which_the_machine_took_every_run_is_11_too(tmp_path):
    failure = Failure(reason=Reason.INFRASTRUCTURE, stage="race", detail="no space left")

    def struck(run):
        return run.model_copy(update={"status": "aborted", "failure": failure})

    found = verdict_of(tmp_path, {"x": [GOOD] * 3}, run=struck)
    assert {run.status for run in found.runs} == {"missing"}
    assert found.exit == Exit.INFRASTRUCTURE
