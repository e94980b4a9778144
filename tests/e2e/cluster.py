"""The cluster in KUBECONFIG: asking it, and what a release has left in it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
SWARMRACE = ROOT / ".venv/bin/swarmrace"
IMAGE = os.environ.get("IMAGE") or "localhost/swarmrace:0.1.0"
KINDS = (
    "pods,jobs,deployments,replicasets,services,endpointslices,secrets,configmaps,"
    "persistentvolumeclaims,networkpolicies,serviceaccounts,roles,rolebindings"
)


def say(text: str) -> None:
    """A line in the run's output, with the time."""
    print(f"{time.strftime('%H:%M:%S')} e2e: {text}", flush=True)


def call(*command: Any, timeout: float = 300, cwd: Path = ROOT, env: Any = None) -> str:
    """Run a command to its end and return its output; what fails is shown whole."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True,
        timeout=timeout, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def need(*programs: str) -> None:
    """Fail when a program is absent."""
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        pytest.fail(
            f"expected {', '.join(absent)} on PATH; Debian has prometheus and victoria-metrics, "
            "kubectl and helm come with your cluster",
            pytrace=False,
        )
    try:
        call("kubectl", "get", "--raw", "/readyz", timeout=30)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.fail(
            "expected a cluster in KUBECONFIG (or start a helper cluster: $CLUSTER/up, then "
            f"$CLUSTER/in make e2e CLUSTER=...), found none that answers:\n{error}",
            pytrace=False,
        )


def get(kinds: str, *arguments: Any) -> list[dict[str, Any]]:
    return json.loads(call("kubectl", "get", kinds, *arguments, "-o", "json"))["items"]


def until(what: str, seconds: float, done: Callable[[], Any], every: float = 1.0) -> Any:
    """Ask until there is an answer, and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)
    return answer


@contextlib.contextmanager
def namespace(name: str) -> Iterator[str]:
    """A namespace of the test's own; what went wrong in it is shown before it goes."""
    call("kubectl", "create", "namespace", name)
    try:
        yield name
    except BaseException:
        diagnose(name)
        raise
    finally:
        subprocess.run(["kubectl", "delete", "namespace", name, "--timeout=180s"], check=False)


def diagnose(name: str) -> None:
    """Print what a person would look at first."""
    tail = ("--all-containers", "--prefix", "--tail=15", "--max-log-requests=40")
    for command in (
        ("get", "pods,jobs,pvc", "-o", "wide"),
        ("get", "events", "--sort-by=.lastTimestamp"),
        ("logs", "-l", "app.kubernetes.io/part-of", *tail),
    ):
        print(f"--- kubectl {' '.join(command)}")
        subprocess.run(["kubectl", "-n", name, *command], check=False, timeout=60)


def left_behind(name: str) -> list[str]:
    """Everything in a namespace but what each has by itself, and volumes made for it."""
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


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def address_for_pods() -> str:
    """This machine's address on the way to the nodes: what pods push to. E2E_ADDRESS overrides."""
    if given := os.environ.get("E2E_ADDRESS"):
        return given
    addresses = get("nodes")[0]["status"]["addresses"]
    node = next(one["address"] for one in addresses if one["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((node, 9))
        return probe.getsockname()[0]


@contextlib.contextmanager
def api() -> Iterator[httpx.Client]:
    """The cluster's API by `kubectl proxy`, whatever credentials KUBECONFIG has."""
    port = free_port("127.0.0.1")
    process = subprocess.Popen(
        ["kubectl", "proxy", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    base = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=base, timeout=10, trust_env=False) as client:

            def answers() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return client.get("/readyz").is_success
                return False

            until("kubectl proxy answers", 20, answers, 0.1)
            yield client
    finally:
        process.terminate()
        process.wait(10)


def job_of(name: str, component: str) -> dict[str, Any] | None:
    """The only Job of a component, if it is there."""
    jobs = get("jobs", "-n", name, "-l", f"app.kubernetes.io/component={component}")
    return jobs[0] if len(jobs) == 1 else None


def ended(job: dict[str, Any]) -> str | None:
    """How a Job ended: Complete, Failed or not yet."""
    for condition in job["status"].get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return condition["type"]
    return None
