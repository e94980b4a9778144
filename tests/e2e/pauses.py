"""What happens between the verdict of one cell and the first transfer of the next, part by part."""

from __future__ import annotations

import itertools
from typing import Any

from cluster import seconds_of, states
from verdict_jobs import VerdictJob

from swarmrace.results.folder import Results, RunRecord

Instants = dict[str, float]
"""Unix seconds by what happened then. Kubernetes has them in whole seconds."""


def first_transfer(results: Results) -> float:
    """Return when a race's first transfer started: at the release of the first run's `ready`."""
    run = results.runs[0].result
    assert run is not None
    before = ("prepared", "first", "published", "ready")
    return seconds_of(run.opened_utc) + sum(run.phases[barrier] for barrier in before)


def last_end(results: Results) -> float:
    """Return when a race's last run ended."""
    return max(_end(record) for record in results.runs)


def _end(record: RunRecord) -> float:
    assert record.result is not None
    return seconds_of(record.result.opened_utc) + record.result.wall_seconds


def of_race(results: Results) -> Instants:
    """Return the instants of a race's start that its results record."""
    run = results.runs[0].result
    assert run is not None
    return {
        "its tracker runs": seconds_of(results.info.created_utc),
        "its first run is opened": seconds_of(run.opened_utc),
        "its first transfer": first_transfer(results),
    }


def between(before: VerdictJob, after: VerdictJob, raced: Results) -> Instants:
    """Return the instants from a cell's verdict to the next one's first transfer."""
    made = {"its Jobs are made": after.made}
    return {"a cell's verdict is complete": before.complete, **made, **of_race(raced)}


def of_application(application: dict[str, Any]) -> Instants:
    """Return the instants of an Application's beginning that Argo CD records."""
    found = {"its Application is made": seconds_of(application["metadata"]["creationTimestamp"])}
    for deployed in application["status"].get("history") or ():
        if began := deployed.get("deployStartedAt"):
            found["its sync begins"] = seconds_of(began)
    return found


def of_health(application: dict[str, Any]) -> Instants:
    """Return when Argo CD found an Application healthy."""
    since = (application["status"].get("health") or {}).get("lastTransitionTime")
    return {"Argo CD sees it healthy": seconds_of(since)} if since else {}


def of_verdict(job: dict[str, Any], pods: list[dict[str, Any]]) -> Instants:
    """Return when a verdict's container ended, and when its Job was complete."""
    ends = [seconds_of(end["finishedAt"]) for end in states(pods, "terminated")]
    found = {"the verdict's container ends": max(ends)} if ends else {}
    return found | {"its Job is complete": seconds_of(job["status"]["completionTime"])}


def of_peers(jobs: list[dict[str, Any]], pods: list[dict[str, Any]]) -> Instants:
    """Return when a race's Jobs were made, and when the last container of a peer started."""
    made = [seconds_of(job["metadata"]["creationTimestamp"]) for job in jobs]
    starts = [
        seconds_of(state["startedAt"])
        for kind in ("running", "terminated")
        for state in states(pods, kind)
    ]
    found = {"its Jobs are made": min(made)} if made else {}
    return found | ({"its last peer's container starts": max(starts)} if starts else {})


def describe(instants: Instants) -> str:
    """Return the seconds between successive instants: `0 verdict; + 2 its Job; + 1 …`."""
    ordered = sorted(instants.items(), key=lambda item: item[1])
    parts = [f"0 {ordered[0][0]}"]
    for (_, before), (name, at) in itertools.pairwise(ordered):
        parts.append(f"+ {at - before:.1f} {name}")
    return "; ".join(parts)
