"""The JSON Schemas agree with the model, and the generated files of the charts are up to date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from paths import ROOT
from swarmrace import __version__
from swarmrace.backends.kubernetes import chart_files
from swarmrace.errors import ResultsError, ScenarioError
from swarmrace.scenario import helm_values, schema
from swarmrace.scenario.loading import load, parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems import former_charts

CHARTS = ROOT / "charts"
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))


def faults(document: Any, of: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(of)
    return sorted(f"{e.json_path}: {e.message}" for e in validator.iter_errors(document))


def test_every_schema_is_a_valid_json_schema() -> None:
    for chart in (schema.UMBRELLA, *schema.CHART_VALUES):
        jsonschema.Draft202012Validator.check_schema(schema.chart_schema(chart))
    jsonschema.Draft202012Validator.check_schema(schema.scenario_schema())
    jsonschema.Draft202012Validator.check_schema(schema.library_schema())


def test_the_rule_for_names_is_documented() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse({"global": {"entrants": {"Big": {"kind": "http"}}}})
    _, named, rule = str(caught.value.faults[0]).partition(": a name ")
    assert named
    for text in (CHARTS / "swarmrace" / "values.yaml", CHARTS / "swarmrace" / "README.md"):
        assert rule in " ".join(text.read_text().replace("\n  #", "").split())


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda f: f.stem)
def test_shipped_scenarios_fit_the_schema(file: Path) -> None:
    load(file)
    assert faults(yaml.safe_load(file.read_text()), schema.scenario_schema()) == []


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"global": {"race": {"fileSizes": "1GB"}, "entrants": {}}}, "fileSizes"),
        ({"global": {"entrants": {"a": {"kind": "bittorrent", "utpp": True}}}}, "utpp"),
        ({"global": {"entrants": {"a": {"kind": "torrent"}}}}, "torrent"),
        ({"global": {"entrants": {"a": {"profile": "stock"}}}}, "kind"),
        ({"global": {"entrants": {"Big": {"kind": "http"}}}}, "Big"),
        ({"global": {"entrants": {}}, "traker": {}}, "traker"),
        ({"global": {"race": {"fileSize": "1 mb"}, "entrants": {}}}, "1 mb"),
        ({"global": {"entrants": {}}, "monitoring": {"scrape": "podmonitor"}}, "podmonitor"),
        ({}, "global"),
    ],
)
def test_a_fault_is_named(document: Any, named: str) -> None:
    assert any(named in fault for fault in faults(document, schema.scenario_schema()))


def test_references_stay_within_the_file() -> None:
    for file in CHARTS.glob("*/values.schema.json"):
        references = re.findall(r'"\$ref": "([^"]*)"', file.read_text())
        assert all(reference.startswith("#/$defs/") for reference in references), file


def test_the_umbrella_accepts_the_keys_that_helm_adds() -> None:
    """Helm adds `global` and the library's key under every dependency before it validates."""
    added = {"global": {"race": {}}, "common": {"global": {}}}
    document = {"global": {"entrants": {}}, "common": {"global": {}}, "enabled": True}
    document |= {name: dict(added) for name in schema.CHART_VALUES}
    assert faults(document, schema.chart_schema("swarmrace")) == []
    for name in schema.CHART_VALUES:
        assert faults({"global": {"anything": 1}, "common": {}}, schema.chart_schema(name)) == []
        assert faults({"glob": {}}, schema.chart_schema(name)) != []


def test_moved_keys_pass_the_schema_so_that_a_template_can_report_them() -> None:
    document: dict[str, Any] = {key: {"annotations": {}} for key in helm_values.MOVED}
    document["global"] = {key: {} for key in former_charts.MOVED_GLOBAL} | {"entrants": {}}
    assert faults(document, schema.chart_schema("swarmrace")) == []
    checks = (CHARTS / "swarmrace/templates/checks.yaml").read_text()
    with pytest.raises(ScenarioError) as caught:
        parse(document)
    for fault in caught.value.faults[: len(document)]:
        assert f'"{fault.key}"' in checks or f"{fault.key}:" in checks


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("entrant", "entrants"), ("Race", "race"), ("rcae", "race"), ("sidecar", "sidecars"),
        ("imageregistry", "imageRegistry"), ("tokens", "token"), ("peer", "peers"),
        ("swarmSize", "global.race.swarmSize"), ("matrix", "global.race.matrix"),
    ],
)  # fmt: skip
def test_model_and_schema_refuse_a_misspelt_global(key: str, meant: str) -> None:
    document = {"global": {"entrants": {"a": {"kind": "http"}}, key: {}}}
    with pytest.raises(ScenarioError) as caught:
        parse(document)
    assert str(caught.value.faults[0]) == f"global.{key}: unknown key (did you mean '{meant}'?)"
    for of in (schema.scenario_schema(), schema.chart_schema("swarmrace")):
        assert any(key in fault for fault in faults(document, of))


