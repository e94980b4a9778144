"""Shared by the tests of Argo CD: a repository for it, Applications and their state."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
from cluster import ROOT, call, get

NAMESPACE = "argocd"
QUIET_SECONDS = 120
_IDENTITY = ("-c", "user.name=e2e", "-c", "user.email=e2e@localhost")


def need() -> None:
    """Fail if the cluster has no Argo CD."""
    cluster.need("kubectl", "git")
    cluster.need_argo("Argo CD", "applications.argoproj.io", "cd")


@dataclass
class Repository:
    """A clone of this checkout's HEAD on this machine, which Argo CD's repo server can read."""

    path: Path

    @classmethod
    def clone(cls, path: Path) -> Repository:
        call("git", "clone", "-q", "--no-hardlinks", ROOT, path)
        return cls(path)

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def commit(self, message: str) -> str:
        """Commit all changes; return the commit."""
        call("git", "add", "-A", cwd=self.path)
        call("git", *_IDENTITY, "commit", "-qm", message, cwd=self.path)
        return call("git", "rev-parse", "HEAD", cwd=self.path).strip()


@dataclass
class Application:
    """An Application of Argo CD."""

    name: str

    def status(self) -> dict[str, Any]:
        found = get("applications.argoproj.io", "-n", NAMESPACE)
        mine = [one for one in found if one["metadata"]["name"] == self.name]
        return mine[0].get("status", {}) if mine else {}

    def state(self) -> tuple[str, str]:
        return state_of(self.status())

    def end_sync(self) -> None:
        """End the sync that goes on, if one does, as `argocd app terminate-op` does."""
        if (self.status().get("operationState") or {}).get("phase") == "Running":
            ending = {"status": {"operationState": {"phase": "Terminating"}}}
            call("kubectl", "-n", NAMESPACE, "patch", f"application.argoproj.io/{self.name}",
                 "--type=merge", "-p", json.dumps(ending))  # fmt: skip

    def delete(self, seconds: int = 180) -> None:
        """Delete it with all of its objects."""
        call("kubectl", "-n", NAMESPACE, "delete", f"application.argoproj.io/{self.name}",
             f"--timeout={seconds}s", timeout=seconds + 30)  # fmt: skip


def state_of(status: dict[str, Any]) -> tuple[str, str]:
    """Return an Application's sync status and health."""
    return (
        (status.get("sync") or {}).get("status", "Unknown"),
        (status.get("health") or {}).get("status", "Unknown"),
    )


def fingerprint(namespace: str) -> dict[str, str]:
    """Return every object's uid with its generation and data, which a sync could change."""
    return {
        f"{thing['kind']} {thing['metadata']['name']}": thing["metadata"]["uid"]
        + str(thing["metadata"].get("generation", ""))
        + str(thing.get("data", ""))
        for thing in get(cluster.KINDS, "-n", namespace)
    }


def stays_synced(namespace: str, *names: str) -> int:
    """Assert for two minutes that all stay Synced and Healthy, that no object is replaced and that
    no sync happens; return the number of polls."""

    def statuses() -> dict[str, dict[str, Any]]:
        found = get("applications.argoproj.io", "-n", NAMESPACE)
        return {
            one["metadata"]["name"]: one["status"]
            for one in found
            if one["metadata"]["name"] in names
        }

    before, synced = fingerprint(namespace), statuses()
    deadline, polls = time.monotonic() + QUIET_SECONDS, 0
    while time.monotonic() < deadline:
        for name, status in statuses().items():
            assert state_of(status) == ("Synced", "Healthy"), name
            assert status["operationState"] == synced[name]["operationState"], name
        polls += 1
        time.sleep(2)
    assert fingerprint(namespace) == before
    return polls
