"""`swarmrace begin`: nothing races before all of an app-of-apps' sweeps are checked."""

from __future__ import annotations

import json

import pytest
import yaml

from fake_cluster_api import cluster_api
from made_sweeps import attempt
from paths import ROOT
from swarmrace.backends.kubernetes.pod_api import PodApi
from swarmrace.cli import begin_run
from swarmrace.errors import Exit, ScenarioError, SweepError, UnavailableError
from swarmrace.sweep import applications, book

MATRIX = """
global:
  race: {seeders: 1, repetitions: 2, matrix: {swarmSize: [2, 3]}, fileSize: 1kB}
  entrants: {web: {kind: http}, bt: {kind: bittorrent}}
"""
CHECK = "/api/v1/namespaces/argocd/configmaps/argocd-cm"
SECRET = "/api/v1/namespaces/races/secrets/lab-token"
PATCH = yaml.safe_load((ROOT / "charts/app-of-apps/argocd/argocd-cm-patch.yaml").read_text())


@pytest.fixture
def api(tmp_path):
    (tmp_path / "account").mkdir()
    with cluster_api(tmp_path / "account") as server:
        yield server


@pytest.fixture
def listing(tmp_path):
    """Return a function that makes the chart's ConfigMap; `change` may alter it."""
    path = tmp_path / "made.yaml"
    path.write_text(MATRIX)

    def make(change=lambda sweep: None):
        data = yaml.safe_load(applications.listing([path]))
        change(data["sweeps"][0])
        file = tmp_path / "sweeps.json"
        file.write_text(json.dumps(data))
        return begin_run.read(file)

    return make


def test_a_sweeps_folder_is_begun_as_swarmrace_sweep_does(listing, tmp_path):
    begin_run.run(listing(), tmp_path)
    found = book.read(tmp_path / "made")
    assert [cell.name for cell in found.cells] == ["2x1-1kB", "3x1-1kB"]
    assert found.pins.backend == "kubernetes"
    assert found.pins.programs == dict.fromkeys(("web", "bt"), "runner localhost/swarmrace:0.1.0")


def test_begun_again_it_continues(listing, tmp_path):
    begin_run.run(listing(), tmp_path)
    before = (tmp_path / "made" / "sweep.json").read_bytes()
    begin_run.run(listing(), tmp_path)
    assert (tmp_path / "made" / "sweep.json").read_bytes() == before


def test_another_image_is_refused_once_something_counts(listing, tmp_path):
    def other(sweep):
        for part in (sweep["scenario"], *(cell["values"] for cell in sweep["cells"])):
            part["global"]["image"] = {"tag": "9.9.9"}

    begin_run.run(listing(), tmp_path)
    attempt(tmp_path / "made", "2x1-1kB")
    with pytest.raises(SweepError, match=r"swarmrace:0\.1\.0, found .*swarmrace:9\.9\.9"):
        begin_run.run(listing(other), tmp_path)


def test_every_fault_of_every_cell_is_reported_and_nothing_begins(listing, tmp_path):
    def faulty(sweep):
        for cell in sweep["cells"]:
            cell["values"]["tracker"] = {"storage": {"size": "1MiB"}}

    with pytest.raises(ScenarioError) as caught:
        begin_run.run(listing(faulty), tmp_path)
    assert {fault.key for fault in caught.value.faults} == {
        "2x1-1kb.tracker.storage.size",
        "3x1-1kb.tracker.storage.size",
    }
    assert not (tmp_path / "made").exists()


def test_an_edited_list_is_refused(listing, tmp_path):
    def edited(sweep):
        sweep["cells"][0]["values"]["global"]["race"]["fileSize"] = "2kB"

    with pytest.raises(SweepError, match="write the list again"):
        begin_run.run(listing(edited), tmp_path)


@pytest.mark.parametrize(
    "data", [{}, {begin_run.HEALTH_KEY: "hs = {}\nhs.status = obj.status.health.status"}]
)
def test_without_the_health_check_nothing_begins(listing, tmp_path, api, data):
    api.objects[CHECK] = {"data": data}
    cluster = PodApi(api.account, api.address)
    with pytest.raises(UnavailableError, match="all cells would race at once"):
        begin_run.run(listing(), tmp_path, health_check="argocd/argocd-cm", api=cluster)
    assert not (tmp_path / "made").exists()


def test_with_it_the_sweep_begins_and_the_token_is_made(listing, tmp_path, api):
    api.objects |= {CHECK: PATCH, SECRET: {}}
    cluster = PodApi(api.account, api.address)
    begin_run.run(
        listing(), tmp_path, health_check="argocd/argocd-cm", fill_secret="lab-token", api=cluster
    )
    assert book.exists(tmp_path / "made")
    assert api.objects[SECRET]["data"]["token"]


def test_the_command_reports_a_fault_in_one_line(listing, tmp_path, run_cli):
    listing(lambda sweep: sweep["cells"][0].update(id="0123456789"))
    result = run_cli("begin", str(tmp_path / "sweeps.json"), "--folder", str(tmp_path))
    assert result.exit_code == Exit.SWEEP_REFUSED
    assert result.stderr.count("\n") == 1
