"""Pod security, NetworkPolicies and Kubernetes' own schemas, on what is rendered."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from test_umbrella import ALL, CI, SCENARIOS, pod_specs, values

from helm_charts import ROOT, Render
from swarmrace.scenario.loading import load
from swarmrace.units import parse_size

VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
"""Versions of Kubernetes that the charts support and for which there are schemas."""
RATES = {"network": {"upload": "40Mbit"}}
MONITORED = {
    "enabled": True,
    "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    "push": {"url": "http://10.1.2.3:8428/base"},
}


@pytest.mark.parametrize("file", [*CI, *SCENARIOS], ids=lambda f: f.stem)
def test_kubernetes_accepts_what_is_rendered(render: Render, file: Path) -> None:
    scenario = load(file)
    if len(scenario.race.cells()) > 1:
        assert re.search(r"scenario: \d", render(file, refused=True))
        return
    for thing in render(file):
        for version in VERSIONS:
            schema = schema_of(thing["kind"], thing["apiVersion"], version)
            if schema is None:
                assert ".com/" in thing["apiVersion"], "only kinds of operators have none"
            else:
                schema.validate(thing)


@functools.cache
def schema_of(kind: str, api_version: str, version: str) -> Draft202012Validator | None:
    """Kubernetes' strict schema of a kind, as `kubernetes_validate.validate` finds it, cached."""
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


def test_every_pod_is_restricted_except_for_tc(render: Render) -> None:
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


def test_pods_write_only_to_volumes_and_have_no_service_account_token(render: Render) -> None:
    for name, _, spec in pod_specs(render(values(ALL, RATES))):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["resources"]["limits"], name
        for volume in spec["volumes"]:
            if "emptyDir" in volume:
                assert parse_size(volume["emptyDir"]["sizeLimit"]) > 0, volume


def test_selectors_hold_no_chart_version(render: Render) -> None:
    for thing in render(values(ALL, RATES, monitoring=MONITORED)):
        assert "helm.sh/chart" not in str(thing.get("spec", {}).get("selector", ""))
        template = thing.get("spec", {}).get("template", {}).get("metadata", {})
        assert "helm.sh/chart" not in str(template)
        assert thing["metadata"]["labels"]["app.kubernetes.io/part-of"].startswith("swarmrace-")


def test_every_scenario_of_the_repository_is_here() -> None:
    assert ROOT / "scenarios" / "quick.yaml" in SCENARIOS
    assert len(CI) >= 15
