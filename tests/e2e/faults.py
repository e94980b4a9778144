"""`make e2e-faults`: what goes wrong on a cluster ends as a recorded result or a clear refusal.

Each test has a release of its own, small and quick, and ends with nothing left behind.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import cluster
import pytest
import yaml
from cluster import call, get, say
from release import Release, installed, release_of

from swarmrace.errors import Reason
from swarmrace.results.folder import Results, RunRecord

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("image")]

RACE = {
    "swarmSize": 3,
    "seeders": 1,
    "fileSize": "50MB",
    "repetitions": 2,
    "rotateSeeders": False,
    # Slow enough that there is a middle of a run: 50 MB take 8 s at least.
    "network": {"upload": "50Mbit"},
    "timeouts": {"assembleSeconds": 60, "heartbeatSeconds": 10},
}
ENTRANTS = {name: {"kind": name, "profile": "tuned"} for name in ("bittorrent", "http")}


def values(**changes: Any) -> dict[str, Any]:
    return {"global": {"race": RACE, "entrants": ENTRANTS, **changes}}


def of(results: Results, entrant: str) -> list[RunRecord]:
    return [record for record in results.runs if record.run.entrant == entrant]


def whole(records: list[RunRecord]) -> bool:
    """Whether every run was raced and every transfer verified."""
    return all(
        record.result is not None
        and record.result.status == "raced"
        and len(record.peers) == RACE["swarmSize"]
        and all(peer.outcome == "completed" for peer in record.peers.values())
        for record in records
    )


def pods(release: Release, component: str, **labels: Any) -> list[str]:
    selector = ",".join(
        [f"app.kubernetes.io/component={component}", *(f"{k}={v}" for k, v in labels.items())]
    )
    return [pod["metadata"]["name"] for pod in get("pods", "-n", release.namespace, "-l", selector)]


def delete_pod(release: Release, name: str) -> None:
    call("kubectl", "-n", release.namespace, "delete", "pod", name, "--wait=false")
    say(f"deleted pod {name}")


def jobs(release: Release) -> dict[str, str | None]:
    """How each entrant's Job ended, by entrant, once all have."""

    def ended() -> dict[str, str | None] | None:
        found = {
            job["metadata"]["labels"]["swarmrace/entrant"]: cluster.ended(job)
            for job in get("jobs", "-n", release.namespace, "-l", "swarmrace/entrant")
        }
        return found if found and all(found.values()) else None

    return cluster.until("every entrant's Job ends", 120, ended)


def test_a_peer_whose_pod_is_deleted_is_a_lost_peer(tmp_path: Path) -> None:
    with installed(tmp_path, "peer", values()) as release:
        first = release.racing(0)["run"]
        victim = next(
            name
            for name in pods(release, "peer", **{"swarmrace/entrant": first["entrant"]})
            if f"-{RACE['swarmSize'] - 1}-" in name
        )
        delete_pod(release, victim)
        log = release.verdict(300, "Failed")  # 10: a transfer failed
        results = release.fetch(tmp_path / "results")
        one, two = of(results, first["entrant"])
        lost = one.peers[RACE["swarmSize"] - 1]
        assert lost.failure is not None
        assert lost.failure.reason is Reason.PEER_LOST
        others = [peer for index, peer in one.peers.items() if index != RACE["swarmSize"] - 1]
        assert {peer.outcome for peer in others} == {"completed"}, "the others ended normally"
        assert two.result is not None
        assert two.result.status == "not raced"
        assert two.result.failure is not None
        assert two.result.failure.reason is Reason.NOT_RUN
        (other,) = set(ENTRANTS) - {first["entrant"]}
        assert whole(of(results, other)), "the other entrant went on"
        assert "peer lost" in log
        assert jobs(release) == {first["entrant"]: "Failed", other: "Complete"}
        release.uninstall()


def test_the_race_goes_on_after_the_trackers_pod_is_deleted(tmp_path: Path) -> None:
    with installed(tmp_path, "tracker", values()) as release:
        release.racing(1)
        (tracker,) = pods(release, "tracker")
        delete_pod(release, tracker)
        log = release.verdict(300)
        results = release.fetch(tmp_path / "results")
        assert results.info.rendezvous_restarts == 1
        first, lost, *later = results.runs
        assert lost.result is not None
        assert lost.result.failure is not None
        assert lost.result.failure.reason is Reason.TRACKER_LOST
        assert whole([first, *later]), "nothing finished is missing, and the race went on"
        assert "tracker lost" in log
        assert set(jobs(release).values()) == {"Complete"}
        release.uninstall()


def test_an_image_that_cannot_be_pulled_costs_its_entrant_alone(tmp_path: Path) -> None:
    entrants = {
        "absent": {"kind": "codex", "image": "localhost/there-is-no-such-image:1"},
        "http": ENTRANTS["http"],
    }
    race = {**RACE, "timeouts": {"assembleSeconds": 25}}
    with installed(tmp_path, "image", values(entrants=entrants, race=race)) as release:
        release.verdict(300)
        assert_not_run(release.fetch(tmp_path / "results"), "absent", "http")
        release.uninstall()


