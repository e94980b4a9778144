"""Helm and the model read the same from values that are null or given in part."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from test_umbrella import ALL

from helm_charts import call
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.units import parse_size

OWN = ("tracker", "swarm", "monitoring", "verdict", "judge", "test", "networkPolicy")
"""Keys beside `global`."""
SUB_CHARTS = ("tracker", "swarm", "monitoring")
SIZES = {"fileSize", "size", "burst"}
UMBRELLA_VIEW = """
{{- $r := include "swarmrace.release" . | fromJson -}}
{{- $found := dict "race" $r.race "global" (omit $r.global "race" "entrants") -}}
{{- range list "tracker" "swarm" "monitoring" "verdict" "judge" "test" "networkPolicy" -}}
  {{- $given := dict "key" . "values" (get $.Values .) -}}
  {{- $_ := set $found . (include "swarmrace.values" $given | fromJson) -}}
{{- end -}}
{{- range list "codex" "storage" -}}
  {{- $node := include "swarmrace.sidecar" (dict "r" $r "entrant" .) | fromJson -}}
  {{- $_ := set $found (printf "sidecar-%s" .) $node -}}
{{- end -}}
view: {{ toJson $found }}
"""
CHART_VIEW = """
{{- $r := include "swarmrace.release" . | fromJson -}}
{{- $found := dict "race" $r.race "global" (omit $r.global "race" "entrants") -}}
{{- $given := dict "key" .Chart.Name "values" .Values -}}
{{- $_ := set $found .Chart.Name (include "swarmrace.values" $given | fromJson) -}}
{{- $node := include "swarmrace.sidecar" (dict "r" $r "entrant" "codex") | fromJson -}}
{{- $_ := set $found "sidecar-codex" $node -}}
view: {{ toJson $found }}
"""

View = Callable[[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def views(helm: str, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> View:
    """Return a function that returns the values as the umbrella's and each sub-chart's templates
    see them."""
    folder = tmp_path_factory.mktemp("views")
    umbrella = folder / "swarmrace"
    shutil.copytree(
        checkout / "charts" / "swarmrace", umbrella, ignore=shutil.ignore_patterns("*.tgz")
    )
    for chart in ("common", *SUB_CHARTS):
        shutil.copytree(checkout / "charts" / chart, umbrella / "charts" / chart)
    (umbrella / "templates" / "view.yaml").write_text(UMBRELLA_VIEW)
    for chart in SUB_CHARTS:
        (umbrella / "charts" / chart / "templates" / "view.yaml").write_text(CHART_VIEW)

    def seen(document: dict[str, Any]) -> list[dict[str, Any]]:
        file = folder / "values.json"
        file.write_text(json.dumps(document))
        rendered = yaml.safe_load_all(call(helm, "template", "race", umbrella, "-f", file))
        return [_plain(thing["view"]) for thing in rendered if thing and "view" in thing]

    return seen


def model_view(document: dict[str, Any]) -> dict[str, Any]:
    data = parse(document).model_dump(mode="json", by_alias=True)
    shared = data.pop("global")
    del shared["entrants"]
    nodes = {f"sidecar-{name}": node for name, node in shared.pop("sidecars").items()}
    return _plain({"race": shared.pop("race"), "global": shared, **data, **nodes})


def _plain(value: Any, key: str = "") -> Any:
    """Return a value without what is empty in it, and with sizes in bytes."""
    if isinstance(value, dict):
        found = {k: _plain(v, k) for k, v in value.items()}
        return {k: v for k, v in found.items() if v is not None and v not in ("", [], {})}
    if key in SIZES and isinstance(value, str):
        return parse_size(value)
    return value


def nulls(model: BaseModel, depth: int) -> dict[str, Any]:
    """Return values whose keys are null at one depth; maps and models above it are kept."""
    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), field.alias or name
        if key == "entrants":
            continue
        if depth and isinstance(value, BaseModel):
            found[key] = nulls(value, depth - 1)
        elif depth and isinstance(value, dict) and value:
            found[key] = dict.fromkeys(value)
        elif not depth:
            found[key] = None
    return found


def cases() -> Iterator[Any]:
    scenario = Scenario.model_validate({"global": {"entrants": {}}})
    for depth in (1, 2, 3, 4):
        yield pytest.param(nulls(scenario, depth), id=f"null at depth {depth}")
    tops = dict.fromkeys(OWN)
    yield pytest.param({**tops, "global": {}}, id="null at the top")
    partly = {"limits": {"cpu": None}, "requests": {"memory": "1Gi"}}
    codex = {"resources": partly, "env": {"CODEX_NAT": None, "MORE": "x"}, "securityContext": None}
    yield pytest.param(
        {
            "global": {
                "peers": {
                    "resources": partly,
                    "podSecurityContext": {
                        "runAsUser": None,
                        "seccompProfile": {"type": "Unconfined"},
                    },
                    "securityContext": {"capabilities": {"drop": None}},
                    "labels": {"a": "b", "c": None},
                },
                "sidecars": {"codex": codex, "storage": None},
            },
            "tracker": {"resources": {"limits": None}, "storage": {"size": None}},
            "monitoring": {"dashboard": {"labels": {"grafana_dashboard": None, "mine": "1"}}},
            "verdict": {"resources": partly},
        },
        id="maps given in part",
    )


@pytest.mark.parametrize("document", list(cases()))
def test_helm_and_the_model_read_the_same_values(views: View, document: dict[str, Any]) -> None:
    document = {**document, "global": {**document["global"], "entrants": ALL}}
    expected = model_view(document)
    document["monitoring"] = {**(document.get("monitoring") or {}), "enabled": True}
    expected["monitoring"]["enabled"] = True
    found = views(document)
    assert len(found) == 1 + len(SUB_CHARTS)
    for view in found:
        for key, value in view.items():
            assert value == expected.get(key, {}), key