@pytest.mark.parametrize("key", ["postgresql", "storageClass", "imagePullSecrets", "env", "domain"])
def test_another_charts_global_is_ignored(key: str) -> None:
    document = {"global": {"entrants": {"a": {"kind": "http"}}, key: {"x": 1}}}
    plain = {"global": {"entrants": {"a": {"kind": "http"}}}}
    assert parse(document) == parse(plain)
    for of in (schema.scenario_schema(), schema.chart_schema("swarmrace")):
        assert faults(document, of) == []


def test_a_kind_that_is_not_built_in_passes_the_charts_schema() -> None:
    document = {"global": {"entrants": {"a": {"kind": "kubo", "chunker": "size-1"}}}}
    assert faults(document, schema.chart_schema("swarmrace")) == []
    assert faults(document, schema.scenario_schema()) != []


def test_every_key_of_the_model_is_in_the_schema() -> None:
    definitions = schema.scenario_schema()["$defs"]
    shared = definitions["Global"]["properties"]
    assert {"race", "entrants", "image", "peers", "token", "sidecars"} <= set(shared)
    branches = next(iter(shared["entrants"]["patternProperties"].values()))["allOf"]
    kinds = {branch["if"]["properties"]["kind"]["const"] for branch in branches}
    assert {"bittorrent", "codex", "exec", "http", "synthetic"} <= kinds


def test_the_generated_chart_files_are_up_to_date() -> None:
    changed = [path.relative_to(ROOT).as_posix() for path in chart_files.write(CHARTS, check=True)]
    assert changed == [], "run `swarmrace schema --write charts` and commit"


def test_drift_is_reported_and_corrected(tmp_path: Path) -> None:
    charts = tmp_path / "charts"
    script = charts / chart_files.SUPERVISOR
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    first = chart_files.write(charts)
    assert len(first) == 2 + 2 * (1 + len(schema.CHART_VALUES)) + 1
    assert chart_files.write(charts, check=True) == []
    values = charts / "swarmrace" / "values.yaml"
    values.write_text(values.read_text().replace("swarmSize: 4", "swarmSize: 5"))
    script.write_text("#!/bin/sh\nexit 1\n")
    expected = {values, charts / "common" / "templates" / "_generated.tpl"}
    assert set(chart_files.write(charts, check=True)) == expected
    assert "swarmSize: 5" in values.read_text(), "--check changes nothing"
    assert set(chart_files.write(charts)) == expected
    assert chart_files.write(charts, check=True) == []


def test_a_missing_supervisor_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="expected the sidecars' supervisor"):
        chart_files.library_template(tmp_path / "supervise.sh")


def test_generated_values_are_the_models_defaults() -> None:
    values = yaml.safe_load((CHARTS / "swarmrace" / "values.yaml").read_text())
    written = Scenario.model_validate(values)
    assert written == Scenario.model_validate({"global": {"entrants": {}}})
    for name, model in schema.CHART_VALUES.items():
        own = yaml.safe_load((CHARTS / name / "values.yaml").read_text())
        assert model.model_validate(own) == model()


def test_every_chart_has_the_packages_version() -> None:
    for file in CHARTS.glob("*/Chart.yaml"):
        chart = yaml.safe_load(file.read_text())
        assert chart["appVersion"] == __version__, file
        assert chart["kubeVersion"] == ">=1.33.0-0", file


def test_every_value_is_explained() -> None:
    """helm-docs lists a leaf only if a comment above it begins with `# --`."""
    for chart in (schema.UMBRELLA, *schema.CHART_VALUES):  # those generated from the model
        file = CHARTS / chart / "values.yaml"
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines):
            leaf = re.match(r"( *)[a-zA-Z]+: \S", line)
            if not leaf or line.lstrip().startswith("#"):
                continue
            above = number - 1
            while lines[above].startswith(f"{leaf[1]}# ") and not lines[above].startswith(
                f"{leaf[1]}# -- "
            ):
                above -= 1
            assert lines[above].startswith(f"{leaf[1]}# -- "), f"{file.parent.name}: {line}"