def test_a_pod_that_cannot_be_scheduled_costs_its_entrant_alone(tmp_path: Path) -> None:
    """A peer that wants a whole node of its own, on a cluster with fewer nodes than peers."""
    nodes = len(get("nodes"))
    race = {**RACE, "swarmSize": nodes + 2, "timeouts": {"assembleSeconds": 25}}
    where = {"spread": {"onePerNode": True}}
    with installed(tmp_path, "pending", values(race=race, peers=where)) as release:
        log = release.verdict(300, "Failed")  # 7: nothing was raced
        results = release.fetch(tmp_path / "results")
        for record in results.runs:
            assert record.result is not None
            assert record.result.failure is not None
            assert record.result.failure.reason is Reason.NOT_RUN
            assert "lost" in record.result.failure.detail
        assert "not run" in log
        release.uninstall()


def test_conditions_that_the_kernel_cannot_apply_are_said_by_name(tmp_path: Path) -> None:
    """Delay needs netem. Where the kernel has it, the same scenario is raced."""
    race = {**RACE, "network": {"delayMilliseconds": 5}, "repetitions": 1}
    with installed(tmp_path, "netem", values(race=race)) as release:
        release.verdict(400, "Complete", "Failed")
        results = release.fetch(tmp_path / "results")
        for record in results.runs:
            assert record.result is not None
            if record.result.status == "raced":
                assert whole([record])
                continue
            assert record.result.failure is not None
            assert record.result.failure.reason is Reason.NOT_RUN
            assert "netem" in record.result.failure.detail
        say(f"delay of 5 ms: {[record.result and record.result.status for record in results.runs]}")
        release.uninstall()


def assert_not_run(results: Results, entrant: str, other: str) -> None:
    """Every run of `entrant` says why it was not raced; `other` raced all of its own."""
    for record in of(results, entrant):
        assert record.result is not None
        assert record.result.status == "not raced"
        assert record.result.failure is not None
        assert record.result.failure.reason is Reason.NOT_RUN
    assert whole(of(results, other))


FAULTY = {
    "bittorrent": {"kind": "bittorrent", "pieceSize": "20KiB"},
    "http": {"kind": "http"},
}
"""What no schema and no template sees: it takes the model."""
SAID = "global.entrants.bittorrent.pieceSize: found 20480, expected a power of two"
LINGERS = "monitoring.lingerSeconds: found 3, expected at least 9"


def test_faulty_values_are_said_by_all_who_are_asked(tmp_path: Path) -> None:
    """On install the tracker judges, stays up, and answers with all faults."""
    given = {**values(entrants=FAULTY), "monitoring": {"enabled": True, "lingerSeconds": 3}}
    with installed(tmp_path, "faulty", given) as release:
        log = release.verdict(120, "Failed")
        assert SAID in log
        assert LINGERS in log
        assert set(jobs(release).values()) == {"Failed"}
        for pod in get("pods", "-n", release.namespace, "-l", "swarmrace/entrant"):
            status = pod["status"]
            containers = [*status["containerStatuses"], *status.get("initContainerStatuses", [])]
            ended = [each["state"].get("terminated") for each in containers]
            # The first container, which sets the rates, ends before the runner begins.
            assert {end["exitCode"] for end in ended if end} == {3}, pod["metadata"]["name"]
        (tracker,) = get("deployments", "-n", release.namespace)
        assert tracker["status"].get("readyReplicas") == 1, "it stays up"
        command = ["helm", "test", release.name, "-n", release.namespace, "--timeout", "120s"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150)
        assert done.returncode != 0
        assert SAID in done.stdout + done.stderr
        release.uninstall()


def test_a_faulty_upgrade_leaves_the_race_alone(tmp_path: Path) -> None:
    with installed(tmp_path, "upgrade", values()) as release:
        release.racing(0)
        before = objects(release)
        wrong = tmp_path / "wrong.yaml"
        wrong.write_text(yaml.safe_dump({"global": {"entrants": FAULTY}}))
        command = release.upgrade(*release.files, wrong)
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.returncode != 0
        assert SAID in done.stdout + done.stderr
        assert objects(release) == before, "nothing was touched, and nothing is left of the hook"
        place = tmp_path / "place.yaml"
        place.write_text(yaml.safe_dump({"verdict": {"labels": {"moved": "yes"}}}))
        call(*release.upgrade(*release.files, place))
        after = objects(release)
        changed = {name.rpartition("-")[0] for name in before.keys() ^ after.keys()}
        assert len(changed) == 1, "another verdict's Job, which can't be changed"
        assert next(iter(changed)).endswith("-verdict")
        log = release.verdict(300)
        assert whole(list(release.fetch(tmp_path / "results").runs)), log
        release.uninstall()


def objects(release: Release) -> dict[str, str]:
    """Uid by name of all that a race is made of."""
    kinds = "jobs,deployments,services,configmaps,secrets,persistentvolumeclaims,networkpolicies"
    return {
        f"{thing['kind']} {thing['metadata']['name']}": thing["metadata"]["uid"]
        for thing in get(kinds, "-n", release.namespace)
        if not thing["metadata"]["name"].startswith("sh.helm.release.")
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seeders": 3}, "global.race.seeders"),
        ({"swarmSzie": 4}, "swarmSzie"),
        ({"matrix": {"swarmSize": [2, 3]}}, "global.race.matrix"),
    ],
)
def test_what_cannot_be_raced_is_refused(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values(race={**RACE, **changes})))
    with release_of(tmp_path, "refused") as release:
        done = subprocess.run(release.command(path), capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        assert named in done.stderr
        assert cluster.left_behind(release.namespace) == []
