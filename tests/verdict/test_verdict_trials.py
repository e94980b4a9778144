"""A program that never started is neither slower nor faster than others."""

from __future__ import annotations

import json

from made_results import BT, CODEX, HTTP, build, flat, scenario_of
from swarmrace.errors import Exit, Reason
from swarmrace.recording.records import Failure, Trial
from swarmrace.results import folder as results
from swarmrace.verdict import compute
from swarmrace.verdict.render import text

WHY = Failure(reason=Reason.REFUSED, stage="prepare", detail="it exited 1; output: no port")


def verdict(tmp_path, entrants, times, **race):
    """Return the verdict of a race in which `c` never started."""
    made = scenario_of(entrants, **race)

    def skipped(run):
        if run.entrant != "c":
            return run
        detail = "c never started: refused in prepare: it exited 1"
        failure = Failure(reason=Reason.NOT_RUN, stage="wait", detail=detail)
        return run.model_copy(update={"status": "not raced", "failure": failure})

    folder = build(tmp_path, made, times, run=skipped)
    head = json.loads((folder / "race.json").read_text())
    trial = Trial(outcome="never started", tried="c", program="0", failure=WHY)
    head["trials"] = {"c": trial.model_dump(mode="json")}
    (folder / "race.json").write_text(json.dumps(head))
    return compute(results.load(folder))


def test_it_comes_first_and_has_no_ratio(tmp_path):
    found = verdict(tmp_path, {"c": CODEX, "bt": BT}, {"c": [None] * 3, "bt": flat(1, 2, 3)})
    assert found.headline == [
        "c (stock) never started: refused in prepare: it exited 1; output: no port"
    ]
    (comparison,) = found.comparisons
    assert comparison.t100 is None
    assert comparison.why_not == "c never started"
    assert "slower in" not in text(found)
    assert {run.status for run in found.runs if run.entrant == "c"} == {"missing"}
    assert found.entrants["c"].never_started
    assert found.exit is Exit.UNAVAILABLE


def test_the_other_entrants_are_still_compared(tmp_path):
    times = {"c": [None] * 3, "bt": flat(1, 2, 3), "web": flat(1, 1, 1)}
    found = verdict(tmp_path, {"c": CODEX, "bt": BT, "web": HTTP}, times)
    assert found.headline[0].startswith("c (stock) never started")
    assert any("bt (stock) took" in line for line in found.headline)


def test_an_acceptance_of_it_is_undecided(tmp_path):
    acceptance = [{"entrant": "c", "within": 1.2, "of": "bt"}]
    times = {"c": [None] * 3, "bt": flat(1, 2, 3)}
    found = verdict(tmp_path, {"c": CODEX, "bt": BT}, times, acceptance=acceptance)
    assert found.acceptance[0].verdict == "undecided"
    assert "c never started" in found.acceptance[0].text
    assert found.exit is Exit.ACCEPTANCE_UNDECIDED
