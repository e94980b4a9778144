"""`make e2e-faults`: every fault on a cluster ends in a recorded result or a clear refusal.

Each test has its own small, quick release and leaves nothing behind.
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

pytestmark = [pytest.mark.timeout(1200), pytest.mark.usefixtures("image")]

RACE = {
    "swarmSize": 3,
    "seeders": 1,
    "fileSize": "50MB",
    "repetitions": 2,
    "rotateSeeders": False,
    # Slow enough to act during a run, also on a busy machine: 50 MB take at least 13 s.
    "network": {"upload": "30Mbit"},
    "timeouts": {"assembleSeconds": 300, "heartbeatSeconds": 45},
}
ENTRANTS = {name: {"kind": name, "profile": "tuned"} for name in ("bittorrent", "http")}


def values(**changes: Any) -> dict[str, Any]:
    return {"global": {"race": RACE, "entrants": ENTRANTS, **changes}}


def runs_of(results: Results, entrant: str) -> list[RunRecord]:
    return [record for record in results.runs if record.run.entrant == entrant]


def all_completed(records: list[RunRecord]) -> bool:
    """Return whether every run was raced and every transfer verified."""
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
    """Wait for all entrants' Jobs to end; return how each ended, by entrant."""

    def ended() -> dict[str, str | None] | None:
        found = {
            job["metadata"]["labels"]["swarmrace/entrant"]: cluster.ended(job)
            for job in get("jobs", "-n", release.namespace, "-l", "swarmrace/entrant")
        }
        return found if found and all(found.values()) else None

    return cluster.until("every entrant's Job ends", 600, ended)


def test_a_peer_whose_pod_is_deleted_is_a_lost_peer(tmp_path: Path) -> None:
    with installed(tmp_path, "peer", values()) as release:
        first = release.racing(0)["run"]
        victim = next(
            name
            for name in pods(release, "peer", **{"swarmrace/entrant": first["entrant"]})
            if f"-{RACE['swarmSize'] - 1}-" in name
        )
        delete_pod(release, victim)
        log = release.verdict(900, "Failed")  # 10: a transfer failed
        results = release.fetch(tmp_path / "results")
        one, two = runs_of(results, first["entrant"])
        lost = one.peers[RACE["swarmSize"] - 1]
        assert lost.failure is not None
        assert lost.failure.reason is Reason.PEER_LOST
        others = [peer for index, peer in one.peers.items() if index != RACE["swarmSize"] - 1]
        assert {peer.outcome for peer in others} == {"completed"}, "the other peers ended normally"
        assert two.result is not None
        assert two.result.status == "not raced"
        assert two.result.failure is not None
        assert two.result.failure.reason is Reason.NOT_RUN
        (other,) = set(ENTRANTS) - {first["entrant"]}
        assert all_completed(runs_of(results, other)), "the other entrant continued"
        assert "peer lost" in log
        assert jobs(release) == {first["entrant"]: "Failed", other: "Complete"}
        release.uninstall()


def test_the_race_continues_after_the_trackers_pod_is_deleted(tmp_path: Path) -> None:
    with installed(tmp_path, "tracker", values()) as release:
        release.racing(1)
        (tracker,) = pods(release, "tracker")
        delete_pod(release, tracker)
        log = release.verdict(900)
        results = release.fetch(tmp_path / "results")
        assert results.info.rendezvous_restarts == 1
        first, lost, *later = results.runs
        assert lost.result is not None
        assert lost.result.failure is not None
        assert lost.result.failure.reason is Reason.TRACKER_LOST
        assert all_completed([first, *later]), "no finished run is lost, and the race continued"
        assert "tracker lost" in log
        assert set(jobs(release).values()) == {"Complete"}
        release.uninstall()


def test_an_image_that_cannot_be_pulled_affects_only_its_entrant(tmp_path: Path) -> None:
    entrants = {
        "absent": {"kind": "codex", "image": "localhost/there-is-no-such-image:1"},
        "http": ENTRANTS["http"],
    }
    # The other entrant's pods start within it, also on a busy machine.
    race = {**RACE, "timeouts": {"assembleSeconds": 90}}
    with installed(tmp_path, "image", values(entrants=entrants, race=race)) as release:
        release.verdict(900, "Failed")  # 7: an entrant has no run
        assert_not_run(release.fetch(tmp_path / "results"), "absent", "http")
        release.uninstall()


def test_pods_that_cannot_be_scheduled_end_the_race_with_nothing_raced(tmp_path: Path) -> None:
    """One peer per node, on a cluster with fewer nodes than peers."""
    nodes = len(get("nodes"))
    race = {**RACE, "swarmSize": nodes + 2, "timeouts": {"assembleSeconds": 25}}
    placement = {"spread": {"onePerNode": True}}
    with installed(tmp_path, "pending", values(race=race, peers=placement)) as release:
        log = release.verdict(900, "Failed")  # 7: nothing was raced
        results = release.fetch(tmp_path / "results")
        for record in results.runs:
            assert record.result is not None
            assert record.result.failure is not None
            assert record.result.failure.reason is Reason.NOT_RUN
            assert "lost" in record.result.failure.detail
        assert "not run" in log
        release.uninstall()


