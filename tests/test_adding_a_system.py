"""The example of docs/adding-a-system.md, installed by its entry point, works as described."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import MISSING, fields, replace
from types import SimpleNamespace

import pytest

from paths import ROOT
from swarmrace import api, systems
from swarmrace.api import testing
from swarmrace.errors import UnavailableError

TEXT = (ROOT / "docs/adding-a-system.md").read_text()


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return found


MODULES = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", TEXT, re.DOTALL))
SYSTEMS = {name: code for name, code in MODULES.items() if not name.startswith("test_")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the page's package as pip would: modules, and metadata with its entry points."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads(block("toml"))["project"]
    for name, code in MODULES.items():
        (site / name).write_text(code)
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


def test_the_page_has_two_systems_and_their_tests():
    assert set(SYSTEMS) == {"swarmrace_tcp.py", "swarmrace_served.py"}
    assert set(MODULES) - set(SYSTEMS) == {"test_swarmrace_tcp.py"}


@pytest.mark.parametrize("name", MODULES)
def test_its_systems_import_the_public_api_only(name):
    allowed = "swarmrace.api" if name in SYSTEMS else "swarmrace.api.testing"
    for node in ast.walk(ast.parse(MODULES[name])):
        if isinstance(node, ast.ImportFrom):
            modules = [node.module]
        elif isinstance(node, ast.Import):
            modules = [each.name for each in node.names]
        else:
            continue
        assert [each for each in modules if each.startswith("swarmrace")] in ([], [allowed])


def test_every_public_name_is_on_the_page_and_exists():
    table = TEXT[TEXT.index("## What swarmrace.api exports") : TEXT.index("## The stages")]
    named = set(re.findall(r"`(\w+)`", table))
    assert named == {*api.__all__, *testing.__all__}
    assert all(hasattr(api, name) for name in api.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)
    assert set(api.__all__).isdisjoint(testing.__all__)


def test_every_optional_part_of_a_specification_is_on_the_page():
    table = TEXT[TEXT.index("## The optional parts") : TEXT.index("## Check it")]
    parts = {field.name for field in fields(api.SystemSpec) if field.default is not MISSING}
    parts |= {f.name for f in fields(api.SystemSpec) if f.default_factory is not MISSING}
    listed = {
        name.partition("=")[0] for name in re.findall(r"^\| `([\w=]+)` \|", table, re.MULTILINE)
    }
    assert listed == parts - {"isolates_process", "api_version"}
    assert "isolates_process=True" in TEXT
    assert "`api_version`" in TEXT


def path_with(site):
    return os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))


def run(site, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path_with(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_passes_the_contract_suite_by_the_pages_command(installed):
    _, command = block("sh").splitlines()
    python, module, *arguments = command.replace("DIR", str(installed)).split()
    assert (python, module) == (".venv/bin/python", "-m")
    out = run(installed, *arguments, "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert f"{2 * len(testing.CHECKS)} passed" in out
    assert "failed" not in out


def test_a_package_for_another_version_of_the_api_is_refused(monkeypatch):
    later = replace(systems.load("http"), api_version=api.API_VERSION + 1)
    point = SimpleNamespace(load=lambda: later)
    monkeypatch.setattr(systems, "_entry_points", lambda: {"other": point})
    with pytest.raises(UnavailableError, match=r"version 2 of swarmrace\.api, expected version 1"):
        systems.load.__wrapped__("other")


def test_the_command_of_the_page_installs_it(tmp_path):
    """It installs offline into a separate folder: the tests' environment stays unchanged."""
    if subprocess.run(["python3", "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("NOT TESTED: python3 has no pip, which the page's command needs")
    source, target = tmp_path / "tcp", tmp_path / "target"
    source.mkdir()
    (source / "pyproject.toml").write_text(block("toml"))
    for name, code in SYSTEMS.items():
        (source / name).write_text(code)
    replacements = {".venv/bin/python": sys.executable, "DIR": str(source)}
    command = [replacements.get(word, word) for word in block("sh").splitlines()[0].split()]
    assert set(replacements.values()) <= set(command)
    offline = ["--quiet", "--no-index", "--target", str(target)]
    done = subprocess.run([*command, *offline], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all((target / name).is_file() for name in SYSTEMS)
    assert (target / "swarmrace_tcp-0.1.0.dist-info" / "entry_points.txt").is_file()


def test_its_scenario_is_planned_and_raced(installed, tmp_path):
    scenario = str(installed / "scenario.yaml")
    plan = json.loads(run(installed, "swarmrace", "plan", scenario, "--format", "json"))
    assert plan
    folder = tmp_path / "results"
    out = run(installed, "swarmrace", "run", scenario, "--results", str(folder))
    assert "tcp" in out
    for kind in ("tcp", "served"):
        results = [json.loads(path.read_text()) for path in folder.rglob(f"*{kind}*.json")]
        leechers = [result for result in results if result.get("role") == "leecher"]
        assert [result["outcome"] for result in leechers] == ["completed"] * 2
        assert all(result["transfer"]["verified"] for result in leechers)
        size = 131_072 if kind == "tcp" else None
        assert {result["system"]["settings"].get("readSize") for result in leechers} == {size}


def test_its_options_are_checked_like_those_of_all_systems(installed):
    code = (
        "from swarmrace.scenario.loading import parse\n"
        "parse({'global': {'entrants': {'a': {'kind': 'tcp', 'readSiz': 1}}}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path_with(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "global.entrants.a.readSiz" in done.stderr
    assert "readSize" in done.stderr
