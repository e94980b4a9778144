"""`make e2e-sweep`: a matrix raced by real Argo Workflows, with failures, kills and resumption.

2 x 2 cells of small files with BitTorrent, HTTP and the Codex double. The infrastructure makes one
cell fail; the second workflow races only that cell.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
import pauses
import pytest
import verdict_jobs
import yaml
from cluster import ROOT, call, get, say, seconds_of, until

from swarmrace.integrity import verify
from swarmrace.sweep import state

pytestmark = [pytest.mark.timeout(4800)]

CHART = ROOT / "charts/sweep"
WORKFLOW_SECONDS = 1800
CELL_SECONDS = 600
"""For a cell beside other work: 6 peers with their nodes, on 2 cores."""
CONTROLLER = "workflow-controller"
REQUEUE = "DEFAULT_REQUEUE_TIME"
SHORT_REQUEUE_TIME = "2s"
LATE_SECONDS = 15.0
"""More than Argo's requeue time by default."""
Jobs = dict[str, verdict_jobs.VerdictJob]
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

    def await_end(self, name: str) -> str:
        """Wait for the workflow to end; return its phase."""

        def end_phase() -> str:
            phase = self.phase(name)
            return phase if phase in ("Succeeded", "Failed", "Error") else ""

        return until(f"workflow {name} ends", WORKFLOW_SECONDS, end_phase, 3)

    def nodes(self, name: str, template: str) -> list[dict[str, Any]]:
        nodes = self.workflow(name).get("status", {}).get("nodes", {}).values()
        return [n for n in nodes if n.get("templateName") == template and n["type"] == "Pod"]

    def fetch(self, name: str = "matrix") -> state.SweepState:
        return cluster.fetch_sweep(name, self.namespace, self.folder)


