"""`make e2e-sweep`: a matrix raced by the real Argo Workflows, hindered, killed and gone on with.

2 x 2 cells of small files with BitTorrent, HTTP and the Codex double. One cell is hindered by the
infrastructure; it is the only one that the second workflow races.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
import pytest
import yaml
from cluster import ROOT, SWARMRACE, call, get, say, until

from swarmrace.integrity import verify
from swarmrace.sweep import state

pytestmark = [pytest.mark.timeout(2400)]

CHART = ROOT / "charts/sweep"
WORKFLOW_SECONDS = 900
RACE: dict[str, Any] = {
    "repetitions": 1,
    "fileSize": "2MB",
    "timeouts": {"assembleSeconds": 90, "prepareSeconds": 60, "settleSeconds": 5},
    "matrix": {"swarmSize": [2, 3], "fileSize": ["1MB", "2MB"], "seeders": [1]},
}
ENTRANTS = {
    "bittorrent": {"kind": "bittorrent", "profile": "tuned"},
    "http": {"kind": "http", "profile": "tuned"},
    "codex": {"kind": "codex", "family": "codex"},
}


@dataclass
class Lab:
    """A namespace with the chart in it."""

    namespace: str
    folder: Path

    def submit(self, template: str = "lab-sweep") -> str:
        """Start a workflow from the template; return its name."""
        manifest = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": "sweep-", "namespace": self.namespace},
            "spec": {"workflowTemplateRef": {"name": template}},
        }
        file = self.folder / "workflow.json"
        file.write_text(json.dumps(manifest))
        name = call("kubectl", "create", "-f", file, "-o", "name").strip().rpartition("/")[2]
        say(f"workflow {name} submitted")
        return name

    def workflow(self, name: str) -> dict[str, Any]:
        found = call("kubectl", "get", "workflow", name, "-n", self.namespace, "-o", "json")
        return json.loads(found)

    def phase(self, name: str) -> str:
        return self.workflow(name).get("status", {}).get("phase", "")

    def ended(self, name: str) -> str:
        def look() -> str:
            phase = self.phase(name)
            return phase if phase in ("Succeeded", "Failed", "Error") else ""

        return until(f"workflow {name} ends", WORKFLOW_SECONDS, look, 3)

    def nodes(self, name: str, template: str) -> list[dict[str, Any]]:
        nodes = self.workflow(name).get("status", {}).get("nodes", {}).values()
        return [n for n in nodes if n.get("templateName") == template and n["type"] == "Pod"]

    def fetched(self, name: str = "matrix") -> state.SweepState:
        output = self.folder / f"fetched-{time.monotonic_ns()}"
        call(SWARMRACE, "fetch", "--sweep", name, "-n", self.namespace, "-o", output, timeout=400)
        return state.look(output)


@pytest.fixture(scope="module")
def lab(sweep_image: str, double: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    cluster.need("kubectl", "helm")
    try:
        call("kubectl", "get", "crd", "workflowtemplates.argoproj.io")
    except AssertionError:
        pytest.fail("expected Argo Workflows (helper cluster: $CLUSTER/argo workflows)", False)
    folder = tmp_path_factory.mktemp("sweep")
    values = {
        "name": "matrix",
        "scenario": {"global": {"race": RACE, "entrants": ENTRANTS}},
        "raceValues": {"global": {"sidecars": {"codex": {"image": double}}}},
        "retries": 0,
        "claim": {"size": "2Gi"},
    }
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    with cluster.namespace(f"swarmrace-sweep-{os.getpid()}") as namespace:
        call("helm", "install", "lab", CHART, "-n", namespace, "-f", folder / "values.yaml")
        yield Lab(namespace, folder)


def _too_small(lab: Lab) -> None:
    """Let no pod of the next cell start: a quota that leaves no room."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full", "namespace": lab.namespace},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }
    file = lab.folder / "quota.json"
    file.write_text(json.dumps(quota))
    call("kubectl", "apply", "-f", file)