def test_conditions_that_the_kernel_cannot_apply_are_named(tmp_path: Path) -> None:
    """Delay needs netem. If the kernel has it, the scenario is raced."""
    race = {**RACE, "network": {"delayMilliseconds": 5}, "repetitions": 1}
    with installed(tmp_path, "netem", values(race=race)) as release:
        release.verdict(900, "Complete", "Failed")
        results = release.fetch(tmp_path / "results")
        for record in results.runs:
            assert record.result is not None
            if record.result.status == "raced":
                assert all_completed([record])
                continue
            assert record.result.failure is not None
            assert record.result.failure.reason is Reason.NOT_RUN
            assert "netem" in record.result.failure.detail
        say(f"delay of 5 ms: {[record.result and record.result.status for record in results.runs]}")
        release.uninstall()


def assert_not_run(results: Results, entrant: str, other: str) -> None:
    """Assert that no run of `entrant` was run, with its reason, and that `other` raced all."""
    for record in runs_of(results, entrant):
        assert record.result is not None
        assert record.result.status == "not raced"
        assert record.result.failure is not None
        assert record.result.failure.reason is Reason.NOT_RUN
    assert all_completed(runs_of(results, other))


FAULTY = {
    "bittorrent": {"kind": "bittorrent", "pieceSize": "20KiB"},
    "http": {"kind": "http"},
}
"""A fault that neither the schema nor the templates find, only the model."""
PIECE_SIZE_FAULT = "global.entrants.bittorrent.pieceSize: found 20480, expected a power of two"
LINGER_FAULT = "monitoring.lingerSeconds: found 3, expected at least 9"


def test_every_pod_and_helm_test_report_faulty_values(tmp_path: Path) -> None:
    """After the install the tracker checks the values, stays up, and answers with all faults."""
    faulty = {**values(entrants=FAULTY), "monitoring": {"enabled": True, "lingerSeconds": 3}}
    with installed(tmp_path, "faulty", faulty) as release:
        log = release.verdict(600, "Failed")
        assert PIECE_SIZE_FAULT in log
        assert LINGER_FAULT in log
        assert set(jobs(release).values()) == {"Failed"}
        for pod in get("pods", "-n", release.namespace, "-l", "swarmrace/entrant"):
            status = pod["status"]
            containers = [*status["containerStatuses"], *status.get("initContainerStatuses", [])]
            ended = [each["state"].get("terminated") for each in containers]
            # The init container, which sets the rates, ends before the runner starts.
            assert {end["exitCode"] for end in ended if end} == {3}, pod["metadata"]["name"]
        (tracker,) = get("deployments", "-n", release.namespace)
        assert tracker["status"].get("readyReplicas") == 1, "it stays up"
        command = ["helm", "test", release.name, "-n", release.namespace, "--timeout", "300s"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
        assert done.returncode != 0
        assert PIECE_SIZE_FAULT in done.stdout + done.stderr
        release.uninstall()


def test_a_faulty_upgrade_does_not_touch_the_race(tmp_path: Path) -> None:
    with installed(tmp_path, "upgrade", values()) as release:
        release.racing(0)
        before = objects(release)
        wrong = tmp_path / "wrong.yaml"
        wrong.write_text(yaml.safe_dump({"global": {"entrants": FAULTY}}))
        command = release.upgrade(*release.files, wrong)
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
        assert done.returncode != 0
        assert PIECE_SIZE_FAULT in done.stdout + done.stderr
        assert objects(release) == before, "nothing changed, and the hook left nothing"
        labels = tmp_path / "labels.yaml"
        labels.write_text(yaml.safe_dump({"verdict": {"labels": {"moved": "yes"}}}))
        call(*release.upgrade(*release.files, labels))
        after = objects(release)
        changed = {name.rpartition("-")[0] for name in before.keys() ^ after.keys()}
        assert len(changed) == 1, "only the verdict's Job, which is immutable, was replaced"
        assert next(iter(changed)).endswith("-verdict")
        log = release.verdict(900)
        assert all_completed(list(release.fetch(tmp_path / "results").runs)), log
        release.uninstall()


def objects(release: Release) -> dict[str, str]:
    """Return the uids of a race's objects, by kind and name."""
    kinds = "jobs,deployments,services,configmaps,secrets,persistentvolumeclaims,networkpolicies"
    return {
        f"{thing['kind']} {thing['metadata']['name']}": thing["metadata"]["uid"]
        for thing in get(kinds, "-n", release.namespace)
        if not thing["metadata"]["name"].startswith("sh.helm.release.")
    }


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"seeders": 3}, "global.race.seeders"),
        ({"swarmSzie": 4}, "swarmSzie"),
        ({"matrix": {"swarmSize": [2, 3]}}, "global.race.matrix"),
    ],
)
def test_an_invalid_race_is_refused(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values(race={**RACE, **changes})))
    with release_of(tmp_path, "refused") as release:
        done = subprocess.run(release.command(path), capture_output=True, text=True, timeout=300)
        assert done.returncode != 0
        assert key in done.stderr
        assert cluster.left_behind(release.namespace) == []
