"""The chart `monitoring`, rendered by Helm."""

from __future__ import annotations

import copy
import json
import re
import tarfile
from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from test_dashboard import RULE_CHECKS, check_rules

from helm_charts import ROOT
from live_race import CHART, dashboard
from swarmrace.backends.kubernetes import pods
from swarmrace.errors import ScenarioError
from swarmrace.scenario.cluster import METRICS_PORT
from swarmrace.scenario.loading import parse

RACE = {
    "global": {
        "race": {"swarmSize": 3, "fileSize": "1MB"},
        "entrants": {"bt": {"kind": "bittorrent"}, "base": {"kind": "http"}},
    }
}
OPERATORS = ROOT / "tests/data/operators"
"""Schemas of the operators' kinds, with their origin."""
PUSH_URL = "http://victoria:8428"
SCRAPES = {
    "annotations": "Service",
    "podMonitor": "PodMonitor",
    "serviceMonitor": "ServiceMonitor",
    "vmPodScrape": "VMPodScrape",
}


def values(**monitoring: Any) -> dict[str, Any]:
    return {**copy.deepcopy(RACE), "monitoring": {"enabled": True, **monitoring}}


def own(objects) -> list[dict[str, Any]]:
    """The objects of the chart `monitoring`."""
    chart = "helm.sh/chart"
    return [o for o in objects if o["metadata"]["labels"].get(chart, "").startswith("monitoring-")]


@pytest.fixture(scope="module")
def plain(render):
    """The race without monitoring."""
    return render(RACE)


@pytest.fixture(scope="module")
def by_default(render):
    return render(values())


@pytest.fixture(scope="module")
def everything(render):
    """Return a function that renders everything with one way to scrape."""

    @cache
    def rendered(scrape: str):
        return render(
            values(
                scrape=scrape,
                labels={"release": "stack"},
                rules={"enabled": True, "labels": {"team": "p2p"}},
                push={"url": PUSH_URL},
            )
        )

    return rendered


def test_renders_nothing_if_disabled(plain):
    assert own(plain) == []


def test_by_default_no_custom_resource_is_needed(by_default):
    found = {o["kind"]: o["apiVersion"] for o in own(by_default)}
    assert found == {"Service": "v1", "ConfigMap": "v1"}


