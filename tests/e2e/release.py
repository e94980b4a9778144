"""One release of the umbrella on the cluster: installed, watched, fetched, uninstalled."""

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
    """A release in a namespace of its own.

    Args:
        api: the cluster's API.
        name: of the release.
        namespace: where it is.
    """

    api: httpx.Client
    name: str
    namespace: str
    release_hash: str = ""
    files: list[Path] = field(default_factory=list)
    """What it was installed with."""

    @property
    def inside(self) -> str:
        """The API's path of the namespace."""
        return f"namespaces/{self.namespace}"

    def command(self, *files: Path) -> list[str]:
        """The `helm install` of these values files."""
        values = [part for file in files for part in ("-f", str(file))]
        return ["helm", "install", self.name, str(CHART), "-n", self.namespace, *values]

    def upgrade(self, *files: Path) -> list[str]:
        """The `helm upgrade` to these values files."""
        install = self.command(*files)
        return [install[0], "upgrade", *install[2:]]

    def status(self) -> dict[str, Any] | None:
        """What the tracker says of the race (docs/rendezvous.md); None when it can't be asked."""
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
        """Wait until the race's status is as wanted, and return it."""

        def look() -> dict[str, Any] | None:
            status = self.status()
            return status if status and holds(status) else None

        return until(what, seconds, look, 0.1)

    def racing(self, index: int, seconds: float = 180) -> dict[str, Any]:
        """Wait until the leechers of the run at `index` fetch, and return the status then."""

        def holds(status: dict[str, Any]) -> bool:
            run = status["run"]
            return bool(run) and run["index"] == index and run["barrier"] == "raced"

        return self.until(f"run {index} is being raced", seconds, holds)

    def verdict(self, seconds: float, *ended: str) -> str:
        """Wait for the verdict's Job to end and return its log.

        Args:
            seconds: how long at most.
            ended: how it may end: `Complete`, or `Failed` by its exit code; the former by default.
        """

        def judged() -> dict[str, Any] | None:
            job = cluster.job_of(self.namespace, "verdict")
            return job if job and cluster.ended(job) else None

        job = until("the verdict's Job", seconds, judged)
        log = call("kubectl", "-n", self.namespace, "logs", f"job/{job['metadata']['name']}")
        assert cluster.ended(job) in (ended or ("Complete",)), log
        return log

    def fetch(self, folder: Path) -> results.Results:
        """Bring the results here."""
        call(SWARMRACE, "fetch", self.name, "-n", self.namespace, "-o", folder)
        return results.load(folder)

    def uninstall(self) -> None:
        """Uninstall; nothing is left behind."""
        call("helm", "uninstall", self.name, "-n", self.namespace, "--timeout", "120s")
        began = time.monotonic()
        with contextlib.suppress(AssertionError):
            until("nothing left", 120, lambda: not cluster.left_behind(self.namespace))
        assert cluster.left_behind(self.namespace) == []
        say(f"nothing left {time.monotonic() - began:.0f} s after helm uninstall")


def image_values() -> dict[str, Any]:
    """Values that name the image under test."""
    repository, _, tag = cluster.IMAGE.rpartition(":")
    return {"repository": repository, "tag": tag}


@contextlib.contextmanager
def release_of(folder: Path, name: str) -> Iterator[Release]:
    """A release, not installed yet, in a namespace of its own that goes with the block."""
    own = cluster.namespace(f"swarmrace-{name}-{folder.stat().st_ino}")
    with own as namespace, cluster.api() as api:
        yield Release(api, name, namespace)


@contextlib.contextmanager
def installed(folder: Path, name: str, values: dict[str, Any], *files: Path) -> Iterator[Release]:
    """Install `files` and `values` on top; the release must be uninstalled in the block."""
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    image = folder / "image.yaml"
    image.write_text(yaml.safe_dump({"global": {"image": image_values()}}))
    with release_of(folder, name) as release:
        release.files = [*files, image, path]
        call(*release.command(*release.files))
        yield release
