"""The examples for Argo CD and Fleet, read as each of them reads them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from helm_charts import ROOT, Render, call

EXAMPLES = ROOT / "examples"


def test_the_argo_cd_example_leaves_the_rendered_token_alone(render: Render) -> None:
    example = yaml.safe_load((EXAMPLES / "argo-cd" / "application.yaml").read_text())
    spec = example["spec"]
    file = (ROOT / spec["source"]["path"] / spec["source"]["helm"]["valueFiles"][0]).resolve()
    rendered = render(file, release=spec["source"]["helm"]["releaseName"])
    (ignored,) = spec["ignoreDifferences"]
    assert ignored["name"] == rendered.one("Secret")["metadata"]["name"]
    assert ignored["jsonPointers"] == ["/data"]
    assert "RespectIgnoreDifferences=true" in spec["syncPolicy"]["syncOptions"]


def test_fleet_finds_chart_and_values(helm: str, checkout: Path, tmp_path: Path) -> None:
    """A bundle is what is below the folder of fleet.yaml, so the chart has to be there. Values
    files are read before, relative to that folder."""
    clone = tmp_path / "clone"
    shutil.copytree(checkout, clone, ignore=shutil.ignore_patterns("*.tgz"))
    repository = yaml.safe_load((EXAMPLES / "fleet" / "gitrepo.yaml").read_text())
    (path,) = repository["spec"]["paths"]
    folder = clone / path
    copied = "cp examples/fleet/fleet.yaml charts/swarmrace/fleet.yaml"
    assert copied in (ROOT / "docs" / "kubernetes.md").read_text()
    shutil.copy(EXAMPLES / "fleet" / "fleet.yaml", folder)
    fleet: dict[str, Any] = yaml.safe_load((folder / "fleet.yaml").read_text())
    values = [(folder / name).resolve() for name in fleet["helm"]["valuesFiles"]]
    assert all(file.is_relative_to(clone) for file in values)
    call(helm, "dependency", "update", folder)  # as Fleet does, in its clone
    bundle = tmp_path / "bundle"
    shutil.copytree(folder, bundle, ignore=shutil.ignore_patterns("fleet.yaml"))
    given = [part for file in values for part in ("-f", file)]
    name, namespace = fleet["helm"]["releaseName"], fleet["defaultNamespace"]
    chart = bundle / fleet["helm"]["chart"]
    rendered = call(helm, "template", name, chart, "-n", namespace, *given)
    things = [thing for thing in yaml.safe_load_all(rendered) if thing]
    (patch,) = fleet["diff"]["comparePatches"]
    secrets = [thing["metadata"]["name"] for thing in things if thing["kind"] == "Secret"]
    assert secrets == [patch["name"]]
    assert patch["namespace"] == namespace
    assert {thing["kind"] for thing in things} >= {"Job", "Deployment", "ConfigMap"}
