"""The chart `sweep`: its unit tests, and that its steps are commands of swarmrace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from helm_charts import call, run_unit_tests
from paths import ROOT
from swarmrace.cli.main import main

CHART = ROOT / "charts" / "sweep"
VALUES = CHART / "ci" / "cells-values.yaml"


@pytest.fixture
def workflow(helm: str) -> dict[str, Any]:
    output = call(helm, "template", "lab", CHART, "-n", "races", "-f", VALUES)
    found = {each["kind"]: each for each in yaml.safe_load_all(output) if each}
    return found["WorkflowTemplate"]["spec"]


def test_unit_tests(helm: str) -> None:
    assert run_unit_tests(CHART) >= 12


def test_every_step_is_a_command_with_its_options(workflow: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    places = {
        "/scenario/scenario.yaml": str(ROOT / "scenarios" / "quick.yaml"),
        "/scenario/race-values.yaml": str(VALUES),
        "{{inputs.parameters.folder}}": str(tmp_path),
        "{{inputs.parameters.folder}}/report": str(tmp_path / "report"),
    }
    commands = [each["container"]["args"] for each in workflow["templates"] if "container" in each]
    assert len(commands) >= 4
    for name, *arguments in commands:
        command = main.get_command(click.Context(main), name)
        assert command is not None, name
        command.make_context(name, [places.get(each, each) for each in arguments])


def test_every_called_step_exists(workflow: dict[str, Any]) -> None:
    names = {each["name"] for each in workflow["templates"]}
    called = {
        step["template"]
        for each in workflow["templates"]
        for group in each.get("steps", [])
        for step in group
    }
    assert called | {workflow["entrypoint"], workflow["onExit"], "nightly"} == names


@pytest.mark.parametrize(("release", "other"), [("my.release", "my-release"), ("x" * 53, "x" * 52)])
def test_no_two_releases_share_a_name(helm: str, release: str, other: str) -> None:
    names = []
    for each in (release, other):
        output = call(helm, "template", each, CHART, "-n", "races", "-f", VALUES)
        found = [thing for thing in yaml.safe_load_all(output) if thing]
        names.append({(thing["kind"], thing["metadata"]["name"]) for thing in found})
        assert all(re.fullmatch("[a-z][-a-z0-9]{,39}", name) for _, name in names[-1])
    assert not names[0] & names[1]


def test_the_account_may_create_what_a_race_has_and_nothing_else(helm: str) -> None:
    output = call(helm, "template", "lab", CHART, "-n", "races", "-f", VALUES)
    (role,) = (each for each in yaml.safe_load_all(output) if each and each["kind"] == "Role")
    allowed = {
        resource
        for rule in role["rules"]
        for resource in rule["resources"]
        if "create" in rule["verbs"]
    }
    kinds: set[str] = set()
    for chart in ("swarmrace", "tracker", "swarm", "monitoring"):
        for file in (ROOT / "charts" / chart / "templates").glob("*.yaml"):
            kinds |= set(re.findall(r"\b(?:VM)?[A-Z][A-Za-z]+", _kinds_in(file.read_text())))
    kinds.discard("Pod")  # only of `helm test`
    plural = {f"{kind.lower()}s".replace("policys", "policies") for kind in kinds}
    assert allowed == plural | {"pods/exec", "leases", "workflowtaskresults"}


def _kinds_in(template: str) -> str:
    return " ".join(re.findall("^kind: (.*)", template, re.MULTILINE))


def test_a_matrix_that_no_config_map_holds_is_refused(helm: str, tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    sizes = [1000 + number for number in range(200_000)]
    scenario = {"global": {"race": {"matrix": {"fileSize": sizes}}}}
    file.write_text(yaml.safe_dump({"scenario": scenario}, default_flow_style=True))
    error = call(helm, "template", "lab", CHART, "-f", file, refused=True)
    assert "expected at most 1000000, because a ConfigMap holds no more: split the matrix" in error
