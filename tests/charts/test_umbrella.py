"""What the umbrella renders: one release, one race."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deadlines import timeouts_seconds
from helm_charts import ROOT, Render, Rendered, call
from swarmrace.backends.kubernetes import cell_files, judge, pods
from swarmrace.errors import ScenarioError
from swarmrace.scenario.loading import load, parse
from swarmrace.scenario.scenario import Scenario, Timeouts
from swarmrace.units import parse_size

SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
CI = sorted((ROOT / "charts" / "swarmrace" / "ci").glob("*-values.yaml"))
TWO = {"bittorrent": {"kind": "bittorrent"}, "http": {"kind": "http"}}
ALL = {**TWO, "codex": {"kind": "codex"}, "storage": {"kind": "codex", "family": "storage"}}


TIMEOUTS = [field.alias for field in Timeouts.model_fields.values()]


def values(entrants: dict[str, Any] | None = None, race: Any = None, **more: Any) -> dict[str, Any]:
    shared = more.pop("shared", {})
    return {"global": {"race": race or {}, "entrants": entrants or TWO, **shared}, **more}


def pod_specs(rendered: Rendered) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, pod metadata and pod spec of every object that creates pods."""
    found = []
    for thing in rendered:
        if thing["kind"] == "Pod":
            found.append((thing["metadata"]["name"], thing["metadata"], thing["spec"]))
        elif thing["kind"] in ("Job", "Deployment"):
            template = thing["spec"]["template"]
            found.append((thing["metadata"]["name"], template["metadata"], template["spec"]))
    return found


def peers(rendered: Rendered) -> dict[str, dict[str, Any]]:
    """Entrant to its Job."""
    return {
        job["metadata"]["labels"]["swarmrace/entrant"]: job
        for job in rendered.of("Job")
        if "swarmrace/entrant" in job["metadata"]["labels"]
    }


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_a_clean_clone_renders_after_one_dependency_build(checkout: Path, render: Render) -> None:
    built = {path.name for path in (checkout / "charts" / "swarmrace" / "charts").iterdir()}
    names = ("common", "monitoring", "swarm", "tracker")
    assert built == {f"{name}-0.1.0.tgz" for name in names}
    assert not (checkout / "charts" / "tracker" / "charts").exists(), "one build must be enough"
    rendered = render(ROOT / "scenarios" / "quick.yaml")
    assert set(peers(rendered)) == {"bittorrent", "http"}


def test_every_entrant_is_an_indexed_job_with_a_headless_service(render: Render) -> None:
    rendered = render(values(ALL, {"swarmSize": 8, "seeders": 2}))
    scenario = parse(values(ALL, {"swarmSize": 8, "seeders": 2}))
    assert set(peers(rendered)) == set(ALL)
    for entrant, job in peers(rendered).items():
        name = f"race-{entrant}-{rendered.release_hash}"
        spec = job["spec"]
        assert job["metadata"]["name"] == name
        assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == (
            "Indexed",
            8,
            8,
        )
        assert spec["backoffLimitPerIndex"] == 0
        assert "maxFailedIndexes" not in spec, "it would end all peers if one fails"
        assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"FailIndex"}
        assert spec["activeDeadlineSeconds"] >= timeouts_seconds(scenario) + 900
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        service = rendered.one("Service", name)
        labels = spec["template"]["metadata"]["labels"]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"].items() <= labels.items()
        assert labels["app.kubernetes.io/part-of"] == f"swarmrace-{rendered.release_hash}"
        env = environment(spec["template"]["spec"]["containers"][0])
        assert env["SWARMRACE_ENTRANT"] == entrant
        assert env["SWARMRACE_RELEASE_HASH"] == rendered.release_hash
        assert env["SWARMRACE_RENDEZVOUS"] == f"http://race-tracker:8080/{rendered.release_hash}"


