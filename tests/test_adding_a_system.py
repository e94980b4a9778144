"""docs/adding-a-system.md: its example, installed by its own entry point, does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

from paths import ROOT

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
    _, command = block("sh").splitlines()
    python, module, *arguments = command.split()
    assert (python, module) == (".venv/bin/python", "-m")
    out = run(installed, *arguments, "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert int(re.search(r"(\d+) passed", out)[1]) >= 10
    assert "failed" not in out


def test_the_command_of_the_page_installs_it(tmp_path):
    """Offline, and aside, so that the environment of the tests stays as it is."""
    if subprocess.run(["python3", "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("expected a python3 with pip, as the page has it")
    source, aside = tmp_path / "tcp", tmp_path / "aside"
    source.mkdir()
    (source / "pyproject.toml").write_text(block("toml"))
    (source / "swarmrace_tcp.py").write_text(block("python"))
    here = {".venv/bin/python": sys.executable, "DIR": str(source)}
    command = [here.get(word, word) for word in block("sh").splitlines()[0].split()]
    assert set(here.values()) <= set(command)
    offline = ["--quiet", "--no-index", "--target", str(aside)]
    done = subprocess.run([*command, *offline], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert (aside / "swarmrace_tcp.py").is_file()
    assert (aside / "swarmrace_tcp-0.1.0.dist-info" / "entry_points.txt").is_file()


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
        "from swarmrace.scenario.loading import parse\n"
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
