"""`make e2e-app-of-apps`: real Argo CD races three scenarios one after another.

The second misses its acceptance. All become Synced and Healthy and stay so. The results are on the
claim before the next race starts, and remain there after the parent is deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argo_cd
import cluster
import pauses
import pytest
import yaml
from argo_cd import NAMESPACE, Application, Repository
from cluster import ROOT, SWARMRACE, call, get, say, seconds_of, until

from swarmrace.integrity import verify
from swarmrace.results.folder import Results
from swarmrace.sweep import state

pytestmark = [pytest.mark.timeout(4800), pytest.mark.usefixtures("image")]

PATCH = ROOT / "charts/app-of-apps/argocd/argocd-cm-patch.yaml"
PARENT = "lab"
NAMES = ("first", "second", "third")
CELLS = tuple(f"{PARENT}-{name}" for name in NAMES)
RACE_SECONDS = 1800
BUSY_SHARE = 0.01
"""Maximum share of a core that finished cells may use while the next one races."""
ENTRANTS = {
    "bittorrent": {"kind": "bittorrent", "profile": "tuned"},
    "http": {"kind": "http", "profile": "tuned"},
}
# A hundredth of HTTP's time: missed on every machine.
MISSED = {
    "race": {
        "repetitions": 6,
        "fileSize": "1MB",
        "acceptance": [{"entrant": "bittorrent", "within": 0.01, "of": "http"}],
    },
}


def scenario(**more: Any) -> dict[str, Any]:
    race = {
        "swarmSize": 3,
        "fileSize": "4MB",
        "repetitions": 2,
        "timeouts": {"assembleSeconds": 120, "settleSeconds": 5},
        **more.get("race", {}),
    }
    return {"global": {"race": race, "entrants": ENTRANTS}}


@dataclass
class Lab:
    """The parent and its cells."""

    namespace: str
    folder: Path
    repository: Repository
    parent: Application = field(default_factory=lambda: Application(PARENT))
    verdicts: dict[str, float] = field(default_factory=dict)
    """When each cell's verdict Job completed, by the cluster's clock."""

    def applications(self) -> list[str]:
        found = get("applications.argoproj.io", "-n", NAMESPACE, "-l", "swarmrace/sweep")
        return sorted(one["metadata"]["name"] for one in found)

    def verdict(self, cell: str) -> dict[str, Any] | None:
        label = f"app.kubernetes.io/instance={cell},app.kubernetes.io/component=verdict"
        jobs = get("jobs", "-n", self.namespace, "-l", label)
        return jobs[0] if len(jobs) == 1 else None

    def instants(self, before: str, after: str, results: Results) -> pauses.Instants:
        """Return what happened from a cell's verdict to the next one's first transfer."""

        def of(kind: str, cell: str, component: str) -> list[dict[str, Any]]:
            label = f"app.kubernetes.io/instance={cell},app.kubernetes.io/component={component}"
            return get(kind, "-n", self.namespace, "-l", label)

        listed = get("applications.argoproj.io", "-n", NAMESPACE, "-l", "swarmrace/sweep")
        applications = {one["metadata"]["name"]: one for one in listed}
        return {
            **pauses.of_verdict(of("jobs", before, "verdict")[0], of("pods", before, "verdict")),
            **pauses.of_health(applications[before]),
            **pauses.of_application(applications[after]),
            **pauses.of_peers(of("jobs", after, "peer"), of("pods", after, "peer")),
            **pauses.of_race(results),
        }

    def word(self, cell: str) -> str:
        job = self.verdict(cell)
        return job["metadata"]["labels"].get("swarmrace/verdict", "") if job else ""

    def all_healthy(self) -> bool:
        return all(
            Application(name).state() == ("Synced", "Healthy") for name in (*CELLS, PARENT)
        ) and all(map(self.word, CELLS))

    def fetch_results(self, name: str) -> Results:
        """Fetch the counted results of a one-cell sweep from the claim."""
        found = self.sweep(name)
        assert found.missing == ()
        (cell,) = found.cells
        return cell.results()

    def sweep(self, name: str) -> state.SweepState:
        return cluster.fetch_sweep(name, self.namespace, self.folder)


@contextlib.contextmanager
def health_check() -> Iterator[Callable[[], None]]:
    """Yield a function that adds the health check to argocd-cm; restore argocd-cm afterwards."""
    (key,) = yaml.safe_load(PATCH.read_text())["data"]
    found = json.loads(call("kubectl", "-n", NAMESPACE, "get", "cm", "argocd-cm", "-o", "json"))
    before = (found.get("data") or {}).get(key)

    def patch(*what: str) -> None:
        call("kubectl", "-n", NAMESPACE, "patch", "configmap", "argocd-cm", "--type=merge", *what)

    patch("-p", json.dumps({"data": {key: None}}))
    try:
        yield lambda: patch("--patch-file", str(PATCH))
    finally:
        patch("-p", json.dumps({"data": {key: before}}))


@pytest.fixture(scope="module")
def check() -> Iterator[Callable[[], None]]:
    argo_cd.need()
    with health_check() as put:
        yield put


@pytest.fixture(scope="module")
def lab(check: Callable[[], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("apps")
    repository = Repository.clone(folder / "repository")
    for name, given in zip(NAMES, ({}, MISSED, {"race": {"fileSize": "2MB"}}), strict=True):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(scenario(**given)))
    files = [folder / f"{name}.yaml" for name in NAMES]
    listed = call(SWARMRACE, "plan", *files, "--format", "argocd")
    (repository.path / "cells.yaml").write_text(listed)
    commit = repository.commit("List the cells")
    with cluster.namespace(f"swarmrace-apps-{os.getpid()}") as namespace:
        manifest = yaml.safe_load((ROOT / "examples/argo-cd/sweep.yaml").read_text())
        source = manifest["spec"]["source"]
        source["repoURL"] = repository.url
        source["helm"]["valuesObject"] |= {
            "source": {"repoURL": repository.url, "targetRevision": commit},
            "claim": {"size": "1Gi"},
            # Without a claim of their own, trackers start seconds earlier.
            "raceValues": {"tracker": {"storage": {"kind": "emptyDir"}}},
        }
        manifest["spec"]["destination"]["namespace"] = namespace
        path = folder / "parent.yaml"
        path.write_text(yaml.safe_dump(manifest))
        call("kubectl", "apply", "-f", path)
        made = Lab(namespace, folder, repository)
        try:
            yield made
        except BaseException:
            say(
                f"Argo CD's status: {json.dumps(made.parent.status().get('operationState'))[:4000]}"
            )
            raise
        finally:
            made.parent.end_sync()
            call("kubectl", "delete", "--ignore-not-found", "-f", path, timeout=600)


def test_without_the_health_check_nothing_races(lab: Lab) -> None:
    label = "app.kubernetes.io/component=begin"

    def refused() -> bool:
        with contextlib.suppress(AssertionError):  # its container isn't there yet
            log = call("kubectl", "-n", lab.namespace, "logs", "-l", label, "--tail=5")
            return "all cells would race at once" in log
        return False

    until("the first Job refuses to begin", 600, refused)
    assert lab.applications() == []


@pytest.fixture(scope="module")
def raced(lab: Lab, check: Callable[[], None]) -> Lab:
    """Race all three cells and watch the order of their waves."""
    check()  # Argo CD retries by itself
    began = time.monotonic()
    while not lab.all_healthy():
        for name in lab.applications():
            if name not in lab.verdicts and (job := lab.verdict(name)) and cluster.ended(job):
                assert cluster.ended(job) == "Complete", job["status"]
                lab.verdicts[name] = seconds_of(job["status"]["completionTime"])
                say(f"{time.monotonic() - began:5.0f} s: {name} {lab.word(name)}")
        seen = [name for name in CELLS if name in lab.applications()]
        waiting = [name for name in seen if name not in lab.verdicts]
        assert len(waiting) <= 1, f"raced at once: {waiting}"
        assert time.monotonic() - began < RACE_SECONDS, lab.parent.status()
        time.sleep(1)
    say(f"three races, all Synced and Healthy after {time.monotonic() - began:.0f} s")
    return lab


def test_one_race_after_another(raced: Lab) -> None:
    """By the results, no race's first transfer starts before the previous race's verdict."""
    found = [raced.fetch_results(name) for name in NAMES]
    starts = [pauses.first_transfer(each) for each in found]
    ends = [raced.verdicts[cell] for cell in CELLS]
    for before, after, results in zip(CELLS, CELLS[1:], found[1:], strict=False):
        say(f"{before} to {after}: {pauses.describe(raced.instants(before, after, results))}")
    assert sorted(ends) == ends
    seconds = [start - end for end, start in zip(ends, starts[1:], strict=False)]
    say(f"from a verdict to the next first transfer: {statistics.median(seconds):.0f} s (median of "
        f"{', '.join(f'{pause:.0f}' for pause in seconds)})")  # fmt: skip
    assert min(seconds) > 0, (ends, starts)


def test_the_verdicts_are_recorded_in_labels_and_results(raced: Lab) -> None:
    assert [raced.word(cell) for cell in CELLS] == ["complete", "missed", "complete"]
    for name in NAMES:
        found = raced.fetch_results(name)
        assert verify.verify(found.folder).sound
        verdict = json.loads((found.folder / "verdict.json").read_text())
        judged = [each["verdict"] for each in verdict["acceptance"]]
        assert judged == (["missed"] if name == "second" else [])
        assert (found.folder / "pods.json").exists()
        peers = [peer for run in found.runs for peer in run.peers.values()]
        assert {peer.outcome for peer in peers} == {"completed"}


def test_it_stays_synced_and_healthy(raced: Lab) -> None:
    """With self-heal and prune on for parent and cells; the pods that still run use no CPU."""
    running = {pod["metadata"]["name"]: pod for pod in get("pods", "-n", raced.namespace)}
    before = {name: cpu_seconds(raced.namespace, name) for name in running}
    began = time.monotonic()
    polls = argo_cd.stays_synced(raced.namespace, *CELLS, PARENT)
    seconds = time.monotonic() - began
    say(f"Synced and Healthy at {polls} polls in 2 minutes; nothing changed, no sync")
    used = sum(cpu_seconds(raced.namespace, name) - before[name] for name in running)
    still = [name for name, pod in running.items() if pod["status"]["phase"] == "Running"]
    say(f"three finished cells: {len(still)} pods run, {100 * used / seconds:.3f} % of a core")
    assert used / seconds < BUSY_SHARE, still


def test_a_raised_attempt_races_only_that_cell_again(raced: Lab) -> None:
    jobs = {cell: uid(raced.verdict(cell)) for cell in CELLS}
    listed = raced.repository.path / "cells.yaml"
    data = yaml.safe_load(listed.read_text())
    data["sweeps"][0]["cells"][0]["attempt"] = 2
    listed.write_text(yaml.safe_dump(data))
    raced.repository.commit("Race the first again")
    first, *others = CELLS

    def again() -> bool:
        job = raced.verdict(first)
        return bool(job) and uid(job) != jobs[first] and bool(raced.word(first))

    until("the first cell's second verdict", RACE_SECONDS, again)
    until("all Synced and Healthy", 600, raced.all_healthy)
    assert [uid(raced.verdict(cell)) for cell in others] == [jobs[cell] for cell in others]
    (cell,) = raced.sweep("first").cells
    assert [each.state for each in cell.parts[0].attempts] == ["done", "done"]
    attempts = [each.info.scenario["global"]["race"]["attempt"] for each in cell.parts[0].attempts]
    assert attempts == [1, 2]
    counted = cell.parts[0].counted
    assert counted is not None
    assert counted.number == 1


def test_deleting_the_parent_leaves_only_the_results(raced: Lab) -> None:
    began = time.monotonic()
    raced.parent.delete(300)
    assert raced.applications() == []
    claim = f"PersistentVolumeClaim {PARENT}-app-of-apps"

    def others() -> list[str]:
        remaining = cluster.left_behind(raced.namespace)
        return [thing for thing in remaining if thing != claim and not is_claims_volume(thing)]

    until("nothing else left", 600, lambda: not others())
    say(f"only the claim is left {time.monotonic() - began:.0f} s after the deletion")
    label = f"app.kubernetes.io/instance={PARENT}"
    assert get("roles,rolebindings", "-n", NAMESPACE, "-l", label) == []
    assert claim in cluster.left_behind(raced.namespace)
    for name in NAMES:
        assert verify.verify(raced.fetch_results(name).folder).sound


def uid(thing: dict[str, Any] | None) -> str:
    return thing["metadata"]["uid"] if thing else ""


def is_claims_volume(thing: str) -> bool:
    """Return whether an object is the volume of the remaining claim."""
    kind, _, name = thing.partition(" ")
    if kind != "PersistentVolume":
        return False
    found = json.loads(call("kubectl", "get", "pv", name, "-o", "json"))
    return found["spec"]["claimRef"]["name"] == f"{PARENT}-app-of-apps"


def cpu_seconds(namespace: str, pod: str) -> float:
    """Return the CPU seconds used by a pod's first container; 0 for one that has ended."""
    read = "cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null"
    done = subprocess.run(
        ["kubectl", "-n", namespace, "exec", pod, "--", "sh", "-c", read],
        capture_output=True, text=True,
    )  # fmt: skip
    words = done.stdout.split()
    if "usage_usec" in words:
        return int(words[words.index("usage_usec") + 1]) / 1e6
    return int(words[-1]) / 1e9 if words else 0.0
