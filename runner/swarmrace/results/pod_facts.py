"""`pods.json`: images, digests and limits of a race's pods, as the cluster reports them.

A pod can't read its own image's digest or the resources that its Job requested. `swarmrace fetch`
runs with the rights of the user who installed the release, and writes what it reads to
`pods.json`. Facts that were never read are unknown; the chart's defaults don't replace them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swarmrace import atomic
from swarmrace.model import Model

FILE = "pods.json"
UNKNOWN = "unknown"


class ContainerFacts(Model):
    """One container of a peer's pod."""

    image: str = UNKNOWN
    """From the pod's spec."""
    digest: str = UNKNOWN
    """Digest of the image that runs, from the pod's status."""
    ended: str = ""
    """How it last failed, from the pod's status: `OOMKilled, exit code 137`. Empty if it never
    ended with another exit code than 0."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    """From the pod's spec; empty if it sets none."""


class PodFacts(Model):
    """One peer's pod."""

    entrant: str
    peer: int
    pod: str
    node: str = UNKNOWN
    containers: dict[str, ContainerFacts] = {}


class PodsFile(Model):
    """The content of `pods.json`."""

    source: str
    """Which program read it, and from what."""
    read_utc: str
    trouble: str = ""
    """Why the pods could not be read; empty if they could."""
    pods: list[PodFacts] = []
    """Pods that the cluster still had. Facts of other pods are unknown."""


BY_FETCH = "swarmrace fetch, from the pods' spec and status (kubectl get pods)"
BY_VERDICT = "swarmrace verdict, from the pods' spec and status (the cluster's API)"


def selector(release_hash: str) -> str:
    """Return the label selector of a race's pods."""
    return f"app.kubernetes.io/part-of=swarmrace-{release_hash}"


def from_kubernetes(
    items: Sequence[Mapping[str, Any]], trouble: str = "", source: str = BY_FETCH
) -> PodsFile:
    """Return the facts of a race's peers from a list of pods. Other pods are left out."""
    pods = [found for item in items if (found := _pod(item)) is not None]
    return PodsFile(
        source=source,
        read_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        trouble=trouble,
        pods=sorted(pods, key=lambda pod: (pod.entrant, pod.peer, pod.pod)),
    )


def write(folder: Path, facts: PodsFile) -> None:
    """Write the facts to a results folder."""
    atomic.write_bytes(folder / FILE, facts.model_dump_json(indent=1).encode())


def read(folder: Path) -> PodsFile | None:
    """Return the facts in a results folder, or None if it has none that can be read."""
    try:
        return PodsFile.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def lines(facts: PodsFile | None, entrants: list[str], peers: int) -> list[str]:
    """Return human-readable lines: what each entrant's pods ran, and what is unknown."""
    if facts is None or facts.trouble:
        why = "not read yet; run swarmrace fetch" if facts is None else facts.trouble
        return [f"images and limits of the pods: {UNKNOWN} ({why})"]
    found = []
    for entrant in entrants:
        pods = [pod for pod in facts.pods if pod.entrant == entrant]
        described = " or ".join(dict.fromkeys(map(_text, pods))) or UNKNOWN
        missing = peers - len({pod.peer for pod in pods})
        rest = f"; {UNKNOWN} for {missing} of {peers} pods, which are gone" if missing else ""
        found.append(f"pods of {entrant}: {described}{rest}")
        found += [
            f"pod {entrant}-{pod.peer}: container {name} ended: {each.ended}"
            for pod in pods
            for name, each in sorted(pod.containers.items())
            if each.ended
        ]
    return found


def _text(pod: PodFacts) -> str:
    return ", ".join(
        f"{name} {each.image} ({each.digest}; limits {_amounts(each.limits)})"
        for name, each in sorted(pod.containers.items())
    )


def _amounts(amounts: Mapping[str, str]) -> str:
    return " ".join(f"{name} {value}" for name, value in sorted(amounts.items())) or "none"


def _pod(item: Mapping[str, Any]) -> PodFacts | None:
    head, spec, status = (item.get(key) or {} for key in ("metadata", "spec", "status"))
    specs = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    runner = next((each for each in specs if each.get("name") == "runner"), None)
    index = (head.get("annotations") or {}).get("batch.kubernetes.io/job-completion-index", "")
    if runner is None or not index.isdigit():
        return None
    environment = {each["name"]: each.get("value", "") for each in runner.get("env") or []}
    statuses = {
        each.get("name"): each
        for key in ("initContainerStatuses", "containerStatuses")
        for each in status.get(key) or []
    }
    return PodFacts(
        entrant=environment.get("SWARMRACE_ENTRANT") or UNKNOWN,
        peer=int(index),
        pod=head.get("name", UNKNOWN),
        node=spec.get("nodeName") or UNKNOWN,
        containers={
            each["name"]: _container(each, statuses.get(each["name"], {})) for each in specs
        },
    )


def _container(spec: Mapping[str, Any], status: Mapping[str, Any]) -> ContainerFacts:
    resources = spec.get("resources") or {}
    return ContainerFacts(
        image=spec.get("image") or UNKNOWN,
        digest=status.get("imageID") or UNKNOWN,
        ended=_ended(status),
        requests={k: str(v) for k, v in (resources.get("requests") or {}).items()},
        limits={k: str(v) for k, v in (resources.get("limits") or {}).items()},
    )


def _ended(status: Mapping[str, Any]) -> str:
    """Return how a container ended: the current one first, then the one it replaced."""
    for key in ("state", "lastState"):
        how = (status.get(key) or {}).get("terminated") or {}
        if how.get("exitCode"):
            return f"{how.get('reason') or 'Error'}, exit code {how['exitCode']}"
    return ""