def single_cell(scenario: Scenario) -> Scenario:
    """The scenario with its only cell in the race's own keys."""
    (cell,) = scenario.race.cells()
    race = scenario.race.model_copy(update={**cell, "matrix": None})
    shared = scenario.global_.model_copy(update={"race": race})
    return scenario.model_copy(update={"global_": shared})


def test_the_pods_race_what_the_model_reads_from_the_file(render: Render) -> None:
    """So the race id, which swarmrace computes, is the same as on one machine."""
    for file in [*SCENARIOS, *CI]:
        scenario = load(file)
        if len(scenario.race.cells()) > 1 or pods.cluster_faults(scenario):
            continue
        text = render(file).one("ConfigMap", "-scenario")["data"]["scenario.json"]
        raced = parse(json.loads(text))
        assert raced.canonical() == single_cell(scenario).canonical()
        assert raced.race_id() == single_cell(scenario).race_id()


@pytest.mark.parametrize("file", CI, ids=lambda file: file.stem)
def test_the_values_that_the_tracker_and_the_hook_judge_are_sound(
    render: Render, file: Path
) -> None:
    rendered = render(file)
    texts = [
        o["data"]["values.json"] for o in rendered.of("ConfigMap") if "values.json" in o["data"]
    ]
    assert len(texts) == 2
    assert [judge.faults_of(json.loads(text)) for text in texts] == [[], []]


def test_helm_accepts_the_written_cells_of_a_matrix(render: Render, tmp_path: Path) -> None:
    cells = cell_files.write(ROOT / "scenarios" / "matrix.yaml", tmp_path)
    for file in (cells[0], cells[-1]):
        raced = json.loads(render(file).one("ConfigMap", "-scenario")["data"]["scenario.json"])
        assert parse(raced).canonical() == load(file).canonical()