@pytest.mark.parametrize("scrape", [*SCRAPES, "none"])
def test_one_value_chooses_how_peers_are_found(everything, scrape):
    objects = everything(scrape)
    found = [o for o in own(objects) if o["kind"] in SCRAPES.values()]
    if scrape == "none":
        assert found == []
        return
    (only,) = found
    assert only["kind"] == SCRAPES[scrape]
    spec, selector = only["spec"], only["spec"]["selector"]
    selector = selector.get("matchLabels", selector)
    services = [o for o in objects.of("Service") if o not in found]
    headless = [o for o in services if o["spec"].get("clusterIP") == "None"]
    if scrape == "serviceMonitor":
        chosen = headless
        others = [o for o in services if o not in headless]
    else:
        chosen = [o["spec"]["template"] for o in objects.of("Job") if o not in verdicts(objects)]
        others = [o["spec"]["template"] for o in (*objects.of("Deployment"), *verdicts(objects))]
    assert (len(headless), len(chosen)) == (2, 2)
    assert others
    assert all(selector.items() <= o["metadata"]["labels"].items() for o in chosen)
    assert not any(selector.items() <= o["metadata"]["labels"].items() for o in others)
    assert objects.release_hash in selector["app.kubernetes.io/part-of"]
    if scrape == "annotations":
        annotations = only["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(METRICS_PORT)
        assert annotations["prometheus.io/scrape"] == "true"
        return
    assert only["metadata"]["labels"]["release"] == "stack"
    (endpoint,) = spec.get("podMetricsEndpoints", spec.get("endpoints"))
    assert endpoint == {"port": "metrics", "path": "/metrics", "interval": "2s"}
    ports = [port for o in chosen for port in ports_of(o)]
    assert [port["name"] for port in ports] == ["metrics", "metrics"]


def ports_of(o: dict[str, Any]) -> list[dict[str, Any]]:
    """The ports of a Service or of a pod template's first container."""
    return o["spec"]["ports"] if "ports" in o["spec"] else o["spec"]["containers"][0]["ports"]


def verdicts(objects) -> list[dict[str, Any]]:
    """Jobs that aren't peers: the verdict's and the hook's."""
    return [*objects.of("Job", "-verdict"), *objects.of("Job", "-judge")]


RULES = [("podMonitor", "PrometheusRule"), ("vmPodScrape", "VMRule")]


@pytest.mark.parametrize(("scrape", "kind"), RULES)
def test_rules_are_the_file_for_the_releases_own_race(everything, scrape, kind):
    objects = everything(scrape)
    rule = objects.one(kind)
    text = (CHART / "files/rules.yaml").read_text(encoding="utf-8")
    assert rule["spec"] == yaml.safe_load(text.replace('=~".+"', f'="{objects.release_hash}"'))
    assert rule["metadata"]["labels"]["team"] == "p2p"
    for one in rule["spec"]["groups"][0]["rules"]:
        selectors = re.findall(r"(?<![:\w])swarmrace_\w+(.{2})", one["expr"])
        assert selectors
        assert set(selectors) == {"{r"}, f"{one['record']} selects races of all releases"


@pytest.mark.parametrize(("scrape", "kind"), RULES)
@pytest.mark.parametrize("program", RULE_CHECKS)
def test_both_programs_accept_the_rendered_rules(everything, scrape, kind, program, tmp_path):
    check_rules(program, yaml.safe_dump(everything(scrape).one(kind)["spec"]), tmp_path)


def operators_schema(kind: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((OPERATORS / f"{kind}.json").read_text()))


@pytest.mark.parametrize("scrape", SCRAPES)
def test_operators_accept_what_is_rendered(everything, scrape):
    """By their own definitions, which refuse unknown keys."""
    found = [o for o in own(everything(scrape)) if "." in o["apiVersion"].partition("/")[0]]
    assert len(found) == (1 if scrape == "annotations" else 2)
    for thing in found:
        operators_schema(thing["kind"]).validate(thing)


def test_operators_refuse_a_typo(everything):
    thing = everything("podMonitor").one("PodMonitor")
    thing["spec"]["podMetricsEndpoints"][0]["intervall"] = "2s"
    with pytest.raises(ValidationError, match="intervall"):
        operators_schema("PodMonitor").validate(thing)


def test_a_dashboard_is_the_file_with_the_releases_own_values(render, by_default):
    (found,) = by_default.of("ConfigMap", "dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    ((name, text),) = found["data"].items()
    shown, file = json.loads(text), dashboard()
    assert name == "swarmrace-default-race.json"
    assert shown.pop("title") == "swarmrace: race in default"
    assert re.fullmatch("swarmrace-[0-9a-f]{10}", shown.pop("uid"))
    (race,) = (v for v in shown["templating"]["list"] if v["name"] == "race")
    assert race["current"]["value"] == by_default.release_hash
    race["current"] = {}
    for key in ("title", "uid"):
        file.pop(key)
    assert shown == file


def test_releases_share_no_dashboard(render):
    """Grafana's sidecar keeps one file for each name, and Grafana one dashboard for each uid."""
    seen: list[set[str]] = []
    for release, namespace in (("race", "lab"), ("other", "lab"), ("race", "lab2")):
        objects = render(values(), "--namespace", namespace, release=release)
        ((name, text),) = objects.one("ConfigMap", "dashboard")["data"].items()
        shown = json.loads(text)
        seen.append({name, shown["uid"], shown["title"]})
    again = render(values(), "--namespace", "lab", "--set", "global.race.attempt=2", release="race")
    ((name, text),) = again.one("ConfigMap", "dashboard")["data"].items()
    assert seen[0] == {name, json.loads(text)["uid"], json.loads(text)["title"]}
    assert len(set.union(*seen)) == 9


def test_the_dashboard_knows_the_scrape_interval(render):
    objects = render(values(intervalSeconds=7))
    (text,) = objects.one("ConfigMap", "dashboard")["data"].values()
    for panel in json.loads(text)["panels"]:
        for target in panel.get("targets", []):
            if target["range"]:
                assert target["interval"] == panel["interval"] == "7s"


def test_packages_hold_no_tests(checkout):
    packages = sorted((checkout / "charts/swarmrace/charts").glob("*.tgz"))
    assert "monitoring-0.1.0.tgz" in {package.name for package in packages}
    for package in packages:
        with tarfile.open(package) as archive:
            names = [name.partition("/")[2] for name in archive.getnames()]
        assert "Chart.yaml" in names
        found = [n for n in names if n.startswith(("tests/", "ci/")) or n.endswith(".gotmpl")]
        assert found == [], package.name


def test_monitoring_changes_neither_race_id_nor_any_pod(plain, everything):
    def pods(objects):
        return [o["spec"]["template"] for o in (*objects.of("Job"), *objects.of("Deployment"))]

    toggled = everything("podMonitor")
    assert plain.release_hash == toggled.release_hash
    assert pods(plain) == pods(toggled)
    environment = toggled.one("ConfigMap", "environment")["data"]
    assert environment["SWARMRACE_PUSH_URL"] == PUSH_URL
    assert environment["SWARMRACE_LINGER_SECONDS"] == "70"


@pytest.mark.parametrize(
    ("found", "least"),
    [
        ({"lingerSeconds": 3}, "9"),
        ({"lingerSeconds": 8.5, "scrape": "podMonitor"}, "9"),
        ({"intervalSeconds": 60}, "125"),
    ],
)
def test_a_linger_too_short_for_two_scrapes_is_refused(found, least):
    (said,) = pods.cluster_faults(parse(values(**found)))
    assert f"found {found.get('lingerSeconds', 70)}, expected at least {least}, or 0" in str(said)


@pytest.mark.parametrize(
    "found",
    [
        {"lingerSeconds": 9},
        {"lingerSeconds": 0},
        {"lingerSeconds": 3, "scrape": "none"},
        {"lingerSeconds": 3, "enabled": False},
        {"lingerSeconds": 245, "intervalSeconds": 120},
    ],
)
def test_a_linger_that_is_long_enough_or_off_is_accepted(render, found):
    assert pods.cluster_faults(parse(values(**found))) == []
    assert render(values(**found)).release_hash


def test_a_push_address_without_monitoring_is_refused(render):
    silent = values(enabled=False, push={"url": PUSH_URL})
    (fault,) = pods.cluster_faults(parse(silent))
    assert str(fault).startswith("monitoring.push.url: needs monitoring.enabled: true")
    alone = values(scrape="none", push={"url": f"{PUSH_URL}?extra_label=cluster=lab"})
    assert pods.cluster_faults(parse(alone)) == []
    (environment,) = [o for o in render(alone).of("ConfigMap") if "SWARMRACE_PUSH_URL" in o["data"]]
    assert environment["data"]["SWARMRACE_PUSH_URL"].endswith("?extra_label=cluster=lab")


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        *(({"scrape": how}, ["scrape"]) for how in ("podMonitor", "serviceMonitor", "vmPodScrape")),
        ({"rules": {"enabled": True}}, ["rules.enabled"]),
        ({"push": {"to": [{"namespaceSelector": {}}]}}, ["push.to"]),
        ({"push": {"port": 8428}}, ["push.port"]),
        (
            {"scrape": "podMonitor", "push": {"url": PUSH_URL}, "rules": {"enabled": True}},
            ["scrape", "push.url", "rules.enabled"],
        ),
    ],
)
def test_what_has_no_effect_without_monitoring_is_refused(asked, keys):
    silent = values(enabled=False, **asked)
    faults = pods.cluster_faults(parse(silent))
    assert [fault.key for fault in faults] == [f"monitoring.{key}" for key in keys]
    assert pods.cluster_faults(parse(values(**asked))) == []


