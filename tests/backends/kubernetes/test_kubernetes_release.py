"""When a release's verdict is there."""

from __future__ import annotations

import pytest

from swarmrace.backends.kubernetes.release import _end_of


def job(*types: str, status: str = "True") -> dict:
    return {"kind": "Job", "status": {"conditions": [{"type": t, "status": status} for t in types]}}


def pod(**state: dict) -> dict:
    return {"kind": "Pod", "status": {"containerStatuses": [{"name": "verdict", "state": state}]}}


@pytest.mark.parametrize(
    ("item", "ended"),
    [
        ({"kind": "Job", "status": {}}, ""),
        (job("SuccessCriteriaMet"), ""),
        (job("SuccessCriteriaMet", "Complete"), "Complete"),
        (job("FailureTarget", "Failed"), "Failed"),
        (job("Complete", status="False"), ""),
        ({"kind": "Pod", "status": {"phase": "Pending"}}, ""),
        (pod(running={"startedAt": "2026-11-28T08:00:00Z"}), ""),
        (pod(terminated={"exitCode": 0}), "exit code 0"),
        (pod(terminated={"exitCode": 5}), "exit code 5"),
    ],
)
def test_a_verdict_is_there_once_its_pod_or_job_has_ended(item, ended):
    assert _end_of(item) == ended


@pytest.mark.parametrize("code", [137, 143])
def test_a_lost_pod_is_no_verdict_because_its_job_replaces_it(code):
    assert _end_of(pod(terminated={"exitCode": code})) == ""
