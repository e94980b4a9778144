"""The JSON Schemas are the model's, and what is written into the charts has not drifted."""

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
from swarmrace.scenario import schema
from swarmrace.scenario.loading import load, parse
from swarmrace.scenario.scenario import Scenario

CHARTS = ROOT / "charts"
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))


def faults(document: Any, of: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(of)
    return sorted(f"{e.json_path}: {e.message}" for e in validator.iter_errors(document))


def test_every_schema_is_one() -> None:
    for chart in (schema.UMBRELLA, *schema.CHART_VALUES):
        jsonschema.Draft202012Validator.check_schema(schema.chart_schema(chart))
    jsonschema.Draft202012Validator.check_schema(schema.scenario_schema())
    jsonschema.Draft202012Validator.check_schema(schema.library_schema())


def test_the_rule_for_names_stands_where_names_are_given() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse({"global": {"entrants": {"Big": {"kind": "http"}}}})
    rule = str(caught.value.faults[0]).partition(": a name is ")[2]
    for text in (CHARTS / "swarmrace" / "values.yaml", CHARTS / "swarmrace" / "README.md"):
        assert rule in " ".join(text.read_text().replace("\n  #", "").split())


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda f: f.stem)
def test_scenarios_of_the_repository_fit(file: Path) -> None:
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


def test_no_reference_leaves_the_file() -> None:
    for file in CHARTS.glob("*/values.schema.json"):
        references = re.findall(r'"\$ref": "([^"]*)"', file.read_text())
        assert all(reference.startswith("#/$defs/") for reference in references), file


def test_the_umbrella_admits_what_helm_adds_to_the_values() -> None:
    """Helm validates with `global` and the library's key under every dependency."""
    added = {"global": {"race": {}}, "common": {"global": {}}}
    document = {"global": {"entrants": {}}, "common": {"global": {}}}
    document |= {name: dict(added) for name in schema.CHART_VALUES}
    assert faults(document, schema.chart_schema("swarmrace")) == []
    for name in schema.CHART_VALUES:
        alone = {"global": {"race": {}, "entrants": {}}, "common": {}}
        assert faults(alone, schema.chart_schema(name)) == []
        assert faults({"glob": {}}, schema.chart_schema(name)) != []


def test_every_key_of_the_model_is_in_the_schema() -> None:
    definitions = schema.scenario_schema()["$defs"]
    shared = definitions["Global"]["properties"]
    assert {"race", "entrants", "image", "peers", "token", "codex"} <= set(shared)
    branches = next(iter(shared["entrants"]["patternProperties"].values()))["allOf"]
    kinds = {branch["if"]["properties"]["kind"]["const"] for branch in branches}
    assert {"bittorrent", "codex", "http", "synthetic"} <= kinds


def test_the_charts_have_not_drifted() -> None:
    changed = [path.relative_to(ROOT).as_posix() for path in chart_files.write(CHARTS, check=True)]
    assert changed == [], "run `swarmrace schema --write charts` and commit"


def test_drift_is_seen_and_mended(tmp_path: Path) -> None:
    charts = tmp_path / "charts"
    script = tmp_path / chart_files.SUPERVISOR
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    first = chart_files.write(charts)
    assert len(first) == 3 + 2 * (1 + len(schema.CHART_VALUES)) + 1
    assert chart_files.write(charts, check=True) == []
    values = charts / "swarmrace" / "values.yaml"
    values.write_text(values.read_text().replace("swarmSize: 4", "swarmSize: 5"))
    script.write_text("#!/bin/sh\nexit 1\n")
    expected = {values, charts / "common" / "templates" / "_supervise.tpl"}
    assert set(chart_files.write(charts, check=True)) == expected
    assert "swarmSize: 5" in values.read_text(), "--check changes nothing"
    assert set(chart_files.write(charts)) == expected
    assert chart_files.write(charts, check=True) == []


def test_a_script_that_helm_would_misread_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "supervise.sh"
    with pytest.raises(ResultsError, match="supervise"):
        chart_files.supervise_template(script)
    script.write_text("echo {{ .Values }}\n")
    with pytest.raises(ResultsError, match="expected none"):
        chart_files.supervise_template(script)


def test_values_written_are_the_models_defaults() -> None:
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
    """helm-docs lists a leaf only when a comment that begins with `# --` stands above it."""
    for file in CHARTS.glob("*/values.yaml"):
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
