"""`make e2e-argo`: real Argo CD syncs examples/argo-cd/application.yaml from a git repository.

The repository is a clone of this checkout's HEAD on this machine (`file://`), which Argo CD's repo
server must be able to read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
import pytest
import yaml
from cluster import ROOT, SWARMRACE, call, get, say, until

from swarmrace.results import folder as results

pytestmark = [pytest.mark.timeout(1200), pytest.mark.usefixtures("image")]

EXAMPLE = ROOT / "examples/argo-cd/application.yaml"
QUIET_SECONDS = 120
RACE_SECONDS = 300


@dataclass
class Application:
    """The example's Application, synced from a clone."""

    name: str
    namespace: str
    repository: Path

    def status(self) -> dict[str, Any]:
        found = get("applications.argoproj.io", "-n", "argocd")
        return next(one for one in found if one["metadata"]["name"] == self.name).get("status", {})

    def state(self) -> tuple[str, str]:
        status = self.status()
        return (
            (status.get("sync") or {}).get("status", "Unknown"),
            (status.get("health") or {}).get("status", "Unknown"),
        )

    def raced(self, before: str = "") -> str | None:
        """The release hash of a verdict Job that is complete, of another race than `before`."""
        job = cluster.job_of(self.namespace, "verdict")
        if job is None or cluster.ended(job) is None:
            return None
        release_hash = job["metadata"]["labels"]["app.kubernetes.io/part-of"].removeprefix(
            "swarmrace-"
        )
        if release_hash == before:
            return None
        assert cluster.ended(job) == "Complete", job["status"]
        return release_hash

    def await_race(self, before: str = "") -> str:
        release_hash = until("the race's verdict", RACE_SECONDS, lambda: self.raced(before))
        until("Synced and Healthy", 120, lambda: self.state() == ("Synced", "Healthy"))
        return release_hash

    def fingerprint(self) -> dict[str, str]:
        """Every object's uid, and the generation or data of what a sync could have changed."""
        return {
            f"{thing['kind']} {thing['metadata']['name']}": thing["metadata"]["uid"]
            + str(thing["metadata"].get("generation", ""))
            + str(thing.get("data", ""))
            for thing in get(cluster.KINDS, "-n", self.namespace)
        }


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    cluster.need("kubectl", "git")
    try:
        call("kubectl", "get", "crd", "applications.argoproj.io")
    except AssertionError:
        pytest.fail("expected Argo CD in the cluster (helper cluster: $CLUSTER/argo cd)", False)
    repository = tmp_path_factory.mktemp("argo") / "repository"
    call("git", "clone", "-q", "--no-hardlinks", ROOT, repository)
    with cluster.namespace(f"swarmrace-argo-{os.getpid()}") as namespace:
        manifest = yaml.safe_load(EXAMPLE.read_text())
        manifest["spec"]["source"]["repoURL"] = f"file://{repository}"
        manifest["spec"]["destination"]["namespace"] = namespace
        path = repository.parent / "application.yaml"
        path.write_text(yaml.safe_dump(manifest))
        application = Application(manifest["metadata"]["name"], namespace, repository)
        call("kubectl", "apply", "-f", path)
        try:
            yield application
        except BaseException:
            say(f"Argo CD says: {application.status()}")
            raise
        finally:
            call("kubectl", "delete", "--ignore-not-found", "-f", path, timeout=180)


@pytest.fixture(scope="module")
def first(application: Application) -> str:
    began = time.monotonic()
    release_hash = application.await_race()
    say(f"race {release_hash}: verdict, Synced and Healthy after {time.monotonic() - began:.0f} s")
    return release_hash


def complete(application: Application, release_hash: str, folder: Path) -> None:
    call(SWARMRACE, "fetch", application.name, "-n", application.namespace, "-o", folder)
    fetched = results.load(folder)
    assert fetched.info.release_hash == release_hash
    assert [run.result.status for run in fetched.runs if run.result] == ["raced"] * 6
    peers = [peer for run in fetched.runs for peer in run.peers.values()]
    assert {peer.outcome for peer in peers} == {"completed"}


def test_the_race_completed(application: Application, first: str, tmp_path: Path) -> None:
    complete(application, first, tmp_path / "results")


def test_it_stays_synced_and_healthy(application: Application, first: str) -> None:
    """With self-heal and prune on; no object is replaced and no further sync happens."""
    before, synced = application.fingerprint(), application.status()["operationState"]
    deadline, looks = time.monotonic() + QUIET_SECONDS, 0
    while time.monotonic() < deadline:
        assert application.state() == ("Synced", "Healthy")
        looks += 1
        time.sleep(2)
    assert application.fingerprint() == before
    assert application.status()["operationState"] == synced
    say(f"Synced and Healthy at {looks} looks in {QUIET_SECONDS} s; nothing changed, no sync")


def test_self_heal_restores_what_is_deleted(application: Application, first: str) -> None:
    """Without taking the race for another one: its Jobs stay as they are."""
    jobs = {job["metadata"]["uid"] for job in get("jobs", "-n", application.namespace)}
    name = f"{application.name}-{first}-scenario"
    call("kubectl", "-n", application.namespace, "delete", "configmap", name)
    until("self-heal", 60, lambda: name in _names("configmaps", application.namespace))
    until("Synced", 60, lambda: application.state() == ("Synced", "Healthy"))
    assert {job["metadata"]["uid"] for job in get("jobs", "-n", application.namespace)} == jobs


def test_raising_attempt_races_again(application: Application, first: str, tmp_path: Path) -> None:
    scenario = application.repository / "scenarios/quick.yaml"
    text = scenario.read_text()
    changed = text.replace("    seed: 1\n", "    seed: 1\n    attempt: 2\n")
    assert changed != text
    scenario.write_text(changed)
    identity = ("-c", "user.name=e2e", "-c", "user.email=e2e@localhost")
    call("git", *identity, "commit", "-qam", "Race again", cwd=application.repository)
    began = time.monotonic()
    second = application.await_race(before=first)
    say(f"race {second}: verdict, Synced and Healthy after {time.monotonic() - began:.0f} s")
    assert not [name for name in _names("jobs", application.namespace) if first in name], "pruned"
    complete(application, second, tmp_path / "results")


def test_deleting_the_application_leaves_nothing(application: Application, first: str) -> None:
    name = f"application.argoproj.io/{application.name}"
    call("kubectl", "-n", "argocd", "delete", name, "--timeout=180s")
    until("nothing left", 120, lambda: not cluster.left_behind(application.namespace))


def _names(kinds: str, namespace: str) -> list[str]:
    return [thing["metadata"]["name"] for thing in get(kinds, "-n", namespace)]