@pytest.fixture(scope="module")
def lab(sweep_image: str, double: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    cluster.need("kubectl", "helm")
    cluster.need_argo("Argo Workflows", "workflowtemplates.argoproj.io", "workflows")
    folder = tmp_path_factory.mktemp("sweep")
    values = {
        "name": "matrix",
        "scenario": {"global": {"race": RACE, "entrants": ENTRANTS}},
        "raceValues": {
            "global": {"sidecars": {"codex": {"image": double}}},
            # Without a claim of their own, trackers start seconds earlier.
            "tracker": {"storage": {"kind": "emptyDir"}},
        },
        "retries": 0,
        "claim": {"size": "2Gi"},
    }
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    with cluster.namespace(f"swarmrace-sweep-{os.getpid()}") as namespace:
        call("helm", "install", "lab", CHART, "-n", namespace, "-f", folder / "values.yaml")
        yield Lab(namespace, folder)


def _forbid_jobs(lab: Lab) -> None:
    """Add a quota of no Jobs, so that the next cell can't start."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full", "namespace": lab.namespace},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }
    file = lab.folder / "quota.json"
    file.write_text(json.dumps(quota))
    call("kubectl", "apply", "-f", file)


def test_three_cells_are_done_one_fails_and_only_that_one_is_raced_again(lab: Lab) -> None:
    with verdict_jobs.watched(lab.namespace) as jobs:
        name = lab.submit()
        # After the second cell, no Job can be created until a cell has failed.
        until("two cells are done", CELL_SECONDS * 2, lambda: len(_done(lab, name)) >= 2, 1)
        assert not _failed(lab, name), "a cell failed before any was hindered"
        _forbid_jobs(lab)
        until("a cell has failed", CELL_SECONDS, lambda: len(_failed(lab, name)) >= 1, 1)
        call("kubectl", "delete", "quota", "full", "-n", lab.namespace)
        assert lab.await_end(name) == "Failed"
        verdicts = jobs()
    assert len(lab.nodes(name, "cell")) == 4, "one step per cell, even after a failed one"
    first = lab.fetch()
    assert [len(cell.parts[0].attempts) for cell in first.cells] == [1, 1, 1, 1]
    missing = {part.cell.id for part in first.missing}
    assert len(missing) == 1
    failed_attempt = next(part.attempts[0] for part in first.missing)
    assert failed_attempt.why, "the reason is recorded"
    unfinished = "\n> **"
    assert unfinished in (first.folder / "report/report.md").read_text()
    _print_pauses(lab, name, first, verdicts)

    again = lab.submit()
    assert lab.await_end(again) == "Succeeded"
    raced = lab.nodes(again, "cell")
    assert len(raced) == 1, "only the missing cell"
    second = lab.fetch()
    assert not second.missing
    assert unfinished not in (second.folder / "report/report.md").read_text()
    assert (second.folder / "report/report.html").stat().st_size > 10_000
    for cell in second.cells:
        counted = [each for part in cell.parts for each in [part.counted] if each]
        assert len(counted) == 1
        assert verify.verify(counted[0].folder).sound
        attempts = len(cell.parts[0].attempts)
        assert attempts == (2 if cell.cell.id in missing else 1)
    assert _releases(lab) == {}, "no release is left"


def test_a_killed_step_and_a_terminated_workflow_lose_nothing(lab: Lab) -> None:
    _upgrade(lab, yaml.safe_load((lab.folder / "values.yaml").read_text()) | {"name": "killed"})
    name = lab.submit()
    pod = until("a cell is raced", CELL_SECONDS, lambda: _racing(lab, name), 1)
    call("kubectl", "delete", "pod", pod, "-n", lab.namespace, "--grace-period=0", "--force")
    say("killed the step's pod")
    # It waits until the killed one's lease is stale, and removes its release first.
    until("another cell is raced", CELL_SECONDS, lambda: _racing(lab, name, but=pod), 1)
    stop = {"spec": {"shutdown": "Terminate"}}
    call("kubectl", "patch", "workflow", name, "-n", lab.namespace, "--type=merge", "-p",
         json.dumps(stop))  # fmt: skip
    lab.await_end(name)
    again = lab.submit()
    assert lab.await_end(again) == "Succeeded"
    found = lab.fetch("killed")
    assert not found.missing
    assert len(found.cells) == 4
    for cell in found.cells:
        assert cell.parts[0].counted is not None
    assert _releases(lab) == {}


def test_a_killed_controller_goes_on_where_it_was(lab: Lab) -> None:
    _upgrade(lab, yaml.safe_load((lab.folder / "values.yaml").read_text()) | {"name": "controller"})
    with verdict_jobs.watched(lab.namespace) as jobs:
        name = lab.submit()
        until("a cell is raced", CELL_SECONDS, lambda: _racing(lab, name), 1)
        _kill_controller()
        assert lab.await_end(name) == "Succeeded"
        verdicts = jobs()
    assert len(lab.nodes(name, "cell")) == 4, "no step was repeated"
    found = lab.fetch("controller")
    assert [len(cell.parts[0].attempts) for cell in found.cells] == [1, 1, 1, 1]
    assert not found.missing
    _print_pauses(lab, name, found, verdicts)


def test_a_cron_workflow_begins_a_folder_of_its_own(lab: Lab) -> None:
    """With a minute for a night: the sweep lasts longer, so the next night's isn't started."""
    values = yaml.safe_load((lab.folder / "values.yaml").read_text())
    race = {**RACE, "matrix": {"swarmSize": [2], "fileSize": ["1MB", "2MB"], "seeders": [1]}}
    values |= {"scenario": {"global": {"race": race, "entrants": ENTRANTS}}}
    values["cron"] = {"enabled": True, "schedules": ["* * * * *"]}
    _upgrade(lab, values)
    started = until("a night's workflow starts", 180, lambda: _nightly(lab), 2)
    (name,) = started
    began = seconds_of(lab.workflow(name)["metadata"]["creationTimestamp"])
    while time.time() < began + 130 and _runs(lab, name):
        found = _nightly(lab)
        assert found == started or not _runs(lab, name), "a second one was started beside it"
        time.sleep(2)
    _upgrade(lab, {**values, "cron": {**values["cron"], "suspend": True}})
    say(f"one night's workflow ran for {(time.time() - began) / 60:.1f} nights")
    assert {lab.await_end(each) for each in _nightly(lab)} == {"Succeeded"}
    ended = seconds_of(lab.workflow(name)["status"]["finishedAt"])
    assert ended - began > 60, "it ended within its night, so none was left out: take more cells"
    tag = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    found = lab.fetch(f"matrix-{tag}-{time.strftime('%Y%m%d', time.gmtime(began))}")
    assert len(found.cells) == 2
    assert not found.missing


def test_the_claim_outlives_the_release(lab: Lab) -> None:
    call("helm", "uninstall", "lab", "-n", lab.namespace, "--wait")
    assert [each["metadata"]["name"] for each in get("pvc", "-n", lab.namespace)] == ["lab-sweep"]
    assert not lab.fetch().missing


def _upgrade(lab: Lab, values: dict[str, Any]) -> None:
    file = lab.folder / f"{values['name']}.yaml"
    file.write_text(yaml.safe_dump(values))
    call("helm", "upgrade", "lab", CHART, "-n", lab.namespace, "-f", file)


def _runs(lab: Lab, name: str) -> bool:
    return lab.phase(name) in ("", "Pending", "Running")


def _nightly(lab: Lab) -> list[str]:
    """Return the names of the workflows that the CronWorkflow has started."""
    label = "workflows.argoproj.io/cron-workflow=lab-sweep"
    return [each["metadata"]["name"] for each in get("workflows", "-n", lab.namespace, "-l", label)]


def _by_phase(lab: Lab, name: str, *phases: str) -> list[str]:
    return [n["id"] for n in lab.nodes(name, "cell") if n.get("phase") in phases]


def _done(lab: Lab, name: str) -> list[str]:
    return _by_phase(lab, name, "Succeeded")


def _failed(lab: Lab, name: str) -> list[str]:
    return _by_phase(lab, name, "Failed", "Error")


def _racing(lab: Lab, name: str, but: str = "") -> str:
    """Return the pod of the cell that is being raced (its release is younger than the pod), other
    than `but`; an empty string if there is none."""
    found = get("pods", "-n", lab.namespace, "-l", f"workflows.argoproj.io/workflow={name}")
    installed = max(_releases(lab).values(), default=0.0)
    for pod in found:
        head = pod["metadata"]
        running = pod["status"].get("phase") == "Running"
        if "-cell-" not in head["name"] or head["name"] == but or not running:
            continue
        if installed > seconds_of(head["creationTimestamp"]):
            return head["name"]
    return ""


def _releases(lab: Lab) -> dict[str, float]:
    """Return when the cells' releases that exist were installed."""
    found = cluster.helm_releases(lab.namespace)
    return {name: installed for name, installed in found.items() if name != "lab"}


def _kill_controller() -> None:
    """Kill the workflow controller: its pods, which are replaced, or the helper cluster's process,
    which is started again after a while, with the requeue time that docs/sweeps.md recommends."""
    pods = get("pods", "-A", "-l", f"app={CONTROLLER}")
    for pod in pods:
        head = pod["metadata"]
        call("kubectl", "delete", "pod", head["name"], "-n", head["namespace"],
             "--grace-period=0", "--force")  # fmt: skip
    if not pods:
        folder, pid = os.environ.get("CLUSTER", ""), _controllers_pid_file()
        if not folder or not pid.exists():
            pytest.fail(
                f"found no pods with app={CONTROLLER} and no helper cluster (CLUSTER), expected "
                "one of them: the controller can't be killed",
                pytrace=False,
            )
        os.kill(int(pid.read_text()), signal.SIGKILL)
        time.sleep(10)
        argo = Path(folder) / "argo"
        call(ROOT / "tests/e2e/outside", argo, "workflows", env={REQUEUE: SHORT_REQUEUE_TIME})
    say("killed the controller; it runs again")


def _print_pauses(lab: Lab, name: str, found: state.SweepState, jobs: Jobs) -> None:
    """Print the time from each cell's verdict to the first transfer of the cell raced right after
    it, and each part of it.

    The goal is a median of at most 20 s.
    """
    raced = {cell.cell.id: cell.results() for cell in found.cells if cell.begun}
    steps = sorted(lab.nodes(name, "cell"), key=lambda node: node["startedAt"])
    say(f"Argo's requeue time: {_requeue_time()}")
    seconds = []
    for before, after in itertools.pairwise(steps):
        first, second = (raced.get(_cell_id(step)) for step in (before, after))
        verdict = jobs.get(first.info.release_hash) if first else None
        following = jobs.get(second.info.release_hash) if second else None
        if second is None or verdict is None or following is None:
            continue  # a cell that was hindered
        seconds.append(pauses.first_transfer(second) - verdict.complete)
        argo = {
            "its step ends": seconds_of(before["finishedAt"]),
            "the next step begins": seconds_of(after["startedAt"]),
        }
        say(pauses.describe({**pauses.between(verdict, following, second), **argo}))
        if argo["the next step begins"] - argo["its step ends"] > LATE_SECONDS:
            say("the controller saw the step's end late: its watch of pods may be broken "
                "(docs/sweeps.md, RequestWatchProgress)")  # fmt: skip
    assert seconds, "no cell was raced right after another one"
    say(
        f"from a cell's verdict to the next first transfer: {statistics.median(seconds):.0f} s "
        f"(median of {', '.join(f'{each:.0f}' for each in seconds)})"
    )


def _cell_id(step: dict[str, Any]) -> str:
    given = {each["name"]: each.get("value", "") for each in step["inputs"]["parameters"]}
    return given["id"]


def _requeue_time() -> str:
    """Return how the controller is set, if that can be read."""
    for pod in get("pods", "-A", "-l", f"app={CONTROLLER}"):
        env = pod["spec"]["containers"][0].get("env") or []
        return next((e["value"] for e in env if e["name"] == REQUEUE), "10s (default)")
    pid = _controllers_pid_file()
    if not pid.exists():
        return "unknown"
    environment = Path(f"/proc/{pid.read_text().strip()}/environ").read_text().split("\0")
    values = [each.partition("=")[2] for each in environment if each.startswith(f"{REQUEUE}=")]
    return values[0] if values else "10s (default)"


def _controllers_pid_file() -> Path:
    """Return where a helper cluster keeps the id of the controller's process."""
    home = Path(os.environ.get("CLUSTER_HOME") or "/var/tmp/one-node-cluster")
    return home / "pid" / CONTROLLER
