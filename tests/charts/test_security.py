"""Pod security, NetworkPolicies and Kubernetes' own schemas, on what is rendered."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from helm_charts import ROOT, Render, Rendered
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from test_umbrella import ALL, CI, SCENARIOS, pod_specs, values

from swarmrace import pods
from swarmrace.scenario import load

VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
"""Kubernetes versions the charts say they take and for which there are schemas."""
RATES = {"network": {"upload": "40Mbit"}}
MONITORED = {
    "enabled": True,
    "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    "push": {"url": "http://10.1.2.3:8428/base"},
}


@pytest.mark.parametrize("file", [*CI, *SCENARIOS], ids=lambda f: f.stem)
def test_kubernetes_takes_what_is_rendered(render: Render, file: Path) -> None:
    scenario = load(file)
    if pods.cluster_faults(scenario):
        assert re.search(r"scenario: \d|/kind': value must be", render(file, refused=True))
        return
    for thing in render(file):
        for version in VERSIONS:
            schema = schema_of(thing["kind"], thing["apiVersion"], version)
            if schema is None:
                assert ".com/" in thing["apiVersion"], "only operators' kinds have none"
            else:
                schema.validate(thing)


@functools.cache
def schema_of(kind: str, api_version: str, version: str) -> Draft202012Validator | None:
    """Kubernetes' strict schema of a kind, as `kubernetes_validate.validate` finds it, but kept."""
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    try:
        schema = contents(f"{kind.lower()}-{group}", version)
    except FileNotFoundError:
        return None
    definitions = Resource.from_contents(contents("_definitions", version))
    registry = definitions @ (Resource.from_contents(schema) @ Registry())
    return Draft202012Validator(schema, registry=registry)


@functools.cache
def contents(name: str, version: str) -> Any:
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    return json.loads((folder / f"v{version}.0-local-strict" / f"{name}.json").read_text())