def test_three_cells_are_done_one_failed_and_only_that_one_is_raced_again(lab: Lab) -> None:
    name = lab.submit()
    # Hindered by the infrastructure: while the second cell is raced, no Job may be created.
    until("the first cell is done", 400, lambda: len(_done(lab, name)) >= 1, 1)
    _too_small(lab)
    until("a cell is given up", 400, lambda: len(_failed(lab, name)) >= 1, 1)
    call("kubectl", "delete", "quota", "full", "-n", lab.namespace)
    assert lab.ended(name) == "Failed"
    assert len(lab.nodes(name, "cell")) == 4, "one step a cell, whatever became of the others"
    first = lab.fetched()
    assert [len(cell.parts[0].attempts) for cell in first.cells] == [1, 1, 1, 1]
    missing = {part.cell.id for part in first.missing}
    assert len(missing) == 1
    bad = next(part.attempts[0] for part in first.missing)
    assert bad.why, "the reason is on record"
    _print_pauses(lab, name)

    again = lab.submit()
    assert lab.ended(again) == "Succeeded"
    raced = lab.nodes(again, "cell")
    assert len(raced) == 1, "only the cell that was missing"
    second = lab.fetched()
    assert not second.missing
    for cell in second.cells:
        counted = [each for part in cell.parts for each in [part.counted] if each]
        assert len(counted) == 1
        assert verify.verify(counted[0].folder).sound
        attempts = len(cell.parts[0].attempts)
        assert attempts == (2 if cell.cell.id in missing else 1)
    assert _left(lab) == [], "no release is left"


def test_a_killed_step_and_a_terminated_workflow_lose_nothing(lab: Lab) -> None:
    values = yaml.safe_load((lab.folder / "values.yaml").read_text()) | {"name": "killed"}
    (lab.folder / "killed.yaml").write_text(yaml.safe_dump(values))
    call("helm", "upgrade", "lab", CHART, "-n", lab.namespace, "-f", lab.folder / "killed.yaml")
    name = lab.submit()
    until("a cell is raced", 300, lambda: _running(lab, name), 1)
    pod = _running(lab, name)[0]
    call("kubectl", "delete", "pod", pod, "-n", lab.namespace, "--grace-period=0", "--force")
    until("another cell is raced", 300, lambda: [p for p in _running(lab, name) if p != pod], 1)
    stop = {"spec": {"shutdown": "Terminate"}}
    call("kubectl", "patch", "workflow", name, "-n", lab.namespace, "--type=merge", "-p",
         json.dumps(stop))  # fmt: skip
    lab.ended(name)
    again = lab.submit()
    assert lab.ended(again) == "Succeeded"
    found = lab.fetched("killed")
    assert not found.missing
    assert len(found.cells) == 4
    for cell in found.cells:
        assert cell.parts[0].counted is not None
    assert _left(lab) == []


def test_the_claim_outlives_the_release(lab: Lab) -> None:
    call("helm", "uninstall", "lab", "-n", lab.namespace, "--wait")
    assert [each["metadata"]["name"] for each in get("pvc", "-n", lab.namespace)] == ["lab-sweep"]
    assert not lab.fetched().missing


def _by_phase(lab: Lab, name: str, *phases: str) -> list[str]:
    return [n["id"] for n in lab.nodes(name, "cell") if n.get("phase") in phases]


def _done(lab: Lab, name: str) -> list[str]:
    return _by_phase(lab, name, "Succeeded")


def _failed(lab: Lab, name: str) -> list[str]:
    return _by_phase(lab, name, "Failed", "Error")


def _running(lab: Lab, name: str) -> list[str]:
    """Pods of cells that are being raced: their release is there."""
    found = get("pods", "-n", lab.namespace, "-l", f"workflows.argoproj.io/workflow={name}")
    running = [p["metadata"]["name"] for p in found if p["status"].get("phase") == "Running"]
    return [pod for pod in running if "-cell-" in pod] if _left(lab) else []


def _left(lab: Lab) -> list[str]:
    output = subprocess.run(
        ["helm", "list", "-n", lab.namespace, "-q", "--all"], capture_output=True, text=True
    )
    return [line for line in output.stdout.split() if line != "lab"]


def _print_pauses(lab: Lab, name: str) -> None:
    """From one cell's end to the next one's begin, as Argo saw them."""
    nodes = sorted(lab.nodes(name, "cell"), key=lambda node: node["startedAt"])
    stamps = [(_seconds(n["startedAt"]), _seconds(n["finishedAt"])) for n in nodes]
    pauses = [b[0] - a[1] for a, b in itertools.pairwise(stamps)]
    say(f"between two cells' steps: {statistics.median(pauses):.0f} s (median of {len(pauses)})")


def _seconds(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