def test_the_release_hash_is_everywhere(render: Render) -> None:
    rendered = render(values(ALL))
    release_hash = rendered.release_hash
    assert all(release_hash in job["metadata"]["name"] for job in rendered.of("Job"))
    assert all(release_hash in str(s["spec"]["selector"]) for s in rendered.of("Service"))
    tracker = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert environment(tracker)["SWARMRACE_DATA_DIR"] == f"/data/{release_hash}"
    for name, _, spec in pod_specs(rendered):
        (container,) = spec["containers"]
        found = environment({"env": [], **container}).get(
            "SWARMRACE_RENDEZVOUS", f"/{release_hash}"
        )
        assert found.endswith(f"/{release_hash}"), name
    for thing in rendered:
        labels = thing["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == f"swarmrace-{release_hash}"
    assert release_hash not in str(rendered.one("Deployment")["spec"]["selector"]), "can't change"


@pytest.mark.parametrize(
    "monitoring",
    [
        {"enabled": True, "scrape": "annotations"},
        {"enabled": True, "push": {"url": "http://10.0.0.1:8428"}, "lingerSeconds": 9},
    ],
)
def test_monitoring_changes_no_pod_and_no_race(render: Render, monitoring: dict[str, Any]) -> None:
    plain, watched = render(values(ALL)), render(values(ALL, monitoring=monitoring))
    assert plain.release_hash == watched.release_hash
    assert plain.of("Job") == watched.of("Job")
    assert plain.of("Deployment") == watched.of("Deployment")
    assert not plain.of("ConfigMap", "-environment")
    linger = watched.one("ConfigMap", "-environment")["data"]["SWARMRACE_LINGER_SECONDS"]
    assert linger == str(monitoring.get("lingerSeconds", 70))


def test_an_attempt_makes_a_new_race_and_old_peers_reach_no_tracker(render: Render) -> None:
    one, two = render(values()), render(values(race={"attempt": 2}))
    assert one.release_hash != two.release_hash
    names = [{job["metadata"]["name"] for job in r.of("Job")} for r in (one, two)]
    assert not names[0] & names[1]
    old_pods = one.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    new_service = two.one("Service", "-tracker")["spec"]["selector"]
    assert not new_service.items() <= old_pods.items()
    claims = [r.one("PersistentVolumeClaim") for r in (one, two)]
    assert claims[0]["metadata"]["name"] == claims[1]["metadata"]["name"]
    assert claims[0]["spec"] == claims[1]["spec"]


def test_the_token_enters_no_pod_template(render: Render) -> None:
    one, two = render(values(ALL)), render(values(ALL), fresh=True)
    tokens = [r.one("Secret")["data"]["token"] for r in (one, two)]
    assert tokens[0] != tokens[1], "without a cluster to look into it is random"
    assert len(tokens[0]) >= 40
    for rendered in (one, two):
        rendered.one("Secret")["data"].clear()
    assert list(one) == list(two)
    given = render(values(shared={"token": {"existingSecret": "mine", "key": "k"}}))
    assert not given.of("Secret")
    for name, _, spec in pod_specs(given):
        if name.endswith("-judge"):
            continue
        (secret,) = [v["secret"] for v in spec["volumes"] if "secret" in v]
        assert secret == {"secretName": "mine", "items": [{"key": "k", "path": "token"}]}


def test_all_entrants_have_the_same_resources_by_default(render: Render) -> None:
    sums = [
        _summed(job["spec"]["template"]["spec"], kind)
        for kind in ("limits", "requests")
        for job in peers(render(values(ALL))).values()
    ]
    assert sums[0]["cpu"] == 2000
    assert sums[0]["memory"] == 1024 * 1024**2
    assert all(found == sums[0] for found in sums[:4])
    assert all(found == sums[4] for found in sums[4:])


def test_a_nodes_and_its_runners_resources_are_plain_values(render: Render) -> None:
    share = {"limits": {"cpu": "1111m", "memory": "1G"}}
    shared = {"sidecars": {"codex": {"resources": share, "runnerResources": {"limits": None}}}}
    spec = peers(render(values(ALL, shared=shared)))["codex"]["spec"]["template"]["spec"]
    assert spec["initContainers"][0]["resources"]["limits"] == share["limits"]
    resources = spec["containers"][0]["resources"]
    assert set(resources) == {"requests"}
    assert {key: resources["requests"][key] for key in ("cpu", "memory")} == {
        "cpu": "5m",
        "memory": "32Mi",
    }


def _plain(name: str, amount: str) -> int:
    """Thousandths of a core, or bytes."""
    if name == "cpu":
        return int(amount[:-1]) if amount.endswith("m") else 1000 * int(amount)
    return parse_size(amount)


def _summed(spec: dict[str, Any], kind: str) -> dict[str, int]:
    totals: dict[str, int] = {}
    sidecars = [c for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always"]
    for container in spec["containers"] + sidecars:
        for name, amount in container["resources"][kind].items():
            if name != "ephemeral-storage":
                totals[name] = totals.get(name, 0) + _plain(name, amount)
    return totals


def test_storage_follows_the_file(render: Render) -> None:
    for size, size_bytes in (("1GB", 10**9), ("1.5GiB", 3 * 2**29), (7, 7), ("0.25Ki", 256)):
        for job in peers(render(values(ALL, {"fileSize": size}))).values():
            spec = job["spec"]["template"]["spec"]
            (work,) = [v for v in spec["volumes"] if v["name"] == "work"]
            found = int(work["emptyDir"]["sizeLimit"])
            assert found == int(2.25 * size_bytes + 256 * 2**20)
            assert found >= pods.needed_storage_bytes(size_bytes, beside_a_node=True)
            (runner,) = spec["containers"]
            assert environment(runner)["SWARMRACE_STORAGE"] == str(found)
            assert int(runner["resources"]["limits"]["ephemeral-storage"]) > found
    claim = {"kind": "persistentVolumeClaim", "size": "64MiB", "storageClassName": "fast"}
    for job in peers(render(values(shared={"peers": {"storage": claim}}))).values():
        (work,) = [v for v in job["spec"]["template"]["spec"]["volumes"] if v["name"] == "work"]
        spec = work["ephemeral"]["volumeClaimTemplate"]["spec"]
        assert spec["resources"]["requests"]["storage"] == str(64 * 2**20)
        assert spec["storageClassName"] == "fast"


def test_the_deadline_is_above_all_timeouts_and_can_be_set(render: Render) -> None:
    for race in (
        {"repetitions": 10, "timeouts": {"prepareSeconds": 0.1, "verifySeconds": 3000}},
        {"repetitions": 1, "timeouts": dict.fromkeys(TIMEOUTS, 0.7)},
        {"timeouts": {"assembleSeconds": 604_800}},
    ):
        longest = timeouts_seconds(parse(values(ALL, race)))
        for job in peers(render(values(ALL, race))).values():
            assert job["spec"]["activeDeadlineSeconds"] >= longest + 900
    given = values(shared={"peers": {"activeDeadlineSeconds": 77}})
    assert {job["spec"]["activeDeadlineSeconds"] for job in peers(render(given)).values()} == {77}


def test_long_release_names_still_fit(render: Render) -> None:
    entrant = "x" * 20
    rendered = render(values({entrant: {"kind": "http"}}), release="a" * 53)
    for thing in rendered:
        assert len(thing["metadata"]["name"]) <= 63
        for value in thing["metadata"]["labels"].values():
            assert len(value) <= 63
    (job,) = peers(rendered).values()
    assert len(f"{job['metadata']['name']}-999") <= 63


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (values(race={"seeders": 4}), "global.race.seeders: found 4, expected less than"),
        (values(race={"fileSizes": "1GB"}), "'fileSizes' not allowed"),
        (
            values(race={"matrix": {"swarmSize": [2, 4]}}),
            "global.race.matrix.swarmSize: found 2 values, expected one",
        ),
        (values({"a": {"kind": "http", "readSize": "1 mb"}}), "/global/entrants/a/readSize"),
        (values(shared={"entrant": {}}), "invalid propertyName 'entrant'"),
        (values(shared={"peers": {"resources": {"limits": {"cpu": "2 cores"}}}}), "2 cores"),
        ({}, "found none, expected at least one"),
    ],
)
def test_wrong_values_are_refused_by_name(render: Render, wrong: Any, said: str) -> None:
    assert said in render(wrong, refused=True)


