"""What the umbrella renders: one release, one race."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm_charts import ROOT, Render, Rendered, call
from swarmrace.backends.kubernetes import cell_files, pods
from swarmrace.scenario.loading import load, parse

SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
CI = sorted((ROOT / "charts" / "swarmrace" / "ci").glob("*-values.yaml"))
TWO = {"bittorrent": {"kind": "bittorrent"}, "http": {"kind": "http"}}
ALL = {**TWO, "codex": {"kind": "codex"}, "storage": {"kind": "codex", "family": "storage"}}


def values(entrants: dict[str, Any] | None = None, race: Any = None, **more: Any) -> dict[str, Any]:
    shared = more.pop("shared", {})
    return {"global": {"race": race or {}, "entrants": entrants or TWO, **shared}, **more}


def pod_specs(rendered: Rendered) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(name, pod metadata, pod spec) of everything that makes pods."""
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
    names = ("bittorrent", "codex", "common", "http", "monitoring", "tracker")
    assert built == {f"{name}-0.1.0.tgz" for name in names}
    assert not (checkout / "charts" / "tracker" / "charts").exists(), "one build must do"
    rendered = render(ROOT / "scenarios" / "quick.yaml")
    assert set(peers(rendered)) == {"bittorrent", "http"}


def test_every_entrant_is_an_indexed_job_with_a_headless_service(render: Render) -> None:
    rendered = render(values(ALL, {"swarmSize": 8, "seeders": 2}))
    scenario = parse(values(ALL, {"swarmSize": 8, "seeders": 2}))
    assert set(peers(rendered)) == set(ALL)
    for entrant, job in peers(rendered).items():
        name = pods.job_name("race", entrant, rendered.race_id)
        spec = job["spec"]
        assert job["metadata"]["name"] == name
        assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == (
            "Indexed",
            8,
            8,
        )
        assert spec["backoffLimitPerIndex"] == 0
        assert "maxFailedIndexes" not in spec, "it would end the others when one peer fails"
        assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"FailIndex"}
        assert spec["activeDeadlineSeconds"] == pods.deadline_seconds(scenario)
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        service = rendered.one("Service", name)
        labels = spec["template"]["metadata"]["labels"]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"].items() <= labels.items()
        assert labels["app.kubernetes.io/part-of"] == f"swarmrace-{rendered.race_id}"
        env = environment(spec["template"]["spec"]["containers"][0])
        assert env["SWARMRACE_ENTRANT"] == entrant
        assert env["SWARMRACE_RACE_ID"] == rendered.race_id


def test_the_pods_race_what_the_model_reads_from_the_file(render: Render) -> None:
    for file in SCENARIOS:
        scenario = load(file)
        if len(scenario.race.cells()) > 1 or pods.cluster_faults(scenario):
            continue
        rendered = render(file)
        text = rendered.one("ConfigMap", "-scenario")["data"]["scenario.json"]
        raced = parse(json.loads(text))
        assert raced.canonical() == pods.single_cell(scenario).canonical()
        assert raced.race_id() == pods.single_cell(scenario).race_id()


def test_helm_takes_the_cells_of_a_matrix_as_they_are_written(
    render: Render, tmp_path: Path
) -> None:
    cells = cell_files.write(ROOT / "scenarios" / "matrix.yaml", tmp_path)
    for file in (cells[0], cells[-1]):
        raced = json.loads(render(file).one("ConfigMap", "-scenario")["data"]["scenario.json"])
        assert parse(raced).canonical() == load(file).canonical()


def test_the_race_id_stands_everywhere(render: Render) -> None:
    rendered = render(values(ALL))
    race_id = rendered.race_id
    assert all(race_id in job["metadata"]["name"] for job in rendered.of("Job"))
    assert all(race_id in str(s["spec"]["selector"]) for s in rendered.of("Service"))
    tracker = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0]
    env = environment(tracker)
    assert env["SWARMRACE_RACE_ID"] == race_id
    assert race_id in env["SWARMRACE_DATA_DIR"]
    for _, _, spec in pod_specs(rendered):
        for container in spec["containers"] + spec.get("initContainers", []):
            assert environment(container).get("SWARMRACE_RACE_ID", race_id) == race_id
    assert race_id not in str(rendered.one("Deployment")["spec"]["selector"]), "it can't change"


@pytest.mark.parametrize(
    "monitoring",
    [
        {"enabled": True, "scrape": "annotations"},
        {"enabled": True, "push": {"url": "http://10.0.0.1:8428"}, "lingerSeconds": 9},
    ],
)
def test_monitoring_changes_no_pod_and_no_race(render: Render, monitoring: dict[str, Any]) -> None:
    plain, watched = render(values(ALL)), render(values(ALL, monitoring=monitoring))
    assert plain.race_id == watched.race_id
    assert plain.of("Job") == watched.of("Job")
    assert plain.of("Deployment") == watched.of("Deployment")
    assert not plain.of("ConfigMap", "-environment")
    linger = watched.one("ConfigMap", "-environment")["data"]["SWARMRACE_LINGER_SECONDS"]
    assert linger == str(monitoring.get("lingerSeconds", 70))


