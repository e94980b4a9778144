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

import argo_cd
import cluster
import pytest
import yaml
from cluster import ROOT, SWARMRACE, call, get, say, until

from swarmrace.results import folder as results

pytestmark = [pytest.mark.timeout(1200), pytest.mark.usefixtures("image")]

EXAMPLE = ROOT / "examples/argo-cd/application.yaml"
RACE_SECONDS = 900


@dataclass
class Raced(argo_cd.Application):
    """The example's Application, synced from a clone."""

    namespace: str
    repository: argo_cd.Repository

    def raced_hash(self, before: str = "") -> str | None:
        """Return the release hash of a complete verdict Job of another race than `before`."""
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
        release_hash = until("the race's verdict", RACE_SECONDS, lambda: self.raced_hash(before))
        until("Synced and Healthy", 600, lambda: self.state() == ("Synced", "Healthy"))
        return release_hash


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raced]:
    argo_cd.need()
    folder = tmp_path_factory.mktemp("argo")
    repository = argo_cd.Repository.clone(folder / "repository")
    with cluster.namespace(f"swarmrace-argo-{os.getpid()}") as namespace:
        manifest = yaml.safe_load(EXAMPLE.read_text())
        manifest["spec"]["source"]["repoURL"] = repository.url
        manifest["spec"]["destination"]["namespace"] = namespace
        path = folder / "application.yaml"
        path.write_text(yaml.safe_dump(manifest))
        application = Raced(manifest["metadata"]["name"], namespace, repository)
        call("kubectl", "apply", "-f", path)
        try:
            yield application
        except BaseException:
            say(f"Argo CD's status: {application.status()}")
            raise
        finally:
            call("kubectl", "delete", "--ignore-not-found", "-f", path, timeout=600)


@pytest.fixture(scope="module")
def first(application: Raced) -> str:
    began = time.monotonic()
    release_hash = application.await_race()
    say(f"race {release_hash}: verdict, Synced and Healthy after {time.monotonic() - began:.0f} s")
    return release_hash


def assert_complete(application: Raced, release_hash: str, folder: Path) -> None:
    call(SWARMRACE, "fetch", application.name, "-n", application.namespace, "-o", folder)
    fetched = results.load(folder)
    assert fetched.info.release_hash == release_hash
    assert [run.result.status for run in fetched.runs if run.result] == ["raced"] * 6
    peers = [peer for run in fetched.runs for peer in run.peers.values()]
    assert {peer.outcome for peer in peers} == {"completed"}


def test_the_race_completed(application: Raced, first: str, tmp_path: Path) -> None:
    assert_complete(application, first, tmp_path / "results")


def test_it_stays_synced_and_healthy(application: Raced, first: str) -> None:
    """With self-heal and prune on, no object is replaced and no further sync happens."""
    polls = argo_cd.stays_synced(application.namespace, application.name)
    say(f"Synced and Healthy at {polls} polls in 2 minutes; nothing changed, no sync")


def test_self_heal_restores_a_deleted_object(application: Raced, first: str) -> None:
    """It doesn't start another race: the Jobs stay unchanged."""
    jobs = _job_uids(application)
    name = f"{application.name}-{first}-scenario"
    call("kubectl", "-n", application.namespace, "delete", "configmap", name)
    until("self-heal", 600, lambda: name in _names("configmaps", application.namespace))
    until("Synced", 600, lambda: application.state() == ("Synced", "Healthy"))
    # The hook that judges values ran before; its Job goes once the sync has succeeded.
    until("its Jobs are the same", 300, lambda: _job_uids(application) == jobs)


def test_raising_attempt_races_again(application: Raced, first: str, tmp_path: Path) -> None:
    scenario = application.repository.path / "scenarios/quick.yaml"
    text = scenario.read_text()
    changed = text.replace("    seed: 1\n", "    seed: 1\n    attempt: 2\n")
    assert changed != text
    scenario.write_text(changed)
    application.repository.commit("Race again")
    began = time.monotonic()
    second = application.await_race(before=first)
    say(f"race {second}: verdict, Synced and Healthy after {time.monotonic() - began:.0f} s")
    assert not [name for name in _names("jobs", application.namespace) if first in name], "pruned"
    assert_complete(application, second, tmp_path / "results")


def test_deleting_the_application_leaves_nothing(application: Raced, first: str) -> None:
    application.delete()
    until("nothing left", 300, lambda: not cluster.left_behind(application.namespace))


def _job_uids(application: Raced) -> set[str]:
    return {job["metadata"]["uid"] for job in get("jobs", "-n", application.namespace)}


def _names(kinds: str, namespace: str) -> list[str]:
    return [thing["metadata"]["name"] for thing in get(kinds, "-n", namespace)]
