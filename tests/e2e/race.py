"""`make e2e`: scenarios/quick.yaml on the cluster in KUBECONFIG, from install to uninstall.

Not part of `make test` (pytest doesn't collect a module of this name). The tests run in order and
share one release: installed once, raced to its verdict, fetched, compared, uninstalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cluster
import pytest
import yaml
from cluster import ROOT, SWARMRACE, call, get, say, until
from release import Release, image_values

from databases import PROGRAMS, Database, assert_holds, started, wait_for
from live_page import Watched, is_over, watching_page
from swarmrace.plan.schedule import schedule
from swarmrace.scenario.loading import load

pytestmark = pytest.mark.timeout(1200)

RELEASE = "quick"
SCENARIO = ROOT / "scenarios/quick.yaml"
RACE_SECONDS = 900
START_SECONDS = float(os.environ.get("START_SECONDS") or "inf")
"""How soon the first transfer must begin: 10 on an idle cluster of your own. Without it the time is
printed and not judged, because it is as much the cluster's as ours."""
"""Maximum time from `helm install` to the first transfer; raise it on a busy machine."""


@dataclass
class Raced:
    """The release after its verdict, with both databases still up."""

    release: Release
    began: float = 0.0
    """Monotonic time just before `helm install`."""
    milestones: dict[str, float] = field(default_factory=dict)
    """Seconds since then at which each was first seen: at most a poll (0.1 s) late."""
    databases: dict[str, Database] = field(default_factory=dict)
    folder: Path = Path()
    results: Any = None
    verdict_log: str = ""
    watched: Watched = field(default_factory=Watched)
    """The live page, through a port-forward."""

    def reached(self, milestone: str) -> None:
        if milestone not in self.milestones:
            self.milestones[milestone] = time.monotonic() - self.began
            say(f"{self.milestones[milestone]:6.1f} s: {milestone}")


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Raced]:
    cluster.need("kubectl", "helm", *PROGRAMS)
    folder = tmp_path_factory.mktemp("e2e")
    with contextlib.ExitStack() as stack:
        namespace = stack.enter_context(cluster.namespace(f"swarmrace-e2e-{os.getpid()}"))
        release = Release(stack.enter_context(cluster.api()), RELEASE, namespace)
        race = Raced(release)
        address = cluster.address_for_pods()
        listen = {"prometheus": "127.0.0.1", "victoria-metrics": address}
        targets = configure(folder)
        for name in PROGRAMS:
            url = f"http://{listen[name]}:{cluster.free_port(listen[name])}"
            race.databases[name] = Database(name, url)
            stack.enter_context(started(folder, race.databases[name]))
        for database in race.databases.values():
            wait_for(database.is_up, f"{database.name}: {folder}/{database.name}.log")
        values = write_values(folder, race.databases["victoria-metrics"].url)
        race.began = time.monotonic()
        install = subprocess.Popen(
            release.command(SCENARIO, values),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        stack.callback(install.kill)
        may_begin = partial(race.milestones.__contains__, "first transfer")
        with watching_page(RELEASE, namespace, may_begin) as race.watched:
            watch(race, install, targets)
        # Peers linger until they have been scraped, then end by themselves.
        jobs = until("every peer's Job completes", 600, lambda: jobs_ended(race))
        assert set(jobs.values()) == {"Complete"}, jobs
        race.reached("all Jobs completed")
        race.databases["victoria-metrics"].get("/internal/force_flush")
        race.verdict_log = release.verdict(300)
        race.folder = folder / "results"
        race.results = release.fetch(race.folder)
        yield race


def configure(folder: Path) -> Path:
    """Write both databases' configurations; return the file with Prometheus' scrape targets.

    VictoriaMetrics scrapes nothing: metrics are pushed to it.
    """
    targets = folder / "targets.json"
    targets.write_text("[]")
    scrape = {
        "job_name": "swarmrace",
        "scrape_interval": "2s",
        "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    (folder / "victoria-metrics.yaml").write_text(yaml.safe_dump({"scrape_configs": []}))
    return targets


def write_values(folder: Path, push_url: str) -> Path:
    any_address = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]  # Prometheus runs outside the cluster
    values = {
        "global": {"image": image_values()},
        "monitoring": {"enabled": True, "from": any_address, "push": {"url": push_url}},
    }
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def watch(race: Raced, install: subprocess.Popen[str], targets: Path) -> None:
    """Follow the race until its verdict; add each new peer to Prometheus' scrape targets."""
    deadline, polled, written = race.began + RACE_SECONDS, 0.0, ""
    while True:
        if install.poll() is not None and "installed" not in race.milestones:
            output = install.communicate()[0]
            assert install.returncode == 0, f"helm install: {output}"
            race.reached("installed")
        if status := race.release.status():
            add_milestones(race, status)
        if time.monotonic() - polled > 1:
            polled = time.monotonic()
            found = scrape_targets(race.release)
            if found != written:
                written = found
                targets.with_suffix(".part").write_text(found)
                targets.with_suffix(".part").rename(targets)
            is_over = "race over" in race.milestones
            verdict = cluster.job_of(race.release.namespace, "verdict") if is_over else None
            if verdict and cluster.ended(verdict):
                race.reached("verdict")
                assert cluster.ended(verdict) == "Complete", "the verdict's Job failed"
                return
        assert time.monotonic() < deadline, f"no verdict within {RACE_SECONDS} s"
        time.sleep(0.1)


def add_milestones(race: Raced, status: dict[str, Any]) -> None:
    race.reached("tracker answers")
    run = status["run"] or {}
    if status["started"]:
        race.reached("all peers have reported")
    if run.get("barrier") in ("raced", "cleared") or status["closed"]:
        race.reached("first transfer")
    if status["over"]:
        race.reached("race over")


def scrape_targets(release: Release) -> str:
    """Return the pods behind the annotated Service, in Prometheus' file format.

    Debian's Prometheus has no Kubernetes service discovery. It scrapes through the API server,
    which is reachable wherever KUBECONFIG points.
    """
    api, inside = release.api, release.inside
    service = api.get(f"/api/v1/{inside}/services/{RELEASE}-scrape")
    if not service.is_success:
        return "[]"
    about = service.json()["metadata"]["annotations"]
    assert about["prometheus.io/scrape"] == "true"
    port, path = about["prometheus.io/port"], about["prometheus.io/path"]
    slices = api.get(
        f"/apis/discovery.k8s.io/v1/{inside}/endpointslices",
        params={"labelSelector": f"kubernetes.io/service-name={RELEASE}-scrape"},
    ).json()["items"]
    pods = sorted(
        endpoint["targetRef"]["name"]
        for part in slices
        for endpoint in part["endpoints"] or ()
        if "targetRef" in endpoint
    )
    here = f"{api.base_url.host}:{api.base_url.port}"
    return json.dumps(
        [
            {
                "targets": [here],
                "labels": {
                    "__metrics_path__": f"/api/v1/{inside}/pods/{pod}:{port}/proxy{path}",
                    "instance": pod,
                },
            }
            for pod in pods
        ]
    )


def jobs_ended(race: Raced) -> dict[str, str] | None:
    jobs = get("jobs", "-n", race.release.namespace)
    ends = {job["metadata"]["name"]: cluster.ended(job) for job in jobs}
    return ends if all(ends.values()) else None  # type: ignore[return-value]


def test_every_run_was_raced_and_every_byte_verified(raced: Raced) -> None:
    scenario = load(SCENARIO)
    assert raced.results.info.status == "finished"
    assert raced.results.info.backend == "kubernetes"
    assert [run.result.run_id for run in raced.results.runs] == [r.id for r in schedule(scenario)]
    for run in raced.results.runs:
        assert run.result.status == "raced", run.result
        assert len(run.peers) == scenario.race.swarm_size
        for peer in run.peers.values():
            assert peer.outcome == "completed", peer
            if peer.role == "leecher":
                assert peer.transfer.verified
                assert peer.transfer.received_bytes == scenario.race.file_size
    nodes = {peer.node for peer in raced.results.info.peers}
    assert "" not in nodes, "every result records its peer's node"


def test_the_results_record_the_scenarios_race_id_and_the_release_hash(raced: Raced) -> None:
    assert raced.results.info.race_id == load(SCENARIO).race_id()
    assert raced.results.info.release_hash == raced.release.release_hash


def test_the_first_transfer_begins_soon(raced: Raced) -> None:
    worst = max(peer.clock_error_seconds for peer in raced.results.info.peers)
    swarm_size = load(SCENARIO).race.swarm_size
    lead = min(2.0, 0.1 + 0.002 * swarm_size + 2 * worst)  # docs/rendezvous.md, `ready`
    seconds = raced.milestones["first transfer"] + lead
    first = raced.results.runs[0].result
    say(f"phases of the first run: {first.phases}")
    say(f"from `helm install` to the first transfer: at most {seconds:.1f} s")
    assert seconds <= START_SECONDS, raced.milestones


def test_the_jobs_verdict_equals_that_of_the_fetched_folder(raced: Raced) -> None:
    shown = call(SWARMRACE, "show", "--full", raced.folder)
    print(shown)
    # Only `fetch`, which has the user's permissions, records images and limits.
    shown = re.sub(r"^  pods of [^)]*\)\s*?\n", "", shown, flags=re.MULTILINE)
    body = [line for line in shown.splitlines() if line.strip() and str(raced.folder) not in line]
    logged = raced.verdict_log.splitlines()
    assert len(body) > 10
    assert [line for line in body if line not in logged] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_databases_series_agree_with_the_results(raced: Raced, name: str) -> None:
    peers = [peer for run in raced.results.runs for peer in run.peers.values()]
    leechers = sum(peer.role == "leecher" for peer in peers)
    database = raced.databases[name]
    compared = assert_holds(database, peers, raced.release.release_hash, time.time(), window="1h")
    assert compared == leechers * 2 * 6
    scraped = database.ask("/api/v1/series", **{"match[]": 'swarmrace_run_info{job!=""}'})
    assert bool(scraped) == (name == "prometheus"), "only Prometheus scrapes"
    say(f"{name}: {len(peers)} results, {compared} marks agree with the results folder")


def test_the_live_page_shows_the_race_through_a_port_forward(raced: Raced) -> None:
    """With the command that `helm install` printed."""
    watched = raced.watched
    say(f"live page: {len(watched.events)} events, {watched.troubles or 'no interruption'}")
    assert "<title>" in watched.page
    about = watched.of("race")[0]
    scenario = load(SCENARIO)
    assert {each["name"] for each in about["entrants"]} == set(scenario.entrants)
    assert about["swarmSize"] == scenario.race.swarm_size
    now = watched.of("now")
    assert any(each["state"] == "racing" for each in now)
    assert any(each["run"] and max(each["run"]["held"], default=0) for each in now), "bytes moved"
    assert is_over(watched)
    secrets = get("secrets", "-n", raced.release.namespace)
    tokens = [
        b64decode(v).decode(errors="replace")
        for one in secrets
        for v in (one.get("data") or {}).values()
    ]
    shown = watched.page + json.dumps([each.data for each in watched.events])
    assert [token for token in tokens if token and token in shown] == [], "no token is shown"


def test_helm_test_passes(raced: Raced) -> None:
    call("helm", "test", RELEASE, "-n", raced.release.namespace, "--timeout", "300s")


def test_uninstall_leaves_nothing(raced: Raced) -> None:
    raced.release.uninstall()
    shutil.rmtree(raced.folder)
