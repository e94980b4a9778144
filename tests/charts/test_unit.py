"""Runs the charts' own unit tests (helm-unittest), and sees that every template has some."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from helm_charts import ROOT, call, need_tool

CHARTS = ["tracker", "swarm", "monitoring", "swarmrace"]


def test_every_template_has_unit_tests_and_the_first_is_of_the_disabled_one() -> None:
    for chart in CHARTS:
        folder = ROOT / "charts" / chart
        suites = [yaml.safe_load(f.read_text()) for f in sorted((folder / "tests").glob("*.yaml"))]
        first = {suite["templates"][0]: suite["tests"][0] for suite in suites}
        templates = [f for f in sorted((folder / "templates").rglob("*.*")) if f.suffix != ".tpl"]
        assert len(templates) >= 1
        for template in templates:
            name = template.relative_to(folder).as_posix()
            assert name in first, f"{chart}/{name}: has no unit tests"
            if template.name == "NOTES.txt":
                continue  # text of a release, and where nobody races the one that says so
            assert first[name]["it"].startswith("renders nothing"), f"{chart}/{name}"
            assert first[name]["asserts"] == [{"hasDocuments": {"count": 0}}], f"{chart}/{name}"


@pytest.mark.parametrize("chart", CHARTS)
def test_unit_tests(helm: str, checkout: Path, tmp_path: Path, chart: str) -> None:
    unittest = need_tool("helm-unittest")
    source = checkout / "charts" / chart
    copy = tmp_path / "charts" / chart
    copy.parent.mkdir()
    call("cp", "-r", source, copy)
    if chart != "swarmrace":
        call("rm", "-rf", copy / "charts")
        (copy / "charts").mkdir()
        call("cp", "-r", checkout / "charts" / "common", copy / "charts" / "common")
    done = subprocess.run([unittest, copy], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"Tests:\s+(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= 3


def test_readmes_have_not_drifted(helm: str, checkout: Path, tmp_path: Path) -> None:
    docs = need_tool("helm-docs")
    copy = tmp_path / "charts"
    call("cp", "-r", checkout / "charts", copy)
    call(docs, "--chart-search-root", copy, "--sort-values-order", "file")
    for chart in ["common", *CHARTS]:
        written = (copy / chart / "README.md").read_text()
        assert written == (ROOT / "charts" / chart / "README.md").read_text(), (
            f"{chart}: run `helm-docs --chart-search-root charts --sort-values-order file`"
        )