@pytest.mark.parametrize("scrape", ["none", "annotations"])
def test_no_scrape_or_the_default_needs_no_monitoring(render, scrape):
    given = values(enabled=False, scrape=scrape)
    assert pods.cluster_faults(parse(given)) == []
    assert render(given).release_hash


def test_a_password_is_only_in_a_secret(render):
    """The address is in a ConfigMap. Peers use the Secret's, which comes after it."""
    refused = values(push={"url": "http://peer:secret@victoria:8428"})
    assert "push/url" in render(refused, refused=True)
    with pytest.raises(ScenarioError, match=r"monitoring\.push\.url"):
        parse(refused)
    objects = render(values(push={"url": PUSH_URL}), release="a" * 53)
    for job in objects.of("Job"):
        if job not in verdicts(objects):
            sources = job["spec"]["template"]["spec"]["containers"][0]["envFrom"]
            plain, secret = (next(iter(source.values())) for source in sources)
            base = plain["name"].removesuffix("-environment")
            assert base.startswith("aaa")
            assert secret == {"name": f"{base}-push", "optional": True}


def test_a_push_may_end_at_another_port_than_the_addresss(render):
    """A NetworkPolicy judges the port that a Service has translated."""
    to = [{"namespaceSelector": {}}]
    push = {"url": "http://victoria/", "to": to}
    for port, expected in ((None, 80), (8428, 8428)):
        policy = render(values(push={**push, "port": port})).one("NetworkPolicy", "peers")
        ports = [{"port": expected, "protocol": "TCP"}]
        assert {"to": to, "ports": ports} in policy["spec"]["egress"]


def test_a_long_release_name_still_fits(render):
    objects = own(render(values(scrape="podMonitor", rules={"enabled": True}), release="a" * 53))
    assert len(objects) == 3
    assert all(len(o["metadata"]["name"]) <= 63 for o in objects)