def test_an_attempt_makes_a_new_race_and_old_peers_reach_no_tracker(render: Render) -> None:
    one, two = render(values()), render(values(race={"attempt": 2}))
    assert one.race_id != two.race_id
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
    for _, _, spec in pod_specs(given):
        (secret,) = [v["secret"] for v in spec["volumes"] if "secret" in v]
        assert secret == {"secretName": "mine", "items": [{"key": "k", "path": "token"}]}


def test_all_entrants_have_the_same_resources(render: Render) -> None:
    shared = {"peers": {"resources": {"limits": {"cpu": "1111m", "memory": 1_000_000_001}}}}
    rendered = render(values(ALL, shared=shared | {"codex": {"nodePercent": 67}}))
    sums = [
        _summed(job["spec"]["template"]["spec"], kind)
        for job in peers(rendered).values()
        for kind in ("limits", "requests")
    ]
    assert sums[0]["cpu"] == 1111
    assert sums[0]["memory"] == 1_000_000_001
    assert all(found == sums[0] for found in sums[::2])
    assert all(found == sums[1] for found in sums[1::2])


def _summed(spec: dict[str, Any], kind: str) -> dict[str, int]:
    totals: dict[str, int] = {}
    sidecars = [c for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always"]
    for container in spec["containers"] + sidecars:
        for name, amount in container["resources"][kind].items():
            totals[name] = totals.get(name, 0) + int(amount.removesuffix("m"))
    return totals


def test_storage_follows_the_file(render: Render) -> None:
    rendered = render(values(ALL, {"fileSize": "1GB"}))
    scenario = parse(values(ALL, {"fileSize": "1GB"}))
    for job in peers(rendered).values():
        spec = job["spec"]["template"]["spec"]
        (work,) = [v for v in spec["volumes"] if v["name"] == "work"]
        assert int(work["emptyDir"]["sizeLimit"]) == pods.storage_bytes(scenario) > 2 * 10**9
        assert _summed(spec, "limits")["ephemeral-storage"] > pods.storage_bytes(scenario)
    claimed = render(values(shared={"peers": {"storage": {"kind": "persistentVolumeClaim"}}}))
    for job in peers(claimed).values():
        (work,) = [v for v in job["spec"]["template"]["spec"]["volumes"] if v["name"] == "work"]
        claim = work["ephemeral"]["volumeClaimTemplate"]["spec"]
        assert int(claim["resources"]["requests"]["storage"]) == pods.storage_bytes(parse(values()))


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
        (values({"a": {"kind": "bittorrent", "utpp": True}}), "'utpp' not allowed"),
        (values(traker={}), "'traker' not allowed"),
        (values(tracker={"storag": {}}), "'storag' not allowed"),
        (values(shared={"peers": {"resource": {}}}), "'resource' not allowed"),
        (values({"Big": {"kind": "http"}}), "'Big' not allowed"),
        (values({"a": {"kind": "synthetic"}}), "/global/entrants/a/kind"),
        (
            values(race={"matrix": {"swarmSize": [2, 4]}}),
            "global.race.matrix: found 2 cells, expected one",
        ),
        (
            values(race={"fileSize": "5GB", "swarmSize": 32, "repetitions": 30}),
            "tracker.storage.size: found 4294967296, expected at least",
        ),
        (
            values(
                ALL,
                shared={
                    "peers": {"resources": {"limits": {"cpu": "50m"}}},
                    "codex": {"nodePercent": 1},
                },
            ),
            "global.peers.resources.limits.cpu: found 50m, expected at least 100m",
        ),
        ({}, "found none, expected at least one"),
    ],
)
def test_wrong_values_are_refused_by_name(render: Render, wrong: Any, said: str) -> None:
    assert said in render(wrong, refused=True)


def test_all_faults_come_at_once_in_the_models_words(render: Render) -> None:
    wrong = values(
        {"a": {"kind": "bittorrent", "pieceSize": "20KiB"}},
        {"seeders": 9, "acceptance": [{"entrant": "b", "within": 1, "of": "a"}]},
    )
    output = render(wrong, refused=True)
    assert "scenario: 3 faults" in output
    with pytest.raises(Exception, match="3 faults") as caught:
        parse(copy.deepcopy(wrong))
    for fault in map(str, caught.value.faults):
        assert fault in output


@pytest.mark.parametrize("chart", ["tracker", "bittorrent", "codex", "http", "monitoring"])
def test_a_chart_alone_makes_nothing(helm: str, checkout: Path, chart: str, tmp_path: Path) -> None:
    alone = tmp_path / chart
    call("cp", "-r", checkout / "charts" / chart, alone)
    call("mkdir", "-p", alone / "charts")
    call("cp", "-r", checkout / "charts" / "common", alone / "charts" / "common")
    assert call(helm, "template", "x", alone).strip() == ""


def test_ct_installs_what_can_run_alone() -> None:
    config = yaml.safe_load((ROOT / "ct.yaml").read_text())
    charts = {path.parent.name for path in (ROOT / "charts").glob("*/Chart.yaml")}
    assert charts - set(config["excluded-charts"]) == {"swarmrace"}
