"""Access to the cluster in KUBECONFIG, and the objects that a release has left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from swarmrace.sweep import state

ROOT = Path(__file__).resolve().parents[2]
SWARMRACE = ROOT / ".venv/bin/swarmrace"
IMAGE = os.environ.get("IMAGE") or "localhost/swarmrace:0.1.0"
KINDS = (
    "pods,jobs,deployments,replicasets,services,endpointslices,secrets,configmaps,"
    "persistentvolumeclaims,networkpolicies,serviceaccounts,roles,rolebindings"
)


def say(text: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')} e2e: {text}", flush=True)


def call(*command: Any, timeout: float = 600, cwd: Path = ROOT, env: Any = None) -> str:
    """Run a command and return its output; if it fails, the assertion shows all of its output."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True,
        timeout=timeout, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def need(*programs: str) -> None:
    """Fail if a program is missing or no cluster answers."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        pytest.fail(
            f"found no {', '.join(missing)} on PATH, expected all of {', '.join(programs)}; "
            "Debian packages prometheus and victoria-metrics, kubectl and helm come with your "
            "cluster",
            pytrace=False,
        )
    try:
        call("kubectl", "get", "--raw", "/readyz", timeout=120)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.fail(
            "found no cluster in KUBECONFIG that answers, expected one; or start a helper "
            f"cluster ($CLUSTER/up, then $CLUSTER/in make e2e CLUSTER=...):\n{error}",
            pytrace=False,
        )


def need_argo(name: str, resource: str, option: str) -> None:
    """Fail if the cluster lacks a part of Argo.

    Args:
        name: the part's name.
        resource: a resource that it defines.
        option: the part's name for the helper cluster.
    """
    try:
        call("kubectl", "get", "crd", resource)
    except AssertionError:
        pytest.fail(
            f"found no {name} in the cluster, expected it; install it "
            f"(helper cluster: $CLUSTER/argo {option})",
            False,
        )


def get(kinds: str, *arguments: Any) -> list[dict[str, Any]]:
    return json.loads(call("kubectl", "get", kinds, *arguments, "-o", "json"))["items"]


def until(what: str, seconds: float, done: Callable[[], Any], every: float = 1.0) -> Any:
    """Call `done` until it returns a true value, and return that."""
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)
    return answer


@contextlib.contextmanager
def namespace(name: str) -> Iterator[str]:
    """Yield a new namespace; on failure, print its state before it is deleted."""
    call("kubectl", "create", "namespace", name)
    try:
        yield name
    except BaseException:
        diagnose(name)
        raise
    finally:
        subprocess.run(["kubectl", "delete", "namespace", name, "--timeout=300s"], check=False)


def diagnose(name: str) -> None:
    """Print a namespace's pods, Jobs, events and logs."""
    tail = ("--all-containers", "--prefix", "--tail=15", "--max-log-requests=40")
    for command in (
        ("get", "pods,jobs,pvc", "-o", "wide"),
        ("get", "events", "--sort-by=.lastTimestamp"),
        ("logs", "-l", "app.kubernetes.io/part-of", *tail),
        ("logs", "-l", "workflows.argoproj.io/workflow", *tail),
    ):
        print(f"--- kubectl {' '.join(command)}")
        subprocess.run(["kubectl", "-n", name, *command], check=False, timeout=300)


def left_behind(name: str) -> list[str]:
    """Return the objects in a namespace, without Kubernetes' own, and the volumes bound to it."""
    found = [
        f"{thing['kind']} {thing['metadata']['name']}"
        for thing in get(KINDS, "-n", name)
        if (thing["kind"], thing["metadata"]["name"])
        not in {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
    ]
    for volume in get("persistentvolumes"):
        if (volume["spec"].get("claimRef") or {}).get("namespace") == name:
            found.append(f"PersistentVolume {volume['metadata']['name']}")
    return found


def helm_releases(namespace: str) -> dict[str, float]:
    """Return when each Helm release in a namespace was installed or upgraded last, in any state.

    Read from helm's own Secrets, because helm 3 and 4 list releases by different options.
    """
    found: dict[str, float] = {}
    for secret in get("secrets", "-n", namespace, "-l", "owner=helm"):
        name = secret["metadata"]["labels"]["name"]
        found[name] = max(found.get(name, 0.0), seconds_of(secret["metadata"]["creationTimestamp"]))
    return found


def seconds_of(text: str) -> float:
    """Return a time in ISO 8601 as Unix seconds."""
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def fetch_sweep(name: str, namespace: str, folder: Path) -> state.SweepState:
    """Fetch a sweep from its claim into a new folder below `folder`; return its state."""
    output = folder / f"fetched-{name}-{time.monotonic_ns()}"
    call(SWARMRACE, "fetch", "--sweep", name, "-n", namespace, "-o", output, timeout=400)
    return state.read(output)


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def address_for_pods() -> str:
    """Return this machine's address as the nodes reach it, for pods to push to.

    E2E_ADDRESS overrides it.
    """
    if address := os.environ.get("E2E_ADDRESS"):
        return address
    addresses = get("nodes")[0]["status"]["addresses"]
    node = next(one["address"] for one in addresses if one["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((node, 9))
        return probe.getsockname()[0]


@contextlib.contextmanager
def api() -> Iterator[httpx.Client]:
    """Yield a client of the cluster's API through `kubectl proxy`, which knows the credentials."""
    port = free_port("127.0.0.1")
    process = subprocess.Popen(
        ["kubectl", "proxy", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    base = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:

            def answers() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return client.get("/readyz").is_success
                return False

            until("kubectl proxy answers", 120, answers, 0.1)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def job_of(name: str, component: str) -> dict[str, Any] | None:
    """Return the only Job of a component, or None."""
    jobs = get("jobs", "-n", name, "-l", f"app.kubernetes.io/component={component}")
    return jobs[0] if len(jobs) == 1 else None


def ended(job: dict[str, Any]) -> str | None:
    """Return how a Job ended, `Complete` or `Failed`, or None."""
    for condition in job["status"].get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return condition["type"]
    return None


def states(pods: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    """Yield the states of these pods' containers that are of a kind: `running`, `terminated`."""
    for pod in pods:
        for status in pod["status"].get("containerStatuses") or ():
            if state := (status.get("state") or {}).get(kind):
                yield state
