"""docs/adding-a-system.md: its example, installed by its own entry point, does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/adding-a-system.md").read_text()


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the page's package as pip would: module, and metadata with its entry points."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads(block("toml"))["project"]
    (site / "swarmrace_tcp.py").write_text(block("python"))
    (site / "scenario.yaml").write_text(block("yaml"))
    metadata = site / f"swarmrace_tcp-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    ((group, points),) = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


def run(site, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_contract_suite_takes_it_by_the_command_of_the_page(installed):
    command = block("sh").split()
    assert command[0] == "pytest"
    out = run(installed, *command, "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert int(re.search(r"(\d+) passed", out)[1]) >= 10
    assert "failed" not in out


def test_its_scenario_is_planned_and_raced(installed, tmp_path):
    scenario = str(installed / "scenario.yaml")
    plan = json.loads(run(installed, "swarmrace", "plan", scenario, "--format", "json"))
    assert plan
    folder = tmp_path / "results"
    out = run(installed, "swarmrace", "run", scenario, "--results", str(folder))
    assert "tcp" in out
    results = [json.loads(path.read_text()) for path in folder.rglob("*tcp*.json")]
    leechers = [result for result in results if result.get("role") == "leecher"]
    assert [result["outcome"] for result in leechers] == ["completed"] * 2
    assert all(result["transfer"]["verified"] for result in leechers)
    assert all(result["system"]["settings"]["readSize"] == 131_072 for result in leechers)


def test_its_options_are_checked_like_all_others(installed):
    code = (
        "from swarmrace.scenario import parse\n"
        "parse({'global': {'entrants': {'a': {'kind': 'tcp', 'readSiz': 1}}}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "global.entrants.a.readSiz" in done.stderr
    assert "readSize" in done.stderr