def faults_of_restricted(spec: dict[str, Any]) -> list[str]:
    """What the pod security level "restricted" forbids (kubernetes.io, Pod Security Standards)."""
    found = []
    pod = spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            found.append(key)
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
               "persistentVolumeClaim", "projected", "secret"}  # fmt: skip
    for volume in spec.get("volumes", []):
        if not (set(volume) - {"name"}) <= allowed:
            found.append(f"volume {volume['name']}")
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own, name = container.get("securityContext", {}), container["name"]
        capabilities = own.get("capabilities", {})
        checks = {
            "privileged": not own.get("privileged", False),
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities dropped": capabilities.get("drop") == ["ALL"],
            "capabilities added": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "non-root": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True,
            "user": own.get("runAsUser", pod.get("runAsUser")) != 0,
            "seccomp": (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
            in ("RuntimeDefault", "Localhost"),
            "host ports": not any("hostPort" in port for port in container.get("ports", [])),
        }
        found += [f"{name}: {what}" for what, holds in checks.items() if not holds]
    return found


def test_every_pod_is_restricted_but_for_tc(render: Render) -> None:
    for race in ({}, RATES):
        for name, _, spec in pod_specs(render(values(ALL, race))):
            found = [f for f in faults_of_restricted(spec) if not f.startswith("shape: ")]
            assert found == [], name
    shaping = {
        fault
        for _, _, spec in pod_specs(render(values(ALL, RATES)))
        for fault in faults_of_restricted(spec)
    }
    assert shaping == {"shape: capabilities added", "shape: non-root", "shape: user"}


def test_the_check_for_restricted_sees_a_fault() -> None:
    volumes = [{"name": "v", "hostPath": {}}]
    spec = {"containers": [{"name": "x"}], "hostNetwork": True, "volumes": volumes}
    assert set(faults_of_restricted(spec)) == {
        "hostNetwork",
        "volume v",
        "x: escalation",
        "x: capabilities dropped",
        "x: non-root",
        "x: seccomp",
    }


def test_pods_write_to_volumes_alone_and_hold_no_service_account(render: Render) -> None:
    for name, _, spec in pod_specs(render(values(ALL, RATES))):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["resources"]["limits"], name
        for volume in spec["volumes"]:
            if "emptyDir" in volume:
                assert int(volume["emptyDir"]["sizeLimit"]) > 0, volume


class Network:
    """Who reaches whom by the rendered NetworkPolicies (a policy that selects a pod denies the
    rest)."""

    def __init__(self, rendered: Rendered) -> None:
        self.policies = [p["spec"] for p in rendered.of("NetworkPolicy")]
        self.pods = {
            metadata["labels"]["app.kubernetes.io/component"]: metadata["labels"]
            for _, metadata, _ in pod_specs(rendered)
        }

    def reaches(
        self, source: dict[str, str] | None, target: dict[str, str] | None, port: Any,
        protocol: str = "TCP",
    ) -> bool:  # fmt: skip
        return self._side("Egress", "egress", "to", source, target, port, protocol) and self._side(
            "Ingress", "ingress", "from", target, source, port, protocol
        )

    def _side(
        self, kind: str, rules: str, peers: str, pod: Any, other: Any, port: Any, protocol: str
    ) -> bool:
        if pod is None:
            return True  # outside the release: not ours to restrict
        mine = [
            p for p in self.policies if kind in p["policyTypes"] and _selects(p["podSelector"], pod)
        ]
        if not mine:
            return True
        return any(
            self._peer(rule.get(peers), other) and _port(rule.get("ports"), port, protocol)
            for policy in mine
            for rule in policy.get(rules, [])
        )

    def _peer(self, allowed: Any, other: Any) -> bool:
        if allowed is None:
            return True
        for entry in allowed:
            if set(entry) == {"podSelector"} and other is not None:
                if _selects(entry["podSelector"], other):
                    return True
            elif other is None and "podSelector" not in entry:
                return True
        return False


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(
        labels.get(e["key"]) in e["values"] and e["operator"] == "In"
        for e in selector.get("matchExpressions", [])
    )


def _port(ports: Any, port: Any, protocol: str) -> bool:
    return ports is None or any(p["port"] == port and p["protocol"] == protocol for p in ports)


def test_who_may_talk_to_whom(render: Render) -> None:
    network = Network(render(values(ALL)))
    peer, tracker, verdict = (network.pods[n] for n in ("peer", "tracker", "verdict"))
    stranger = {"app": "x"}
    assert network.reaches(peer, peer, 12345)
    assert network.reaches(peer, peer, 8090, "UDP")
    assert network.reaches(peer, tracker, 8080)
    assert network.reaches(verdict, tracker, 8080)
    assert network.reaches(network.pods["test"], tracker, 8080)
    for source in (peer, verdict):
        assert network.reaches(source, None, 53, "UDP")
        assert network.reaches(source, None, 53, "TCP")
        for port in (80, 443, 8080):
            assert not network.reaches(source, None, port)
            assert not network.reaches(source, stranger, port)
    assert not network.reaches(tracker, None, 53, "UDP")
    assert not network.reaches(tracker, peer, 8080)
    assert not network.reaches(verdict, peer, 9200)
    assert not network.reaches(peer, tracker, 22)
    for target in (peer, tracker, verdict):
        for port in (8080, 9200, "metrics", 53):
            assert not network.reaches(None, target, port)
            assert not network.reaches(stranger, target, port)


def test_peers_of_another_race_or_release_are_strangers(render: Render) -> None:
    network = Network(render(values(ALL)))
    for other in (render(values(ALL, {"attempt": 2})), render(values(ALL), release="other")):
        foreign = Network(other).pods["peer"]
        assert not network.reaches(foreign, network.pods["tracker"], 8080)
        assert not network.reaches(foreign, network.pods["peer"], 1234)


def test_scrapes_and_pushes(render: Render) -> None:
    network = Network(render(values(ALL, monitoring=MONITORED)))
    peer = network.pods["peer"]
    assert network.reaches(None, peer, "metrics")
    assert not network.reaches(None, peer, "node-metrics"), "the node would be charged for it"
    assert not network.reaches(None, peer, 12345)
    assert network.reaches(peer, None, 8428)
    assert not network.reaches(peer, None, 443)
    policy = network.policies[0]
    push = {"ipBlock": {"cidr": "10.1.2.3/32"}}
    assert MONITORED["from"] in [rule["from"] for rule in policy["ingress"]]
    assert {"to": [push], "ports": [{"port": 8428, "protocol": "TCP"}]} in policy["egress"]
    named = {**MONITORED, "push": {"url": "https://vm.example", "to": [{"namespaceSelector": {}}]}}
    spec = Network(render(values(monitoring=named))).policies[0]
    assert {"to": [{"namespaceSelector": {}}], "ports": [{"port": 443, "protocol": "TCP"}]} in spec[
        "egress"
    ]


def test_selectors_hold_no_chart_version(render: Render) -> None:
    for thing in render(values(ALL, RATES, monitoring=MONITORED)):
        assert "helm.sh/chart" not in str(thing.get("spec", {}).get("selector", ""))
        template = thing.get("spec", {}).get("template", {}).get("metadata", {})
        assert "helm.sh/chart" not in str(template)
        assert thing["metadata"]["labels"]["app.kubernetes.io/part-of"].startswith("swarmrace-")


def test_every_scenario_of_the_repository_is_here() -> None:
    assert ROOT / "scenarios" / "quick.yaml" in SCENARIOS
    assert len(CI) >= 15
