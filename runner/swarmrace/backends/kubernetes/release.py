"""A Helm release that is installed for one race and removed after it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from swarmrace.backends.kubernetes.fetch import Cluster
from swarmrace.backends.kubernetes.tools import PATIENCE_SECONDS, Tools
from swarmrace.errors import InfrastructureError, ResultsError, UnavailableError
from swarmrace.host import infrastructure

_POLL_SECONDS = 2.0
_LOOK_SECONDS = 30.0
"""How often the verdict's Job is read although nothing has changed."""
_ABSENT_SECONDS, _GONE_SECONDS = 60.0, 6.0
"""How long the verdict's Job may be missing after the install, and once it was there."""
_LOST_POD = (137, 143)
"""Exit codes of a verdict's pod that its Job replaces."""
_REMOVAL_SECONDS = 600
_KINDS = "jobs,pods,deployments,services,persistentvolumeclaims,configmaps,secrets"
"""What an uninstalled release leaves for a while."""
_INSTALLS = 3


@dataclass(frozen=True)
class HelmRelease:
    """One release.

    Args:
        name: name of the release.
        chart: folder, archive or address of the umbrella chart.
        values: further values files, applied after the race's own.
        tools: runs helm and kubectl.
    """

    name: str
    chart: str
    values: tuple[Path, ...]
    tools: Tools

    @property
    def _label(self) -> str:
        return f"app.kubernetes.io/instance={self.name}"

    def uninstall(self) -> None:
        """Uninstall the release if it exists. Its pods may still be ending afterwards.

        Raises:
            InfrastructureError: the cluster can't be reached.
            UnavailableError: helm fails.
        """
        self.tools.helm(
            "uninstall",
            self.name,
            "--ignore-not-found",
            "--cascade=foreground",
            patience_seconds=PATIENCE_SECONDS,
        )

    def remove(self) -> None:
        """Uninstall the release if it exists, and return once all of it is gone.

        Raises:
            InfrastructureError: the cluster can't be reached, or something remains.
            UnavailableError: helm fails.
        """
        self.uninstall()
        if not self._left():
            return
        deadline = time.monotonic() + _REMOVAL_SECONDS
        with self.tools.watched("pods", "-l", self._label) as wait_for_change:
            while names := self._left():
                if time.monotonic() > deadline:
                    raise InfrastructureError(
                        f"release {self.name}: found {names[0]} and {len(names) - 1} more after "
                        f"{_REMOVAL_SECONDS} s, expected all of it to be gone; see kubectl describe"
                    )
                wait_for_change(_POLL_SECONDS)

    def _left(self) -> list[str]:
        """Return what is left of the release. Its Jobs and its Deployment outlive their pods."""
        return self.tools.kubectl("get", _KINDS, "-l", self._label, "-o", "name").split()

    def install(self, file: Path) -> None:
        """Install the chart with a race's values; begin again if the cluster couldn't be reached.

        Raises:
            InfrastructureError: the cluster can't be reached for a long time.
            UnavailableError: helm refuses the values or the chart, or the cluster refuses them.
        """
        for attempt in range(1, _INSTALLS + 1):
            try:
                self.tools.helm("install", self.name, self.chart, *self._files(file))
            except InfrastructureError:
                if attempt == _INSTALLS:
                    raise
                self.tools.await_cluster()
                self.remove()  # helm keeps an interrupted release
            else:
                return

    def images(self, file: Path) -> dict[str, str]:
        """Return the images that the pods would run, by entrant, as the chart renders them.

        Raises:
            UnavailableError: the chart refuses the values.
        """
        text = self.tools.helm("template", self.name, self.chart, *self._files(file))
        return dict(_images(yaml.safe_load_all(text)))

    def await_verdict(self, check: Callable[[], None]) -> str:
        """Wait until there is a verdict; return how its Job or its pod ended, for people.

        The pod ends a second or two before its Job is complete; the results are final then.

        Args:
            check: called every few seconds; it may raise to stop waiting.

        Raises:
            InfrastructureError: the cluster can't be reached for a long time, or the Job is gone.
        """
        label = f"{self._label},app.kubernetes.io/component=verdict"
        listing = ("get", "jobs,pods", "-l", label, "-o", "json")
        seen, since = False, time.monotonic()
        with self.tools.watched("pods", "-l", label) as wait_for_change:
            while True:
                check()
                found = json.loads(self.tools.kubectl(*listing))["items"]
                ended = [end for each in found if (end := _end_of(each))]
                if ended:
                    return ended[0]
                there, now = any(each["kind"] == "Job" for each in found), time.monotonic()
                seen, since = seen or there, now if there else since
                if now - since > (_GONE_SECONDS if seen else _ABSENT_SECONDS):
                    raise InfrastructureError(
                        f"release {self.name}: found no Job of its verdict, expected one: the "
                        "release was removed, or verdict.enabled is false"
                    )
                look_again = now + (_LOOK_SECONDS if there else 0.0)
                while not wait_for_change(_POLL_SECONDS) and time.monotonic() < look_again:
                    check()

    def fetch(self, folder: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Fetch the results folder; wait for a tracker that can't be reached.

        Raises:
            InfrastructureError: it can't be fetched within `patience_seconds`, or there is no room
                for it here.
        """
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                Cluster(self.name, self.tools.namespace, self.tools.context).fetch(folder)
            except (UnavailableError, ResultsError, OSError) as error:
                number = infrastructure.number_of(error)
                if number is not None:
                    raise InfrastructureError(
                        f"release {self.name}: can't store its results: "
                        f"{infrastructure.describe(number, folder.parent)}"
                    ) from error
                if time.monotonic() > deadline or isinstance(error, OSError):
                    raise InfrastructureError(
                        f"release {self.name}: can't fetch its results: {error}"
                    ) from error
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _files(self, file: Path) -> list[str]:
        return [part for each in (file, *self.values) for part in ("-f", str(each))]


def _end_of(item: dict[str, Any]) -> str:
    """Return how the verdict's Job or pod ended, or an empty string while it hasn't."""
    status = item.get("status") or {}
    if item["kind"] == "Job":
        conditions = status.get("conditions") or []
        ended = {each["type"] for each in conditions if each["status"] == "True"}
        return next((each for each in ("Complete", "Failed") if each in ended), "")
    for container in status.get("containerStatuses") or []:
        code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode")
        if code is not None and code not in _LOST_POD:
            return f"exit code {code}"
    return ""


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
