"""The chart `sweep`: its unit tests, and that its steps are commands that swarmrace has."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from helm_charts import call, need_tool
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
    done = subprocess.run(
        [need_tool("helm-unittest"), CHART], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"Tests:\s+(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 12


def test_the_readme_has_not_drifted(helm: str, tmp_path: Path) -> None:
    copy = tmp_path / "sweep"
    call("cp", "-r", CHART, copy)
    call(need_tool("helm-docs"), "--chart-search-root", copy, "--sort-values-order", "file")
    assert (copy / "README.md").read_text() == (CHART / "README.md").read_text(), (
        "run `helm-docs --chart-search-root charts/sweep --sort-values-order file`"
    )


def test_every_step_is_a_command_with_options_that_it_has(
    workflow: dict[str, Any], tmp_path: Path
) -> None:
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


def test_every_step_that_is_called_is_there(workflow: dict[str, Any]) -> None:
    names = {each["name"] for each in workflow["templates"]}
    called = {
        step["template"]
        for each in workflow["templates"]
        for group in each.get("steps", [])
        for step in group
    }
    assert called | {workflow["entrypoint"], workflow["onExit"], "nightly"} == names
