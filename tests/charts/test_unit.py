"""The charts' own unit tests (helm-unittest); every template has some."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from helm_charts import ROOT, call, need_tool, run_unit_tests

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
                continue  # a release's text, also of one without entrants
            assert first[name]["it"].startswith("renders nothing"), f"{chart}/{name}"
            assert first[name]["asserts"] == [{"hasDocuments": {"count": 0}}], f"{chart}/{name}"


@pytest.mark.parametrize("chart", CHARTS)
def test_unit_tests(helm: str, checkout: Path, tmp_path: Path, chart: str) -> None:
    source = checkout / "charts" / chart
    copy = tmp_path / "charts" / chart
    copy.parent.mkdir()
    call("cp", "-r", source, copy)
    if chart != "swarmrace":
        call("rm", "-rf", copy / "charts")
        (copy / "charts").mkdir()
        call("cp", "-r", checkout / "charts" / "common", copy / "charts" / "common")
    assert run_unit_tests(copy) >= 3


def test_readmes_have_not_drifted(helm: str, checkout: Path, tmp_path: Path) -> None:
    docs = need_tool("helm-docs")
    copy = tmp_path / "charts"
    call("cp", "-r", checkout / "charts", copy)
    call(docs, "--chart-search-root", copy, "--sort-values-order", "file")
    for chart in ["common", *CHARTS, "sweep", "app-of-apps"]:
        written = (copy / chart / "README.md").read_text()
        assert written == (ROOT / "charts" / chart / "README.md").read_text(), (
            f"{chart}: run `helm-docs --chart-search-root charts --sort-values-order file`"
        )


@pytest.mark.parametrize("chart", ["sweep", "app-of-apps"])
def test_a_null_falls_back_to_what_values_yaml_says(helm: str, tmp_path: Path, chart: str) -> None:
    folder = ROOT / "charts" / chart
    (helpers,) = folder.glob("templates/_*.tpl")
    (block,) = re.findall(r'define ".*\.defaults" -}}\n(.*?)\n{{- end', helpers.read_text(), re.S)
    defaults, values = yaml.safe_load(block), yaml.safe_load((folder / "values.yaml").read_text())
    optional = {"annotations"}
    for key, default in defaults.items():
        given = values[key]
        if isinstance(given, dict):
            given = {name: value for name, value in given.items() if name not in optional}
        assert given == default, key
    left = {key: value for key, value in values.items() if key not in defaults}
    needed = [key for key, value in left.items() if isinstance(value, bool | int)]
    assert needed == [], "a scalar that would be missing if it were null"


def test_no_values_file_has_a_line_that_ct_lint_refuses() -> None:
    rules = yaml.safe_load((ROOT / ".github/ct-lint/lintconf.yaml").read_text())["rules"]
    longest = rules["line-length"]["max"]
    for file in [*ROOT.glob("charts/*/values.yaml"), *ROOT.glob("charts/*/ci/*.yaml")]:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            assert len(line) <= longest, f"{file.relative_to(ROOT)}:{number}"
