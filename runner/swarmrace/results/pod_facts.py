"""What the pods of a race ran, as the cluster says: images with their digests, and limits.

A pod can't read its own image's digest, nor what its Job asked for. `swarmrace fetch` has the
rights of the user who installed the release, and leaves what it reads in `pods.json`.
What nobody has read is unknown; the chart's defaults are never put in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """As the pod asks for it."""
    digest: str = UNKNOWN
    """Of the image that runs, from the pod's status."""
    ended: str = ""
    """How it last ended otherwise than with exit code 0, as the pod's status says: `OOMKilled, exit
    code 137`; empty where it didn't."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    """As the pod asks for them; empty where it asks for none."""


class PodFacts(Model):
    """One peer's pod."""

    entrant: str
    peer: int
    pod: str
    node: str = UNKNOWN
    containers: dict[str, ContainerFacts] = {}


class PodsFile(Model):
    """`pods.json`."""

    source: str
    """Who has read it, and from what."""
    read_utc: str
    trouble: str = ""
    """Why it could not be read; empty where it could."""
    pods: list[PodFacts] = []
    """Pods that the cluster still had; of others everything is unknown."""


def from_kubernetes(items: list[Mapping[str, Any]], trouble: str = "") -> PodsFile:
    """Return what a list of pods says of a race's peers; other pods are left out."""
    pods = [found for item in items if (found := _pod(item)) is not None]
    return PodsFile(
        source="swarmrace fetch, from the pods' spec and status (kubectl get pods)",
        read_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        trouble=trouble,
        pods=sorted(pods, key=lambda pod: (pod.entrant, pod.peer, pod.pod)),
    )


def write(folder: Path, facts: PodsFile) -> None:
    """Leave the facts in a results folder."""
    atomic.write_bytes(folder / FILE, facts.model_dump_json(indent=1).encode())


def read(folder: Path) -> PodsFile | None:
    """Return the facts in a results folder, or None where there are none that can be read."""
    try:
        return PodsFile.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def lines(facts: PodsFile | None, entrants: list[str], peers: int) -> list[str]:
    """Return for people what each entrant's pods ran, and what is unknown."""
    if facts is None or facts.trouble:
        why = "nobody has read them; swarmrace fetch does" if facts is None else facts.trouble
        return [f"images and limits of the pods: {UNKNOWN} ({why})"]
    found = []
    for entrant in entrants:
        pods = [pod for pod in facts.pods if pod.entrant == entrant]
        described = " or ".join(dict.fromkeys(map(_text, pods))) or UNKNOWN
        missing = peers - len({pod.peer for pod in pods})
        gone = f"; of {missing} of {peers} pods {UNKNOWN}: they are gone" if missing else ""
        found.append(f"pods of {entrant}: {described}{gone}")
        found += [
            f"pod {entrant}-{pod.peer}: its container {name} ended: {each.ended}"
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
    told = {each["name"]: each.get("value", "") for each in runner.get("env") or []}
    statuses = {
        each.get("name"): each
        for key in ("initContainerStatuses", "containerStatuses")
        for each in status.get(key) or []
    }
    return PodFacts(
        entrant=told.get("SWARMRACE_ENTRANT") or UNKNOWN,
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
    """Return how a container ended, the present one before the one it replaced."""
    for key in ("state", "lastState"):
        how = (status.get(key) or {}).get("terminated") or {}
        if how.get("exitCode"):
            return f"{how.get('reason') or 'Error'}, exit code {how['exitCode']}"
    return ""