def test_what_templates_refuse_the_model_refuses_in_the_same_words(render: Render) -> None:
    wrong = values(
        None, {"seeders": 9, "acceptance": [{"entrant": "bittorrent", "within": 1, "of": "a"}]}
    )
    output = render(wrong, refused=True)
    with pytest.raises(ScenarioError) as caught:
        parse(copy.deepcopy(wrong))
    assert len(caught.value.faults) == 2
    assert "scenario: 2 faults" in output
    for fault in caught.value.faults:
        assert str(fault) in output


def test_globals_of_other_charts_are_ignored(render: Render) -> None:
    shared = {"postgresql": {"auth": {}}, "storageClass": "fast", "imagePullSecrets": ["x"]}
    assert render(values(shared=shared)).release_hash == render(values()).release_hash


@pytest.mark.parametrize("chart", ["tracker", "swarm", "monitoring"])
def test_a_chart_by_itself_renders_nothing(
    helm: str, checkout: Path, chart: str, tmp_path: Path
) -> None:
    alone = tmp_path / chart
    call("cp", "-r", checkout / "charts" / chart, alone)
    call("mkdir", "-p", alone / "charts")
    call("cp", "-r", checkout / "charts" / "common", alone / "charts" / "common")
    assert call(helm, "template", "x", alone).strip() == ""


def test_ct_installs_what_can_be_installed() -> None:
    config = yaml.safe_load((ROOT / "ct.yaml").read_text())
    charts = {path.parent.name for path in (ROOT / "charts").glob("*/Chart.yaml")}
    assert charts - set(config["excluded-charts"]) == {"swarmrace"}
