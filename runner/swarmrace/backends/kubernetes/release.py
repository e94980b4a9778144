"""A Helm release that is installed for one race, waited for, and removed again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from swarmrace.backends.kubernetes.fetch import Cluster
from swarmrace.backends.kubernetes.tools import PATIENCE_SECONDS, Tools
from swarmrace.errors import InfrastructureError, ResultsError, UnavailableError

_POLL_SECONDS = 2.0
_REMOVAL_SECONDS = 600
_INSTALLS = 3


@dataclass(frozen=True)
class Release:
    """One release.

    Args:
        name: of the release.
        chart: folder, archive or address of the umbrella chart.
        values: files that come after the race's own, as `helm install -f`.
        tools: how the cluster is asked.
    """

    name: str
    chart: str
    values: tuple[Path, ...]
    tools: Tools

    @property
    def _label(self) -> str:
        return f"app.kubernetes.io/instance={self.name}"

    def remove(self) -> None:
        """Remove the release, if it is there, and return once its pods are gone.

        Raises:
            InfrastructureError: the cluster is away, or pods stay.
            UnavailableError: helm refuses.
        """
        self.tools.helm(
            "uninstall",
            self.name,
            "--ignore-not-found",
            "--cascade=foreground",
            "--wait",
            f"--timeout={_REMOVAL_SECONDS}s",
            patience_seconds=PATIENCE_SECONDS,
        )
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while names := self.tools.kubectl("get", "pods", "-l", self._label, "-o", "name").split():
            if time.monotonic() > deadline:
                raise InfrastructureError(
                    f"release {self.name}: expected its pods to go within {_REMOVAL_SECONDS} s, "
                    f"found {names[0]} and {len(names) - 1} more; see kubectl describe"
                )
            time.sleep(0.5)

    def install(self, file: Path) -> None:
        """Install the chart with a race's values; where the cluster goes away, from the start.

        Raises:
            InfrastructureError: the cluster is away for long.
            UnavailableError: helm refuses: the values, the chart or the cluster are wrong.
        """
        for attempt in range(1, _INSTALLS + 1):
            try:
                self.tools.helm("install", self.name, self.chart, *self._files(file))
            except InfrastructureError:
                if attempt == _INSTALLS:
                    raise
                self.tools.await_cluster()
                self.remove()  # helm keeps what it had begun
            else:
                return

    def images(self, file: Path) -> dict[str, str]:
        """Return the images that an entrant's pods would run, by entrant, as the chart renders
        them.

        Raises:
            UnavailableError: the chart refuses the values.
        """
        text = self.tools.helm("template", self.name, self.chart, *self._files(file))
        return dict(_images(yaml.safe_load_all(text)))

    def await_verdict(self, still: Any) -> str:
        """Wait until the verdict's Job has ended; return `Complete` or `Failed`.

        Args:
            still: called between two looks; raises to stop waiting.

        Raises:
            InfrastructureError: the cluster is away for long, or the Job is gone.
        """
        seen, gone = False, 0
        while True:
            still()
            label = f"{self._label},app.kubernetes.io/component=verdict"
            jobs = json.loads(self.tools.kubectl("get", "jobs", "-l", label, "-o", "json"))["items"]
            for job in jobs:
                conditions = (job.get("status") or {}).get("conditions") or []
                true = {each["type"] for each in conditions if each["status"] == "True"}
                if ended := true & {"Complete", "Failed"}:
                    return str(ended.pop())
            seen, gone = seen or bool(jobs), 0 if jobs else gone + 1
            if gone > (3 if seen else 30):
                raise InfrastructureError(
                    f"release {self.name}: expected its verdict's Job, found none: somebody "
                    "removed the release, or verdict.enabled is false"
                )
            time.sleep(_POLL_SECONDS)

    def fetch(self, folder: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Bring the results folder here; a tracker that is away is waited for.

        Raises:
            InfrastructureError: there is nothing to fetch, or not within `patience_seconds`.
        """
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                Cluster(self.name, self.tools.namespace, self.tools.context).fetch(folder)
            except (UnavailableError, ResultsError) as error:
                if time.monotonic() > deadline:
                    raise InfrastructureError(
                        f"release {self.name}: its results can't be fetched: {error}"
                    ) from error
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _files(self, file: Path) -> list[str]:
        return [part for each in (file, *self.values) for part in ("-f", str(each))]


def _images(documents: Any) -> Iterator[tuple[str, str]]:
    for document in documents:
        if not isinstance(document, dict) or document.get("kind") != "Job":
            continue
        spec = document["spec"]["template"]["spec"]
        containers: Sequence[dict[str, Any]] = [
            *(spec.get("initContainers") or []),
            *spec["containers"],
        ]
        entrants = [
            item.get("value", "")
            for each in containers
            for item in each.get("env") or []
            if item["name"] == "SWARMRACE_ENTRANT"
        ]
        if entrants:
            named = {each["name"]: each["image"] for each in containers}
            text = ", ".join(f"{name} {image}" for name, image in sorted(named.items()))
            yield entrants[0], text
