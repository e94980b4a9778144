"""One release of the umbrella chart on the cluster: install, watch, fetch, uninstall."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cluster
import httpx
import yaml
from cluster import ROOT, SWARMRACE, call, say, until

from swarmrace.results import folder as results

CHART = ROOT / "charts/swarmrace"


@dataclass
class Release:
    """A release in its own namespace.

    Args:
        api: a client of the cluster's API.
        name: the release's name.
        namespace: its namespace.
    """

    api: httpx.Client
    name: str
    namespace: str
    release_hash: str = ""
    files: list[Path] = field(default_factory=list)
    """Values files of the install."""

    @property
    def inside(self) -> str:
        """Path of the namespace in the API."""
        return f"namespaces/{self.namespace}"

    def command(self, *files: Path) -> list[str]:
        """Return the `helm install` command with these values files."""
        values = [part for file in files for part in ("-f", str(file))]
        return ["helm", "install", self.name, str(CHART), "-n", self.namespace, *values]

    def upgrade(self, *files: Path) -> list[str]:
        """Return the `helm upgrade` command with these values files."""
        install = self.command(*files)
        return [install[0], "upgrade", *install[2:]]

    def status(self) -> dict[str, Any] | None:
        """Return the race's status from the tracker (docs/rendezvous.md); None if unreachable."""
        tracker = f"/api/v1/{self.inside}/services/{self.name}-tracker"
        with contextlib.suppress(httpx.TransportError):
            found = self.api.get(tracker)
            if not found.is_success:
                return None
            part_of = found.json()["metadata"]["labels"]["app.kubernetes.io/part-of"]
            self.release_hash = part_of.removeprefix("swarmrace-")
            proxy = f"{tracker}:8080/proxy/{self.release_hash}"
            root = self.api.get(f"{proxy}/")
            if root.is_success:
                answer = self.api.get(f"{proxy}/{root.json()['race_id']}/status")
                if answer.is_success:
                    return answer.json()
        return None

    def until(
        self, what: str, seconds: float, holds: Callable[[dict[str, Any]], Any]
    ) -> dict[str, Any]:
        """Wait until `holds` accepts the race's status, and return the status."""

        def look() -> dict[str, Any] | None:
            status = self.status()
            return status if status and holds(status) else None

        return until(what, seconds, look, 0.1)

    def racing(self, index: int, seconds: float = 600) -> dict[str, Any]:
        """Wait until the leechers of run `index` fetch, and return the status."""

        def holds(status: dict[str, Any]) -> bool:
            run = status["run"]
            return bool(run) and run["index"] == index and run["barrier"] == "raced"

        return self.until(f"run {index} is being raced", seconds, holds)

    def verdict(self, seconds: float, *ended: str) -> str:
        """Wait for the verdict's Job to end and return its log.

        Args:
            seconds: maximum time to wait.
            ended: accepted ends, `Complete` or `Failed` (by exit code); only `Complete` by default.
        """

        def judged() -> dict[str, Any] | None:
            job = cluster.job_of(self.namespace, "verdict")
            return job if job and cluster.ended(job) else None

        job = until("the verdict's Job", seconds, judged)
        log = call("kubectl", "-n", self.namespace, "logs", f"job/{job['metadata']['name']}")
        assert cluster.ended(job) in (ended or ("Complete",)), log
        return log

    def fetch(self, folder: Path) -> results.Results:
        """Fetch the results into `folder` and load them."""
        call(SWARMRACE, "fetch", self.name, "-n", self.namespace, "-o", folder)
        return results.load(folder)

    def uninstall(self) -> None:
        """Uninstall, and assert that nothing is left behind."""
        call("helm", "uninstall", self.name, "-n", self.namespace, "--timeout", "300s")
        began = time.monotonic()
        with contextlib.suppress(AssertionError):
            until("nothing left", 300, lambda: not cluster.left_behind(self.namespace))
        assert cluster.left_behind(self.namespace) == []
        say(f"nothing left {time.monotonic() - began:.0f} s after helm uninstall")


def image_values() -> dict[str, Any]:
    """Return the values for the image under test."""
    repository, _, tag = cluster.IMAGE.rpartition(":")
    return {"repository": repository, "tag": tag}


@contextlib.contextmanager
def release_of(folder: Path, name: str) -> Iterator[Release]:
    """Yield a release, not yet installed, in a new namespace that is deleted afterwards."""
    new_namespace = cluster.namespace(f"swarmrace-{name}-{folder.stat().st_ino}")
    with new_namespace as namespace, cluster.api() as api:
        yield Release(api, name, namespace)


@contextlib.contextmanager
def installed(folder: Path, name: str, values: dict[str, Any], *files: Path) -> Iterator[Release]:
    """Install `files` with `values` on top; the caller must uninstall the release."""
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    image = folder / "image.yaml"
    image.write_text(yaml.safe_dump({"global": {"image": image_values()}}))
    with release_of(folder, name) as release:
        release.files = [*files, image, path]
        call(*release.command(*release.files))
        yield release
