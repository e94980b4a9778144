"""Fetches a sweep's folder from its claim, with a temporary pod."""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swarmrace.backends.kubernetes.fetch import run, unpack
from swarmrace.backends.kubernetes.tools import Tools
from swarmrace.errors import ResultsError, UnavailableError

LABEL = "app.kubernetes.io/component=sweep"
"""Label of the claims that hold sweeps (charts `sweep` and `app-of-apps`)."""
IMAGE_ANNOTATION = "swarmrace/image"
"""Annotation of such a claim: the image that reads it."""
MOUNT = "/sweep"
_READY_SECONDS = 300.0


def fetch_sweep(
    tools: Tools, name: str, output: Path, claim: str | None, image: str | None
) -> None:
    """Fetch a sweep's folder.

    Args:
        tools: runs kubectl.
        name: the sweep's folder on the claim.
        output: the folder to create.
        claim: name of the claim; None for the namespace's only claim of a sweep.
        image: an image with swarmrace; None for the one that the claim names.

    Raises:
        UnavailableError: the claim doesn't exist, or no pod can read it.
        ResultsError: the sweep doesn't exist, the transfer was incomplete, or `output` exists.
    """
    if output.exists():
        raise ResultsError(f"{output}: already exists; remove it or name another with --output")
    found = _claim(tools, claim)
    image = image or found["metadata"].get("annotations", {}).get(IMAGE_ANNOTATION)
    if not image:
        raise UnavailableError(
            f"claim {found['metadata']['name']}: found no annotation {IMAGE_ANNOTATION}, expected "
            "an image; name an image with swarmrace with --image"
        )
    with _reader(tools, found["metadata"]["name"], image) as pod, tempfile.TemporaryFile() as out:
        archive = ["swarmrace", "archive", "--data-dir", f"{MOUNT}/{name}", "--sweep"]
        run(tools.kubectl_command("exec", pod, "--", *archive), out)
        out.seek(0)
        unpack(out, output, head="sweep.json")


def _claim(tools: Tools, name: str | None) -> dict[str, Any]:
    if name is not None:
        claim: dict[str, Any] = json.loads(tools.kubectl("get", "pvc", name, "-o", "json"))
        return claim
    items: list[dict[str, Any]] = json.loads(
        tools.kubectl("get", "pvc", "-l", LABEL, "-o", "json")
    )["items"]
    if len(items) == 1:
        return items[0]
    names = ", ".join(item["metadata"]["name"] for item in items) or "none"
    raise UnavailableError(
        f"claims that hold sweeps ({LABEL}): found {names}, expected one; name it with --claim and "
        "its namespace with --namespace"
    )


@contextlib.contextmanager
def _reader(tools: Tools, claim: str, image: str) -> Iterator[str]:
    """Yield the name of a pod that has mounted the claim; it is deleted afterwards."""
    name = f"swarmrace-fetch-{secrets.token_hex(4)}"
    tools.kubectl("create", "-f", "-", stdin=json.dumps(_pod(name, claim, image)))
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            pod = json.loads(tools.kubectl("get", "pod", name, "-o", "json"))
            if pod["status"].get("phase") == "Running":
                break
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"pod {name}: found it {pod['status'].get('phase')}, expected it to read claim "
                    f"{claim} within {_READY_SECONDS:.0f} s; see kubectl describe pod {name}"
                )
            time.sleep(1)
        yield name
    finally:
        tools.kubectl("delete", "pod", name, "--ignore-not-found", "--wait=false")


def _pod(name: str, claim: str, image: str) -> dict[str, Any]:
    nobody = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}
    container = {
        "name": "read",
        "image": image,
        "command": ["sleep", "3600"],
        "volumeMounts": [
            {"name": "sweep", "mountPath": MOUNT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "swarmrace"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {**nobody, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [
                {"name": "sweep", "persistentVolumeClaim": {"claimName": claim}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }
